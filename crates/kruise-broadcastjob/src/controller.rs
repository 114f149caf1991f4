//! Implements the crank's trait: delegation, and the memory of nodes whose pods are refused.

use jiff::Timestamp;
use kruise_api::keys;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{BROADCAST_JOB, Kind};
use kruise_common::plan::{Applied, Measure, Note, Outcome, Plan, Sample};
use kruise_common::reconciler::Reconciler;
use kruise_common::refusal::Refusals;
use kruise_common::write::{Category, Write};

use crate::mark::Mark;
use crate::observe::Caches;
use crate::plan::action::Action;
use crate::plan::hold::Hold;
use crate::snapshot::Snapshot;

/// The BroadcastJob controller.
#[derive(Debug)]
pub struct BroadcastJobController {
    /// Where jobs, pods and nodes are looked up.
    pub caches: Caches,
    /// Whether the scheduler binds pods to their nodes.
    pub by_scheduler: bool,
    /// Nodes whose pods were refused when they were to be created, by job.
    refusals: Refusals<Mark>,
}

impl BroadcastJobController {
    /// A controller over these caches.
    pub fn new(caches: Caches, by_scheduler: bool) -> Self {
        // A webhook that breaks at one node's pod is as good as one that refuses it.
        Self { caches, by_scheduler, refusals: Refusals::new(Category::is_news) }
    }
}

impl Reconciler for BroadcastJobController {
    const NAME: &'static str = keys::BROADCASTJOB_COMPONENT;
    const KIND: &'static Kind = &BROADCAST_JOB;
    type Snapshot = Snapshot;
    type Action = Action;
    type Hold = Hold;

    fn observe(&self, key: &ObjectKey) -> Option<Snapshot> {
        match self.caches.jobs.get(key).filter(|job| !job.finished()) {
            Some(job) => self.refusals.renew(key, job.meta.generation),
            None => self.refusals.forget(key),
        }
        crate::observe::observe(&self.caches, self.by_scheduler, self.refusals.of(key), key)
    }

    fn uid(snapshot: &Snapshot) -> &str {
        &snapshot.job.meta.uid
    }

    fn generation(snapshot: &Snapshot) -> i64 {
        snapshot.job.meta.generation
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
        let creations = applied.outcomes.iter().filter_map(|(action, outcome)| match action {
            Action::CreatePod { mark, .. } => Some((*mark, outcome)),
            _ => None,
        });
        self.refusals.hear(key, creations, now);
    }

    fn measures(snapshot: &Snapshot, _now: Timestamp) -> Vec<Measure> {
        crate::gauges::measures(snapshot)
    }

    fn samples(snapshot: &Snapshot, action: &Action, now: Timestamp) -> Vec<Sample> {
        crate::gauges::samples(snapshot, action, now)
    }

    fn status(
        snapshot: &Snapshot,
        plan: &Plan<Action, Hold>,
        applied: &Applied<Action>,
        now: Timestamp,
    ) -> Option<Write> {
        crate::status::status(snapshot, plan, applied, now)
    }
}
