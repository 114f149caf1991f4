//! The crank without its waiting: turns a controller over a [`World`], writes the transcript, and injects faults.
//!
//! Its rules are those of `runtime/run.rs` and `runtime/writer.rs`: a failed action ends the plan, replies go into the
//! caches at once, and the target of a failed or unanswered write is looked up before the next turn. Every turn is decided
//! twice, from two readings of the caches: a difference ends the test (style 3.11, 1).

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::mirror::Mirror;
use super::world::{Reply, World};
use crate::key::ObjectKey;
use crate::kind::Kind;
use crate::plan::{Applied, Hold, Outcome, Plan};
use crate::reconciler::Reconciler;
use crate::write::{Category, Request, Write, WriteError};

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is performed.
    Done,
    /// It is performed, and the answer is lost.
    NoAnswer,
    /// It is not performed; the server failed.
    Refused,
    /// It is not performed; a quota or an admission policy forbids it.
    Denied,
    /// It is not performed; the API server finds what would become of the object invalid.
    Unfit,
    /// It is not performed; the API server allows such an object, but not to change a living one that way.
    Fixed,
    /// It is performed, and then the controller dies.
    DoneThenCrash,
}

/// A controller with its caches, as it is after a start.
pub type Process<R> = (R, Vec<Box<dyn Mirror>>);

/// Decides what becomes of a write, by how many were performed before.
pub type Fates = Box<dyn FnMut(usize, &Write) -> Fate>;
/// Looks at the cluster before a write.
pub type Inspector = Box<dyn FnMut(&World, &Write)>;

/// Looks at what is about to be done: the cluster, what the controller sees of it, and its plan.
pub type Witness<R> = Box<
    dyn FnMut(
        &World,
        &<R as Reconciler>::Snapshot,
        &Plan<<R as Reconciler>::Action, <R as Reconciler>::Hold>,
    ),
>;
/// Somebody else who acts in the cluster, after each turn; says whether there is more to come.
pub type Actor = Box<dyn FnMut(&mut World) -> bool>;

