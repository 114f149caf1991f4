//! Flags; what selects the benches is read from the environment too, so that `make bench` can pass it on.

use std::path::PathBuf;

use clap::Parser;

use crate::benchmark::Bench;

/// Benchmarks controllers beside each other on the cluster of KUBECONFIG.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", version)]
pub struct Options {
    /// Which benches.
    #[arg(long, env = "BENCH", value_enum, ignore_case = true, value_delimiter = ',', default_value = "P1,P3,P4")]
    pub bench: Vec<Bench>,
    /// Pods of the set.
    #[arg(long, env = "SIZE", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub size: u32,
    /// Rounds; medians are reported.
    #[arg(long, env = "RUNS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// Longest time for one step of a sample, in seconds; 0 means 120 s and 1 s for every 4 pods.
    #[arg(long, env = "BENCH_TIMEOUT", default_value_t = 0)]
    pub timeout: u64,
    /// Files of the contestants.
    #[arg(long = "contestant", required = true)]
    pub contestants: Vec<PathBuf>,
    /// Where STEM.kubeconfig of every contestant file STEM.yaml is, and nodes.kubeconfig.
    #[arg(long)]
    pub kubeconfigs: PathBuf,
    /// The API server's audit log.
    #[arg(long)]
    pub audit_log: PathBuf,
    /// Folder with our programs: `{release}` in contestant files.
    #[arg(long)]
    pub release: PathBuf,
    /// Folder with the programs of the control plane: `{assets}` in contestant files.
    #[arg(long)]
    pub assets: PathBuf,
    /// Where results, logs and pid files go.
    #[arg(long)]
    pub state: PathBuf,
}

impl Options {
    /// Longest time for one step, in seconds.
    pub fn timeout_seconds(&self) -> u64 {
        if self.timeout == 0 { 120 + u64::from(self.size) / 4 } else { self.timeout }
    }
}
