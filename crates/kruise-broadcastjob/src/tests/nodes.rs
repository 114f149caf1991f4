use kruise_common::node::WireNode;
use serde_json::{Value, json};

use super::facts::{node, read};
use crate::nodes::{Requirements, Unfit};

fn of(spec: &Value) -> Requirements {
    Requirements::of(&json!({ "spec": spec })).unwrap()
}

fn why(spec: &Value, change: &Value) -> Option<Unfit> {
    of(spec).fits(&read::<WireNode>(&node("a", change))).err()
}

fn stays(spec: &Value, change: &Value, by_name: bool) -> Option<Unfit> {
    of(spec).stays(&read::<WireNode>(&node("a", change)), by_name).err()
}

fn labelled(labels: &Value) -> Value {
    json!({ "metadata": { "labels": labels } })
}

fn tainted(key: &str, value: &str, effect: &str) -> Value {
    json!({ "spec": { "taints": [{ "key": key, "value": value, "effect": effect }] } })
}

#[test]
fn without_wishes_any_node_fits() {
    assert_eq!(why(&json!({}), &json!({})), None);
    assert_eq!(Requirements::of(&json!({})).unwrap(), Requirements::default());
}

/// W12: OpenKruise ignores it and then sends all pods to one node.
#[test]
fn a_node_name_is_a_filter() {
    assert_eq!(why(&json!({ "nodeName": "a" }), &json!({})), None);
    assert_eq!(why(&json!({ "nodeName": "b" }), &json!({})), Some(Unfit::Name));
}

#[test]
fn selector_and_required_affinity_must_both_match() {
    let selector = json!({ "nodeSelector": { "os": "linux" } });
    assert_eq!(why(&selector, &labelled(&json!({ "os": "linux" }))), None);
    assert_eq!(why(&selector, &json!({})), Some(Unfit::Affinity));
    let affinity = |terms: Value| {
        json!({ "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms },
            "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "preference": {
                "matchExpressions": [{ "key": "never", "operator": "Exists" }],
            } }],
        } } })
    };
    let expression = |operator: &str, values: Value| {
        affinity(
            json!([{ "matchExpressions": [{ "key": "n", "operator": operator, "values": values }] }]),
        )
    };
    for (operator, values, label, fits) in [
        ("In", json!(["1", "2"]), Some("2"), true),
        ("In", json!(["1"]), None, false),
        ("NotIn", json!(["1"]), Some("2"), true),
        ("NotIn", json!(["1"]), None, true),
        ("NotIn", json!(["1"]), Some("1"), false),
        ("Exists", json!([]), Some(""), true),
        ("Exists", json!([]), None, false),
        ("DoesNotExist", json!([]), None, true),
        ("DoesNotExist", json!([]), Some("1"), false),
        ("Gt", json!(["5"]), Some("6"), true),
        ("Gt", json!(["5"]), Some("5"), false),
        ("Gt", json!(["5"]), Some("x"), false),
        ("Lt", json!(["5"]), Some("-6"), true),
        ("Lt", json!(["5", "6"]), Some("4"), false),
        ("Near", json!(["5"]), Some("5"), false),
    ] {
        let labels = label.map_or(json!({}), |label| labelled(&json!({ "n": label })));
        let found = why(&expression(operator, values.clone()), &labels);
        assert_eq!(found.is_none(), fits, "{operator} {values} of {label:?}");
    }
    let by_name = |operator: &str, name: &str| {
        affinity(
            json!([{ "matchFields": [{ "key": "metadata.name", "operator": operator, "values": [name] }] }]),
        )
    };
    assert_eq!(why(&by_name("In", "a"), &json!({})), None);
    assert_eq!(why(&by_name("In", "b"), &json!({})), Some(Unfit::Affinity));
    assert_eq!(why(&by_name("NotIn", "b"), &json!({})), None);
    // One term is enough; none, or one that says nothing, never matches.
    let two = json!([{ "matchExpressions": [{ "key": "n", "operator": "Exists" }] },
        { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["a"] }] }]);
    assert_eq!(why(&affinity(two), &json!({})), None);
    assert_eq!(why(&affinity(json!([])), &json!({})), Some(Unfit::Affinity));
    assert_eq!(why(&affinity(json!([{}])), &json!({})), Some(Unfit::Affinity));
}

/// R4, and that nothing is tolerated by itself.
#[test]
fn taints_have_to_be_tolerated() {
    let tolerating = |tolerations: Value| json!({ "tolerations": tolerations });
    for (toleration, effect, fits) in [
        (
            json!({ "key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule" }),
            "NoSchedule",
            true,
        ),
        (json!({ "key": "k", "value": "v" }), "NoExecute", true),
        (json!({ "key": "k", "value": "other" }), "NoSchedule", false),
        (json!({ "key": "k", "operator": "Exists" }), "NoSchedule", true),
        (json!({ "operator": "Exists" }), "NoExecute", true),
        (json!({ "operator": "Exists", "effect": "NoSchedule" }), "NoExecute", false),
        (json!({ "value": "v" }), "NoSchedule", false),
        (json!({ "key": "k", "operator": "Near", "value": "v" }), "NoSchedule", false),
    ] {
        let found = why(&tolerating(json!([toleration])), &tainted("k", "v", effect));
        assert_eq!(found.is_none(), fits, "{toleration}");
    }
    assert_eq!(why(&json!({}), &tainted("k", "", "PreferNoSchedule")), None);
    let refused = why(&json!({}), &tainted("k", "v", "NoSchedule")).unwrap();
    assert_eq!(
        refused.to_string(),
        "node(s) had taint {k=v:NoSchedule}, that the pod didn't tolerate"
    );
}

