//! Starts an in-place update at the minimum of writes (§5, §6, §22):
//! ① the pod leaves traffic (status), ② image, revision label and state in one patch (spec).
//! A metadata-only change needs ② alone; with a grace period ② is sent later by `refresh`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kruise_api::keys;
use kruise_api::shared::inplace::{Batch, GraceState, LastStatus, PreCheck, UpdateState, rfc3339};
use kruise_common::kind::POD;
use kruise_common::pod::Pod;
use kruise_common::write::{Operations, Write};
use serde_json::{Map, Value, json};

use crate::conditions;
use crate::diff::{Change, MetadataChange, NotInPlace};
use crate::lifecycle;
use crate::metadata;
use crate::state::{grace_state, update_state};

/// Where an update goes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Name of the update revision.
    pub revision: &'a str,
    /// Seconds between leaving traffic and the new image.
    pub grace_seconds: i32,
}

/// The writes that start moving `pod` to the target.
pub fn begin(
    pod: &Pod,
    change: &Change,
    target: &Target<'_>,
    now: Timestamp,
) -> Result<Vec<Write>, NotInPlace> {
    if !change.env_readers.is_empty() {
        let containers = change.env_readers.iter().cloned().collect::<Vec<_>>().join(", ");
        return Err(NotInPlace::NoDaemon { containers });
    }
    let images = pending_images(pod, &change.images);
    let drain = drain(pod, now);
    // Without the gate nobody would wait for the end of the grace period.
    let graced = target.grace_seconds > 0 && !images.is_empty() && drain.is_some();
    if graced {
        let conditions = drain.unwrap_or_default();
        return Ok(vec![begin_grace(pod, change, images, target, (conditions, now))?]);
    }
    let mut state = UpdateState {
        revision: target.revision.to_owned(),
        update_timestamp: rfc3339(now),
        update_images: !images.is_empty(),
        ..UpdateState::default()
    };
    let operations = start(pod, target.revision, now);
    let operations = metadata::apply(pod, operations, &change.metadata);
    let operations = next_batch(pod, operations, &mut state, images, now);
    let operations = drop_grace(pod, store(operations, &state));
    let spec = Write::json(&POD, &pod.meta, operations);
    if state.container_batches_record.iter().all(|batch| batch.containers.is_empty()) {
        return Ok(vec![spec]);
    }
    let status = drain.map(|conditions| {
        Write::strategic_status(&POD, &pod.meta, json!({ "status": { "conditions": conditions } }))
    });
    Ok(status.into_iter().chain([spec]).collect())
}

/// Images still to be set: those of the change, and those that an earlier, unfinished update has not set yet (W7).
/// Containers that the pod does not have, or that have the image, drop out.
fn pending_images(pod: &Pod, images: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if let Ok(Some(grace)) = grace_state(pod) {
        all.extend(grace.container_images);
    }
    if let Ok(Some(state)) = update_state(pod) {
        all.extend(state.next_container_images);
    }
    all.extend(images.clone());
    all.retain(|name, image| {
        pod.container(name).is_some_and(|(_, container)| *container.image != **image)
    });
    all
}

/// The conditions of ①, if the pod has the gate.
fn drain(pod: &Pod, now: Timestamp) -> Option<Vec<Value>> {
    if !pod.gated_by(keys::INPLACE_UPDATE_READY) {
        return None;
    }
    let mut list = vec![conditions::gate_false(now)];
    list.extend(conditions::ready_false(pod, keys::INPLACE_UPDATE_READY, now));
    Some(list)
}

/// Tests and label changes with which every update of a pod begins.
fn start(pod: &Pod, revision: &str, now: Timestamp) -> Operations {
    let mut operations = Operations::default();
    if let Some(old) = pod.revision() {
        let path = ["metadata", "labels", keys::CONTROLLER_REVISION_HASH];
        operations = operations.test(&path, old);
    }
    operations = metadata::with_labels(pod, operations);
    operations = metadata::with_annotations(pod, operations)
        .add(&["metadata", "labels", keys::CONTROLLER_REVISION_HASH], revision);
    // Pods without a state never get one (IP-19).
    if lifecycle::state(pod).is_empty() {
        return operations;
    }
    operations
        .add(&["metadata", "labels", keys::LIFECYCLE_STATE], "Updating")
        .add(&["metadata", "annotations", keys::LIFECYCLE_TIMESTAMP], rfc3339(now))
}

/// Sets the images of the next batch: containers without a launch priority and those of the highest (§6). Each
/// container is tested to be the one that was seen, up to the image ID that is recorded as evidence.
pub(crate) fn next_batch(
    pod: &Pod,
    mut operations: Operations,
    state: &mut UpdateState,
    images: BTreeMap<String, String>,
    now: Timestamp,
) -> Operations {
    let priority = |name: &str| pod.container(name).and_then(|(_, container)| container.priority);
    let highest = images.keys().filter_map(|name| priority(name)).max();
    let mut batch = BTreeSet::new();
    state.next_container_images = BTreeMap::new();
    for (name, image) in images {
        if priority(&name).is_some_and(|priority| Some(priority) != highest) {
            state.next_container_images.insert(name, image);
            continue;
        }
        let Some((index, container)) = pod.container(&name) else { continue };
        let at = index.to_string();
        let path = |member| ["spec", "containers", &at, member];
        operations =
            operations.test(&path("name"), name.as_str()).test(&path("image"), &*container.image);
        if let Some((position, status)) = pod.status(&name) {
            let position = position.to_string();
            let path = |member| ["status", "containerStatuses", &position, member];
            operations = operations
                .test(&path("name"), name.as_str())
                .test(&path("imageID"), &*status.image_id);
            let last = LastStatus {
                image_id: status.image_id.to_string(),
                container_id: status.container_id.to_string(),
            };
            let recorded = state.last_container_statuses.get_or_insert_default();
            recorded.entry(name.clone()).or_insert(last);
        }
        operations = operations.replace(&path("image"), image);
        batch.insert(name);
    }
    let containers: Vec<String> = batch.into_iter().collect();
    state.pre_check_before_next = (!state.next_container_images.is_empty())
        .then(|| PreCheck { containers_required_ready: containers.clone() });
    state.container_batches_record.push(Batch { timestamp: rfc3339(now), containers });
    operations
}

