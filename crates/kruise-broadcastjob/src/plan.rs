//! The stages of a turn, in the order of the specification (§9).

use jiff::Timestamp;
use kruise_api::keys;
use kruise_common::plan::{Note, Plan};

use crate::census::Census;
use crate::snapshot::{Invalid, Settings, Snapshot};

pub mod action;
mod create;
mod delete;
mod finish;
pub mod hold;

use action::Action;
use finish::Course;
use hold::{Hold, Pauser};

/// One turn under way.
struct Turn<'a> {
    snapshot: &'a Snapshot,
    settings: &'a Settings,
    census: &'a Census,
    now: Timestamp,
    plan: Plan<Action, Hold>,
}

/// What to do about the job, and why not more.
pub fn plan(snapshot: &Snapshot, now: Timestamp) -> Plan<Action, Hold> {
    let (settings, census) = (&snapshot.settings, snapshot.census());
    staged(Turn { snapshot, settings, census, now, plan: Plan::default() })
}

fn staged(mut turn: Turn<'_>) -> Plan<Action, Hold> {
    if turn.snapshot.job.meta.terminating() {
        // The garbage collector does the rest; only the status is kept.
        turn.plan.holds.push(Hold::JobDeleting);
        return turn.plan;
    }
    if turn.snapshot.job.finished() {
        finish::after_the_end(&mut turn);
        return turn.plan;
    }
    match finish::course(&turn) {
        Course::Pause(by) => {
            turn.paused(by);
            turn.complain();
            turn.open_gates();
        }
        Course::End(ending) => finish::end(&mut turn, ending),
        Course::Go => {
            turn.resumed();
            delete::delete(&mut turn);
            if !turn.complain() {
                create::create(&mut turn);
            }
            turn.open_gates();
            finish::watch_the_clock(&mut turn);
        }
    }
    turn.plan
}

impl Turn<'_> {
    fn was_paused(&self) -> bool {
        self.snapshot.job.status.phase == "paused"
    }

    fn paused(&mut self, by: Pauser) {
        if by == Pauser::FailedPod && !self.was_paused() {
            let note = Note::warning(keys::EVENT_PAUSED, "job is paused, due to failed pod");
            self.plan.notes.push(note);
        }
        self.plan.holds.push(Hold::Paused { by });
    }

    /// Pods of ours have no gate; OpenKruise's webhook adds one to every pod that it knows a workload of (§12.3 of in-place
    /// update), and its controller may be gone or stand by.
    fn open_gates(&mut self) {
        let waiting = self.census.active().filter(|pod| pod.waits_for_gate());
        let pods = waiting.map(|pod| pod.meta.key.name.clone());
        self.plan.burst(pods.map(|pod| Action::OpenGate { pod }).collect());
    }

    /// Says what of the spec means nothing, if something does: no pod is made then.
    fn complain(&mut self) -> bool {
        let Some(Invalid { field, problem }) = self.settings.invalid.clone() else { return false };
        let note = Note::warning(keys::EVENT_INVALID_SPEC, format!("{field}: {problem}"));
        self.plan.notes.push(note);
        self.plan.holds.push(Hold::InvalidSpec { field, problem });
        true
    }

    fn resumed(&mut self) {
        if self.was_paused() {
            let note = Note::normal(keys::EVENT_CONTINUE, "continue to process job");
            self.plan.notes.push(note);
        }
    }
}
