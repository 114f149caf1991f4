//! The working state of one plan: what the stages share, and the questions they all ask of a pod.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use kruise_api::keys;
use kruise_common::plan::{self, Plan};
use kruise_common::pod::{Availability, Pod};

use kruise_inplace::progress::Missing;

use super::action::{Action, Why};
use super::hold::Hold;
use crate::revision::{Revisions, Template};
use crate::snapshot::{DELETION, Policy, Rolling, Settings, Snapshot};

/// Whether later stages may still act in this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// They may.
    Continue,
    /// Only the update of this ordinal may go on.
    Only(i32),
    /// This turn is over.
    Stop,
}

/// What the stages share.
pub struct Turn<'a> {
    /// The facts.
    pub snapshot: &'a Snapshot,
    /// What the spec means.
    pub settings: &'a Settings,
    /// The two revisions.
    pub revisions: &'a Revisions,
    /// The time.
    pub now: Timestamp,
    /// What was decided so far.
    pub plan: Plan<Action, Hold>,
    /// Ordinals that something is already done to in this turn: nothing else happens to them.
    pub touched: BTreeSet<i32>,
    /// Those of them whose update may be replaced by another one.
    pub replaceable: BTreeSet<i32>,
    /// Ordinals whose claims have to learn something before their pod may go, in this turn: it would take them along.
    pub bound: BTreeSet<i32>,
    /// Ordinals whose pod was already said to wait, with the reason.
    pub explained: BTreeSet<i32>,
    /// Ordinals whose pod would be deleted or updated now, had that not been refused a moment ago, or could a component
    /// tell yet how: they serve on, and in an ordered update nobody overtakes.
    pub resting: BTreeSet<i32>,
    /// Ordinals whose pod this turn cannot move to the update revision, whatever the others do.
    pub passed: BTreeSet<i32>,
    /// Ordinals whose pod may go only because it was seen not to serve.
    pub only_down: BTreeSet<i32>,
    /// Missing ordinals that get the current revision in this turn.
    pub created_old: BTreeSet<i32>,
    /// The one ordinal that may be updated, if the walk ended there.
    pub only: Option<i32>,
}

impl<'a> Turn<'a> {
    /// Records why something waits; a spent budget is said once, not for every pod it stops.
    pub fn hold(&mut self, hold: Hold) {
        if self.plan.holds.last() != Some(&hold) {
            self.plan.holds.push(hold);
        }
    }

    /// Records why a pod waits, unless an earlier stage said so already.
    pub fn explain(&mut self, ordinal: i32, hold: Hold) {
        if self.explained.insert(ordinal) {
            self.hold(hold);
        }
    }

    /// Replicas that exist: in range and not ended up elsewhere, ascending.
    pub fn replicas(&self) -> impl DoubleEndedIterator<Item = (i32, &'a Arc<Pod>)> {
        let snapshot = self.snapshot;
        let ordinals = &self.settings.ordinals;
        snapshot.pods.iter().filter(|(at, _)| ordinals.contains(**at)).map(|(at, pod)| (*at, pod))
    }

    /// Claimed pods whose ordinal is not wanted, the highest first.
    pub fn condemned(&self) -> Vec<(i32, &'a Arc<Pod>)> {
        let ordinals = &self.settings.ordinals;
        let pods = self.snapshot.pods.iter().rev();
        pods.filter(|(at, _)| !ordinals.contains(**at)).map(|(at, pod)| (*at, pod)).collect()
    }

    /// Whether the pod carries the update revision (P-8).
    pub fn updated(&self, pod: &Pod) -> bool {
        pod.revision() == Some(&*self.revisions.update.name)
    }

    /// Lifecycle-normal and ready long enough (P-7).
    pub fn availability(&self, pod: &Pod) -> Availability {
        if !lifecycle_normal(pod) {
            return Availability::NotReady;
        }
        pod.availability(self.settings.min_ready_seconds, self.now)
    }

