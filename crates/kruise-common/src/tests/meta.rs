//! Metadata: what is kept of it, and how labels are found.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use crate::intern::Interner;
use crate::meta::{Meta, Pairs, lean_meta};

#[derive(Deserialize)]
struct Object {
    #[serde(deserialize_with = "lean_meta", default)]
    metadata: ObjectMeta,
}

fn read(metadata: &serde_json::Value) -> Meta {
    let object: Object = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
    assert_eq!(object.metadata.managed_fields, None);
    Meta::new(&object.metadata, &Interner::default())
}

#[test]
fn everything_that_is_looked_at_is_kept() {
    let meta = read(&json!({
        "name": "web-0", "namespace": "ns", "uid": "u", "resourceVersion": "42", "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-01T00:00:30Z",
        "labels": {"b": "2", "a": "1"}, "finalizers": ["f", "e"], "managedFields": [{"x": 1}],
        "generateName": "web-", "selfLink": 7,
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "n1"},
            {"apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": "s",
             "controller": true, "blockOwnerDeletion": true},
        ],
    }));
    assert_eq!(
        (meta.key.to_string().as_str(), &*meta.uid, meta.version()),
        ("ns/web-0", "u", Some(42))
    );
    assert_eq!((meta.generation, meta.terminating()), (3, true));
    let seconds = meta.deleted.unwrap().timestamp().as_second()
        - meta.created.unwrap().timestamp().as_second();
    assert_eq!(seconds, 30);
    assert_eq!(meta.labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    assert_eq!(meta.finalizers.iter().map(|text| &**text).collect::<Vec<_>>(), ["f", "e"]);
    let owner = meta.controller().unwrap();
    assert_eq!(
        (&*owner.group, &*owner.kind, &*owner.name, &*owner.uid),
        ("apps.kruise.io", "StatefulSet", "web", "s")
    );
    assert_eq!((&*meta.owners[0].group, meta.owners[0].controller), ("", false));
}

#[test]
fn absent_and_null_members_are_nothing() {
    let nulls = json!({
        "name": null, "namespace": null, "uid": null, "resourceVersion": null, "generation": null,
        "creationTimestamp": null, "deletionTimestamp": null, "labels": null, "annotations": null,
        "ownerReferences": null, "finalizers": null,
    });
    assert_eq!(read(&nulls), read(&json!({})));
    let meta = read(&json!({}));
    assert_eq!((meta.version(), meta.terminating(), meta.generation), (None, false, 0));
    assert!(meta.controller().is_none() && meta.labels.is_empty());
    let none: Object = serde_json::from_str("{}").unwrap();
    assert_eq!(Meta::new(&none.metadata, &Interner::default()), meta);
}

fn map() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[a-c./]{0,3}", "[a-c]{0,2}", 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pairs_are_a_map(map in map(), asked in "[a-c./]{0,3}") {
        let interner = Interner::default();
        let pairs = Pairs::interned(&map, &interner);
        prop_assert_eq!(pairs.get(&asked), map.get(&asked).map(String::as_str));
        prop_assert_eq!(pairs.is_empty(), map.is_empty());
        prop_assert_eq!(&pairs.to_map(), &map);
        for (key, value) in &map {
            prop_assert_eq!(pairs.get(key), Some(value.as_str()));
        }
        let keep = |key: &str| key.contains('a');
        let kept: BTreeMap<_, _> = map.clone().into_iter().filter(|(key, _)| keep(key)).collect();
        prop_assert_eq!(Pairs::kept(&map, &interner, keep).to_map(), kept);
    }
}
