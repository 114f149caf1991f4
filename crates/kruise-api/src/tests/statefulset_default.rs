//! Manifests become what OpenKruise v1.9 stored of them (`tests/golden/manifests` against `tests/golden/captured`).

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::shared::quantity::Quantity;
use crate::statefulset::default::{DefaultingGates, default_object};
use crate::tests::statefulset::without_nulls;

/// Manifest, name of the set and the version in which it was applied.
const SETS: [(&str, &str, &str); 4] = [
    ("sts-min", "min", "v1beta1"),
    ("sts-inplace", "web", "v1beta1"),
    ("sts-lifecycle", "hooked", "v1beta1"),
    ("sts-plain-v1alpha1", "old", "v1alpha1"),
];

pub(super) fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path);
    std::fs::read_to_string(&path).unwrap()
}

pub(super) fn manifest(name: &str) -> Value {
    serde_saphyr::from_str(&read(&format!("manifests/{name}.yaml"))).unwrap()
}

/// As Go's types write it, whatever was given: without nulls, without empty members that are no pointers in Go, and with
/// quantities in their canonical spelling. None of that is defaulting.
pub(super) fn as_go_writes(value: Value) -> Value {
    let empty = |name: &str, value: &Value| match name {
        "resources" | "volumeClaimUpdateStrategy" => *value == json!({}),
        "serviceName" | "value" => value == "",
        "paused" => *value == json!(false),
        _ => false,
    };
    match without_nulls(value) {
        Value::Object(members) => members
            .into_iter()
            .filter(|(name, value)| !empty(name, value))
            .map(|(name, value)| match (name.as_str(), value) {
                ("limits" | "requests", Value::Object(list)) => (name, canonical(list)),
                (_, value) => (name, as_go_writes(value)),
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(as_go_writes).collect(),
        other => other,
    }
}

fn canonical(list: Map<String, Value>) -> Value {
    let spell = |value: Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        json!(Quantity::parse(&text).unwrap().to_string())
    };
    list.into_iter().map(|(name, value)| (name, spell(value))).collect()
}

#[test]
fn every_manifest_is_completed_to_what_openkruise_stored() {
    let all = DefaultingGates {
        auto_delete_claims: true,
        resize_claims: true,
        template_no_defaults: false,
        default_host_ports: true,
    };
    for (folder, gates) in
        [("captured", all), ("captured-default-gates", DefaultingGates::default())]
    {
        for (file, set, version) in SETS {
            let mut object = manifest(file);
            assert!(default_object(&mut object, None, &gates), "{file} is incomplete");
            let stored =
                read(&format!("captured/{folder}.1-created.statefulsets.{version}.{set}.json"));
            let stored: Value = serde_json::from_str(&stored).unwrap();
            assert_eq!(
                as_go_writes(object["spec"].clone()),
                as_go_writes(stored["spec"].clone()),
                "{folder}/{file}"
            );
            assert!(!default_object(&mut object, None, &gates), "{file}: twice changes nothing");
        }
    }
}

/// D-8, gate TemplateNoDefaults.
#[test]
fn with_the_gate_templates_stay_as_they_are_written() {
    let gates = DefaultingGates { template_no_defaults: true, ..DefaultingGates::default() };
    let before = manifest("sts-lifecycle");
    let mut object = before.clone();
    assert!(default_object(&mut object, None, &gates), "the rest is filled");
    for member in ["template", "volumeClaimTemplates"] {
        assert_eq!(object["spec"][member], before["spec"][member], "{member}");
    }
    assert_eq!(object["spec"]["revisionHistoryLimit"], 10);
}

#[test]
fn a_stored_template_is_left_alone_while_it_does_not_change() {
    let old = manifest("sts-min");
    let mut object = old.clone();
    object["spec"]["replicas"] = json!(3);
    default_object(&mut object, Some(&old), &DefaultingGates::default());
    assert_eq!(object["spec"]["template"], old["spec"]["template"]);
}

#[test]
fn minimum_ready_seconds_one_level_up_are_not_overruled() {
    let mut object =
        json!({ "apiVersion": "apps.kruise.io/v1beta1", "spec": { "minReadySeconds": 5 } });
    default_object(&mut object, None, &DefaultingGates::default());
    let rolling = &object["spec"]["updateStrategy"]["rollingUpdate"];
    assert_eq!(rolling.get("minReadySeconds"), None);
    assert_eq!(rolling["maxUnavailable"], 1);
}

#[test]
fn nonsense_is_not_touched_and_does_not_panic() {
    for spec in [json!(1), json!(null), json!({ "updateStrategy": 1, "volumeClaimTemplates": "x" })]
    {
        let mut object = json!({ "spec": spec });
        default_object(&mut object, None, &DefaultingGates::default());
        assert_eq!(object["spec"].get("updateStrategy"), spec.get("updateStrategy"));
    }
}
