//! Replicas, walked upward: replace what ended, create what is missing, repair what does not match (10.2).

use std::sync::Arc;

use jiff::SignedDuration;
use kruise_api::keys;
use kruise_common::moment::Moment;
use kruise_common::pod::{Phase, Pod};
use kruise_inplace::lifecycle::held;

use super::action::{Action, Why};
use super::claims;
use super::hold::Hold;
use super::ownership::name_taken;
use super::recover;
use super::turn::{Flow, Turn};
use super::update::call_off;
use crate::pod::identity_matches;
use crate::snapshot::{IDENTITY, creation};

/// Most creations that are decided in one turn: the next one sees what became of them.
const AT_ONCE: usize = 1000;

/// What one step means for the walk.
enum Step {
    /// Go on.
    Next,
    /// Ordered mode ends the turn here; unordered mode goes on.
    Wait,
    /// The pod is (made) unavailable: it uses up the scale budget.
    Charge,
}

/// Plans the walk. In ordered mode nothing happens beyond the first replica that is not available (M-20);
/// otherwise everything is decided at once, within the scale budget (M-17, M-22).
pub fn scale(turn: &mut Turn<'_>) -> Flow {
    let mut actions = Vec::new();
    let mut flow = Flow::Continue;
    let mut charged = 0;
    let (settings, snapshot) = (turn.settings, turn.snapshot);
    for ordinal in settings.ordinals.iter() {
        let spent = settings.scale_budget.is_some_and(|budget| charged >= budget);
        let step = match snapshot.pods.get(&ordinal) {
            None if spent => {
                let allowed = settings.scale_budget.unwrap_or_default();
                turn.hold(Hold::ScaleBudgetSpent { allowed });
                Step::Next
            }
            // Those that are there are looked at all the same.
            None if actions.len() >= AT_ONCE => Step::Next,
            None => missing(turn, ordinal, &mut actions),
            // Neither waits for the budget: it cannot become available by itself (W-5), or must not stay as it is.
            Some(pod) if pod.ended() => ended(turn, ordinal, pod, &mut actions),
            Some(pod) => existing(turn, ordinal, pod, &mut actions),
        };
        match step {
            Step::Wait | Step::Charge if settings.ordered => {
                if flow == Flow::Continue {
                    flow = stopped_at(turn, ordinal);
                }
                if !passes_hooks(turn) || !at_hook(turn, ordinal) {
                    break;
                }
            }
            Step::Next | Step::Wait => {}
            Step::Charge => charged += 1,
        }
    }
    if turn.settings.ordered {
        turn.plan.in_order(actions);
    } else {
        // A quota that refuses new pods must not keep an update away that asks for less.
        turn.plan.tries(actions);
    }
    flow
}

/// Where an ordered walk ends nothing happens beyond. But a pod that waits at its own hook to be updated or re-created
/// would wait for ever if the update did not look at it again (W-3).
fn stopped_at(turn: &mut Turn<'_>, ordinal: i32) -> Flow {
    if at_hook(turn, ordinal) {
        // It is updated only while all above it are available (AC-2): the hook may have let go of it since.
        match above(turn, ordinal) {
            Above::Well => return announced(turn).map_or(Flow::Stop, Flow::Only),
            Above::Down(at, hold) => turn.explain(at, hold),
            Above::Missing(_) if passes_hooks(turn) => {}
            // That one comes back only when all below it serve, which may take as long as the owner of a hook likes.
            Above::Missing(at) => {
                let below = announcements(turn).filter(|(ordinal, _)| *ordinal < at);
                let below: Vec<i32> = below.map(|(ordinal, _)| ordinal).collect();
                call_off(turn, &below);
            }
        }
    }
    recover::explain(turn, ordinal);
    Flow::Stop
}

/// Who lets several pods be down at once need not wait for a hook until a missing one is made (K-1).
fn passes_hooks(turn: &Turn<'_>) -> bool {
    turn.rolling().is_some_and(|rolling| rolling.max_unavailable > 1)
}

/// Whether a replica is there and was told that it is about to be deleted or updated.
fn at_hook(turn: &Turn<'_>, ordinal: i32) -> bool {
    turn.snapshot.pods.get(&ordinal).is_some_and(|pod| is_announced(pod))
}

/// Whether a pod was told so, and does not go for another reason.
pub fn is_announced(pod: &Pod) -> bool {
    let state = pod.meta.labels.get(keys::LIFECYCLE_STATE);
    let told = matches!(state, Some("PreparingDelete" | "PreparingUpdate"));
    told && !pod.terminating() && !pod.ended()
}

/// Replicas that were told so.
fn announcements<'a>(turn: &Turn<'a>) -> impl DoubleEndedIterator<Item = (i32, &'a Arc<Pod>)> {
    turn.replicas().filter(|(_, pod)| is_announced(pod))
}

