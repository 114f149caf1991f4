//! BroadcastJob controller: `observe → plan → apply → status`, one file (or folder) each.
//!
//! Nouns at the root hold facts about one thing and how to build it; decisions are under `plan/`.

pub mod apply;
pub mod args;
pub mod census;
pub mod controller;
pub mod events;
pub mod failures;
pub mod gauges;
pub mod job_pod;
pub mod mark;
pub mod nodes;
pub mod object;
pub mod observe;
pub mod plan;
pub mod pod;
pub mod salvage;
pub mod snapshot;
pub mod status;
pub mod watch;
pub mod webhook;

#[cfg(test)]
mod tests;
