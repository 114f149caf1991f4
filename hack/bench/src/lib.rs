//! Benchmarks: several controllers do the same work on the same cluster, one after the other in every round.
//! What is measured and how to read it is in README.md beside this crate; what is here and what is not:
//! starting control planes and building programs is the script's work (`hack/bench/run`).
//!
//! # The floor
//! Before the contestants of a round, [`raw`] measures how many writes a second this API server takes from 32
//! writers that do nothing else: creates, bindings, status patches, spec patches and deletes, each alone. The floor
//! of a bench is the time in which the writes that it cannot do without would go through at those rates, plus the
//! time that the simulated node lets pass.
//!
//! **All writers count**: the contestant's own least number of writes (its file states them) and the writes that the
//! simulated nodes really sent in that sample (bindings, statuses, final deletions; from the audit log), because they
//! go through the same server on the same cores. The raw rates themselves are measured while the simulated nodes are
//! down: their share enters as a number of writes, not as noise. [`floor::Floor::own`] is the stricter figure without
//! the nodes' writes; both are in the results.

pub mod api;
pub mod audit;
pub mod benchmark;
pub mod contestant;
pub mod floor;
pub mod lab;
pub mod options;
pub mod pods;
pub mod process;
pub mod progress;
pub mod raw;
pub mod report;
pub mod sample;
pub mod session;
pub mod table;
pub mod usage;

#[cfg(test)]
mod tests;
