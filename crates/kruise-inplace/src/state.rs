//! The annotations of an in-place update as they are on a pod, read with their legacy keys.

use kruise_api::keys;
use kruise_api::shared::inplace::{GraceState, UpdateState};
use kruise_common::pod::Pod;
use kruise_common::write::Operations;

/// An annotation that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt {
    pub key: &'static str,
    pub problem: String,
}

pub(crate) fn update_state(pod: &Pod) -> Result<Option<UpdateState>, Corrupt> {
    read(pod, keys::INPLACE_UPDATE_STATE, keys::INPLACE_UPDATE_STATE_LEGACY)
}

pub(crate) fn grace_state(pod: &Pod) -> Result<Option<GraceState>, Corrupt> {
    read(pod, keys::INPLACE_UPDATE_GRACE, keys::INPLACE_UPDATE_GRACE_LEGACY)
}

fn read<T: serde::de::DeserializeOwned>(
    pod: &Pod,
    key: &'static str,
    legacy: &'static str,
) -> Result<Option<T>, Corrupt> {
    let text = pod.annotations.get(key).or_else(|| pod.annotations.get(legacy));
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let corrupt = |problem: String| Corrupt { key, problem };
    // A list would be read as the members in order.
    if !text.trim_start().starts_with('{') {
        return Err(corrupt("is no JSON object".to_owned()));
    }
    serde_json::from_str(text).map(Some).map_err(|error| corrupt(error.to_string()))
}

/// Tests that the state annotation is the one that was read.
pub(crate) fn state_test(pod: &Pod, operations: Operations) -> Operations {
    as_read(pod, operations, &[keys::INPLACE_UPDATE_STATE, keys::INPLACE_UPDATE_STATE_LEGACY])
}

/// Tests that the grace annotation is the one that was read.
pub(crate) fn grace_test(pod: &Pod, operations: Operations) -> Operations {
    as_read(pod, operations, &[keys::INPLACE_UPDATE_GRACE, keys::INPLACE_UPDATE_GRACE_LEGACY])
}

fn as_read(pod: &Pod, operations: Operations, keys: &[&str]) -> Operations {
    let there = keys.iter().filter_map(|key| Some((*key, pod.annotations.get(key)?)));
    there.fold(operations, |operations, (key, text)| {
        operations.test(&["metadata", "annotations", key], text)
    })
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
