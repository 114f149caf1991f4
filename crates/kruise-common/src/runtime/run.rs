//! The crank: queue → observe → plan → apply → status → requeue. The only copy.
//!
//! # Guarantees
//! One turn per object at a time. A turn that failed gets another after a backoff that belongs to
//! the object. Every hold becomes log, metric and a timer, of a minute if it does not know its end. At most one status
//! write per object and second, urgent ones aside. Large objects leave the processor to others: their turns keep a distance.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::leader::Leadership;
use super::limiter::Patience;
use super::metrics::{Metrics, TurnResult};
use super::queue::{Queue, Turn};
use super::recorder::Recorder;
use super::writer::Writer;
use crate::key::ObjectKey;
use crate::plan::{Applied, Hold, Measure, Note, Outcome, Plan, Step, reasons, summary};
use crate::reconciler::Reconciler;
use crate::write::{Category, WriteError};

/// Most actions of one burst under way at once.
const BURST: usize = 64;
/// Least time between two status writes of one object.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// How long a turn starts new actions: ten times as long as it took to decide, within these bounds. What is left gets
/// another turn at once, decided anew: pods that became ready meanwhile are not kept waiting by those that are yet to be
/// touched, a spec that changes in the middle of ten thousand creations is obeyed, and the status goes on.
const TURN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How long after its turn began to act a write is still sent. Where the API server asks for less, it waits for others; by
/// then the spec may say something else, and other pods may have failed.
const STALE: Duration = Duration::from_secs(3);
/// How much of the time an object's turns may take to decide, as one part of so many: what happens meanwhile is seen by
/// the next turn together. A rollout of five thousand pods has hundreds of events a second, and each would have its own.
const SHARE: u32 = 8;
/// How long an object is left alone for that: too short a time is not worth a timer.
const REST: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(1));
/// How long an object that does nothing keeps its width: what was taken then may be refused now.
const WIDTH_KEPT: Duration = Duration::from_mins(1);
/// When an object whose namespace is being deleted is looked at again, should it still be there: it is to go as well.
const NAMESPACE_ENDS: Duration = Duration::from_mins(1);
/// When an object that waits is looked at again, though nothing seems to have happened: no event may be relied upon (L3),
/// and the clock may have been put right. A turn that changes nothing costs no request.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// When an object is looked at again whose hold should be over.
const OVER: Duration = Duration::from_secs(1);
/// For how long it is left alone whatever is due.
const SHORT_PATIENCE: Duration = Duration::from_secs(5);
/// Longest time for which a server that asks for patience is left alone: what else is due must not be forgotten over it.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);
/// Least time between two log lines that name the same reasons for waiting with other examples.
const WAITING_EVERY: Duration = Duration::from_secs(10);

/// Turns the crank for one controller.
pub struct Crank<R: Reconciler> {
    /// The controller.
    pub reconciler: R,
    /// Who wants a turn.
    pub queue: Arc<Queue>,
    /// Where writes leave.
    pub writer: Arc<Writer>,
    /// Where Events leave.
    pub recorder: Recorder,
    /// Whether to act.
    pub leadership: Leadership,
    /// What is counted.
    pub metrics: Metrics,
    /// Delay after failures.
    pub backoff: Backoff,
    /// What is remembered of objects between turns: nothing that cannot be rebuilt.
    pub memory: Mutex<HashMap<ObjectKey, Memory>>,
}

/// What the crank remembers of one object.
#[derive(Debug, Default)]
pub struct Memory {
    failures: u32,
    status_written: Option<Instant>,
    width: Option<Width>,
    holds: Vec<Waits>,
    measures: Vec<Measure>,
    /// What the log last said of the holds, and when.
    said: Option<(String, Instant)>,
}

/// A reason for which an object waits.
#[derive(Clone, Copy, Debug)]
struct Waits {
    reason: &'static str,
    /// Since when it does, and nothing was done about it.
    since: Instant,
}

