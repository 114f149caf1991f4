//! JSON Patch operations on a pod's metadata that hold whatever else is on the live object.

use kruise_common::pod::Pod;
use kruise_common::write::Operations;
use serde_json::{Value, json};

use crate::diff::MetadataChange;

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
    let mut exists = held.iter().any(|finalizer| !gone(finalizer));
    for finalizer in &change.finalizers_added {
        if held.iter().any(|known| **known == **finalizer) {
            continue;
        }
        operations = if exists {
            operations.add(&["metadata", "finalizers", "-"], finalizer.as_str())
        } else {
            operations.add(&["metadata", "finalizers"], json!([finalizer]))
        };
        exists = true;
    }
    operations
}