#[test]
fn a_cordoned_node_wants_its_own_toleration() {
    let cordoned = json!({ "spec": { "unschedulable": true } });
    let tolerating = |key: &str| json!({ "tolerations": [{ "key": key, "operator": "Exists" }] });
    assert_eq!(why(&json!({}), &cordoned), Some(Unfit::Cordoned));
    assert_eq!(why(&tolerating("node.kubernetes.io/unschedulable"), &cordoned), None);
    assert_eq!(why(&tolerating("other"), &cordoned), Some(Unfit::Cordoned));
    let tainted = tainted("node.kubernetes.io/unschedulable", "", "NoSchedule");
    assert_eq!(why(&json!({}), &tainted), Some(Unfit::Cordoned));
    assert_eq!(why(&json!({ "tolerations": [{ "operator": "Exists" }] }), &cordoned), None);
}

#[test]
fn resources_must_fit_the_empty_node() {
    let container = |requests: Value| json!({ "name": "c", "resources": { "requests": requests } });
    let lacks = |resource: &str| Some(Unfit::Resource { resource: resource.to_owned() });
    let with = |containers: Value, inits: Value| json!({ "containers": containers, "initContainers": inits });
    let two = with(
        json!([container(json!({ "cpu": "2" })), container(json!({ "cpu": "2" }))]),
        json!([]),
    );
    assert_eq!(why(&two, &json!({})), None, "exactly all of it");
    let more = with(
        json!([container(json!({ "cpu": "2" })), container(json!({ "cpu": "2001m" }))]),
        json!([]),
    );
    assert_eq!(why(&more, &json!({})), lacks("cpu"));
    // An init container runs alone, or beside the sidecars that started before it.
    let sidecar = json!({ "name": "s", "restartPolicy": "Always", "resources": { "requests": { "cpu": "1" } } });
    let init = container(json!({ "cpu": "3500m" }));
    assert_eq!(why(&with(json!([]), json!([init, sidecar])), &json!({})), None);
    assert_eq!(why(&with(json!([]), json!([sidecar, init])), &json!({})), lacks("cpu"));
    // A limit is a request where there is none (W6); the overhead comes on top.
    let limited =
        json!({ "containers": [{ "name": "c", "resources": { "limits": { "cpu": "5" } } }] });
    assert_eq!(why(&limited, &json!({})), lacks("cpu"));
    let overhead =
        json!({ "containers": [container(json!({ "cpu": "4" }))], "overhead": { "cpu": "1m" } });
    assert_eq!(why(&overhead, &json!({})), lacks("cpu"));
    // A resource that the node does not have; nothing of it is no request.
    assert_eq!(
        why(&with(json!([container(json!({ "gpu": "1" }))]), json!([])), &json!({})),
        lacks("gpu")
    );
    assert_eq!(why(&with(json!([container(json!({ "gpu": "0" }))]), json!([])), &json!({})), None);
    // A node that has just registered.
    let fresh = json!({ "status": { "allocatable": null } });
    assert_eq!(why(&json!({}), &fresh), lacks("pods"));
    assert_eq!(lacks("pods").unwrap().to_string(), "Too many pods");
    assert_eq!(lacks("cpu").unwrap().to_string(), "Insufficient cpu");
}

/// W5: what is there may stay longer than what is new may come.
#[test]
fn only_eviction_and_a_selector_drive_a_pod_out() {
    let selector = json!({ "nodeSelector": { "os": "linux" } });
    assert_eq!(stays(&selector, &json!({}), false), Some(Unfit::Affinity));
    assert_eq!(stays(&json!({}), &json!({ "spec": { "unschedulable": true } }), false), None);
    assert_eq!(stays(&json!({}), &tainted("k", "", "NoSchedule"), false), None);
    assert!(stays(&json!({}), &tainted("k", "", "NoExecute"), false).is_some());
    assert_eq!(
        stays(&json!({}), &tainted("node.kubernetes.io/not-ready", "", "NoExecute"), false),
        None
    );
    assert_eq!(
        stays(&json!({}), &tainted("node.kubernetes.io/unreachable", "", "NoExecute"), false),
        None
    );
    let required = json!({ "affinity": { "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{
            "matchExpressions": [{ "key": "n", "operator": "Exists" }],
        }] },
    } } });
    assert_eq!(
        stays(&required, &json!({}), false),
        None,
        "the pod has another affinity now (11.2)"
    );
    assert_eq!(stays(&required, &json!({}), true), Some(Unfit::Affinity));
}

#[test]
fn what_cannot_be_read_is_said_and_what_is_newer_is_ignored() {
    let problem = Requirements::of(&json!({ "spec": { "tolerations": "x" } })).unwrap_err();
    assert!(problem.contains("invalid type"), "{problem}");
    let cpu =
        json!({ "containers": [{ "name": "c", "resources": { "requests": { "cpu": "lots" } } }] });
    assert_eq!(
        Requirements::of(&json!({ "spec": cpu })).unwrap_err(),
        "cpu: \"lots\" is not a quantity such as 500m, 1.5 or 2Gi"
    );
    let newer = json!({ "newField": [1], "containers": [{ "name": "c", "newer": {} }] });
    assert_eq!(why(&newer, &json!({})), None);
}
