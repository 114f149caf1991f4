use std::collections::BTreeMap;
use std::sync::Arc;

use kruise_common::key::ObjectKey;
use kruise_common::node::WireNode;
use kruise_common::table::Table;
use serde_json::{Value, json};

use super::facts::{UID, job, mark, node, pod, read};
use crate::job_pod::WireJobPod;
use crate::object::WireJob;
use crate::observe::{Caches, observe};

fn caches(job: &Value) -> Caches {
    let jobs: Arc<Table<_>> = Arc::default();
    jobs.apply(read::<WireJob>(job));
    let caches = Caches { jobs, pods: Arc::default(), nodes: Arc::default() };
    caches.nodes.apply(read::<WireNode>(&node("a", &json!({}))));
    caches
}

/// Its pod succeeded, and somebody removes it at once.
fn lose(caches: &Caches, pod: &Value) {
    let row = read::<WireJobPod>(pod);
    let meta = row.meta.clone();
    caches.pods.apply(row);
    caches.pods.remove(&meta);
}

fn succeeded(change: &Value) -> Value {
    let mut pod = pod("a", &json!({ "status": { "phase": "Succeeded" } }));
    json_patch::merge(&mut pod, change);
    pod
}

fn departed(caches: &Caches) -> Option<usize> {
    let seen = observe(caches, true, BTreeMap::new(), &ObjectKey::new("default", "clean"))?;
    Some(seen.departed.len())
}

fn kept(caches: &Caches) -> usize {
    caches.pods.departed(|_| true).len()
}

/// W16: what was seen counts, though its pod is gone before the status says so.
#[test]
fn a_success_whose_pod_is_gone_is_kept_until_it_is_recorded() {
    let caches = caches(&job(&json!({})));
    lose(&caches, &succeeded(&json!({})));
    let seen =
        observe(&caches, true, BTreeMap::new(), &ObjectKey::new("default", "clean")).unwrap();
    assert!(seen.census().succeeded.contains(&mark("a")));
    let mut recorded = job(&json!({}));
    recorded["metadata"]["resourceVersion"] = json!("8");
    recorded["status"] =
        json!({ "phase": "running", "results": { "succeeded": mark("a").as_str() } });
    caches.jobs.apply(read::<WireJob>(&recorded));
    assert_eq!((departed(&caches), kept(&caches)), (Some(0), 0));
}

/// One of OpenKruise's bears no mark: it counts under that of its node.
#[test]
fn a_success_of_another_maker_counts_for_its_node() {
    let caches = caches(&job(&json!({})));
    lose(&caches, &succeeded(&json!({ "metadata": { "name": "clean-abcde" } })));
    let seen =
        observe(&caches, true, BTreeMap::new(), &ObjectKey::new("default", "clean")).unwrap();
    assert!(seen.census().succeeded.contains(&mark("a")));
}

#[test]
fn nothing_is_kept_for_jobs_that_are_over_gone_or_others_by_now() {
    let mut over = job(&json!({}));
    over["status"] = json!({ "phase": "failed" });
    let finished = caches(&over);
    lose(&finished, &succeeded(&json!({})));
    assert_eq!((departed(&finished), kept(&finished)), (Some(0), 0), "over");

    let gone = caches(&job(&json!({})));
    lose(&gone, &succeeded(&json!({})));
    gone.jobs.forget(&ObjectKey::new("default", "clean"), UID);
    assert_eq!((departed(&gone), kept(&gone)), (None, 0), "gone");

    let other = caches(&job(&json!({})));
    let earlier = json!({ "metadata": { "ownerReferences": [{
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "BroadcastJob", "name": "clean", "uid": "earlier", "controller": true,
    }] } });
    lose(&other, &succeeded(&earlier));
    assert_eq!((departed(&other), kept(&other)), (Some(0), 0), "another job of that name");

    let elsewhere = caches(&job(&json!({})));
    let gone = json!({ "metadata": { "ownerReferences": [{
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "BroadcastJob", "name": "gone", "uid": "gone", "controller": true,
    }] } });
    lose(&elsewhere, &succeeded(&gone));
    assert_eq!((departed(&elsewhere), kept(&elsewhere)), (Some(0), 0), "gone while nobody led");

    let failed = caches(&job(&json!({})));
    lose(&failed, &succeeded(&json!({ "status": { "phase": "Failed" } })));
    assert_eq!(kept(&failed), 0, "a failed pod that its owner deletes is run again (§22.2)");
}
