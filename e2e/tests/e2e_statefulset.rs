#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! Advanced StatefulSets with real containers: `make e2e`.

#[path = "statefulset/containers.rs"]
mod containers;
#[path = "statefulset/limits.rs"]
mod limits;
#[path = "statefulset/rollouts.rs"]
mod rollouts;
#[path = "statefulset/storage.rs"]
mod storage;
#[path = "statefulset/traffic.rs"]
mod traffic;
