//! In which order pods are updated (19.2): who costs least first, then by priority, then spread.

use std::cmp::Reverse;

use kruise_common::meta::Pairs;
use kruise_common::moment::Moment;
use kruise_common::ordering::{priority, scatter};
use kruise_common::pod::{Phase, Pod};

use crate::member::Member;
use crate::snapshot::Settings;

/// Orders `candidates`; who goes first comes first.
pub fn order<'a>(
    mut candidates: Vec<&'a Member>,
    everyone: &'a [Member],
    settings: &Settings,
) -> Vec<&'a Member> {
    candidates.sort_by(|a, b| {
        let order = rank(&a.pod).cmp(&rank(&b.pod));
        order.then_with(|| a.pod.meta.key.cmp(&b.pod.meta.key))
    });
    if let Some(strategy) = &settings.priority {
        priority::sort(&mut candidates, strategy, |member| &member.pod.meta.labels);
    }
    if settings.scatter.is_empty() {
        return candidates;
    }
    let labels: Vec<&Pairs> = everyone.iter().map(|member| &member.pod.meta.labels).collect();
    scatter::scatter(candidates, &settings.scatter, &labels, |member| &member.pod.meta.labels)
}

/// A time of which a later one comes first, and none before all.
type Latest = Option<Reverse<Moment>>;

/// What comes first is least (UPD-10).
fn rank(pod: &Pod) -> (bool, u8, bool, Latest, Reverse<(u16, u16)>, Latest) {
    let phase = match pod.phase {
        Phase::None | Phase::Pending => 0,
        Phase::Unknown => 1,
        Phase::Running | Phase::Succeeded | Phase::Failed => 2,
    };
    let ready = pod.ready();
    let since = pod.condition("Ready").and_then(|condition| condition.since).filter(|_| ready);
    (
        pod.node.is_some(),
        phase,
        ready,
        since.map(Reverse),
        Reverse(pod.restarts),
        pod.meta.created.map(Reverse),
    )
}
