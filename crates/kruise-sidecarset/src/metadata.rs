//! Annotations that a set gives to pods (INJ-1, INJ-2, INP-7).

use kruise_api::shared::selector::Labels;
use kruise_api::sidecarset::v1beta1::{MERGE_PATCH_JSON, OVERWRITE, PatchPodMetadata, RETAIN};
use kruise_common::history::schema::Kind;
use kruise_common::history::{Form, encode_value};
use serde_json::Value;
use std::collections::BTreeMap;

/// What changes of the annotations of a pod. A value that cannot be merged is left as it is: the pod runs already.
pub fn patched(
    annotations: &impl Labels,
    patches: &[PatchPodMetadata],
) -> BTreeMap<String, String> {
    let mut changed: BTreeMap<String, String> = BTreeMap::new();
    for patch in patches {
        for (key, given) in &patch.annotations {
            let present = changed.get(key).map(String::as_str).or_else(|| annotations.label(key));
            let value = match (patch.patch_policy.as_deref(), present) {
                (None | Some("" | RETAIN), None)
                | (Some(OVERWRITE), _)
                | (Some(MERGE_PATCH_JSON), None | Some("")) => Some(given.clone()),
                (Some(MERGE_PATCH_JSON), Some(present)) => merged(present, given),
                _ => None,
            };
            if let Some(value) = value {
                changed.insert(key.clone(), value);
            }
        }
    }
    changed.retain(|key, value| annotations.label(key) != Some(value.as_str()));
    changed
}

/// RFC 7386, with the text as Go writes it.
fn merged(present: &str, given: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(present).ok()?;
    json_patch::merge(&mut value, &serde_json::from_str(given).ok()?);
    encode_value(&Kind::Any, &value, Form::Declared).ok()
}
