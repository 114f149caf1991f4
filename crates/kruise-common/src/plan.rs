//! What a turn decided and what became of it: steps, holds, notes, outcomes.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::sync::Arc;

use jiff::Timestamp;

use crate::key::ObjectKey;
use crate::kind::Kind;
use crate::meta::Meta;
use crate::write::WriteError;

/// The decision of one turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<A, H> {
    /// What to do, in order. A failed step ends the plan.
    pub steps: Vec<Step<A>>,
    /// Why the rest waits.
    pub holds: Vec<H>,
    /// Kubernetes Events that do not belong to a single action.
    pub notes: Vec<Note>,
}

impl<A, H> Default for Plan<A, H> {
    fn default() -> Self {
        Self { steps: Vec::new(), holds: Vec::new(), notes: Vec::new() }
    }
}

impl<A, H> Plan<A, H> {
    /// Appends actions that go out one after another; nothing if there are none.
    pub fn in_order(&mut self, actions: Vec<A>) {
        if !actions.is_empty() {
            self.steps.push(Step::InOrder(actions));
        }
    }

    /// Appends independent actions; nothing if there are none.
    pub fn burst(&mut self, actions: Vec<A>) {
        if !actions.is_empty() {
            self.steps.push(Step::Burst(actions));
        }
    }

    /// Appends actions of which one that is refused keeps no other from being done; nothing if there are none.
    pub fn each(&mut self, actions: Vec<A>) {
        if !actions.is_empty() {
            self.steps.push(Step::Each(actions));
        }
    }

    /// Appends actions that one cause may refuse for all of them or for some; nothing if there are none.
    pub fn tries(&mut self, actions: Vec<A>) {
        if !actions.is_empty() {
            self.steps.push(Step::Tries(actions));
        }
    }

    /// All actions in order.
    pub fn actions(&self) -> impl Iterator<Item = &A> {
        self.steps.iter().flat_map(Step::actions)
    }
}

/// Actions that belong together.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<A> {
    /// One after another; the first failure ends the plan.
    InOrder(Vec<A>),
    /// Independent of each other, sent in slow-start batches; a failure lets the others in flight finish.
    Burst(Vec<A>),
    /// Like a burst of actions each of which has another target: what is refused for reasons of its target (see
    /// [`concerns_target`](crate::write::Category::concerns_target)) neither ends the step nor the plan.
    Each(Vec<A>),
    /// Like [`Step::Each`] where one cause, a spent quota for instance, may refuse everything: nothing is sent faster
    /// after a refusal, and when clearly more is refused than done, the rest of the step waits for another turn. For
    /// controllers that leave those alone who refused ([`Refusals`](crate::refusal::Refusals)): else it would wait for ever.
    Tries(Vec<A>),
}

/// How many more refusals than successes end [`Step::Tries`].
const REFUSALS: usize = 10;

impl<A> Step<A> {
    /// Its actions, in order.
    pub fn actions(&self) -> &[A] {
        let (Self::InOrder(actions)
        | Self::Burst(actions)
        | Self::Each(actions)
        | Self::Tries(actions)) = self;
        actions
    }

    /// Drops the actions for which `keep` does not hold.
    pub fn retain(&mut self, keep: impl FnMut(&A) -> bool) {
        let (Self::InOrder(actions)
        | Self::Burst(actions)
        | Self::Each(actions)
        | Self::Tries(actions)) = self;
        actions.retain(keep);
    }

    /// Whether a failure of this kind leaves the rest of the plan as it is.
    pub fn outlives(&self, error: &WriteError) -> bool {
        matches!(self, Self::Each(_) | Self::Tries(_)) && error.category.concerns_target()
    }

    /// Whether nothing more of it is begun after that many successes and failures.
    pub fn gives_up(&self, done: usize, failed: usize) -> bool {
        matches!(self, Self::Tries(_)) && failed > done.saturating_add(REFUSALS)
    }

    /// Whether more of it may be under way at once after this outcome.
    pub fn widens(&self, outcome: &Outcome) -> bool {
        *outcome == Outcome::Done || !matches!(self, Self::Tries(_))
    }
}

