//! How many writes may be under way at once: no fixed rate, but a window that halves when the API
//! server asks for less (429, 503) and grows again by one per window of successes (reliability C.3).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::write::WriteError;

/// The window of all writes of this process.
#[derive(Debug)]
pub struct Limiter {
    state: Mutex<State>,
    freed: Notify,
    most: f64,
}

#[derive(Debug)]
struct State {
    window: f64,
    in_flight: usize,
    /// Until then nothing is sent (Retry-After).
    paused_until: Option<Instant>,
    /// Start of the last halving: replies to requests sent before it do not halve again.
    halved_at: Option<Instant>,
}

/// One write under way; ends when dropped.
#[derive(Debug)]
pub struct Slot<'a> {
    limiter: &'a Limiter,
    started: Instant,
}

/// How long writes that were decided together may wait to be sent.
#[derive(Debug)]
pub struct Patience {
    /// Until then.
    pub until: Instant,
    /// Or until one of them failed, so that the others are to be decided anew.
    pub lost: CancellationToken,
}

impl Patience {
    /// For so long from now on.
    pub fn of(time: Duration) -> Self {
        Self { until: now() + time, lost: CancellationToken::new() }
    }
}

impl Limiter {
    /// A window of at most `most` writes.
    pub fn new(most: u32) -> Self {
        let most = f64::from(most.max(1));
        let state = State { window: most, in_flight: 0, paused_until: None, halved_at: None };
        Self { state: Mutex::new(state), freed: Notify::new(), most }
    }

    /// Waits until one more write may be sent.
    pub async fn enter(&self) -> Slot<'_> {
        loop {
            let freed = self.freed.notified();
            let pause = {
                let mut state = self.lock();
                let now = now();
                let pause = state.paused_until.filter(|until| *until > now);
                #[expect(clippy::cast_precision_loss, reason = "in flight is at most the window")]
                let fits = (state.in_flight as f64) < state.window.floor().max(1.0);
                if pause.is_none() && fits {
                    state.in_flight += 1;
                    drop(state);
                    // The window may have grown by more than this one.
                    self.freed.notify_one();
                    return Slot { limiter: self, started: now };
                }
                pause
            };
            match pause {
                Some(until) => sleep_until(until).await,
                None => freed.await,
            }
        }
    }

    /// As [`Self::enter`], as long as `patience` lasts: a write that was decided long ago is not what would be decided now.
    pub async fn enter_within(&self, patience: &Patience) -> Option<Slot<'_>> {
        let slot = tokio::select! {
            biased;
            () = patience.lost.cancelled() => None,
            slot = self.enter() => Some(slot),
            () = sleep_until(patience.until) => None,
        };
        if slot.is_none() {
            // Whoever gives up may have been told of a free slot that somebody else waits for.
            self.freed.notify_one();
        }
        slot
    }

    /// The window in force.
    pub fn window(&self) -> f64 {
        self.lock().window
    }

    /// Writes under way.
    pub fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot<'_> {
    /// The server took the write: the window may grow.
    pub fn succeeded(&self) {
        let mut state = self.limiter.lock();
        state.window = (state.window + 1.0 / state.window.max(1.0)).min(self.limiter.most);
    }

    /// Takes heed of a failed request, if it failed because the server asks for less.
    pub fn heed(&self, error: &WriteError) {
        if error.overload {
            self.throttled(error.wait());
        }
    }

    /// The server asks for less: the window halves, once per round trip, and all wait for `retry_after` if it is given.
    pub fn throttled(&self, retry_after: Option<Duration>) {
        let mut state = self.limiter.lock();
        if state.halved_at.is_none_or(|at| self.started >= at) {
            state.window = (state.window / 2.0).max(1.0);
            state.halved_at = Some(now());
        }
        if let Some(wait) = retry_after {
            let until = now() + wait.min(Duration::from_secs(30));
            state.paused_until = state.paused_until.max(Some(until));
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.limiter.freed.notify_one();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the limiter measures round trips; nothing is decided by this clock"
)]
fn now() -> Instant {
    Instant::now()
}
