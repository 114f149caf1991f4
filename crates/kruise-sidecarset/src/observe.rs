//! From the caches to a [`Snapshot`]. Pods and revisions of a set are found by index: nothing here grows with the number
//! of other sets or of their pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use kruise_api::keys;
use kruise_common::key::ObjectKey;
use kruise_common::meta::Pairs;
use kruise_common::pod::Pod;
use kruise_common::revision::Revision;
use kruise_common::table::Table;

use crate::asked::Asked;
use crate::auditor::{Audited, Why, audit};
use crate::choose::{named, skips};
use crate::evicted::{Absence, Evictions, Workload};
use crate::member::{Member, accused, active, injected, is_updated};
use crate::namespace::Namespace;
use crate::object::SidecarSet;
use crate::recorded::Library;
use crate::registered::by_age;
use crate::registration::Unasked;
use crate::revision::{Unusable, find, is_of};
use crate::roster::Rosters;
use crate::snapshot::{Options, Settings, Snapshot, Strays};

/// The caches a set is observed in.
#[derive(Debug)]
pub struct Caches {
    /// Sets.
    pub sets: Arc<Table<SidecarSet>>,
    /// Pods.
    pub pods: Arc<Table<Pod>>,
    /// Namespaces.
    pub namespaces: Arc<Table<Namespace>>,
    /// Revisions.
    pub revisions: Arc<Table<Revision>>,
    /// Where revisions are.
    pub revision_namespace: Arc<str>,
    /// Members that were read before.
    pub rosters: Rosters,
    /// What became of pods that were evicted.
    pub evictions: Evictions,
    /// Recorded revisions that were read before.
    pub library: Arc<Library>,
    /// For which sets the API server is known to ask.
    pub asked: Arc<Asked>,
    /// About which pods it never asks.
    pub unasked: Unasked,
}

/// What the caches say of the set; `None` if it is gone.
pub fn observe(
    caches: &Caches,
    options: Options,
    resting: BTreeMap<ObjectKey, Timestamp>,
    key: &ObjectKey,
) -> Option<Snapshot> {
    let Some(set) = caches.sets.get(key) else {
        caches.rosters.forget(&key.name);
        caches.evictions.forget(key);
        return None;
    };
    let own = || caches.revisions.in_group(set.name());
    let content = set.content.as_ref();
    let hashes = content.map(|content| content.hashes(&set.meta.uid, own, &caches.library));
    let settings = Settings::new(&set, hashes.unwrap_or_default(), options);
    let absences = settings.as_ref().map(|settings| absences(caches, key, settings));
    let absences = absences.unwrap_or_default();
    let (members, strays) = match &settings {
        Ok(settings) => members(caches, &set, settings, &absences),
        Err(_) => (Vec::new(), Strays::default()),
    };
    let missed = missed(caches, &set);
    let workloads = settings.as_ref().map(|it| workloads(caches, it, &members, &missed));
    let workloads = workloads.unwrap_or_default();
    let (revisions, taken) = revisions(caches, &set);
    Some(Snapshot {
        unusable: unusable(caches, &set),
        silent: silent(caches, &members),
        asked: caches.asked.about(&set.meta.uid),
        set,
        settings,
        members,
        missed,
        strays,
        revisions,
        taken,
        revision_namespace: caches.revision_namespace.clone(),
        resting,
        workloads,
        absences,
        registered: OnceLock::new(),
    })
}

/// Matched pods (STA-1), and what is wrong with the others that bear the set's name.
fn members(
    caches: &Caches,
    set: &SidecarSet,
    settings: &Settings,
    absences: &BTreeMap<Arc<str>, Absence>,
) -> (Vec<Member>, Strays) {
    let Ok(content) = &set.content else { return (Vec::new(), Strays::default()) };
    let mut known = caches.rosters.take(set, &settings.hashes);
    let mut members = Vec::new();
    let mut strays = Strays::default();
    // Pods come by namespace; each is looked up once.
    let mut reached: Option<(Arc<str>, bool)> = None;
    for pod in caches.pods.in_group(set.name()) {
        let namespace = &pod.meta.key.namespace;
        if reached.as_ref().is_none_or(|(name, _)| name != namespace) {
            let row = caches.namespaces.get(&ObjectKey::new("", namespace.clone()));
            let labels = row.as_ref().map(|row| &row.meta.labels);
            let inside = content.matcher.reach(namespace, labels) == crate::matching::Reach::Inside;
            reached = Some((namespace.clone(), inside));
        }
        let inside = reached.as_ref().is_some_and(|(_, inside)| *inside);
        if !inside || !content.matcher.selects(&pod.meta.labels) {
            continue;
        }
        if !active(&pod) {
            // Of those that were evicted it is known.
            let evicted = || absences.values().flat_map(|absence| &absence.pods);
            let known = || evicted().any(|evicted| evicted.uid == pod.meta.uid);
            strays.leaving += usize::from(pod.terminating() && !known());
            continue;
        }
        match known.of(&pod).or_else(|| Member::new(&pod, settings)) {
            Some(member) => members.push(member),
            None => strays.incomplete += 1,
        }
    }
    caches.rosters.keep(set, &settings.hashes, &members);
    (members, strays)
}

/// What is known of pods that were evicted; nothing of a set that evicts nobody (any more).
fn absences(caches: &Caches, key: &ObjectKey, settings: &Settings) -> BTreeMap<Arc<str>, Absence> {
    if !settings.evicts && !settings.repairs {
        caches.evictions.forget(key);
        return BTreeMap::new();
    }
    // Where a recorded revision is injected new pods have another hash.
    let right = |pod: &Pod| {
        let recorded = settings.pinned.is_some() && injected(pod, &settings.name);
        recorded || is_updated(pod, settings)
    };
    caches.evictions.look(key, &caches.pods, right)
}

