//! Pods whose ordinal is not wanted: who goes next (10.3, 10.4).

use kruise_api::keys;

use super::action::{Action, Why};
use super::claims;
use super::hold::Hold;
use super::turn::{Flow, Turn, healthy};

/// Plans the removal. Ordered: the highest first, one at a time, each gone before the next, and only while
/// everything else is well (M-24, M-25). Unordered: all at once (M-26).
pub fn condemn(turn: &mut Turn<'_>) -> Flow {
    let condemned = turn.condemned();
    if condemned.is_empty() {
        return Flow::Continue;
    }
    // Claims learn who keeps them before any pod goes, for afterwards nobody could tell (M-23).
    let retain: Vec<Action> = condemned
        .iter()
        .filter(|(at, pod)| claims::unretained(turn, *at, pod, true))
        .map(|(ordinal, _)| Action::RetainClaims { ordinal: *ordinal, condemned: true })
        .collect();
    if turn.settings.ordered {
        turn.plan.in_order(retain);
    } else {
        turn.plan.burst(retain);
    }
    if turn.settings.ordered { one(turn) } else { all(turn) }
}

fn one(turn: &mut Turn<'_>) -> Flow {
    let Some((ordinal, pod)) = turn.condemned().into_iter().next() else { return Flow::Continue };
    let name = pod.name().to_owned();
    if pod.terminating() {
        turn.hold(Hold::PodTerminating { pod: name });
        return Flow::Stop;
    }
    // A pod that is not ready goes only if it is the lowest of its kind: a scale-down halts while several are
    // broken (M-24). One that waits at its own hook is on its way already (W-3); one that is ready but not for
    // long enough does not stall (W-29).
    let preparing = pod.meta.labels.get(keys::LIFECYCLE_STATE) == Some("PreparingDelete");
    if !preparing && !healthy(pod) && turn.first_unhealthy() != Some(ordinal) {
        turn.hold(Hold::NotAvailableYet { pod: name, until: None });
        return Flow::Stop;
    }
    let action = turn.delete(ordinal, pod, Why::Condemned);
    turn.plan.in_order(action.into_iter().collect());
    Flow::Stop
}

fn all(turn: &mut Turn<'_>) -> Flow {
    let mut actions = Vec::new();
    for (ordinal, pod) in turn.condemned() {
        if pod.terminating() {
            turn.hold(Hold::PodTerminating { pod: pod.name().to_owned() });
        } else {
            actions.extend(turn.delete(ordinal, pod, Why::Condemned));
        }
    }
    turn.plan.burst(actions);
    Flow::Continue
}
