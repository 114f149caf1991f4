//! Who refused to be written to, and how long each is left alone.
//!
//! What a quota, an admission webhook or a disruption budget refuses for one target says nothing about others: each has a
//! delay of its own, which doubles. Pace, not truth: a new process knows nothing of it and asks once more.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::key::ObjectKey;
use crate::plan::Outcome;
use crate::write::Category;

/// Delay after the first refusal; it doubles with each further one.
const FIRST: SignedDuration = SignedDuration::from_secs(1);
/// Longest delay, and how long a refusal is remembered after it ended.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// The last write to a target was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How often in a row.
    pub times: u32,
    /// When it may be tried again.
    pub until: Timestamp,
    /// What kind of failure it was.
    pub category: Category,
    /// What the server said.
    pub message: Arc<str>,
}

impl Refusal {
    /// Whether only the change of a living object was refused: a new one may be what this one cannot become. Of what no
    /// object may be the API server says `Invalid value`.
    pub fn of_change(&self) -> bool {
        self.category == Category::Invalid && self.message.contains(": Forbidden: ")
    }
}

/// Refusals by owner and target.
#[derive(Debug)]
pub struct Refusals<T> {
    counts: fn(Category) -> bool,
    owners: Mutex<HashMap<ObjectKey, Targets<T>>>,
}

/// What is known of one owner's targets.
#[derive(Debug)]
struct Targets<T> {
    generation: Option<i64>,
    refused: BTreeMap<T, Refusal>,
}

impl<T> Default for Targets<T> {
    fn default() -> Self {
        Self { generation: None, refused: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Refusals<T> {
    /// None so far; failures of the kinds for which `counts` holds are refusals.
    pub fn new(counts: fn(Category) -> bool) -> Self {
        Self { counts, owners: Mutex::default() }
    }

    /// Those of `owner`, past ones included as long as they are remembered.
    pub fn of(&self, owner: &ObjectKey) -> BTreeMap<T, Refusal> {
        let owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.get(owner).map(|targets| targets.refused.clone()).unwrap_or_default()
    }

    /// Forgets what was refused to another generation of `owner`: what its user changed since deserves a try at once.
    pub fn renew(&self, owner: &ObjectKey, generation: i64) {
        self.renew_only(owner, generation, |_| true);
    }

    /// [`Refusals::renew`] for those targets alone for which `renews` holds: where others do not depend on what the owner
    /// changes, or are named by what they depend on.
    pub fn renew_only(&self, owner: &ObjectKey, generation: i64, renews: impl Fn(&T) -> bool) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let targets = owners.entry(owner.clone()).or_default();
        if targets.generation.replace(generation) != Some(generation) {
            targets.refused.retain(|target, _| !renews(target));
        }
    }

    /// Forgets an owner that is gone or asks for nothing any more.
    pub fn forget(&self, owner: &ObjectKey) {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).remove(owner);
    }

    /// Hears what became of writes to targets of `owner`.
    pub fn hear<'a>(
        &self,
        owner: &ObjectKey,
        outcomes: impl Iterator<Item = (T, &'a Outcome)>,
        now: Timestamp,
    ) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let known = owners.remove(owner);
        let mut targets = known.unwrap_or_default();
        for (target, outcome) in outcomes {
            match outcome {
                Outcome::Failed(error) if (self.counts)(error.category) => {
                    let times =
                        targets.refused.get(&target).map_or(0, |r| r.times).saturating_add(1);
                    let delay = FIRST * (1_i32 << (times - 1).min(9));
                    let refusal = Refusal {
                        times,
                        until: now.checked_add(delay.min(LONGEST)).unwrap_or(now),
                        category: error.category,
                        message: Arc::from(error.message.as_str()),
                    };
                    targets.refused.insert(target, refusal);
                }
                Outcome::Done => {
                    targets.refused.remove(&target);
                }
                Outcome::Failed(_) | Outcome::NotAttempted => {}
            }
        }
        // One that ends later than any can was heard before the clock was set back.
        targets.refused.retain(|_, it| {
            let (over, left) = (now.duration_since(it.until), it.until.duration_since(now));
            over < LONGEST && left <= LONGEST
        });
        if targets.generation.is_some() || !targets.refused.is_empty() {
            owners.insert(owner.clone(), targets);
        }
    }
}
