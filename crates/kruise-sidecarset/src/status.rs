//! The status of a set, recomputed from what is (18.4).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kruise_api::keys;
use kruise_api::sidecarset::v1beta1::{SidecarSetCondition, SidecarSetStatus};
use kruise_common::kind::SIDECAR_SET;
use kruise_common::plan::{Applied, Outcome, Plan};
use kruise_common::write::{Operations, Write};
use serde_json::json;

use crate::member::{Member, Stuck};
use crate::plan::action::Action;
use crate::plan::hold::Hold;
use crate::snapshot::{Settings, Snapshot};

/// The status write, or `None` if the stored status is right.
pub fn status(
    snapshot: &Snapshot,
    plan: &Plan<Action, Hold>,
    applied: &Applied<Action>,
    now: Timestamp,
) -> Option<Write> {
    // Who waits for the first status finds pods injected.
    if plan.holds.iter().any(|hold| matches!(hold, Hold::NotRegistered { .. })) {
        return None;
    }
    let status = compute(snapshot, plan, applied, now);
    if status == snapshot.set.status {
        return None;
    }
    // Computed from a spec that was seen, over a status that was seen: a write that comes late, of a leader that is none any
    // more for instance, must not undo what a newer one said of a newer generation.
    let operations = Operations::default()
        .test(&["metadata", "resourceVersion"], &*snapshot.set.meta.resource_version)
        .add(&["status"], json!(status));
    Some(Write::json_status(&SIDECAR_SET, &snapshot.set.meta, operations))
}

/// Whether the status names another revision for the first time: that a roll-out began is known from nothing else, and a
/// fast one would be over before the next status.
pub fn urgent(snapshot: &Snapshot) -> bool {
    let known = snapshot.set.status.latest_revision.as_deref();
    let registered = snapshot.registered().ok().map(|(_, registered)| &*registered.name);
    known.is_some() && registered.is_some() && known != registered
}

/// The status as it must be.
pub fn compute(
    snapshot: &Snapshot,
    plan: &Plan<Action, Hold>,
    applied: &Applied<Action>,
    now: Timestamp,
) -> SidecarSetStatus {
    let stored = &snapshot.set.status;
    let mut status = stored.clone();
    status.observed_generation = Some(snapshot.set.meta.generation);
    if let Ok((settings, registered)) = snapshot.registered() {
        let failed = applied.outcomes.iter().any(|(action, outcome)| {
            matches!(action, Action::CreateRevision(_)) && *outcome != Outcome::Done
        });
        if !failed {
            status.latest_revision = Some(registered.name.to_string());
        }
        status.collision_count = Some(registered.collision_count);
        count(&mut status, snapshot, settings);
    }
    status.conditions = conditions(snapshot, plan, applied, now);
    status
}

/// STA-30. Of sets that update nothing the readiness is that of the moment when their last pod was made (EVT-13): clients
/// compare these numbers.
fn count(status: &mut SidecarSetStatus, snapshot: &Snapshot, settings: &Settings) {
    let members = &snapshot.members;
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let stored = snapshot.set.status.clone();
    status.matched_pods = number(members.len());
    status.updated_pods = number(members.iter().filter(|member| member.updated).count());
    let frozen = settings.not_update && !settings.options.refresh_not_update;
    let same_spec = stored.observed_generation == Some(snapshot.set.meta.generation);
    if frozen
        && same_spec
        && stored.matched_pods == status.matched_pods
        && stored.updated_pods == status.updated_pods
    {
        return;
    }
    let newest = members.iter().filter_map(|member| member.pod.meta.created).max();
    let counts = |member: &&Member| {
        let then = || {
            let ready = member.pod.condition("Ready").and_then(|condition| condition.since);
            ready.zip(newest).is_some_and(|(since, newest)| since < newest)
        };
        member.consistent && member.ready && (!(frozen && same_spec) || then())
    };
    let ready = members.iter().filter(counts);
    status.ready_pods = number(ready.clone().count());
    status.updated_ready_pods = number(ready.filter(|member| member.updated).count());
}

