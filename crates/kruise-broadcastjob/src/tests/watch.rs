use std::sync::Arc;

use kruise_common::key::ObjectKey;
use kruise_common::node::{Node, WireNode};
use kruise_common::table::{Change, Table};
use serde_json::{Value, json};

use super::facts::{job, node, read, seen};
use crate::object::{Job, WireJob};
use crate::watch;

fn key() -> Vec<ObjectKey> {
    vec![ObjectKey::new("default", "clean")]
}

#[test]
fn a_pod_concerns_its_job_whatever_version_made_it() {
    let owned = |version: &str, kind: &str| {
        let owner = json!([{ "apiVersion": version, "kind": kind, "name": "clean", "uid": "u", "controller": true }]);
        let pod = Arc::new(seen("a", &json!({ "metadata": { "ownerReferences": owner } })));
        watch::pod(&Change { old: Some(pod.clone()), new: Some(pod) })
    };
    assert_eq!(owned("apps.kruise.io/v1beta1", "BroadcastJob"), key());
    assert_eq!(owned("apps.kruise.io/v1alpha1", "BroadcastJob"), key());
    assert_eq!(owned("batch/v1", "Job"), []);
    assert_eq!(owned("example.com/v1", "BroadcastJob"), []);
}

/// W18: heartbeats concern nobody, and no node a job that is over.
#[test]
fn a_node_concerns_open_jobs_if_something_changes_that_matters() {
    let jobs: Table<Job> = Table::default();
    jobs.apply(read::<WireJob>(&job(&json!({}))));
    let mut over = job(&json!({}));
    over["metadata"]["name"] = json!("over");
    over["status"] =
        json!({ "phase": "completed", "conditions": [{ "type": "Complete", "status": "True" }] });
    jobs.apply(read::<WireJob>(&over));
    let row = |change: &Value| -> Option<Arc<Node>> {
        Some(Arc::new(read::<WireNode>(&node("a", change))))
    };
    let asked = |old, new| watch::node(&Change { old, new }, &jobs);
    assert_eq!(asked(None, row(&json!({}))), key(), "it came");
    assert_eq!(asked(row(&json!({})), None), key(), "it went");
    let beat = json!({ "metadata": { "resourceVersion": "6" }, "status": { "conditions": [{ "type": "Ready" }] } });
    assert_eq!(asked(row(&json!({})), row(&beat)), []);
    for change in [
        json!({ "metadata": { "labels": { "a": "b" } } }),
        json!({ "spec": { "unschedulable": true } }),
        json!({ "spec": { "taints": [{ "key": "a", "effect": "NoSchedule" }] } }),
        json!({ "status": { "allocatable": { "cpu": "5" } } }),
        json!({ "metadata": { "uid": "another" } }),
    ] {
        assert_eq!(asked(row(&json!({})), row(&change)), key(), "{change}");
    }
}
