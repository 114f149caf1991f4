//! Which pods get the set's images now (section 19).

use super::absent;
use super::action::Action;
use super::hold::Hold;
use super::hot_upgrade::{self, State};
use super::order::order;
use super::turn::Turn;
use crate::member::Member;
use crate::snapshot::Settings;

/// Plans the updates of this turn.
pub fn update(turn: &mut Turn<'_>, settings: &Settings) {
    let snapshot = turn.snapshot;
    let absent = absent::lately_absent(turn);
    let total = snapshot.members.len() + absent;
    let allowed = settings.allowed(total);
    let mut unavailable = unavailable(turn) + absent;
    if settings.evicts || settings.repairs {
        // Who is on its way out is down until it comes back.
        unavailable += snapshot.strays.leaving;
    }
    let candidates = order(candidates(turn), &snapshot.members, settings);
    // Of those that are left, not of all pods, the partition stays old (UPD-20).
    let kept = settings.kept(total).min(candidates.len());
    if kept > 0 {
        turn.hold(Hold::BelowPartition { kept });
    }
    let mut actions = Vec::new();
    for member in candidates.iter().take(candidates.len() - kept) {
        // Who does not serve goes at once, unless the set asks for caution (W-42); giving up a new side that fails takes nothing down either. Both count from then
        // on, as they will in the next turn: together with others that go now they could exceed the budget.
        let broken = !member.ready && !settings.cautious;
        let free = broken || hot_upgrade::turns_back(member);
        // Nobody goes before the first one for whom there is no room (UPD-23).
        if !free && unavailable >= allowed {
            turn.hold(Hold::BudgetSpent { unavailable, allowed });
            break;
        }
        if turn.may_touch(member) {
            unavailable += 1;
            actions.push(Action::UpdatePod { pod: member.pod.meta.key.clone() });
        }
    }
    turn.plan.each(actions);
}

/// Updated pods that are not carried out or not ready (UPD-21), with the reason recorded, and outdated ones whose kubelet
/// is yet to act on an update that this one has overtaken.
fn unavailable(turn: &mut Turn<'_>) -> usize {
    let going = |member: &&Member| {
        // Who does not serve is not taken down by a late kubelet: its node may be dead.
        let in_flight = member.in_flight && member.pod.ready();
        !member.updated && (in_flight || turn.touched.contains(&member.pod.meta.key))
    };
    let mut count = turn.snapshot.members.iter().filter(going).count();
    for member in turn.snapshot.members.iter().filter(|member| member.unavailable()) {
        count += 1;
        if !member.consistent {
            turn.hold_pod(&member.pod, Hold::InPlaceInProgress);
        } else if member.pairs.iter().all(|pair| pair.state() != State::Switching) {
            // Of those that switch, the new side is told of.
            turn.hold_pod(&member.pod, Hold::NotReady);
        }
    }
    count
}

/// Outdated pods that may be updated in place (UPD-1, UPD-2), with the reason why others are not.
fn candidates<'a>(turn: &mut Turn<'a>) -> Vec<&'a Member> {
    let mut candidates = Vec::new();
    let mut unselected = 0;
    for member in turn.snapshot.members.iter().filter(|member| !member.updated) {
        if !member.selected {
            unselected += 1;
        } else if let Some(why) = member.stuck {
            let why = why.as_str();
            turn.hold_pod(&member.pod, |pods| Hold::NotUpgradable { pods, why });
        } else if turn.touched.contains(&member.pod.meta.key) {
            // The old side of its last upgrade is reset first.
        } else if member.in_flight {
            turn.hold_pod(&member.pod, Hold::InPlaceInProgress);
        } else if turn.may_try(&member.pod) {
            candidates.push(member);
        }
    }
    if unselected > 0 {
        turn.hold(Hold::NotSelected { outdated: unselected });
    }
    candidates
}
