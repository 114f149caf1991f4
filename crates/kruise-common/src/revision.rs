//! The record of a ControllerRevision: a stored template, by name and number.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kruise_api::keys;
use kruise_api::raw::RawJson;
use serde::{Deserialize, Serialize};

use crate::intern::Interner;
use crate::kind::{CONTROLLER_REVISION, Kind};
use crate::meta::{Meta, Pairs, lean_meta};
use crate::table::{Record, Wire};

/// A ControllerRevision as far as controllers look at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// Metadata.
    pub meta: Meta,
    /// The annotations that controllers read: the hashes of a SidecarSet (HIS-21).
    pub annotations: Pairs,
    /// The number that orders revisions.
    pub revision: i64,
    /// The stored bytes, exactly as the API server keeps them (the hash is over these bytes); of revisions that
    /// another kind of workload controls nothing is kept.
    pub data: RawJson,
}

impl Record for Revision {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The SidecarSet that it is labelled with.
    fn groups(&self) -> &[Arc<str>] {
        self.meta.labels.shared(keys::SIDECARSET_NAME).map_or(&[], std::slice::from_ref)
    }
}

impl Revision {
    /// Name.
    pub fn name(&self) -> &Arc<str> {
        &self.meta.key.name
    }
}

/// A ControllerRevision as it comes from the API server.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = ControllerRevision)]
pub struct WireRevision {
    /// Metadata without managedFields.
    #[serde(deserialize_with = "lean_meta", default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    revision: i64,
    #[serde(default)]
    data: Option<RawJson>,
}

impl Wire for WireRevision {
    type Record = Revision;
    const KIND: &'static Kind = &CONTROLLER_REVISION;

    /// Of revisions of other workload kinds only the name counts, which is taken: they outnumber ours and carry
    /// whole templates.
    fn into_record(self, interner: &Interner) -> Revision {
        let meta = Meta::new(&self.metadata, interner);
        let foreign = meta.controller().is_some_and(|owner| *owner.group != *keys::GROUP);
        let data = self.data.filter(|_| !foreign).unwrap_or_default();
        let annotations = self.metadata.annotations.unwrap_or_default();
        let read = [keys::SIDECARSET_HASH, keys::SIDECARSET_HASH_WITHOUT_IMAGE];
        let annotations = Pairs::kept(&annotations, interner, |key| read.contains(&key));
        Revision { meta, annotations, revision: self.revision, data }
    }
}
