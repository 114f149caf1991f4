//! The stages of a turn, in the order of the specification (section 17). No stage calls another.

use jiff::Timestamp;
use kruise_common::plan::{Note, Plan};

use crate::member::Member;
use crate::pair::Pair;
use crate::snapshot::{Invalid, Settings, Snapshot};

mod absent;
pub mod action;
mod condition;
mod deadline;
mod evict;
mod history;
pub mod hold;
pub mod hot_upgrade;
mod news;
pub mod order;
mod pinned;
mod registration;
mod repair;
mod settle;
mod turn;
mod update;

use action::Action;
use hold::Hold;
use turn::Turn;

/// What to do about the set, and why not more.
pub fn plan(snapshot: &Snapshot, now: Timestamp) -> Plan<Action, Hold> {
    let mut turn = Turn::new(snapshot, now);
    registration::await_registration(&mut turn);
    match snapshot.registered() {
        Ok((settings, registered)) => {
            history::register(&mut turn, registered);
            pinned::check(&mut turn, settings);
            news::tell(&mut turn, settings, registered);
            absent::tell(&mut turn);
            roll_out(&mut turn, settings);
            repair::repair(&mut turn, settings);
            history::truncate(&mut turn, settings, registered);
        }
        Err(invalid) => refuse(&mut turn, invalid),
    }
    turn.plan
}

/// Running pods follow the set (REC-6…REC-11).
fn roll_out(turn: &mut Turn<'_>, settings: &Settings) {
    // Also those in the middle of a hot upgrade, who count as not ready.
    let stands = |member: &&Member| !member.updated || !member.pairs.iter().all(Pair::rests);
    let outdated = turn.snapshot.members.iter().filter(stands).count();
    if settings.not_update {
        condition::withdraw(turn);
        if outdated > 0 {
            turn.hold(Hold::NotUpdate { outdated });
        }
        return;
    }
    if settings.paused {
        if outdated > 0 {
            turn.hold(Hold::Paused { outdated });
        }
        return;
    }
    settle::settle(turn);
    hot_upgrade::finish(turn, settings);
    update::update(turn, settings);
    condition::mark(turn);
    evict::evict(turn, settings);
    deadline::watch(turn, settings);
}

/// A spec that means nothing: no pod is touched, and the user is told why.
fn refuse(turn: &mut Turn<'_>, Invalid { field, problem }: &Invalid) {
    let text = format!("{field}: {problem}");
    turn.plan.notes.push(Note::warning(kruise_api::keys::EVENT_INVALID_SPEC, text));
    turn.hold(Hold::InvalidSpec { field: field.clone(), problem: problem.clone() });
}
