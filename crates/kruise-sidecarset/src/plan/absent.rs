//! What evictions go by, of either kind: pods that were evicted and are not back are down, and a workload whose pods came
//! back otherwise than the set wants them is left alone (W-4, W-45).

use jiff::SignedDuration;
use kruise_common::pod::Pod;

use super::action::{Action, Why};
use super::hold::{Hold, Pods};
use super::turn::Turn;
use crate::evicted::Absence;
use crate::member::Member;

/// How long after a pod came back otherwise than the set wants it another one of its workload is tried: twice as long each
/// time, up to a day or so. Some never come back otherwise, such as those that are selected by a label that a webhook behind
/// ours gives them.
const TRIAL: SignedDuration = SignedDuration::from_mins(5);
const MOST_DOUBLINGS: u32 = 8;

/// Tells of pods that were evicted and are not back.
pub fn tell(turn: &mut Turn<'_>) {
    let missing = || turn.snapshot.absences.values().filter(|it| it.counts(turn.now));
    let mut pods = missing().flat_map(|absence| &absence.pods);
    let Some(first) = pods.next().map(|evicted| evicted.pod.to_string()) else { return };
    let count = 1 + pods.count();
    let ends = missing().filter_map(Absence::ends);
    let ends = ends.chain(missing().map(Absence::holds_updates_until));
    let until = ends.filter(|end| *end > turn.now).min();
    turn.hold(Hold::EvictedNotBack { pods: Pods { first, count }, until });
}

/// How many pods are down: evictions take no more than the budget leaves.
pub fn down(turn: &Turn<'_>) -> usize {
    let snapshot = turn.snapshot;
    let down = |member: &&Member| {
        !member.ready || !member.consistent || turn.touched.contains(&member.pod.meta.key)
    };
    let missed = snapshot.missed.iter().filter(|pod| !pod.ready()).count();
    snapshot.members.iter().filter(down).count() + missed + snapshot.strays.leaving + absent(turn)
}

/// How many pods were evicted and are not back.
pub fn absent(turn: &Turn<'_>) -> usize {
    let absences = turn.snapshot.absences.values();
    absences.filter(|absence| absence.counts(turn.now)).map(|absence| absence.pods.len()).sum()
}

/// The same as far as updates in place wait for them: not for workloads that make no pod for long, which may have been
/// scaled down.
pub fn lately_absent(turn: &Turn<'_>) -> usize {
    let absences = turn.snapshot.absences.values();
    let lately = absences.filter(|absence| absence.holds_updates_until() > turn.now);
    lately.map(|absence| absence.pods.len()).sum()
}

/// Whether a pod of this pod's workload may be evicted, for all that became of earlier ones.
pub fn is_proven(turn: &mut Turn<'_>, pod: &Pod) -> bool {
    let Some(owner) = pod.meta.controller() else { return false };
    let Some(absence) = turn.snapshot.absences.get(&owner.uid) else { return true };
    let Some(made) = absence.unproven else { return true };
    // One at a time is tried.
    let from = if turn.evicted_of.contains(&owner.uid) { turn.now } else { made };
    let trial = TRIAL.saturating_mul(1 << absence.tries.min(MOST_DOUBLINGS));
    let until = from.checked_add(trial).unwrap_or(from);
    if until <= turn.now {
        return true;
    }
    turn.hold_pod(pod, |pods| Hold::EvictionUnproven { pods, until });
    false
}

/// The eviction of a pod.
pub fn evict(turn: &mut Turn<'_>, pod: &Pod, why: Why) -> Option<Action> {
    let of = turn.snapshot.workloads.get(&pod.meta.controller()?.uid)?.clone();
    turn.evicted_of.insert(of.uid.clone());
    let (uid, pod) = (pod.meta.uid.clone(), pod.meta.key.clone());
    Some(Action::Evict { pod, uid, of, why })
}
