#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! The controller over the simulated cluster: whole rollouts as transcripts, the invariants as properties, take-over.

#[path = "simulated/amounts.rs"]
mod amounts;
#[path = "simulated/bodies.rs"]
mod bodies;
#[path = "simulated/builders.rs"]
mod builders;
#[path = "simulated/features.rs"]
mod features;
#[path = "simulated/foreign.rs"]
mod foreign;
#[path = "simulated/handover.rs"]
mod handover;
#[path = "simulated/hooks.rs"]
mod hooks;
#[path = "simulated/paused.rs"]
mod paused;
#[path = "simulated/properties.rs"]
mod properties;
#[path = "simulated/refusals.rs"]
mod refusals;
#[path = "simulated/resize.rs"]
mod resize;
#[path = "simulated/retention.rs"]
mod retention;
#[path = "simulated/revisions.rs"]
mod revisions;
#[path = "simulated/rules.rs"]
mod rules;
#[path = "simulated/stalls.rs"]
mod stalls;
#[path = "simulated/story.rs"]
mod story;
#[path = "simulated/takeover.rs"]
mod takeover;
#[path = "simulated/transcripts.rs"]
mod transcripts;
#[path = "simulated/trouble.rs"]
mod trouble;
#[path = "simulated/unordered.rs"]
mod unordered;
#[path = "simulated/upkeep.rs"]
mod upkeep;
#[path = "simulated/writes.rs"]
mod writes;