/// How many actions the last turn that did something had under way without a failure: the next one goes on from there.
/// In a rollout every turn has few actions, and would never get beyond its first steps.
#[derive(Clone, Copy, Debug)]
struct Width {
    actions: usize,
    at: Instant,
    /// What was taken from one specification may be refused from the next.
    generation: i64,
}

/// What is left after a turn.
enum After {
    Nothing,
    At(Duration),
    Failed {
        /// The server asks for so much time.
        at_least: Option<Duration>,
        /// What else the object waits for ends then.
        due: Option<Duration>,
    },
}

impl<R: Reconciler> Crank<R> {
    /// Works until the queue is closed.
    pub async fn work(&self) {
        while let Some(turn) = self.queue.next().await {
            self.metrics.queue(&self.queue.load());
            let until = self.turn(&turn).await;
            self.queue.rest(&turn.key, until);
        }
    }

    /// Returns when the object may have its next turn.
    async fn turn(&self, turn: &Turn) -> Instant {
        let started = instant();
        if !self.leadership.is_leader() {
            // A standby keeps its caches warm; becoming leader asks for a turn of every object.
            return started;
        }
        let mut decided = Duration::ZERO;
        let after = self.reconcile(&turn.key, &mut decided).await;
        let result = match after {
            After::Nothing => {
                self.succeeded(&turn.key);
                TurnResult::Success
            }
            After::At(delay) => {
                self.succeeded(&turn.key);
                self.queue.add_after(turn.key.clone(), delay);
                TurnResult::RequeueAfter
            }
            After::Failed { at_least, due } => {
                let failures = self.remember(&turn.key, |memory| {
                    memory.failures += 1;
                    memory.failures
                });
                let backoff = self.backoff.delay(failures, rand::random());
                // What was refused is no reason to miss what else is due, but is not tried more than once a second for it.
                // Nor does a server that asks for patience mean time limits of the object; who asks for an hour is asked again.
                let asked = at_least.unwrap_or_default().min(LONGEST_PATIENCE);
                let delay = backoff.max(asked);
                let least = OVER.max(asked.min(SHORT_PATIENCE));
                let delay = due.map_or(delay, |due| delay.min(due.max(least)));
                self.queue.add_after(turn.key.clone(), delay);
                TurnResult::Error
            }
        };
        self.metrics.turn(result, instant() - started, turn.waited);
        let rest = (decided * SHARE).min(REST.1);
        if rest < REST.0 { started } else { started + rest }
    }

    /// `decided` is set to the time that the decision took.
    async fn reconcile(&self, key: &ObjectKey, decided: &mut Duration) -> After {
        match self.writer.resolve(key).await {
            Ok(true) => {}
            Ok(false) => return After::At(Duration::ZERO),
            Err(error) => {
                tracing::warn!(controller = R::NAME, object = %key, %error, "cannot look up an unanswered write");
                return After::Failed { at_least: error.wait(), due: None };
            }
        }
        let began = instant();
        let Some(snapshot) = self.reconciler.observe(key) else {
            self.forget(key);
            return After::Nothing;
        };
        let now = now();
        let plan = R::plan(&snapshot, now);
        self.explain(key, &snapshot, &plan);
        self.measure(key, R::measures(&snapshot, now));
        *decided = instant() - began;
        let length = (*decided * 10).clamp(TURN.0, TURN.1);
        let applied = self.execute(key, &snapshot, &plan, (now, instant() + length)).await;
        self.tell(key, &snapshot, &applied);
        if applied.done().next().is_some() {
            self.got_on(key);
        }
        for action in applied.done() {
            for sample in R::samples(&snapshot, action, now) {
                self.metrics.sample(&sample);
            }
        }
        self.reconciler.attempted(key, &applied, now);
        let failure = applied.failed().next().map(|(_, error)| error.clone());
        let status = self.status(key, &snapshot, &plan, &applied).await;
        match failure.or(status.as_ref().err().cloned()) {
            Some(error) if error.category == Category::NamespaceTerminating => {
                After::At(NAMESPACE_ENDS)
            }
            Some(error) => {
                let ends = ends_ahead(&plan, now).chain(status.ok().flatten());
                After::Failed { at_least: error.wait(), due: ends.min() }
            }
            None if applied.not_attempted() => After::At(Duration::ZERO),
            None => due(&plan, now, status.unwrap_or_default()),
        }
    }

