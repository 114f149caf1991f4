//! Unit tests: `src/tests/a_b.rs` tests `src/a/b.rs`.

mod args;
mod census;
mod events;
mod facts;
mod failures;
mod gauges;
mod job_pod;
mod mark;
mod nodes;
mod observe;
mod plan_hold;
mod pod;
mod salvage;
mod snapshot;
mod status;
mod watch;
mod webhook;
