use crate::contestant::Bench;
use crate::floor::Rates;
use crate::report::{Record, median, ratios, table};

fn record(mode: &str, seconds: f64) -> Record {
    Record {
        bench: Bench::P4,
        contestant: "ours".to_owned(),
        mode: mode.to_owned(),
        size: 100,
        seconds,
        pods_per_second: 100.0 / seconds,
        writes_per_pod: 3.0,
        status_writes: 2,
        conflicts: 1,
        most_unavailable: Some(10),
        cpu_seconds: 0.5,
        peak_rss_mib: 12.25,
        floor_seconds: 1.0,
        latencies: None,
    }
}

#[test]
fn the_median_ignores_outliers() {
    assert!((median([9.0, 1.0, 2.0].into_iter()) - 2.0).abs() < 1e-9);
    assert!((median([1.0, 2.0, 3.0, 100.0].into_iter()) - 2.5).abs() < 1e-9);
    assert!(median(std::iter::empty()).is_nan());
}

#[test]
fn samples_of_a_contestant_become_one_row() {
    let records = [record("shipped", 2.0), record("shipped", 4.0), record("shipped", 1.0)];
    let text = table(&records, &Rates::default());
    let row = text.lines().last().unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    let expected = [
        "100",
        "P4",
        "ours",
        "(shipped)",
        "50.0",
        "(25.0…100.0)",
        "0.50",
        "3.00",
        "1",
        "2",
        "10",
        "5.00",
        "12.2",
    ];
    assert_eq!(words, expected);
}

#[test]
fn who_got_fewer_pods_is_compared_by_its_rate() {
    let mut other = record("uncapped", 1.0);
    (other.size, other.pods_per_second, other.cpu_seconds) = (50, 10.0, 0.5);
    let text = ratios(&[record("shipped", 2.0), other], "ours (shipped)");
    assert_eq!(text, "P4, 100 pods: 5.0 × the speed of ours (uncapped), 0.50 × its CPU time\n");
}

#[test]
fn modes_stay_apart() {
    let records = [record("shipped", 2.0), record("uncapped", 1.0)];
    assert_eq!(table(&records, &Rates::default()).matches("ours").count(), 2);
}
