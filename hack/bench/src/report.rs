//! From samples to the records of `results.json`: medians, and how they relate.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::benchmark::Bench;
use crate::contestant::Contestant;
use crate::sample::Sample;

/// A line of the results: medians of all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Bench.
    pub bench: Bench,
    /// Contestant.
    pub contestant: String,
    /// `shipped` or `uncapped`.
    pub mode: String,
    /// Pods.
    pub size: u32,
    /// From the change until all pods had arrived.
    pub seconds: f64,
    /// Pods per second of that time.
    pub pods_per_second: f64,
    /// Successful writes of the contestant to pods and their subresources, per pod.
    pub writes_per_pod: f64,
    /// Successful writes of the contestant to the set's status.
    pub status_writes: f64,
    /// CPU time of the contestant.
    pub cpu_seconds: f64,
    /// Peak of its resident memory.
    pub peak_rss_mib: f64,
    /// Shortest time at the raw rates, with the writes of the simulated nodes.
    pub floor_seconds: f64,
    /// The same without the writes of the simulated nodes.
    pub own_floor_seconds: f64,
    /// `floor_seconds` of `seconds`: 1 is perfect.
    pub efficiency: f64,
    /// How many times faster than the baseline; absent if that did not play.
    pub times_baseline: Option<f64>,
    /// Fastest round.
    pub seconds_min: f64,
    /// Slowest round.
    pub seconds_max: f64,
    /// Writes answered with 409.
    pub conflicts: f64,
    /// Writes answered with another error.
    pub rejected: f64,
    /// Successful writes to neither pods nor the set's status nor Events.
    pub other_writes: f64,
    /// Events written.
    pub events: f64,
    /// Writes of the simulated nodes to pods, per pod.
    pub node_writes_per_pod: f64,
    /// Rounds.
    pub runs: usize,
}

/// Samples by bench and place of the contestant.
pub type Samples = BTreeMap<(Bench, usize), Vec<Sample>>;

/// The middle value, or the mean of the two in the middle; 0 of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    if values.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle.saturating_sub(1)), at(middle))
    }
}

/// Records of all samples, by bench and then in the order of the contestants.
pub fn records(samples: &Samples, contestants: &[Contestant], size: u32) -> Vec<Record> {
    let mut records: Vec<Record> = samples
        .iter()
        .filter(|(_, samples)| !samples.is_empty())
        .filter_map(|((bench, place), samples)| {
            contestants.get(*place).map(|contestant| record(*bench, contestant, samples, size))
        })
        .collect();
    let baseline = contestants.iter().find(|contestant| contestant.baseline);
    let times: BTreeMap<Bench, f64> = records
        .iter()
        .filter(|record| baseline.is_some_and(|baseline| baseline.name == record.contestant))
        .map(|record| (record.bench, record.seconds))
        .collect();
    for record in &mut records {
        record.times_baseline = times.get(&record.bench).map(|time| time / record.seconds);
    }
    records
}

fn record(bench: Bench, contestant: &Contestant, samples: &[Sample], size: u32) -> Record {
    let middle = |get: fn(&Sample) -> f64| median(samples.iter().map(get));
    let seconds = middle(|sample| sample.seconds);
    let floor_seconds = middle(|sample| sample.floor.all);
    let pods = f64::from(size);
    Record {
        bench,
        contestant: contestant.name.clone(),
        mode: contestant.mode.clone(),
        size,
        seconds,
        pods_per_second: pods / seconds,
        writes_per_pod: middle(|sample| sample.tally.pods.total()) / pods,
        status_writes: middle(|sample| f64::from(sample.tally.set_status)),
        cpu_seconds: middle(|sample| sample.cpu_seconds),
        peak_rss_mib: middle(|sample| sample.peak_rss_mib),
        floor_seconds,
        own_floor_seconds: middle(|sample| sample.floor.own),
        efficiency: floor_seconds / seconds,
        times_baseline: None,
        seconds_min: samples.iter().map(|sample| sample.seconds).fold(f64::INFINITY, f64::min),
        seconds_max: samples.iter().map(|sample| sample.seconds).fold(0.0, f64::max),
        conflicts: middle(|sample| f64::from(sample.tally.conflicts)),
        rejected: middle(|sample| f64::from(sample.tally.rejected.values().sum::<u32>())),
        other_writes: middle(|sample| f64::from(sample.tally.other)),
        events: middle(|sample| f64::from(sample.tally.events)),
        node_writes_per_pod: middle(|sample| sample.nodes.total()) / pods,
        runs: samples.len(),
    }
}
