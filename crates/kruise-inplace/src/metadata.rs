//! Changed metadata: as JSON Patch operations that hold whatever else is on the live object, and as it waits in the
//! record of a grace period (§3.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kruise_common::pod::Pod;
use kruise_common::write::Operations;
use serde_json::{Map, Value, json};

use crate::diff::{EnvMetadata, MetadataChange};

/// Makes sure that `metadata.annotations` exists; a pod that was seen without any is tested to have none still.
pub(crate) fn with_annotations(pod: &Pod, operations: Operations) -> Operations {
    if pod.annotated {
        return operations;
    }
    operations
        .test(&["metadata", "annotations"], Value::Null)
        .add(&["metadata", "annotations"], json!({}))
}

/// Makes sure that `metadata.labels` exists.
pub(crate) fn with_labels(pod: &Pod, operations: Operations) -> Operations {
    if !pod.meta.labels.is_empty() {
        return operations;
    }
    operations.test(&["metadata", "labels"], Value::Null).add(&["metadata", "labels"], json!({}))
}

/// Applies changed template metadata. Labels and annotations maps must exist.
pub(crate) fn apply(pod: &Pod, mut operations: Operations, change: &MetadataChange) -> Operations {
    let maps = [("labels", &change.labels), ("annotations", &change.annotations)];
    for (map, pairs) in maps {
        for (key, value) in pairs {
            let path = ["metadata", map, key];
            // Adding before removing makes the removal hold also if somebody took the key away already.
            operations = match value {
                Some(value) => operations.add(&path, value.as_str()),
                None => operations.add(&path, "").remove(&path),
            };
        }
    }
    finalizers(pod, operations, change)
}

fn finalizers(pod: &Pod, mut operations: Operations, change: &MetadataChange) -> Operations {
    let gone = |finalizer: &str| change.finalizers_removed.iter().any(|gone| *gone == *finalizer);
    let held = &pod.meta.finalizers;
    for (index, finalizer) in held.iter().enumerate().rev() {
        if gone(finalizer) {
            let index = index.to_string();
            let path = ["metadata", "finalizers", &index];
            operations = operations.test(&path, &**finalizer).remove(&path);
        }
    }
    let is_held = |finalizer: &str| held.iter().any(|known| **known == *finalizer);
    let added = change.finalizers_added.iter().filter(|finalizer| !is_held(finalizer));
    let added: Vec<&String> = added.collect();
    let path = ["metadata", "finalizers"];
    if held.is_empty() && !added.is_empty() {
        return operations.test(&path, Value::Null).add(&path, json!(added));
    }
    added.into_iter().fold(operations, |operations, finalizer| {
        operations.add(&["metadata", "finalizers", "-"], finalizer.as_str())
    })
}

/// Changed template metadata as OpenKruise stores it: a strategic merge patch in base64.
pub(crate) fn patch(change: &MetadataChange) -> String {
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
    let patch = if meta.is_empty() { json!({}) } else { json!({ "metadata": meta }) };
    STANDARD.encode(patch.to_string())
}

/// Reads what env reads, as an annotation holds it (§3.1).
pub(crate) fn read_by_env(metadata: &Value) -> EnvMetadata {
    let kept = |map| pairs(metadata, map).filter_map(|(key, value)| Some((key, value?))).collect();
    EnvMetadata { labels: kept("labels"), annotations: kept("annotations") }
}

/// What env reads, as OpenKruise stores it: a Go ObjectMeta.
pub(crate) fn env_value(read: &EnvMetadata) -> Value {
    let mut meta = Map::new();
    meta.insert("creationTimestamp".to_owned(), Value::Null);
    for (map, pairs) in [("labels", &read.labels), ("annotations", &read.annotations)] {
        if !pairs.is_empty() {
            meta.insert(map.to_owned(), json!(pairs));
        }
    }
    Value::Object(meta)
}

/// The pairs of a map in `metadata`; null removes a key.
fn pairs<'a>(
    metadata: &'a Value,
    map: &str,
) -> impl Iterator<Item = (String, Option<String>)> + use<'a> {
    let map = metadata.get(map).and_then(Value::as_object);
    map.into_iter().flatten().map(|(key, value)| (key.clone(), value.as_str().map(str::to_owned)))
}

/// Reads the metadata that waits for the end of a grace period, whoever stored it: the reverse of [`patch`].
pub(crate) fn read_patch(base64: &str) -> Result<MetadataChange, String> {
    if base64.is_empty() {
        return Ok(MetadataChange::default());
    }
    let bytes = STANDARD.decode(base64).map_err(|error| error.to_string())?;
    let patch: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let metadata = patch.get("metadata").unwrap_or(&Value::Null);
    let list = |member: &str| -> Vec<String> {
        let items = metadata.get(member).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Ok(MetadataChange {
        labels: pairs(metadata, "labels").collect(),
        annotations: pairs(metadata, "annotations").collect(),
        finalizers_added: list("finalizers"),
        finalizers_removed: list("$deleteFromPrimitiveList/finalizers"),
    })
}
