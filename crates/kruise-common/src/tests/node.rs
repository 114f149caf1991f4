use serde_json::{Value, json};

use crate::intern::Interner;
use crate::node::{Node, WireNode};
use crate::table::Wire;

fn node(change: &Value) -> Node {
    let mut node = json!({
        "metadata": { "name": "a", "uid": "u", "resourceVersion": "1", "labels": { "zone": "x" } },
        "spec": { "taints": [{ "key": "k", "effect": "NoSchedule", "timeAdded": null }] },
        "status": { "allocatable": { "cpu": "4", "pods": "110" }, "conditions": [{ "type": "Ready" }] },
    });
    json_patch::merge(&mut node, change);
    let wire: WireNode = serde_json::from_str(&node.to_string()).unwrap();
    wire.into_record(&Interner::default())
}

#[test]
fn what_decides_about_pods_is_kept() {
    let node = node(&json!({}));
    assert_eq!((node.name(), &*node.meta.key.namespace), ("a", ""));
    assert_eq!(node.meta.labels.get("zone"), Some("x"));
    let [taint] = &node.taints[..] else { panic!("one taint") };
    assert_eq!((&*taint.key, &*taint.value, &*taint.effect), ("k", "", "NoSchedule"));
    assert_eq!((node.unschedulable, node.allocatable.get("cpu")), (false, Some("4")));
}

#[test]
fn absent_and_null_members_are_nothing() {
    let bare = node(&json!({ "spec": null, "status": null }));
    // A merge patch takes null away; an API server may send it.
    assert!(bare.taints.is_empty() && bare.allocatable.is_empty());
    let nulls = r#"{"metadata":{"name":"a"},"spec":{"taints":null,"unschedulable":null},"status":{"allocatable":null}}"#;
    let wire: WireNode = serde_json::from_str(nulls).unwrap();
    assert!(wire.into_record(&Interner::default()).taints.is_empty());
}

#[test]
fn heartbeats_are_no_difference_and_everything_else_is() {
    let before = node(&json!({}));
    let beat = json!({ "metadata": { "resourceVersion": "2" }, "status": { "conditions": [] } });
    assert!(!before.differs(&node(&beat)));
    for change in [
        json!({ "metadata": { "uid": "other" } }),
        json!({ "metadata": { "labels": { "zone": "y" } } }),
        json!({ "spec": { "taints": [] } }),
        json!({ "spec": { "unschedulable": true } }),
        json!({ "status": { "allocatable": { "cpu": "3" } } }),
    ] {
        assert!(before.differs(&node(&change)), "{change}");
    }
}
