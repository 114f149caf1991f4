//! What every cached record keeps of an object's metadata, and how it is read off the wire
//! without the members nobody uses (managedFields alone can outweigh the rest of a pod).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kruise_api::shared::selector::Labels;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::intern::Interner;
use crate::key::ObjectKey;
use crate::kind::Kind;
use crate::moment::Moment;

/// A reference from an object to its owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

/// Labels or annotations, sorted by key. Objects of one workload share the list of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs {
    keys: Arc<[Arc<str>]>,
    values: Box<[Arc<str>]>,
}

impl Pairs {
    /// Pairs from an ordered map; values are shared through `interner`.
    pub fn interned(map: &BTreeMap<String, String>, interner: &Interner) -> Self {
        let keys = interner.list(map.keys().map(String::as_str));
        Self { keys, values: map.values().map(|value| interner.get(value)).collect() }
    }

    /// Only the pairs whose key `keep` accepts; values are not shared, for they rarely repeat.
    pub fn kept(
        map: &BTreeMap<String, String>,
        interner: &Interner,
        keep: impl Fn(&str) -> bool,
    ) -> Self {
        let kept = || map.iter().filter(|(key, _)| keep(key));
        let keys = interner.list(kept().map(|(key, _)| key.as_str()));
        Self { keys, values: kept().map(|(_, value)| Arc::from(value.as_str())).collect() }
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.keys.binary_search_by(|known| (**known).cmp(key)).ok()?;
        self.values.get(at).map(|value| &**value)
    }

    /// The value of `key` as it is shared.
    pub fn shared(&self, key: &str) -> Option<&Arc<str>> {
        let at = self.keys.binary_search_by(|known| (**known).cmp(key)).ok()?;
        self.values.get(at)
    }

    /// All pairs in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().zip(&self.values).map(|(key, value)| (&**key, &**value))
    }

    /// All pairs in key order, as they are shared.
    pub fn shared_pairs(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.keys.iter().zip(&self.values)
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// An owned ordered map.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
}

impl Labels for Pairs {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)
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
    pub created: Option<Moment>,
    /// When the object was or will be removed; set means terminating.
    pub deleted: Option<Moment>,
    /// Owner references in stored order.
    pub owners: Arc<[Owner]>,
    /// Labels.
    pub labels: Pairs,
    /// Finalizers in stored order.
    pub finalizers: Arc<[Arc<str>]>,
}

impl Meta {
    /// The record form of `meta`.
    pub fn new(meta: &ObjectMeta, interner: &Interner) -> Self {
        let owners = meta.owner_references.as_deref().unwrap_or_default();
        let owners: Vec<Owner> = owners.iter().map(|owner| Owner::new(owner, interner)).collect();
        let none = BTreeMap::new();
        let time = |time: &Option<Time>| time.as_ref().map(|time| time.0.into());
        let name = interner.get(meta.name.as_deref().unwrap_or_default());
        Self {
            // Names are shared too: a pod's is the value of one of its labels, a claim's is named by its pod.
            key: ObjectKey::new(interner.get(meta.namespace.as_deref().unwrap_or_default()), name),
            uid: meta.uid.as_deref().unwrap_or_default().into(),
            resource_version: meta.resource_version.as_deref().unwrap_or_default().into(),
            generation: meta.generation.unwrap_or(0),
            created: time(&meta.creation_timestamp),
            deleted: time(&meta.deletion_timestamp),
            owners: interner.owners(&owners),
            labels: Pairs::interned(meta.labels.as_ref().unwrap_or(&none), interner),
            finalizers: interner.list(meta.finalizers.iter().flatten().map(String::as_str)),
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

    /// The reference by which an object of `kind` with this metadata controls another.
    pub fn controller_reference(&self, kind: &Kind) -> Value {
        json!({
            "apiVersion": kind.api_version(),
            "kind": kind.kind,
            "name": &*self.key.name,
            "uid": &*self.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        })
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
        deletion_grace_period_seconds: Option<i64>,
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
        deletion_grace_period_seconds: lean.deletion_grace_period_seconds,
        labels: lean.labels,
        annotations: lean.annotations,
        owner_references: lean.owner_references,
        finalizers: lean.finalizers,
        ..ObjectMeta::default()
    })
}
