//! What a claim of the set must be: name, content, owner references, size compared with its template.
//!
//! When claims are created or changed is decided under `plan/`.

use std::sync::Arc;

use kruise_api::keys;
use kruise_api::raw::RawJson;
use kruise_api::shared::quantity::Quantity;
use kruise_api::statefulset::v1beta1::StatefulSetSpec;
use kruise_common::claim::Claim;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{CLAIM, POD, STATEFUL_SET};
use kruise_common::meta::Meta;
use kruise_common::pod::Pod;
use kruise_common::write::{Guard, Operations, Write};
use serde_json::{Value, json};

use crate::snapshot::Retention;

/// A claim template: what is compared, and the rest raw.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimTemplate {
    /// Name; also the name of the pod's volume.
    pub name: String,
    raw: RawJson,
    read: kruise_api::statefulset::claim_template::ClaimTemplate,
}

/// How an existing claim stands to its template (17.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Same class and access modes (RS-1).
    pub same: bool,
    /// Same class and access modes, and at least the template's size requested (RS-2).
    pub compatible: bool,
    /// Same class and access modes, and what it requests has arrived (RS-3).
    pub ready: bool,
}

impl ClaimTemplate {
    /// Reads a template; the error names what is wrong with it.
    pub fn new(raw: &RawJson) -> Result<Self, String> {
        let read = kruise_api::statefulset::claim_template::ClaimTemplate::read(raw)?;
        Ok(Self { name: read.name.clone(), raw: raw.clone(), read })
    }

    /// Name of the claim of an ordinal (I-7).
    pub fn claim_name(&self, set: &str, ordinal: i32) -> String {
        format!("{}-{set}-{ordinal}", self.name)
    }

    /// The POST that creates the claim `key` (PV-2): the template as it is, with the selector's labels on top. A claim
    /// that goes with its `set` says so from the start: a set that is deleted a moment later takes it along (AC-20).
    pub fn create(&self, key: ObjectKey, spec: &StatefulSetSpec, set: Option<&Meta>) -> Write {
        let mut body: Value = self.raw.parse().unwrap_or_default();
        if let Some(claim) = body.as_object_mut() {
            claim.insert("apiVersion".into(), json!("v1"));
            claim.insert("kind".into(), json!("PersistentVolumeClaim"));
            // The API server sets the status of a new claim.
            claim.remove("status");
            let meta = claim.entry("metadata").or_insert_with(|| json!({}));
            if let Some(meta) = meta.as_object_mut() {
                if let Some(set) = set {
                    meta.insert("ownerReferences".into(), json!([set_reference(set)]));
                }
                let labels = meta.entry("labels").or_insert(Value::Null);
                if labels.is_null() {
                    *labels = json!({});
                }
                if let Some(labels) = labels.as_object_mut() {
                    for (label, value) in spec.selector.match_labels.iter().flatten() {
                        labels.insert(label.clone(), json!(value));
                    }
                }
            }
        }
        Write::create(&CLAIM, key, body)
    }

    /// How `claim` stands to this template.
    pub fn fit(&self, claim: &Claim) -> Fit {
        let modes = claim.access_modes.iter().map(|mode| &**mode);
        let same = self.read.same_kind(claim.class.as_deref(), modes);
        let amount = |text: Option<&str>| text.and_then(|text| Quantity::parse(text).ok());
        let [wanted, _] = self.read.storage();
        let requested = amount(claim.request.as_deref());
        let capacity = amount(claim.capacity.as_deref());
        Fit { same, compatible: same && requested >= wanted, ready: same && capacity >= requested }
    }

    /// The patch that makes `claim` ask for what the template asks for, and marks it as one of the set's (RS-6). It
    /// carries the version of the claim: whoever has enlarged it since must not see it shrink (AC-6). The limits stay:
    /// the API server lets nobody change those of a bound claim.
    pub fn resize(&self, claim: &Claim, set: &str) -> Write {
        let change = json!({
            "metadata": {
                "resourceVersion": &*claim.meta.resource_version,
                "annotations": { keys::CLAIM_OWNER: set },
            },
            "spec": { "resources": { "requests": { "storage": self.read.request } } },
        });
        Write::strategic(&CLAIM, &claim.meta, change)
    }
}

