//! The names and labels that dashboards and alerts rely on.

use std::collections::BTreeMap;
#[cfg(feature = "testing")]
use std::collections::BTreeSet;
use std::time::Duration;

use crate::plan::{Measure, Sample};
use crate::runtime::metrics::{Metrics, TurnResult};
use crate::runtime::queue::Load;

fn touched() -> Metrics {
    let metrics = Metrics::new("statefulset-controller").unwrap();
    let wait = Duration::from_millis(20);
    for result in [TurnResult::Success, TurnResult::Error, TurnResult::RequeueAfter] {
        metrics.turn(result, wait, wait);
    }
    let second = Duration::from_secs(1);
    metrics.queue(&Load {
        waiting: 3,
        running: 2,
        added: 7,
        unfinished: 3 * second,
        longest: 2 * second,
    });
    metrics.workers(16);
    metrics.requests().with_label_values(&["200", "GET", "127.0.0.1:6443"]).inc();
    metrics.write("patch", "pods/status", "ok", wait, 64.0);
    metrics.hold("Budget", 1.0);
    metrics.longest_waits(&BTreeMap::from([("Budget", 90 * second)]));
    metrics.cache("pods", 10_000);
    metrics.watch_error("pods");
    metrics.unresolved_write();
    metrics.leads("kruise-statefulset", true);
    metrics.conflicts(true);
    metrics.event_dropped();
    drop(metrics.review_begins("/validate-web"));
    metrics.review("/validate-web", 200, Duration::from_millis(1));
    metrics.certificate(1_800_000_000);
    metrics.registered(true);
    metrics
}

/// Each line without what differs from run to run: histograms without their buckets, the process without its numbers.
fn lines(metrics: &Metrics) -> Vec<String> {
    let text = metrics.render().unwrap();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
    let samples = samples.filter(|line| !line.starts_with("process_") && !line.contains("_sum"));
    types.chain(samples).map(str::to_owned).collect()
}

/// platform §7.2 for those of controller-runtime; ours start with `kruise_`.
const GOLDEN: &str = r#"
controller_runtime_active_workers gauge
controller_runtime_max_concurrent_reconciles gauge
controller_runtime_reconcile_errors_total counter
controller_runtime_reconcile_time_seconds histogram
controller_runtime_reconcile_total counter
controller_runtime_webhook_latency_seconds histogram
controller_runtime_webhook_requests_in_flight gauge
controller_runtime_webhook_requests_total counter
kruise_cache_objects gauge
kruise_conflict gauge
kruise_events_dropped_total counter
kruise_statefulset_holds gauge
kruise_statefulset_longest_wait_seconds gauge
kruise_unresolved_writes_total counter
kruise_watch_errors_total counter
kruise_webhook_registered gauge
kruise_write_duration_seconds histogram
kruise_write_window gauge
kruise_writes_total counter
leader_election_master_status gauge
process_cpu_seconds_total counter
process_max_fds gauge
process_open_fds gauge
process_resident_memory_bytes gauge
process_start_time_seconds gauge
process_threads gauge
process_virtual_memory_bytes gauge
rest_client_requests_total counter
webhook_cert_expiry_timestamp_seconds gauge
workqueue_adds_total counter
workqueue_depth gauge
workqueue_longest_running_processor_seconds gauge
workqueue_queue_duration_seconds histogram
workqueue_retries_total counter
workqueue_unfinished_work_seconds gauge
workqueue_work_duration_seconds histogram
controller_runtime_active_workers{controller="statefulset-controller"} 2
controller_runtime_max_concurrent_reconciles{controller="statefulset-controller"} 16
controller_runtime_reconcile_errors_total{controller="statefulset-controller"} 1
controller_runtime_reconcile_time_seconds_count{controller="statefulset-controller"} 3
controller_runtime_reconcile_total{controller="statefulset-controller",result="error"} 1
controller_runtime_reconcile_total{controller="statefulset-controller",result="requeue_after"} 1
controller_runtime_reconcile_total{controller="statefulset-controller",result="success"} 1
controller_runtime_webhook_latency_seconds_count{webhook="/validate-web"} 1
controller_runtime_webhook_requests_in_flight{webhook="/validate-web"} 0
controller_runtime_webhook_requests_total{code="200",webhook="/validate-web"} 1
kruise_cache_objects{resource="pods"} 10000
kruise_conflict 1
kruise_events_dropped_total 1
kruise_statefulset_holds{reason="Budget"} 1
kruise_statefulset_longest_wait_seconds{reason="Budget"} 90
kruise_unresolved_writes_total 1
kruise_watch_errors_total{resource="pods"} 1
kruise_webhook_registered 1
kruise_write_duration_seconds_count{resource="pods/status",verb="patch"} 1
kruise_write_window 64
kruise_writes_total{outcome="ok",resource="pods/status",verb="patch"} 1
leader_election_master_status{name="kruise-statefulset"} 1
rest_client_requests_total{code="200",host="127.0.0.1:6443",method="GET"} 1
webhook_cert_expiry_timestamp_seconds 1800000000
workqueue_adds_total{controller="statefulset-controller",name="statefulset-controller"} 7
workqueue_depth{controller="statefulset-controller",name="statefulset-controller"} 3
workqueue_longest_running_processor_seconds{controller="statefulset-controller",name="statefulset-controller"} 2
workqueue_queue_duration_seconds_count{controller="statefulset-controller",name="statefulset-controller"} 3
workqueue_retries_total{controller="statefulset-controller",name="statefulset-controller"} 1
workqueue_unfinished_work_seconds{controller="statefulset-controller",name="statefulset-controller"} 3
workqueue_work_duration_seconds_count{controller="statefulset-controller",name="statefulset-controller"} 3
"#;

