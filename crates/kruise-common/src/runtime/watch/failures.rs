//! How often a watch failed in a row: how long to wait before the next try, and when only a new list helps.

use std::time::Duration;

use tokio::time::Instant;

use super::streak::APART;
use crate::runtime::backoff::Backoff;

/// Least and longest wait after a failure.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(200), max: Duration::from_secs(15) };
/// Longest time for which a server that asks for patience is left alone.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);
/// For how long a watch that cannot be opened is asked for again before its kind is listed anew: what is refused is the
/// watch, so that only a list tells what has happened since.
const UNOPENED: Duration = Duration::from_mins(1);

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// How many.
    pub many: u32,
    last: Option<Instant>,
    /// Since when no watch could be opened.
    unopened: Option<Instant>,
}

impl Failures {
    /// The watch told of a change: whatever failed before is over. Pages of a list are no such sign, or a list whose later
    /// pages fail would be begun again and again without a pause.
    pub fn heard(&mut self) {
        *self = Self::default();
    }

    /// A list was complete.
    pub fn listed(&mut self) {
        self.unopened = None;
    }

    /// One more failure; `unopened`: the watch was refused. What is long past does not count.
    pub fn another(&mut self, now: Instant, unopened: bool) {
        if self.last.is_some_and(|last| now - last >= APART) {
            *self = Self::default();
        }
        self.many += 1;
        self.last = Some(now);
        self.unopened = unopened.then(|| self.unopened.unwrap_or(now));
    }

    /// How long to wait now; `asked` by the server to, `chance` in 0..1 spreads it.
    pub fn delay(&self, asked: Option<Duration>, chance: f64) -> Duration {
        let asked = asked.unwrap_or_default().min(LONGEST_PATIENCE);
        BACKOFF.delay(self.many, chance).max(asked)
    }

    /// Whether no watch could be opened for so long that what is known is to be listed anew.
    pub fn must_list(&self, now: Instant) -> bool {
        self.unopened.is_some_and(|since| now - since >= UNOPENED)
    }
}