/// An owner reference of a claim, by whom it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    Set,
    Pod,
}

/// Which owner references a claim must have: (set, pod) by retention policy and whether the pod is condemned (16.3).
fn wanted(retention: Retention, condemned: bool) -> (bool, bool) {
    let pod = retention.delete_with_pod && condemned;
    (retention.delete_with_set && !pod, pod)
}

/// The patch that gives `claim` the owner references that the policy prescribes, or `None` if it has them (PV-10).
/// Other owners are left alone.
pub fn retain(
    claim: &Claim,
    set: &Meta,
    pod: &Pod,
    retention: Retention,
    condemned: bool,
) -> Option<Write> {
    if foreign(claim, set, pod) {
        return None;
    }
    let (by_set, by_pod) = wanted(retention, condemned);
    let keepers = [(Keeper::Set, by_set, &set.uid), (Keeper::Pod, by_pod, &pod.meta.uid)];
    let mut remove = Vec::new();
    let mut add = Vec::new();
    // A reference to an owner that is gone would make the garbage collector delete the claim: who is added is looked at
    // right before. At most one is added (16.3).
    let mut guard = None;
    for (keeper, wanted, uid) in keepers {
        let at = claim.meta.owners.iter().position(|owner| owner.uid == *uid);
        match (wanted, at) {
            (true, None) => {
                add.push(reference(keeper, set, pod));
                guard = Some(match keeper {
                    Keeper::Set => Guard::alive(&STATEFUL_SET, set),
                    Keeper::Pod => Guard::there(&POD, &pod.meta),
                });
            }
            (false, Some(index)) => remove.push((index, uid.clone())),
            (true, Some(_)) | (false, None) => {}
        }
    }
    if add.is_empty() && remove.is_empty() {
        return None;
    }
    let mut operations = Operations::default();
    // From the back, so that the indexes before stay true; each is tested to be the one that was seen.
    remove.sort_unstable_by_key(|(index, ..)| std::cmp::Reverse(*index));
    for (index, uid) in &remove {
        let index = index.to_string();
        let path = ["metadata", "ownerReferences", &index];
        operations =
            operations.test(&["metadata", "ownerReferences", &index, "uid"], &**uid).remove(&path);
    }
    if claim.meta.owners.is_empty() {
        // Nobody owned it when it was seen; the version says whether that is still so.
        operations = operations
            .test(&["metadata", "resourceVersion"], &*claim.meta.resource_version)
            .add(&["metadata", "ownerReferences"], Value::Array(add));
    } else {
        for reference in add {
            operations = operations.add(&["metadata", "ownerReferences", "-"], reference);
        }
    }
    let write = Write::json(&CLAIM, &claim.meta, operations);
    Some(Write { guard, ..write })
}

fn reference(keeper: Keeper, set: &Meta, pod: &Pod) -> Value {
    match keeper {
        Keeper::Set => set_reference(set),
        Keeper::Pod => json!({
            "apiVersion": "v1", "kind": "Pod", "name": pod.name(), "uid": &*pod.meta.uid,
        }),
    }
}

fn set_reference(set: &Meta) -> Value {
    json!({
        "apiVersion": STATEFUL_SET.api_version(), "kind": STATEFUL_SET.kind,
        "name": &*set.key.name, "uid": &*set.uid,
    })
}

/// Whether another controller manages the claim: it decides what becomes of it (W-15, K-5).
pub fn foreign(claim: &Claim, set: &Meta, pod: &Pod) -> bool {
    let ours = [&set.uid, &pod.meta.uid];
    claim.meta.controller().is_some_and(|owner| !ours.contains(&&owner.uid))
}

/// Whether the claim still belongs to an earlier pod of this name: the garbage collector is about to delete it (PV-14).
pub fn is_stale(claim: &Claim, pod: &str, current_uid: Option<&Arc<str>>) -> bool {
    claim.meta.owners.iter().any(|owner| {
        *owner.kind == *"Pod" && *owner.name == *pod && Some(&owner.uid) != current_uid
    })
}
