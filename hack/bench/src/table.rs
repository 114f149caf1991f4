//! The table that is printed at the end. Text in, text out.

use std::fmt::Write;

use crate::benchmark::Bench;
use crate::floor::Rates;
use crate::report::Record;

const HEAD: [&str; 12] = [
    "contestant", "seconds", "pods/s", "× baseline", "of floor", "floor s", "writes/pod", "set status",
    "conflicts", "rejected", "CPU s", "peak MiB",
];

/// All records as text, one table per bench, and the raw rates below.
pub fn render(records: &[Record], rates: &Rates) -> String {
    let mut text = String::new();
    for bench in [Bench::P1, Bench::P3, Bench::P4] {
        let of_bench: Vec<&Record> = records.iter().filter(|r| r.bench == bench).collect();
        let Some(first) = of_bench.first() else { continue };
        let (name, title, size, runs) = (bench.name(), bench.title(), first.size, first.runs);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{name}: {title}, {size} pods, median of {runs}");
        let rows: Vec<[String; 12]> = of_bench.iter().map(|record| row(record)).collect();
        text.push_str(&aligned(&rows));
    }
    let Rates { create, bind, status, patch, delete } = rates;
    let _ = writeln!(
        text,
        "\nraw writes per second, 32 writers: create {create:.0}, bind {bind:.0}, \
         status PATCH {status:.0}, spec PATCH {patch:.0}, delete {delete:.0}",
    );
    text
}

fn row(record: &Record) -> [String; 12] {
    [
        record.contestant.clone(),
        format!("{:.2}", record.seconds),
        format!("{:.1}", record.pods_per_second),
        record.times_baseline.map_or_else(|| "–".to_owned(), |times| format!("{times:.1}")),
        format!("{:.2}", record.efficiency),
        format!("{:.2}", record.floor_seconds),
        format!("{:.2}", record.writes_per_pod),
        format!("{:.0}", record.status_writes),
        format!("{:.0}", record.conflicts),
        format!("{:.0}", record.rejected),
        format!("{:.2}", record.cpu_seconds),
        format!("{:.1}", record.peak_rss_mib),
    ]
}

/// The first column flush left, numbers flush right.
fn aligned(rows: &[[String; 12]]) -> String {
    let head = HEAD.map(str::to_owned);
    let lines = || std::iter::once(&head).chain(rows);
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| {
            let cells = lines().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for line in lines() {
        let mut cells = line.iter().zip(&widths);
        if let Some((name, width)) = cells.next() {
            let _ = write!(text, "  {name:<width$}");
        }
        for (cell, width) in cells {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    }
    text
}
