//! The record of an Advanced StatefulSet as it is watched.
//!
//! Spec and status are parsed leniently: an object that does not decode is kept with the reason, so
//! that one bad object neither breaks the watch nor disappears silently.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kruise_api::raw::RawJson;
use kruise_api::statefulset::v1beta1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use kruise_common::intern::Interner;
use kruise_common::kind::{Kind, STATEFUL_SET};
use kruise_common::meta::{Meta, lean_meta};
use kruise_common::table::{Record, Wire};
use serde::{Deserialize, Serialize};

/// An Advanced StatefulSet as far as the controller looks at it.
#[derive(Clone, Debug)]
pub struct Set {
    /// Metadata.
    pub meta: Meta,
    /// All annotations: a new revision carries a copy of them.
    pub annotations: BTreeMap<String, String>,
    /// The spec, or why it cannot be read.
    pub spec: Result<Box<StatefulSetSpec>, String>,
    /// The status as stored.
    pub status: StatefulSetStatus,
}

impl Record for Set {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Set {
    /// Name.
    pub fn name(&self) -> &str {
        &self.meta.key.name
    }
}

/// A set as it comes from the API server.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = StatefulSet)]
pub struct WireSet {
    /// Metadata without managedFields.
    #[serde(deserialize_with = "lean_meta", default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: RawJson,
    #[serde(default)]
    status: RawJson,
}

impl Wire for WireSet {
    type Record = Set;
    const KIND: &'static Kind = &STATEFUL_SET;

    fn into_record(self, interner: &Interner) -> Set {
        let meta = Meta::new(&self.metadata, interner);
        let annotations = self.metadata.annotations.unwrap_or_default();
        let spec = self.spec.parse().map(Box::new).map_err(|error| error.to_string());
        // A status that cannot be read is written anew.
        let status = self.status.parse().unwrap_or_default();
        Set { meta, annotations, spec, status }
    }
}
