//! Unit tests: `src/tests/a.rs` tests `src/a.rs`; `pod.rs` and `cluster.rs` are what they act on.

mod begin;
mod cluster;
mod conditions;
mod diff;
mod hash;
mod lifecycle;
mod metadata;
mod pod;
mod progress;
mod properties;
mod refresh;
mod state;
