//! Simulated Kubernetes nodes: they register, renew their Leases and move pods through their life as a
//! kubelet does towards the API. Thousands of pods in one process; no container ever runs.
//!
//! Faults are asked for by image tag or annotation, so that templates can carry them (README.md).

pub mod kubelet;
pub mod node;
pub mod options;
pub mod scheduler;
pub mod simulation;
pub mod turns;
pub mod wire;

#[cfg(test)]
mod tests;