    /// Logs and counts the plan. A large rollout waits for another pod after every turn; the log tells of new reasons
    /// at once, of other examples now and then.
    fn explain(&self, key: &ObjectKey, snapshot: &R::Snapshot, plan: &Plan<R::Action, R::Hold>) {
        let reasons = reasons(&plan.holds);
        let text = summary(&plan.holds);
        let now = instant();
        self.remember(key, |memory| {
            for gone in memory.holds.iter().filter(|known| !reasons.contains(&known.reason)) {
                self.metrics.hold(gone.reason, -1.0);
            }
            let holds: Vec<Waits> = reasons
                .iter()
                .map(|reason| {
                    let known = memory.holds.iter().find(|known| known.reason == *reason);
                    known.copied().unwrap_or_else(|| {
                        self.metrics.hold(reason, 1.0);
                        Waits { reason, since: now }
                    })
                })
                .collect();
            let said = memory.said.as_ref();
            let due = memory.holds.iter().map(|known| known.reason).ne(reasons)
                || said.is_some_and(|(last, at)| *last != text && now - *at >= WAITING_EVERY);
            if due {
                let what = if text.is_empty() { "waits for nothing any more" } else { "waiting" };
                tracing::info!(controller = R::NAME, object = %key, holds = %text, "{what}");
                memory.said = Some((text, now));
            }
            memory.holds = holds;
        });
        for action in plan.actions() {
            tracing::debug!(controller = R::NAME, object = %key, %action, "planned");
        }
        for note in &plan.notes {
            self.record(key, snapshot, note.clone());
        }
    }

    fn record(&self, key: &ObjectKey, snapshot: &R::Snapshot, note: Note) {
        match note.about.clone() {
            Some(about) => self.recorder.record(about.kind, &about.key, &about.uid, note),
            None => self.recorder.record(R::KIND, key, R::uid(snapshot), note),
        }
    }

    /// Replaces the numbers of the object.
    fn measure(&self, key: &ObjectKey, new: Vec<Measure>) {
        self.remember(key, |memory| {
            if memory.measures != new {
                self.count(&memory.measures, -1.0);
                self.count(&new, 1.0);
                memory.measures = new;
            }
        });
    }

    fn count(&self, measures: &[Measure], sign: f64) {
        for measure in measures {
            self.metrics.measure(measure, sign);
        }
    }

    async fn execute(
        &self,
        key: &ObjectKey,
        snapshot: &R::Snapshot,
        plan: &Plan<R::Action, R::Hold>,
        (now, end): (Timestamp, Instant),
    ) -> Applied<R::Action> {
        let mut applied = Applied::default();
        let mut ended = false;
        let generation = R::generation(snapshot);
        let known = self.remember(key, |memory| memory.width.take()).filter(|known| {
            known.generation == generation
                && instant().saturating_duration_since(known.at) < WIDTH_KEPT
        });
        let mut width = known.map_or(1, |known| known.actions);
        for step in &plan.steps {
            let (actions, most) = match step {
                Step::InOrder(actions) => (actions, 1),
                Step::Burst(actions) | Step::Each(actions) | Step::Tries(actions) => {
                    (actions, BURST)
                }
            };
            // A step that took long is the last one of its turn.
            ended |= !applied.outcomes.is_empty() && instant() >= end;
            let outcomes = if ended {
                actions.iter().map(|action| (action.clone(), Outcome::NotAttempted)).collect()
            } else {
                let mut open = width.min(most);
                let outcomes = self.burst(key, snapshot, step, (&mut open, most, end), now).await;
                width = width.max(open);
                outcomes
            };
            ended |= outcomes.iter().any(|(_, outcome)| ends(step, outcome));
            applied.outcomes.extend(outcomes);
        }
        if applied.failed().next().is_none() {
            let did = !applied.outcomes.is_empty();
            let at = if did { Some(instant()) } else { known.map(|known| known.at) };
            let kept = at.map(|at| Width { actions: width, at, generation });
            self.remember(key, |memory| memory.width = kept);
        }
        applied
    }

