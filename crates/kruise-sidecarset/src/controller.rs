//! Implements the crank's trait: delegation, and the memory of pods that refuse to be written to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kruise_api::keys;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{Kind, SIDECAR_SET};
use kruise_common::plan::{Applied, Measure, Note, Outcome, Plan};
use kruise_common::reconciler::Reconciler;
use kruise_common::write::Write;

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
    pub refusals: Mutex<HashMap<ObjectKey, Refusals>>,
}

/// Pods of one set whose last write was refused.
pub type Refusals = BTreeMap<ObjectKey, Refusal>;

/// A write that an admission webhook, a disruption budget or the API server itself refused.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// How often in a row.
    times: u32,
    /// When it may be tried again.
    until: Timestamp,
}

/// Delay after the first refusal; it doubles with each further one.
const FIRST: SignedDuration = SignedDuration::from_secs(1);
/// Longest delay, and how long a refusal is remembered after it ended.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

impl SidecarSetController {
    /// A controller over these caches.
    pub fn new(caches: Caches, options: Options) -> Self {
        Self { caches, options, refusals: Mutex::default() }
    }
}

impl Refusal {
    fn after(before: Option<&Self>, now: Timestamp) -> Self {
        let times = before.map_or(0, |before| before.times).saturating_add(1);
        let delay = FIRST * (1_i32 << (times - 1).min(9));
        let until = now.checked_add(delay.min(LONGEST)).unwrap_or(now);
        Self { times, until }
    }
}

impl Reconciler for SidecarSetController {
    const NAME: &'static str = keys::SIDECARSET_COMPONENT;
    const KIND: &'static Kind = &SIDECAR_SET;
    type Snapshot = Snapshot;
    type Action = Action;
    type Hold = Hold;

    fn observe(&self, key: &ObjectKey) -> Option<Snapshot> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let resting = refusals.get(key).into_iter().flatten();
        let resting = resting.map(|(pod, refusal)| (pod.clone(), refusal.until)).collect();
        let snapshot = crate::observe::observe(&self.caches, self.options, resting, key);
        if snapshot.is_none() {
            refusals.remove(key);
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
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let known = refusals.get(key);
        let fails = |outcome: &Outcome| matches!(outcome, Outcome::Failed(error) if error.category.concerns_user());
        if known.is_none() && !applied.outcomes.iter().any(|(_, outcome)| fails(outcome)) {
            return;
        }
        let pods = refusals.entry(key.clone()).or_default();
        for (action, outcome) in &applied.outcomes {
            let Some(pod) = action.pod() else { continue };
            if fails(outcome) {
                pods.insert(pod.clone(), Refusal::after(pods.get(pod), now));
            } else if *outcome == Outcome::Done {
                pods.remove(pod);
            }
        }
        pods.retain(|_, refusal| now.duration_since(refusal.until) < LONGEST);
        if pods.is_empty() {
            refusals.remove(key);
        }
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
}