/// Workloads of pods that may be evicted, with all their pods.
fn workloads(
    caches: &Caches,
    settings: &Settings,
    members: &[Member],
    missed: &[Arc<Pod>],
) -> BTreeMap<Arc<str>, Arc<Workload>> {
    let stuck = members.iter().filter(|it| settings.evicts && it.selected && it.stuck.is_some());
    let missed = missed.iter().filter(|_| settings.repairs);
    let pods = stuck.map(|member| &member.pod).chain(missed);
    let owners = pods.filter_map(|pod| Some(&pod.meta.controller()?.uid));
    let owners: BTreeSet<&Arc<str>> = owners.collect();
    let workload = |uid: &Arc<str>| {
        let pods = caches.pods.owned_by(uid);
        let pods = pods.iter().map(|pod| pod.meta.uid.clone()).collect();
        (uid.clone(), Arc::new(Workload { uid: uid.clone(), pods }))
    };
    owners.into_iter().map(workload).collect()
}

/// Sets without a say in the conditions of these pods (W-12).
fn silent(caches: &Caches, members: &[Member]) -> BTreeSet<Arc<str>> {
    let mut known: BTreeMap<Arc<str>, bool> = BTreeMap::new();
    for name in members.iter().flat_map(|member| accused(&member.pod)) {
        if !known.contains_key(&*name) {
            let name: Arc<str> = Arc::from(name);
            let set = caches.sets.get(&ObjectKey::new("", name.clone()));
            known.insert(name, set.is_none_or(|set| set.is_not_update()));
        }
    }
    known.into_iter().filter_map(|(name, silent)| silent.then_some(name)).collect()
}

/// Pods that should have the set's sidecars and have not: they were admitted while no webhook answered (W-4). Pods older
/// than the set never had a chance (LIF-1), and where a canary stands in for the set its own sidecars are right (SEL-4).
fn missed(caches: &Caches, set: &Arc<SidecarSet>) -> Vec<Arc<Pod>> {
    let Ok(content) = &set.content else { return Vec::new() };
    if content.spec.injection_strategy.paused {
        return Vec::new();
    }
    let Some(demands) = content.matcher.demands() else { return Vec::new() };
    let mut missed = caches.pods.bearing(demands, |pod| misses(set, pod, &caches.unasked));
    if missed.is_empty() {
        return missed;
    }
    let mut sets = caches.sets.filter(|other| other.replaces() == Some(set.name()));
    sets.push(set.clone());
    let audited = missed.iter().map(|pod| Audited {
        key: &pod.meta.key,
        labels: &pod.meta.labels,
        injected: pod.injected.iter().map(|name| &**name).collect(),
        created: pod.meta.created,
        active: active(pod),
        mirror: pod.annotations.get(keys::MIRROR_POD).is_some(),
    });
    let findings = audit(&sets, audited, |namespace| labels(caches, namespace));
    let own = findings.iter().filter(|it| it.set == set.meta.key.name && it.why == Why::Missed);
    let own: BTreeSet<&ObjectKey> = own.map(|finding| &finding.pod).collect();
    // What nobody knows of a namespace says nothing of its pods; it is looked again when it is known.
    let asked = |name: &str| labels(caches, name).is_some_and(|it| !Unasked::labelled(&it));
    missed.retain(|pod| own.contains(&pod.meta.key) && asked(&pod.meta.key.namespace));
    missed
}

fn labels(caches: &Caches, namespace: &str) -> Option<Pairs> {
    let row = caches.namespaces.get(&ObjectKey::new("", namespace));
    row.map(|row| row.meta.labels.clone())
}

/// Whether a pod bears no record of a set that is about its labels, although it was made later.
pub fn misses(set: &SidecarSet, pod: &Pod, unasked: &Unasked) -> bool {
    let Ok(content) = &set.content else { return false };
    content.matcher.selects(&pod.meta.labels)
        && pod.meta.created > set.meta.created
        && !pod.injected.contains(&set.meta.key.name)
        && active(pod)
        && !unasked.named(&pod.meta.key.namespace)
        && !(unasked.opt_out && skips(&pod.annotations, set.name()))
}

/// Looks for the recorded revision that the set names as admission does (HIS-20).
fn unusable(caches: &Caches, set: &SidecarSet) -> Option<Unusable> {
    let wanted = named(&set.content.as_ref().ok()?.spec)?;
    let (name, version) = (wanted.revision_name.as_deref(), wanted.custom_version.as_deref());
    let revisions = caches.revisions.in_group(set.name());
    let found = find(set.name(), name, version, &revisions);
    found.and_then(|found| caches.library.recorded(found)).err()
}

/// Revisions of the set by age (HIS-5), and names of its kind that others hold.
fn revisions(caches: &Caches, set: &SidecarSet) -> (Vec<Arc<Revision>>, Vec<Arc<str>>) {
    let rows = caches.revisions.in_group(set.name()).into_iter();
    let (mut revisions, mut others): (Vec<_>, Vec<_>) =
        rows.partition(|revision| is_of(revision, &set.meta.uid));
    revisions.sort_by(|a, b| by_age(a, b));
    let prefix = format!("{}-", set.name());
    let alike = caches.revisions.with_prefix(&caches.revision_namespace, &prefix);
    others.extend(
        alike.into_iter().filter(|other| !revisions.iter().any(|own| own.name() == other.name())),
    );
    let taken = others.iter().map(|revision| revision.name().clone()).collect();
    (revisions, taken)
}
