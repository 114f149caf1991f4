//! Whether the job goes on: pause, failure policy, completion, deadline; and what is left to do after its end.

use jiff::{SignedDuration, Timestamp};
use kruise_api::broadcastjob::amount;

use super::Turn;
use super::action::{Action, Ending, Why};
use super::delete::{self, STOP_WITHIN, stop};
use super::hold::{Hold, Pauser};
use crate::mark;
use crate::snapshot::OnFailure;

/// What the turn is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Nothing is created or removed.
    Pause(Pauser),
    /// The job is over.
    End(Ending),
    /// It goes on.
    Go,
}

/// The first that holds (§9 steps 13–18): pause suppresses policy, deadline and completion.
pub fn course(turn: &Turn<'_>) -> Course {
    if turn.settings.paused {
        return Course::Pause(Pauser::Spec);
    }
    if turn.census.fatal || (turn.settings.on_failure == OnFailure::FailFast && too_many(turn, 0)) {
        return Course::End(Ending::FailedPod);
    }
    if turn.settings.on_failure == OnFailure::Pause && too_many(turn, acknowledged(turn)) {
        return Course::Pause(Pauser::FailedPod);
    }
    let deadline = turn.snapshot.deadline(turn.now);
    let late = deadline.is_some_and(|deadline| turn.now >= deadline);
    if turn.settings.completion.ends && all_done(turn) {
        // What was complete in time is complete, even if nobody looked until later (W24).
        let in_time =
            turn.census.last_finish.is_none_or(|last| deadline.is_none_or(|at| last <= at));
        return Course::End(if !late || in_time { Ending::Complete } else { Ending::Deadline });
    }
    if late { Course::End(Ending::Deadline) } else { Course::Go }
}

fn too_many(turn: &Turn<'_>, forgiven: usize) -> bool {
    let tolerated = amount::of(&turn.settings.max_failed, turn.census.desired()).unwrap_or(0);
    turn.census.results().1.saturating_sub(forgiven) > tolerated
}

/// Failures that the owner of a paused job has seen: it was paused by hand since (W10).
fn acknowledged(turn: &Turn<'_>) -> usize {
    let results = turn.snapshot.job.status.results.as_ref();
    let known = results.map(|results| mark::read(&results.acknowledged)).unwrap_or_default();
    known.intersection(&turn.census.failed).count()
}

fn all_done(turn: &Turn<'_>) -> bool {
    turn.census.done() || (turn.settings.completion.without_nodes && turn.census.desired() == 0)
}

/// Records the end, then ends what is at work if it is a bad one. Pods over their limit are told to stop either way.
pub fn end(turn: &mut Turn<'_>, ending: Ending) {
    if ending == Ending::Complete {
        delete::misplaced(turn);
        stop_all(turn, None);
        turn.plan.in_order(vec![Action::Finish(ending)]);
    } else {
        turn.plan.in_order(vec![Action::Finish(ending)]);
        kill(turn);
        stop_all(turn, None);
    }
}

/// What is at work in a failed job ends; what has a result stays (§9 step 17).
fn kill(turn: &mut Turn<'_>) {
    let pods = turn.census.active().map(|pod| pod.meta.key.name.clone());
    let actions = pods.map(|pod| Action::DeletePod { pod, why: Why::JobFailed });
    turn.plan.each(actions.collect());
}

fn stop_all(turn: &mut Turn<'_>, since: Option<Timestamp>) {
    let pods: Vec<_> = turn.census.over_limit(turn.settings).map(|(_, pod)| pod.clone()).collect();
    let actions = pods.iter().filter_map(|pod| stop(turn, pod, since)).collect();
    turn.plan.each(actions);
}

/// A job that is over: whatever a crash left at work ends, and after its time the job itself goes (§15.3).
pub fn after_the_end(turn: &mut Turn<'_>) {
    let job = &turn.snapshot.job;
    let ended = job.status.completion_time.as_ref().map(|time| time.0);
    if job.failed() {
        kill(turn);
    } else {
        delete::misplaced(turn);
    }
    stop_all(turn, ended);
    if !turn.settings.completion.ends {
        return;
    }
    let Some((ttl, ended)) = turn.settings.completion.ttl.zip(ended) else { return };
    let until = ended.checked_add(ttl).unwrap_or(Timestamp::MAX);
    if turn.now >= until {
        turn.plan.in_order(vec![Action::DeleteJob]);
    } else {
        turn.plan.holds.push(Hold::TtlAt { until });
    }
}

/// The deadline holds in every turn, so it survives whatever happens to this process (W3). What else is waited for is
/// said too.
pub fn watch_the_clock(turn: &mut Turn<'_>) {
    if let Some(until) = turn.snapshot.deadline(turn.now) {
        turn.plan.holds.push(Hold::DeadlineAt { until });
    }
    let active = turn.census.active().count();
    if active > 0 {
        turn.plan.holds.push(Hold::PodsAtWork { active });
    }
    if turn.census.desired() == 0 {
        turn.plan.holds.push(Hold::NoNodeFits);
    } else if turn.census.done() {
        turn.plan.holds.push(Hold::NeverCompletes);
    }
}

/// When a pod that was told to stop is deleted.
pub fn patience_ends(since: Timestamp) -> Timestamp {
    since.checked_add(SignedDuration::from_secs(STOP_WITHIN)).unwrap_or(since)
}
