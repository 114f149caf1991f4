//! For which sets the API server is known to ask: a pod that is created before it does is missed, so the first status of
//! a set says so by not being there.

use std::collections::HashSet;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

use crate::object::SidecarSet;

type Uids = HashSet<Arc<str>>;

/// Sets whose pods are asked about. While nobody registers webhooks every set counts as one of them.
#[derive(Debug, Default)]
pub struct Asked {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The sets that the hooks handed out last are for.
    offered: Uids,
    /// The sets for which hooks are known to be registered.
    registered: Option<Uids>,
}

impl Asked {
    /// Hooks for these sets are about to be registered, if they are not yet.
    pub fn offer(&self, sets: &[Arc<SidecarSet>]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.offered = sets.iter().map(|set| set.meta.uid.clone()).collect();
        known.registered.get_or_insert_default();
    }

    /// The hooks that were handed out last are registered.
    pub fn registered(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.registered = Some(take(&mut known.offered));
    }

    /// Whether anybody registers hooks.
    pub fn is_kept(&self) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).registered.is_some()
    }

    /// Whether the pods of a set are asked about.
    pub fn about(&self, uid: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.registered.as_ref().is_none_or(|sets| sets.contains(uid))
    }
}
