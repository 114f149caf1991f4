//! The revision that a set's spec is: which stored one, or what a new one looks like (section 23).

use std::cmp::Ordering;
use std::sync::Arc;

use kruise_api::raw::RawJson;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{CONTROLLER_REVISION, SIDECAR_SET};
use kruise_common::meta::Meta;
use kruise_common::revision::Revision;
use kruise_common::write::Write;
use serde_json::{Value, json};

use crate::revision;
use crate::snapshot::{Invalid, Snapshot};

/// The revision that the spec is.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its name.
    pub name: Arc<str>,
    /// What must be written so that it exists with the highest number.
    pub change: Change,
    /// How often a name was taken by other data.
    pub collision_count: i32,
}

/// What must be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is there and the newest.
    None,
    /// It is there with an older number: a rollback.
    Raise(i64),
    /// It is new.
    Create(NewRevision),
}

/// A revision that does not exist yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRevision {
    /// Name.
    pub name: Arc<str>,
    /// Value of the hash label.
    pub hash: String,
    /// Number.
    pub number: i64,
    /// Bytes.
    pub data: RawJson,
}

impl Registered {
    /// Chooses it (HIS-6); [`Snapshot::registered`] has the result.
    pub(crate) fn choose(snapshot: &Snapshot) -> Result<Self, Invalid> {
        let invalid = |problem: String| Invalid { field: "spec".to_owned(), problem };
        let content = snapshot.set.content.as_ref().map_err(|problem| invalid(problem.clone()))?;
        let data = revision::data(&content.spec).map_err(|error| invalid(error.to_string()))?;
        let count = snapshot.set.status.collision_count.unwrap_or(0);
        let newest = snapshot.revisions.last();
        let exact = |known: &&Arc<Revision>| known.data == data;
        let same = |known: &&Arc<Revision>| revision::semantically_equal(&known.data, &data);
        // Equal bytes are what a converged set has, and cost no parsing. The newest comes first in either sense.
        let equal = newest
            .filter(|newest| exact(newest) || same(newest))
            .or_else(|| snapshot.revisions.iter().rev().find(exact))
            .or_else(|| snapshot.revisions.iter().rev().find(same));
        let number = newest.map_or(0, |newest| newest.revision) + 1;
        if let Some(known) = equal {
            let last = newest.is_some_and(|newest| newest.name() == known.name());
            let change = if last { Change::None } else { Change::Raise(number) };
            return Ok(Self { name: known.name().clone(), change, collision_count: count });
        }
        let (new, collision_count) = free_name(snapshot, data, number, count);
        Ok(Self { name: new.name.clone(), change: Change::Create(new), collision_count })
    }
}

/// The first name, from the collision count upward, that nothing else holds (HIS-6.3).
fn free_name(snapshot: &Snapshot, data: RawJson, number: i64, first: i32) -> (NewRevision, i32) {
    let set = snapshot.set.name();
    let mut count = first;
    loop {
        let name = revision::name(set, &data, count);
        let mut own = snapshot.revisions.iter().map(|revision| &**revision.name());
        let taken =
            own.any(|known| known == name) || snapshot.taken.iter().any(|known| **known == *name);
        if !taken || count == i32::MAX {
            let hash = revision::hash(&data, count);
            return (NewRevision { name: name.into(), hash, number, data }, count);
        }
        count += 1;
    }
}

impl NewRevision {
    /// The POST that creates it (HIS-3).
    pub fn create(&self, snapshot: &Snapshot) -> Write {
        let set = &snapshot.set;
        let data: Value = self.data.parse().unwrap_or_default();
        let mut annotations = set.annotations.clone();
        // Those on the set may be of another content.
        let hashes = snapshot.settings.as_ref().ok().map(|settings| settings.hashes.annotations());
        let hashes = hashes.into_iter().flatten();
        annotations.extend(hashes.map(|(key, hash)| (key.to_owned(), hash.to_owned())));
        let body = json!({
            "apiVersion": CONTROLLER_REVISION.api_version(),
            "kind": CONTROLLER_REVISION.kind,
            "metadata": {
                "labels": revision::labels(set, &self.hash),
                "annotations": annotations,
                "ownerReferences": [controller_reference(&set.meta)],
            },
            "data": data,
            "revision": self.number,
        });
        let key = ObjectKey::new(snapshot.revision_namespace.clone(), self.name.clone());
        Write::create(&CONTROLLER_REVISION, key, body)
    }
}

fn controller_reference(set: &Meta) -> Value {
    json!({
        "apiVersion": SIDECAR_SET.api_version(),
        "kind": SIDECAR_SET.kind,
        "name": &*set.key.name,
        "uid": &*set.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// The order of revisions (HIS-5).
pub fn by_age(a: &Revision, b: &Revision) -> Ordering {
    let key = |revision: &Revision| (revision.revision, revision.meta.created);
    key(a).cmp(&key(b)).then_with(|| a.name().cmp(b.name()))
}
