//! Objects to create: each with what a test is about on top.

use kruise_common::key::ObjectKey;
use kruise_common::kind::{CLAIM, CONTROLLER_REVISION, POD, STATEFUL_SET};
use kruise_common::meta::Meta;
use kruise_common::write::Write;
use serde_json::{Value, json};

/// A finalizer that nobody but the test removes.
pub const HOLD: &str = "test.kruise.io/hold";
/// Another one.
pub const SECOND: &str = "test.kruise.io/second";

/// A pod of two containers that no scheduler and no kubelet looks at.
pub fn pod(key: ObjectKey, change: &Value) -> Write {
    let mut body = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "labels": { "app": "web" }, "annotations": { "note": "first" } },
        "spec": {
            "schedulerName": "nobody",
            "terminationGracePeriodSeconds": 7,
            "containers": [
                { "name": "app", "image": "example.com/app:1" },
                { "name": "side", "image": "example.com/side:1" },
            ],
        },
    });
    json_patch::merge(&mut body, change);
    Write::create(&POD, key, body)
}

/// A claim that no provisioner looks at.
pub fn claim(key: ObjectKey, change: &Value) -> Write {
    let mut body = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "labels": { "app": "web" } },
        "spec": {
            "storageClassName": "",
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": "1Gi" } },
        },
    });
    json_patch::merge(&mut body, change);
    Write::create(&CLAIM, key, body)
}

/// A revision.
pub fn revision(key: ObjectKey, change: &Value) -> Write {
    let mut body = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": { "labels": { "app": "web" } },
        "data": { "spec": { "template": { "a": [1, "two", null] } } },
        "revision": 1,
    });
    json_patch::merge(&mut body, change);
    Write::create(&CONTROLLER_REVISION, key, body)
}

/// A set that no controller looks at.
pub fn set(key: ObjectKey, change: &Value) -> Write {
    let mut body = json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet",
        "metadata": { "labels": { "app": "web" } },
        "spec": {
            "replicas": 1,
            "serviceName": "web",
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "app", "image": "example.com/app:1" }] },
            },
        },
    });
    json_patch::merge(&mut body, change);
    Write::create(&STATEFUL_SET, key, body)
}

/// An owner reference to a set.
pub fn owned_by(set: &Meta, controller: bool) -> Value {
    json!({
        "apiVersion": STATEFUL_SET.api_version(), "kind": STATEFUL_SET.kind, "name": &*set.key.name,
        "uid": &*set.uid, "controller": controller, "blockOwnerDeletion": controller,
    })
}

/// A condition.
pub fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}
