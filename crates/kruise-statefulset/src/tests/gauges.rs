use serde_json::{Value, json};

use super::facts::{Facts, alone, now, pod, set};
use crate::gauges::measures;
use crate::snapshot::Snapshot;

fn told(snapshot: &Snapshot) -> Vec<String> {
    let line = |m: kruise_common::plan::Measure| {
        format!("{}{{{}={}}} {}", m.name, m.label, m.value, m.amount)
    };
    measures(snapshot, now()).into_iter().map(line).collect()
}

/// K-13.
#[test]
fn unavailable_replicas_are_measured() {
    let mut unready = pod(1, &json!({}));
    unready["status"]["conditions"][0]["status"] = json!("False");
    let three = |more: &Value| {
        let mut set = set(&json!({ "replicas": 3 }));
        json_patch::merge(&mut set["spec"], more);
        Facts::new(&set, [pod(0, &json!({})), unready.clone()]).snapshot("")
    };
    let label = "pod_management_policy=OrderedReady";
    let expected = [
        format!("kruise_statefulset_unavailable_replicas{{{label}}} 2"),
        format!("kruise_statefulset_max_unavailable{{{label}}} 1"),
    ];
    assert_eq!(told(&three(&json!({}))), expected, "one is unready, one is missing");
    let parallel =
        json!({ "podManagementPolicy": "Parallel", "updateStrategy": { "type": "OnDelete" } });
    let label = "pod_management_policy=Parallel";
    assert_eq!(
        told(&three(&parallel)),
        [format!("kruise_statefulset_unavailable_replicas{{{label}}} 2")]
    );
    assert!(told(&alone(&json!({ "replicas": -1 }))).is_empty());
}
