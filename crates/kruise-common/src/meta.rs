//! What every cached record keeps of an object's metadata, and how it is read off the wire
//! without the members nobody uses (managedFields alone can outweigh the rest of a pod).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde::{Deserialize, Deserializer};

use crate::intern::Interner;
use crate::key::ObjectKey;

/// A reference from an object to its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// API group of the owner; its version is irrelevant to identity.
    pub group: Arc<str>,
    /// Kind of the owner.
    pub kind: Arc<str>,
    /// Name of the owner.
    pub name: Arc<str>,
    /// UID of the owner.
    pub uid: Arc<str>,
    /// Whether this owner is the managing controller.
    pub controller: bool,
}

/// Labels or annotations, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(Box<[(Arc<str>, Arc<str>)]>);

impl Pairs {
    /// Pairs from an ordered map; values are shared through `interner`.
    pub fn interned(map: &BTreeMap<String, String>, interner: &Interner) -> Self {
        Self(map.iter().map(|(k, v)| (interner.get(k), interner.get(v))).collect())
    }

    /// Only the pairs whose key `keep` accepts; values are not shared, for they rarely repeat.
    pub fn kept(
        map: &BTreeMap<String, String>,
        interner: &Interner,
        keep: impl Fn(&str) -> bool,
    ) -> Self {
        let kept = map.iter().filter(|(k, _)| keep(k));
        Self(kept.map(|(k, v)| (interner.get(k), Arc::from(v.as_str()))).collect())
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| &**value)
    }

    /// All pairs in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (&**k, &**v))
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An owned ordered map.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
}

/// The metadata of a cached record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Namespace and name.
    pub key: ObjectKey,
    /// UID; empty only for objects that were never stored.
    pub uid: Arc<str>,
    /// Resource version as the server wrote it.
    pub resource_version: Arc<str>,
    /// Generation of the spec, 0 if the kind has none.
    pub generation: i64,
    /// When the object was created.
    pub created: Option<Timestamp>,
    /// When the object was or will be removed; set means terminating.
    pub deleted: Option<Timestamp>,
    /// Owner references in stored order.
    pub owners: Box<[Owner]>,
    /// Labels.
    pub labels: Pairs,
    /// Finalizers in stored order.
    pub finalizers: Box<[Arc<str>]>,
}

impl Meta {
    /// The record form of `meta`.
    pub fn new(meta: &ObjectMeta, interner: &Interner) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let owners = meta.owner_references.as_deref().unwrap_or_default();
        let none = BTreeMap::new();
        Self {
            key: ObjectKey::new(interner.get(&text(&meta.namespace)), text(&meta.name)),
            uid: text(&meta.uid).into(),
            resource_version: text(&meta.resource_version).into(),
            generation: meta.generation.unwrap_or(0),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            deleted: meta.deletion_timestamp.as_ref().map(|time| time.0),
            owners: owners.iter().map(|owner| Owner::new(owner, interner)).collect(),
            labels: Pairs::interned(meta.labels.as_ref().unwrap_or(&none), interner),
            finalizers: meta.finalizers.iter().flatten().map(|f| interner.get(f)).collect(),
        }
    }

    /// The owner that manages the object.
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }

    /// Whether the object is being removed.
    pub fn terminating(&self) -> bool {
        self.deleted.is_some()
    }

    /// The resource version as a number; `None` if the server writes something else.
    pub fn version(&self) -> Option<u64> {
        self.resource_version.parse().ok()
    }
}

impl Owner {
    fn new(owner: &OwnerReference, interner: &Interner) -> Self {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        Self {
            group: interner.get(group),
            kind: interner.get(&owner.kind),
            name: interner.get(&owner.name),
            uid: interner.get(&owner.uid),
            controller: owner.controller.unwrap_or(false),
        }
    }
}

/// Reads an `ObjectMeta` but skips what no controller needs; use with `#[serde(deserialize_with)]`.
pub fn lean_meta<'de, D: Deserializer<'de>>(source: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Lean {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        generation: Option<i64>,
        creation_timestamp: Option<Time>,
        deletion_timestamp: Option<Time>,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<BTreeMap<String, String>>,
        owner_references: Option<Vec<OwnerReference>>,
        finalizers: Option<Vec<String>>,
    }
    let lean = Lean::deserialize(source)?;
    Ok(ObjectMeta {
        name: lean.name,
        namespace: lean.namespace,
        uid: lean.uid,
        resource_version: lean.resource_version,
        generation: lean.generation,
        creation_timestamp: lean.creation_timestamp,
        deletion_timestamp: lean.deletion_timestamp,
        labels: lean.labels,
        annotations: lean.annotations,
        owner_references: lean.owner_references,
        finalizers: lean.finalizers,
        ..ObjectMeta::default()
    })
}
