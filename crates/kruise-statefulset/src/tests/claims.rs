use kruise_api::raw::RawJson;
use kruise_common::claim::{Claim, WireClaim};
use kruise_common::key::ObjectKey;
use kruise_common::pod::WirePod;
use kruise_common::write::{Patch, Request, Write};
use serde_json::{Value, json};

use super::facts::{self, UID, claim_template, read};
use crate::claims::{ClaimTemplate, Fit, is_stale, retain};
use crate::object::WireSet;
use crate::snapshot::Retention;

fn template(json: &Value) -> ClaimTemplate {
    ClaimTemplate::new(&RawJson::from_string(json.to_string()).unwrap()).unwrap()
}

fn claim(change: &Value) -> Claim {
    let mut claim = facts::claim(0, &json!([]));
    json_patch::merge(&mut claim, change);
    read::<WireClaim>(&claim)
}

#[test]
fn a_claim_is_created_as_its_template_says_with_the_selectors_labels() {
    let raw = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data", "labels": { "app": "x", "tier": "db" }, "annotations": { "a": "b" } },
        "spec": { "accessModes": ["ReadWriteOnce"], "fieldOfTomorrow": { "x": 1 } },
        "status": { "phase": "Pending" },
    });
    let set = read::<WireSet>(&facts::set(&json!({})));
    let key = ObjectKey::new("default", "data-web-0");
    let write = template(&raw).create(key, set.spec.as_ref().unwrap(), None);
    let Request::Create { body } = write.request else { panic!("a POST") };
    let expected = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "data-web-0", "namespace": "default",
            "labels": { "app": "web", "tier": "db" }, "annotations": { "a": "b" },
        },
        "spec": { "accessModes": ["ReadWriteOnce"], "fieldOfTomorrow": { "x": 1 } },
    });
    assert_eq!(body, expected);
}

/// A set that is deleted right after takes the claim along (AC-20).
#[test]
fn a_claim_that_goes_with_its_set_says_so_from_the_start() {
    let set = read::<WireSet>(&facts::set(&json!({})));
    let key = ObjectKey::new("default", "data-web-0");
    let template = template(&claim_template("1Gi"));
    let write = template.create(key, set.spec.as_ref().unwrap(), Some(&set.meta));
    let Request::Create { body } = write.request else { panic!("a POST") };
    let owner = json!([{ "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": UID }]);
    assert_eq!(body["metadata"]["ownerReferences"], owner);
}

#[test]
fn a_template_without_name_is_refused() {
    let raw = RawJson::from_string("{\"metadata\":{},\"spec\":{}}".to_owned()).unwrap();
    assert_eq!(ClaimTemplate::new(&raw).unwrap_err(), "metadata.name: must not be empty");
}

#[test]
fn how_a_claim_stands_to_its_template() {
    let of = |request: &str, change: &Value| {
        let Fit { compatible, ready, .. } = template(&claim_template(request)).fit(&claim(change));
        (compatible, ready)
    };
    assert_eq!(of("1Gi", &json!({})), (true, true));
    assert_eq!(of("1024Mi", &json!({})), (true, true), "quantities compare by value");
    assert_eq!(of("2Gi", &json!({})), (false, true), "too small, but settled");
    let resizing = json!({ "spec": { "resources": { "requests": { "storage": "2Gi" } } } });
    assert_eq!(of("2Gi", &resizing), (true, false), "asked for, not there yet");
    assert_eq!(of("1Gi", &resizing), (true, false), "larger than asked for is compatible");
    let modes = json!({ "spec": { "accessModes": ["ReadWriteMany"] } });
    assert_eq!(of("1Gi", &modes), (false, false));
}

#[test]
fn a_storage_class_matters_only_where_both_name_one() {
    let with = |class: &Value| {
        let mut raw = claim_template("1Gi");
        raw["spec"]["storageClassName"] = class.clone();
        template(&raw)
    };
    let fast = claim(&json!({ "spec": { "storageClassName": "fast" } }));
    let fits = |wanted: &Value, claim: &Claim| with(wanted).fit(claim).compatible;
    assert!(fits(&json!("fast"), &fast));
    assert!(!fits(&json!("slow"), &fast));
    assert!(fits(&Value::Null, &fast));
    assert!(fits(&json!("slow"), &claim(&json!({}))));
}

/// Owner references of set and pod, as OpenKruise writes them.
fn set_reference() -> Value {
    json!({ "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": UID })
}

fn pod_reference() -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "name": "web-0", "uid": "uid-0" })
}

fn stranger() -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "other" })
}

/// The patch of a claim with these owners, if there is one.
fn patch(owners: &Value, retention: (bool, bool), condemned: bool) -> Option<Write> {
    let claim = claim(&json!({ "metadata": { "ownerReferences": owners } }));
    let set = read::<WireSet>(&facts::set(&json!({})));
    let pod = read::<WirePod>(&facts::pod(0, &json!({})));
    let (delete_with_set, delete_with_pod) = retention;
    let retention = Retention { delete_with_set, delete_with_pod };
    retain(&claim, &set.meta, &pod, retention, condemned)
}

