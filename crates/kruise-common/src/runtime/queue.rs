//! The work queue: one turn per object at a time, requests that arrive meanwhile merge, timers keep
//! the earliest point. Timers are recomputed from objects after every turn, so none can be lost for good.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::key::ObjectKey;

/// A queue of objects that want a turn.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<(ObjectKey, Instant)>,
    waiting: HashSet<ObjectKey>,
    /// Since when.
    running: HashMap<ObjectKey, Instant>,
    /// Asked for again while running.
    again: HashSet<ObjectKey>,
    /// Not to be taken before this; as if they were running, but for the numbers.
    rests: BTreeSet<(Instant, ObjectKey)>,
    resting: HashSet<ObjectKey>,
    timers: BTreeSet<(Instant, ObjectKey)>,
    timer_of: HashMap<ObjectKey, Instant>,
    closed: bool,
    /// Turns that were ever asked for.
    added: u64,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Objects that wait for a turn.
    pub waiting: usize,
    /// Turns under way.
    pub running: usize,
    /// Turns that were ever asked for.
    pub added: u64,
    /// Sum of the ages of the turns under way.
    pub unfinished: Duration,
    /// Age of the oldest of them.
    pub longest: Duration,
}

/// A turn that was taken from the queue.
#[derive(Debug)]
pub struct Turn {
    /// The object.
    pub key: ObjectKey,
    /// How long it waited.
    pub waited: Duration,
}

impl Queue {
    /// Asks for a turn now.
    pub fn add(&self, key: ObjectKey) {
        let now = now();
        let mut state = self.lock();
        state.push(key, now);
        drop(state);
        self.changed.notify_one();
    }

    /// Asks for a turn after `delay`; an earlier request for the same object wins.
    pub fn add_after(&self, key: ObjectKey, delay: Duration) {
        let at = now() + delay;
        let mut state = self.lock();
        if state.timer_of.get(&key).is_some_and(|known| *known <= at) {
            return;
        }
        if let Some(later) = state.timer_of.insert(key.clone(), at) {
            state.timers.remove(&(later, key.clone()));
        }
        state.timers.insert((at, key));
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the next object; `None` once the queue is closed.
    pub async fn next(&self) -> Option<Turn> {
        loop {
            let changed = self.changed.notified();
            let timer = {
                let mut state = self.lock();
                if state.closed {
                    return None;
                }
                state.fire_timers(now());
                if let Some(turn) = state.pop() {
                    if !state.ready.is_empty() {
                        self.changed.notify_one();
                    }
                    return Some(turn);
                }
                let due = [state.timers.first(), state.rests.first()];
                due.into_iter().flatten().map(|(at, _)| *at).min()
            };
            match timer {
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }

    /// Ends a turn: the object may be taken again.
    pub fn done(&self, key: &ObjectKey) {
        self.rest(key, now());
    }

    /// Ends a turn: the object may be taken again at `until`. Requests that come before merge, like those that come
    /// during the turn.
    pub fn rest(&self, key: &ObjectKey, until: Instant) {
        let now = now();
        let mut state = self.lock();
        state.running.remove(key);
        if until > now {
            state.resting.insert(key.clone());
            state.rests.insert((until, key.clone()));
        } else {
            state.wake(key, now);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// How much there is to do.
    pub fn load(&self) -> Load {
        let now = now();
        let state = self.lock();
        let ages = state.running.values().map(|since| now.saturating_duration_since(*since));
        Load {
            waiting: state.ready.len(),
            running: state.running.len(),
            added: state.added,
            unfinished: ages.clone().sum(),
            longest: ages.max().unwrap_or_default(),
        }
    }

    /// How many objects wait for a turn.
    pub fn depth(&self) -> usize {
        self.lock().ready.len()
    }

    /// How many turns are running.
    pub fn running(&self) -> usize {
        self.lock().running.len()
    }

    /// How many objects have a timer.
    pub fn timers(&self) -> usize {
        self.lock().timers.len()
    }

    /// Nobody gets a turn any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, key: ObjectKey, now: Instant) {
        let fresh = if self.running.contains_key(&key) || self.resting.contains(&key) {
            self.again.insert(key)
        } else {
            self.enqueue(key, now)
        };
        self.added += u64::from(fresh);
    }

    /// Whether it did not wait already.
    fn enqueue(&mut self, key: ObjectKey, now: Instant) -> bool {
        let fresh = self.waiting.insert(key.clone());
        if fresh {
            self.ready.push_back((key, now));
        }
        fresh
    }

    /// The turn that was asked for meanwhile; it was counted then.
    fn wake(&mut self, key: &ObjectKey, now: Instant) {
        if self.again.remove(key) {
            self.enqueue(key.clone(), now);
        }
    }

    fn fire_timers(&mut self, now: Instant) {
        while self.rests.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, key)) = self.rests.pop_first() {
                self.resting.remove(&key);
                self.wake(&key, now);
            }
        }
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.timers.pop_first() {
                self.timer_of.remove(&key);
                self.push(key, now);
            }
        }
    }

    fn pop(&mut self) -> Option<Turn> {
        let (key, since) = self.ready.pop_front()?;
        let now = now();
        self.waiting.remove(&key);
        self.running.insert(key.clone(), now);
        Some(Turn { key, waited: now.saturating_duration_since(since) })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the queue owns its timers; nothing is decided by this clock"
)]
fn now() -> Instant {
    Instant::now()
}
