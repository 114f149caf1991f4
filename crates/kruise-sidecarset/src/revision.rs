//! Recorded revisions of a set (sidecarset §23): the bytes, the name, the labels, and what a record says when it is read.
//!
//! When a revision is written, raised or deleted is decided by the roll-out.

use std::collections::BTreeMap;
use std::sync::Arc;

use kruise_api::keys;
use kruise_api::raw::RawJson;
use kruise_api::sidecarset::container::SidecarContainer;
use kruise_api::sidecarset::v1beta1::SidecarSetSpec;
use kruise_common::history::schema::Kind;
use kruise_common::history::{self, Form, TemplateError, encode_value};
use kruise_common::revision::Revision;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::hash::{Hashes, hashes};
use crate::object::SidecarSet;
use crate::schema::REVISION;

/// The data of the revision of a spec (HIS-2), byte for byte as OpenKruise v1.9 stores it.
pub fn data(spec: &SidecarSetSpec) -> Result<RawJson, TemplateError> {
    let text = encode_value(&Kind::Struct(REVISION), &recorded(spec)?, Form::Stored)?;
    RawJson::from_string(text).map_err(|error| broken(&error))
}

/// Whether two revisions' data mean the same, whatever their spelling.
pub fn semantically_equal(a: &RawJson, b: &RawJson) -> bool {
    let meaning = |data: &RawJson| {
        let value: Value = data.parse().map_err(|error| broken(&error))?;
        encode_value(&Kind::Struct(REVISION), &value, Form::Meaning)
    };
    a == b || matches!((meaning(a), meaning(b)), (Ok(a), Ok(b)) if a == b)
}

/// The five parts of a spec that are recorded; absent ones and empty lists are null.
fn recorded(spec: &SidecarSetSpec) -> Result<Value, TemplateError> {
    let parse = |raw: &RawJson| raw.parse::<Value>().map_err(|error| broken(&error));
    let containers = |list: &[SidecarContainer]| -> Result<Value, TemplateError> {
        Ok(or_null(list.iter().map(|item| parse(item.raw())).collect::<Result<_, _>>()?))
    };
    let volumes: Result<Vec<Value>, _> = spec.volumes.iter().map(parse).collect();
    let plain = |items: Vec<Value>| or_null(items);
    let json = |item: Result<Value, serde_json::Error>| item.unwrap_or_default();
    let secrets =
        spec.image_pull_secrets.iter().map(|item| json(serde_json::to_value(item))).collect();
    let patches =
        spec.patch_pod_metadata.iter().map(|item| json(serde_json::to_value(item))).collect();
    Ok(json!({ "spec": {
        "$patch": "replace",
        "containers": containers(&spec.containers)?,
        "imagePullSecrets": plain(secrets),
        "initContainers": containers(&spec.init_containers)?,
        "patchPodMetadata": plain(patches),
        "volumes": or_null(volumes?),
    } }))
}

fn or_null(items: Vec<Value>) -> Value {
    if items.is_empty() { Value::Null } else { Value::Array(items) }
}

fn broken(error: &serde_json::Error) -> TemplateError {
    TemplateError { path: "data".to_owned(), problem: error.to_string() }
}

/// The short hash of revision data: part of the name, and a label (HIS-4).
pub fn hash(data: &RawJson, collision_count: i32) -> String {
    history::hash(data.get(), Some(collision_count))
}

/// The name of the revision of `set` with that data (HIS-4).
pub fn name(set: &str, data: &RawJson, collision_count: i32) -> String {
    history::revision_name(set, &hash(data, collision_count))
}

/// The labels of a revision (HIS-3); its annotations are those of the set.
pub fn labels(set: &SidecarSet, hash: &str) -> BTreeMap<String, String> {
    let mut labels = set.meta.labels.to_map();
    labels.insert(keys::CONTROLLER_HASH.to_owned(), hash.to_owned());
    labels.insert(keys::SIDECARSET_NAME.to_owned(), set.name().to_owned());
    if let Some(version) = set.custom_version() {
        labels.insert(keys::SIDECARSET_CUSTOM_VERSION.to_owned(), version.to_owned());
    }
    labels
}

/// Why a recorded revision cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// There is none of that name or version (HIS-20).
    #[error("ControllerRevision.apps {0:?} not found")]
    NotFound(String),
    /// Its data cannot be read.
    #[error("ControllerRevision {name}: {problem}")]
    Unreadable {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// The revision that a set names for injection (HIS-20): by name, or the newest of a version. `revisions` are those of
/// the namespace in which revisions are kept; one of another set is not taken (W-33).
pub fn find<'a>(
    set: &str,
    revision_name: Option<&str>,
    custom_version: Option<&str>,
    revisions: impl IntoIterator<Item = &'a Arc<Revision>>,
) -> Result<&'a Arc<Revision>, Unusable> {
    let own =
        |revision: &&Arc<Revision>| revision.meta.labels.get(keys::SIDECARSET_NAME) == Some(set);
    let mut own = revisions.into_iter().filter(own);
    let found = match (revision_name, custom_version) {
        (Some(name), _) => own.find(|revision| **revision.name() == *name),
        (None, version) => own
            .filter(|revision| revision.meta.labels.get(keys::SIDECARSET_CUSTOM_VERSION) == version)
            .max_by_key(|revision| (revision.revision, revision.meta.created, revision.name())),
    };
    found.ok_or_else(|| Unusable::NotFound(revision_name.unwrap_or(set).to_owned()))
}

/// A recorded spec: only the five recorded parts are set (HIS-21).
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// Name of the revision.
    pub name: Arc<str>,
    /// What was recorded.
    pub spec: SidecarSetSpec,
    /// The hashes of what was recorded, as the revision says them.
    pub hashes: Hashes,
    /// The same as they are computed here.
    pub computed: Hashes,
}

/// Reads a revision. The hashes are those of its annotations, or computed if it has none (HIS-21).
pub fn restore(revision: &Revision) -> Result<Restored, Unusable> {
    #[derive(Deserialize)]
    struct Data {
        spec: SidecarSetSpec,
    }
    let unreadable =
        |problem: String| Unusable::Unreadable { name: revision.name().to_string(), problem };
    let data: Data = revision.data.parse().map_err(|error| unreadable(error.to_string()))?;
    let (stated, computed) = (Hashes::recorded(&revision.annotations), hashes(&data.spec));
    let (hashes, computed) = match (stated, computed) {
        (Some(stated), Ok(computed)) => (stated, computed),
        // Whoever recorded it could.
        (Some(stated), Err(_)) => (stated.clone(), stated),
        (None, computed) => {
            let computed = computed.map_err(|error| unreadable(error.to_string()))?;
            (computed.clone(), computed)
        }
    };
    Ok(Restored { name: revision.name().clone(), spec: data.spec, hashes, computed })
}

/// Whether a revision that bears the name of a set is that of the set with this UID (HIS-5).
pub fn is_of(revision: &Revision, uid: &str) -> bool {
    revision.meta.controller().is_none_or(|owner| *owner.uid == *uid)
}