/// Decides whether the cache of a kind stays behind for another turn.
pub type Lag = Box<dyn FnMut(&'static Kind) -> bool>;

/// Turns a controller.
pub struct Drive<R: Reconciler> {
    /// The cluster.
    pub world: World,
    /// One line for each action and change of holds.
    pub transcript: Vec<String>,
    /// Every write that was performed.
    pub writes: Vec<Write>,
    /// Fault injection.
    pub fate: Fates,
    /// Checks of invariants.
    pub inspect: Inspector,
    /// Checks of decisions.
    pub witness: Witness<R>,
    /// Who else acts.
    pub actor: Actor,
    /// Caches that lag: each kind's watch delivers when it likes, so that a turn sees kinds of different times.
    pub lag: Option<Lag>,
    start: Box<dyn Fn() -> Process<R>>,
    process: Process<R>,
    unresolved: BTreeSet<(&'static Kind, ObjectKey)>,
    held: Vec<String>,
    began: Timestamp,
}

/// What one turn did.
#[derive(Debug)]
pub struct Turned<H> {
    /// Writes that were performed.
    pub writes: usize,
    /// Why the rest waits.
    pub holds: Vec<H>,
    /// Whether the controller died.
    pub crashed: bool,
    /// Whether a write failed, so that another turn follows.
    pub failed: bool,
}

impl<R: Reconciler> Drive<R> {
    /// A controller, made by `start`, beside `world`.
    pub fn new(world: World, start: impl Fn() -> Process<R> + 'static) -> Self {
        let process = start();
        let began = world.now;
        let drive = Self {
            world,
            transcript: Vec::new(),
            writes: Vec::new(),
            fate: Box::new(|_, _| Fate::Done),
            inspect: Box::new(|_, _| {}),
            witness: Box::new(|_, _, _| {}),
            actor: Box::new(|_| false),
            lag: None,
            start: Box::new(start),
            process,
            unresolved: BTreeSet::new(),
            held: Vec::new(),
            began,
        };
        drive.relist();
        drive
    }

    /// The caches see everything.
    pub fn relist(&self) {
        for mirror in &self.process.1 {
            mirror.relist(&self.world);
        }
    }

    /// The caches see everything, those that lag excepted; says whether all are up to date.
    fn deliver(&mut self) -> bool {
        let Some(lag) = &mut self.lag else {
            self.relist();
            return true;
        };
        let mut complete = true;
        for mirror in &self.process.1 {
            if lag(mirror.kind()) {
                complete = false;
            } else {
                mirror.relist(&self.world);
            }
        }
        complete
    }

    /// The process ends and another starts: everything in memory is lost.
    pub fn restart(&mut self) {
        self.process = (self.start)();
        self.unresolved.clear();
        self.relist();
    }

    /// A line of the transcript, with the time.
    pub fn say(&mut self, line: &str) {
        let seconds = self.world.now.duration_since(self.began).as_secs();
        self.transcript.push(format!("{seconds:>4}s  {line}"));
    }

    /// What the controller sees of `key` now.
    pub fn observe(&self, key: &ObjectKey) -> Option<R::Snapshot> {
        self.process.0.observe(key)
    }

    /// Tells the controller what became of actions that a test performed by itself.
    pub fn attempted(&self, key: &ObjectKey, applied: &Applied<R::Action>, now: Timestamp) {
        self.process.0.attempted(key, applied, now);
    }

    /// What it would do.
    pub fn plan(&self, key: &ObjectKey) -> Option<Plan<R::Action, R::Hold>> {
        self.observe(key).map(|snapshot| R::plan(&snapshot, self.world.now))
    }

    /// One turn; `None` if the object is gone.
    pub fn turn(&mut self, key: &ObjectKey) -> Option<Turned<R::Hold>> {
        self.resolve();
        let snapshot = self.observe(key)?;
        let now = self.world.now;
        let plan = self.decide(key, &snapshot);
        let before = self.writes.len();
        let mut applied = Applied::default();
        let mut turned =
            Turned { writes: 0, holds: plan.holds.clone(), crashed: false, failed: false };
        let mut ended = false;
        for step in &plan.steps {
            let (mut done, mut failed) = (0, 0);
            for action in step.actions() {
                let outcome = if ended || turned.crashed || step.gives_up(done, failed) {
                    Outcome::NotAttempted
                } else {
                    self.say(&action.to_string());
                    self.perform(&R::apply(&snapshot, action, now), &mut turned.crashed)
                };
                if let Outcome::Failed(error) = &outcome {
                    self.say(&format!("  failed: {}", error.category));
                    turned.failed = true;
                    failed += 1;
                    ended |= !step.outlives(error);
                } else if outcome == Outcome::Done {
                    done += 1;
                }
                applied.outcomes.push((action.clone(), outcome));
            }
        }
        self.explain(&plan);
        self.process.0.attempted(key, &applied, now);
        if !turned.crashed
            && let Some(write) = R::status(&snapshot, &plan, &applied, now)
            && let Err(error) = self.send(&write, &mut turned.crashed)
        {
            turned.failed |= error.category != Category::NotFound;
        }
        turned.writes = self.writes.len() - before;
        Some(turned)
    }

    /// Turns until the object is settled: nothing is written, no kubelet is at work, no hold ends by itself.
    /// An error if that is not so after `limit` turns.
    pub fn settle(&mut self, key: &ObjectKey, limit: usize) -> Result<(), String> {
        for _ in 0..limit {
            let complete = self.deliver();
            let turned = self.turn(key);
            let until = turned.as_ref().and_then(|t| t.holds.iter().filter_map(Hold::until).min());
            if turned.as_ref().is_some_and(|turned| turned.crashed) {
                self.say("-- crash --");
                self.restart();
                continue;
            }
            let busy = turned.is_some_and(|turned| turned.writes > 0 || turned.failed);
            // Each of them has its turn.
            let others = self.world.nodes() | (self.actor)(&mut self.world);
            if others || busy || !complete {
                continue;
            }
            let later =
                |at: Timestamp| at.checked_add(SignedDuration::from_millis(5)).unwrap_or(at);
            let next = self.world.next_wake().into_iter().chain(until.map(later)).min();
            match next {
                Some(at) => self.world.now = self.world.now.max(at),
                None => return Ok(()),
            }
        }
        let tail = self.transcript.iter().rev().take(20).rev();
        let tail = tail.map(String::as_str).collect::<Vec<_>>().join("\n");
        Err(format!("not settled after {limit} turns:\n{tail}"))
    }

    /// The plan, which must be the same and mean the same writes if everything is read and decided once more.
    fn decide(&mut self, key: &ObjectKey, snapshot: &R::Snapshot) -> Plan<R::Action, R::Hold> {
        let now = self.world.now;
        let plan = R::plan(snapshot, now);
        if let Some(again) = self.observe(key) {
            let second = R::plan(&again, now);
            assert!(plan == second, "decided differently:\n{plan:#?}\n{second:#?}");
            for action in plan.actions() {
                let (one, two) = (R::apply(snapshot, action, now), R::apply(&again, action, now));
                assert!(one == two, "{action} means different writes:\n{one:#?}\n{two:#?}");
            }
        }
        (self.witness)(&self.world, snapshot, &plan);
        plan
    }

    fn explain(&mut self, plan: &Plan<R::Action, R::Hold>) {
        let held: Vec<String> = plan.holds.iter().map(ToString::to_string).collect();
        if held != self.held {
            for hold in &held {
                if !self.held.contains(hold) {
                    self.say(&format!("hold {hold}"));
                }
            }
            self.held = held;
        }
    }

    fn perform(&mut self, writes: &[Write], crashed: &mut bool) -> Outcome {
        for write in writes {
            if *crashed {
                return Outcome::NotAttempted;
            }
            if let Err(error) = self.send(write, crashed) {
                return Outcome::Failed(error.of(write));
            }
        }
        Outcome::Done
    }

    fn send(&mut self, write: &Write, crashed: &mut bool) -> Result<(), WriteError> {
        let fate = (self.fate)(self.writes.len(), write);
        let refusal = match fate {
            Fate::Refused => Some((Category::Server, "injected")),
            Fate::Denied => Some((Category::Forbidden, "denied by a policy")),
            Fate::Unfit => Some((Category::Invalid, "not valid")),
            Fate::Fixed => {
                let text = "Pod is invalid: spec.containers[0]: Forbidden: may not change";
                Some((Category::Invalid, text))
            }
            Fate::Done | Fate::NoAnswer | Fate::DoneThenCrash => None,
        };
        if let Some((category, message)) = refusal {
            return Err(WriteError::new(category, message));
        }
        (self.inspect)(&self.world, write);
        let reply = match self.world.perform(write) {
            Ok(reply) => reply,
            Err(error) => {
                let goes = matches!(write.request, Request::Delete { .. } | Request::Evict { .. });
                let gone = error.category == Category::NotFound && goes;
                self.unresolved.insert((write.kind, write.key.clone()));
                let guard = write.guard.as_ref().filter(|_| error.category == Category::Guard);
                self.unresolved.extend(guard.map(|guard| (guard.kind, guard.key.clone())));
                return if gone { Ok(()) } else { Err(error) };
            }
        };
        self.writes.push(write.clone());
        match fate {
            Fate::DoneThenCrash => *crashed = true,
            Fate::NoAnswer => {
                self.unresolved.insert((write.kind, write.key.clone()));
                return Err(WriteError::new(Category::Unknown, "injected"));
            }
            Fate::Done | Fate::Refused | Fate::Denied | Fate::Unfit | Fate::Fixed => {
                let stored = match &reply {
                    Reply::Stored(object) => Some(object),
                    Reply::Removed => None,
                };
                for mirror in self.process.1.iter().filter(|mirror| mirror.kind() == write.kind) {
                    mirror.see(&write.key, stored);
                }
            }
        }
        Ok(())
    }

    fn resolve(&mut self) {
        for (kind, key) in std::mem::take(&mut self.unresolved) {
            for mirror in self.process.1.iter().filter(|mirror| mirror.kind() == kind) {
                mirror.see(&key, self.world.get(kind, &key));
            }
        }
    }
}
