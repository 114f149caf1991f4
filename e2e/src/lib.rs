#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code: what goes wrong ends the test"
)]
//! Scenarios with real containers, on the cluster that KUBECONFIG names and with the controllers that run there.
//!
//! [`play`] gives each scenario a namespace of its own and keeps what tells of a failure.

mod case;
mod collect;
mod objects;
mod recorder;
mod shell;

pub use case::{Case, play};
pub use objects::{
    app, container, image, images_are, is_ready, is_true, pod, restarts, same_pod, set,
};
pub use recorder::{Recorder, Seen};
pub use shell::{Load, Power, kubectl};
