//! Our own store of watched objects: ordered rows, indexes by owner, group and label, and no missed deletion.
//!
//! A relist is mark and sweep ([`Table::begin_sync`], [`Table::end_sync`]): memory does not double,
//! and what vanished during a gap comes out as a change, which no watch event ever says.
//! Replies to our own writes go straight in ([`Table::apply`]), so a controller never plans on a
//! state older than its own last write; events that are older than a row are ignored, and so is whatever
//! arrives late about an object that is gone.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::intern::Interner;
use crate::key::ObjectKey;
use crate::kind::Kind;
use crate::meta::Meta;

mod gone;
mod labels;

use gone::Gone;
use labels::ByLabel;
pub use labels::Demands;

/// One cached object: what a controller keeps of it.
pub trait Record: Send + Sync + 'static {
    /// Its metadata.
    fn meta(&self) -> &Meta;
    /// Names of what it belongs to besides its controller, each once: rows are found by them ([`Table::in_group`]).
    fn groups(&self) -> &[Arc<str>] {
        &[]
    }
    /// If it is a selector of other objects: what these must bear. It is found by that ([`Table::selecting`]).
    fn demands(&self) -> Option<&Demands> {
        None
    }
    /// Whether it still tells something when its object is gone: such rows are kept aside ([`Table::departed`]).
    fn outlives_its_object(&self) -> bool {
        false
    }
}

/// The slim form in which a kind is read off the wire.
pub trait Wire:
    kube::Resource<DynamicType = ()>
    + serde::de::DeserializeOwned
    + Clone
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// What is kept of it.
    type Record: Record;
    /// Its kind.
    const KIND: &'static Kind;
    /// The record of this object.
    fn into_record(self, interner: &Interner) -> Self::Record;
}

/// A row that came, changed or went.
#[derive(Debug)]
pub struct Change<R> {
    /// The row before.
    pub old: Option<Arc<R>>,
    /// The row now.
    pub new: Option<Arc<R>>,
}

/// Rows of one kind.
#[derive(Debug)]
pub struct Table<R> {
    rows: RwLock<Rows<R>>,
}

/// Most departed rows; the oldest are forgotten first.
const DEPARTED: usize = 1 << 14;

/// A row in an index, sorted and found by the key that it carries itself.
#[derive(Debug)]
struct Row<R>(Arc<R>);

impl<R: Record> Borrow<ObjectKey> for Row<R> {
    fn borrow(&self) -> &ObjectKey {
        &self.0.meta().key
    }
}

impl<R: Record> Ord for Row<R> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.meta().key.cmp(&other.0.meta().key)
    }
}

impl<R: Record> PartialOrd for Row<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Record> PartialEq for Row<R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<R: Record> Eq for Row<R> {}

/// Rows by something that they have in common.
type Index<R> = HashMap<Arc<str>, BTreeSet<Row<R>>, ahash::RandomState>;

#[derive(Debug)]
struct Rows<R> {
    by_key: BTreeSet<Row<R>>,
    by_owner: Index<R>,
    by_group: Index<R>,
    /// Selectors by what they demand.
    selectors: ByLabel<R>,
    /// Rows by the labels that they bear, once somebody looks for them.
    by_label: Option<ByLabel<R>>,
    gone: Gone,
    /// Rows whose object is gone and that still tell something, until they are buried.
    departed: VecDeque<Arc<R>>,
    /// Since [`Table::begin_sync`].
    sync: Option<Relist>,
    /// How many relists were complete.
    lists: u64,
}

/// A relist under way.
#[derive(Debug, Default)]
struct Relist {
    /// What the list has.
    listed: HashSet<ObjectKey, ahash::RandomState>,
    /// What replies told of meanwhile.
    replied: HashSet<ObjectKey, ahash::RandomState>,
    /// The latest version that the list has.
    latest: Option<u64>,
}

/// What a relist leaves behind.
#[derive(Debug)]
pub struct Swept<R> {
    /// Rows that are gone.
    pub changes: Vec<Change<R>>,
    /// Rows that only a reply told of while the list was read, with their UIDs: they are younger than the list, or were
    /// deleted before it was made, and no event will ever say so. They have to be looked up.
    pub doubtful: Vec<(ObjectKey, Arc<str>)>,
}

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self {
            rows: RwLock::new(Rows {
                by_key: BTreeSet::new(),
                by_owner: HashMap::default(),
                by_group: HashMap::default(),
                selectors: ByLabel::default(),
                by_label: None,
                gone: Gone::default(),
                departed: VecDeque::new(),
                sync: None,
                lists: 0,
            }),
        }
    }
}

