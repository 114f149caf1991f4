//! The caches of a controller, fed from a [`World`] instead of watches.

use std::sync::Arc;

use serde_json::Value;

use super::world::World;
use crate::intern::Interner;
use crate::key::ObjectKey;
use crate::kind::Kind;
use crate::table::{Table, Wire};

/// One cache.
pub trait Mirror {
    /// Its kind.
    fn kind(&self) -> &'static Kind;
    /// Sees the cluster as it is.
    fn relist(&self, world: &World);
    /// Sees one object: as stored, or gone.
    fn see(&self, key: &ObjectKey, object: Option<&Value>);
}

/// The cache of one wire form.
pub struct MirrorOf<W: Wire> {
    table: Arc<Table<W::Record>>,
    interner: Interner,
}

impl<W: Wire> MirrorOf<W> {
    /// Feeds `table`.
    pub fn boxed(table: &Arc<Table<W::Record>>) -> Box<dyn Mirror> {
        Box::new(Self { table: table.clone(), interner: Interner::default() })
    }

    fn record(&self, object: &Value) -> Option<W::Record> {
        // As the watch reads it: from bytes, so that what cannot be read is noticed here too.
        let bytes = object.to_string();
        let wire: W = serde_json::from_str(&bytes).ok()?;
        Some(wire.into_record(&self.interner))
    }
}

impl<W: Wire> Mirror for MirrorOf<W> {
    fn kind(&self) -> &'static Kind {
        W::KIND
    }

    fn relist(&self, world: &World) {
        self.table.begin_sync();
        for object in world.list(W::KIND) {
            if let Some(row) = self.record(object) {
                self.table.apply_listed(row);
            }
        }
        self.table.end_sync(true);
    }

    fn see(&self, key: &ObjectKey, object: Option<&Value>) {
        match object.and_then(|object| self.record(object)) {
            Some(row) => {
                self.table.apply(row);
            }
            None => {
                if let Some(row) = self.table.get(key) {
                    use crate::table::Record as _;
                    self.table.forget(key, &row.meta().uid);
                }
            }
        }
    }
}
