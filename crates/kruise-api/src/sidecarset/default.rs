//! Defaults of a SidecarSet (sidecarset §7), idempotent, the same in both versions.
//!
//! [`default_object`] works on raw JSON, so that nothing a user wrote is lost (W-30). The hash annotations come after it.

use serde_json::{Map, Value, json};

use super::container::{AFTER_APP_CONTAINER, BEFORE_APP_CONTAINER, COLD_UPGRADE, DISABLED};
use super::v1beta1::{ALWAYS, RETAIN, ROLLING_UPDATE};
use crate::shared::template::{each, fill, fill_field_ref, fill_sidecar, fill_text, fill_volume};

type Object = Map<String, Value>;

/// Fills the spec of a whole object (DEF-2…DEF-9). An object without spec is left alone; validation refuses it.
pub fn default_object(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if let Some(strategy) = filled(spec, "updateStrategy") {
        fill_text(strategy, "type", ROLLING_UPDATE);
        fill(strategy, "maxUnavailable", json!(1));
        fill(strategy, "partition", json!(0));
    }
    each(spec, "initContainers")
        .for_each(|container| fill_container(container, AFTER_APP_CONTAINER));
    each(spec, "containers").for_each(|container| fill_container(container, BEFORE_APP_CONTAINER));
    each(spec, "volumes").for_each(fill_volume);
    fill(spec, "revisionHistoryLimit", json!(10));
    each(spec, "patchPodMetadata").for_each(|patch| fill_text(patch, "patchPolicy", RETAIN));
    if let Some(injection) = filled(spec, "injectionStrategy")
        && let Some(revision) = injection.get_mut("revision").and_then(Value::as_object_mut)
    {
        fill_text(revision, "policy", ALWAYS);
    }
}

/// DEF-4, DEF-5, DEF-20. `shareVolumeDevicePolicy` has no default.
fn fill_container(container: &mut Object, place: &str) {
    fill_text(container, "podInjectPolicy", place);
    if let Some(strategy) = filled(container, "upgradeStrategy") {
        fill_text(strategy, "upgradeType", COLD_UPGRADE);
    }
    if let Some(policy) = filled(container, "shareVolumePolicy") {
        fill_text(policy, "type", DISABLED);
    }
    for transfer in each(container, "transferEnv") {
        if let Some(from) =
            transfer.get_mut("sourceContainerNameFrom").and_then(Value::as_object_mut)
        {
            fill_field_ref(from);
        }
    }
    fill_sidecar(container);
}

/// The member, created if it is missing; `None` if it is something else than an object.
fn filled<'a>(object: &'a mut Object, member: &str) -> Option<&'a mut Object> {
    fill(object, member, json!({}));
    object.get_mut(member).and_then(Value::as_object_mut)
}
