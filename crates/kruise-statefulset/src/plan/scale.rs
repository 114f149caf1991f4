//! Replicas, walked upward: replace what ended, create what is missing, repair what does not match (10.2).

use kruise_api::keys;
use kruise_common::pod::{Phase, Pod};

use super::action::{Action, Why};
use super::claims;
use super::hold::Hold;
use super::ownership::name_taken;
use super::recover;
use super::turn::{Flow, Turn};
use crate::pod::identity_matches;

/// Most creations that are decided in one turn: the next one sees what became of them.
const AT_ONCE: usize = 1000;

/// What one step means for the walk.
enum Step {
    /// Go on.
    Next,
    /// Ordered mode ends the turn here; unordered mode goes on.
    Wait,
    /// The pod is (made) unavailable: it uses up the scale budget.
    Charge,
}

/// Plans the walk. In ordered mode nothing happens beyond the first replica that is not available (M-20);
/// otherwise everything is decided at once, within the scale budget (M-17, M-22).
pub fn scale(turn: &mut Turn<'_>) -> Flow {
    let mut actions = Vec::new();
    let mut flow = Flow::Continue;
    let mut charged = 0;
    let (settings, snapshot) = (turn.settings, turn.snapshot);
    for ordinal in settings.ordinals.iter() {
        let spent = settings.scale_budget.is_some_and(|budget| charged >= budget);
        let step = match snapshot.pods.get(&ordinal) {
            None if spent => {
                let allowed = settings.scale_budget.unwrap_or_default();
                turn.hold(Hold::ScaleBudgetSpent { allowed });
                Step::Next
            }
            // Those that are there are looked at all the same.
            None if actions.len() >= AT_ONCE => Step::Next,
            None => missing(turn, ordinal, &mut actions),
            // Neither waits for the budget: it cannot become available by itself (W-5), or must not stay as it is.
            Some(pod) if pod.ended() => ended(turn, ordinal, pod, &mut actions),
            Some(pod) => existing(turn, ordinal, pod, &mut actions),
        };
        match step {
            Step::Wait | Step::Charge if settings.ordered => {
                flow = stopped_at(turn, ordinal);
                break;
            }
            Step::Next | Step::Wait => {}
            Step::Charge => charged += 1,
        }
    }
    if turn.settings.ordered {
        turn.plan.in_order(actions);
    } else {
        // A quota that refuses new pods must not keep an update away that asks for less.
        turn.plan.tries(actions);
    }
    flow
}

/// Where an ordered walk ends nothing happens beyond. But a pod that waits at its own hook to be updated or re-created
/// would wait for ever if the update did not look at it again (W-3).
fn stopped_at(turn: &mut Turn<'_>, ordinal: i32) -> Flow {
    let pod = turn.snapshot.pods.get(&ordinal).filter(|pod| !pod.terminating() && !pod.ended());
    if pod.is_some_and(|pod| at_hook(pod)) {
        // It is updated only while all above it are available (AC-2): the hook may have let go of it since.
        let Some((above, hold)) = unavailable_above(turn, ordinal) else {
            return Flow::Only(ordinal);
        };
        turn.explain(above, hold);
    }
    recover::explain(turn, ordinal);
    Flow::Stop
}

/// Whether the pod was told that it is about to be deleted or updated.
fn at_hook(pod: &Pod) -> bool {
    let state = pod.meta.labels.get(keys::LIFECYCLE_STATE);
    matches!(state, Some("PreparingDelete" | "PreparingUpdate"))
}

/// A replica above the ordinal that is there and not available.
fn unavailable_above(turn: &Turn<'_>, ordinal: i32) -> Option<(i32, Hold)> {
    // Those that wait at a hook themselves have their turn afterwards.
    let mut above = turn.replicas().filter(|(at, pod)| *at > ordinal && !at_hook(pod));
    above.find_map(|(at, pod)| Some((at, turn.seen_unavailable(pod)?)))
}

/// Always deleted, whatever the budget: it cannot become available by waiting (M-10, W-5).
fn ended(turn: &mut Turn<'_>, ordinal: i32, pod: &Pod, actions: &mut Vec<Action>) -> Step {
    if pod.terminating() {
        turn.hold(Hold::PodTerminating { pod: pod.name().to_owned() });
    } else {
        actions.extend(turn.delete(ordinal, pod, Why::Ended));
    }
    Step::Charge
}

fn missing(turn: &mut Turn<'_>, ordinal: i32, actions: &mut Vec<Action>) -> Step {
    let name = turn.snapshot.pod_name(ordinal);
    if let Some(pod) = turn.snapshot.taken.get(&ordinal) {
        turn.hold(Hold::NameTaken { pod: pod.name().to_owned() });
        turn.plan.notes.push(name_taken(turn.snapshot.set.name(), &name));
        return Step::Wait;
    }
    if let Some(hold) = claims::blocked(turn, ordinal) {
        turn.hold(hold);
        return Step::Wait;
    }
    let revision = turn.take_revision(ordinal).name.clone();
    actions.push(Action::CreatePod { ordinal, revision });
    turn.touched.insert(ordinal);
    Step::Charge
}

fn existing(turn: &mut Turn<'_>, ordinal: i32, pod: &Pod, actions: &mut Vec<Action>) -> Step {
    if pod.phase == Phase::Pending && !pod.terminating() && claims::missing(turn, ordinal) {
        if let Some(hold) = claims::blocked(turn, ordinal) {
            turn.hold(hold);
        } else {
            actions.push(Action::CreateClaims { ordinal });
        }
    }
    if pod.terminating() {
        turn.hold(Hold::PodTerminating { pod: pod.name().to_owned() });
        return Step::Charge;
    }
    if turn.settings.ordered || turn.settings.scale_budget.is_some() {
        // What this turn itself does to the pod (its refresh) is not held against it here: only what is seen counts.
        if let Some(hold) = turn.seen_unavailable(pod) {
            turn.explain(ordinal, hold);
            return Step::Charge;
        }
    }
    if !turn.touched.contains(&ordinal) && !identity_matches(pod) {
        turn.touched.insert(ordinal);
        actions.push(Action::RepairIdentity { ordinal });
    }
    Step::Next
}
