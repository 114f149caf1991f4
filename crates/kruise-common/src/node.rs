//! The record of a Node: what decides whether a pod may run there.
//!
//! Heartbeats change nothing of it; [`Node::differs`] tells which updates can matter to anybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node as TypedNode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::intern::Interner;
use crate::kind::{Kind, NODE};
use crate::meta::{Meta, Pairs, lean_meta};
use crate::table::{Record, Wire};

/// A node as far as controllers look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Metadata.
    pub meta: Meta,
    /// Taints in stored order.
    pub taints: Box<[Taint]>,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// What pods may use, by resource; quantities as written.
    pub allocatable: Pairs,
}

/// A taint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Key.
    pub key: Arc<str>,
    /// Value, empty if absent.
    pub value: Arc<str>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: Arc<str>,
}

impl Record for Node {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Node {
    /// Name.
    pub fn name(&self) -> &str {
        &self.meta.key.name
    }

    /// Whether a pod that fits one of the two may not fit the other.
    pub fn differs(&self, other: &Self) -> bool {
        self.meta.uid != other.meta.uid
            || self.meta.labels != other.meta.labels
            || self.taints != other.taints
            || self.unschedulable != other.unschedulable
            || self.allocatable != other.allocatable
    }
}

/// A node as it comes from the API server, read only as far as [`Node`] needs it.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = TypedNode)]
pub struct WireNode {
    /// Metadata without managedFields.
    #[serde(deserialize_with = "lean_meta", default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: WireSpec,
    #[serde(default)]
    status: WireStatus,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireSpec {
    taints: Option<Vec<WireTaint>>,
    unschedulable: Option<bool>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireTaint {
    key: String,
    value: Option<String>,
    effect: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireStatus {
    allocatable: Option<BTreeMap<String, String>>,
}

impl Wire for WireNode {
    type Record = Node;
    const KIND: &'static Kind = &NODE;

    fn into_record(self, interner: &Interner) -> Node {
        let taint = |taint: WireTaint| Taint {
            key: interner.get(&taint.key),
            value: interner.get(taint.value.as_deref().unwrap_or_default()),
            effect: interner.get(&taint.effect),
        };
        let allocatable = self.status.allocatable.unwrap_or_default();
        Node {
            meta: Meta::new(&self.metadata, interner),
            taints: self.spec.taints.into_iter().flatten().map(taint).collect(),
            unschedulable: self.spec.unschedulable.unwrap_or_default(),
            allocatable: Pairs::interned(&allocatable, interner),
        }
    }
}
