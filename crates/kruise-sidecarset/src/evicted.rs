//! Pods that were evicted and in whose place none came yet: they are down, although nothing in the cluster shows it (W-4,
//! W-45).
//!
//! Pace, not truth: a new process knows nothing of it, and evicts one budget more at most. Nothing is kept of workloads
//! whose pods are back as the set wants them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kruise_common::key::ObjectKey;
use kruise_common::moment::Moment;
use kruise_common::pod::Pod;
use kruise_common::table::Table;

use crate::member::active;

/// How long a workload that has no other pod is waited for: it may be gone, or want none any more. Updates in place wait
/// for no workload longer.
pub const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// A workload as it was when an eviction of one of its pods was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its UID.
    pub uid: Arc<str>,
    /// The UIDs of its pods.
    pub pods: BTreeSet<Arc<str>>,
}

/// A pod that was evicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evicted {
    /// Its key.
    pub pod: ObjectKey,
    /// Its UID.
    pub uid: Arc<str>,
}

/// What a workload lacks since pods of it were evicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    /// Pods in whose place none came yet, the first one first.
    pub pods: Vec<Evicted>,
    /// When the last one was evicted.
    pub since: Timestamp,
    /// Since when the workload has no pod at all.
    pub none_since: Option<Timestamp>,
    /// When the last of those that came in place of others was made, if none of them is as the set wants it.
    pub unproven: Option<Timestamp>,
    /// How often another one was evicted for all that.
    pub tries: u32,
}

impl Absence {
    /// Until when updates in place wait.
    pub fn holds_updates_until(&self) -> Timestamp {
        after(self.since)
    }

    /// Until when the workload is waited for although it may be gone.
    pub fn ends(&self) -> Option<Timestamp> {
        self.none_since.map(after)
    }

    /// Whether the workload is waited for.
    pub fn counts(&self, now: Timestamp) -> bool {
        self.ends().is_none_or(|end| end > now)
    }
}

fn after(begin: Timestamp) -> Timestamp {
    begin.checked_add(PATIENCE).unwrap_or(begin)
}

/// What is remembered of evictions, by set and workload.
#[derive(Debug, Default)]
pub struct Evictions {
    sets: Mutex<HashMap<ObjectKey, BTreeMap<Arc<str>, Memory>>>,
}

/// What is remembered of one workload.
#[derive(Debug, Default)]
struct Memory {
    /// Pods that are no news.
    known: BTreeSet<Arc<str>>,
    absent: Vec<Evicted>,
    /// Pods that came since the last eviction.
    came: BTreeSet<Arc<str>>,
    since: Timestamp,
    /// Whether the workload was seen without any pod, and since when.
    none: bool,
    none_since: Option<Timestamp>,
    /// Evictions since a pod came back as it should.
    tries: u32,
}

impl Evictions {
    /// What workloads lack, as far as `pods` shows; `right` says whether a pod is as the set wants it.
    pub fn look(
        &self,
        set: &ObjectKey,
        pods: &Table<Pod>,
        right: impl Fn(&Pod) -> bool,
    ) -> BTreeMap<Arc<str>, Absence> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(workloads) = sets.get_mut(set) else { return BTreeMap::new() };
        let mut absences = BTreeMap::new();
        workloads.retain(|uid, memory| {
            let absence = memory.look(&pods.owned_by(uid), &right);
            absence.map(|absence| absences.insert(uid.clone(), absence)).is_some()
        });
        absences
    }

    /// Hears of pods of a set that were evicted, or may have been.
    pub fn hear<'a>(
        &self,
        set: &ObjectKey,
        evicted: impl Iterator<Item = (Evicted, &'a Workload)>,
        now: Timestamp,
    ) {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workloads = sets.remove(set).unwrap_or_default();
        for (pod, of) in evicted {
            let memory = workloads.entry(of.uid.clone()).or_default();
            memory.known.extend(of.pods.iter().cloned());
            memory.tries = memory.tries.saturating_add(u32::from(!memory.came.is_empty()));
            memory.came.clear();
            memory.since = now;
            memory.none = false;
            memory.absent.push(pod);
        }
        for memory in workloads.values_mut() {
            memory.none_since = memory.none_since.or(Some(now)).filter(|_| memory.none);
        }
        workloads.retain(|_, memory| memory.absence(None).counts(now));
        if !workloads.is_empty() {
            sets.insert(set.clone(), workloads);
        }
    }

    /// Forgets a set that is gone or evicts nobody.
    pub fn forget(&self, set: &ObjectKey) {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner).remove(set);
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Memory {
    /// What the workload with these pods lacks; `None` if all is well. A second look at the same pods says the same.
    fn look(&mut self, pods: &[Arc<Pod>], right: &impl Fn(&Pod) -> bool) -> Option<Absence> {
        let living: Vec<&Arc<Pod>> = pods.iter().filter(|pod| active(pod)).collect();
        // An eviction that came to nothing.
        self.absent.retain(|evicted| living.iter().all(|pod| pod.meta.uid != evicted.uid));
        for pod in &living {
            if self.known.insert(pod.meta.uid.clone()) {
                self.came.insert(pod.meta.uid.clone());
                self.absent.drain(..self.absent.len().min(1));
            }
        }
        // One that terminates shows that it is not over.
        self.none = pods.is_empty();
        if !self.none {
            self.none_since = None;
        }
        let came = living.iter().filter(|pod| self.came.contains(&pod.meta.uid));
        let proven = came.clone().any(|pod| right(pod));
        let made = came.filter_map(|pod| pod.meta.created).max().map(Moment::timestamp);
        let unproven = made.filter(|_| !proven);
        (!self.absent.is_empty() || unproven.is_some()).then(|| self.absence(unproven))
    }

    fn absence(&self, unproven: Option<Timestamp>) -> Absence {
        let Self { absent, since, none_since, tries, .. } = self;
        let (since, none_since, tries) = (*since, *none_since, *tries);
        Absence { pods: absent.clone(), since, none_since, unproven, tries }
    }
}
