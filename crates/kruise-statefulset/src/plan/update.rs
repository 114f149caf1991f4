//! Which pods move to the update revision now, in which order, in place or by re-creation (sections 11, 12).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;
use kruise_api::keys;
use kruise_api::raw::RawJson;
use kruise_common::plan::Note;
use kruise_common::pod::Pod;
use kruise_common::refusal::Refusal;
use kruise_inplace::begin::{asked, check};
use kruise_inplace::diff::{Change, DiffOptions, NotInPlace, diff};
use kruise_inplace::lifecycle::{Announced, UpdateGate, before_update, cancel};
use kruise_inplace::progress::Missing;

use super::action::{Action, Why};
use super::hold::Hold;
use super::order::targets;
use super::resize::{self, Next};
use super::specified_delete::{specified_delete, wants_replacement};
use super::turn::Turn;
use super::unavailable::Unavailable;
use crate::pod::storage_matches;
use crate::snapshot::{Policy, Rolling};

/// The result of comparing one old revision with the update revision; many pods share it.
type Compared = Result<Arc<Change>, String>;

/// Plans the update phase.
pub fn update(turn: &mut Turn<'_>) {
    let outdated = outdated(turn);
    let mut unavailable = Unavailable::of(turn);
    let Some(rolling) = turn.rolling() else {
        if outdated > 0 {
            turn.hold(Hold::OnDelete { outdated });
        }
        cancel_unwanted(turn, Wanted::Nobody);
        return;
    };
    let targets = targets(turn, rolling);
    let candidates: BTreeSet<i32> = targets.iter().copied().collect();
    if rolling.paused {
        if outdated > 0 {
            turn.hold(Hold::Paused { outdated });
        }
        cancel_unwanted(turn, Wanted::Later(&candidates));
        return;
    }
    let specified = specified_delete(turn, &mut unavailable);
    explain_partition(turn, &candidates);
    let actions = roll(turn, rolling, &mut unavailable, (targets, &specified));
    if turn.settings.ordered {
        turn.plan.in_order(actions);
    } else {
        turn.plan.tries(actions);
    }
    cancel_unwanted(turn, Wanted::These(&candidates));
}

/// Goes over the targets, within the budget; those that a user wants replaced are seen to already.
fn roll(
    turn: &mut Turn<'_>,
    rolling: &Rolling,
    unavailable: &mut Unavailable,
    (targets, specified): (Vec<i32>, &BTreeSet<i32>),
) -> Vec<Action> {
    let mut compared = BTreeMap::new();
    let mut actions = Vec::new();
    let ordered = turn.settings.ordered;
    for ordinal in targets {
        let Some(pod) = turn.snapshot.pods.get(&ordinal) else { continue };
        if !turn.reaches(ordinal) || current(turn, ordinal, pod) {
            continue;
        }
        let allowed = rolling.max_unavailable;
        // Who is unavailable already costs nothing; who is not waits, but never holds up those behind it (W-1).
        if unavailable.forbids(ordinal, allowed) {
            turn.hold(Hold::BudgetSpent { unavailable: unavailable.count(), allowed });
            // In an ordered update nobody overtakes (RU-11).
            if ordered {
                break;
            }
            continue;
        }
        let mut idle = true;
        if !specified.contains(&ordinal) && !busy(turn, ordinal, pod) {
            if unavailable.only_down(ordinal, allowed) {
                turn.only_down.insert(ordinal);
            }
            let target = (ordinal, pod);
            let action = advance(turn, rolling, unavailable, &mut compared, target);
            idle = action.is_none();
            actions.extend(action);
        }
        // Whose deletion is refused, or waits for its claims, serves on; that nobody overtakes holds for it too.
        let waits = turn.resting.contains(&ordinal) || (idle && turn.bound.contains(&ordinal));
        if ordered && waits {
            break;
        }
    }
    actions
}

/// What is done to a target now: to its claims first, then to the pod.
fn advance(
    turn: &mut Turn<'_>,
    rolling: &Rolling,
    unavailable: &mut Unavailable,
    compared: &mut BTreeMap<String, Compared>,
    (ordinal, pod): (i32, &Arc<Pod>),
) -> Option<Action> {
    let goes = is_recreated(turn, rolling, compared, (ordinal, pod));
    match resize::before_update(turn, rolling, goes, (ordinal, pod)) {
        Next::Pod => {}
        Next::Nothing => {
            turn.passed.insert(ordinal);
            return None;
        }
        Next::Claims(action) => {
            // That may take long, or for ever: who was announced to a hook serves until then.
            turn.passed.insert(ordinal);
            unavailable.hold(ordinal);
            return action;
        }
        Next::Restart(action) => {
            if !turn.resting.contains(&ordinal) {
                unavailable.take(ordinal);
            }
            return action;
        }
    }
    let action = move_pod(turn, rolling, compared, (ordinal, pod))?;
    unavailable.take(ordinal);
    turn.replace(ordinal);
    Some(action)
}

