//! Pods whose ordinal is not wanted: who goes next (10.3, 10.4).

use super::action::{Action, Why};
use super::claims;
use super::hold::Hold;
use super::turn::{Flow, Turn};

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
        return one(turn);
    }
    // One that is refused keeps its own pod only, which goes when its claims have learnt it.
    turn.bound.extend(retain.iter().filter_map(|action| match action {
        Action::RetainClaims { ordinal, .. } => Some(*ordinal),
        _ => None,
    }));
    turn.plan.each(retain);
    all(turn)
}

fn one(turn: &mut Turn<'_>) -> Flow {
    let Some((ordinal, pod)) = turn.condemned().into_iter().next() else { return Flow::Continue };
    if pod.terminating() {
        turn.hold(Hold::PodTerminating { pod: pod.name().to_owned() });
        return Flow::Stop;
    }
    // All that stay are available, or this would not have been reached: a broken one that is not wanted does not stall,
    // even if there are several (M-24, W-29).
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
    turn.plan.tries(actions);
    Flow::Continue
}
