//! The annotations that carry an in-place update on a pod (`inplace.md` §3): field order and omission are those of
//! OpenKruise, so that either side can continue what the other began. Unknown members are ignored on reading, `null` is
//! absent. What the values mean is decided in `kruise-inplace`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::go;

/// `apps.kruise.io/inplace-update-state`: the last in-place update of a pod (§3.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateState {
    /// Name of the target revision.
    #[serde(deserialize_with = "go::or_zero")]
    pub revision: String,
    /// Start of the update, as [`rfc3339`] writes it.
    #[serde(deserialize_with = "go::or_zero", serialize_with = "go::null_if_empty")]
    pub update_timestamp: String,
    /// What ran before, by container; `null` if nothing is to be compared.
    pub last_container_statuses: Option<BTreeMap<String, LastStatus>>,
    /// Some container's env comes from changed metadata.
    #[serde(deserialize_with = "go::or_zero", skip_serializing_if = "go::is_zero")]
    pub update_env_from_metadata: bool,
    /// Resources change.
    #[serde(deserialize_with = "go::or_zero", skip_serializing_if = "go::is_zero")]
    pub update_resources: bool,
    /// Images change.
    #[serde(deserialize_with = "go::or_zero", skip_serializing_if = "go::is_zero")]
    pub update_images: bool,
    /// Images of later batches.
    #[serde(deserialize_with = "go::or_zero", skip_serializing_if = "BTreeMap::is_empty")]
    pub next_container_images: BTreeMap<String, String>,
    /// Metadata of later batches.
    #[serde(
        deserialize_with = "go::or_zero",
        skip_serializing_if = "BTreeMap::is_empty",
        serialize_with = "in_go_order"
    )]
    pub next_container_ref_metadata: BTreeMap<String, Value>,
    /// Resources of later batches.
    #[serde(
        deserialize_with = "go::or_zero",
        skip_serializing_if = "BTreeMap::is_empty",
        serialize_with = "in_go_order"
    )]
    pub next_container_resources: BTreeMap<String, Value>,
    /// What must be ready before the next batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_check_before_next: Option<PreCheck>,
    /// What was done when.
    #[serde(deserialize_with = "go::or_zero", skip_serializing_if = "Vec::is_empty")]
    pub container_batches_record: Vec<Batch>,
    /// CPU and memory that were asked for, by container: our addition, so that a resize that somebody else asks for
    /// later is not taken for part of this update (W17).
    #[serde(
        deserialize_with = "go::or_zero",
        skip_serializing_if = "BTreeMap::is_empty",
        serialize_with = "in_go_order"
    )]
    pub container_resources: BTreeMap<String, Value>,
    /// Containers whose env reads what changed, sorted; empty if nobody said which: our addition, so that those alone wait
    /// for the daemon (W5).
    #[serde(deserialize_with = "go::or_zero", skip_serializing_if = "Vec::is_empty")]
    pub env_containers: Vec<String>,
}

/// What a container ran before its update.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastStatus {
    /// Image ID.
    #[serde(
        rename = "imageID",
        deserialize_with = "go::or_zero",
        skip_serializing_if = "String::is_empty"
    )]
    pub image_id: String,
    /// Container ID: our addition, exact evidence of a restart; OpenKruise ignores it (W1).
    #[serde(
        rename = "containerID",
        deserialize_with = "go::or_zero",
        skip_serializing_if = "String::is_empty"
    )]
    pub container_id: String,
    /// Image of an earlier update that the kubelet may still be about to start: our addition (W27).
    #[serde(deserialize_with = "go::or_zero", skip_serializing_if = "String::is_empty")]
    pub superseded: String,
    /// The container may stay as it is, since it got the image back that it runs: our addition (W27).
    #[serde(
        rename = "mayStay",
        deserialize_with = "go::or_zero",
        skip_serializing_if = "go::is_zero"
    )]
    pub may_stay: bool,
    /// The image of the spec that the container was made from, in the spec's own words, which need not be the runtime's: our
    /// addition (W27).
    #[serde(
        rename = "madeFrom",
        deserialize_with = "go::or_zero",
        skip_serializing_if = "String::is_empty"
    )]
    pub made_from: String,
    /// Since when the container is known to stay at an image that looks like one overtaken, as [`rfc3339`] writes it: our
    /// addition (W27).
    #[serde(
        rename = "staysSince",
        deserialize_with = "go::or_zero",
        skip_serializing_if = "String::is_empty"
    )]
    pub stays_since: String,
}

