//! Captured StatefulSets go through our types and come out the same.

use std::path::Path;

use serde_json::Value;

use crate::raw::RawJson;
use crate::statefulset::{v1alpha1, v1beta1};

/// `null` and absent are the same to a reader; Go writes some nulls that we leave out.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

pub(super) fn same<T: serde::de::DeserializeOwned + serde::Serialize>(value: &Value, file: &str) {
    let typed: T = serde_json::from_value(value.clone()).unwrap();
    let back = serde_json::to_value(&typed).unwrap();
    assert_eq!(without_nulls(back), without_nulls(value.clone()), "{file}");
}

#[test]
fn captured_sets_survive_our_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/captured");
    let mut checked = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let object: Value = serde_json::from_str(&text).unwrap();
        if object["apiVersion"] == "apps.kruise.io/v1alpha1" {
            same::<v1alpha1::StatefulSetSpec>(&object["spec"], &name);
            same::<v1alpha1::StatefulSetStatus>(&object["status"], &name);
        } else {
            same::<v1beta1::StatefulSetSpec>(&object["spec"], &name);
            same::<v1beta1::StatefulSetStatus>(&object["status"], &name);
        }
        checked += 1;
    }
    assert!(checked >= 16, "only {checked} objects");
}

#[test]
fn a_template_keeps_its_bytes() {
    let text = r#"{"selector":{},"template":{ "spec" : {"new":1.50,"z":"<&>","a":[]} }}"#;
    let spec: v1beta1::StatefulSetSpec = serde_json::from_str(text).unwrap();
    assert_eq!(spec.template.get(), r#"{ "spec" : {"new":1.50,"z":"<&>","a":[]} }"#);
    assert!(serde_json::to_string(&spec).unwrap().contains(spec.template.get()));
}

#[test]
fn an_object_without_anything_can_be_read() {
    let spec: v1beta1::StatefulSetSpec = serde_json::from_str("{}").unwrap();
    assert_eq!(spec.replicas, None);
    assert_eq!(spec.template, RawJson::default());
    let status: v1beta1::StatefulSetStatus = serde_json::from_str("{}").unwrap();
    assert_eq!(status, v1beta1::StatefulSetStatus::default());
}
