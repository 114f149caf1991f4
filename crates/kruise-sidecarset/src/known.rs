//! What the turn before found out about the pods of a set (W-21): a roll-out over thousands of pods has many turns a second,
//! and in each of them all but a few pods are the very records that were read before.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;

use kruise_common::key::ObjectKey;
use kruise_common::pod::Pod;

use crate::member::Member;
use crate::object::SidecarSet;

/// Members by set, of sets that are not at rest: what costs memory is kept only while it is asked for.
#[derive(Debug, Default)]
pub struct Known {
    sets: Mutex<BTreeMap<ObjectKey, Turn>>,
}

#[derive(Debug)]
struct Turn {
    uid: Arc<str>,
    generation: i64,
    members: Vec<Member>,
}

impl Known {
    /// What is known of the pods of `set`: nothing, if it was about another spec.
    pub fn take(&self, set: &SidecarSet) -> Reused {
        let known = self.sets().remove(&set.meta.key);
        let same =
            known.filter(|it| it.uid == set.meta.uid && it.generation == set.meta.generation);
        Reused { members: same.map(|it| it.members).unwrap_or_default().into_iter().peekable() }
    }

    /// Keeps what was found out for the next turn.
    pub fn keep(&self, set: &SidecarSet, members: &[Member]) {
        if members.iter().all(|member| member.updated && member.consistent && member.ready) {
            return;
        }
        let (uid, generation) = (set.meta.uid.clone(), set.meta.generation);
        let turn = Turn { uid, generation, members: members.to_vec() };
        self.sets().insert(set.meta.key.clone(), turn);
    }

    /// Forgets a set that is gone.
    pub fn forget(&self, set: &ObjectKey) {
        self.sets().remove(set);
    }

    fn sets(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Turn>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Members of the turn before, in key order.
#[derive(Debug)]
pub struct Reused {
    members: Peekable<IntoIter<Member>>,
}

impl Reused {
    /// What was found out about this very record; pods are asked for in key order.
    pub fn member(&mut self, pod: &Arc<Pod>) -> Option<Member> {
        while self.members.next_if(|known| known.pod.meta.key < pod.meta.key).is_some() {}
        self.members.next_if(|known| Arc::ptr_eq(&known.pod, pod))
    }
}
