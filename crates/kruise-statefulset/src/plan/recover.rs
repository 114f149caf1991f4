//! The way out of a stuck ordered rollout: a broken pod of an old revision is moved on although nothing else may happen
//! (W-4, kubernetes#67250). Only where the owner asked for it.

use kruise_api::keys;
use kruise_common::pod::Pod;

use super::hold::Hold;
use super::turn::{Turn, lifecycle_normal};

/// What the kubelet calls a container that merely takes its time.
const STARTING: [&str; 3] = ["", "ContainerCreating", "PodInitializing"];

/// The one replica that may move on now: the highest that is outdated and not ready. While anything is under way, or a
/// pod of the update revision is not available, that is waited for: one at a time.
pub fn candidate(turn: &Turn<'_>) -> Option<i32> {
    let busy = turn.plan.actions().next().is_some();
    let unsettled = |pod: &Pod| {
        pod.terminating() || (turn.updated(pod) && turn.seen_unavailable(pod).is_some())
    };
    if !turn.settings.recover_stuck || busy || turn.replicas().any(|(_, pod)| unsettled(pod)) {
        return None;
    }
    let mut broken = turn.replicas().rev().filter(|(_, pod)| outdated_and_down(turn, pod));
    broken.next().map(|(ordinal, _)| ordinal)
}

/// Says that an ordered rollout has stopped at this pod, if it looks like that for good.
pub fn explain(turn: &mut Turn<'_>, ordinal: i32) {
    let Some(pod) = turn.snapshot.pods.get(&ordinal) else { return };
    if turn.settings.recover_stuck || !outdated_and_down(turn, pod) {
        return;
    }
    let statuses = pod.statuses.iter();
    let mut waiting = statuses.filter(|status| !STARTING.contains(&&*status.waiting));
    if let Some(status) = waiting.next() {
        let why = format!("{} of container {}", status.waiting, status.name);
        turn.hold(Hold::StuckRollout { pod: pod.name().to_owned(), why });
    }
}

fn outdated_and_down(turn: &Turn<'_>, pod: &Pod) -> bool {
    // Who waits at a hook has its own way on (W-3).
    let state = pod.meta.labels.get(keys::LIFECYCLE_STATE);
    let free = lifecycle_normal(pod) || matches!(state, Some("Updating" | "Updated"));
    free && !pod.ready() && !pod.terminating() && !pod.ended() && !turn.updated(pod)
}
