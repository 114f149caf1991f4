//! Starts an in-place update at the minimum of writes (§5, §6, §22):
//! ① the pod leaves traffic (status), ② image, revision label and state in one patch (spec).
//! A metadata-only change needs ② alone; with a grace period ② is sent later by `refresh`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kruise_api::keys;
use kruise_api::shared::inplace::{Batch, GraceState, LastStatus, PreCheck, UpdateState, rfc3339};
use kruise_common::kind::POD;
use kruise_common::pod::{ContainerStatus, Pod};
use kruise_common::write::{Operations, Write};

use crate::conditions;
use crate::diff::{Change, MetadataChange, NotInPlace};
use crate::lifecycle;
use crate::metadata;
use crate::progress::{has_next, restarted, same_image};
use crate::state::{grace_state, grace_test, state_test, update_state};

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
    let metadata = pending_metadata(pod, &change.metadata);
    let gated = pod.gated_by(keys::INPLACE_UPDATE_READY);
    // Without the gate nobody would wait for the end of the grace period.
    if target.grace_seconds > 0 && !images.is_empty() && gated {
        return Ok(vec![begin_grace(pod, &metadata, images, target, now)?]);
    }
    let mut state = UpdateState {
        revision: target.revision.to_owned(),
        update_timestamp: rfc3339(now),
        update_images: !images.is_empty(),
        ..UpdateState::default()
    };
    let operations = start(pod, as_planned(pod), target.revision, now);
    let operations = metadata::apply(pod, operations, &metadata);
    let operations = next_batch(pod, operations, &mut state, images, now);
    let operations = drop_grace(pod, store(pod, operations, &state));
    let spec = Write::json(&POD, &pod.meta, operations);
    if state.container_batches_record.iter().all(|batch| batch.containers.is_empty()) {
        return Ok(vec![spec]);
    }
    let status =
        gated.then(|| Write::json_status(&POD, &pod.meta, drain(pod, as_planned(pod), now)));
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
    not_set(pod, all)
}

/// Without images that the pod has and containers that it lacks: nothing would restart for them.
pub(crate) fn not_set(pod: &Pod, mut images: BTreeMap<String, String>) -> BTreeMap<String, String> {
    images.retain(|name, image| {
        pod.container(name).is_some_and(|(_, container)| *container.image != **image)
    });
    images
}

/// Metadata still to be changed: that of the change, and what an earlier, unfinished update has not brought yet (W7).
fn pending_metadata(pod: &Pod, change: &MetadataChange) -> MetadataChange {
    let grace = grace_state(pod).ok().flatten().unwrap_or_default();
    let mut all = metadata::planned(&grace).unwrap_or_default();
    let state = update_state(pod).ok().flatten().unwrap_or_default();
    metadata::add_read_by_env(&mut all, &state.next_container_ref_metadata);
    all.labels.extend(change.labels.clone());
    all.annotations.extend(change.annotations.clone());
    supersede(&mut all.finalizers_added, &change.finalizers_added, &change.finalizers_removed);
    supersede(&mut all.finalizers_removed, &change.finalizers_removed, &change.finalizers_added);
    all
}

/// Adds what is `new` to a list and takes out what is `undone`.
fn supersede(list: &mut Vec<String>, new: &[String], undone: &[String]) {
    list.retain(|item| !undone.contains(item) && !new.contains(item));
    list.extend_from_slice(new);
}

/// ①: the gate falls, and `Ready` with it.
fn drain(pod: &Pod, operations: Operations, now: Timestamp) -> Operations {
    conditions::fall(pod, operations, conditions::gate_false(pod, now), now)
}

/// Tests that the pod is at the revision, and in the midst of the plan, that were read: an update takes over what an
/// unfinished one has left to do.
fn as_planned(pod: &Pod) -> Operations {
    let path = ["metadata", "labels", keys::CONTROLLER_REVISION_HASH];
    let operations = match pod.revision() {
        Some(old) => Operations::default().test(&path, old),
        None => Operations::default(),
    };
    let unfinished = update_state(pod).ok().flatten().is_some_and(|state| has_next(&state));
    let operations = if unfinished { state_test(pod, operations) } else { operations };
    grace_test(pod, operations)
}

/// Label changes with which every update of a pod begins.
fn start(pod: &Pod, mut operations: Operations, revision: &str, now: Timestamp) -> Operations {
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
            let container_id = if comes_back(pod, status, &image) {
                String::new()
            } else {
                status.container_id.to_string()
            };
            let last = LastStatus { image_id: status.image_id.to_string(), container_id };
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

/// Whether a container gets the image back that it runs, before the kubelet acted on the last update: the kubelet may
/// see only the second change and keep the container, so another container ID must not be waited for (W27).
fn comes_back(pod: &Pod, status: &ContainerStatus, image: &str) -> bool {
    let Ok(Some(state)) = update_state(pod) else { return false };
    let last = state.last_container_statuses.as_ref().and_then(|all| all.get(&*status.name));
    last.is_some_and(|last| !restarted(pod, status, last, &state))
        && same_image(image, &status.image)
}

/// Writes the state annotation; its legacy form goes (§2).
pub(crate) fn store(pod: &Pod, operations: Operations, state: &UpdateState) -> Operations {
    let text = serde_json::to_string(state).unwrap_or_default();
    let operations = operations.add(&["metadata", "annotations", keys::INPLACE_UPDATE_STATE], text);
    match pod.annotations.get(keys::INPLACE_UPDATE_STATE_LEGACY) {
        Some(_) => {
            operations.remove(&["metadata", "annotations", keys::INPLACE_UPDATE_STATE_LEGACY])
        }
        None => operations,
    }
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
    metadata: &MetadataChange,
    images: BTreeMap<String, String>,
    target: &Target<'_>,
    now: Timestamp,
) -> Result<Write, NotInPlace> {
    let unreadable = |error: serde_json::Error| NotInPlace::Pod { problem: error.to_string() };
    let state = UpdateState {
        revision: target.revision.to_owned(),
        update_timestamp: rfc3339(now),
        update_images: !images.is_empty(),
        ..UpdateState::default()
    };
    let grace = GraceState {
        revision: target.revision.to_owned(),
        container_images: images,
        meta_data_patch: metadata::patch(metadata),
        grace_seconds: target.grace_seconds,
        ..GraceState::default()
    };
    let text = serde_json::to_string(&grace).map_err(unreadable)?;
    let operations = start(pod, as_planned(pod), target.revision, now);
    let operations = drop_grace(pod, store(pod, operations, &state))
        .add(&["metadata", "annotations", keys::INPLACE_UPDATE_GRACE], text);
    Ok(Write::json_status(&POD, &pod.meta, drain(pod, operations, now)))
}