/// Whether the pod is deleted for its update whatever its claims do. Asked only where claims grow.
fn is_recreated(
    turn: &Turn<'_>,
    rolling: &Rolling,
    compared: &mut BTreeMap<String, Compared>,
    (ordinal, pod): (i32, &Arc<Pod>),
) -> bool {
    if !turn.settings.resize_claims || turn.updated(pod) {
        return false;
    }
    let set = turn.snapshot.set.name();
    match rolling.policy {
        Policy::Recreate => true,
        Policy::InPlaceIfPossible => {
            !storage_matches(pod, set, ordinal, &turn.settings.claims)
                || compare(turn, compared, pod).is_err()
        }
        Policy::InPlaceOnly => false,
    }
}

/// Where no update may go on, pods that were announced to a hook and are not wanted any more serve again all the same.
pub fn give_back(turn: &mut Turn<'_>) {
    match turn.rolling() {
        None => cancel_unwanted(turn, Wanted::Nobody),
        Some(rolling) => {
            let candidates: BTreeSet<i32> = targets(turn, rolling).into_iter().collect();
            let paused = rolling.paused;
            let wanted = if paused { Wanted::Later } else { Wanted::Unreached };
            cancel_unwanted(turn, wanted(&candidates));
        }
    }
}

/// Whether something is left to do for the rollout: replicas are missing, condemned, or wanted otherwise, or those that it
/// has made do not serve yet. Who serves and was passed over by a partition or a strategy is as he is meant to be.
pub fn under_way(turn: &Turn<'_>) -> bool {
    let missing = turn.replicas().count() < turn.settings.ordinals.count();
    if missing || !turn.condemned().is_empty() {
        return true;
    }
    let targets: Option<BTreeSet<i32>> =
        turn.rolling().map(|rolling| targets(turn, rolling).into_iter().collect());
    let left = |(ordinal, pod): (i32, &Arc<Pod>)| match &targets {
        Some(targets) => {
            let wanted = targets.contains(&ordinal);
            let current = current(turn, ordinal, pod);
            wants_replacement(pod)
                || (wanted && (!current || turn.unavailable(ordinal, pod).is_some()))
        }
        None => turn.updated(pod) && turn.unavailable(ordinal, pod).is_some(),
    };
    turn.replicas().any(left)
}

/// Whether something else happens to the pod first, or it is not to be tried again yet.
fn busy(turn: &Turn<'_>, ordinal: i32, pod: &Pod) -> bool {
    let decided = turn.touched.contains(&ordinal) && !turn.replaceable.contains(&ordinal);
    pod.terminating() || decided || turn.refused(ordinal, pod).is_some()
}

/// How many pods are to be updated; those that a user wants replaced are as well (SD-6).
fn outdated(turn: &Turn<'_>) -> usize {
    turn.replicas().filter(|(at, pod)| !current(turn, *at, pod) || wants_replacement(pod)).count()
}

