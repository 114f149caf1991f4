//! [ext] Pods that cannot be updated in place go, so that they come back with the present sidecars: only if the set says
//! so, within `maxUnavailable` and the partition, and never against a PodDisruptionBudget, which the API server guards.

use super::absent;
use super::action::Why;
use super::hold::Hold;
use super::order::order;
use super::turn::Turn;
use crate::member::Member;
use crate::snapshot::Settings;

/// Plans the evictions of this turn.
pub fn evict(turn: &mut Turn<'_>, settings: &Settings) {
    let snapshot = turn.snapshot;
    let stuck = |member: &&Member| member.selected && member.stuck.is_some();
    let stuck: Vec<&Member> = snapshot.members.iter().filter(stuck).collect();
    if !settings.evicts || stuck.is_empty() {
        return;
    }
    if let Some(why) = useless(settings) {
        return turn.hold(Hold::EvictionUseless { why });
    }
    let total = snapshot.members.len() + absent::absent(turn);
    let allowed = settings.allowed(total);
    let mut unavailable = absent::down(turn);
    let candidates = order(stuck, &snapshot.members, settings);
    let kept = settings.kept(total).min(candidates.len());
    let mut actions = Vec::new();
    for member in candidates.iter().take(candidates.len() - kept) {
        if !recreated(member) {
            turn.hold_pod(&member.pod, Hold::NobodyRecreates);
            continue;
        }
        if !absent::is_proven(turn, &member.pod) {
            continue;
        }
        if member.ready && unavailable >= allowed {
            turn.hold(Hold::BudgetSpent { unavailable, allowed });
            break;
        }
        if turn.may_touch(member) {
            unavailable += usize::from(member.ready);
            actions.extend(absent::evict(turn, &member.pod, Why::NotUpgradable));
        }
    }
    turn.plan.each(actions);
}

/// Why pods would come back as they are.
fn useless(settings: &Settings) -> Option<&'static str> {
    if settings.injection_paused {
        return Some("spec.injectionStrategy.paused");
    }
    settings.pinned.is_some().then_some("spec.injectionStrategy.revision")
}

/// Whether a controller makes the pod again. A Job counts a missing pod as failed.
fn recreated(member: &Member) -> bool {
    member.pod.meta.controller().is_some_and(|owner| *owner.kind != *"Job")
}
