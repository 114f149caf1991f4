//! Targets whose last write was refused for what they are: by an admission webhook, a quota, a disruption budget or the
//! API server's own rules. They rest for a while, so that the others go first and none is asked of again and again.
//!
//! Nothing here must survive a restart: what is forgotten is tried once more.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::key::ObjectKey;
use crate::plan::Outcome;

/// Delay after the first refusal; it doubles with each further one.
const FIRST: SignedDuration = SignedDuration::from_secs(1);
/// Longest delay, and how long a refusal is remembered after it ended.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// What was refused, by reconciled object.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<ObjectKey, BTreeMap<Attempt, Refusal>>>);

/// A target, and what was tried with it: something else may be tried at once.
pub type Attempt = (ObjectKey, Arc<str>);

/// What is not to be tried, until when.
pub type Rests = BTreeMap<Attempt, Timestamp>;

#[derive(Debug)]
struct Refusal {
    /// How often in a row.
    times: u32,
    /// When it may be tried again.
    until: Timestamp,
}

impl Refusals {
    /// What is not to be tried with targets of the object.
    pub fn of(&self, object: &ObjectKey) -> Rests {
        let known = self.lock();
        let all = known.get(object).into_iter().flatten();
        all.map(|(attempt, refusal)| (attempt.clone(), refusal.until)).collect()
    }

    /// Learns what became of attempts.
    pub fn learn<'a>(
        &self,
        object: &ObjectKey,
        outcomes: impl Iterator<Item = (Attempt, &'a Outcome)>,
        now: Timestamp,
    ) {
        let mut known = self.lock();
        let mut all = known.remove(object).unwrap_or_default();
        for (attempt, outcome) in outcomes {
            match outcome {
                Outcome::Failed(error) if error.category.concerns_user() => {
                    let times =
                        all.get(&attempt).map_or(0, |before| before.times).saturating_add(1);
                    let delay = FIRST * (1_i32 << (times - 1).min(9));
                    let until = now.checked_add(delay.min(LONGEST)).unwrap_or(now);
                    all.insert(attempt, Refusal { times, until });
                }
                Outcome::Done => {
                    all.remove(&attempt);
                }
                Outcome::Failed(_) | Outcome::NotAttempted => {}
            }
        }
        all.retain(|_, refusal| now.duration_since(refusal.until) < LONGEST);
        if !all.is_empty() {
            known.insert(object.clone(), all);
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object: &ObjectKey) {
        self.lock().remove(object);
    }

    /// Whether nothing is known of any object.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, BTreeMap<Attempt, Refusal>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
