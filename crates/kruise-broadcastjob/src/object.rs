//! The record of a BroadcastJob as it is watched.
//!
//! Spec and status are read leniently: what does not decode is left out with the reason, so that a bad member neither
//! breaks the watch nor takes the rest of its object with it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kruise_api::broadcastjob::v1beta1::{BroadcastJob, BroadcastJobSpec, BroadcastJobStatus};
use kruise_api::keys;
use kruise_api::raw::RawJson;
use kruise_common::intern::Interner;
use kruise_common::kind::{BROADCAST_JOB, Kind};
use kruise_common::meta::{Meta, lean_meta};
use kruise_common::table::{Record, Wire};
use serde::{Deserialize, Serialize};

use crate::salvage::salvage;
use crate::snapshot::Invalid;

/// A BroadcastJob as far as the controller looks at it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Metadata.
    pub meta: Meta,
    /// The spec, without what cannot be read.
    pub spec: Box<BroadcastJobSpec>,
    /// What of the spec cannot be read.
    pub unreadable: Option<Invalid>,
    /// The status as stored.
    pub status: BroadcastJobStatus,
}

impl Record for Job {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Job {
    /// Name.
    pub fn name(&self) -> &str {
        &self.meta.key.name
    }

    /// Whether it stays open for future nodes.
    pub fn never_completes(&self) -> bool {
        let policy = self.spec.completion_policy.as_ref();
        policy.is_some_and(|policy| policy.type_.as_deref() == Some("Never"))
    }

    /// Whether it is over: failed, or completed unless its owner has opened it for future nodes since (§4, §9 step 4).
    pub fn finished(&self) -> bool {
        let has = |kind: &str| {
            self.status.conditions.iter().any(|c| c.type_ == kind && c.status == "True")
        };
        let over = has(keys::CONDITION_COMPLETE) || has(keys::CONDITION_FAILED);
        self.failed() || (over && !self.never_completes())
    }

    /// Whether it has failed.
    pub fn failed(&self) -> bool {
        self.status.phase == "failed"
    }
}

/// A job as it comes from the API server.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = BroadcastJob)]
pub struct WireJob {
    /// Metadata without managedFields.
    #[serde(deserialize_with = "lean_meta", default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: RawJson,
    #[serde(default)]
    status: RawJson,
}

impl Wire for WireJob {
    type Record = Job;
    const KIND: &'static Kind = &BROADCAST_JOB;

    fn into_record(self, interner: &Interner) -> Job {
        let meta = Meta::new(&self.metadata, interner);
        let (spec, unreadable) = salvage(&self.spec, "spec");
        // What of the status cannot be read is written anew.
        let (status, _) = salvage(&self.status, "status");
        Job { meta, spec: Box::new(spec), unreadable, status }
    }
}
