//! Numbers of a set that are exported: how many replicas are unavailable and how many may be (K-13), and how long in-place
//! updates took (W21).

use jiff::Timestamp;
use kruise_common::plan::{Measure, Sample};
use kruise_common::pod::Availability;

use crate::plan::action::Action;
use crate::plan::lifecycle_normal;
use crate::snapshot::Snapshot;

/// The numbers of a set; none while its spec means nothing.
pub fn measures(snapshot: &Snapshot, now: Timestamp) -> Vec<Measure> {
    let Ok(settings) = &snapshot.settings else { return Vec::new() };
    let up = |ordinal: i32| {
        snapshot.pods.get(&ordinal).is_some_and(|pod| {
            let available = pod.availability(settings.min_ready_seconds, now);
            lifecycle_normal(pod) && !pod.terminating() && available == Availability::Available
        }) && !snapshot.unfinished().contains_key(&ordinal)
    };
    let down = settings.ordinals.iter().filter(|ordinal| !up(*ordinal)).count();
    let policy = if settings.ordered { "OrderedReady" } else { "Parallel" };
    let measure = |name, help, count: usize| {
        let amount = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        Measure { name, help, label: "pod_management_policy", value: policy, amount }
    };
    let mut measures = vec![measure(
        "kruise_statefulset_unavailable_replicas",
        "Replicas of all sets that are not available.",
        down,
    )];
    if let Some(rolling) = settings.rolling() {
        measures.push(measure(
            "kruise_statefulset_max_unavailable",
            "Replicas of all sets that updates may leave unavailable.",
            rolling.max_unavailable,
        ));
    }
    measures
}

/// How long the in-place update of a pod took that has just ended.
pub fn samples(action: &Action, now: Timestamp) -> Vec<Sample> {
    let Action::Refresh { finished: Some(finished), .. } = action else { return Vec::new() };
    vec![Sample {
        name: "kruise_statefulset_inplace_update_duration_seconds",
        help: "From the beginning of the in-place update of a pod until it was back in traffic.",
        label: "changed",
        value: finished.changed,
        seconds: now.duration_since(finished.since).as_secs_f64().max(0.0),
    }]
}
