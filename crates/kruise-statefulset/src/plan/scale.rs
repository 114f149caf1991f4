//! Replicas, walked upward: replace what ended, create what is missing, repair what does not match (10.2).

use kruise_common::pod::{Phase, Pod};

use super::action::{Action, Why};
use super::claims;
use super::hold::Hold;
use super::ownership::name_taken;
use super::turn::{Flow, Turn};
use crate::pod::identity_matches;

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
    let mut budget = turn.settings.scale_budget;
    let ordinals: Vec<i32> = turn.settings.ordinals.iter().collect();
    for ordinal in ordinals {
        let step = match turn.snapshot.pods.get(&ordinal) {
            None => missing(turn, ordinal, &mut actions),
            Some(pod) if pod.ended() => ended(turn, ordinal, pod, &mut actions),
            Some(pod) => existing(turn, ordinal, pod, &mut actions),
        };
        let ordered = turn.settings.ordered;
        match step {
            Step::Wait | Step::Charge if ordered => {
                flow = Flow::Stop;
                break;
            }
            Step::Next | Step::Wait => {}
            Step::Charge => {
                let Some(left) = budget else { continue };
                // "Stop after the N-th": the one that spends the budget is still processed (M-17).
                if left <= 1 {
                    let allowed = turn.settings.scale_budget.unwrap_or_default();
                    turn.hold(Hold::ScaleBudgetSpent { allowed });
                    break;
                }
                budget = Some(left - 1);
            }
        }
    }
    if turn.settings.ordered {
        turn.plan.in_order(actions);
    } else {
        turn.plan.burst(actions);
    }
    flow
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
    let revision = turn.revision_for(ordinal).name.clone();
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
    if claims::unretained(turn, ordinal, pod, false) {
        actions.push(Action::RetainClaims { ordinal, condemned: false });
    }
    Step::Next
}
