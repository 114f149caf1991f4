//! Objects that are gone: replies and events that are still on their way must not bring them back.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::meta::Meta;

/// How many are remembered, the oldest are forgotten first. A reply is late by a request's time-out at most, and no API
/// server deletes as many objects of a kind in that time.
const REMEMBERED: usize = 1 << 15;

/// UIDs of objects that are gone, and the version up to which they are.
#[derive(Debug, Default)]
pub(super) struct Gone {
    until: HashMap<Arc<str>, u64, ahash::RandomState>,
    order: VecDeque<Arc<str>>,
}

impl Gone {
    /// Deleted: it never comes back.
    pub(super) fn for_good(&mut self, uid: &str) {
        self.since(uid, None);
    }

    /// Gone since this version. Under a label selector an object goes when it loses its label, and may come back later.
    pub(super) fn since(&mut self, uid: &str, version: Option<u64>) {
        let version = version.unwrap_or(u64::MAX);
        if let Some(known) = self.until.get_mut(uid) {
            *known = version.max(*known);
            return;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.until.remove(&oldest);
        }
        let uid: Arc<str> = Arc::from(uid);
        self.order.push_back(uid.clone());
        self.until.insert(uid, version);
    }

    /// Whether this is an old word about an object that is gone.
    pub(super) fn knows(&self, meta: &Meta) -> bool {
        let known = self.until.get(&meta.uid);
        known.is_some_and(|until| meta.version().is_none_or(|version| version <= *until))
    }
}
