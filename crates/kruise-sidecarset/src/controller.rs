//! Implements the crank's trait: delegation, and what is remembered between turns.

use jiff::Timestamp;
use kruise_api::keys;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{Kind, SIDECAR_SET};
use kruise_common::plan::{Applied, Measure, Note, Outcome, Plan};
use kruise_common::reconciler::Reconciler;
use kruise_common::refusal::Refusals;
use kruise_common::write::{Category, Write};

use crate::evicted::Evicted;
use crate::observe::Caches;
use crate::plan::action::Action;
use crate::plan::hold::Hold;
use crate::snapshot::{Options, Snapshot};

/// The SidecarSet controller.
#[derive(Debug)]
pub struct SidecarSetController {
    /// Where sets, pods, namespaces and revisions are looked up.
    pub caches: Caches,
    /// What flags say.
    pub options: Options,
    /// Pods whose writes were refused, by set.
    pub refusals: Refusals<ObjectKey>,
}

impl SidecarSetController {
    /// A controller over these caches.
    pub fn new(caches: Caches, options: Options) -> Self {
        Self { caches, options, refusals: Refusals::new(Category::concerns_user) }
    }
}

impl Reconciler for SidecarSetController {
    const NAME: &'static str = keys::SIDECARSET_COMPONENT;
    const KIND: &'static Kind = &SIDECAR_SET;
    type Snapshot = Snapshot;
    type Action = Action;
    type Hold = Hold;

    fn observe(&self, key: &ObjectKey) -> Option<Snapshot> {
        if let Some(set) = self.caches.sets.get(key) {
            self.refusals.renew(key, set.meta.generation);
        }
        let resting = self.refusals.of(key).into_iter();
        let resting = resting.map(|(pod, refusal)| (pod, refusal.until)).collect();
        let snapshot = crate::observe::observe(&self.caches, self.options, resting, key);
        if snapshot.is_none() {
            self.refusals.forget(key);
        }
        snapshot
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
        let of_pods =
            outcomes.filter_map(|(action, outcome)| Some((action.pod()?.clone(), outcome)));
        self.refusals.hear(key, of_pods, now);
        let evicted = applied.outcomes.iter().filter_map(|(action, outcome)| {
            let Action::Evict { pod, uid, of, .. } = action else { return None };
            // What may have happened is looked up before the next turn.
            let gone = match outcome {
                Outcome::Done => true,
                Outcome::Failed(error) => {
                    matches!(error.category, Category::Unknown | Category::Server)
                }
                Outcome::NotAttempted => false,
            };
            gone.then(|| (Evicted { pod: pod.clone(), uid: uid.clone() }, &**of))
        });
        self.caches.evictions.hear(key, evicted, now);
    }

    fn measures(snapshot: &Snapshot, _now: Timestamp) -> Vec<Measure> {
        crate::gauges::measures(snapshot)
    }

    fn status(
        snapshot: &Snapshot,
        plan: &Plan<Action, Hold>,
        applied: &Applied<Action>,
        now: Timestamp,
    ) -> Option<Write> {
        crate::status::status(snapshot, plan, applied, now)
    }

    fn urgent(snapshot: &Snapshot, _status: &Write) -> bool {
        crate::status::urgent(snapshot)
    }
}
