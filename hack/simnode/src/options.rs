//! Flags of the simulation.

use std::time::Duration;

use clap::Parser;

/// Simulated Kubernetes nodes.
#[derive(Clone, Debug, Parser)]
#[command(name = "simnode", version)]
pub struct Options {
    /// How many nodes.
    #[arg(long, default_value_t = 10)]
    pub nodes: usize,
    /// Names are PREFIX-0, PREFIX-1, …
    #[arg(long, default_value = "sim")]
    pub prefix: String,
    /// How long a container takes to start, in milliseconds.
    #[arg(long, default_value_t = 200)]
    pub start_delay_ms: u64,
    /// How long a pod takes to stop, in milliseconds (at most its grace period).
    #[arg(long, default_value_t = 50)]
    pub stop_delay_ms: u64,
    /// Pods per node.
    #[arg(long, default_value_t = 5000)]
    pub pods: u32,
    /// Bind unscheduled pods too, so that no kube-scheduler is needed.
    #[arg(long)]
    pub schedule: bool,
    /// Writes under way at once.
    #[arg(long, default_value_t = 32)]
    pub writers: usize,
    /// Delete the nodes at the end.
    #[arg(long)]
    pub cleanup: bool,
}

impl Options {
    /// How long a container takes to start.
    pub fn start_delay(&self) -> Duration {
        Duration::from_millis(self.start_delay_ms)
    }

    /// How long a pod takes to stop.
    pub fn stop_delay(&self) -> Duration {
        Duration::from_millis(self.stop_delay_ms)
    }

    /// Names of all nodes.
    pub fn names(&self) -> Vec<String> {
        (0..self.nodes).map(|index| format!("{}-{index}", self.prefix)).collect()
    }
}
