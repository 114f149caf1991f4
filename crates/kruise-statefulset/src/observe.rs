//! From the caches to a [`Snapshot`].

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use kruise_common::claim::Claim;
use kruise_common::gates::FeatureGates;
use kruise_common::key::ObjectKey;
use kruise_common::pod::{Pod, parse_name};
use kruise_common::revision::Revision;
use kruise_common::storage_class::StorageClass;
use kruise_common::table::{Record, Table};

use crate::object::Set;
use crate::pull_job::PullJob;
use crate::revision::by_age;
use crate::snapshot::{Invalid, Settings, Snapshot};

/// The caches a set is observed in.
#[derive(Debug)]
pub struct Caches {
    /// Sets.
    pub sets: Arc<Table<Set>>,
    /// Pods.
    pub pods: Arc<Table<Pod>>,
    /// Claims.
    pub claims: Arc<Table<Claim>>,
    /// Revisions.
    pub revisions: Arc<Table<Revision>>,
    /// Storage classes, if claims may follow their templates.
    pub classes: Option<Arc<Table<StorageClass>>>,
    /// Pull jobs, if that kind is served and wanted.
    pub pull_jobs: Option<Arc<Table<PullJob>>>,
}

/// Pods of a set, sorted by what they are to it (8.3).
#[derive(Default)]
struct Claimed {
    pods: BTreeMap<i32, Arc<Pod>>,
    strangers: Vec<Arc<Pod>>,
    orphans: Vec<Arc<Pod>>,
    taken: BTreeMap<i32, Arc<Pod>>,
}

/// What the caches say of the set; `None` if it is gone.
pub fn observe(caches: &Caches, gates: FeatureGates, key: &ObjectKey) -> Option<Snapshot> {
    let set = caches.sets.get(key)?;
    let settings = match &set.spec {
        Ok(spec) => Settings::new(spec, &set.annotations, &gates),
        Err(problem) => Err(Invalid { field: "spec".to_owned(), problem: problem.clone() }),
    };
    let deleting = set.meta.terminating();
    let settled = settings.as_ref().ok().filter(|_| !deleting);
    let Claimed { pods, strangers, orphans, taken } = claim_pods(caches, &set, settled);
    let (revisions, foreign_revisions) = revisions(caches, &set, settings.as_ref().ok());
    let claims = claims(caches, &set, settings.as_ref().ok(), &pods);
    let classes = classes(caches, settings.as_ref().ok(), &claims);
    let jobs = caches.pull_jobs.as_ref();
    let prefix = format!("{}-", set.name());
    let pull_jobs = jobs.map(|jobs| jobs.with_prefix(&set.meta.key.namespace, &prefix));
    Some(Snapshot {
        classes,
        pull_jobs,
        set,
        settings,
        gates,
        pods,
        strangers,
        orphans,
        taken,
        revisions,
        foreign_revisions,
        claims,
        revised: OnceLock::new(),
        refused: BTreeMap::new(),
        in_place: OnceLock::new(),
    })
}

/// Rows that the set controls. A reference from another namespace counts for nothing: whoever may write there must not
/// reach into this one.
fn owned<R: Record>(table: &Table<R>, set: &Set) -> Vec<Arc<R>> {
    let mut rows = table.owned_by(&set.meta.uid);
    rows.retain(|row| row.meta().key.namespace == set.meta.key.namespace);
    rows
}

/// Without settings (invalid, or the set is being deleted) nothing is adopted or released: only what is controlled counts.
fn claim_pods(caches: &Caches, set: &Set, settings: Option<&Settings>) -> Claimed {
    let mut claimed = Claimed::default();
    for pod in owned(&caches.pods, set) {
        let member = ordinal(set, &pod);
        let selected = settings.is_none_or(|s| s.selector.matches(&pod.meta.labels));
        match member.filter(|_| selected) {
            Some(ordinal) => {
                claimed.pods.insert(ordinal, pod);
            }
            None if settings.is_some() => claimed.strangers.push(pod),
            None => {}
        }
    }
    let Some(settings) = settings else { return claimed };
    let prefix = format!("{}-", set.name());
    for pod in caches.pods.with_prefix(&set.meta.key.namespace, &prefix) {
        let Some(ordinal) = ordinal(set, &pod) else { continue };
        match pod.meta.controller() {
            Some(controller) if controller.uid == set.meta.uid => {}
            None if settings.selector.matches(&pod.meta.labels) && !pod.terminating() => {
                claimed.orphans.push(pod);
            }
            Some(_) | None => {
                claimed.taken.insert(ordinal, pod);
            }
        }
    }
    claimed
}

/// The ordinal, if the pod's name is exactly that of the set's pod with this ordinal (I-2, I-3, I-8).
/// `web-01` is not: it would hide `web-1`.
fn ordinal(set: &Set, pod: &Pod) -> Option<i32> {
    let (parent, ordinal) = parse_name(pod.name())?;
    let canonical = pod.name().len() == parent.len() + 1 + ordinal.to_string().len();
    (parent == set.name() && canonical).then_some(ordinal)
}

type Revisions = (Vec<Arc<Revision>>, Vec<Arc<Revision>>);

/// Revisions of the set, by age, and those that only share its name prefix.
fn revisions(caches: &Caches, set: &Set, settings: Option<&Settings>) -> Revisions {
    let prefix = format!("{}-", set.name());
    let all = caches.revisions.with_prefix(&set.meta.key.namespace, &prefix);
    let mut owned = owned(&caches.revisions, set);
    let selects = |revision: &Revision| {
        settings.is_some_and(|settings| settings.selector.matches(&revision.meta.labels))
    };
    let mut foreign = Vec::new();
    for revision in all {
        match revision.meta.controller() {
            Some(controller) if controller.uid == set.meta.uid => {}
            None if selects(&revision) => owned.push(revision),
            Some(_) | None => foreign.push(revision),
        }
    }
    owned.sort_by(|a, b| by_age(a, b));
    (owned, foreign)
}

/// Existing claims of every ordinal that is wanted or occupied.
fn claims(
    caches: &Caches,
    set: &Set,
    settings: Option<&Settings>,
    pods: &BTreeMap<i32, Arc<Pod>>,
) -> BTreeMap<Arc<str>, Arc<Claim>> {
    let Some(settings) = settings else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for template in &settings.claims {
        let condemned = pods.keys().copied().filter(|at| !settings.ordinals.contains(*at));
        for ordinal in settings.ordinals.iter().chain(condemned) {
            let key = set.meta.key.sibling(template.claim_name(set.name(), ordinal));
            if let Some(claim) = caches.claims.get(&key) {
                found.insert(claim.meta.key.name.clone(), claim);
            }
        }
    }
    found
}

/// The storage classes of existing claims, if these follow their templates.
fn classes(
    caches: &Caches,
    settings: Option<&Settings>,
    claims: &BTreeMap<Arc<str>, Arc<Claim>>,
) -> BTreeMap<Arc<str>, Arc<StorageClass>> {
    let follow = settings.is_some_and(|settings| settings.resize_claims);
    let Some(table) = caches.classes.as_ref().filter(|_| follow) else { return BTreeMap::new() };
    let names = claims.values().filter_map(|claim| claim.class.clone());
    let found = names.filter_map(|name| {
        let class = table.get(&ObjectKey::new("", name.clone()))?;
        Some((name, class))
    });
    found.collect()
}
