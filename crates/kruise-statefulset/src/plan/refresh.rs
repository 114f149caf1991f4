//! Upkeep of pods as they are: gates, grace periods, batches, lifecycle states. Every claimed pod, every
//! turn, whatever the state of the others (W-8), paused or not (RU-3).

use std::sync::Arc;

use kruise_common::pod::Pod;
use kruise_inplace::refresh::{Context, Refresh, Waiting, refresh as refresh_pod};

use super::action::Action;
use super::hold::Hold;
use super::turn::Turn;

/// Plans the upkeep of all claimed pods.
pub fn refresh(turn: &mut Turn<'_>) {
    let mut actions = Vec::new();
    let pods: Vec<(i32, &Arc<Pod>)> =
        turn.snapshot.pods.iter().map(|(at, pod)| (*at, pod)).collect();
    for (ordinal, pod) in pods {
        // What is being removed or has ended is not kept up (W-40).
        if pod.terminating() || pod.ended() {
            continue;
        }
        let context = Context {
            lifecycle: turn.settings.lifecycle.as_ref(),
            update_revision: &turn.revisions.update.name,
        };
        let Refresh { writes, what, waiting } = refresh_pod(pod, &context, turn.now);
        if !writes.is_empty() {
            turn.touched.insert(ordinal);
            actions.push(Action::Refresh { ordinal, what });
        }
        if let Some(waiting) = waiting {
            turn.explain(ordinal, hold(pod, waiting));
        }
    }
    turn.plan.burst(actions);
}

fn hold(pod: &Pod, waiting: Waiting) -> Hold {
    let pod = pod.name().to_owned();
    match waiting {
        Waiting::Grace { until } => Hold::GracePeriod { pod, until },
        Waiting::Incomplete(missing) => {
            Hold::InPlaceInProgress { pod, missing: missing.to_string() }
        }
        Waiting::Hook(pending) => Hold::HookPending { pod, hook: pending.to_string() },
    }
}
