//! Members of large sets as they were seen last. What is true of a member follows from its pod and from the set's spec and
//! hashes, so of thousands of pods only those are read anew that changed since (W-21).
//!
//! Nothing depends on it but the time that a turn takes: a new process knows nothing.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kruise_common::pod::Pod;

use crate::hash::Hashes;
use crate::member::Member;
use crate::object::SidecarSet;

/// Fewer are read in no time, and what is kept takes memory.
const LARGE: usize = 256;

/// What is kept of all large sets, by name.
#[derive(Debug)]
pub struct Rosters {
    kept: Mutex<HashMap<Arc<str>, Roster>>,
    least: usize,
}

/// What is kept of one set.
#[derive(Debug)]
struct Roster {
    basis: Basis,
    /// In the order of their keys.
    members: Vec<Member>,
}

/// What members follow from, apart from their pods.
#[derive(Debug, PartialEq, Eq)]
struct Basis {
    uid: Arc<str>,
    generation: i64,
    hashes: Hashes,
}

/// Members that are known, asked for in the order of their keys.
#[derive(Debug)]
pub struct Known {
    members: std::iter::Peekable<std::vec::IntoIter<Member>>,
}

impl Default for Rosters {
    fn default() -> Self {
        Self::of_at_least(LARGE)
    }
}

impl Rosters {
    /// Rosters of sets that have so many pods.
    pub fn of_at_least(least: usize) -> Self {
        Self { kept: Mutex::default(), least }
    }

    /// Takes out what is known of the set's members, as far as it still counts.
    pub fn take(&self, set: &SidecarSet, hashes: &Hashes) -> Known {
        let roster = self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(set.name());
        let members = roster.filter(|roster| roster.basis == Basis::of(set, hashes));
        let members = members.map_or_else(Vec::new, |roster| roster.members);
        Known { members: members.into_iter().peekable() }
    }

    /// Keeps the members, which are in the order of their keys.
    pub fn keep(&self, set: &SidecarSet, hashes: &Hashes, members: &[Member]) {
        if members.len() >= self.least {
            let roster = Roster { basis: Basis::of(set, hashes), members: members.to_vec() };
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert(set.meta.key.name.clone(), roster);
        }
    }

    /// Forgets a set that is gone.
    pub fn forget(&self, name: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

impl Basis {
    fn of(set: &SidecarSet, hashes: &Hashes) -> Self {
        Self { uid: set.meta.uid.clone(), generation: set.meta.generation, hashes: hashes.clone() }
    }
}

impl Known {
    /// The member that this pod is, if exactly this state of it is known.
    pub fn of(&mut self, pod: &Arc<Pod>) -> Option<Member> {
        let order = |known: &Member| known.pod.meta.key.cmp(&pod.meta.key);
        while self.members.next_if(|known| order(known) == Ordering::Less).is_some() {}
        self.members.next_if(|known| Arc::ptr_eq(&known.pod, pod))
    }
}
