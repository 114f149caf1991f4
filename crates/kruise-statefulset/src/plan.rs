//! The stages of a turn, in the order of the specification (8.2, 10, 11). No stage calls another.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kruise_common::plan::{Note, Plan};

use crate::progress;
use crate::revision::Revisions;
use crate::snapshot::{Invalid, Settings, Snapshot};

pub mod action;
mod claims;
mod condemn;
mod history;
pub mod hold;
mod order;
mod ownership;
mod prefetch;
mod recover;
mod refresh;
mod resize;
mod scale;
mod specified_delete;
mod turn;
mod unavailable;
mod update;

use action::Action;
use hold::Hold;
pub use turn::lifecycle_normal;
use turn::{Flow, Turn};

/// What to do about the set, and why not more.
pub fn plan(snapshot: &Snapshot, now: Timestamp) -> Plan<Action, Hold> {
    match snapshot.chosen() {
        Ok((settings, revisions)) => staged(snapshot, settings, revisions, now),
        Err(invalid) => refused(snapshot, invalid, now),
    }
}

fn staged(
    snapshot: &Snapshot,
    settings: &Settings,
    revisions: &Revisions,
    now: Timestamp,
) -> Plan<Action, Hold> {
    let plan = Plan::default();
    let mut turn = Turn {
        snapshot,
        settings,
        revisions,
        now,
        plan,
        touched: BTreeSet::new(),
        bound: BTreeSet::new(),
        replaceable: BTreeSet::new(),
        explained: BTreeSet::new(),
        resting: BTreeSet::new(),
        passed: BTreeSet::new(),
        only_down: BTreeSet::new(),
        created_old: BTreeSet::new(),
        only: None,
    };
    if snapshot.deleting() {
        // The garbage collector does the rest; only the status is kept (M-8, AC-8).
        turn.hold(Hold::SetDeleting);
        return turn.plan;
    }
    // First what keeps pods out of traffic: nothing that is refused may hold that up.
    refresh::refresh(&mut turn);
    history::register(&mut turn);
    if ownership::settle(&mut turn) == Flow::Continue {
        claims::keep(&mut turn);
        let mut flow = replicas(&mut turn);
        if flow == Flow::Stop
            && let Some(ordinal) = recover::candidate(&turn)
        {
            flow = Flow::Only(ordinal);
        }
        if let Flow::Only(ordinal) = flow {
            turn.only = Some(ordinal);
        }
        if flow == Flow::Stop {
            update::give_back(&mut turn);
        } else {
            update::update(&mut turn);
        }
        history::truncate(&mut turn);
        prefetch::prefetch(&mut turn);
    }
    turn.watch_the_clock();
    let under_way = settings.progress_deadline.is_some() && update::under_way(&turn);
    let mut plan = turn.plan;
    if under_way {
        progress::watch_deadline(snapshot, settings, &mut plan, now);
    }
    plan.notes.extend(progress::note(snapshot, &plan));
    plan
}

/// Creates and removes. In ordered mode pods come before others go; otherwise those that go are not held up by those that
/// cannot come, which may need their room in a quota (O-6).
fn replicas(turn: &mut Turn<'_>) -> Flow {
    if turn.settings.ordered {
        match scale::scale(turn) {
            Flow::Continue => condemn::condemn(turn),
            // Who lets an ordered update take down several pods wants it to go on while one of them is down or at a hook
            // (K-1).
            Flow::Stop | Flow::Only(_)
                if turn.rolling().is_some_and(|rolling| rolling.max_unavailable > 1) =>
            {
                Flow::Continue
            }
            stopped => stopped,
        }
    } else {
        condemn::condemn(turn);
        scale::scale(turn)
    }
}

/// A spec that means nothing: no pod is made, removed or updated, and the user is told why (W-20, W-28). Updates that are
/// under way come to their end.
fn refused(
    snapshot: &Snapshot,
    Invalid { field, problem }: Invalid,
    now: Timestamp,
) -> Plan<Action, Hold> {
    let note = Note::warning(kruise_api::keys::EVENT_INVALID_SPEC, format!("{field}: {problem}"));
    let holds = vec![Hold::InvalidSpec { field, problem }];
    let mut plan = Plan { steps: Vec::new(), holds, notes: vec![note] };
    if !snapshot.deleting() {
        let (actions, waiting) = refresh::upkeep(snapshot, now);
        plan.each(actions.into_iter().map(|(_, action)| action).collect());
        plan.holds.extend(waiting.into_iter().map(|(_, hold)| hold));
    }
    plan
}