/// The owners of a claim after its patch.
fn owners_after(owners: &Value, retention: (bool, bool), condemned: bool) -> Value {
    let mut object = json!({
        "metadata": { "uid": "claim-0", "resourceVersion": "5", "ownerReferences": owners },
    });
    if owners.as_array().is_some_and(Vec::is_empty) {
        object["metadata"].as_object_mut().unwrap().remove("ownerReferences");
    }
    if let Some(write) = patch(owners, retention, condemned) {
        let Request::Patch { subresource: None, patch: Patch::Json(operations) } = write.request
        else {
            panic!("a JSON patch")
        };
        let operations: json_patch::Patch = serde_json::from_value(operations).unwrap();
        json_patch::patch(&mut object, &operations).unwrap();
    }
    object["metadata"].get("ownerReferences").cloned().unwrap_or_else(|| json!([]))
}

#[test]
fn owner_references_follow_the_retention_policy() {
    let (set, pod) = (set_reference(), pod_reference());
    // (deletes with set, deletes with pod), condemned, owners that must be there (16.3).
    let table = [
        ((false, false), false, json!([])),
        ((false, false), true, json!([])),
        ((true, false), false, json!([set])),
        ((true, false), true, json!([set])),
        ((false, true), false, json!([])),
        ((false, true), true, json!([pod])),
        ((true, true), false, json!([set])),
        ((true, true), true, json!([pod])),
    ];
    let before = [json!([]), json!([set]), json!([pod]), json!([set, pod]), json!([pod, set])];
    for (retention, condemned, expected) in table {
        for owners in &before {
            let after = owners_after(owners, retention, condemned);
            assert_eq!(after, expected, "{retention:?}, condemned {condemned}, from {owners}");
            assert!(patch(&after, retention, condemned).is_none(), "nothing is left to do");
        }
    }
}

#[test]
fn an_owner_is_looked_at_before_it_is_added() {
    let guard = |owners: &Value, retention: (bool, bool), condemned: bool| {
        let guard = patch(owners, retention, condemned).unwrap().guard?;
        Some((guard.kind.kind, guard.uid.to_string(), guard.may_terminate))
    };
    let none = json!([]);
    assert_eq!(guard(&none, (true, false), false), Some(("StatefulSet", UID.to_owned(), false)));
    assert_eq!(guard(&none, (false, true), true), Some(("Pod", "uid-0".to_owned(), true)));
    assert_eq!(
        guard(&json!([set_reference()]), (false, false), false),
        None,
        "who goes is not asked"
    );
}

#[test]
fn owners_of_others_stay() {
    let (set, pod) = (set_reference(), pod_reference());
    let after = owners_after(&json!([set, stranger(), pod]), (false, true), true);
    assert_eq!(after, json!([stranger(), pod]));
    let after = owners_after(&json!([stranger()]), (true, false), false);
    assert_eq!(after, json!([stranger(), set]));
}

#[test]
fn a_reference_to_an_earlier_pod_of_this_name_is_not_ours_to_remove() {
    let earlier = json!({ "apiVersion": "v1", "kind": "Pod", "name": "web-0", "uid": "gone" });
    assert!(patch(&json!([earlier]), (false, false), false).is_none());
}

#[test]
fn a_removal_is_bound_to_the_reference_that_was_seen() {
    let write = patch(&json!([stranger(), set_reference()]), (false, false), false).unwrap();
    let Request::Patch { patch: Patch::Json(operations), .. } = write.request else {
        panic!("a JSON patch")
    };
    let expected = json!([
        { "op": "test", "path": "/metadata/uid", "value": "claim-0" },
        { "op": "test", "path": "/metadata/ownerReferences/1/uid", "value": UID },
        { "op": "remove", "path": "/metadata/ownerReferences/1" },
    ]);
    assert_eq!(operations, expected);
}

#[test]
fn a_claim_of_an_earlier_pod_is_stale_until_it_is_gone() {
    let earlier = json!({ "apiVersion": "v1", "kind": "Pod", "name": "web-0", "uid": "gone" });
    let claim = claim(&json!({ "metadata": { "ownerReferences": [earlier] } }));
    assert!(is_stale(&claim, "web-0", None));
    assert!(is_stale(&claim, "web-0", Some(&"uid-0".into())));
    assert!(!is_stale(&claim, "web-0", Some(&"gone".into())), "its own pod");
    assert!(!is_stale(&claim, "web-1", None), "another pod's");
}

/// M4: one claim with a time that nobody else reads must not spoil the list of all.
#[test]
fn no_time_of_a_claim_fails() {
    for time in ["10000-01-01T04:59:59Z", "", "yesterday"] {
        let condition = json!({ "type": "FileSystemResizePending", "status": "True", "lastTransitionTime": time });
        let mut object = super::facts::claim(0, &json!([]));
        object["status"]["conditions"] = json!([condition]);
        let claim = read::<WireClaim>(&object);
        assert_eq!((claim.resize_pending, claim.pending_since), (true, None), "{time:?}");
    }
}
