//! Numbers of a set that are exported (K-13): how many replicas are unavailable, and how many may be.

use jiff::Timestamp;
use kruise_common::plan::Measure;
use kruise_common::pod::Availability;

use crate::plan::lifecycle_normal;
use crate::snapshot::Snapshot;

/// The numbers of a set; none while its spec means nothing.
pub fn measures(snapshot: &Snapshot, now: Timestamp) -> Vec<Measure> {
    let Ok(settings) = &snapshot.settings else { return Vec::new() };
    let up = |ordinal: i32| {
        snapshot.pods.get(&ordinal).is_some_and(|pod| {
            let available = pod.availability(settings.min_ready_seconds, now);
            lifecycle_normal(pod) && !pod.terminating() && available == Availability::Available
        })
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
