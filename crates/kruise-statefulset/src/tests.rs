//! Unit tests: `src/tests/a_b.rs` tests `src/a/b.rs`; `facts.rs` builds what they act on.

mod claims;
mod events;
mod facts;
mod gauges;
mod observe;
mod options;
mod ordinals;
mod plan_hold;
mod plan_recover;
mod plan_resize;
mod plan_unavailable;
mod pod;
mod prefetch;
mod progress;
mod revision;
mod snapshot;
mod status;
mod watch;
mod webhook;
