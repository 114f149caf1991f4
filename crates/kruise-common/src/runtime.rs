//! The shell: everything below may await. Controllers implement [`crate::reconciler`]; nothing else does plumbing.

pub mod admin;
pub mod args;
pub mod backoff;
pub mod certs;
pub mod condition;
pub mod leader;
pub mod limiter;
pub mod metrics;
pub mod process;
pub mod queue;
pub mod recorder;
pub mod registrar;
pub mod requests;
pub mod run;
pub mod telemetry;
pub mod watch;
pub mod webhook;
pub mod webhook_args;
pub mod writer;
