//! Shares equal strings between cached records: namespaces, nodes, images, label keys and values.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// A set of shared strings. Strings that no record uses any more are dropped as the set grows.
#[derive(Debug, Default)]
pub struct Interner {
    inner: Mutex<Strings>,
}

#[derive(Debug, Default)]
struct Strings {
    set: HashSet<Arc<str>, ahash::RandomState>,
    sweep_at: usize,
}

impl Interner {
    /// The shared copy of `text`.
    pub fn get(&self, text: &str) -> Arc<str> {
        let mut strings = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = strings.set.get(text) {
            return known.clone();
        }
        if strings.set.len() >= strings.sweep_at {
            strings.set.retain(|text| Arc::strong_count(text) > 1);
            strings.sweep_at = (strings.set.len() * 2).max(1024);
        }
        let shared: Arc<str> = Arc::from(text);
        strings.set.insert(shared.clone());
        shared
    }

    /// How many strings are held.
    pub fn len(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).set.len()
    }

    /// Whether no string is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
