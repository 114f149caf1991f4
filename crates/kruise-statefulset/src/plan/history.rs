//! Revisions: register the update revision, adopt orphans, drop what is beyond the history limit.

use std::collections::BTreeSet;
use std::sync::Arc;

use kruise_api::keys;
use kruise_common::plan::Note;

use super::action::Action;
use super::hold::Hold;
use super::turn::Turn;
use crate::revision::Change;

/// The update revision exists and has the highest number before any pod gets it; orphans are adopted (R-14…R-20).
pub fn register(turn: &mut Turn<'_>) {
    let mut actions = Vec::new();
    if !turn.snapshot.deleting() {
        let orphans = turn.snapshot.revisions.iter();
        let orphans = orphans.filter(|revision| revision.meta.controller().is_none());
        actions.extend(orphans.map(|orphan| Action::AdoptRevision { name: orphan.name().clone() }));
    }
    if let Some(lost) = &turn.revisions.lost
        && turn.rolling().is_some_and(|rolling| rolling.partition > 0)
    {
        // Pods that the partition should keep come back at the update revision: somebody must know.
        let text = format!(
            "the revision {lost} is gone: pods that the partition keeps come back at {}",
            turn.revisions.update.name
        );
        turn.plan.notes.push(Note::warning(keys::EVENT_WAITING, text));
        turn.hold(Hold::HistoryLost { revision: lost.to_string() });
    }
    match &turn.revisions.change {
        Change::None => {}
        Change::Raise(number) => {
            let name = turn.revisions.update.name.clone();
            actions.push(Action::RaiseRevision { name, number: *number });
        }
        Change::Create(new) => actions.push(Action::CreateRevision(new.clone())),
    }
    turn.plan.in_order(actions);
}

/// Of the revisions that nobody uses the newest stay, as many as the limit says; the oldest goes first.
pub fn truncate(turn: &mut Turn<'_>) {
    let mut live: BTreeSet<&str> =
        turn.snapshot.pods.values().filter_map(|pod| pod.revision()).collect();
    live.insert(&turn.revisions.current.name);
    live.insert(&turn.revisions.update.name);
    let owned = turn.snapshot.revisions.iter().filter(|r| r.meta.controller().is_some());
    let unused: Vec<Arc<str>> =
        owned.filter(|r| !live.contains(&**r.name())).map(|r| r.name().clone()).collect();
    let surplus = unused.len().saturating_sub(turn.settings.history_limit);
    let drop = unused.into_iter().take(surplus).map(|name| Action::DeleteRevision { name });
    let actions = drop.collect();
    turn.plan.in_order(actions);
}
