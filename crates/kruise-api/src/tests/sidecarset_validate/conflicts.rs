use serde_json::{Value, json};

use super::{Set, container, said, spec};
use crate::sidecarset::validate::Surroundings;

fn hot(name: &str) -> Value {
    container(&json!({
        "name": name, "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1" },
    }))
}

/// What is said about a set beside another one.
fn beside(new: &Value, other: &Value) -> Vec<String> {
    let other = Set::new("other", &json!({}), &spec(other));
    let mut around = Surroundings { others: vec![other.candidate()], ..Surroundings::default() };
    around.whitelist.allowed_by_default = true;
    said(&Set::new("new", &json!({}), &spec(new)), None, &around)
}

/// VAL-71, VAL-72, and across lists and twins (W-35).
#[test]
fn names_of_containers() {
    let named = |name: &str| container(&json!({ "name": name }));
    let clash = |name: &str, sidecar: &str| {
        vec![format!(
            "spec.containers: Invalid value: {sidecar:?}: container {name} already exist in other"
        )]
    };
    let one = json!({ "containers": [named("a")] });
    assert_eq!(beside(&one, &json!({ "containers": [named("b")] })), [] as [&str; 0]);
    assert_eq!(beside(&one, &one), clash("a", "a"));
    let init = json!({ "containers": [named("c")], "initContainers": [named("a")] });
    assert_eq!(beside(&init, &one), clash("a", "a"));
    assert_eq!(
        beside(&json!({ "containers": [hot("m")] }), &json!({ "containers": [named("m-2")] })),
        clash("m-2", "m")
    );
    // Not the same pods.
    let elsewhere =
        json!({ "containers": [named("a")], "selector": { "matchLabels": { "app": "db" } } });
    assert_eq!(beside(&one, &elsewhere), [] as [&str; 0]);
    let shop = json!({ "containers": [named("a")], "namespace": "shop" });
    let prod = json!({ "containers": [named("a")], "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "prod" } } });
    assert_eq!(beside(&shop, &prod), [] as [&str; 0]);
    assert_eq!(beside(&shop, &one), clash("a", "a"));
}

/// VAL-73, VAL-74.
#[test]
fn volumes_and_annotations() {
    let with = |name: &str, more: Value| {
        let mut spec = json!({ "containers": [container(&json!({ "name": name }))] });
        super::merge(&mut spec, &more);
        spec
    };
    let volume = |source: Value| json!({ "volumes": [{ "name": "v", "hostPath": source }] });
    let (x, y) = (json!({ "path": "/x" }), json!({ "path": "/y" }));
    assert_eq!(
        beside(&with("a", volume(x.clone())), &with("b", volume(x.clone()))),
        [] as [&str; 0]
    );
    assert_eq!(
        beside(&with("a", volume(x)), &with("b", volume(y))),
        ["spec.volumes: Invalid value: \"v\": volume v is in conflict with sidecarset other"]
    );
    let patch = |policy: &str| json!({ "patchPodMetadata": [{ "annotations": { "k": "{}" }, "patchPolicy": policy }] });
    let both = |a: &str, b: &str| beside(&with("a", patch(a)), &with("b", patch(b)));
    for (a, b) in [
        ("Retain", "Overwrite"),
        ("Overwrite", "Retain"),
        ("MergePatchJson", "MergePatchJson"),
        ("Retain", "Retain"),
    ] {
        assert_eq!(both(a, b), [] as [&str; 0], "{a} {b}");
    }
    for (a, b) in [
        ("Overwrite", "Overwrite"),
        ("Overwrite", "MergePatchJson"),
        ("MergePatchJson", "Overwrite"),
    ] {
        let expected = [
            "spec.patchPodMetadata: Invalid value: \"k\": annotation k is in conflict with sidecarset other",
        ];
        assert_eq!(both(a, b), expected, "{a} {b}");
    }
}

/// VAL-70; the vectors of §29.2, and the one that OpenKruise gets wrong (W-36).
#[test]
fn overlaps() {
    let labels = |key: &str, value: &str| json!({ "matchLabels": { key: value } });
    let expression = |key: &str, operator: &str, values: &[&str]| {
        let values = if values.is_empty() { Value::Null } else { json!(values) };
        json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] })
    };
    for (a, b, overlap) in [
        (labels("a", "1"), labels("a", "2"), false),
        (labels("a", "1"), labels("b", "1"), true),
        (expression("a", "In", &["1", "2"]), labels("a", "3"), false),
        (expression("a", "Exists", &[]), labels("a", "3"), true),
        (expression("a", "NotIn", &["1"]), labels("a", "1"), false),
        (expression("a", "DoesNotExist", &[]), labels("a", "1"), false),
        (expression("a", "NotIn", &["1"]), expression("a", "In", &["1", "2"]), true),
        (expression("a", "NotIn", &["1"]), expression("a", "DoesNotExist", &[]), true),
        (labels("b", "1"), expression("a", "Exists", &[]), true),
    ] {
        let of = |selector: &Value| {
            let mut spec = spec(&json!({}));
            spec["selector"] = selector.clone();
            Set::new("x", &json!({}), &spec)
        };
        for (a, b) in [(&a, &b), (&b, &a)] {
            let other = of(b);
            let around = Surroundings {
                others: vec![Set::candidate(&other)]
                    .into_iter()
                    .map(|c| crate::sidecarset::validate::Candidate { name: "y", ..c })
                    .collect(),
                ..Surroundings::default()
            };
            assert_eq!(said(&of(a), None, &around).len(), usize::from(overlap), "{a} {b}");
        }
    }
}

/// VAL-70, W-35: a canary and its base never meet, whichever is written.
#[test]
fn a_canary_and_its_base_share_names() {
    let still = spec(&json!({ "updateStrategy": { "type": "NotUpdate" } }));
    let marks = json!({ "apps.kruise.io/sidecarset-canary": "true", "apps.kruise.io/sidecarset-base": "base" });
    let (base, canary) = (Set::new("base", &json!({}), &still), Set::new("canary", &marks, &still));
    for (set, other) in [(&canary, &base), (&base, &canary)] {
        let around = Surroundings { others: vec![other.candidate()], ..Surroundings::default() };
        assert_eq!(said(set, None, &around), [] as [&str; 0]);
    }
}

/// Sets that OpenKruise admitted beside each other stay changeable.
#[test]
fn an_old_conflict_does_not_forbid_a_change() {
    let other = Set::new("other", &json!({}), &spec(&json!({})));
    let around = Surroundings { others: vec![other.candidate()], ..Surroundings::default() };
    let old = Set::new("new", &json!({}), &spec(&json!({})));
    let changed = spec(&json!({ "containers": [container(&json!({ "image": "agent:2" }))] }));
    assert_eq!(said(&Set::new("new", &json!({}), &changed), Some(&old), &around), [] as [&str; 0]);
    assert_eq!(said(&old, None, &around).len(), 1);
}
