//! For how long a watch has been broken: a replica that does not hear of changes any more must not answer for them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After how long without a success a cache counts as out of date.
const LONG: Duration = Duration::from_mins(5);
/// Failures that are further apart are not of one streak: between two of them the watch was open.
pub(super) const APART: Duration = Duration::from_secs(90);

/// Failures without a success between them.
#[derive(Debug, Default)]
pub struct Streak(Mutex<Option<(Instant, Instant)>>);

impl Streak {
    /// The watch failed.
    pub fn failed(&self, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((first(*known, now), now));
    }

    /// Whether it would be long with another failure now.
    pub fn would_be_long(&self, now: Instant) -> bool {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now - first(known, now) >= LONG
    }

    /// The watch told something, or could.
    pub fn works(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether it has been failing for so long that what it told is out of date.
    pub fn is_long(&self, now: Instant) -> bool {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.is_some_and(|(first, last)| now - last < APART && now - first >= LONG)
    }
}

/// When the streak began to which a failure now belongs.
fn first(known: Option<(Instant, Instant)>, now: Instant) -> Instant {
    known.filter(|(_, last)| now - *last < APART).map_or(now, |(first, _)| first)
}
