//! The CRDs against OpenKruise's own, and against a golden file for review.

use std::path::Path;

use serde_json::Value;

use crate::crd::all;
use crate::crd::diff::changes;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/crd")
}

fn without_descriptions(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            // A property may be named description; then it is an object.
            .filter(|(key, value)| key != "description" || value.is_object())
            .map(|(key, value)| (key, without_descriptions(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_descriptions).collect(),
        other => other,
    }
}

/// Our CRD of that name without descriptions.
fn ours(plural: &str) -> Value {
    let crds = all().unwrap();
    let crd = crds.iter().find(|crd| crd.spec.names.plural == plural).unwrap();
    without_descriptions(serde_json::to_value(crd).unwrap())
}

fn openkruises(plural: &str) -> Value {
    let path = folder().join(format!("openkruise.{plural}.yaml"));
    let text = std::fs::read_to_string(path).unwrap();
    without_descriptions(serde_saphyr::from_str(&text).unwrap())
}

/// Every deliberate difference from OpenKruise's schema, with its reason. Descriptions are not compared.
const DIFFERENCES: [&str; 2] = [
    // The server converts by itself instead of calling a webhook (platform §18.2).
    r#"+ spec.conversion: {"strategy":"None"}"#,
    // apps/v1's member is accepted instead of pruned silently (K-2, A-6).
    r#"+ spec.versions[v1beta1].schema.openAPIV3Schema.properties.spec.properties.minReadySeconds: {"format":"int32","type":"integer"}"#,
];

#[test]
fn statefulset_crd_is_openkruise_s_but_for_the_listed_differences() {
    assert_eq!(changes(&openkruises("statefulsets"), &ours("statefulsets")), DIFFERENCES);
}

/// The same for SidecarSets: both versions have one schema, or `None` would prune what only one of them knows.
/// Conditions are ours: what needs attention would not be seen otherwise.
const SIDECARSET_DIFFERENCES: [&str; 5] = [
    r#"+ spec.conversion: {"strategy":"None"}"#,
    r#"+ spec.versions[v1alpha1].schema.openAPIV3Schema.properties.spec.properties.customVersion: {"type":"string"}"#,
    r#"+ spec.versions[v1alpha1].schema.openAPIV3Schema.properties.status.properties.conditions: {"items":{"properties":{"lastTransitionTime":{"format":"date-time","type":"strin…"#,
    r#"+ spec.versions[v1beta1].schema.openAPIV3Schema.properties.spec.properties.namespace: {"type":"string"}"#,
    r#"+ spec.versions[v1beta1].schema.openAPIV3Schema.properties.status.properties.conditions: {"items":{"properties":{"lastTransitionTime":{"format":"date-time","type":"strin…"#,
];

#[test]
fn sidecarset_crd_is_openkruise_s_but_for_the_listed_differences() {
    let found = changes(&openkruises("sidecarsets"), &ours("sidecarsets"));
    assert_eq!(found, SIDECARSET_DIFFERENCES);
}

/// API-2…API-5 and the danger of platform §18.2: a version that does not know `namespace` would prune it, and a set for one
/// namespace would reach all.
#[test]
fn sidecarset_versions_differ_in_nothing_that_could_be_pruned() {
    let crd = ours("sidecarsets");
    assert_eq!(crd["spec"]["scope"], "Cluster");
    let [older, newer] = &crd["spec"]["versions"].as_array().unwrap()[..] else { panic!() };
    assert_eq!((&older["name"], &older["storage"]), (&"v1alpha1".into(), &false.into()));
    assert_eq!((&newer["name"], &newer["storage"]), (&"v1beta1".into(), &true.into()));
    assert_eq!(older["schema"], newer["schema"]);
    let members = &newer["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    for member in ["namespace", "namespaceSelector", "customVersion"] {
        assert!(members.get(member).is_some(), "{member}");
    }
}

/// Members that OpenKruise's BroadcastJob does not have, in both versions so that no write through one loses them.
const OUR_JOB_MEMBERS: [&str; 16] = [
    "spec.properties.completionPolicy.properties.completeWithoutNodes",
    "spec.properties.completionPolicy.properties.stopClockWhilePaused",
    "spec.properties.failurePolicy.properties.maxFailedNodes",
    "spec.properties.failurePolicy.properties.retry",
    "spec.properties.failurePolicy.properties.rules",
    "spec.properties.rollout",
    "spec.properties.unfitPods",
    "status.properties.failedNodes",
    "status.properties.failures",
    "status.properties.lastFinishTime",
    "status.properties.nodes",
    "status.properties.observedGeneration",
    "status.properties.pausedSeconds",
    "status.properties.pausedSince",
    "status.properties.results",
    "status.properties.unfinished",
];

#[test]
fn broadcastjob_crd_is_openkruise_s_but_for_our_members() {
    let mut expected = vec!["+ spec.conversion".to_owned()];
    for version in ["v1alpha1", "v1beta1"] {
        let path = format!("+ spec.versions[{version}].schema.openAPIV3Schema.properties");
        expected.extend(OUR_JOB_MEMBERS.map(|member| format!("{path}.{member}")));
    }
    let found = changes(&openkruises("broadcastjobs"), &ours("broadcastjobs"));
    let paths: Vec<&str> = found.iter().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(paths, expected);
}

#[test]
fn both_versions_of_the_broadcastjob_are_the_same() {
    let crd = ours("broadcastjobs");
    let versions = crd["spec"]["versions"].as_array().unwrap();
    let shape = |version: &Value| {
        let mut shape = without_descriptions(version.clone());
        for member in ["name", "storage"] {
            shape.as_object_mut().unwrap().remove(member);
        }
        shape
    };
    assert_eq!(shape(&versions[0]), shape(&versions[1]));
    assert_eq!(crd["spec"]["names"]["shortNames"], serde_json::json!(["bcj"]));
    assert_eq!(versions[0]["subresources"], serde_json::json!({"status": {}}));
}

/// What A-1…A-5 say, independent of any file.
#[test]
fn statefulset_crd_has_the_names_and_paths_that_users_rely_on() {
    let crd = serde_json::to_value(&all().unwrap()[0]).unwrap();
    let names = serde_json::json!({
        "kind": "StatefulSet", "listKind": "StatefulSetList", "plural": "statefulsets",
        "singular": "statefulset", "shortNames": ["sts", "asts"],
    });
    assert_eq!(crd["spec"]["names"], names);
    let versions = crd["spec"]["versions"].as_array().unwrap();
    let flags: Vec<_> = versions
        .iter()
        .map(|version| (version["name"].as_str().unwrap(), &version["served"], &version["storage"]))
        .map(|(name, served, storage)| {
            (name, served.as_bool().unwrap(), storage.as_bool().unwrap())
        })
        .collect();
    assert_eq!(flags, [("v1alpha1", true, false), ("v1beta1", true, true)]);
    for version in versions {
        let scale = serde_json::json!({
            "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.labelSelector",
        });
        assert_eq!(version["subresources"], serde_json::json!({"scale": scale, "status": {}}));
        let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
        assert_eq!(spec["required"], serde_json::json!(["selector", "template"]));
        let opaque = serde_json::json!({"x-kubernetes-preserve-unknown-fields": true});
        for member in ["template", "volumeClaimTemplates"] {
            assert_eq!(without_descriptions(spec["properties"][member].clone()), opaque);
        }
    }
    let text = crd.to_string();
    for forbidden in ["\"enum\"", "\"minimum\"", "\"default\"", "\"nullable\""] {
        assert!(!text.contains(forbidden), "{forbidden} in the schema");
    }
}

#[test]
fn crds_are_as_reviewed() {
    for crd in all().unwrap() {
        let name = crd.metadata.name.clone().unwrap();
        let path = folder().join(format!("{name}.yaml"));
        let text = serde_saphyr::to_string(&crd).unwrap();
        if std::env::var_os("ACCEPT").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            text == golden,
            "{name} changed; accept with: ACCEPT=1 cargo test -p kruise-api crds_are"
        );
    }
}

#[test]
fn a_difference_is_named_with_both_values() {
    let live = serde_json::json!({"spec": {"a": 1, "b": [{"name": "x", "v": true}], "gone": 2}});
    let wanted = serde_json::json!({"spec": {"a": 2, "b": [{"name": "x", "v": false}], "new": {}}});
    assert_eq!(
        changes(&live, &wanted),
        ["~ spec.a: 1 → 2", "~ spec.b[x].v: true → false", "- spec.gone: 2", "+ spec.new: {}"]
    );
}
