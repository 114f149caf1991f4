//! What admission asks the cluster (U-11).

use std::sync::Arc;

use kruise_api::raw::RawJson;
use kruise_common::admission::{Admission, Operation, Request};
use kruise_common::storage_class::{StorageClass, WireStorageClass};
use kruise_common::table::Table;
use serde_json::{Value, json};

use crate::tests::facts::{claim_template, read, set};
use crate::webhook::{VALIDATE, Webhook};

/// What is said about a template that grows from 1Gi to 2Gi, with these classes: (name, expands, default, created).
fn asked(class: Option<&str>, classes: &[(&str, Value, bool, &str)]) -> String {
    asked_of("OnPodRollingUpdate", class, classes)
}

/// The same of a set that had this strategy before.
fn asked_of(before: &str, class: Option<&str>, classes: &[(&str, Value, bool, &str)]) -> String {
    let table: Arc<Table<StorageClass>> = Arc::default();
    for (name, expands, default, created) in classes {
        let annotation =
            json!({ "storageclass.kubernetes.io/is-default-class": default.to_string() });
        table.apply(read::<WireStorageClass>(&json!({
            "metadata": {
                "name": name, "uid": name, "resourceVersion": "1", "annotations": annotation,
                "creationTimestamp": created,
            },
            "allowVolumeExpansion": expands,
        })));
    }
    let gates = "StatefulSetAutoResizePVCGate=true".parse().unwrap();
    let webhook = Webhook { gates, sets: Arc::default(), classes: Some(table) };
    let object = |strategy: &str, size: &str| {
        let mut template = claim_template(size);
        template["spec"]["storageClassName"] = json!(class);
        let set = set(&json!({
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": { "type": "OnDelete" },
            "volumeClaimUpdateStrategy": { "type": strategy },
            "volumeClaimTemplates": [template],
        }));
        RawJson::from_string(set.to_string()).unwrap()
    };
    let request = Request {
        uid: "1".to_owned(),
        subresource: String::new(),
        namespace: "default".to_owned(),
        name: "web".to_owned(),
        operation: Operation::Update,
        object: Some(object("OnPodRollingUpdate", "2Gi")),
        old: Some(object(before, "1Gi")),
        dry_run: false,
    };
    format!("{:?}", webhook.answer(VALIDATE, &request).unwrap())
}

#[test]
fn a_template_grows_only_where_its_class_lets_volumes_grow() {
    let at = "2026-01-01T00:00:00Z";
    let yes = [("fast", json!(true), false, at)];
    assert!(!asked(Some("fast"), &yes).contains("volume expansion"));
    for no in [json!(false), Value::Null] {
        let says = asked(Some("fast"), &[("fast", no, false, at)]);
        let rule = "spec.volumeClaimTemplates[data].spec.resources.requests.storage";
        assert!(says.contains(rule), "{says}");
        assert!(says.contains("storage class fast does not support volume expansion"), "{says}");
    }
    assert!(asked(Some("gone"), &yes).contains("can not get sc"));
}

/// U-7b.
#[test]
fn claims_that_begin_to_follow_are_warned_about_not_refused() {
    let at = "2026-01-01T00:00:00Z";
    let says = asked_of("OnDelete", Some("fast"), &[("fast", json!(false), false, at)]);
    assert!(says.contains("Allowed"), "{says}");
    assert!(says.contains("claims will not follow: spec.volumeClaimTemplates[data]"), "{says}");
    let says = asked_of("OnDelete", Some("fast"), &[("fast", json!(true), false, at)]);
    assert!(!says.contains("claims will not follow"), "{says}");
}

#[test]
fn without_a_class_the_newest_default_class_counts() {
    let old = ("old", json!(true), true, "2026-01-01T00:00:00Z");
    let new = ("new", json!(false), true, "2026-02-01T00:00:00Z");
    let says = asked(None, &[old.clone(), new]);
    assert!(says.contains("storage class new does not support"), "{says}");
    assert!(!asked(None, &[old]).contains("does not support"));
    assert!(
        !asked(None, &[("other", json!(false), false, "2026-01-01T00:00:00Z")])
            .contains("does not support")
    );
}

/// What is said when `old` (nothing: a creation) becomes `new`, both changes of a set that is right.
fn judged(old: Option<&Value>, new: &Value, name: &str) -> String {
    let webhook = Webhook { gates: "".parse().unwrap(), sets: Arc::default(), classes: None };
    let object = |change: &Value| {
        let mut set = set(&json!({
            "podManagementPolicy": "OrderedReady", "updateStrategy": { "type": "OnDelete" },
        }));
        json_patch::merge(&mut set, change);
        RawJson::from_string(set.to_string()).unwrap()
    };
    let request = Request {
        uid: "1".to_owned(),
        subresource: String::new(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        operation: if old.is_some() { Operation::Update } else { Operation::Create },
        object: Some(object(new)),
        old: old.map(object),
        dry_run: false,
    };
    format!("{:?}", webhook.answer(VALIDATE, &request).unwrap())
}

#[test]
fn what_could_never_be_acted_upon_is_refused_when_it_is_new() {
    let negative = json!({ "spec": { "revisionHistoryLimit": -1 } });
    let option =
        json!({ "metadata": { "annotations": { "apps.kruise.io/partition-percent": "half" } } });
    for (change, says) in [
        (&negative, "spec.revisionHistoryLimit"),
        (&option, "metadata.annotations[apps.kruise.io/partition-percent]"),
    ] {
        let fine = json!({});
        assert!(judged(None, change, "web").contains(says));
        assert!(judged(Some(&fine), change, "web").contains(says));
        let both = [change.clone(), json!({ "spec": { "replicas": 3 } })];
        let mut edited = both[0].clone();
        json_patch::merge(&mut edited, &both[1]);
        let elsewhere = judged(Some(change), &edited, "web");
        assert!(!elsewhere.contains(says), "stored already: {elsewhere}");
    }
}

/// W-27.
#[test]
fn a_long_name_is_warned_about() {
    assert!(judged(None, &json!({}), &"x".repeat(53)).contains("longer than 52 characters"));
    assert!(!judged(None, &json!({}), &"x".repeat(52)).contains("longer than"));
    assert!(judged(None, &json!({}), "a.b").contains("has a dot"));
}

/// W-27: not one of the pods could be made; a stored set stays editable.
#[test]
fn a_name_that_no_pod_can_bear_is_refused_when_it_is_new() {
    let of = |replicas: i32| json!({ "spec": { "replicas": replicas } });
    let refused = |old: Option<&Value>, replicas: i32, length: usize| {
        judged(old, &of(replicas), &"x".repeat(length)).contains("bear it as label")
    };
    for (replicas, longest) in [(0, 61), (10, 61), (11, 60), (101, 59)] {
        assert!(!refused(None, replicas, longest), "{replicas}");
        assert!(refused(None, replicas, longest + 1), "{replicas}");
    }
    assert!(!refused(Some(&of(10)), 11, 61));
    let reserved = json!({ "spec": { "replicas": 1, "reserveOrdinals": ["0-99"] } });
    assert!(judged(None, &reserved, &"x".repeat(60)).contains("no more than 59 characters"));
}
