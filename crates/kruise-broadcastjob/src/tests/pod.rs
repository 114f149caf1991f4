use kruise_common::node::WireNode;
use kruise_common::write::{Request, Write};
use serde_json::{Value, json};

use super::facts::{UID, job, mark, node, read, seen, snapshot};
use crate::pod::{create, name};
use crate::snapshot::Snapshot;

fn created(snapshot: &Snapshot) -> Write {
    let node = read::<WireNode>(&node("a", &json!({})));
    create(snapshot, &node, mark("a"))
}

fn body(snapshot: &Snapshot) -> Value {
    match created(snapshot).request {
        Request::Create { body } => body,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pod_is_the_template_with_a_name_an_owner_and_a_node() {
    let template = json!({
        "metadata": {
            "name": "ignored", "labels": { "app": "clean", "broadcastjob-name": "other" }, "annotations": { "a": "b" },
            "finalizers": ["f/f"], "creationTimestamp": null, "ownerReferences": [{ "uid": "x" }],
        },
        "spec": {
            "restartPolicy": "OnFailure", "containers": [], "newField": { "kept": true },
            "affinity": { "podAffinity": { "p": 1 }, "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [],
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchExpressions": [] }] },
            } },
        },
    });
    let snapshot = snapshot(&job(&json!({ "template": template })), [], []);
    let pod = body(&snapshot);
    let pin = json!({ "nodeSelectorTerms": [{ "matchFields": [
        { "key": "metadata.name", "operator": "In", "values": ["a"] },
    ] }] });
    assert_eq!(
        pod,
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": format!("clean-{}", mark("a")),
                "namespace": "default",
                "labels": { "app": "clean", "broadcastjob-name": "clean", "broadcastjob-controller-uid": UID },
                "annotations": { "a": "b" },
                "finalizers": ["f/f"],
                "ownerReferences": [{
                    "apiVersion": "apps.kruise.io/v1beta1", "kind": "BroadcastJob", "name": "clean", "uid": UID,
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {
                "restartPolicy": "OnFailure", "containers": [], "newField": { "kept": true },
                "affinity": { "podAffinity": { "p": 1 }, "nodeAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [],
                    "requiredDuringSchedulingIgnoredDuringExecution": pin,
                } },
            },
        })
    );
}

#[test]
fn without_the_scheduler_a_pod_is_created_on_its_node() {
    let mut snapshot = snapshot(&job(&json!({})), [], []);
    snapshot.by_scheduler = false;
    let spec = body(&snapshot)["spec"].clone();
    assert_eq!((&spec["nodeName"], spec.get("affinity")), (&json!("a"), None));
}

#[test]
fn a_name_is_never_too_long_for_a_host_name_and_tells_its_mark() {
    let mut long = job(&json!({}));
    long["metadata"]["name"] = json!("a".repeat(63));
    let mut seen_job = snapshot(&job(&json!({})), [], []);
    seen_job.job = std::sync::Arc::new(read::<crate::object::WireJob>(&long));
    assert_eq!(name(&seen_job.job, mark("a")).len(), 63);
    let pod = seen("a", &json!({ "metadata": { "name": name(&seen_job.job, mark("a")) } }));
    assert_eq!(crate::pod::mark(&seen_job.job, &pod), Some(mark("a")));
    let other = seen("a", &json!({ "metadata": { "name": "clean-x7k2p" } }));
    let seen_job = snapshot(&job(&json!({})), [], []);
    assert_eq!(crate::pod::mark(&seen_job.job, &other), None, "OpenKruise made it");
}
