use std::sync::Arc;

use kruise_common::claim::WireClaim;
use kruise_common::key::ObjectKey;
use kruise_common::pod::WirePod;
use kruise_common::revision::WireRevision;
use kruise_common::storage_class::WireStorageClass;
use kruise_common::table::{Change, Wire};
use serde_json::{Value, json};

use super::facts::{claim, pod, read};
use crate::pull_job::WirePullJob;
use crate::watch;

fn change<W: Wire>(old: Option<&Value>, new: Option<&Value>) -> Change<W::Record> {
    let row = |object: Option<&Value>| object.map(|object| Arc::new(read::<W>(object)));
    Change { old: row(old), new: row(new) }
}

fn names(keys: &[ObjectKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

#[test]
fn a_pod_concerns_its_owner_before_and_after() {
    let other = json!([{
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "StatefulSet", "name": "db", "uid": "u", "controller": true,
    }]);
    let (old, new) =
        (pod(0, &json!({})), pod(0, &json!({ "metadata": { "ownerReferences": other } })));
    let keys = watch::pod(&change::<WirePod>(Some(&old), Some(&new)));
    assert_eq!(names(&keys), ["default/db", "default/web"]);
    assert_eq!(
        names(&watch::pod(&change::<WirePod>(Some(&old), None))),
        ["default/web"],
        "its end too"
    );
}

#[test]
fn a_pod_without_owner_concerns_the_set_whose_name_it_bears() {
    let orphan = pod(3, &json!({ "metadata": { "ownerReferences": [] } }));
    let keys = watch::pod(&change::<WirePod>(None, Some(&orphan)));
    assert_eq!(names(&keys), ["default/web"]);
    let native = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "x", "uid": "u", "controller": true }]);
    let taken = pod(3, &json!({ "metadata": { "ownerReferences": native } }));
    assert_eq!(names(&watch::pod(&change::<WirePod>(None, Some(&taken)))), ["default/web"]);
    let nameless = pod(3, &json!({ "metadata": { "name": "web", "ownerReferences": [] } }));
    assert!(watch::pod(&change::<WirePod>(None, Some(&nameless))).is_empty());
}

#[test]
fn a_claim_concerns_every_set_whose_name_it_may_hold() {
    let mut object = claim(0, &json!([]));
    object["metadata"]["name"] = json!("my-data-web-app-7");
    let keys = watch::claim(&change::<WireClaim>(None, Some(&object)));
    assert_eq!(names(&keys), ["default/data-web-app", "default/web-app", "default/app"]);
    assert_eq!(
        watch::claim(&change::<WireClaim>(Some(&object), None)).len(),
        3,
        "its end too (W-31)"
    );
}

#[test]
fn a_revision_concerns_its_owner_or_namesake() {
    let revision =
        json!({ "metadata": { "name": "web-5d4", "namespace": "default" }, "revision": 1 });
    let keys = watch::revision(&change::<WireRevision>(None, Some(&revision)));
    assert_eq!(names(&keys), ["default/web"]);
}

#[test]
fn a_class_concerns_every_set_when_it_begins_or_ceases_to_expand() {
    let class = |grows: Value, label: &str| json!({ "metadata": { "name": "fast", "labels": { "x": label } }, "allowVolumeExpansion": grows });
    let (no, yes) = (class(Value::Null, "a"), class(json!(true), "a"));
    let of = |old: Option<&Value>, new: Option<&Value>| {
        let all = || vec![ObjectKey::new("default", "web")];
        watch::class(&change::<WireStorageClass>(old, new), all).len()
    };
    assert_eq!(of(Some(&no), Some(&yes)), 1);
    assert_eq!(of(Some(&yes), Some(&class(json!(true), "b"))), 0, "nothing that counts");
    assert_eq!((of(None, Some(&no)), of(Some(&yes), None)), (1, 1));
}

#[test]
fn a_pull_job_concerns_its_set() {
    let owners = pod(0, &json!({}))["metadata"]["ownerReferences"].clone();
    let job = json!({ "metadata": { "name": "web-1-app", "namespace": "default", "ownerReferences": owners } });
    let keys = watch::pull_job(&change::<WirePullJob>(Some(&job), None));
    assert_eq!(names(&keys), ["default/web"]);
}
