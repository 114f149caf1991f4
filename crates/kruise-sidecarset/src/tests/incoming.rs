//! Pods as they are spelled on the wire: what injection reads of them, byte for byte.

use std::sync::Arc;

use serde_json::{Value, json};

use super::inject::{chosen, pod, set, settings};
use crate::choose::Refusal;
use crate::incoming::{Container, Incoming, Item};
use crate::inject::{Injection, inject};
use crate::object::SidecarSet;

fn injection(text: &str, sets: &[Arc<SidecarSet>]) -> Result<Injection, Refusal> {
    let incoming = Incoming::read(text).unwrap();
    inject(&incoming, &chosen(&pod(&json!({})), sets), settings(false))
}

/// The patch and the pod that it makes.
fn patched(text: &str, sets: &[Arc<SidecarSet>]) -> (String, Value) {
    let patch = injection(text, sets).unwrap().patch;
    let mut after: Value = serde_json::from_str(text).unwrap();
    let operations: json_patch::Patch = serde_json::from_slice(patch.text()).unwrap();
    json_patch::patch(&mut after, &operations).unwrap();
    (String::from_utf8(patch.text().to_vec()).unwrap(), after)
}

/// Go's encoder escapes what HTML could trip over; names are the same however they are written.
#[test]
fn escapes_are_understood_and_kept() {
    let text = r#"{
        "metadata": { "labels": { "app": "web" }, "annotations": { "a\u003cb": "\u0026\u2028" } },
        "spec": { "containers": [{
            "name": "\u0061pp",
            "env": [{ "name": "ON\u0045", "value": "a\u003cb\u0026c", "future": 1.50 }],
            "volumeMounts": [{ "name": "v", "mountPath": "/\u0061", "subPathExpr": "$(ON\u0045)" }]
        }] }
    }"#;
    let sidecar = json!({
        "name": "log", "image": "log:1", "shareVolumePolicy": { "type": "enabled" },
        "transferEnv": [{ "sourceContainerName": "app", "envName": "ONE" }],
        "volumeMounts": [{ "name": "own", "mountPath": "/b" }],
    });
    let (patch, after) = patched(text, &[set("a", &json!({ "containers": [sidecar] }))]);
    let log = &after["spec"]["containers"][0];
    assert_eq!(log["env"][1], json!({ "name": "ONE", "value": "a<b&c", "future": 1.5 }));
    assert_eq!(log["env"].as_array().map(Vec::len), Some(2), "not once more for the path: {log}");
    assert_eq!(log["volumeMounts"][1]["mountPath"], "/a");
    assert!(patch.contains(r#""value": "a\u003cb\u0026c", "future": 1.50"#), "{patch}");
    assert_eq!(after["metadata"]["annotations"]["a<b"], "&\u{2028}");
}

/// Null and absent are one; an empty list is one that is there.
#[test]
fn lists_may_be_null_or_empty() {
    let sidecar = json!({
        "name": "log", "image": "log:1", "env": null, "volumeMounts": [], "resources": {},
        "shareVolumePolicy": { "type": "enabled" }, "shareVolumeDevicePolicy": { "type": "enabled" },
    });
    let spec = json!({ "containers": [sidecar], "imagePullSecrets": [{ "name": "s" }] });
    let sets = [set("a", &spec)];
    let nulls = r#"{ "metadata": {}, "spec": {
        "automountServiceAccountToken": null, "initContainers": null, "volumes": null, "imagePullSecrets": null,
        "containers": [{ "name": "app", "env": null, "volumeMounts": null, "volumeDevices": null, "resources": null, "restartPolicy": null }]
    } }"#;
    let empties = r#"{ "metadata": { "annotations": null }, "spec": {
        "initContainers": [], "volumes": [], "imagePullSecrets": [],
        "containers": [{ "name": "app", "env": [], "volumeMounts": [], "volumeDevices": [], "resources": {} }]
    } }"#;
    for text in [nulls, empties] {
        let (_, after) = patched(text, &sets);
        let log = &after["spec"]["containers"][0];
        let mark = json!([{ "name": "IS_INJECTED", "value": "true" }]);
        assert_eq!((&log["name"], &log["env"]), (&json!("log"), &mark));
        assert_eq!((&log["volumeMounts"], &log["resources"]), (&json!([]), &json!({})));
        assert_eq!(log.get("volumeDevices"), None);
        assert_eq!(after["spec"]["imagePullSecrets"], json!([{ "name": "s" }]));
    }
    let (_, after) = patched("{}", &[set("a", &json!({}))]);
    assert!(after["metadata"]["annotations"].is_object(), "no metadata, no spec: {after}");
    let (_, after) = patched(r#"{ "spec": { "containers": null } }"#, &sets);
    assert_eq!(after["spec"]["containers"][0]["name"], "log");
}

/// What has no name is no reason to refuse a pod.
#[test]
fn names_may_be_missing() {
    let text = r#"{ "spec": {
        "containers": [{ "name": null, "volumeMounts": [{ "mountPath": "/a" }] }, { "env": [{ "value": "x" }, {}] }],
        "volumes": [{ "emptyDir": {} }, {}], "imagePullSecrets": [{}]
    } }"#;
    let sidecar = json!({
        "name": "log", "image": "log:1", "shareVolumePolicy": { "type": "enabled" },
        "volumeMounts": [{ "name": "v", "mountPath": "/v" }],
    });
    let volumes = json!([{ "name": "v", "emptyDir": {} }]);
    let sets = [set("a", &json!({ "containers": [sidecar], "volumes": volumes }))];
    let (_, after) = patched(text, &sets);
    assert_eq!(after["spec"]["containers"][0]["volumeMounts"][1], json!({ "mountPath": "/a" }));
    assert_eq!(after["spec"]["volumes"][2]["name"], "v");
}

/// The API server sends no such pod. Whoever does is told what is wrong, if any set is about the pod.
#[test]
fn what_is_no_pod_is_refused() {
    let sets = [set("a", &json!({ "containers": [{ "name": "log", "image": "log:1" }] }))];
    for (spec, why) in [
        (json!({ "containers": [[]] }), "expected an object"),
        (json!({ "containers": [null] }), "expected an object"),
        (json!({ "initContainers": "x" }), "expected a sequence"),
        (json!({ "containers": [{ "name": 7 }] }), "expected a string"),
        (json!({ "containers": [{ "env": [[]] }] }), "expected an object"),
        (json!({ "containers": [{ "volumeMounts": [{ "mountPath": {} }] }] }), "expected a string"),
        (json!({ "volumes": ["x"] }), "expected an object"),
    ] {
        let text = json!({ "spec": spec }).to_string();
        let refusal = injection(&text, &sets).unwrap_err();
        assert!(matches!(refusal, Refusal::Unreadable(_)), "{refusal}");
        let refusal = refusal.to_string();
        assert!(refusal.starts_with("pod: ") && refusal.contains(why), "{spec}: {refusal}");
        assert_eq!(injection(&text, &[]).unwrap(), Injection::default(), "no set is about it");
    }
    assert!(Incoming::read(r#"{ "metadata": null }"#).is_err());
}

/// The webhook server sets 640 bytes aside for an object of a body. Vectors grow to twice what is in them.
#[test]
fn what_is_read_of_an_object_is_no_larger_than_its_price() {
    assert!(2 * size_of::<Container<'_>>() <= 640);
    assert!(2 * size_of::<Item<'_>>() <= 640);
}
