//! The way out of a stuck ordered rollout: a broken pod of an old revision is moved on although nothing else may happen
//! (W-4, kubernetes#67250). Only where the owner asked for it.

use jiff::SignedDuration;
use kruise_api::keys;
use kruise_common::pod::{ContainerStatus, Pod};

use super::hold::Hold;
use super::scale::{announced, is_announced};
use super::turn::{Turn, lifecycle_normal};

/// What the kubelet calls a container that merely takes its time.
const STARTING: [&str; 3] = ["", "ContainerCreating", "PodInitializing"];

/// How long a pod of an old revision may be down before it is called stuck where the kubelet names no trouble, or names it
/// only between two attempts.
const LONG: SignedDuration = SignedDuration::from_mins(3);
/// Comes and goes with each attempt.
const CRASHES: &str = "CrashLoopBackOff";

/// The one replica that may move on now: one that waits at its hook for that, else the highest that is outdated and not
/// ready. While anything is under way, or a pod of the update revision is not available, that is waited for: one at a time.
pub fn candidate(turn: &Turn<'_>) -> Option<i32> {
    let busy = turn.plan.actions().next().is_some();
    let unsettled = |pod: &Pod| {
        let down = turn.seen_unavailable(pod).is_some() && !is_announced(pod);
        pod.terminating() || (turn.updated(pod) && down)
    };
    if !turn.settings.recover_stuck || busy || turn.replicas().any(|(_, pod)| unsettled(pod)) {
        return None;
    }
    let mut broken = turn.replicas().rev().filter(|(_, pod)| outdated_and_down(turn, pod));
    announced(turn).or_else(|| broken.next().map(|(ordinal, _)| ordinal))
}

/// Says that an ordered rollout has stopped at this pod, if it looks like that for good.
pub fn explain(turn: &mut Turn<'_>, ordinal: i32) {
    let Some(pod) = turn.snapshot.pods.get(&ordinal) else { return };
    if turn.settings.recover_stuck || !outdated_and_down(turn, pod) {
        return;
    }
    if let Some(why) = stuck(turn, pod) {
        turn.hold(Hold::StuckRollout { pod: pod.name().to_owned(), why });
    }
}

/// Why the pod looks as if it stayed down: the kubelet's word on a container, or that it has been down for long.
fn stuck(turn: &Turn<'_>, pod: &Pod) -> Option<String> {
    let since = pod.condition("Ready").and_then(|ready| ready.since).or(pod.meta.created);
    let long = since.is_some_and(|since| turn.now.duration_since(since.timestamp()) >= LONG);
    let names = |status: &&ContainerStatus| !STARTING.contains(&&*status.waiting);
    let waiting = pod.statuses.iter().find(names);
    if let Some(status) = waiting.filter(|status| *status.waiting != *CRASHES) {
        return Some(format!("{} of container {}", status.waiting, status.name));
    }
    if !long {
        return None;
    }
    let scheduled = pod.condition("PodScheduled");
    let scheduled = scheduled.filter(|it| !it.status && !it.reason.is_empty());
    let unready = pod.statuses.iter().find(|status| !status.ready);
    Some(match (scheduled, unready) {
        (Some(scheduled), _) => scheduled.reason.to_string(),
        // The same words while it waits for another attempt and during one.
        (None, Some(status)) if pod.restarts.0 > 0 => {
            format!("container {} is not ready after restarts", status.name)
        }
        (None, Some(status)) => format!("container {} is not ready", status.name),
        (None, None) => "it is not ready".to_owned(),
    })
}

fn outdated_and_down(turn: &Turn<'_>, pod: &Pod) -> bool {
    // Who waits at a hook has its own way on (W-3).
    let state = pod.meta.labels.get(keys::LIFECYCLE_STATE);
    let free = lifecycle_normal(pod) || matches!(state, Some("Updating" | "Updated"));
    free && !pod.ready() && !pod.terminating() && !pod.ended() && !turn.updated(pod)
}
