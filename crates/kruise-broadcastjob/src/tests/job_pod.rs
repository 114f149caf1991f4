use serde_json::{Value, json};

use super::facts::seen;

fn restarts(spec: &Value, statuses: &Value, inits: &Value) -> i32 {
    let status = json!({ "containerStatuses": statuses, "initContainerStatuses": inits });
    seen("a", &json!({ "spec": spec, "status": status })).restarts
}

fn status(name: &str, count: i32) -> Value {
    json!({ "name": name, "restartCount": count })
}

/// §12, W21.
#[test]
fn restarts_of_all_containers_but_sidecars_count() {
    let plain = json!({ "containers": [{ "name": "c" }], "initContainers": [{ "name": "i" }] });
    assert_eq!(restarts(&plain, &json!([status("c", 2)]), &json!([status("i", 3)])), 5);
    let native = json!({ "initContainers": [{ "name": "i", "restartPolicy": "Always" }] });
    assert_eq!(restarts(&native, &json!([status("c", 2)]), &json!([status("i", 3)])), 2);
    for env in ["KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT", "IS_INJECTED"] {
        let marked = json!({ "containers": [{ "name": "c" }, { "name": "s", "env": [{ "name": env, "value": "true" }] }] });
        assert_eq!(
            restarts(&marked, &json!([status("c", 2), status("s", 3)]), &json!([])),
            2,
            "{env}"
        );
    }
    let huge = json!([status("c", i32::MAX), status("d", i32::MAX)]);
    assert_eq!(restarts(&json!({}), &huge, &json!([])), i32::MAX);
}

/// §11.3.
#[test]
fn a_pod_is_for_the_node_it_is_bound_to_or_pinned_to() {
    let pinned = |operator: &str, values: Value| {
        let term = json!({ "matchFields": [{ "key": "metadata.name", "operator": operator, "values": values }] });
        let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [term] } } });
        seen("a", &json!({ "spec": { "nodeName": null, "affinity": affinity } }))
    };
    assert_eq!(seen("a", &json!({})).node(), Some("a"));
    assert_eq!(pinned("In", json!(["b"])).node(), Some("b"));
    assert_eq!(pinned("In", json!(["b", "c"])).node(), None);
    assert_eq!(pinned("NotIn", json!(["b"])).node(), None);
    assert_eq!(seen("a", &json!({ "spec": { "nodeName": "" } })).node(), None);
}

/// W9.
#[test]
fn whose_fault_the_end_was_is_told_by_the_times() {
    let exit = |at: &str| json!([{ "name": "c", "state": { "terminated": { "exitCode": 1, "finishedAt": at } } }]);
    let deleted = |exits: Value| {
        seen(
            "a",
            &json!({
                "metadata": { "deletionTimestamp": "2026-01-01T00:06:30Z", "deletionGracePeriodSeconds": 30 },
                "status": { "phase": "Failed", "containerStatuses": exits },
            }),
        )
    };
    assert!(deleted(json!([])).disrupted());
    assert!(deleted(exit("2026-01-01T00:06:00Z")).disrupted(), "asked at 06:00, ended at 06:00");
    assert!(deleted(exit("2026-01-01T00:05:58Z")).disrupted(), "by the clock of another machine");
    assert!(!deleted(exit("2026-01-01T00:05:57Z")).disrupted(), "it had failed before");
    let plain = json!({ "status": { "phase": "Failed", "containerStatuses": exit("2026-01-01T00:06:00Z") } });
    assert!(!seen("a", &plain).disrupted());
    let evicted = json!({ "status": { "phase": "Failed", "reason": "Evicted" } });
    assert!(!seen("a", &evicted).disrupted(), "for its own use of resources");
    let target = json!([{ "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI" }]);
    assert!(
        seen("a", &json!({ "status": { "phase": "Failed", "conditions": target } })).disrupted()
    );
}

#[test]
fn when_it_ended_is_said_by_containers_or_else_by_its_condition() {
    let exits = json!([
        { "name": "c", "state": { "terminated": { "exitCode": 0, "finishedAt": "2026-01-01T00:06:00Z" } } },
        { "name": "d", "state": { "terminated": { "exitCode": 0, "finishedAt": "2026-01-01T00:07:00Z" } } },
    ]);
    let ready = json!([{ "type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:08:00Z" }]);
    let ended =
        |status: Value| seen("a", &json!({ "status": status })).ended_at().map(|at| at.to_string());
    assert_eq!(
        ended(json!({ "containerStatuses": exits, "conditions": ready })).as_deref(),
        Some("2026-01-01T00:07:00Z")
    );
    assert_eq!(ended(json!({ "conditions": ready })).as_deref(), Some("2026-01-01T00:08:00Z"));
    assert_eq!(ended(json!({})), None);
    assert_eq!(
        ended(json!({ "conditions": [{ "type": "Ready", "lastTransitionTime": "soon" }] })),
        None
    );
}
