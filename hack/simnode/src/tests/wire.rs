//! Pods as the API server writes them.

use serde_json::json;

use crate::wire::SimPod;

#[test]
fn a_pod_is_read_without_what_a_kubelet_does_not_look_at() {
    let pod: SimPod = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "a", "namespace": "default", "uid": "1", "labels": { "app": "web" },
            "annotations": { "note": "x" }, "managedFields": [{ "manager": "kubectl" }],
            "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30,
        },
        "spec": {
            "nodeName": "sim-0", "containers": [{ "name": "app", "image": "app:1", "env": [] }],
            "tolerations": [{ "operator": "Exists" }],
        },
        "status": {
            "phase": "Running", "qosClass": "BestEffort",
            "conditions": [
                { "type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": null },
                { "type": "Gate", "status": "Unknown" },
            ],
            "containerStatuses": [{
                "name": "app", "containerID": "containerd://1", "restartCount": 2,
                "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
            }],
        },
    }))
    .unwrap();
    assert_eq!((pod.namespace(), pod.name(), pod.uid()), ("default", "a", "1"));
    assert_eq!((pod.annotation("note"), pod.annotation("none")), (Some("x"), None));
    assert!(pod.is_true("Ready") && !pod.is_true("Gate") && !pod.is_true("None"));
    assert!(pod.metadata.deletion_timestamp.is_some());
    assert_eq!(pod.metadata.deletion_grace_period_seconds, Some(30));
    assert!(pod.metadata.managed_fields.is_none() && pod.metadata.labels.is_none());
    let status = pod.status.container_statuses.first().unwrap();
    assert_eq!((status.container_id.as_str(), status.restart_count), ("containerd://1", 2));
    assert!(status.state.running.is_some());
}

#[test]
fn a_new_pod_has_no_status_yet() {
    let pod: SimPod =
        serde_json::from_value(json!({ "metadata": { "name": "a" }, "spec": {} })).unwrap();
    assert_eq!((pod.status.phase.as_str(), pod.annotation("note")), ("", None));
    assert!(pod.status.conditions.is_empty() && pod.spec.containers.is_empty());
}

#[test]
fn the_node_that_an_affinity_names_is_found() {
    let pinned = |field: serde_json::Value| {
        let affinity = serde_json::json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchFields": [field] }],
        } } });
        let pod = serde_json::json!({ "metadata": {}, "spec": { "affinity": affinity } });
        let pod: crate::wire::SimPod = serde_json::from_value(pod).unwrap();
        pod.pinned().map(str::to_owned)
    };
    let field = |operator: &str| serde_json::json!({ "key": "metadata.name", "operator": operator, "values": ["a"] });
    assert_eq!(pinned(field("In")).as_deref(), Some("a"));
    assert_eq!(pinned(field("NotIn")), None);
}
