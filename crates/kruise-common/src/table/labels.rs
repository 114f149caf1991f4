//! Rows by labels, in both directions: objects by the labels that they bear, and selectors by a label that whatever they
//! select must bear.
//!
//! Both give candidates: rows that are left out cannot match, those that come have yet to be asked.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kruise_api::shared::selector::Selector;

use super::{Record, Row};

/// What labels must be there for a selector to match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands(Box<[Demand]>);

/// A label that must be there, and the values that will do; without them any value does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Demand {
    key: Arc<str>,
    values: Option<Box<[Arc<str>]>>,
}

impl Demands {
    /// Those of a selector. What must not be there is no help in finding what it selects.
    pub fn of(selector: &Selector) -> Self {
        let shared = |values: &[String]| values.iter().map(|value| value.as_str().into()).collect();
        let demands = selector.required();
        Self(
            demands.map(|(key, any)| Demand { key: key.into(), values: any.map(shared) }).collect(),
        )
    }
}

type Set<R> = BTreeSet<Row<R>>;

/// Rows by label.
#[derive(Debug)]
pub(super) struct ByLabel<R> {
    keys: HashMap<Arc<str>, ByValue<R>, ahash::RandomState>,
    /// Selectors that demand no label: they may match anything.
    anything: Set<R>,
}

/// Rows by the value of one label.
#[derive(Debug)]
struct ByValue<R> {
    /// Selectors to which any value will do.
    any: Set<R>,
    values: HashMap<Arc<str>, Set<R>, ahash::RandomState>,
}

impl<R> Default for ByLabel<R> {
    fn default() -> Self {
        Self { keys: HashMap::default(), anything: BTreeSet::new() }
    }
}

impl<R> Default for ByValue<R> {
    fn default() -> Self {
        Self { any: BTreeSet::new(), values: HashMap::default() }
    }
}

impl<R: Record> ByValue<R> {
    fn is_empty(&self) -> bool {
        self.any.is_empty() && self.values.is_empty()
    }

    fn put(&mut self, value: &Arc<str>, row: &Arc<R>) {
        self.values.entry(value.clone()).or_default().insert(Row(row.clone()));
    }

    fn take(&mut self, value: &str, row: &R) {
        if let Some(rows) = self.values.get_mut(value) {
            rows.remove(&row.meta().key);
            if rows.is_empty() {
                self.values.remove(value);
            }
        }
    }

    /// The rows of each value that will do.
    fn accepted<'a>(&'a self, demand: &Demand) -> Vec<&'a Set<R>> {
        match &demand.values {
            Some(values) => values.iter().filter_map(|value| self.values.get(value)).collect(),
            None => self.values.values().collect(),
        }
    }
}

/// Objects by the labels that they bear.
impl<R: Record> ByLabel<R> {
    pub(super) fn put(&mut self, row: &Arc<R>) {
        for (key, value) in row.meta().labels.shared_pairs() {
            self.keys.entry(key.clone()).or_default().put(value, row);
        }
    }

    pub(super) fn take(&mut self, row: &R) {
        for (key, value) in row.meta().labels.shared_pairs() {
            self.of_key(key, |rows| rows.take(value, row));
        }
    }

    /// The objects that satisfy the demand which the fewest satisfy; `None` if nothing is demanded.
    pub(super) fn bearing<'a>(&'a self, demands: &Demands) -> Option<Vec<&'a Arc<R>>> {
        let candidates = demands.0.iter().map(|demand| {
            let known = self.keys.get(&demand.key);
            known.map(|rows| rows.accepted(demand)).unwrap_or_default()
        });
        let count = |rows: &Vec<&Set<R>>| rows.iter().map(|rows| rows.len()).sum::<usize>();
        let fewest = candidates.min_by_key(count)?;
        let mut rows: Vec<&Arc<R>> = fewest.into_iter().flatten().map(|Row(row)| row).collect();
        rows.sort_by_key(|row| &row.meta().key);
        // A selector may name a value twice.
        rows.dedup_by_key(|row| &row.meta().key);
        Some(rows)
    }
}

/// Selectors by one label that they demand: that by which the fewest others are found so far, so that a label which all
/// demand alike does not make each a candidate for everything.
impl<R: Record> ByLabel<R> {
    pub(super) fn put_selector(&mut self, row: &Arc<R>, demands: &Demands) {
        let crowd = |demand: &&Demand| {
            let Some(rows) = self.keys.get(&demand.key) else { return 0 };
            let of = |value: &Arc<str>| rows.values.get(value).map_or(0, BTreeSet::len);
            match &demand.values {
                Some(values) => rows.any.len() + values.iter().map(of).max().unwrap_or(0),
                None => rows.any.len() + rows.values.values().map(BTreeSet::len).sum::<usize>(),
            }
        };
        let Some(chosen) = demands.0.iter().min_by_key(crowd) else {
            self.anything.insert(Row(row.clone()));
            return;
        };
        let rows = self.keys.entry(chosen.key.clone()).or_default();
        match &chosen.values {
            Some(values) => values.iter().for_each(|value| rows.put(value, row)),
            None => _ = rows.any.insert(Row(row.clone())),
        }
    }

    /// By which label it was found is not remembered: it is looked for under all.
    pub(super) fn take_selector(&mut self, row: &R, demands: &Demands) {
        self.anything.remove(&row.meta().key);
        for demand in &demands.0 {
            self.of_key(&demand.key, |rows| match &demand.values {
                Some(values) => values.iter().for_each(|value| rows.take(value, row)),
                None => _ = rows.any.remove(&row.meta().key),
            });
        }
    }

    /// The selectors that may match an object with these labels.
    pub(super) fn selecting<'a>(
        &self,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Vec<&Arc<R>> {
        let mut rows: Vec<&Arc<R>> = self.anything.iter().map(|Row(row)| row).collect();
        for (key, value) in labels {
            let Some(known) = self.keys.get(key) else { continue };
            let named = known.values.get(value).into_iter().flatten();
            rows.extend(known.any.iter().chain(named).map(|Row(row)| row));
        }
        rows.sort_by_key(|row| &row.meta().key);
        rows
    }

    fn of_key(&mut self, key: &str, change: impl FnOnce(&mut ByValue<R>)) {
        if let Some(rows) = self.keys.get_mut(key) {
            change(rows);
            if rows.is_empty() {
                self.keys.remove(key);
            }
        }
    }
}
