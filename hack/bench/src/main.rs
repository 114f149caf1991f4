//! `make bench`: controllers against each other and against what the API server can take at all.

mod admission;
mod audit;
mod broadcast;
mod cluster;
mod contestant;
mod floor;
mod measure;
mod report;
mod requests;
mod sample;
mod sidecars;
#[cfg(test)]
mod tests;
mod watch;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Parser;
use rand::seq::SliceRandom;

use crate::contestant::{Bench, Contestant};
use crate::floor::Rates;
use crate::report::Record;
use crate::sample::Sample;

/// Measures controllers on embedded clusters with simulated nodes.
#[derive(Clone, Debug, Parser)]
#[command(name = "kruise-bench")]
struct Options {
    /// Which workloads, of P1 (parallel scale-up), P3 (rolling re-creation), P4 (in-place update), P7 (broadcast job),
    /// P8 (pods at admission), P9 (sidecars of running pods) and P11 (start over many SidecarSets, ten pods each).
    #[arg(long, env = "BENCH", value_delimiter = ',', default_value = "P1,P3,P4")]
    bench: Vec<Bench>,
    /// Pods of the set, nodes of the job; several sizes are measured one after another.
    #[arg(long, env = "SIZE", value_delimiter = ',', default_value = "300")]
    size: Vec<usize>,
    /// Samples of each; the median counts.
    #[arg(long, env = "RUNS", default_value_t = 3)]
    runs: usize,
    /// Who takes part.
    #[arg(long, env = "CONTESTANTS", default_value = "hack/bench/contestants.yaml")]
    contestants: PathBuf,
    /// Where the records go.
    #[arg(long, default_value = "target/bench/results.json")]
    results: PathBuf,
    /// How long a simulated container takes to start, in milliseconds.
    #[arg(long, default_value_t = 200)]
    start_delay_ms: u64,
    /// For how long P8 keeps up each rate, in seconds.
    #[arg(long, env = "SECONDS_PER_RATE", default_value_t = 10)]
    seconds_per_rate: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    // Somebody else may have installed one in this process; either is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ensure!(!options.size.contains(&0) && options.runs > 0, "SIZE and RUNS must not be 0");
    let contestants = contestant::read(&options.contestants)?;
    let mut floors: Vec<Rates> = Vec::new();
    let mut records: Vec<Record> = Vec::new();
    let contested = |bench: &Bench| [Bench::P1, Bench::P3, Bench::P4, Bench::P7].contains(bench);
    let runs = if options.bench.iter().any(contested) { options.runs } else { 0 };
    for &size in &options.size {
        for run in 1..=runs {
            let rates = floor(&mut floors).await?;
            let mut order: Vec<&Contestant> = contestants.iter().collect();
            order.shuffle(&mut rand::rng());
            for contestant in order {
                let sample = Sample { contestant, size, start_delay_ms: options.start_delay_ms };
                let name = contestant.title();
                report::say(&format!("run {run}/{}, {size} pods: {name}", options.runs));
                let made = sample.run(&options.bench, &rates).await;
                for record in made.with_context(|| name)? {
                    report::say(&format!("  {record}"));
                    records.push(record);
                }
                report::store(&options.results, &records)?;
            }
        }
    }
    if options.bench.contains(&Bench::P8) {
        let sample = admission::Sample { seconds: options.seconds_per_rate };
        for _ in 1..=options.runs {
            records.extend(sample.run().await.context("P8")?);
            report::store(&options.results, &records)?;
        }
    }
    for &size in &options.size {
        let sidecars = sidecars::Sample { size, start_delay_ms: options.start_delay_ms };
        for _ in 1..=options.runs {
            if options.bench.contains(&Bench::P9) {
                let rates = floor(&mut floors).await?;
                records.extend(sidecars.roll_out(&rates).await.context("P9")?);
            }
            if options.bench.contains(&Bench::P11) {
                records.push(sidecars.start().await.context("P11")?);
            }
            report::store(&options.results, &records)?;
        }
    }
    let first = contestants.first().map(Contestant::title).unwrap_or_default();
    report::print(&records, &floor::median(&floors), &first)
}

/// Raw rates just before the samples of one round: what a machine gives changes with the minutes.
async fn floor(all: &mut Vec<Rates>) -> anyhow::Result<Rates> {
    let rates = floor::measure().await.context("raw rates of the API server")?;
    report::say(&format!("raw writes/s with {} writers: {rates}", floor::WRITERS));
    all.push(rates.clone());
    Ok(rates)
}
