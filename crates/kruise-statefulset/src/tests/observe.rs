use serde_json::{Value, json};

use super::facts::{Facts, pod, set};
use crate::snapshot::Snapshot;

fn names(pods: &[std::sync::Arc<kruise_common::pod::Pod>]) -> Vec<&str> {
    pods.iter().map(|pod| pod.name()).collect()
}

fn seen(pods: impl IntoIterator<Item = Value>) -> Snapshot {
    Facts::new(&set(&json!({})), pods).snapshot("")
}

#[test]
fn pods_are_sorted_by_what_they_are_to_the_set() {
    let meta = |change: Value| json!({ "metadata": change });
    let native = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "x", "uid": "u", "controller": true }]);
    let snapshot = seen([
        pod(0, &json!({})),
        pod(1, &meta(json!({ "ownerReferences": [] }))),
        pod(2, &meta(json!({ "ownerReferences": [], "labels": { "app": "db" } }))),
        pod(3, &meta(json!({ "ownerReferences": native }))),
        pod(4, &meta(json!({ "labels": { "app": "db" } }))),
        pod(5, &meta(json!({ "name": "web-05" }))),
        pod(6, &meta(json!({ "namespace": "elsewhere" }))),
    ]);
    assert_eq!(snapshot.pods.keys().copied().collect::<Vec<_>>(), [0], "claimed");
    assert_eq!(names(&snapshot.orphans), ["web-1"], "to be adopted");
    assert_eq!(snapshot.taken.keys().copied().collect::<Vec<_>>(), [2, 3], "hold a name");
    assert_eq!(names(&snapshot.strangers), ["web-05", "web-4"], "to be released");
}

#[test]
fn a_terminating_orphan_is_not_adopted_but_holds_its_name() {
    let change = json!({ "metadata": { "ownerReferences": [], "deletionTimestamp": "2026-01-01T00:09:00Z" } });
    let snapshot = seen([pod(0, &change)]);
    assert!(snapshot.orphans.is_empty());
    assert!(snapshot.taken.contains_key(&0));
}

#[test]
fn without_valid_settings_nothing_is_adopted_or_released() {
    let stranger = pod(1, &json!({ "metadata": { "labels": { "app": "db" } } }));
    let orphan = pod(2, &json!({ "metadata": { "ownerReferences": [] } }));
    let facts =
        Facts::new(&set(&json!({ "selector": { "matchLabels": null } })), [stranger, orphan]);
    let snapshot = facts.snapshot("");
    assert!(snapshot.strangers.is_empty() && snapshot.orphans.is_empty());
    assert_eq!(snapshot.pods.len(), 1, "what it controls still counts");
}

#[test]
fn a_set_that_goes_takes_nobody_in() {
    let mut going = set(&json!({}));
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:09:00Z");
    let orphan = pod(0, &json!({ "metadata": { "ownerReferences": [] } }));
    assert!(Facts::new(&going, [orphan]).snapshot("").orphans.is_empty());
}

#[test]
fn revisions_are_sorted_by_age_and_owner() {
    let revision = |name: &str, number: i64, owners: Value, labels: Value| {
        json!({
            "metadata": { "name": name, "namespace": "default", "labels": labels, "ownerReferences": owners },
            "revision": number, "data": {},
        })
    };
    let ours = json!([{
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": super::facts::UID,
        "controller": true,
    }]);
    let native = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "u", "controller": true }]);
    let facts = Facts::new(&set(&json!({})), [])
        .with_revision(&revision("web-b", 2, ours.clone(), json!({})))
        .with_revision(&revision("web-a", 3, ours, json!({})))
        .with_revision(&revision("web-c", 1, json!([]), json!({ "app": "web" })))
        .with_revision(&revision("web-d", 1, json!([]), json!({ "app": "db" })))
        .with_revision(&revision("web-e", 1, native, json!({ "app": "web" })));
    let snapshot = facts.snapshot("");
    let names = |revisions: &[std::sync::Arc<kruise_common::revision::Revision>]| {
        revisions.iter().map(|revision| revision.name().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&snapshot.revisions), ["web-c", "web-b", "web-a"]);
    assert_eq!(names(&snapshot.foreign_revisions), ["web-d", "web-e"]);
}
