//! Upkeep of pods as they are: gates, grace periods, batches, lifecycle states. Every claimed pod, every
//! turn, whatever the state of the others (W-8), paused or not (RU-3).

use std::sync::Arc;

use jiff::Timestamp;
use kruise_common::pod::Pod;
use kruise_inplace::refresh::{Refresh, Waiting, refresh as refresh_pod};

use super::action::Action;
use super::hold::Hold;
use super::turn::Turn;
use super::update::cannot_resize;
use crate::snapshot::{Snapshot, UPKEEP};

/// Plans the upkeep of all claimed pods.
pub fn refresh(turn: &mut Turn<'_>) {
    let (actions, holds) = upkeep(turn.snapshot, turn.now);
    for (ordinal, action) in &actions {
        turn.touched.insert(*ordinal);
        let Some((_, revision)) = action.moves() else { continue };
        // A newer update takes over what this would do: one that is refused must not keep the way back closed. And a pod
        // that never gets its amounts is made anew before its other containers are restarted.
        let pod = turn.snapshot.pods.get(ordinal);
        if *revision != turn.revisions.update.name
            || pod.is_some_and(|pod| cannot_resize(turn, *ordinal, pod).is_some())
        {
            turn.replaceable.insert(*ordinal);
        }
    }
    turn.plan.each(actions.into_iter().map(|(_, action)| action).collect());
    for (ordinal, hold) in holds {
        turn.explain(ordinal, hold);
    }
}

type Upkeep = (Vec<(i32, Action)>, Vec<(i32, Hold)>);

/// What pods need so that an update that is under way ends. It goes on when the spec means nothing: a slip in a number
/// must not keep pods out of traffic (AC-13).
pub fn upkeep(snapshot: &Snapshot, now: Timestamp) -> Upkeep {
    let (mut actions, mut holds) = (Vec::new(), Vec::new());
    let Some(context) = snapshot.upkeep() else { return (actions, holds) };
    for (ordinal, pod) in &snapshot.pods {
        // What is being removed or has ended is not kept up (W-40).
        if pod.terminating() || pod.ended() {
            continue;
        }
        let Refresh { writes, what, waiting, finished, moves } = refresh_pod(pod, &context, now);
        let itself = !writes.is_empty() && writes.iter().all(|it| it.subresource().is_empty());
        // Upkeep that was refused does not come before an update that the owner wants instead.
        let asks = if moves { pod.revision() } else { itself.then_some(UPKEEP) };
        if let Some(until) = asks.and_then(|asked| snapshot.rests(*ordinal, asked, now)) {
            holds.push((*ordinal, Hold::UpdateRefused { pod: pod.name().to_owned(), until }));
        } else if !writes.is_empty() {
            let (ordinal, asks) = (*ordinal, asks.map(Arc::from));
            actions.push((ordinal, Action::Refresh { ordinal, what, finished, asks }));
        }
        if let Some(waiting) = waiting {
            holds.push((*ordinal, hold(pod, waiting)));
        }
    }
    (actions, holds)
}

fn hold(pod: &Pod, waiting: Waiting) -> Hold {
    let pod = pod.name().to_owned();
    match waiting {
        Waiting::Grace { until } => Hold::GracePeriod { pod, until },
        Waiting::Settling { until } => Hold::NotAvailableYet { pod, until: Some(until) },
        Waiting::Incomplete(missing) => {
            Hold::InPlaceInProgress { pod, missing: missing.to_string() }
        }
        Waiting::Hook(pending) => Hold::HookPending { pod, hook: pending.to_string() },
    }
}
