//! The working state of one plan: what the stages share.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use kruise_common::key::ObjectKey;
use kruise_common::plan::{Hold as _, Plan};
use kruise_common::pod::Pod;

use super::action::Action;
use super::hold::{Hold, Pods};
use crate::member::Member;
use crate::snapshot::Snapshot;

/// What the stages share.
pub struct Turn<'a> {
    /// The facts.
    pub snapshot: &'a Snapshot,
    /// The time.
    pub now: Timestamp,
    /// What was decided so far.
    pub plan: Plan<Action, Hold>,
    /// Pods whose spec is already written to in this turn.
    pub touched: BTreeSet<ObjectKey>,
    /// Workloads of which pods are evicted in this turn.
    pub evicted_of: BTreeSet<Arc<str>>,
}

impl<'a> Turn<'a> {
    /// Nothing decided yet.
    pub fn new(snapshot: &'a Snapshot, now: Timestamp) -> Self {
        Self {
            snapshot,
            now,
            plan: Plan::default(),
            touched: BTreeSet::new(),
            evicted_of: BTreeSet::new(),
        }
    }

    /// Records why something waits.
    pub fn hold(&mut self, hold: Hold) {
        self.plan.holds.push(hold);
    }

    /// Records why a pod waits; pods that wait for the same are counted in one hold.
    pub fn hold_pod(&mut self, pod: &Pod, hold: impl FnOnce(Pods) -> Hold) {
        let mut hold = hold(Pods { first: String::new(), count: 1 });
        let known = self.plan.holds.iter_mut().find(|known| known.reason() == hold.reason());
        let Some(known) = known else {
            // Only the first one is named: thousands may wait for the same.
            if let Some(pods) = hold.pods() {
                pods.first = pod.meta.key.to_string();
            }
            return self.plan.holds.push(hold);
        };
        if let (Hold::Refused { until, .. }, Hold::Refused { until: other, .. })
        | (Hold::Settling { until, .. }, Hold::Settling { until: other, .. })
        | (Hold::EvictionUnproven { until, .. }, Hold::EvictionUnproven { until: other, .. }) =
            (&mut *known, &hold)
        {
            *until = (*until).min(*other);
        }
        if let Some(pods) = known.pods() {
            pods.count += 1;
        }
    }

    /// Whether a write to the pod may be tried: not if its last one was refused a moment ago, so that others go first and
    /// one pod that an admission webhook guards does not hold up all (W-11).
    pub fn may_try(&mut self, pod: &Pod) -> bool {
        let until = self.snapshot.resting.get(&pod.meta.key).copied();
        let Some(until) = until.filter(|until| *until > self.now) else { return true };
        self.hold_pod(pod, |pods| Hold::Refused { pods, until });
        false
    }

    /// Takes a pod for a write of this turn; at most once.
    pub fn may_touch(&mut self, member: &Member) -> bool {
        self.may_try(&member.pod) && self.touched.insert(member.pod.meta.key.clone())
    }
}
