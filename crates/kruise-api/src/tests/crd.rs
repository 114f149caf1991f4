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

#[test]
fn statefulset_crd_is_openkruise_s_but_for_conversion_and_descriptions() {
    let text = std::fs::read_to_string(folder().join("openkruise.statefulsets.yaml")).unwrap();
    let theirs: Value = serde_saphyr::from_str(&text).unwrap();
    let ours = serde_json::to_value(&all().unwrap()[0]).unwrap();
    let found = changes(&without_descriptions(theirs), &without_descriptions(ours));
    // The server converts by itself instead of calling a webhook (platform §18.2).
    assert_eq!(found, [r#"+ spec.conversion: {"strategy":"None"}"#]);
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
        assert!(text == golden, "{name} changed; accept with: ACCEPT=1 cargo test -p kruise-api crds_are");
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
