//! Pods that a user labelled for deletion: re-created in their place, within the update budget (section 15).

use std::collections::BTreeSet;

use kruise_api::keys;
use kruise_common::pod::Pod;

use super::action::Why;
use super::hold::Hold;
use super::turn::Turn;
use super::unavailable::Unavailable;

/// Whether a user labelled the pod for deletion.
pub fn wants_replacement(pod: &Pod) -> bool {
    pod.meta.labels.get(keys::SPECIFIED_DELETE).is_some()
}

/// Plans the deletions, the highest ordinal first, and counts them into `unavailable`. Returns the labelled ordinals.
pub fn specified_delete(turn: &mut Turn<'_>, unavailable: &mut Unavailable) -> BTreeSet<i32> {
    let Some(rolling) = turn.rolling() else { return BTreeSet::new() };
    let labelled: Vec<_> =
        turn.replicas().rev().filter(|(_, pod)| wants_replacement(pod)).collect();
    let mut actions = Vec::new();
    for (ordinal, pod) in &labelled {
        let allowed = rolling.max_unavailable;
        let decided = pod.terminating() || turn.touched.contains(ordinal);
        if decided || !turn.reaches(*ordinal) {
            continue;
        }
        if unavailable.forbids(*ordinal, allowed) {
            turn.hold(Hold::BudgetSpent { unavailable: unavailable.count(), allowed });
            continue;
        }
        if unavailable.only_down(*ordinal, allowed) {
            turn.only_down.insert(*ordinal);
        }
        actions.extend(turn.delete(*ordinal, pod, Why::Specified));
        if !turn.resting.contains(ordinal) {
            unavailable.take(*ordinal);
        }
    }
    turn.plan.each(actions);
    labelled.into_iter().map(|(ordinal, _)| ordinal).collect()
}
