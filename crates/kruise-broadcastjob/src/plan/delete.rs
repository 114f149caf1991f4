//! Which pods go: those that may not stay, are one too many, are run again, or have to be ended.
//!
//! A pod with a result is never deleted (W5), but for one that is run again.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kruise_api::keys;
use kruise_common::moment::Moment;
use kruise_common::plan::Note;

use super::Turn;
use super::action::{Action, Why};
use super::finish::patience_ends;
use super::hold::Hold;
use crate::census::{Class, Place, Standing, Stray};
use crate::job_pod::JobPod;
use crate::mark::{Mark, Marks};

/// Seconds that a kubelet has to end a pod that was told to.
pub const STOP_WITHIN: i64 = 60;
/// Seconds between two pods of a node whose end does not count.
const RERUN_AFTER: i64 = 10;

/// Plans the removals of an open job.
pub fn delete(turn: &mut Turn<'_>) {
    let mut actions = Vec::new();
    let census = turn.census;
    for place in &census.places {
        actions.extend(at_place(turn, place));
    }
    for stray in &census.strays {
        actions.extend(of_stray(turn, stray));
    }
    // One that may not stay goes anyway.
    let leaves = census.places.iter().filter(|place| place.unfit.is_some());
    let leaves: Marks = leaves.map(|place| place.mark).collect();
    let over: Vec<_> = census
        .over_limit(turn.settings)
        .filter(|(mark, pod)| !pod.meta.terminating() && !leaves.contains(mark))
        .map(|(mark, pod)| {
            let of_pod = Mark::of(&turn.snapshot.job.meta.uid, &pod.meta.uid);
            let seen = turn.snapshot.failures.get(&mark).filter(|failure| failure.pod == of_pod);
            (pod.clone(), seen.map(|failure| failure.time))
        })
        .collect();
    for (pod, since) in over {
        actions.extend(stop(turn, &pod, since));
    }
    // What somebody keeps from going keeps nobody else.
    turn.plan.each(actions);
}

/// Plans the removal of pods at work that may not stay, for a job that is complete: nobody will look at them again.
pub fn misplaced(turn: &mut Turn<'_>) {
    let census = turn.census;
    let unfit = census.places.iter().filter(|place| place.unfit.is_some());
    let mut actions: Vec<_> =
        unfit.filter_map(|place| Some(gone(place.pod.as_ref()?, Why::Unfit))).collect();
    for stray in &census.strays {
        actions.extend(of_stray(turn, stray));
    }
    turn.plan.each(actions);
}

fn at_place(turn: &mut Turn<'_>, place: &Place) -> Option<Action> {
    let pod = place.pod.as_ref()?;
    if place.unfit.is_some() {
        return Some(gone(pod, Why::Unfit));
    }
    match &place.standing {
        Standing::Disrupted => {
            let until = rerun_at(pod);
            if until <= turn.now {
                return runs_again(turn).then(|| gone(pod, Why::Disrupted));
            }
            let node = place.node.name().to_owned();
            turn.plan.holds.push(Hold::RetryAt { node, until: Some(until) });
            None
        }
        Standing::Retrying(_) if pod.meta.terminating() => {
            turn.plan.holds.push(Hold::PodTerminating { pod: pod.name().to_owned() });
            None
        }
        Standing::Retrying(until) => {
            let due = until.is_some_and(|until| until <= turn.now);
            if due && pod.ended() {
                return runs_again(turn).then(|| gone(pod, Why::Retry));
            }
            if pod.ended() || until.is_none() {
                let node = place.node.name().to_owned();
                turn.plan.holds.push(Hold::RetryAt { node, until: *until });
            }
            None
        }
        Standing::Ending => {
            turn.plan.holds.push(Hold::PodTerminating { pod: pod.name().to_owned() });
            None
        }
        Standing::Ineligible(_)
        | Standing::Waiting
        | Standing::Active
        | Standing::Succeeded
        | Standing::Failed => None,
    }
}

/// Whether a pod that makes room for another one gets a successor. Without, it stays as it ended, for people to look at.
fn runs_again(turn: &Turn<'_>) -> bool {
    turn.settings.invalid.is_none()
}

/// When a node may have another pod after one whose end does not count: one that ends at once each time, whatever the
/// reason, must not be made again as fast as it ends.
fn rerun_at(pod: &JobPod) -> Timestamp {
    let created = pod.meta.created.map_or(Timestamp::MIN, Moment::timestamp);
    created.checked_add(SignedDuration::from_secs(RERUN_AFTER)).unwrap_or(created)
}

/// A pod that belongs to no node: nobody else takes it away if it never began (W11), or if another node has the name of
/// the one it began on. Of two on a node the one that has not begun goes (W22).
fn of_stray(turn: &mut Turn<'_>, stray: &Stray) -> Option<Action> {
    let pod = &stray.pod;
    if stray.class != Class::Active {
        return None;
    }
    if stray.duplicate {
        let node = pod.node().unwrap_or_default();
        let text = format!("Duplicated pod {} found on same node {node}", pod.name());
        return (!stray.is_running_twin()).then(|| {
            turn.plan.notes.push(Note::warning(keys::EVENT_DUPLICATE_POD, text));
            gone(pod, Why::Duplicate)
        });
    }
    (stray.outlived || pod.bound.is_none()).then(|| gone(pod, Why::NodeGone))
}

fn gone(pod: &JobPod, why: Why) -> Action {
    Action::DeletePod { pod: pod.meta.key.name.clone(), why }
}

/// Ends a pod over its limit: its kubelet is told, and if it does not answer by the end of its patience, counted from when
/// the failure was recorded, the pod is deleted. One without a kubelet is deleted as soon as it is recorded (W1).
pub fn stop(turn: &mut Turn<'_>, pod: &Arc<JobPod>, since: Option<Timestamp>) -> Option<Action> {
    let until = since.map(patience_ends);
    let late = pod.bound.is_none() || until.is_some_and(|until| until <= turn.now);
    if since.is_some() && late {
        return Some(gone(pod, Why::NotStopped));
    }
    turn.plan.holds.push(Hold::Stopping { pod: pod.name().to_owned(), until });
    (!pod.told_to_stop()).then(|| Action::StopPod { pod: pod.meta.key.name.clone() })
}