/// Whom an update is about.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    /// Nobody: pods are updated when somebody deletes them.
    Nobody,
    /// These, once it is not paused any more.
    Later(&'a BTreeSet<i32>),
    /// These.
    These(&'a BTreeSet<i32>),
    /// These, once the update may go on.
    Unreached(&'a BTreeSet<i32>),
}

fn explain_partition(turn: &mut Turn<'_>, candidates: &BTreeSet<i32>) {
    let kept =
        turn.replicas().filter(|(at, pod)| !candidates.contains(at) && !current(turn, *at, pod));
    let kept = kept.count();
    if kept > 0 {
        turn.hold(Hold::BelowPartition { kept });
    }
}

/// Pods that were announced to a hook and are not wanted deleted or updated any more serve again: scaled back up, label
/// taken away, rolled back (W-2), or fallen out of the candidates (W-34). Whom this turn deletes or updates is touched by
/// now.
fn cancel_unwanted(turn: &mut Turn<'_>, update: Wanted<'_>) {
    let mut unwanted = Vec::new();
    for (ordinal, pod) in turn.replicas() {
        if pod.terminating() || pod.ended() || turn.touched.contains(&ordinal) {
            continue;
        }
        let update = match update {
            Wanted::These(targets) if !turn.reaches(ordinal) => Wanted::Unreached(targets),
            other => other,
        };
        let wanted = match (pod.meta.labels.get(keys::LIFECYCLE_STATE), update) {
            (Some("PreparingDelete"), Wanted::Nobody) => false,
            // In an ordered set nothing is made or removed beyond a pod that is announced, and scaling goes on (RU-3).
            (Some("PreparingDelete"), Wanted::Later(_)) if turn.settings.ordered => false,
            (Some("PreparingUpdate"), Wanted::Later(_)) if turn.settings.ordered => {
                turn.updated(pod)
            }
            (Some("PreparingDelete"), Wanted::These(_)) => wants_replacement(pod),
            (Some("PreparingDelete"), Wanted::Later(targets) | Wanted::Unreached(targets)) => {
                let outdated = targets.contains(&ordinal) && !current(turn, ordinal, pod);
                wants_replacement(pod) || outdated
            }
            (Some("PreparingUpdate"), Wanted::Nobody) => turn.updated(pod),
            (
                Some("PreparingUpdate"),
                Wanted::Later(targets) | Wanted::These(targets) | Wanted::Unreached(targets),
            ) => {
                let target = targets.contains(&ordinal) && !turn.passed.contains(&ordinal);
                target || turn.updated(pod)
            }
            _ => continue,
        };
        if !wanted {
            unwanted.push(ordinal);
        }
    }
    call_off(turn, &unwanted);
}

/// Takes back what was announced to the hooks of these pods.
pub fn call_off(turn: &mut Turn<'_>, ordinals: &[i32]) {
    let mut actions = Vec::new();
    for ordinal in ordinals.iter().copied() {
        let Some(pod) = turn.snapshot.pods.get(&ordinal) else { continue };
        let writes = cancel(pod, turn.settings.lifecycle.as_ref(), turn.now);
        if turn.touched.insert(ordinal) {
            actions.push(Action::Announce { ordinal, state: "Normal", writes });
        }
    }
    turn.plan.each(actions);
}

/// Whether nothing has to be done to the pod: it has the update revision and mounts the claims of today's templates.
/// Volumes of a live pod cannot change, so a pod without them is outdated (W-14).
fn current(turn: &Turn<'_>, ordinal: i32, pod: &Pod) -> bool {
    let set = turn.snapshot.set.name();
    turn.updated(pod)
        && storage_matches(pod, set, ordinal, &turn.settings.claims)
        && resize::settled(turn, ordinal, pod)
        && cannot_resize(turn, ordinal, pod).is_none()
}

/// Why the pod, updated in place, never gets the resources that belong to it: its node has no room (W17), or the API server
/// makes no such change, such as to less memory where a container is not to be restarted. Re-created it gets them. What is
/// forbidden to a new pod as well, by a quota for instance, rests. Conditions and refusals are looked at first, for
/// the progress is in an annotation that must be parsed.
pub fn cannot_resize(turn: &Turn<'_>, ordinal: i32, pod: &Pod) -> Option<&'static str> {
    let if_possible = turn.rolling().is_some_and(|r| r.policy == Policy::InPlaceIfPossible);
    if !if_possible || !turn.updated(pod) {
        return None;
    }
    let pending = pod.condition(keys::POD_RESIZE_PENDING);
    let infeasible = pending.is_some_and(|c| c.status && *c.reason == *keys::INFEASIBLE);
    let refusal = turn.snapshot.refusal(ordinal, &turn.revisions.update.name);
    let fixed = refusal.is_some_and(Refusal::of_change);
    if !infeasible && !fixed {
        return None;
    }
    match turn.snapshot.unfinished().get(&ordinal)? {
        Missing::Infeasible { container } if infeasible && heard(turn, pod, container) => {
            Some("its node has no room for its resources")
        }
        Missing::Unsent { .. } if fixed => Some("the API server refuses to resize it"),
        _ => None,
    }
}

/// How long a kubelet that does not say which spec it has seen (before 1.34) may take to look at new amounts. A look each
/// minute ends the wait at the latest.
const LOOKS: SignedDuration = SignedDuration::from_secs(10);

/// Whether what the kubelet says of a resize is about the amounts of today.
fn heard(turn: &Turn<'_>, pod: &Pod, container: &str) -> bool {
    let long = |asked| turn.now.duration_since(asked) >= LOOKS;
    pod.observed_generation != 0 || asked(pod, container).is_none_or(long)
}

/// What moves the pod to the update revision now, if anything may.
fn move_pod(
    turn: &mut Turn<'_>,
    rolling: &Rolling,
    compared: &mut BTreeMap<String, Compared>,
    (ordinal, pod): (i32, &Arc<Pod>),
) -> Option<Action> {
    let storage = storage_matches(pod, turn.snapshot.set.name(), ordinal, &turn.settings.claims);
    if rolling.policy == Policy::Recreate {
        return turn.delete(ordinal, pod, Why::Update);
    }
    let change = if !storage {
        Err("its volumes are not those of the claim templates".to_owned())
    } else if let Some(why) = cannot_resize(turn, ordinal, pod) {
        Err(why.to_owned())
    } else {
        compare(turn, compared, pod)
    };
    match change.and_then(|change| in_place(turn, change, (ordinal, pod))) {
        Ok(action) => action,
        Err(_) if rolling.policy == Policy::InPlaceIfPossible => {
            turn.delete(ordinal, pod, Why::Update)
        }
        Err(why) => {
            let name = pod.name();
            let text = format!(
                "find strategy is InPlaceOnly but Pod {name} can not update in-place: {why}"
            );
            turn.passed.insert(ordinal);
            turn.plan.notes.push(Note::warning(keys::EVENT_FAILED_UPDATE_IN_PLACE, text));
            turn.hold(Hold::NotInPlacePossible { pod: name.to_owned(), why });
            None
        }
    }
}

/// What differs between the pod's revision and the update revision, or why that cannot be applied in place (IP-2, IP-3).
fn compare(turn: &Turn<'_>, compared: &mut BTreeMap<String, Compared>, pod: &Pod) -> Compared {
    let name = pod.revision().unwrap_or_default();
    if let Some(known) = compared.get(name) {
        return known.clone();
    }
    let gates = &turn.snapshot.gates;
    let options = DiffOptions {
        env_from_metadata: gates.env_from_metadata,
        vertical_scaling: gates.vertical_scaling,
    };
    let update: &RawJson = &turn.revisions.update.data;
    let result = match turn.snapshot.revision(name) {
        None if name == &*turn.revisions.update.name => Ok(Arc::new(Change::default())),
        None => Err(format!("its revision {name:?} is not in the history any more")),
        Some(old) => diff(&old.data, update, &options).map(Arc::new).map_err(|e| e.to_string()),
    };
    compared.insert(name.to_owned(), result.clone());
    result
}

/// The in-place update, if the lifecycle allows it now (13.3).
fn in_place(
    turn: &mut Turn<'_>,
    change: Arc<Change>,
    (ordinal, pod): (i32, &Arc<Pod>),
) -> Result<Option<Action>, String> {
    match check(pod, &change, turn.now) {
        Ok(()) => {}
        Err(late @ NotInPlace::DaemonLate { .. }) => {
            turn.resting.insert(ordinal);
            let missing = late.to_string();
            turn.hold(Hold::InPlaceInProgress { pod: pod.name().to_owned(), missing });
            return Ok(None);
        }
        Err(error) => return Err(error.to_string()),
    }
    let announced = Announced::new(&turn.revisions.update.name, &change);
    match before_update(pod, turn.settings.lifecycle.as_ref(), &announced, turn.now) {
        UpdateGate::Proceed => {}
        UpdateGate::Wait(pending) => {
            let hook = pending.to_string();
            turn.hold(Hold::HookPending { pod: pod.name().to_owned(), hook });
            return Ok(None);
        }
        UpdateGate::Mark(writes) => {
            turn.touched.insert(ordinal);
            return Ok(Some(Action::Announce { ordinal, state: "PreparingUpdate", writes }));
        }
        UpdateGate::NotAllowed(why) => {
            let missing = why.to_string();
            turn.hold(Hold::InPlaceInProgress { pod: pod.name().to_owned(), missing });
            return Ok(None);
        }
    }
    turn.touched.insert(ordinal);
    // The writes are built when they are sent: those of a large budget at once would not fit into memory.
    let revision = turn.revisions.update.name.clone();
    Ok(Some(Action::UpdateInPlace { ordinal, revision, change }))
}
