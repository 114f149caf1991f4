//! The stages of a turn, in the order of the specification (8.2, 10, 11). No stage calls another.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kruise_common::plan::{Note, Plan};

use crate::revision::Revisions;
use crate::snapshot::{Invalid, Settings, Snapshot};

pub mod action;
mod claims;
mod condemn;
mod history;
pub mod hold;
mod ownership;
mod refresh;
mod scale;
mod specified_delete;
mod turn;
mod update;

use action::Action;
use hold::Hold;
pub use turn::lifecycle_normal;
use turn::{Flow, Turn};

/// What to do about the set, and why not more.
pub fn plan(snapshot: &Snapshot, now: Timestamp) -> Plan<Action, Hold> {
    match snapshot.chosen() {
        Ok((settings, revisions)) => staged(snapshot, settings, revisions, now),
        Err(invalid) => refused(invalid),
    }
}

fn staged(
    snapshot: &Snapshot,
    settings: &Settings,
    revisions: &Revisions,
    now: Timestamp,
) -> Plan<Action, Hold> {
    let plan = Plan::default();
    let (touched, explained) = (BTreeSet::new(), BTreeSet::new());
    let mut turn = Turn { snapshot, settings, revisions, now, plan, touched, explained };
    if snapshot.deleting() {
        // The garbage collector does the rest; only the status is kept (M-8, AC-8).
        turn.hold(Hold::SetDeleting);
        return turn.plan;
    }
    history::register(&mut turn);
    if ownership::settle(&mut turn) == Flow::Continue {
        refresh::refresh(&mut turn);
        if scale::scale(&mut turn) == Flow::Continue
            && condemn::condemn(&mut turn) == Flow::Continue
        {
            update::update(&mut turn);
        }
    }
    history::truncate(&mut turn);
    turn.plan
}

/// A spec that means nothing: nothing is done to pods, and the user is told why (W-20, W-28).
fn refused(Invalid { field, problem }: Invalid) -> Plan<Action, Hold> {
    let note = Note::warning(kruise_api::keys::EVENT_INVALID_SPEC, format!("{field}: {problem}"));
    Plan { steps: Vec::new(), holds: vec![Hold::InvalidSpec { field, problem }], notes: vec![note] }
}
