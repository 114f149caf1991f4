#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! The controller over the simulated cluster: whole jobs as transcripts, the invariants as properties, take-over.

#[path = "simulated/builders.rs"]
mod builders;
#[path = "simulated/disruptions.rs"]
mod disruptions;
#[path = "simulated/properties.rs"]
mod properties;
#[path = "simulated/refusals.rs"]
mod refusals;
#[path = "simulated/scale.rs"]
mod scale;
#[path = "simulated/slips.rs"]
mod slips;
#[path = "simulated/takeover.rs"]
mod takeover;
#[path = "simulated/transcripts.rs"]
mod transcripts;