    /// Slow start: `width` actions first, then twice as many with each round of successes, `most` at most (reliability
    /// C.3). After a failure, or after `end`, nothing new is started.
    async fn burst(
        &self,
        key: &ObjectKey,
        snapshot: &R::Snapshot,
        step: &Step<R::Action>,
        (width, most, end): (&mut usize, usize, Instant),
        now: Timestamp,
    ) -> Vec<(R::Action, Outcome)> {
        let actions = step.actions();
        let mut outcomes: Vec<_> =
            actions.iter().map(|action| (action.clone(), Outcome::NotAttempted)).collect();
        let patience = Patience::of(STALE);
        let mut running = FuturesUnordered::new();
        let mut next = 0;
        let mut failed = false;
        let mut counts = (0, 0);
        loop {
            // The first action always starts, so that every turn gets on.
            while !failed && running.len() < *width && (next == 0 || instant() < end) {
                let Some(action) = actions.get(next) else { break };
                let index = next;
                let done = self.perform(key, snapshot, action, (now, &patience));
                running.push(done.map(move |outcome| (index, outcome)).boxed());
                next += 1;
            }
            let Some((index, outcome)) = running.next().await else { return outcomes };
            match outcome {
                Outcome::Done => counts.0 += 1,
                Outcome::Failed(_) | Outcome::NotAttempted => counts.1 += 1,
            }
            failed |= ends(step, &outcome) || step.gives_up(counts.0, counts.1);
            if failed {
                patience.lost.cancel();
            }
            if step.widens(&outcome) {
                *width = (*width + 1).min(most);
            }
            if let Some(slot) = outcomes.get_mut(index) {
                slot.1 = outcome;
            }
        }
    }

    /// The writes of one action, in order; the first failure ends it, and so does one that would be sent too late.
    async fn perform(
        &self,
        key: &ObjectKey,
        snapshot: &R::Snapshot,
        action: &R::Action,
        (now, patience): (Timestamp, &Patience),
    ) -> Outcome {
        for write in R::apply(snapshot, action, now) {
            match self.writer.send(key, &write, patience).await {
                Ok(false) => return Outcome::NotAttempted,
                Ok(true) => {
                    tracing::debug!(controller = R::NAME, object = %key, %write, "written");
                }
                Err(error) => {
                    Self::complain(key, &write.to_string(), &error);
                    return Outcome::Failed(error.of(&write));
                }
            }
        }
        Outcome::Done
    }

    fn complain(key: &ObjectKey, write: &str, error: &WriteError) {
        let category = error.category.as_str();
        match error.category {
            // Someone was faster: the next turn sees the newer state. Or everything here is about to go.
            Category::Conflict
            | Category::AlreadyExists
            | Category::NotFound
            | Category::NamespaceTerminating => {
                tracing::debug!(controller = R::NAME, object = %key, write, category, %error, "write refused");
            }
            _ => {
                tracing::warn!(controller = R::NAME, object = %key, write, category, %error, "write failed");
            }
        }
    }

    fn tell(&self, key: &ObjectKey, snapshot: &R::Snapshot, applied: &Applied<R::Action>) {
        for (action, outcome) in &applied.outcomes {
            for note in R::event(snapshot, action, outcome) {
                self.record(key, snapshot, note);
            }
        }
    }

