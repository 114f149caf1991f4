//! Pods that a user labelled for deletion: re-created in their place, within the update budget (section 15).

use std::collections::BTreeSet;

use kruise_api::keys;
use kruise_common::budget::Budget;

use super::action::Why;
use super::hold::Hold;
use super::turn::Turn;

/// Plans the deletions, the highest ordinal first, and counts them into `unavailable`. Returns the labelled ordinals.
pub fn specified_delete(
    turn: &mut Turn<'_>,
    unavailable: &mut BTreeSet<i32>,
    only: Option<i32>,
) -> BTreeSet<i32> {
    let Some(rolling) = turn.rolling() else { return BTreeSet::new() };
    let labelled: Vec<_> = turn
        .replicas()
        .rev()
        .filter(|(_, pod)| pod.meta.labels.get(keys::SPECIFIED_DELETE).is_some())
        .collect();
    let mut actions = Vec::new();
    for (ordinal, pod) in &labelled {
        let budget = Budget { unavailable: unavailable.len(), allowed: rolling.max_unavailable };
        if pod.terminating() || turn.touched.contains(ordinal) {
            continue;
        }
        if only.is_some_and(|only| only != *ordinal) {
            continue;
        }
        if budget.spent() && !unavailable.contains(ordinal) {
            let Budget { unavailable, allowed } = budget;
            turn.hold(Hold::BudgetSpent { unavailable, allowed });
            continue;
        }
        unavailable.insert(*ordinal);
        actions.extend(turn.delete(*ordinal, pod, Why::Specified));
    }
    turn.plan.burst(actions);
    labelled.into_iter().map(|(ordinal, _)| ordinal).collect()
}