/// Writes the state annotation.
pub(crate) fn store(operations: Operations, state: &UpdateState) -> Operations {
    let text = serde_json::to_string(state).unwrap_or_default();
    operations.add(&["metadata", "annotations", keys::INPLACE_UPDATE_STATE], text)
}

/// Removes the grace annotations that are on the pod.
pub(crate) fn drop_grace(pod: &Pod, operations: Operations) -> Operations {
    let keys = [keys::INPLACE_UPDATE_GRACE, keys::INPLACE_UPDATE_GRACE_LEGACY];
    let there = keys.into_iter().filter(|key| pod.annotations.get(key).is_some());
    there.fold(operations, |operations, key| operations.remove(&["metadata", "annotations", key]))
}

/// ① with a grace period: conditions, labels, state and the plan itself in one write, so that a restart of the
/// controller finds everything on the pod.
fn begin_grace(
    pod: &Pod,
    change: &Change,
    images: BTreeMap<String, String>,
    target: &Target<'_>,
    (conditions, now): (Vec<Value>, Timestamp),
) -> Result<Write, NotInPlace> {
    let unreadable = |error: serde_json::Error| NotInPlace::Pod { problem: error.to_string() };
    let state = UpdateState {
        revision: target.revision.to_owned(),
        update_timestamp: rfc3339(now),
        update_images: !images.is_empty(),
        ..UpdateState::default()
    };
    let patch = metadata_patch(&change.metadata);
    let grace = GraceState {
        revision: target.revision.to_owned(),
        container_images: images,
        meta_data_patch: STANDARD.encode(serde_json::to_vec(&patch).map_err(unreadable)?),
        grace_seconds: target.grace_seconds,
        ..GraceState::default()
    };
    let mut labels = Map::new();
    labels.insert(keys::CONTROLLER_REVISION_HASH.to_owned(), json!(target.revision));
    let mut annotations = Map::new();
    let text = |value: Result<String, serde_json::Error>| value.map_err(unreadable);
    annotations
        .insert(keys::INPLACE_UPDATE_STATE.into(), json!(text(serde_json::to_string(&state))?));
    annotations
        .insert(keys::INPLACE_UPDATE_GRACE.into(), json!(text(serde_json::to_string(&grace))?));
    if !lifecycle::state(pod).is_empty() {
        labels.insert(keys::LIFECYCLE_STATE.to_owned(), json!("Updating"));
        annotations.insert(keys::LIFECYCLE_TIMESTAMP.to_owned(), json!(rfc3339(now)));
    }
    let body = json!({
        "metadata": { "labels": labels, "annotations": annotations },
        "status": { "conditions": conditions },
    });
    Ok(Write::strategic_status(&POD, &pod.meta, body))
}

/// Changed template metadata as the strategic merge patch that OpenKruise stores.
fn metadata_patch(change: &MetadataChange) -> Value {
    let mut meta = Map::new();
    let maps = [("labels", &change.labels), ("annotations", &change.annotations)];
    for (map, pairs) in maps {
        if !pairs.is_empty() {
            meta.insert(map.to_owned(), json!(pairs));
        }
    }
    if !change.finalizers_removed.is_empty() {
        let gone = json!(change.finalizers_removed);
        meta.insert("$deleteFromPrimitiveList/finalizers".to_owned(), gone);
    }
    if !change.finalizers_added.is_empty() {
        meta.insert("finalizers".to_owned(), json!(change.finalizers_added));
    }
    if meta.is_empty() { json!({}) } else { json!({ "metadata": meta }) }
}

/// The reverse of [`metadata_patch`], for patches that either side stored.
pub(crate) fn read_metadata_patch(base64: &str) -> Result<MetadataChange, String> {
    if base64.is_empty() {
        return Ok(MetadataChange::default());
    }
    let bytes = STANDARD.decode(base64).map_err(|error| error.to_string())?;
    let patch: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let pairs = |map: &str| {
        let map = patch.pointer(&format!("/metadata/{map}")).and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.as_str().map(str::to_owned)))
            .collect()
    };
    let list = |member: &str| -> Vec<String> {
        let list = patch.get("metadata").and_then(|meta| meta.get(member));
        let items = list.and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Ok(MetadataChange {
        labels: pairs("labels"),
        annotations: pairs("annotations"),
        finalizers_added: list("finalizers"),
        finalizers_removed: list("$deleteFromPrimitiveList/finalizers"),
    })
}
