//! [ext] A roll-out that makes no progress for as long as the set says is told of (W-43). Nothing is taken back by itself:
//! which image is the good one only the user knows.

use jiff::Timestamp;
use kruise_common::moment::Moment;

use super::hold::Hold;
use super::turn::Turn;
use crate::snapshot::Settings;

/// Looks whether what waits has waited too long.
pub fn watch(turn: &mut Turn<'_>, settings: &Settings) {
    let Some(deadline) = settings.deadline else { return };
    if !turn.plan.holds.iter().any(waits_for_pods) {
        return;
    }
    let Some(since) = last_progress(turn) else { return };
    let until = since.checked_add(deadline).unwrap_or(since);
    turn.hold(if until > turn.now { Hold::Progressing { until } } else { Hold::Stalled { since } });
}

/// What ends once pods become what they should be.
fn waits_for_pods(hold: &Hold) -> bool {
    matches!(
        hold,
        Hold::BudgetSpent { .. }
            | Hold::InPlaceInProgress(_)
            | Hold::Settling { .. }
            | Hold::NotReady(_)
            | Hold::NewSideNotReady(_)
            | Hold::EvictedNotBack { .. }
            | Hold::EvictionUnproven { .. }
            | Hold::Refused { .. }
    )
}

/// When a pod was updated or became ready last, or the present revision was made, whatever came last.
fn last_progress(turn: &Turn<'_>) -> Option<Timestamp> {
    let snapshot = turn.snapshot;
    let pods = snapshot.members.iter().flat_map(|member| {
        let ready = member.pod.condition("Ready").filter(|ready| ready.status);
        [member.changed, ready.and_then(|ready| ready.since).map(Moment::timestamp)]
    });
    let (_, registered) = snapshot.registered().ok()?;
    // One that is made or raised in this turn is progress of now.
    let revision = match &registered.change {
        crate::registered::Change::None => {
            let made = snapshot.revision(&registered.name)?.meta.created;
            made.map(Moment::timestamp)
        }
        _ => Some(turn.now),
    };
    pods.chain([revision]).flatten().max()
}
