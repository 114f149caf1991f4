//! Quantiles of a histogram, and of a list.

use std::collections::BTreeMap;

use crate::admission::{buckets, quantile, ranked};

#[test]
fn a_histogram_is_read_and_spread_evenly_within_its_buckets() {
    let text = "\
controller_runtime_webhook_latency_seconds_bucket{webhook=\"/mutate-pod\",le=\"0.0005\"} 10
controller_runtime_webhook_latency_seconds_bucket{webhook=\"/mutate-pod\",le=\"0.001\"} 20
controller_runtime_webhook_latency_seconds_bucket{webhook=\"/mutate-pod\",le=\"+Inf\"} 20
controller_runtime_webhook_latency_seconds_bucket{webhook=\"/other\",le=\"0.001\"} 7
";
    let after = buckets(text);
    assert_eq!(after, BTreeMap::from([(500, 10.0), (1000, 20.0), (1_000_000_000_000, 20.0)]));
    let near =
        |share, wanted: f64| (quantile(&BTreeMap::new(), &after, share) - wanted).abs() < 1e-9;
    assert!(near(0.5, 0.5) && near(0.75, 0.75) && near(0.25, 0.25));
    assert!(quantile(&after, &after, 0.5).is_nan(), "nothing came between");
    let before = BTreeMap::from([(500, 10.0), (1000, 10.0), (1_000_000_000_000, 10.0)]);
    assert!((quantile(&before, &after, 0.5) - 0.75).abs() < 1e-9, "all were in the second");
}

#[test]
fn the_last_of_few_is_their_99th_percentile() {
    let seen = [1.0, 2.0, 3.0, 4.0];
    let at = |share| ranked(&seen, share).to_bits();
    assert_eq!((at(0.5), at(0.99), at(0.999)), (2_f64.to_bits(), 4_f64.to_bits(), 4_f64.to_bits()));
    assert!(ranked(&[], 0.5).is_nan());
}
