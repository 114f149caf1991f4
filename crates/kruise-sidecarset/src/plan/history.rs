//! Revisions: register the spec, give it the user's name, drop what is beyond the history limit (section 23).

use std::collections::BTreeSet;
use std::sync::Arc;

use kruise_api::keys;

use super::action::Action;
use super::turn::Turn;
use crate::registered::{Change, Registered};
use crate::snapshot::Settings;

/// The revision that the spec is exists, has the highest number, and bears the user's name (HIS-6, HIS-7).
pub fn register(turn: &mut Turn<'_>, registered: &Registered) {
    let name = registered.name.clone();
    let mut actions = Vec::new();
    match &registered.change {
        Change::None => {}
        Change::Raise(number) => actions.push(Action::RaiseRevision { name, number: *number }),
        Change::Create(new) => actions.push(Action::CreateRevision(new.clone())),
    }
    let known = turn.snapshot.revision(&registered.name);
    if let (Some(version), Some(known)) = (turn.snapshot.set.custom_version(), known)
        && known.meta.labels.get(keys::SIDECARSET_CUSTOM_VERSION) != Some(version)
    {
        let name = registered.name.clone();
        actions.push(Action::LabelRevision { name, version: version.to_owned() });
    }
    turn.plan.in_order(actions);
}

/// Of the revisions the oldest go first, as many as there are beyond the limit; never the newest, nor one that a pod or
/// the set itself names (HIS-8).
pub fn truncate(turn: &mut Turn<'_>, settings: &Settings, registered: &Registered) {
    let snapshot = turn.snapshot;
    let coming = usize::from(matches!(registered.change, Change::Create(_)));
    let surplus = (snapshot.revisions.len() + coming).saturating_sub(settings.history_limit);
    if surplus == 0 {
        return;
    }
    let mut active: BTreeSet<&str> =
        snapshot.members.iter().filter_map(|member| member.revision.as_deref()).collect();
    active.insert(&registered.name);
    if let Some(pin) = &settings.pinned {
        active.extend(pin.name.as_deref());
        let named = snapshot.revisions.iter().rev().find(|revision| {
            let label = revision.meta.labels.get(keys::SIDECARSET_CUSTOM_VERSION);
            label.is_some() && label == pin.version.as_deref()
        });
        active.extend(named.map(|revision| &**revision.name()));
    }
    let unused = snapshot.revisions.iter().filter(|revision| !active.contains(&**revision.name()));
    let drop = unused.take(surplus).map(|revision| Arc::clone(revision.name()));
    let actions = drop.map(|name| Action::DeleteRevision { name }).collect();
    turn.plan.in_order(actions);
}
