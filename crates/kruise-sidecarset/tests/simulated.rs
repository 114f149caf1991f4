#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code"
)]
//! The controller over the simulated cluster: whole rollouts as transcripts, the invariants as properties, take-over.

#[path = "simulated/auditor.rs"]
mod auditor;
#[path = "simulated/builders.rs"]
mod builders;
#[path = "simulated/crashes.rs"]
mod crashes;
#[path = "simulated/deadlines.rs"]
mod deadlines;
#[path = "simulated/evictions.rs"]
mod evictions;
#[path = "simulated/hashes.rs"]
mod hashes;
#[path = "simulated/history.rs"]
mod history;
#[path = "simulated/late.rs"]
mod late;
#[path = "simulated/life.rs"]
mod life;
#[path = "simulated/overtaking.rs"]
mod overtaking;
#[path = "simulated/properties.rs"]
mod properties;
#[path = "simulated/rules.rs"]
mod rules;
#[path = "simulated/said.rs"]
mod said;
#[path = "simulated/takeover.rs"]
mod takeover;
#[path = "simulated/transcripts.rs"]
mod transcripts;