/// Why nothing more is done: the typed answer for log, event, metric, condition and requeue.
pub trait Hold: Display + Debug + Clone + PartialEq + Send + Sync + 'static {
    /// The name of the reason: metric label and runbook entry.
    fn reason(&self) -> &'static str;
    /// When waiting may be over without any event.
    fn until(&self) -> Option<Timestamp>;
}

/// The different reasons among `holds`, sorted.
pub fn reasons<H: Hold>(holds: &[H]) -> Vec<&'static str> {
    holds.iter().map(Hold::reason).collect::<BTreeSet<_>>().into_iter().collect()
}

/// `holds` for a log line, however many there are: of each reason the first, and how many more.
pub fn summary<H: Hold>(holds: &[H]) -> String {
    let mut firsts: Vec<(&H, usize)> = Vec::new();
    for hold in holds {
        match firsts.iter_mut().find(|(first, _)| first.reason() == hold.reason()) {
            Some((_, more)) => *more += 1,
            None => firsts.push((hold, 0)),
        }
    }
    let texts = firsts.into_iter().map(|(first, more)| match more {
        0 => first.to_string(),
        more => format!("{first} and {more} more"),
    });
    texts.collect::<Vec<_>>().join("; ")
}

/// A Kubernetes Event to record on the reconciled object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it warns.
    pub warning: bool,
    /// Reason, a constant of `kruise_api::keys`.
    pub reason: &'static str,
    /// Text for people.
    pub message: String,
    /// The object that it is about; the reconciled one if `None`.
    pub about: Option<About>,
}

/// An object that an Event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Kind.
    pub kind: &'static Kind,
    /// Key.
    pub key: ObjectKey,
    /// UID.
    pub uid: Arc<str>,
}

impl Note {
    /// A Normal event.
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: false, reason, message: message.into(), about: None }
    }

    /// A Warning event.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: true, reason, message: message.into(), about: None }
    }

    /// The same about another object than the reconciled one.
    pub fn about(mut self, kind: &'static Kind, meta: &Meta) -> Self {
        self.about = Some(About { kind, key: meta.key.clone(), uid: meta.uid.clone() });
        self
    }
}

/// A number that a controller knows of an object. Sums over all objects are exported, for no label carries a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Name of the gauge.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Its one label.
    pub label: &'static str,
    /// Value of the label.
    pub value: &'static str,
    /// The number.
    pub amount: f64,
}

/// How long something took that has just ended. Goes into a histogram over all objects.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name of the histogram.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Its one label.
    pub label: &'static str,
    /// Value of the label.
    pub value: &'static str,
    /// How long it took.
    pub seconds: f64,
}

/// What became of one action.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All its writes were done.
    Done,
    /// A write failed; those after it were not sent.
    Failed(WriteError),
    /// An earlier failure ended the plan before it.
    NotAttempted,
}

/// What really happened: the only thing status may count work from. Made by whoever executes plans.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied<A> {
    /// Every action of the plan with its outcome, in plan order.
    pub outcomes: Vec<(A, Outcome)>,
}

impl<A> Default for Applied<A> {
    fn default() -> Self {
        Self { outcomes: Vec::new() }
    }
}

impl<A> Applied<A> {
    /// Actions that were done.
    pub fn done(&self) -> impl Iterator<Item = &A> {
        self.outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Done).map(|(a, _)| a)
    }

    /// Whether actions are left that the turn did not come to.
    pub fn not_attempted(&self) -> bool {
        self.outcomes.iter().any(|(_, outcome)| *outcome == Outcome::NotAttempted)
    }

    /// Actions that failed, with the error.
    pub fn failed(&self) -> impl Iterator<Item = (&A, &WriteError)> {
        self.outcomes.iter().filter_map(|(action, outcome)| match outcome {
            Outcome::Failed(error) => Some((action, error)),
            Outcome::Done | Outcome::NotAttempted => None,
        })
    }
}