    /// Writes the status if it changed and the last write is a second ago, or it is urgent; otherwise says how long to wait.
    async fn status(
        &self,
        key: &ObjectKey,
        snapshot: &R::Snapshot,
        plan: &Plan<R::Action, R::Hold>,
        applied: &Applied<R::Action>,
    ) -> Result<Option<Duration>, WriteError> {
        let Some(write) = R::status(snapshot, plan, applied, now()) else { return Ok(None) };
        let last = self.remember(key, |memory| memory.status_written);
        if let Some(left) = last.and_then(|last| STATUS_EVERY.checked_sub(instant() - last))
            && !left.is_zero()
            && !R::urgent(snapshot, &write)
        {
            return Ok(Some(left));
        }
        self.remember(key, |memory| memory.status_written = Some(instant()));
        let patience = Patience::of(STALE);
        match self.writer.send(key, &write, &patience).await {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Some(STATUS_EVERY)),
            // Deleted meanwhile.
            Err(error) if error.category == Category::NotFound => Ok(None),
            Err(error) => {
                Self::complain(key, &write.to_string(), &error);
                Err(error)
            }
        }
    }

    fn remember<T>(&self, key: &ObjectKey, change: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = memory.get_mut(key) {
            return change(known);
        }
        change(memory.entry(key.clone()).or_default())
    }

    /// Forgets failures; an object that is gone stays forgotten.
    fn succeeded(&self, key: &ObjectKey) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = memory.get_mut(key) {
            known.failures = 0;
        }
    }

    fn forget(&self, key: &ObjectKey) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gone) = memory.remove(key) {
            self.count(&gone.measures, -1.0);
            for known in gone.holds {
                self.metrics.hold(known.reason, -1.0);
            }
        }
    }

    /// Something was done about the object: what it still waits for, it waits for from now on.
    fn got_on(&self, key: &ObjectKey) {
        let now = instant();
        self.remember(key, |memory| {
            for known in &mut memory.holds {
                known.since = now;
            }
        });
    }

    /// For each reason how long the object has waited that waits longest, and nothing was done about it.
    pub fn longest_waits(&self) -> BTreeMap<&'static str, Duration> {
        let now = instant();
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut longest = BTreeMap::new();
        for known in memory.values().flat_map(|memory| &memory.holds) {
            let waited: &mut Duration = longest.entry(known.reason).or_default();
            *waited = (*waited).max(now.saturating_duration_since(known.since));
        }
        longest
    }
}

/// Whether an outcome keeps what comes after it from being done.
fn ends<A>(step: &Step<A>, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Done => false,
        Outcome::Failed(error) => !step.outlives(error),
        // Given up for this turn, because of refusals that say nothing of other steps; or the turn is over, which those find
        // out by themselves.
        Outcome::NotAttempted => !matches!(step, Step::Tries(_)),
    }
}

/// How long it takes until holds end that know their end.
fn ends_ahead<A, H: Hold>(plan: &Plan<A, H>, now: Timestamp) -> impl Iterator<Item = Duration> {
    let ends = plan.holds.iter().filter_map(Hold::until).filter(move |until| *until > now);
    ends.map(move |until| {
        // A little later than asked: the point itself must be past, whatever the clock's grain.
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        (wait + Duration::from_millis(5)).min(LOOK_AGAIN)
    })
}

/// When the object is due again: the earliest end of a hold, a while later if it waits for an event, or when its status
/// may be written.
fn due<A, H: Hold>(plan: &Plan<A, H>, now: Timestamp, status: Option<Duration>) -> After {
    let others = plan.holds.iter().filter_map(|hold| match hold.until() {
        Some(until) if until > now => None,
        // It is over and still holds: nothing that time alone will change soon.
        Some(_) => Some(OVER),
        None => Some(LOOK_AGAIN),
    });
    match ends_ahead(plan, now).chain(others).chain(status).min() {
        Some(delay) => After::At(delay),
        None => After::Nothing,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the crank reads the time once per turn and hands it down"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

#[expect(clippy::disallowed_methods, reason = "measures turns and spaces status writes")]
fn instant() -> Instant {
    Instant::now()
}
