//! How insistently a configuration is written that somebody else changes back.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::RETRY;

/// How many writes of a configuration in a row need not last: hooks may change faster than the watch tells of them.
const INSISTS: u32 = 8;
/// How long a configuration must have stayed right to count as accepted.
const LASTED: Duration = Duration::from_secs(2);

/// Writes of a configuration that did not last. Some clusters complete every configuration in their own way; to write that
/// away at once, each time, would have no end.
#[derive(Debug, Default)]
pub(super) struct Insistence {
    writes: u32,
    next: Option<Instant>,
    /// What was written last.
    wrote: Option<Value>,
    /// Since when it has been seen as it must be.
    right: Option<Instant>,
}

impl Insistence {
    /// The configuration is seen as it must be.
    pub(super) fn is_right(&mut self) {
        self.right.get_or_insert_with(Instant::now);
    }

    /// It is seen otherwise. What was right for a while was not changed back, nor was what is wanted otherwise by now. That it is seen right
    /// between two changes says nothing.
    pub(super) fn is_wrong(&mut self, wanted: Option<&Value>) {
        let lasted = self.right.take().is_some_and(|since| since.elapsed() >= LASTED);
        if lasted || self.wrote.as_ref() != wanted {
            *self = Self::default();
        }
    }

    /// Whether the next write has to wait.
    pub(super) fn waits(&self) -> bool {
        self.next.is_some_and(|next| Instant::now() < next)
    }

    /// It was written.
    pub(super) fn wrote(&mut self, wanted: Option<Value>) {
        self.wrote = wanted;
        self.writes = self.writes.saturating_add(1);
        let beyond = self.writes.saturating_sub(INSISTS);
        let wait = RETRY.delay(beyond, rand::random());
        self.next = (beyond > 0).then(|| Instant::now() + wait);
    }
}
