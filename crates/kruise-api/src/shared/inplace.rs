//! The annotations that carry an in-place update on a pod (`inplace.md` §3): field order and omission are those of
//! OpenKruise, so that either side can continue what the other began. Unknown members are ignored on reading.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `apps.kruise.io/inplace-update-state`: the last in-place update of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateState {
    /// Name of the target revision.
    pub revision: String,
    /// Start of the update.
    pub update_timestamp: String,
    /// What ran before, by container; `null` if nothing is to be compared.
    pub last_container_statuses: Option<BTreeMap<String, LastStatus>>,
    /// Some container's env comes from changed metadata.
    #[serde(skip_serializing_if = "is_false")]
    pub update_env_from_metadata: bool,
    /// Resources change.
    #[serde(skip_serializing_if = "is_false")]
    pub update_resources: bool,
    /// Images change.
    #[serde(skip_serializing_if = "is_false")]
    pub update_images: bool,
    /// Images of later batches.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub next_container_images: BTreeMap<String, String>,
    /// Metadata of later batches.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub next_container_ref_metadata: BTreeMap<String, Value>,
    /// Resources of later batches.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub next_container_resources: BTreeMap<String, Value>,
    /// What must be ready before the next batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_check_before_next: Option<PreCheck>,
    /// What was done when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub container_batches_record: Vec<Batch>,
}

/// What a container ran before its update.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastStatus {
    /// Image ID.
    #[serde(rename = "imageID", skip_serializing_if = "String::is_empty")]
    pub image_id: String,
    /// Container ID: our addition, exact evidence of a restart; OpenKruise ignores it (W1).
    #[serde(rename = "containerID", skip_serializing_if = "String::is_empty")]
    pub container_id: String,
}

/// Containers that must be ready before the next batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PreCheck {
    /// Names, sorted.
    pub containers_required_ready: Vec<String>,
}

/// One batch of containers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Batch {
    /// When it began.
    pub timestamp: String,
    /// Names, sorted.
    pub containers: Vec<String>,
}

/// `apps.kruise.io/inplace-update-grace`: an update that waits for the end of its grace period.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GraceState {
    /// Name of the target revision.
    pub revision: String,
    /// New images by container.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub container_images: BTreeMap<String, String>,
    /// Metadata that env reads, by container.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub container_ref_metadata: BTreeMap<String, Value>,
    /// New resources by container.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub container_resources: BTreeMap<String, Value>,
    /// A strategic merge patch of the metadata, in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub meta_data_patch: String,
    /// Some container's env comes from changed metadata.
    #[serde(skip_serializing_if = "is_false")]
    pub update_env_from_metadata: bool,
    /// Length of the grace period.
    #[serde(skip_serializing_if = "is_zero")]
    pub grace_seconds: i32,
}

/// A time as Kubernetes writes it: UTC, whole seconds.
pub fn rfc3339(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}
