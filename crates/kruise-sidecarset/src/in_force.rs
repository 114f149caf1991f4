//! Which hashes of a set count: those that stand on it, or those of its spec (HSH-1).
//!
//! A mutating webhook writes them on a set whenever it is stored, and running pods carry them, whoever computed them
//! (platform §18.7.4). A set that is stored while no webhook is asked keeps those of an earlier spec. Revisions tell these
//! two apart: each carries the hashes of what it records.

use std::sync::Arc;

use kruise_common::revision::Revision;

use crate::hash::Hashes;
use crate::recorded::{Library, Recorded};
use crate::registered::by_age;
use crate::revision::is_of;

/// The hashes that count for the set with this UID: of those that stand on it the ones that nothing contradicts, else those
/// that are computed of its spec. `revisions` are those that bear the set's name.
pub fn in_force(
    (stated, computed): (Option<&Hashes>, &Hashes),
    uid: &str,
    revisions: impl FnOnce() -> Vec<Arc<Revision>>,
    library: &Library,
) -> Hashes {
    let Some(stated) = stated.filter(|stated| *stated != computed) else {
        return computed.clone();
    };
    let mut revisions = revisions();
    revisions.retain(|revision| is_of(revision, uid));
    revisions.sort_by(|a, b| by_age(b, a));
    let history = History { revisions, library };
    let one = |of: fn(&Hashes) -> &String| {
        let counts = of(stated) == of(computed) || history.vouches(of, of(stated), of(computed));
        of(if counts { stated } else { computed }).clone()
    };
    Hashes { full: one(|hashes| &hashes.full), without_image: one(|hashes| &hashes.without_image) }
}

/// The revisions of a set, the newest first.
struct History<'a> {
    revisions: Vec<Arc<Revision>>,
    library: &'a Library,
}

impl History<'_> {
    /// Whether a hash that nobody here computes may be that of what is hashed today.
    fn vouches(&self, of: fn(&Hashes) -> &String, stated: &String, computed: &String) -> bool {
        let bears = |revision: &&Arc<Revision>| {
            Hashes::recorded(&revision.annotations).is_some_and(|hashes| of(&hashes) == stated)
        };
        let mut carriers = self.revisions.iter().filter(bears).peekable();
        if carriers.peek().is_some() {
            return carriers.any(|it| self.read(it).is_none_or(|it| of(&it.computed) == computed));
        }
        // None carries it: it is new, if whoever stores the set computes hashes in another way than we do, and else a
        // relic of a revision that was dropped. Without any revision nothing contradicts.
        let newest = self.revisions.first().and_then(|newest| self.read(newest));
        newest.is_none_or(|newest| of(&newest.hashes) != of(&newest.computed))
    }

    fn read(&self, revision: &Revision) -> Option<Arc<Recorded>> {
        self.library.recorded(revision).ok()
    }
}