/// Conditions stay until they change; a set that needs no attention has none, as in OpenKruise.
fn conditions(
    snapshot: &Snapshot,
    plan: &Plan<Action, Hold>,
    applied: &Applied<Action>,
    now: Timestamp,
) -> Vec<SidecarSetCondition> {
    let invalid = plan.holds.iter().find_map(|hold| match hold {
        Hold::InvalidSpec { field, problem } => {
            Some(("InvalidSpec".to_owned(), format!("{field}: {problem}")))
        }
        _ => None,
    });
    let refused = applied.failed().filter(|(_, error)| error.category.concerns_user()).last();
    let refused = refused.map(|(action, error)| {
        (error.category.as_str().to_owned(), format!("{action}: {}", error.message))
    });
    // Pods whose turn comes later are still refused, for all that is known.
    let resting = plan.holds.iter().any(|hold| matches!(hold, Hold::Refused { .. }));
    let settled = applied.failed().next().is_none() && !resting;
    let mut conditions = snapshot.set.status.conditions.clone();
    let mut set = |kind: &str, problem: Option<(String, String)>, settled: bool| {
        raise(&mut conditions, kind, problem, settled, now);
    };
    set(keys::CONDITION_INVALID_SPEC, invalid, snapshot.settings.is_ok());
    let paused = snapshot.settings.as_ref().is_ok_and(|settings| settings.injection_paused);
    let usable = snapshot.unusable.is_none() || paused;
    set(keys::CONDITION_REVISION_UNUSABLE, unusable(plan), usable);
    set(keys::CONDITION_STALLED, stalled(plan), true);
    set(keys::CONDITION_NOT_UPGRADABLE, not_upgradable(snapshot), true);
    set(keys::CONDITION_NOT_INJECTED, not_injected(snapshot), true);
    set(keys::CONDITION_REFUSED_WRITE, refused, settled);
    conditions
}

/// Why new pods are refused (W-8).
fn unusable(plan: &Plan<Action, Hold>) -> Option<(String, String)> {
    let why = plan.holds.iter().find_map(|hold| match hold {
        Hold::RevisionUnusable { why } => Some(why),
        _ => None,
    })?;
    Some(("PodsRefused".to_owned(), format!("new pods are refused: {why}")))
}

/// Since when nothing has come of the roll-out (W-43).
fn stalled(plan: &Plan<Action, Hold>) -> Option<(String, String)> {
    let since = plan.holds.iter().find_map(|hold| match hold {
        Hold::Stalled { since } => Some(since),
        _ => None,
    })?;
    let text = format!("no pod was updated or became ready since {since}");
    Some(("ProgressDeadlineExceeded".to_owned(), text))
}

/// How many pods cannot follow the set, by reason.
fn not_upgradable(snapshot: &Snapshot) -> Option<(String, String)> {
    let settings = snapshot.settings.as_ref().ok().filter(|settings| !settings.not_update)?;
    let stuck = |why: Stuck| {
        let members = snapshot.members.iter();
        members.filter(|member| member.selected && member.stuck == Some(why)).count()
    };
    let reasons = [
        (Stuck::MoreThanImages.as_str(), stuck(Stuck::MoreThanImages)),
        (Stuck::NativeSidecar.as_str(), stuck(Stuck::NativeSidecar)),
        ("MissingContainer", snapshot.strays.incomplete),
    ];
    let counted: Vec<_> = reasons.into_iter().filter(|(_, count)| *count > 0).collect();
    let reason = counted.first()?.0.to_owned();
    let texts = counted.iter().map(|(reason, count)| format!("{reason}: {count}"));
    let mut text = texts.collect::<Vec<_>>().join(", ");
    if !settings.evicts {
        text.push_str("; these pods follow when they are re-created");
    }
    Some((reason, text))
}

/// How many pods run without the sidecars, and some of them by name.
fn not_injected(snapshot: &Snapshot) -> Option<(String, String)> {
    let names = snapshot.missed.iter().take(3).map(|pod| pod.meta.key.to_string());
    let names = names.collect::<Vec<_>>().join(", ");
    let count = snapshot.missed.len();
    let text = format!("{count} pods match and were not injected: {names}");
    (count > 0).then(|| ("AdmittedWithout".to_owned(), text))
}

/// Sets a condition to a problem, or to False if it is settled; keeps its time while its status stays.
fn raise(
    conditions: &mut Vec<SidecarSetCondition>,
    kind: &str,
    problem: Option<(String, String)>,
    settled: bool,
    now: Timestamp,
) {
    let known = conditions.iter().position(|condition| condition.type_ == kind);
    let (status, reason, message) = match (problem, known) {
        (Some((reason, message)), _) => ("True", reason, message),
        (None, Some(_)) if settled => ("False", "Settled".to_owned(), String::new()),
        (None, _) => return,
    };
    let before = known.and_then(|at| conditions.get(at));
    let since = before.filter(|c| c.status == status).and_then(|c| c.last_transition_time.clone());
    // Kubernetes stores whole seconds; anything finer would differ from what is read back.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let condition = SidecarSetCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        last_transition_time: Some(since.unwrap_or(Time(now))),
        reason: Some(reason),
        message: Some(message).filter(|text| !text.is_empty()),
    };
    match known.and_then(|at| conditions.get_mut(at)) {
        Some(slot) => *slot = condition,
        None => conditions.push(condition),
    }
}
