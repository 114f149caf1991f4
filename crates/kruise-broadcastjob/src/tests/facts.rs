//! Caches and snapshots from JSON, as the watches would fill them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kruise_common::intern::Interner;
use kruise_common::key::ObjectKey;
use kruise_common::node::WireNode;
use kruise_common::table::{Table, Wire};
use serde_json::{Value, json};

use crate::job_pod::{JobPod, WireJobPod};
use crate::mark::Mark;
use crate::object::WireJob;
use crate::observe::{Caches, observe};
use crate::snapshot::Snapshot;

/// UID of [`job`].
pub const UID: &str = "11111111-2222-3333-4444-555555555555";

/// The moment at which tests take place.
pub fn now() -> Timestamp {
    "2026-01-01T00:10:00Z".parse().unwrap()
}

/// An object as its watch reads it.
pub fn read<W: Wire>(object: &Value) -> W::Record {
    let wire: W = serde_json::from_str(&object.to_string()).unwrap();
    wire.into_record(&Interner::default())
}

/// A job `clean` with these changes to its spec.
pub fn job(change: &Value) -> Value {
    let mut job = json!({
        "metadata": { "name": "clean", "namespace": "default", "uid": UID, "resourceVersion": "7", "generation": 3 },
        "spec": { "template": {
            "metadata": { "labels": { "app": "clean" } },
            "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "c:1" }] },
        } },
    });
    json_patch::merge(&mut job["spec"], change);
    job
}

/// A node with these changes, older than all pods.
pub fn node(name: &str, change: &Value) -> Value {
    let mut node = json!({
        "metadata": {
            "name": name, "uid": format!("node-{name}"), "resourceVersion": "5",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {},
        "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" } },
    });
    json_patch::merge(&mut node, change);
    node
}

/// The mark of a node.
pub fn mark(node: &str) -> Mark {
    Mark::of(UID, &format!("node-{node}"))
}

/// The pod of a node, running there.
pub fn pod(node: &str, change: &Value) -> Value {
    let name = format!("clean-{}", mark(node));
    let mut pod = json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("pod-{node}"), "resourceVersion": "9",
            "creationTimestamp": "2026-01-01T00:05:00Z",
            "ownerReferences": [{
                "apiVersion": "apps.kruise.io/v1beta1", "kind": "BroadcastJob", "name": "clean", "uid": UID,
                "controller": true,
            }],
        },
        "spec": { "nodeName": node, "restartPolicy": "Never", "containers": [{ "name": "c", "image": "c:1" }] },
        "status": { "phase": "Running" },
    });
    json_patch::merge(&mut pod, change);
    pod
}

/// A pod as the controller sees it.
pub fn seen(node: &str, change: &Value) -> JobPod {
    read::<WireJobPod>(&pod(node, change))
}

/// What the controller sees of these objects.
pub fn snapshot(
    job: &Value,
    nodes: impl IntoIterator<Item = Value>,
    pods: impl IntoIterator<Item = Value>,
) -> Snapshot {
    let jobs: Arc<Table<_>> = Arc::default();
    jobs.apply(read::<WireJob>(job));
    let caches = Caches { jobs, pods: Arc::default(), nodes: Arc::default() };
    for node in nodes {
        caches.nodes.apply(read::<WireNode>(&node));
    }
    for pod in pods {
        caches.pods.apply(read::<WireJobPod>(&pod));
    }
    observe(&caches, true, BTreeMap::new(), &ObjectKey::new("default", "clean")).unwrap()
}
