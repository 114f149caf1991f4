//! Which replicas may have the update revision, and in which order they get it (section 12).

use kruise_common::meta::Pairs;
use kruise_common::ordering::{priority, scatter};

use super::turn::Turn;
use crate::snapshot::Rolling;

/// The replicas that may have the update revision, in the order in which they get it (PO-1…PO-7).
pub fn targets(turn: &Turn<'_>, rolling: &Rolling) -> Vec<i32> {
    let many = turn.settings.ordinals.count().saturating_sub(rolling.partition);
    let Some(strategy) = &rolling.unordered else {
        return turn.settings.ordinals.iter().rev().take(many).collect();
    };
    let (first, mut rest): (Vec<_>, Vec<_>) = turn
        .replicas()
        .rev()
        .partition(|(_, pod)| pod.terminating() || turn.counts_as_updated(pod));
    if let Some(strategy) = strategy {
        priority::sort(&mut rest, strategy, |(_, pod)| &pod.meta.labels);
    }
    if !rolling.scatter.is_empty() {
        let everyone: Vec<&Pairs> = turn.replicas().map(|(_, pod)| &pod.meta.labels).collect();
        rest = scatter::scatter(rest, &rolling.scatter, &everyone, |(_, pod)| &pod.meta.labels);
    }
    // A missing pod uses a place up unless it certainly comes back old: else too few would stay old (AC-4).
    let missing = turn.settings.ordinals.iter();
    let missing = missing.filter(|at| !turn.snapshot.pods.contains_key(at));
    let missing = missing.filter(|at| !turn.created_old.contains(at)).count();
    let all = first.into_iter().chain(rest).map(|(ordinal, _)| ordinal);
    all.take(many.saturating_sub(missing)).collect()
}
