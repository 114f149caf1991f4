//! Which sets a change concerns; pure.

use std::sync::Arc;

use kruise_api::keys;
use kruise_common::claim::Claim;
use kruise_common::key::ObjectKey;
use kruise_common::meta::Meta;
use kruise_common::pod::{Pod, parse_name};
use kruise_common::revision::Revision;
use kruise_common::storage_class::StorageClass;
use kruise_common::table::{Change, Record};

use crate::object::Set;
use crate::pull_job::PullJob;

/// A set concerns itself (E-1).
pub fn set(change: &Change<Set>) -> Vec<ObjectKey> {
    let row = change.new.as_ref().or(change.old.as_ref());
    row.map(|set| set.meta.key.clone()).into_iter().collect()
}

/// The set that controls or controlled the pod (E-2), and the one whose name the pod bears: it may adopt it,
/// or wait for its name (E-4, E-21).
pub fn pod(change: &Change<Pod>) -> Vec<ObjectKey> {
    let rows = [change.old.as_deref(), change.new.as_deref()];
    let mut sets: Vec<ObjectKey> = Vec::new();
    for pod in rows.into_iter().flatten() {
        let namesake = parse_name(pod.name()).map(|(parent, _)| pod.meta.key.sibling(parent));
        // Both: the namesake may wait for a name that a pod of another set holds.
        sets.extend(owner(pod.meta()).into_iter().chain(namesake));
    }
    sets.sort();
    sets.dedup();
    sets
}

/// The set that controls or controlled the revision.
pub fn revision(change: &Change<Revision>) -> Vec<ObjectKey> {
    let rows = [change.old.as_deref(), change.new.as_deref()];
    let mut sets: Vec<ObjectKey> = rows
        .into_iter()
        .flatten()
        .filter_map(|revision| {
            let namesake = || {
                let (parent, _) = revision.name().rsplit_once('-')?;
                Some(revision.meta.key.sibling(parent))
            };
            owner(&revision.meta).or_else(namesake)
        })
        .collect();
    sets.sort();
    sets.dedup();
    sets
}

/// The sets whose claim this could be by its name `<template>-<set>-<ordinal>`: template and set name may both
/// contain dashes, so every split is asked; those that are no set cost one look-up (E-3, W-31).
pub fn claim(change: &Change<Claim>) -> Vec<ObjectKey> {
    let Some(claim) = change.new.as_ref().or(change.old.as_ref()) else { return Vec::new() };
    let Some((name, _)) = parse_name(&claim.meta.key.name) else { return Vec::new() };
    let dashes = name.char_indices().filter(|(_, c)| *c == '-');
    dashes.filter_map(|(at, _)| name.get(at + 1..)).map(|set| claim.meta.key.sibling(set)).collect()
}

/// Every set, if the class can grow volumes now and could not before, or the other way round (W-31).
pub fn class(
    change: &Change<StorageClass>,
    all: impl FnOnce() -> Vec<ObjectKey>,
) -> Vec<ObjectKey> {
    let expandable =
        |class: &Option<Arc<StorageClass>>| class.as_ref().map(|class| class.expandable);
    if expandable(&change.old) == expandable(&change.new) { Vec::new() } else { all() }
}

/// The set that controls a job that is new or gone.
pub fn pull_job(change: &Change<PullJob>) -> Vec<ObjectKey> {
    let row = change.new.as_ref().or(change.old.as_ref());
    row.and_then(|job| owner(&job.meta)).into_iter().collect()
}

fn owner(meta: &Meta) -> Option<ObjectKey> {
    let owner = meta.controller()?;
    let ours = *owner.group == *keys::GROUP && *owner.kind == *"StatefulSet";
    ours.then(|| meta.key.sibling(owner.name.clone()))
}