#[test]
fn names_types_and_labels_stay() {
    assert_eq!(lines(&touched()), GOLDEN.trim().lines().collect::<Vec<_>>());
}

#[test]
fn turns_are_counted_over_all_results() {
    assert_eq!(touched().turns(), 3);
    assert_eq!(Metrics::new("x").unwrap().turns(), 0);
}

#[test]
fn gauges_go_down_again() {
    let metrics = touched();
    metrics.hold("Budget", -1.0);
    metrics.longest_waits(&BTreeMap::from([("Pod", Duration::from_secs(7))]));
    metrics.leads("kruise-statefulset", false);
    metrics.conflicts(false);
    metrics.queue(&Load::default());
    let lines = lines(&metrics);
    for zero in [
        r#"kruise_statefulset_holds{reason="Budget"} 0"#,
        r#"kruise_statefulset_longest_wait_seconds{reason="Budget"} 0"#,
        r#"kruise_statefulset_longest_wait_seconds{reason="Pod"} 7"#,
        r#"leader_election_master_status{name="kruise-statefulset"} 0"#,
        "kruise_conflict 0",
        r#"workqueue_depth{controller="statefulset-controller",name="statefulset-controller"} 0"#,
    ] {
        assert!(lines.iter().any(|line| line == zero), "{zero}");
    }
}

#[test]
fn two_processes_of_one_test_do_not_collide() {
    let (one, two) = (touched(), touched());
    assert_eq!(lines(&one), lines(&two));
}

/// K-13: numbers of objects are summed up, and go with their object.
#[test]
fn numbers_of_objects_are_summed_by_label() {
    let metrics = Metrics::new("x").unwrap();
    let of = |value, amount| Measure {
        name: "kruise_x_down",
        help: "Down.",
        label: "policy",
        value,
        amount,
    };
    metrics.measure(&of("a", 2.0), 1.0);
    metrics.measure(&of("a", 3.0), 1.0);
    metrics.measure(&of("b", 1.0), 1.0);
    metrics.measure(&of("a", 2.0), -1.0);
    let lines = lines(&metrics);
    for line in [r#"kruise_x_down{policy="a"} 3"#, r#"kruise_x_down{policy="b"} 1"#] {
        assert!(lines.iter().any(|known| known == line), "{line}");
    }
}

/// W21: durations go into a histogram per kind of end.
#[test]
fn durations_are_counted_by_label() {
    let metrics = Metrics::new("x").unwrap();
    let of = |value, seconds| Sample {
        name: "kruise_x_seconds",
        help: "How long.",
        label: "result",
        value,
        seconds,
    };
    metrics.sample(&of("a", 1.5));
    metrics.sample(&of("a", 100.0));
    metrics.sample(&of("b", 1e9));
    let lines = lines(&metrics);
    for line in
        [r#"kruise_x_seconds_count{result="a"} 2"#, r#"kruise_x_seconds_count{result="b"} 1"#]
    {
        assert!(lines.iter().any(|known| known == line), "{line}");
    }
}

/// Types and labels of families as the text says them; histograms without `le`.
#[cfg(feature = "testing")]
fn families(text: &str) -> Vec<(&str, &str, BTreeSet<&str>)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let labels = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let labels = lines.find_map(|rest| rest.trim_start_matches("_bucket").strip_prefix('{'));
        let pairs = labels.unwrap_or_default().split("\",");
        let names = pairs.filter_map(|pair| pair.split_once("=\"")).map(|(name, _)| name);
        names.filter(|name| *name != "le").collect()
    };
    types.map(|(name, kind)| (name, kind, labels(name))).collect()
}

/// docs/metrics.md lists what there is, with types and labels, and nothing else.
#[cfg(feature = "testing")]
#[test]
fn the_page_about_metrics_is_true() {
    use crate::testing::pages;
    let metrics = touched();
    metrics.outcome("/mutate-pod", "injected");
    let text = metrics.render().unwrap();
    let families: Vec<_> =
        families(&text).into_iter().filter(|(name, ..)| !name.starts_with("process_")).collect();
    for (name, kind, labels) in &families {
        pages::lists_family(name, kind, &labels.iter().copied().collect::<Vec<_>>());
    }
    let of_controllers = ["kruise_statefulset_", "kruise_broadcastjob_", "kruise_sidecarset_"];
    let mut known: BTreeSet<String> =
        families.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let of_each = ["holds", "longest_wait_seconds"];
    known.retain(|name| !of_each.iter().any(|what| *name == format!("kruise_statefulset_{what}")));
    assert_eq!(pages::listed_families(&of_controllers), known);
    for controller in ["statefulset", "broadcastjob", "sidecarset"] {
        for what in of_each {
            pages::lists_family(&format!("kruise_{controller}_{what}"), "gauge", &["reason"]);
        }
    }
}
