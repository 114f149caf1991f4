//! Which sets a change concerns (section 16). The names are on the pod; only to find out whom it
//! lacks are those sets asked that its labels lead to.

use std::collections::BTreeSet;
use std::sync::Arc;

use kruise_api::keys;
use kruise_common::key::ObjectKey;
use kruise_common::meta::Pairs;
use kruise_common::pod::Pod;
use kruise_common::revision::Revision;
use kruise_common::table::{Change, Table};

use crate::member::{accused, active};
use crate::namespace::Namespace;
use crate::object::SidecarSet;
use crate::observe::misses;
use crate::registration::Unasked;

/// The key of a set.
pub fn key(set: impl Into<Arc<str>>) -> ObjectKey {
    ObjectKey::new("", set)
}

/// A set concerns itself (EVT-2, EVT-3), unless only its status changed: every status that we write comes back. When it
/// falls silent it concerns those too that share a pod of which it said that it cannot be updated (W-12).
pub fn set(pods: Option<&Arc<Table<Pod>>>, change: &Change<SidecarSet>) -> Vec<ObjectKey> {
    let silent = |set: &Option<Arc<SidecarSet>>| set.as_ref().is_none_or(|set| set.is_not_update());
    let mut keys = itself(change);
    if let (Some(pods), Some(old), false, true) =
        (pods, &change.old, silent(&change.old), silent(&change.new))
    {
        let pods = pods.in_group(old.name());
        let said = pods.iter().filter(|pod| accused(pod).iter().any(|name| **name == *old.name()));
        let names: BTreeSet<&Arc<str>> = said.flat_map(|pod| pod.injected.iter()).collect();
        keys.extend(
            names.into_iter().filter(|name| ***name != *old.name()).map(|name| key(name.clone())),
        );
    }
    keys
}

fn itself(change: &Change<SidecarSet>) -> Vec<ObjectKey> {
    let (Some(old), Some(new)) = (&change.old, &change.new) else {
        let row = change.new.as_ref().or(change.old.as_ref());
        return row.map(|set| set.meta.key.clone()).into_iter().collect();
    };
    let same = old.meta.uid == new.meta.uid
        && old.meta.generation == new.meta.generation
        && old.meta.labels == new.meta.labels
        && old.meta.deleted == new.meta.deleted
        && old.annotations == new.annotations;
    if same { Vec::new() } else { vec![new.meta.key.clone()] }
}

/// The sets that injected into the pod, and those that should have, if anything changed that they look at (EVT-4…EVT-10,
/// W-4, W-16).
pub fn pod(sets: &Table<SidecarSet>, unasked: &Unasked, change: &Change<Pod>) -> Vec<ObjectKey> {
    let mut keys = injecting(change);
    let (old, new) = (change.old.as_deref(), change.new.as_deref());
    if old.map(seen) != new.map(seen) {
        for pod in old.into_iter().chain(new) {
            keys.extend(missing(sets, unasked, pod));
        }
        keys.sort();
        keys.dedup();
    }
    keys
}

/// The sets that should have injected into the pod, as far as it shows.
fn missing(sets: &Table<SidecarSet>, unasked: &Unasked, pod: &Pod) -> Vec<ObjectKey> {
    let sets = sets.selecting(pod.meta.labels.iter()).into_iter();
    sets.filter(|set| misses(set, pod, unasked)).map(|set| set.meta.key.clone()).collect()
}

/// What decides whether a pod is missed by somebody, and whether it can be evicted.
fn seen(pod: &Pod) -> (&Pairs, bool, bool) {
    (&pod.meta.labels, active(pod), pod.ready())
}

/// The sets that injected into the pod.
fn injecting(change: &Change<Pod>) -> Vec<ObjectKey> {
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && same(old, new)
    {
        return Vec::new();
    }
    let rows = [change.old.as_deref(), change.new.as_deref()];
    let names: BTreeSet<&Arc<str>> =
        rows.into_iter().flatten().flat_map(|pod| pod.injected.iter()).collect();
    names.into_iter().map(|name| key(name.clone())).collect()
}

/// Whether no set sees a difference.
fn same(old: &Pod, new: &Pod) -> bool {
    let condition = |pod: &Pod| {
        pod.condition(keys::SIDECARSET_UPGRADABLE).and_then(|condition| condition.message.clone())
    };
    old.meta.uid == new.meta.uid
        && old.meta.deleted == new.meta.deleted
        && old.meta.labels == new.meta.labels
        // Who would make it again, if it is to be evicted.
        && old.meta.owners == new.meta.owners
        && old.annotations == new.annotations
        && old.phase == new.phase
        // A container may stay as it is once the kubelet has seen what is asked of it.
        && old.observed_generation == new.observed_generation
        && old.ready() == new.ready()
        && old.containers == new.containers
        && old.init_containers == new.init_containers
        && old.statuses == new.statuses
        && old.init_statuses == new.init_statuses
        && condition(old) == condition(new)
}

/// The sets whose pods, or pods that they miss, are in a namespace whose labels changed (W-4, W-16).
pub fn namespace(
    sets: &Table<SidecarSet>,
    (pods, unasked): (&Table<Pod>, &Unasked),
    change: &Change<Namespace>,
) -> Vec<ObjectKey> {
    let labels = |row: &Option<Arc<Namespace>>| row.as_ref().map(|row| row.meta.labels.clone());
    let Some(row) = change.new.as_ref().or(change.old.as_ref()) else { return Vec::new() };
    if labels(&change.old) == labels(&change.new) {
        return Vec::new();
    }
    let rows = pods.with_prefix(&row.meta.key.name, "");
    let names: BTreeSet<&Arc<str>> = rows.iter().flat_map(|pod| pod.injected.iter()).collect();
    let mut keys: BTreeSet<ObjectKey> = names.into_iter().map(|name| key(name.clone())).collect();
    keys.extend(rows.iter().flat_map(|pod| missing(sets, unasked, pod)));
    keys.into_iter().collect()
}

/// The set that a revision is labelled with.
pub fn revision(change: &Change<Revision>) -> Vec<ObjectKey> {
    let rows = [change.old.as_deref(), change.new.as_deref()];
    let names: BTreeSet<&Arc<str>> = rows
        .into_iter()
        .flatten()
        .filter_map(|revision| revision.meta.labels.shared(keys::SIDECARSET_NAME))
        .collect();
    names.into_iter().map(|name| key(name.clone())).collect()
}
