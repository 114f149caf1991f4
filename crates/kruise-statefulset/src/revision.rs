//! The current and the update revision of a set: which stored revision a template is, and what a new one looks like.

use std::cmp::Ordering;
use std::sync::Arc;

use kruise_api::keys;
use kruise_api::raw::RawJson;
use kruise_common::history;
use kruise_common::kind::{CONTROLLER_REVISION, STATEFUL_SET};
use kruise_common::meta::Meta;
use kruise_common::revision::Revision;
use kruise_common::write::Write;
use serde_json::{Value, json};

use crate::snapshot::{Invalid, Settings, Snapshot};

/// The revisions between which a set moves.
#[derive(Clone, Debug)]
pub struct Revisions {
    /// The revision before the rollout.
    pub current: Template,
    /// The revision after the rollout.
    pub update: Template,
    /// What must be written so that the update revision exists with the highest number.
    pub change: Change,
    /// How often a name was taken by other data.
    pub collision_count: i32,
    /// The revision that the status names as current, if it is gone and nothing tells which one it was.
    pub lost: Option<Arc<str>>,
}

/// A revision's name, stored bytes and pod template.
#[derive(Clone, Debug)]
pub struct Template {
    /// Name of the ControllerRevision: the value of the pods' revision label.
    pub name: Arc<str>,
    /// Stored bytes.
    pub data: RawJson,
    /// Pod template.
    pub template: RawJson,
}

/// What must be written for the update revision.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is there and the newest.
    None,
    /// It is there, but an older number: a rollback.
    Raise(i64),
    /// It is new.
    Create(NewRevision),
}

/// A revision that does not exist yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRevision {
    /// Name.
    pub name: Arc<str>,
    /// Value of the hash label: of the first count tried, even if the name got a later one.
    pub hash: String,
    /// Number.
    pub number: i64,
    /// Bytes.
    pub data: RawJson,
}

impl Revisions {
    /// Chooses both revisions (7.3); [`Snapshot::chosen`] has the result.
    pub(crate) fn choose(snapshot: &Snapshot, settings: &Settings) -> Result<Self, Invalid> {
        let encoded = history::encode(settings.template.get()).map_err(|error| Invalid {
            field: "spec.template".to_owned(),
            problem: error.to_string(),
        })?;
        let data = RawJson::from_string(encoded).map_err(|error| Invalid {
            field: "spec.template".to_owned(),
            problem: error.to_string(),
        })?;
        let count = snapshot.set.status.collision_count.unwrap_or(0);
        let newest = snapshot.revisions.last();
        // Equal bytes are what a converged set has, and cost no parsing. The newest comes first, in either sense: an older
        // one of equal bytes must not be raised above it, for every pod would be outdated then.
        let exact = |known: &&Arc<Revision>| known.data == data;
        let same =
            |known: &&Arc<Revision>| history::semantically_equal(known.data.get(), data.get());
        let equal = newest
            .filter(|newest| exact(newest) || same(newest))
            .or_else(|| snapshot.revisions.iter().rev().find(exact))
            .or_else(|| snapshot.revisions.iter().rev().find(same));
        let number = newest.map_or(0, |revision| revision.revision) + 1;
        let (name, stored, change, collision_count) = if let Some(known) = equal {
            let last = newest.is_some_and(|newest| newest.name() == known.name());
            let change = if last { Change::None } else { Change::Raise(number) };
            (known.name().clone(), known.data.clone(), change, count)
        } else {
            let (new, count) = free_name(snapshot, data.clone(), number, count);
            (new.name.clone(), data, Change::Create(new), count)
        };
        let update = Template { name, data: stored, template: settings.template.clone() };
        let (current, lost) = current(snapshot, settings, &update)?;
        Ok(Self { current, update, change, collision_count, lost })
    }

    /// The template of a pod at the named revision, if it is one of the two.
    pub fn by_name(&self, name: &str) -> &Template {
        if *self.current.name == *name { &self.current } else { &self.update }
    }
}

/// the revision that the status names. If there is no such name or no such revision, the pods tell: a rollout
/// leaves the lowest ones behind, so the lowest that is at another known revision is at the current one. Else it is the
/// update revision, as at the first sync. The name that was lost is returned too.
fn current(
    snapshot: &Snapshot,
    settings: &Settings,
    update: &Template,
) -> Result<(Template, Option<Arc<str>>), Invalid> {
    let name = snapshot.set.status.current_revision.as_deref().unwrap_or_default();
    if *update.name == *name {
        return Ok((update.clone(), None));
    }
    let of_pods = || {
        let mut pods = snapshot.pods.iter().filter(|(at, _)| settings.ordinals.contains(**at));
        pods.find_map(|(_, pod)| {
            snapshot.revision(pod.revision()?).filter(|r| *r.name() != update.name)
        })
    };
    let Some(revision) = snapshot.revision(name).or_else(of_pods) else {
        let lost = Some(name).filter(|name| !name.is_empty()).map(Arc::from);
        return Ok((update.clone(), lost));
    };
    let template = history::template_of(revision.data.get()).map_err(|error| Invalid {
        field: format!("ControllerRevision {}: data", revision.name()),
        problem: error.to_string(),
    })?;
    let (name, data) = (revision.name().clone(), revision.data.clone());
    Ok((Template { name, data, template }, None))
}

/// The first name, from the collision count upward, that no other data holds.
fn free_name(snapshot: &Snapshot, data: RawJson, number: i64, first: i32) -> (NewRevision, i32) {
    let set = snapshot.set.name();
    let hash = history::hash(data.get(), Some(first));
    let mut count = first;
    loop {
        let name = history::revision_name(set, &history::hash(data.get(), Some(count)));
        let all = snapshot.revisions.iter().chain(&snapshot.foreign_revisions);
        let taken = all.into_iter().any(|known| **known.name() == *name);
        if !taken || count == i32::MAX {
            return (NewRevision { name: name.into(), hash, number, data }, count);
        }
        count += 1;
    }
}

impl NewRevision {
    /// The POST that creates it.
    pub fn create(&self, snapshot: &Snapshot, settings: &Settings) -> Write {
        let mut labels = template_labels(&settings.template);
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(keys::CONTROLLER_HASH.to_owned(), json!(self.hash));
        }
        let meta = &snapshot.set.meta;
        let data: Value = self.data.parse().unwrap_or_default();
        let body = json!({
            "apiVersion": CONTROLLER_REVISION.api_version(),
            "kind": CONTROLLER_REVISION.kind,
            "metadata": {
                "labels": labels,
                "annotations": snapshot.set.annotations,
                "ownerReferences": [controller_reference(meta)],
            },
            "data": data,
            "revision": self.number,
        });
        Write::create(&CONTROLLER_REVISION, meta.key.sibling(self.name.clone()), body)
    }
}

/// The labels of a pod template, as an object.
fn template_labels(template: &RawJson) -> Value {
    let template: Value = template.parse().unwrap_or_default();
    match template.pointer("/metadata/labels") {
        Some(labels @ Value::Object(_)) => labels.clone(),
        _ => json!({}),
    }
}

/// The controller reference that everything the set makes carries (I-4).
pub fn controller_reference(set: &Meta) -> Value {
    set.controller_reference(&STATEFUL_SET)
}

/// The order of revisions.
pub fn by_age(a: &Revision, b: &Revision) -> Ordering {
    let key = |revision: &Revision| (revision.revision, revision.meta.created);
    key(a).cmp(&key(b)).then_with(|| a.name().cmp(b.name()))
}
