//! What the pod of an ordinal must be: built from a template, and whether an existing one matches.

use kruise_api::keys;
use kruise_api::raw::RawJson;
use kruise_common::gates::FeatureGates;
use kruise_common::kind::POD;
use kruise_common::pod::Pod;
use kruise_common::write::Write;
use serde_json::{Map, Value, json};

use crate::claims::ClaimTemplate;
use crate::revision::{Template, controller_reference};
use crate::snapshot::{Settings, Snapshot};

/// Annotations that tell of an in-place update: what somebody copied from a pod into a template is not true of a new one.
const IN_PLACE: [&str; 4] = [
    keys::INPLACE_UPDATE_STATE,
    keys::INPLACE_UPDATE_STATE_LEGACY,
    keys::INPLACE_UPDATE_GRACE,
    keys::INPLACE_UPDATE_GRACE_LEGACY,
];

/// The POST that creates the pod of `ordinal` from `template` (I-4…I-10), in lifecycle `state` entered at `time`.
pub fn create(
    snapshot: &Snapshot,
    settings: &Settings,
    ordinal: i32,
    template: &Template,
    state: (&str, &str),
) -> Write {
    let name = snapshot.pod_name(ordinal);
    let mut pod = object(&template.template);
    pod.insert("apiVersion".into(), json!("v1"));
    pod.insert("kind".into(), json!("Pod"));
    let mut meta = take_object(&mut pod, "metadata");
    // Only these travel from the template to the pod (I-4).
    meta.retain(|member, _| ["labels", "annotations", "finalizers"].contains(&member.as_str()));
    meta.insert("generateName".into(), json!(format!("{}-", snapshot.set.name())));
    meta.insert("ownerReferences".into(), json!([controller_reference(&snapshot.set.meta)]));
    let mut labels = take_object(&mut meta, "labels");
    // A pod that is born with it would be deleted again, and the next one too (SD-8).
    labels.remove(keys::SPECIFIED_DELETE);
    labels.insert(keys::POD_NAME.into(), json!(name));
    if snapshot.gates.pod_index_label {
        labels.insert(keys::POD_INDEX.into(), json!(ordinal.to_string()));
    }
    labels.insert(keys::CONTROLLER_REVISION_HASH.into(), json!(&*template.name));
    labels.insert(keys::LIFECYCLE_STATE.into(), json!(state.0));
    meta.insert("labels".into(), Value::Object(labels));
    let mut annotations = take_object(&mut meta, "annotations");
    for key in IN_PLACE {
        annotations.remove(key);
    }
    annotations.insert(keys::LIFECYCLE_TIMESTAMP.into(), json!(state.1));
    meta.insert("annotations".into(), Value::Object(annotations));
    pod.insert("metadata".into(), Value::Object(meta));

    let mut spec = take_object(&mut pod, "spec");
    spec.insert("hostname".into(), json!(name));
    spec.insert("subdomain".into(), json!(settings.service));
    let volumes = spec.remove("volumes");
    spec.insert("volumes".into(), claim_volumes(snapshot, settings, ordinal, volumes));
    if wants_readiness_gate(settings, &snapshot.gates) {
        add_readiness_gate(&mut spec);
    }
    pod.insert("spec".into(), Value::Object(spec));
    Write::create(&POD, snapshot.set.meta.key.sibling(name), Value::Object(pod))
}

/// Whether pods need the gate that a hook's `markPodNotReady` switches (L-13).
fn wants_readiness_gate(settings: &Settings, gates: &FeatureGates) -> bool {
    let hooks = settings.lifecycle.iter().flat_map(|lifecycle| {
        [lifecycle.pre_delete.as_ref(), lifecycle.in_place_update.as_ref()].into_iter().flatten()
    });
    gates.pod_readiness_gate || hooks.into_iter().any(|hook| hook.mark_pod_not_ready)
}

fn add_readiness_gate(spec: &mut Map<String, Value>) {
    let gates = spec.entry("readinessGates").or_insert(Value::Null);
    if gates.is_null() {
        *gates = json!([]);
    }
    if let Some(gates) = gates.as_array_mut() {
        let gate = json!({ "conditionType": keys::KRUISE_POD_READY });
        if !gates.contains(&gate) {
            gates.push(gate);
        }
    }
}

/// The volumes of claims in template order, then the template's others; a claim replaces a volume of its name (I-9, I-10).
fn claim_volumes(
    snapshot: &Snapshot,
    settings: &Settings,
    ordinal: i32,
    volumes: Option<Value>,
) -> Value {
    let set = snapshot.set.name();
    let claims = settings.claims.iter().map(|claim| {
        json!({
            "name": claim.name,
            "persistentVolumeClaim": { "claimName": claim.claim_name(set, ordinal) },
        })
    });
    let others = match volumes {
        Some(Value::Array(volumes)) => volumes,
        _ => Vec::new(),
    };
    let replaced = |volume: &Value| {
        settings.claims.iter().any(|claim| volume.get("name") == Some(&json!(claim.name)))
    };
    claims.chain(others.into_iter().filter(|volume| !replaced(volume))).collect()
}

fn object(raw: &RawJson) -> Map<String, Value> {
    raw.parse().unwrap_or_default()
}

fn take_object(map: &mut Map<String, Value>, member: &str) -> Map<String, Value> {
    match map.remove(member) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// Whether the pod carries its own name as label (I-8). The pod-index label is deliberately not asked for:
/// pods made before that label existed must not be rewritten.
pub fn identity_matches(pod: &Pod) -> bool {
    pod.meta.labels.get(keys::POD_NAME) == Some(pod.name())
}

/// The patch that repairs the identity labels (I-11).
pub fn repair_identity(pod: &Pod, ordinal: i32, gates: &FeatureGates) -> Write {
    let mut labels = Map::new();
    labels.insert(keys::POD_NAME.to_owned(), json!(pod.name()));
    if gates.pod_index_label {
        labels.insert(keys::POD_INDEX.to_owned(), json!(ordinal.to_string()));
    }
    Write::strategic(&POD, &pod.meta, json!({ "metadata": { "labels": labels } }))
}

/// Whether the pod mounts the claim of every template under the template's name (I-9).
pub fn storage_matches(pod: &Pod, set: &str, ordinal: i32, templates: &[ClaimTemplate]) -> bool {
    templates.iter().all(|template| {
        let claim = template.claim_name(set, ordinal);
        pod.claims.iter().any(|(volume, name)| **volume == *template.name && **name == *claim)
    })
}
