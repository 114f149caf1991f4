//! Numbers of a set that are exported (OPS-6): how many pods are in which state, summed over all sets.

use kruise_common::plan::Measure;

use crate::member::Member;
use crate::pair::Pair;
use crate::snapshot::Snapshot;

/// The numbers of a set; none while its spec means nothing.
pub fn measures(snapshot: &Snapshot) -> Vec<Measure> {
    if snapshot.settings.is_err() {
        return Vec::new();
    }
    let count = |is: fn(&Member) -> bool| snapshot.members.iter().filter(|it| is(it)).count();
    let measure = |(value, count): (&'static str, usize)| Measure {
        name: "kruise_sidecarset_pods",
        help: "Pods of all SidecarSets, by state; a pod counts once for each set and state.",
        label: "state",
        value,
        amount: f64::from(u32::try_from(count).unwrap_or(u32::MAX)),
    };
    let counts = [
        ("matched", snapshot.members.len()),
        ("updated", count(|member| member.updated)),
        ("ready", count(|member| member.consistent && member.ready)),
        ("updating", count(|member| member.updated && !member.consistent)),
        ("switching", count(|member| !member.pairs.iter().all(Pair::rests))),
        ("not-upgradable", count(|member| member.selected && member.stuck.is_some())),
        ("not-injected", snapshot.missed.len()),
    ];
    counts.into_iter().filter(|(_, count)| *count > 0).map(measure).collect()
}