impl<R: Record> Table<R> {
    /// The row of `key`.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<R>> {
        self.read().row(key).cloned()
    }

    /// Rows controlled by the object with this UID, in key order.
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<R>> {
        let rows = self.read();
        rows.by_owner.get(uid).into_iter().flatten().map(|Row(row)| row.clone()).collect()
    }

    /// Rows of a group, in key order.
    pub fn in_group(&self, group: &str) -> Vec<Arc<R>> {
        let rows = self.read();
        rows.by_group.get(group).into_iter().flatten().map(|Row(row)| row.clone()).collect()
    }

    /// Rows of a namespace whose name starts with `prefix`, in key order.
    pub fn with_prefix(&self, namespace: &Arc<str>, prefix: &str) -> Vec<Arc<R>> {
        let from = ObjectKey { namespace: namespace.clone(), name: Arc::from(prefix) };
        let rows = self.read();
        let range = rows.by_key.range(from..);
        let wanted = |key: &ObjectKey| key.namespace == *namespace && key.name.starts_with(prefix);
        let range = range.map(|Row(row)| row).take_while(|row| wanted(&row.meta().key));
        range.cloned().collect()
    }

    /// Rows that may select an object with these labels, in key order: those whose demands ([`Record::demands`]) these
    /// labels may satisfy, found without a look at the others.
    pub fn selecting<'a>(&self, labels: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Arc<R>> {
        self.read().selectors.selecting(labels).into_iter().cloned().collect()
    }

    /// Rows that may satisfy these demands and that `wanted` accepts, in key order. Looks only at rows that bear one of
    /// the labels; the first call makes the index, which is kept from then on.
    pub fn bearing(&self, demands: &Demands, wanted: impl Fn(&R) -> bool) -> Vec<Arc<R>> {
        if self.read().by_label.is_none() {
            self.write().index_labels();
        }
        let rows = self.read();
        let found = rows.by_label.as_ref().and_then(|by_label| by_label.bearing(demands));
        let all = || rows.by_key.iter().map(|Row(row)| row).collect();
        let candidates = found.unwrap_or_else(all).into_iter();
        candidates.filter(|row| wanted(row)).cloned().collect()
    }

    /// Rows that `wanted` accepts, in key order. Looks at every row, under the lock: `wanted` must be quick.
    pub fn filter(&self, wanted: impl Fn(&R) -> bool) -> Vec<Arc<R>> {
        let rows = self.read();
        rows.by_key.iter().map(|Row(row)| row).filter(|row| wanted(row)).cloned().collect()
    }

    /// All rows in key order.
    pub fn rows(&self) -> Vec<Arc<R>> {
        self.read().by_key.iter().map(|row| row.0.clone()).collect()
    }

    /// All keys in order.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.read().by_key.iter().map(|Row(row)| row.meta().key.clone()).collect()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.read().by_key.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows whose object is gone and that still tell something ([`Record::outlives_its_object`]), the oldest first. A leader
    /// buries them as soon as they are recorded; a standby has nobody who does, so there are never more than some.
    pub fn departed(&self, wanted: impl Fn(&R) -> bool) -> Vec<Arc<R>> {
        self.read().departed.iter().filter(|row| wanted(row)).cloned().collect()
    }

    /// Forgets the departed rows that `done` accepts.
    pub fn bury(&self, done: impl Fn(&R) -> bool) {
        if !self.read().departed.is_empty() {
            self.write().departed.retain(|row| !done(row));
        }
    }

    /// Takes in a row from an event or from the reply to a write; `None` if nothing is new.
    pub fn apply(&self, row: R) -> Option<Change<R>> {
        let mut rows = self.write();
        if let Some(sync) = &mut rows.sync {
            sync.replied.insert(row.meta().key.clone());
        }
        rows.take_in(row)
    }

    /// Takes in a row from a list.
    pub fn apply_listed(&self, row: R) -> Option<Change<R>> {
        let mut rows = self.write();
        if let Some(sync) = &mut rows.sync {
            sync.listed.insert(row.meta().key.clone());
            sync.latest = sync.latest.max(row.meta().version());
        }
        rows.take_in(row)
    }

    /// Removes the row of `meta`, of which an event says that it is gone, unless its place was taken by a later object.
    pub fn remove(&self, meta: &Meta) -> Option<Change<R>> {
        let mut rows = self.write();
        rows.gone.since(&meta.uid, meta.version());
        let old = rows.row(&meta.key)?;
        if old.meta().uid != meta.uid && !is_newer(old.meta(), meta) {
            return None;
        }
        rows.take(&meta.key)
    }

    /// Removes a row that we know the server removed, before its event arrives.
    pub fn forget(&self, key: &ObjectKey, uid: &str) -> Option<Change<R>> {
        let mut rows = self.write();
        rows.gone.for_good(uid);
        if rows.row(key).is_none_or(|row| *row.meta().uid != *uid) {
            return None;
        }
        rows.take(key)
    }

    /// A relist starts. The old watch has ended: until [`Table::end_sync`] there are no events, only the list and replies.
    pub fn begin_sync(&self) {
        self.write().sync = Some(Relist::default());
    }

    /// A relist is complete: rows that nobody told of are gone. `whole`: the list is of all objects of the kind, so what
    /// is not in it was deleted; otherwise it may only have lost its label.
    pub fn end_sync(&self, whole: bool) -> Swept<R> {
        let mut rows = self.write();
        let mut swept = Swept { changes: Vec::new(), doubtful: Vec::new() };
        let Some(sync) = rows.sync.take() else { return swept };
        rows.lists += 1;
        let metas = rows.by_key.iter().map(|Row(row)| row.meta());
        let missing: Vec<Meta> =
            metas.filter(|meta| !sync.listed.contains(&meta.key)).cloned().collect();
        for meta in missing {
            if sync.replied.contains(&meta.key) {
                swept.doubtful.push((meta.key, meta.uid));
                continue;
            }
            let version = if whole { None } else { sync.latest.max(meta.version()) };
            rows.gone.since(&meta.uid, version);
            swept.changes.extend(rows.take(&meta.key));
        }
        swept
    }

    /// How many relists were complete. A reply to a request from before the last one may tell of an object that was
    /// deleted before the list was made: it is no news.
    pub fn lists(&self) -> u64 {
        self.read().lists
    }

    fn read(&self) -> RwLockReadGuard<'_, Rows<R>> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rows<R>> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Record> Rows<R> {
    fn take_in(&mut self, row: R) -> Option<Change<R>> {
        if self.gone.knows(row.meta()) {
            return None;
        }
        let old = self.row(&row.meta().key).cloned();
        if old.as_ref().is_some_and(|old| !is_newer(old.meta(), row.meta())) {
            return None;
        }
        let row = Arc::new(row);
        self.unindex(old.as_deref());
        if let Some(other) = old.as_ref().filter(|old| old.meta().uid != row.meta().uid) {
            self.depart(other);
        }
        self.index(&row);
        self.by_key.replace(Row(row.clone()));
        Some(Change { old, new: Some(row) })
    }

    fn take(&mut self, key: &ObjectKey) -> Option<Change<R>> {
        let Row(old) = self.by_key.take(key)?;
        self.unindex(Some(&old));
        self.depart(&old);
        Some(Change { old: Some(old), new: None })
    }

    fn depart(&mut self, row: &Arc<R>) {
        if row.outlives_its_object() {
            if self.departed.len() >= DEPARTED {
                self.departed.pop_front();
            }
            self.departed.push_back(row.clone());
        }
    }

    fn row(&self, key: &ObjectKey) -> Option<&Arc<R>> {
        self.by_key.get(key).map(|Row(row)| row)
    }

    fn index(&mut self, row: &Arc<R>) {
        if let Some(owner) = row.meta().controller() {
            let rows = self.by_owner.entry(owner.uid.clone()).or_default();
            rows.insert(Row(row.clone()));
        }
        for group in row.groups() {
            let rows = self.by_group.entry(group.clone()).or_default();
            rows.insert(Row(row.clone()));
        }
        if let Some(demands) = row.demands() {
            self.selectors.put_selector(row, demands);
        }
        if let Some(by_label) = &mut self.by_label {
            by_label.put(row);
        }
    }

    fn index_labels(&mut self) {
        if self.by_label.is_none() {
            let mut by_label = ByLabel::default();
            for Row(row) in &self.by_key {
                by_label.put(row);
            }
            self.by_label = Some(by_label);
        }
    }

    fn unindex(&mut self, row: Option<&R>) {
        let Some(row) = row else { return };
        if let Some(owner) = row.meta().controller() {
            forget(&mut self.by_owner, &owner.uid, &row.meta().key);
        }
        for group in row.groups() {
            forget(&mut self.by_group, group, &row.meta().key);
        }
        if let Some(demands) = row.demands() {
            self.selectors.take_selector(row, demands);
        }
        if let Some(by_label) = &mut self.by_label {
            by_label.take(row);
        }
    }
}

/// Takes a row out of an index.
fn forget<R: Record>(index: &mut Index<R>, name: &Arc<str>, key: &ObjectKey) {
    if let Some(rows) = index.get_mut(name) {
        rows.remove(key);
        if rows.is_empty() {
            index.remove(name);
        }
    }
}

/// Whether `new` is a later state than `old`. Versions of one kind are ordered numbers in practice
/// (documented since Kubernetes 1.35); where they are not numbers, every event is taken.
fn is_newer(old: &Meta, new: &Meta) -> bool {
    match (old.version(), new.version()) {
        (Some(old), Some(new)) => new > old,
        _ => old.resource_version != new.resource_version || old.uid != new.uid,
    }
}
