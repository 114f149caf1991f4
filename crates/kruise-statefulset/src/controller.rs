//! Implements the crank's trait: delegation, and the memory of pods that refuse to be updated.

use jiff::Timestamp;
use kruise_common::gates::FeatureGates;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{Kind, STATEFUL_SET};
use kruise_common::plan::{Applied, Measure, Note, Outcome, Plan, Sample};
use kruise_common::reconciler::Reconciler;
use kruise_common::refusal::Refusals;
use kruise_common::write::{Category, Write};

use crate::observe::Caches;
use crate::plan::action::Action;
use crate::plan::hold::Hold;
use crate::snapshot::{DELETION, GROWTH, IDENTITY, Move, OWNER, Snapshot, UPKEEP};

/// The Advanced StatefulSet controller.
#[derive(Debug)]
pub struct StatefulSetController {
    /// Where sets, pods, claims and revisions are looked up.
    pub caches: Caches,
    /// Feature gates.
    pub gates: FeatureGates,
    /// Pods whose updates or deletions were refused.
    pub refusals: Refusals<Move>,
}

impl StatefulSetController {
    /// A controller over these caches.
    pub fn new(caches: Caches, gates: FeatureGates) -> Self {
        Self { caches, gates, refusals: Refusals::new(Category::concerns_user) }
    }
}

impl Reconciler for StatefulSetController {
    const NAME: &'static str = "statefulset-controller";
    const KIND: &'static Kind = &STATEFUL_SET;
    type Snapshot = Snapshot;
    type Action = Action;
    type Hold = Hold;

    fn observe(&self, key: &ObjectKey) -> Option<Snapshot> {
        let snapshot = crate::observe::observe(&self.caches, self.gates, key);
        match &snapshot {
            // The others are named by their revision: another template is another move, and an autoscaler that changes the
            // number of replicas must not let pods leave traffic for what was refused a moment ago.
            Some(snapshot) => {
                let generation = snapshot.set.meta.generation;
                let renewed = [DELETION, GROWTH, IDENTITY, UPKEEP, OWNER];
                let renews = |(_, of): &Move| renewed.contains(&&**of);
                self.refusals.renew_only(key, generation, renews);
            }
            None => self.refusals.forget(key),
        }
        snapshot.map(|snapshot| Snapshot { refused: self.refusals.of(key), ..snapshot })
    }

    fn uid(snapshot: &Snapshot) -> &str {
        &snapshot.set.meta.uid
    }

    fn generation(snapshot: &Snapshot) -> i64 {
        snapshot.set.meta.generation
    }

    fn plan(snapshot: &Snapshot, now: Timestamp) -> Plan<Action, Hold> {
        crate::plan::plan(snapshot, now)
    }

    fn apply(snapshot: &Snapshot, action: &Action, now: Timestamp) -> Vec<Write> {
        crate::apply::apply(snapshot, action, now)
    }

    fn event(snapshot: &Snapshot, action: &Action, outcome: &Outcome) -> Vec<Note> {
        crate::events::events(snapshot, action, outcome)
    }

    fn attempted(&self, key: &ObjectKey, applied: &Applied<Action>, now: Timestamp) {
        let outcomes = applied.outcomes.iter();
        let outcomes = outcomes.filter_map(|(action, outcome)| Some((action.asks()?, outcome)));
        self.refusals.hear(key, outcomes, now);
    }

    fn measures(snapshot: &Snapshot, now: Timestamp) -> Vec<Measure> {
        crate::gauges::measures(snapshot, now)
    }

    fn samples(_snapshot: &Snapshot, action: &Action, now: Timestamp) -> Vec<Sample> {
        crate::gauges::samples(action, now)
    }

    fn status(
        snapshot: &Snapshot,
        plan: &Plan<Action, Hold>,
        applied: &Applied<Action>,
        now: Timestamp,
    ) -> Option<Write> {
        crate::status::status(snapshot, plan, applied, now)
    }

    fn urgent(snapshot: &Snapshot, status: &Write) -> bool {
        crate::status::urgent(snapshot, status)
    }
}
