//! Recorded revisions, ready for injection: a set that pins one names it for every pod, and it is read once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kruise_common::revision::Revision;

use crate::hash::Hashes;
use crate::prepared::Prepared;
use crate::revision::{Unusable, restore};

/// A recorded revision, ready for injection.
#[derive(Debug)]
pub struct Recorded {
    /// Name of the revision.
    pub name: Arc<str>,
    /// What is injected.
    pub prepared: Arc<Prepared>,
    /// The hashes of what was recorded (HIS-21).
    pub hashes: Hashes,
    /// The same as they are computed here.
    pub computed: Hashes,
}

impl Recorded {
    /// Reads a revision.
    pub fn read(revision: &Revision) -> Result<Self, Unusable> {
        let restored = restore(revision)?;
        let prepared = Prepared::new(Arc::new(restored.spec)).map_err(|problem| {
            Unusable::Unreadable { name: revision.name().to_string(), problem }
        })?;
        let (hashes, computed) = (restored.hashes, restored.computed);
        Ok(Self { name: restored.name, prepared: Arc::new(prepared), hashes, computed })
    }
}

/// Most revisions that are kept read. Sets that pin one are few.
const MOST: usize = 256;

/// One state of one object: what is read of it depends on nothing else.
type State = (Arc<str>, Arc<str>);

/// Revisions that were read before.
#[derive(Debug, Default)]
pub struct Library {
    read: Mutex<HashMap<State, Arc<Recorded>>>,
}

impl Library {
    /// How many are kept.
    pub fn len(&self) -> usize {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a revision records. One that cannot be read is tried again each time: somebody may be repairing it.
    pub fn recorded(&self, revision: &Revision) -> Result<Arc<Recorded>, Unusable> {
        let state = (revision.meta.uid.clone(), revision.meta.resource_version.clone());
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(&state) {
            return Ok(known.clone());
        }
        let recorded = Arc::new(Recorded::read(revision)?);
        if read.len() >= MOST {
            read.clear();
        }
        read.insert(state, recorded.clone());
        Ok(recorded)
    }
}
