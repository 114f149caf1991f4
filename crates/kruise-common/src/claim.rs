//! The record of a PersistentVolumeClaim.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};

use crate::intern::Interner;
use crate::kind::{CLAIM, Kind};
use crate::meta::{Meta, lean_meta};
use crate::moment::{Moment, time_or_none};
use crate::table::{Record, Wire};

/// Condition of a claim whose file system waits for a pod to grow it.
const FILE_SYSTEM_RESIZE_PENDING: &str = "FileSystemResizePending";
/// Condition of a claim whose file system the node could not grow.
const NODE_RESIZE_ERROR: &str = "NodeResizeError";

/// A claim as far as controllers look at it. Quantities stay as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Metadata.
    pub meta: Meta,
    /// Requested storage.
    pub request: Option<Box<str>>,
    /// Storage that is really there.
    pub capacity: Option<Box<str>>,
    /// Storage class.
    pub class: Option<Arc<str>>,
    /// Access modes in stored order.
    pub access_modes: Box<[Arc<str>]>,
    /// Whether the volume has grown and the file system has not yet: a kubelet grows it under the pod that runs, if the
    /// driver can do that, else when a pod mounts it anew.
    pub resize_pending: bool,
    /// Since when.
    pub pending_since: Option<Moment>,
    /// Whether the node has tried to grow it and failed.
    pub node_resize_failed: bool,
}

impl Record for Claim {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// A claim as it comes from the API server, read only as far as [`Claim`] needs it.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = PersistentVolumeClaim)]
pub struct WireClaim {
    /// Metadata without managedFields.
    #[serde(deserialize_with = "lean_meta", default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: WireSpec,
    #[serde(default)]
    status: WireStatus,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec {
    access_modes: Option<Vec<String>>,
    storage_class_name: Option<String>,
    resources: Option<WireResources>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireResources {
    requests: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireStatus {
    capacity: Option<BTreeMap<String, String>>,
    conditions: Option<Vec<WireCondition>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(rename = "lastTransitionTime", deserialize_with = "time_or_none")]
    since: Option<Time>,
}

impl Wire for WireClaim {
    type Record = Claim;
    const KIND: &'static Kind = &CLAIM;

    fn into_record(self, interner: &Interner) -> Claim {
        let storage = |amounts: Option<BTreeMap<String, String>>| {
            amounts.and_then(|mut amounts| amounts.remove("storage")).map(String::into_boxed_str)
        };
        let condition = |kind: &str| {
            let mut conditions = self.status.conditions.iter().flatten();
            conditions.find(|c| c.kind == kind && c.status == "True")
        };
        let pending = condition(FILE_SYSTEM_RESIZE_PENDING);
        let modes = self.spec.access_modes.into_iter().flatten();
        Claim {
            meta: Meta::new(&self.metadata, interner),
            request: storage(self.spec.resources.unwrap_or_default().requests),
            capacity: storage(self.status.capacity),
            resize_pending: pending.is_some(),
            pending_since: pending.and_then(|pending| pending.since.as_ref()).map(|at| at.0.into()),
            node_resize_failed: condition(NODE_RESIZE_ERROR).is_some(),
            class: self.spec.storage_class_name.map(|class| interner.get(&class)),
            access_modes: modes.map(|mode| interner.get(&mode)).collect(),
        }
    }
}