/// The one of them that comes next: whom its hook has let go of, the highest first.
pub fn announced(turn: &Turn<'_>) -> Option<i32> {
    let lifecycle = turn.settings.lifecycle.as_ref();
    let free = announcements(turn).rev().find(|(_, pod)| !held(pod, lifecycle));
    free.or_else(|| announcements(turn).next_back()).map(|(ordinal, _)| ordinal)
}

/// The replicas above one.
enum Above {
    /// All of them are available, or wait at a hook themselves: those have their turn afterwards.
    Well,
    /// This one is there and not available.
    Down(i32, Hold),
    /// This one has to be made.
    Missing(i32),
}

fn above(turn: &Turn<'_>, ordinal: i32) -> Above {
    for at in turn.settings.ordinals.iter().filter(|at| *at > ordinal) {
        let Some(pod) = turn.snapshot.pods.get(&at) else { return Above::Missing(at) };
        if pod.terminating() {
            let pod = pod.name().to_owned();
            return Above::Down(at, Hold::PodTerminating { pod });
        }
        if pod.ended() {
            return Above::Missing(at);
        }
        if let Some(hold) = turn.seen_unavailable(pod).filter(|_| !is_announced(pod)) {
            return Above::Down(at, hold);
        }
    }
    Above::Well
}

/// How long a pod that has ended right away stays before another one takes its place: what ends every one of them, a node
/// that refuses them for instance, must not be asked as fast as it answers.
const AT_LEAST: SignedDuration = SignedDuration::from_secs(10);

/// Always deleted, whatever the budget: it cannot become available by waiting (M-10, W-5).
fn ended(turn: &mut Turn<'_>, ordinal: i32, pod: &Pod, actions: &mut Vec<Action>) -> Step {
    if pod.terminating() {
        turn.hold(Hold::PodTerminating { pod: pod.name().to_owned() });
        return Step::Charge;
    }
    let created = pod.meta.created.map(Moment::timestamp);
    let until = created.and_then(|created| created.checked_add(AT_LEAST).ok());
    if let Some(until) = until.filter(|until| *until > turn.now) {
        turn.touched.insert(ordinal);
        turn.hold(Hold::NotAvailableYet { pod: pod.name().to_owned(), until: Some(until) });
    } else {
        actions.extend(turn.delete(ordinal, pod, Why::Ended));
    }
    Step::Charge
}

fn missing(turn: &mut Turn<'_>, ordinal: i32, actions: &mut Vec<Action>) -> Step {
    let name = turn.snapshot.pod_name(ordinal);
    if let Some(pod) = turn.snapshot.taken.get(&ordinal) {
        turn.hold(Hold::NameTaken { pod: pod.name().to_owned() });
        turn.plan.notes.push(name_taken(turn.snapshot.set.name(), &name));
        return Step::Wait;
    }
    // One of its own that cannot be adopted or let go of; that was said.
    let unsettled = turn.snapshot.orphans.iter().chain(&turn.snapshot.strangers);
    if unsettled.into_iter().any(|pod| pod.name() == name) {
        return Step::Wait;
    }
    if let Some(hold) = claims::blocked(turn, ordinal) {
        turn.hold(hold);
        return Step::Wait;
    }
    let revision = turn.take_revision(ordinal).name.clone();
    if let Some(until) = turn.snapshot.rests(ordinal, &creation(&revision), turn.now) {
        turn.hold(Hold::CreationRefused { pod: name, until });
        return Step::Wait;
    }
    actions.push(Action::CreatePod { ordinal, revision });
    turn.touched.insert(ordinal);
    Step::Charge
}

fn existing(turn: &mut Turn<'_>, ordinal: i32, pod: &Pod, actions: &mut Vec<Action>) -> Step {
    if pod.phase == Phase::Pending && !pod.terminating() && claims::missing(turn, ordinal) {
        if let Some(hold) = claims::blocked(turn, ordinal) {
            turn.hold(hold);
        } else {
            actions.push(Action::CreateClaims { ordinal });
        }
    }
    if pod.terminating() {
        turn.hold(Hold::PodTerminating { pod: pod.name().to_owned() });
        return Step::Charge;
    }
    if turn.settings.ordered || turn.settings.scale_budget.is_some() {
        // What this turn itself does to the pod (its refresh) is not held against it here: only what is seen counts.
        if let Some(hold) = turn.seen_unavailable(pod) {
            turn.explain(ordinal, hold);
            return Step::Charge;
        }
    }
    if !turn.touched.contains(&ordinal) && !identity_matches(pod) {
        if let Some(until) = turn.snapshot.rests(ordinal, IDENTITY, turn.now) {
            turn.explain(ordinal, Hold::UpdateRefused { pod: pod.name().to_owned(), until });
        } else {
            turn.touched.insert(ordinal);
            actions.push(Action::RepairIdentity { ordinal });
        }
    }
    Step::Next
}
