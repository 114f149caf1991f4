//! Which sets a change concerns (section 16).

use std::sync::Arc;

use kruise_common::intern::Interner;
use kruise_common::pod::Pod;
use kruise_common::table::{Change, Table, Wire};
use serde_json::{Value, json};

use super::support::{pod, running, set};
use crate::namespace::{Namespace, WireNamespace};
use crate::registration::Unasked;
use crate::watch;

fn names(keys: &[kruise_common::key::ObjectKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

fn change(old: Option<Arc<Pod>>, new: Option<Arc<Pod>>) -> Vec<String> {
    names(&watch::pod(&Table::default(), &Unasked::default(), &Change { old, new }))
}

fn with(path: &str, value: Value) -> Value {
    let mut object = running();
    let (parent, name) = path.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value;
    object
}

#[test]
fn a_pod_concerns_the_sets_that_injected_into_it_before_or_now() {
    let list = |list: &str| {
        let mut object = running();
        object["metadata"]["annotations"]["kruise.io/sidecarset-injected-list"] = json!(list);
        pod(&object)
    };
    assert_eq!(change(None, Some(list("b,a"))), ["a", "b"]);
    assert_eq!(change(Some(list("a")), Some(list("c"))), ["a", "c"]);
    assert_eq!(change(Some(list("a")), None), ["a"], "W-16");
    assert!(change(None, Some(list(""))).is_empty());
}

#[test]
fn what_no_set_looks_at_concerns_nobody() {
    let base = || Some(pod(&running()));
    let changed = |object: &Value| !change(base(), Some(pod(object))).is_empty();
    assert!(!changed(&with("/metadata/resourceVersion", json!("8"))));
    assert!(!changed(&with("/spec/nodeName", json!("other"))));
    let scheduled = json!([
        { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" },
        { "type": "PodScheduled", "status": "True" },
    ]);
    assert!(!changed(&with("/status/conditions", scheduled)));
    for (path, value) in [
        ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        ("/metadata/labels", json!({ "app": "other" })),
        (
            "/metadata/ownerReferences",
            json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r" }]),
        ),
        ("/status/phase", json!("Failed")),
        ("/status/conditions", json!([])),
        ("/status/containerStatuses/0/containerID", json!("c://2")),
        ("/spec/containers/0/image", json!("other")),
        (
            "/status/conditions",
            json!([
                { "type": "Ready", "status": "True" },
                { "type": "SidecarSetUpgradable", "status": "False", "message": "{}" },
            ]),
        ),
    ] {
        assert!(changed(&with(path, value)), "{path}");
    }
}

#[test]
fn a_set_concerns_itself_unless_only_its_status_changed() {
    let spec = json!({ "containers": [] });
    let old = Arc::new(set(&spec));
    let concerned = |new: crate::object::SidecarSet| {
        names(&watch::set(None, &Change { old: Some(old.clone()), new: Some(Arc::new(new)) }))
    };
    let mut new = set(&spec);
    new.status.matched_pods = 3;
    assert!(concerned(new).is_empty());
    let mut new = set(&spec);
    new.meta.generation = 2;
    assert_eq!(concerned(new), ["log"]);
    let mut new = set(&spec);
    new.annotations.insert("a".into(), "b".into());
    assert_eq!(concerned(new), ["log"], "annotations ask for evictions");
}

/// W-12.
#[test]
fn a_set_that_falls_silent_concerns_those_that_share_pods_of_which_it_spoke_ill() {
    let pods: Arc<Table<Pod>> = Arc::default();
    let mut shared = running();
    shared["metadata"]["annotations"]["kruise.io/sidecarset-injected-list"] = json!("log,mesh");
    let says = |message: &str| json!([{ "type": "SidecarSetUpgradable", "status": "False", "message": message }]);
    shared["status"]["conditions"] = says(r#"{"log":false,"mesh":true}"#);
    pods.apply(Pod::clone(&pod(&shared)));
    let spec = json!({ "containers": [] });
    let old = || Some(Arc::new(set(&spec)));
    let of = |new: Option<Value>, pods| {
        let new = new.map(|spec| {
            let mut new = set(&spec);
            new.meta.generation = 2;
            Arc::new(new)
        });
        names(&watch::set(Some(pods), &Change { old: old(), new }))
    };
    let never = json!({ "containers": [], "updateStrategy": { "type": "NotUpdate" } });
    assert_eq!(of(None, &pods), ["log", "mesh"]);
    assert_eq!(of(Some(never), &pods), ["log", "mesh"]);
    assert_eq!(of(Some(spec.clone()), &pods), ["log"]);
    shared["status"]["conditions"] = says(r#"{"log":true,"mesh":false}"#);
    shared["metadata"]["resourceVersion"] = json!("9");
    pods.apply(Pod::clone(&pod(&shared)));
    assert_eq!(of(None, &pods), ["log"]);
}

#[test]
fn a_namespace_concerns_the_sets_of_its_pods_when_its_labels_change() {
    let namespace = |labels: Value| -> Option<Arc<Namespace>> {
        let object = json!({ "metadata": { "name": "ns", "labels": labels } });
        let wire: WireNamespace = serde_json::from_str(&object.to_string()).unwrap();
        Some(Arc::new(wire.into_record(&Interner::default())))
    };
    let pods = Table::default();
    pods.apply(Pod::clone(&pod(&running())));
    let sets = Table::default();
    let unasked = Unasked::default();
    let of = |old, new| names(&watch::namespace(&sets, (&pods, &unasked), &Change { old, new }));
    assert_eq!(of(namespace(json!({})), namespace(json!({ "env": "prod" }))), ["log"]);
    assert!(of(namespace(json!({})), namespace(json!({}))).is_empty());
    assert_eq!(of(None, namespace(json!({}))), ["log"]);
    let missing = json!({ "selector": { "matchLabels": { "app": "web" } } });
    let mut late = running();
    late["metadata"]["annotations"] = json!({});
    late["metadata"]["resourceVersion"] = json!("8");
    late["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    pods.apply(Pod::clone(&pod(&late)));
    assert!(of(None, namespace(json!({}))).is_empty());
    sets.apply(set(&missing));
    assert_eq!(of(None, namespace(json!({}))), ["log"], "W-4");
    let unasked = Unasked { own: "ns".to_owned(), ..Unasked::default() };
    let change = Change { old: None, new: namespace(json!({})) };
    assert!(watch::namespace(&sets, (&pods, &unasked), &change).is_empty(), "WHK-8");
}
