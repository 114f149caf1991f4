//! [ext] Pods that match and run without the sidecars, because they were admitted while no webhook answered (W-4): they are
//! counted, and evicted if the set says so, within `maxUnavailable` and PodDisruptionBudgets.
//!
//! # Guarantees
//! Evictions do not go round in circles while the webhook is still away: until a pod younger than a missed one was
//! injected, which shows that it is back, one pod at most is tried in five minutes.

use std::sync::Arc;

use jiff::SignedDuration;
use kruise_common::pod::Pod;

use super::absent;
use super::action::Why;
use super::hold::Hold;
use super::turn::Turn;
use crate::snapshot::Settings;

/// How long after the creation of the last missed pod another one is tried.
const TRIAL: SignedDuration = SignedDuration::from_mins(5);

/// Tells of missed pods, and plans their evictions.
pub fn repair(turn: &mut Turn<'_>, settings: &Settings) {
    let snapshot = turn.snapshot;
    for pod in &snapshot.missed {
        turn.hold_pod(pod, Hold::NotInjected);
    }
    if !settings.repairs || settings.paused || snapshot.missed.is_empty() {
        return;
    }
    let total = snapshot.members.len() + snapshot.missed.len() + absent::absent(turn);
    let allowed = settings.allowed(total);
    let mut unavailable = absent::down(turn);
    let mut actions = Vec::new();
    for pod in proven(turn) {
        if pod.meta.controller().is_none_or(|owner| *owner.kind == *"Job") {
            turn.hold_pod(&pod, Hold::NobodyRecreates);
            continue;
        }
        if !absent::is_proven(turn, &pod) {
            continue;
        }
        if pod.ready() && unavailable >= allowed {
            turn.hold(Hold::BudgetSpent { unavailable, allowed });
            break;
        }
        if turn.may_try(&pod) {
            unavailable += usize::from(pod.ready());
            actions.extend(absent::evict(turn, &pod, Why::NotInjected));
        }
    }
    turn.plan.each(actions);
}

/// Missed pods for which it is known that they would come back injected; else the oldest one, now and then.
fn proven(turn: &mut Turn<'_>) -> Vec<Arc<Pod>> {
    let snapshot = turn.snapshot;
    let injected = snapshot.members.iter().filter_map(|member| member.pod.meta.created).max();
    let proven = |pod: &&Arc<Pod>| injected > pod.meta.created;
    let known: Vec<Arc<Pod>> = snapshot.missed.iter().filter(proven).cloned().collect();
    if !known.is_empty() {
        return known;
    }
    let youngest = snapshot.missed.iter().filter_map(|pod| pod.meta.created).max();
    let until = youngest.and_then(|made| made.timestamp().checked_add(TRIAL).ok());
    if let Some(until) = until.filter(|until| *until > turn.now) {
        turn.hold(Hold::RepairUnproven { until });
        return Vec::new();
    }
    snapshot.missed.iter().min_by_key(|pod| pod.meta.created).cloned().into_iter().collect()
}