    /// Why the pod does not count as available, or `None` if it does.
    pub fn unavailable(&self, ordinal: i32, pod: &Pod) -> Option<Hold> {
        let name = || pod.name().to_owned();
        if pod.terminating() {
            return Some(Hold::PodTerminating { pod: name() });
        }
        if let Some(missing) = self.snapshot.unfinished().get(&ordinal) {
            return Some(Hold::InPlaceInProgress { pod: name(), missing: missing.to_string() });
        }
        // Somebody is about to change it: until that shows, it counts as gone.
        let touched = || Hold::NotAvailableYet { pod: name(), until: None };
        self.seen_unavailable(pod).or_else(|| self.touched.contains(&ordinal).then(touched))
    }

    /// Like [`Turn::unavailable`], but only by what is seen: readiness, lifecycle, time.
    pub fn seen_unavailable(&self, pod: &Pod) -> Option<Hold> {
        let pod_name = || pod.name().to_owned();
        match self.availability(pod) {
            Availability::Available => None,
            Availability::At(until) => {
                Some(Hold::NotAvailableYet { pod: pod_name(), until: Some(until) })
            }
            Availability::NotReady => Some(Hold::NotAvailableYet { pod: pod_name(), until: None }),
        }
    }

    /// Whether the pod serves, and this turn leaves it alone or can yet do so: what does not restart it, a change of its
    /// resources for instance, may be unfinished.
    pub fn serves(&self, ordinal: i32, pod: &Pod) -> bool {
        let acts = self.touched.contains(&ordinal) && !self.replaceable.contains(&ordinal);
        !pod.terminating() && !acts && self.seen_unavailable(pod).is_none()
    }

    /// Whether what the pod lacks of its last update restarts nothing, and is not wanted any more: another update replaces it.
    /// It takes up no budget, so that the way back is open in an ordered update too.
    pub fn superseded(&self, ordinal: i32, pod: &Pod) -> bool {
        let missing = self.snapshot.unfinished().get(&ordinal);
        // Whoever may be restarted for it leaves traffic first, and did not serve; without the gate it serves until then.
        let gated = pod.gated_by(keys::INPLACE_UPDATE_READY);
        let stays =
            |name: &str| pod.container(name).is_none_or(|(_, it)| it.restarts_for.is_empty());
        let harmless = match missing {
            Some(Missing::Resize { container, .. }) => gated || stays(container),
            Some(Missing::Env { .. }) => gated,
            Some(Missing::Unsent { .. } | Missing::Infeasible { .. } | Missing::Corrupt { .. }) => {
                true
            }
            _ => false,
        };
        harmless && !self.updated(pod) && !self.touched.contains(&ordinal)
    }

    /// That moving the pod to the update revision where it is was refused a moment ago. That says nothing of a new pod.
    pub fn refused(&self, ordinal: i32, pod: &Pod) -> Option<Hold> {
        if self.rolling().is_some_and(|rolling| rolling.policy == Policy::Recreate) {
            return None;
        }
        let until = self.snapshot.rests(ordinal, &self.revisions.update.name, self.now)?;
        (!self.updated(pod)).then(|| Hold::UpdateRefused { pod: pod.name().to_owned(), until })
    }

    /// What was planned to go on with the update of the pod is not done: another one takes its place.
    pub fn replace(&mut self, ordinal: i32) {
        if !self.replaceable.remove(&ordinal) {
            return;
        }
        let other = |action: &Action| action.moves().is_none_or(|(at, _)| at != ordinal);
        self.plan.steps.retain_mut(|step| {
            step.retain(other);
            !step.actions().is_empty()
        });
    }

    /// Whether the update phase may look at this ordinal.
    pub fn reaches(&self, ordinal: i32) -> bool {
        self.only.is_none_or(|only| only == ordinal)
    }

