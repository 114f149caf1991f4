//! Shares what is equal between cached records: namespaces, nodes, images, label keys and values, and whole lists that
//! all pods of a workload have in common (owners, containers, gates).

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use crate::meta::Owner;
use crate::pod::{Container, Resources};

/// Shared values. What no record uses any more is dropped as the pools grow.
#[derive(Debug, Default)]
pub struct Interner {
    texts: Pool<str>,
    lists: Pool<[Arc<str>]>,
    owners: Pool<[Owner]>,
    containers: Pool<[Container]>,
    resources: Pool<Resources>,
}

impl Interner {
    /// The shared copy of `text`.
    pub fn get(&self, text: &str) -> Arc<str> {
        self.texts.get(text, Arc::from)
    }

    /// A shared list of shared strings.
    pub fn list<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Arc<[Arc<str>]> {
        let list: Vec<Arc<str>> = texts.into_iter().map(|text| self.get(text)).collect();
        self.lists.get(&list, Arc::from)
    }

    /// The shared copy of these owners.
    pub fn owners(&self, owners: &[Owner]) -> Arc<[Owner]> {
        self.owners.get(owners, Arc::from)
    }

    /// The shared copy of these containers.
    pub fn containers(&self, containers: &[Container]) -> Arc<[Container]> {
        self.containers.get(containers, Arc::from)
    }

    /// The shared copy of these resources.
    pub fn resources(&self, resources: &Resources) -> Arc<Resources> {
        self.resources.get(resources, |resources| Arc::new(resources.clone()))
    }

    /// How many strings are held.
    pub fn texts(&self) -> usize {
        self.texts.lock().set.len()
    }
}

/// Equal values, once.
#[derive(Debug)]
struct Pool<T: ?Sized>(Mutex<Shared<T>>);

#[derive(Debug)]
struct Shared<T: ?Sized> {
    set: HashSet<Arc<T>, ahash::RandomState>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::new(Shared { set: HashSet::default(), sweep_at: 0 }))
    }
}

impl<T: ?Sized + Hash + Eq> Pool<T> {
    fn get<'a>(&self, value: &'a T, share: impl FnOnce(&'a T) -> Arc<T>) -> Arc<T> {
        let mut pool = self.lock();
        if let Some(known) = pool.set.get(value) {
            return known.clone();
        }
        if pool.set.len() >= pool.sweep_at {
            pool.set.retain(|value| Arc::strong_count(value) > 1);
            pool.sweep_at = (pool.set.len() * 2).max(1024);
        }
        let shared = share(value);
        pool.set.insert(shared.clone());
        shared
    }
}

impl<T: ?Sized> Pool<T> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Shared<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
