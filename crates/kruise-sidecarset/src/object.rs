//! The record of a SidecarSet as it is watched.
//!
//! Spec and status are parsed leniently: an object that does not decode is kept with the reason, so
//! that one bad object neither breaks the watch nor disappears silently.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kruise_api::keys;
use kruise_api::raw::RawJson;
use kruise_api::sidecarset::v1beta1::{SidecarSet as Typed, SidecarSetSpec, SidecarSetStatus};
use kruise_common::intern::Interner;
use kruise_common::kind::{Kind, SIDECAR_SET};
use kruise_common::meta::{Meta, lean_meta};
use kruise_common::revision::Revision;
use kruise_common::table::{Demands, Record, Wire};
use serde::{Deserialize, Serialize};

use crate::hash::{Hashes, hashes};
use crate::in_force::in_force;
use crate::matching::Matcher;
use crate::prepared::Prepared;
use crate::recorded::Library;

/// A SidecarSet as far as anybody looks at it.
#[derive(Clone, Debug)]
pub struct SidecarSet {
    /// Metadata.
    pub meta: Meta,
    /// All annotations: a new revision carries a copy of them (HIS-3).
    pub annotations: BTreeMap<String, String>,
    /// What the spec says, or why it cannot be read.
    pub content: Result<Content, String>,
    /// The status as stored.
    pub status: SidecarSetStatus,
}

/// A spec, and what follows from it alone.
#[derive(Clone, Debug)]
pub struct Content {
    /// The spec.
    pub spec: Arc<SidecarSetSpec>,
    /// The same, ready for injection.
    pub prepared: Arc<Prepared>,
    /// Which pods it is about.
    pub matcher: Matcher,
    /// The hashes that stand in the annotations, if they do.
    pub stated: Option<Hashes>,
    /// The hashes of the spec.
    pub computed: Hashes,
}

impl Record for SidecarSet {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn demands(&self) -> Option<&Demands> {
        self.content.as_ref().ok()?.matcher.demands()
    }
}

impl SidecarSet {
    /// Name.
    pub fn name(&self) -> &str {
        &self.meta.key.name
    }

    /// The user's own name of the current revision: `customVersion`, or the label in the older spelling (platform §18.2).
    pub fn custom_version(&self) -> Option<&str> {
        let spec = self.content.as_ref().ok().map(|content| &content.spec);
        let field = spec.and_then(|spec| spec.custom_version.as_deref());
        let label = || self.meta.labels.get(keys::SIDECARSET_CUSTOM_VERSION);
        field.filter(|version| !version.is_empty()).or_else(label).filter(|v| !v.is_empty())
    }

    /// Whether running pods are never touched; `false` of a spec that cannot be read.
    pub fn is_not_update(&self) -> bool {
        self.content.as_ref().is_ok_and(|content| content.spec.is_not_update())
    }

    /// The set that this one replaces where both match, if it is a canary (SEL-4).
    pub fn replaces(&self) -> Option<&str> {
        replaced_by(&self.annotations)
    }
}

/// The set that a set with these annotations replaces. One of the two annotations alone means nothing.
pub fn replaced_by(annotations: &BTreeMap<String, String>) -> Option<&str> {
    let canary = annotations.get(keys::SIDECARSET_CANARY).is_some_and(|value| value == "true");
    let base = annotations.get(keys::SIDECARSET_BASE).filter(|base| !base.is_empty());
    base.filter(|_| canary).map(String::as_str)
}

impl Content {
    /// Reads a spec; `annotations` are those of the set.
    pub fn new(
        spec: SidecarSetSpec,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let matcher = Matcher::new(&spec).map_err(|error| error.to_string())?;
        let stated = Hashes::recorded(annotations);
        let computed = match (hashes(&spec), &stated) {
            (Ok(computed), _) => computed,
            // Whoever stored it could.
            (Err(_), Some(stated)) => stated.clone(),
            (Err(error), None) => return Err(error.to_string()),
        };
        let spec = Arc::new(spec);
        let prepared = Arc::new(Prepared::new(spec.clone())?);
        Ok(Self { spec, prepared, matcher, stated, computed })
    }

    /// The hashes that count for the set with this UID (HSH-1); `revisions` are those that bear its name.
    pub fn hashes(
        &self,
        uid: &str,
        revisions: impl FnOnce() -> Vec<Arc<Revision>>,
        library: &Library,
    ) -> Hashes {
        in_force((self.stated.as_ref(), &self.computed), uid, revisions, library)
    }
}

/// A set as it comes from the API server.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = Typed)]
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
    type Record = SidecarSet;
    const KIND: &'static Kind = &SIDECAR_SET;

    fn into_record(self, interner: &Interner) -> SidecarSet {
        let meta = Meta::new(&self.metadata, interner);
        let annotations = self.metadata.annotations.unwrap_or_default();
        let spec = self.spec.parse::<SidecarSetSpec>().map_err(|error| error.to_string());
        let content = spec.and_then(|spec| Content::new(spec, &annotations));
        // A status that cannot be read is written anew.
        let status = self.status.parse().unwrap_or_default();
        SidecarSet { meta, annotations, content, status }
    }
}
