//! Who uses up the budget of an update.

use serde_json::{Value, json};

use super::facts::{Facts, UID, now, pod, set};
use crate::plan::plan;

/// Two pods that serve, of which `web-0` has yet to run with other memory; a new image is rolled out. What is planned.
fn resizing(container: &Value, gates: &Value) -> Vec<String> {
    let made = |image: &str, memory: &str| {
        let mut made = json!({
            "name": "app", "image": image, "resources": { "requests": { "memory": memory } },
        });
        json_patch::merge(&mut made, container);
        made
    };
    let template = |image: &str| json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [made(image, "2Gi")] } });
    let set = set(&json!({
        "podManagementPolicy": "Parallel", "template": template("app:2"),
        "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "InPlaceIfPossible" } },
    }));
    let mut before = template("app:1");
    before["$patch"] = json!("replace");
    let old = json!({
        "metadata": {
            "name": "web-old", "namespace": "default", "uid": "old", "labels": { "app": "web" },
            "ownerReferences": [{
                "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": UID,
                "controller": true,
            }],
        },
        "revision": 1, "data": { "spec": { "template": before } },
    });
    let state = json!({
        "revision": "web-old", "updateTimestamp": "2026-01-01T00:09:00Z", "lastContainerStatuses": null,
        "updateResources": true,
        "containerBatchesRecord": [{ "timestamp": "2026-01-01T00:09:00Z", "containers": ["app"] }],
        "containerResources": { "app": { "requests": { "memory": "2Gi" }, "generation": 1 } },
    });
    let at = |ordinal: i32, memory: &str| {
        let gate = json!({ "type": "InPlaceUpdateReady", "status": "True" });
        let ready = json!({ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:05:00Z" });
        let runs = json!({ "requests": { "memory": memory } });
        pod(
            ordinal,
            &json!({
                "metadata": {
                    "generation": 2, "labels": { "controller-revision-hash": "web-old" },
                    "annotations": { "apps.kruise.io/inplace-update-state": state.to_string() },
                },
                "spec": { "containers": [made("app:1", "2Gi")], "readinessGates": gates },
                "status": {
                    "conditions": [ready, gate],
                    "containerStatuses": [{ "name": "app", "ready": true, "resources": runs }],
                },
            }),
        )
    };
    let facts = Facts::new(&set, [at(0, "1Gi"), at(1, "2Gi")]).with_revision(&old);
    let plan = plan(&facts.snapshot("InPlaceWorkloadVerticalScaling=true"), now());
    let lines = plan.actions().map(ToString::to_string);
    lines.filter(|line| line.starts_with("update")).map(|line| line[..17].to_owned()).collect()
}

/// RU-5: a resize for which its container will be restarted takes its pod down when the kubelet comes to it, if no gate took
/// it out of traffic before.
#[test]
fn a_restart_that_is_to_come_uses_up_the_budget() {
    let restarts = json!({ "resizePolicy": [{ "resourceName": "memory", "restartPolicy": "RestartContainer" }] });
    let gate = json!([{ "conditionType": "InPlaceUpdateReady" }]);
    let (first, other) = ("update-in-place 1", "update-in-place 0");
    assert_eq!(resizing(&restarts, &json!([])), [other], "nobody beside it");
    assert_eq!(resizing(&restarts, &gate), [first]);
    assert_eq!(resizing(&json!({}), &json!([])), [first], "it serves on");
}