/// Containers that must be ready before the next batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PreCheck {
    /// Names, sorted.
    #[serde(deserialize_with = "go::or_zero")]
    pub containers_required_ready: Vec<String>,
}

/// One batch of containers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Batch {
    /// When it began, as [`rfc3339`] writes it.
    #[serde(deserialize_with = "go::or_zero", serialize_with = "go::null_if_empty")]
    pub timestamp: String,
    /// Names, sorted.
    #[serde(deserialize_with = "go::or_zero")]
    pub containers: Vec<String>,
}

/// `apps.kruise.io/inplace-update-grace`: an update that waits for the end of its grace period (§3.2). The templates
/// that the record may also hold are never filled and not read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GraceState {
    /// Name of the target revision.
    #[serde(deserialize_with = "go::or_zero")]
    pub revision: String,
    /// New images by container.
    #[serde(deserialize_with = "go::or_zero", skip_serializing_if = "BTreeMap::is_empty")]
    pub container_images: BTreeMap<String, String>,
    /// Metadata that env reads, by container.
    #[serde(
        deserialize_with = "go::or_zero",
        skip_serializing_if = "BTreeMap::is_empty",
        serialize_with = "in_go_order"
    )]
    pub container_ref_metadata: BTreeMap<String, Value>,
    /// New resources by container.
    #[serde(
        deserialize_with = "go::or_zero",
        skip_serializing_if = "BTreeMap::is_empty",
        serialize_with = "in_go_order"
    )]
    pub container_resources: BTreeMap<String, Value>,
    /// A strategic merge patch of the metadata, in base64.
    #[serde(deserialize_with = "go::or_zero", skip_serializing_if = "String::is_empty")]
    pub meta_data_patch: String,
    /// Some container's env comes from changed metadata.
    #[serde(deserialize_with = "go::or_zero", skip_serializing_if = "go::is_zero")]
    pub update_env_from_metadata: bool,
    /// Length of the grace period.
    #[serde(deserialize_with = "go::or_zero", skip_serializing_if = "go::is_zero")]
    pub grace_seconds: i32,
}

/// `apps.kruise.io/runtime-containers-meta`: what the node daemon reports of the containers (§3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RuntimeMeta {
    /// The containers.
    #[serde(deserialize_with = "go::or_zero")]
    pub containers: Vec<RuntimeContainer>,
}

/// What the node daemon reports of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RuntimeContainer {
    /// Name.
    #[serde(deserialize_with = "go::or_zero")]
    pub name: String,
    /// ID of the container that the hashes are of.
    #[serde(rename = "containerID", deserialize_with = "go::or_zero")]
    pub container_id: String,
    /// The hashes.
    #[serde(deserialize_with = "go::or_zero")]
    pub hashes: RuntimeHashes,
}

/// What a container was made from (§11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuntimeHashes {
    /// Of its name and image.
    #[serde(deserialize_with = "go::or_zero")]
    pub plain_hash: u64,
    /// Of the env that it reads from metadata; 0 if the daemon could not look.
    #[serde(deserialize_with = "go::or_zero")]
    pub extracted_env_from_metadata_hash: u64,
}

/// A time as Kubernetes writes it: UTC, whole seconds.
pub fn rfc3339(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// Members of metadata and of resources in the order of Go's structs; others follow by name.
const GO_ORDER: [&str; 6] =
    ["creationTimestamp", "labels", "annotations", "limits", "requests", "claims"];

/// The objects in `map` with their members in Go's order.
fn in_go_order<S: Serializer>(map: &BTreeMap<String, Value>, target: S) -> Result<S::Ok, S::Error> {
    let mut members = target.serialize_map(Some(map.len()))?;
    for (name, value) in map {
        members.serialize_entry(name, &InGoOrder(value))?;
    }
    members.end()
}

struct InGoOrder<'a>(&'a Value);

impl Serialize for InGoOrder<'_> {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        let Some(members) = self.0.as_object() else { return self.0.serialize(target) };
        let first = GO_ORDER.iter().filter_map(|name| members.get_key_value(*name));
        let rest = members.iter().filter(|(name, _)| !GO_ORDER.contains(&name.as_str()));
        target.collect_map(first.chain(rest))
    }
}