    /// The rolling update settings, unless pods are only updated on deletion.
    pub fn rolling(&self) -> Option<&'a Rolling> {
        self.settings.rolling()
    }

    /// Deletes a pod unless a `preDelete` hook holds it (M-30); says so in the plan.
    /// Returns the action, if there is something to do now.
    pub fn delete(&mut self, ordinal: i32, pod: &Pod, why: Why) -> Option<Action> {
        use kruise_inplace::lifecycle::{DeleteGate, before_delete};
        self.touched.insert(ordinal);
        if self.bound.contains(&ordinal) {
            return None;
        }
        match before_delete(pod, self.settings.lifecycle.as_ref(), self.now) {
            DeleteGate::Delete => {
                let Some(until) = self.snapshot.rests(ordinal, DELETION, self.now) else {
                    // A hook that was set a moment ago must be seen, and so must a pod that serves again.
                    let lifecycle = self.settings.lifecycle.as_ref();
                    let hooked = lifecycle.is_some_and(|lifecycle| lifecycle.pre_delete.is_some());
                    let as_seen = hooked || self.only_down.contains(&ordinal);
                    return Some(Action::DeletePod { ordinal, why, as_seen });
                };
                self.resting.insert(ordinal);
                self.hold(Hold::DeletionRefused { pod: pod.name().to_owned(), until });
                None
            }
            DeleteGate::Mark(writes) => {
                Some(Action::Announce { ordinal, state: "PreparingDelete", writes })
            }
            DeleteGate::Wait(pending) => {
                let pod = pod.name().to_owned();
                self.hold(Hold::HookPending { pod, hook: pending.to_string() });
                None
            }
        }
    }

    /// The revision that the pod of a missing ordinal gets (7.5), remembered for the others that are missing.
    pub fn take_revision(&mut self, ordinal: i32) -> &'a Template {
        let (current, update) = (&self.revisions.current, &self.revisions.update);
        let Some(rolling) = self.rolling() else { return update };
        let old = if rolling.unordered.is_some() {
            let others = self.replicas().filter(|(at, _)| *at != ordinal);
            let others = others.filter(|(_, pod)| !self.counts_as_updated(pod)).count();
            others + self.created_old.len()
        } else {
            self.settings.ordinals.rank(ordinal)
        };
        if old >= rolling.partition {
            return update;
        }
        self.created_old.insert(ordinal);
        current
    }

    /// When the next pod will have been ready for long enough: no event tells that, and the status counts it.
    pub fn watch_the_clock(&mut self) {
        let pods = self.snapshot.pods.values();
        let times = pods.filter_map(|pod| match self.availability(pod) {
            Availability::At(until) => Some((until, pod)),
            Availability::Available | Availability::NotReady => None,
        });
        let Some((until, pod)) = times.min_by_key(|(until, _)| *until) else { return };
        let covered = self.plan.holds.iter().filter_map(plan::Hold::until).any(|at| at <= until);
        if !covered {
            let pod = pod.name().to_owned();
            self.hold(Hold::NotAvailableYet { pod, until: Some(until) });
        }
    }

    /// Whether an unordered update counts the pod as updated (P-9, R-26). The short hash is compared, as pods of
    /// other kruise workloads carry it alone.
    pub fn counts_as_updated(&self, pod: &Pod) -> bool {
        let short = |name: &str| name.rsplit('-').next().map(str::to_owned);
        let update = short(&self.revisions.update.name);
        let preparing = self.snapshot.gates.preparing_update_as_update
            && pod.meta.labels.get(keys::LIFECYCLE_STATE) == Some("PreparingUpdate");
        preparing || pod.revision().is_some_and(|name| short(name) == update)
    }
}

/// State label absent, empty or `Normal` (P-5).
pub fn lifecycle_normal(pod: &Pod) -> bool {
    matches!(pod.meta.labels.get(keys::LIFECYCLE_STATE), None | Some("" | "Normal"))
}
