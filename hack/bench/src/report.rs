//! What is told: a line while it goes, records in a file, a table at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::contestant::Bench;
use crate::floor::Rates;

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Workload.
    pub bench: Bench,
    /// Who.
    pub contestant: String,
    /// `shipped` or `uncapped`.
    pub mode: String,
    /// Pods.
    pub size: usize,
    /// From the request to the last pod ready.
    pub seconds: f64,
    /// Size by seconds.
    pub pods_per_second: f64,
    /// The controller's requests that write pods, refused ones included, by size.
    pub writes_per_pod: f64,
    /// Its writes of the set's status.
    pub status_writes: u64,
    /// Its writes that were refused for a conflict.
    pub conflicts: u64,
    /// Most pods that were not ready at once, in updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_unavailable: Option<usize>,
    /// Its CPU time, user and system.
    pub cpu_seconds: f64,
    /// Its peak of resident memory so far.
    pub peak_rss_mib: f64,
    /// What the API server needs at least for the writes of all.
    pub floor_seconds: f64,
    /// What single requests took, where these are measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latencies: Option<Latencies>,
}

/// What single requests took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latencies {
    /// How many there were.
    pub calls: u32,
    /// As the client of the API server sees them.
    pub client: Quantiles,
    /// In the webhook, by its histogram; none without a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Quantiles>,
    /// Reviews for each: 2 if the API server asks again.
    pub reviews: f64,
    /// CPU time of the webhook for each.
    pub cpu_ms: f64,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quantiles {
    /// Half of them took at most so long.
    pub p50: f64,
    /// Of a hundred one took longer.
    pub p99: f64,
    /// Of a thousand one took longer.
    pub p999: f64,
}

impl Quantiles {
    /// Those of a distribution.
    pub fn of(quantile: impl Fn(f64) -> f64) -> Self {
        Self { p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999) }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, p999 } = self;
        write!(f, "{:>22}", format!("{p50:.2} / {p99:.2} / {p999:.2}"))
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(latencies) = &self.latencies {
            return f.write_str(&latency(self, latencies));
        }
        write!(
            f,
            "{:?}: {} pods in {:.2} s, {:.0} pods/s, {:.2} writes/pod",
            self.bench, self.size, self.seconds, self.pods_per_second, self.writes_per_pod
        )
    }
}

/// Progress, for whoever waits.
#[expect(clippy::print_stderr, reason = "this is where progress is shown")]
pub fn say(text: &str) {
    eprintln!("{text}");
}

/// Writes all records as a JSON array.
pub fn store(path: &Path, records: &[Record]) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(records)?;
    std::fs::write(path, text + "\n").with_context(|| path.display().to_string())
}

/// The table, to standard output.
pub fn print(records: &[Record], rates: &Rates, first: &str) -> anyhow::Result<()> {
    let (single, whole): (Vec<Record>, Vec<Record>) =
        records.iter().cloned().partition(|record| record.latencies.is_some());
    let mut text = String::new();
    if !whole.is_empty() {
        text = format!("{}\n{}", table(&whole, rates), ratios(&whole, first));
    }
    if !single.is_empty() {
        text.push_str(&latencies(&single));
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// All samples of one contestant in one bench.
struct Row<'a> {
    size: usize,
    bench: Bench,
    title: String,
    samples: Vec<&'a Record>,
}

impl Row<'_> {
    fn median(&self, value: impl Fn(&Record) -> f64) -> f64 {
        median(self.samples.iter().map(|record| value(record)))
    }

    fn speed(&self) -> f64 {
        self.median(|record| record.pods_per_second)
    }

    /// CPU seconds for a thousand pods.
    fn cpu(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a number of pods")]
        let of = |record: &Record| record.cpu_seconds * 1000.0 / record.size as f64;
        self.median(of)
    }
}

fn rows(records: &[Record]) -> Vec<Row<'_>> {
    let mut rows: BTreeMap<(usize, Bench, String), Vec<&Record>> = BTreeMap::new();
    for record in records {
        let title = format!("{} ({})", record.contestant, record.mode);
        rows.entry((record.size, record.bench, title)).or_default().push(record);
    }
    let row = |((size, bench, title), samples)| Row { size, bench, title, samples };
    rows.into_iter().map(row).collect()
}

