//! What a controller is: four stages. The crank (`runtime/run.rs`) and the simulated cluster
//! (`testing/drive.rs`) turn them; a controller implements nothing else of the plumbing.
//!
//! # Flow
//! `observe` reads caches → `plan` decides → `apply` says which calls a decision means → the crank
//! sends them → `status` reports what is and what was done.
//!
//! # Guarantees asked of an implementation
//! `plan`, `apply`, `event` and `status` have no `self`: everything they know is in their arguments,
//! so the same snapshot and time give the same result. A plan never depends on the reply to its own writes.

use std::fmt::{Debug, Display};

use jiff::Timestamp;

use crate::key::ObjectKey;
use crate::kind::Kind;
use crate::plan::{Applied, Hold, Measure, Note, Outcome, Plan, Sample};
use crate::write::Write;

/// A controller of one kind.
pub trait Reconciler: Send + Sync + 'static {
    /// Controller name: log field, metric label and event source.
    const NAME: &'static str;
    /// The kind it reconciles.
    const KIND: &'static Kind;
    /// Everything a decision may depend on.
    type Snapshot: Send + Sync;
    /// One thing to do; its `Display` is the line in logs and transcripts.
    type Action: Display + Debug + Clone + PartialEq + Send + Sync;
    /// Why something is not done.
    type Hold: Hold;

    /// What the caches say of the object; `None` if it is gone.
    fn observe(&self, key: &ObjectKey) -> Option<Self::Snapshot>;

    /// UID of the observed object, for events.
    fn uid(snapshot: &Self::Snapshot) -> &str;

    /// `metadata.generation` of the observed object: its specification changed if this did.
    fn generation(snapshot: &Self::Snapshot) -> i64;

    /// Decides.
    fn plan(snapshot: &Self::Snapshot, now: Timestamp) -> Plan<Self::Action, Self::Hold>;

    /// The calls that an action means, in order; the first failure ends the action.
    fn apply(snapshot: &Self::Snapshot, action: &Self::Action, now: Timestamp) -> Vec<Write>;

    /// The Kubernetes Events about an action that was attempted.
    fn event(snapshot: &Self::Snapshot, action: &Self::Action, outcome: &Outcome) -> Vec<Note>;

    /// Hears what became of the actions of a turn. What is remembered of it must be bounded, and nothing may depend on
    /// it but pace: a new process knows nothing.
    fn attempted(&self, _key: &ObjectKey, _applied: &Applied<Self::Action>, _now: Timestamp) {}

    /// Numbers of the object that are worth a gauge.
    fn measures(_snapshot: &Self::Snapshot, _now: Timestamp) -> Vec<Measure> {
        Vec::new()
    }

    /// What ended with an action that was done, and how long it took.
    fn samples(_snapshot: &Self::Snapshot, _action: &Self::Action, _now: Timestamp) -> Vec<Sample> {
        Vec::new()
    }

    /// The status write, or `None` if the stored status is right.
    fn status(
        snapshot: &Self::Snapshot,
        plan: &Plan<Self::Action, Self::Hold>,
        applied: &Applied<Self::Action>,
        now: Timestamp,
    ) -> Option<Write>;

    /// Whether the status write says what nothing else remembers, so that it does not wait for its time: whatever the next
    /// turn sees, it would be lost.
    fn urgent(_snapshot: &Self::Snapshot, _status: &Write) -> bool {
        false
    }
}
