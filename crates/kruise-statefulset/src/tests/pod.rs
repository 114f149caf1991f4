use kruise_common::pod::WirePod;
use kruise_common::write::{Patch, Request};
use serde_json::{Value, json};

use super::facts::{self, Facts, UID, alone, claim_template, read};
use crate::pod::{create, identity_matches, repair_identity, storage_matches};
use crate::snapshot::Snapshot;

fn created(snapshot: &Snapshot, ordinal: i32) -> Value {
    let (settings, revisions) = snapshot.chosen().unwrap();
    let state = ("Normal", "2026-01-01T00:00:00Z");
    let write = create(snapshot, settings, ordinal, &revisions.update, state);
    assert_eq!(&*write.key.name, format!("web-{ordinal}"));
    let Request::Create { body } = write.request else { panic!("a POST") };
    body
}

#[test]
fn a_pod_is_its_template_with_an_identity() {
    let snapshot = alone(&json!({
        "volumeClaimTemplates": [claim_template("1Gi")],
        "template": {
            "metadata": {
                "name": "ignored", "annotations": { "a": "b" }, "finalizers": ["example.com/f"],
            },
            "spec": {
                "hostname": "ignored",
                "volumes": [{ "name": "data", "emptyDir": {} }, { "name": "tmp", "emptyDir": {} }],
                "fieldOfTomorrow": [1, { "x": null }],
            },
        },
    }));
    let revision = snapshot.chosen().unwrap().1.update.name.to_string();
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web-1",
            "namespace": "default",
            "generateName": "web-",
            "labels": {
                "app": "web",
                "statefulset.kubernetes.io/pod-name": "web-1",
                "apps.kubernetes.io/pod-index": "1",
                "controller-revision-hash": revision,
                "lifecycle.apps.kruise.io/state": "Normal",
            },
            "annotations": { "a": "b", "lifecycle.apps.kruise.io/timestamp": "2026-01-01T00:00:00Z" },
            "finalizers": ["example.com/f"],
            "ownerReferences": [{
                "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": UID,
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "hostname": "web-1",
            "subdomain": "web",
            "containers": [{ "name": "app", "image": "app:1" }],
            "volumes": [
                { "name": "data", "persistentVolumeClaim": { "claimName": "data-web-1" } },
                { "name": "tmp", "emptyDir": {} },
            ],
            // A null inside a list survives; merge patches of the test cannot put one into an object.
            "fieldOfTomorrow": [1, { "x": null }],
        },
    });
    assert_eq!(created(&snapshot, 1), expected);
}

#[test]
fn the_index_label_has_a_gate() {
    let snapshot = Facts::new(&facts::set(&json!({})), []).snapshot("PodIndexLabel=false");
    let labels = &created(&snapshot, 0)["metadata"]["labels"];
    assert_eq!(labels.get("apps.kubernetes.io/pod-index"), None);
}

#[test]
fn a_hook_that_marks_pods_not_ready_brings_its_gate_once() {
    let gates = |template: &Value, hook: bool| {
        let snapshot = alone(&json!({
            "lifecycle": { "preDelete": { "labelsHandler": { "a": "b" }, "markPodNotReady": hook } },
            "template": { "spec": template },
        }));
        created(&snapshot, 0)["spec"]["readinessGates"].clone()
    };
    let gate = json!([{ "conditionType": "KruisePodReady" }]);
    assert_eq!(gates(&json!({}), false), Value::Null);
    assert_eq!(gates(&json!({}), true), gate);
    assert_eq!(gates(&json!({ "readinessGates": gate }), true), gate);
}

#[test]
fn identity_is_the_name_label_not_the_index() {
    let pod = |change: &Value| read::<WirePod>(&facts::pod(0, change));
    assert!(identity_matches(&pod(&json!({}))));
    let label = |value: Value| json!({ "metadata": { "labels": { "statefulset.kubernetes.io/pod-name": value } } });
    assert!(!identity_matches(&pod(&label(json!("web-1")))));
    let lost = pod(&label(Value::Null));
    assert!(!identity_matches(&lost));
    let write = repair_identity(&lost, 0, &kruise_common::gates::FeatureGates::default());
    let Request::Patch { subresource: None, patch: Patch::Strategic(body) } = write.request else {
        panic!("a strategic merge patch")
    };
    let expected = json!({ "metadata": {
        "uid": "uid-0",
        "labels": { "statefulset.kubernetes.io/pod-name": "web-0", "apps.kubernetes.io/pod-index": "0" },
    } });
    assert_eq!(body, expected);
}

#[test]
fn storage_is_every_claim_under_its_templates_name() {
    let snapshot = alone(&json!({ "volumeClaimTemplates": [claim_template("1Gi")] }));
    let templates = &snapshot.settings.as_ref().unwrap().claims;
    let with = |volumes: Value| {
        let pod = read::<WirePod>(&facts::pod(0, &json!({ "spec": { "volumes": volumes } })));
        storage_matches(&pod, "web", 0, templates)
    };
    let volume = |name: &str, claim: &str| json!({ "name": name, "persistentVolumeClaim": { "claimName": claim } });
    assert!(with(json!([{ "name": "tmp", "emptyDir": {} }, volume("data", "data-web-0")])));
    assert!(!with(json!([volume("data", "data-web-1")])));
    assert!(!with(json!([volume("other", "data-web-0")])));
    assert!(!with(json!([])));
}