/// Medians of all samples, one row for each size, bench and contestant.
pub fn table(records: &[Record], rates: &Rates) -> String {
    let mut lines = vec![String::new(), format!("raw writes/s: {rates}"), String::new()];
    lines.push(format!(
        "{:<6} {:<5} {:<29} {:>7} {:<15} {:>8} {:>10} {:>9} {:>6} {:>11} {:>10} {:>8}",
        "pods",
        "bench",
        "contestant",
        "pods/s",
        "(min…max)",
        "of floor",
        "writes/pod",
        "conflicts",
        "status",
        "unavailable",
        "CPU s/1000",
        "peak MiB"
    ));
    for row in rows(records) {
        let speeds = || row.samples.iter().map(|record| record.pods_per_second);
        let (low, high) = (speeds().fold(f64::INFINITY, f64::min), speeds().fold(0.0, f64::max));
        let number = |value: fn(&Record) -> u64| {
            #[expect(clippy::cast_precision_loss, reason = "counts for people to read")]
            row.median(|record| value(record) as f64)
        };
        let most = row.samples.iter().filter_map(|record| record.most_unavailable).max();
        lines.push(format!(
            "{:<6} {:<5} {:<29} {:>7.1} {:<15} {:>8.2} {:>10.2} {:>9.0} {:>6.0} {:>11} {:>10.2} {:>8.1}",
            row.size,
            format!("{:?}", row.bench),
            row.title,
            row.speed(),
            format!("({low:.1}…{high:.1})"),
            row.median(|record| record.floor_seconds / record.seconds),
            row.median(|record| record.writes_per_pod),
            number(|record| record.conflicts),
            number(|record| record.status_writes),
            most.map_or_else(|| "-".to_owned(), |most| most.to_string()),
            row.cpu(),
            row.median(|record| record.peak_rss_mib),
        ));
    }
    lines.join("\n") + "\n"
}

/// How many times faster, and at how much of the CPU time, the first contestant is than the others.
pub fn ratios(records: &[Record], first: &str) -> String {
    let rows = rows(records);
    let mut lines = Vec::new();
    for ours in rows.iter().filter(|row| row.title == first) {
        for other in rows.iter().filter(|row| row.title != first && row.bench == ours.bench) {
            // Who got fewer pods is compared by its rate.
            let same = other.size == ours.size
                || !rows.iter().any(|row| {
                    (row.bench, row.size, &row.title) == (ours.bench, ours.size, &other.title)
                });
            if same {
                let (speed, cpu) = (ours.speed() / other.speed(), ours.cpu() / other.cpu());
                let Row { bench, size, .. } = ours;
                let than = &other.title;
                lines.push(format!("{bench:?}, {size} pods: {speed:.1} × the speed of {than}, {cpu:.2} × its CPU time\n"));
            }
        }
    }
    lines.concat()
}

/// What single requests took, one line for each sample.
pub fn latencies(records: &[Record]) -> String {
    let mut lines = vec![format!(
        "\n{:<19} {:<25} {:>6} {:>22} {:>22} {:>8} {:>11} {:>9}",
        "admission",
        "",
        "calls",
        "client p50/p99/p99.9",
        "server p50/p99/p99.9",
        "reviews",
        "CPU ms/call",
        "peak MiB"
    )];
    let known = records.iter().filter_map(|record| Some((record, record.latencies.as_ref()?)));
    lines.extend(known.map(|(record, latencies)| latency(record, latencies)));
    lines.join("\n") + "\n"
}

fn latency(record: &Record, latencies: &Latencies) -> String {
    let Latencies { calls, client, server, reviews, cpu_ms } = latencies;
    let (who, mode) = (&record.contestant, &record.mode);
    let server = server.map_or_else(|| "-".to_owned(), |server| server.to_string());
    let rss = record.peak_rss_mib;
    format!(
        "{who:<19} {mode:<25} {calls:>6} {client} {server:>22} {reviews:>8.2} {cpu_ms:>11.3} {rss:>9.1}"
    )
}

/// The middle value; of an even number the mean of the two in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, values.get(middle.wrapping_sub(1)), values.get(middle)) {
        (1, _, Some(value)) => *value,
        (0, Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}
