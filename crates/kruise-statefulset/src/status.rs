//! The status of a set, recomputed from what is (section 19): counts, revisions, claims, conditions.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kruise_api::keys;
use kruise_api::statefulset::v1beta1::{
    StatefulSetCondition, StatefulSetStatus, VolumeClaimStatus,
};
use kruise_common::kind::STATEFUL_SET;
use kruise_common::plan::{Applied, Plan};
use kruise_common::pod::{Availability, Phase, Pod};
use kruise_common::write::{Operations, Patch, Request, Write};
use serde_json::json;

use crate::plan::action::Action;
use crate::plan::hold::Hold;
use crate::progress::{Verdict, verdict};
use crate::revision::Revisions;
use crate::snapshot::{Settings, Snapshot};

/// The status write, or `None` if the stored status is right.
pub fn status(
    snapshot: &Snapshot,
    plan: &Plan<Action, Hold>,
    applied: &Applied<Action>,
    now: Timestamp,
) -> Option<Write> {
    let status = compute(snapshot, plan, applied, now);
    if status == snapshot.set.status {
        return None;
    }
    // The current revision is remembered nowhere else: a write that comes late must not set it back.
    let operations = Operations::default()
        .test(&["metadata", "resourceVersion"], &*snapshot.set.meta.resource_version)
        .add(&["status"], json!(status));
    Some(Write::json_status(&STATEFUL_SET, &snapshot.set.meta, operations))
}

/// Whether the status names another current revision. A new template right afterwards would make the end of the rollout
/// forgotten, and missing pods below its partition would come back at the revision before it.
pub fn urgent(snapshot: &Snapshot, status: &Write) -> bool {
    let Request::Patch { patch: Patch::Json(operations), .. } = &status.request else {
        return false;
    };
    let mut operations = operations.as_array().into_iter().flatten();
    let written = operations.find_map(|one| one.pointer("/value/currentRevision")?.as_str());
    let known = snapshot.set.status.current_revision.as_deref();
    known.is_some() && written.is_some() && written != known
}

/// The status as it must be.
pub fn compute(
    snapshot: &Snapshot,
    plan: &Plan<Action, Hold>,
    applied: &Applied<Action>,
    now: Timestamp,
) -> StatefulSetStatus {
    let mut status = snapshot.set.status.clone();
    status.observed_generation = Some(snapshot.set.meta.generation);
    if let Ok((settings, revisions)) = snapshot.chosen() {
        status.collision_count = Some(revisions.collision_count);
        status.label_selector = Some(settings.selector.to_string());
        status.current_revision = Some(current(settings, revisions).to_string());
        status.update_revision = Some(revisions.update.name.to_string());
        status.volume_claims = claims(snapshot, settings);
        count(&mut status, snapshot, settings.min_ready_seconds, now);
        complete(&mut status, settings, snapshot);
    } else {
        count(&mut status, snapshot, 0, now);
    }
    status.conditions = conditions(snapshot, plan, applied, now);
    status
}

/// The name of the current revision. One that is lost stays named as long as a partition keeps pods at it: else nobody would
/// know a second later that they come back at another one.
fn current<'a>(settings: &Settings, revisions: &'a Revisions) -> &'a str {
    let keeps = settings.rolling().is_some_and(|rolling| rolling.partition > 0);
    revisions.lost.as_deref().filter(|_| keeps).unwrap_or(&revisions.current.name)
}

/// Counts all claimed pods, condemned ones included (19.1, S-1). Available is what uses up no budget: a pod in the midst of
/// an in-place update is not, even if it is ready throughout (§10.1, RU-5).
fn count(status: &mut StatefulSetStatus, snapshot: &Snapshot, min_ready: i32, now: Timestamp) {
    let current = status.current_revision.clone().unwrap_or_default();
    let update = status.update_revision.clone().unwrap_or_default();
    let pods = || snapshot.pods.iter().filter(|(_, pod)| pod.phase != Phase::None);
    let at = |pod: &Pod, revision: &str| pod.revision() == Some(revision);
    let available = |ordinal: i32, pod: &Pod| {
        crate::plan::lifecycle_normal(pod)
            && pod.availability(min_ready, now) == Availability::Available
            && !snapshot.unfinished().contains_key(&ordinal)
    };
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let live = |revision: &str| {
        number(pods().filter(|(_, pod)| !pod.terminating() && at(pod, revision)).count())
    };
    status.replicas = number(pods().count());
    status.ready_replicas = number(pods().filter(|(_, pod)| pod.ready()).count());
    status.available_replicas = number(pods().filter(|(at, pod)| available(**at, pod)).count());
    status.current_replicas = live(&current);
    status.updated_replicas = live(&update);
    let updated = || pods().filter(|(_, pod)| at(pod, &update));
    status.updated_ready_replicas = number(updated().filter(|(_, pod)| pod.ready()).count());
    status.updated_available_replicas =
        number(updated().filter(|(at, pod)| available(**at, pod)).count());
}

/// The rollout is complete when every wanted pod is there, ready and updated (S-4); `spec.replicas` is asked
/// too, so that a moment with few pods does not count as the end (W-9). So is what the kubelet reports: pods whose CPU and
/// memory change are ready and bear the new revision before they run with what it says (§10.2.3).
fn complete(status: &mut StatefulSetStatus, settings: &Settings, snapshot: &Snapshot) {
    let all = settings.replicas;
    if settings.rolling().is_some()
        && status.replicas == all
        && status.updated_replicas == all
        && status.ready_replicas == all
        && snapshot.unfinished().is_empty()
    {
        status.current_replicas = status.updated_replicas;
        status.current_revision = status.update_revision.clone();
    }
}

/// Per claim template, how many replicas' claims fit it, and have what they ask for.
fn claims(snapshot: &Snapshot, settings: &Settings) -> Vec<VolumeClaimStatus> {
    let set = snapshot.set.name();
    let count = |template: &crate::claims::ClaimTemplate| {
        let mut status = VolumeClaimStatus {
            volume_claim_name: template.name.clone(),
            ..VolumeClaimStatus::default()
        };
        for ordinal in settings.ordinals.iter() {
            let name = template.claim_name(set, ordinal);
            let claim = snapshot.claims.get(name.as_str());
            let Some(claim) = claim.filter(|claim| !claim.meta.terminating()) else { continue };
            let fit = template.fit(claim);
            status.compatible_replicas += i32::from(fit.compatible);
            status.compatible_ready_replicas += i32::from(fit.compatible && fit.ready);
        }
        status
    };
    settings.claims.iter().map(count).collect()
}

/// Conditions stay until they change (W-10): raised with reason and message when something fails or the spec
/// means nothing, set False when it went well again. A set that never failed has none, as in OpenKruise.
fn conditions(
    snapshot: &Snapshot,
    plan: &Plan<Action, Hold>,
    applied: &Applied<Action>,
    now: Timestamp,
) -> Vec<StatefulSetCondition> {
    let invalid = plan.holds.iter().find_map(|hold| match hold {
        Hold::InvalidSpec { field, problem } => {
            Some(("InvalidSpec".to_owned(), format!("{field}: {problem}")))
        }
        _ => None,
    });
    let taken = plan.holds.iter().find_map(|hold| match hold {
        Hold::NameTaken { pod } => {
            let text = format!("Pod {pod} exists and belongs to somebody else");
            Some(("NameTaken".to_owned(), text))
        }
        _ => None,
    });
    let failed = |concerns: fn(&Action) -> bool, text: fn(&Action) -> String| {
        let failures = applied.failed().filter(|(action, _)| concerns(action));
        failures.filter(|(_, error)| error.category.concerns_user()).last().map(
            |(action, error)| {
                (error.category.as_str().to_owned(), format!("{}: {}", text(action), error.message))
            },
        )
    };
    let created = |action: &Action| matches!(action, Action::CreatePod { .. });
    let create = |_: &Action| "StatefulPodControl failed to create Pod error".to_owned();
    let update = |_: &Action| "StatefulPodControl failed to update Pod error".to_owned();
    let repaired = |action: &Action| {
        matches!(action, Action::RepairIdentity { .. } | Action::CreateClaims { .. })
    };
    // A turn in which nothing of the kind was tried says nothing about it, unless all is there.
    let complete = applied.outcomes.is_empty()
        && plan.holds.iter().all(|hold| !matches!(hold, Hold::NameTaken { .. }));
    let [creation_rests, other_rests] = resting(plan);
    let create_settled = !creation_rests && (complete || applied.done().any(created));
    let update_settled = (complete && !other_rests) || applied.done().any(repaired);
    // Everything else that can be refused, from the revision to a reference; settled by a turn that is refused nothing.
    let other = |action: &Action| {
        !matches!(
            action,
            Action::CreatePod { .. } | Action::RepairIdentity { .. } | Action::CreateClaims { .. }
        )
    };
    let nothing_failed = applied.failed().next().is_none() && !other_rests;
    let mut conditions = snapshot.set.status.conditions.clone();
    let mut set = |kind: &str, problem: Option<(String, String)>, settled: bool| {
        raise(&mut conditions, kind, problem, settled, now);
    };
    set(keys::CONDITION_INVALID_SPEC, invalid, snapshot.settings.is_ok());
    set(keys::CONDITION_FAILED_CREATE_POD, failed(created, create).or(taken), create_settled);
    set(keys::CONDITION_FAILED_UPDATE_POD, failed(repaired, update), update_settled);
    let refused = failed(other, ToString::to_string);
    set(keys::CONDITION_REFUSED_WRITE, refused, nothing_failed);
    if let Some(Verdict { status, reason, message }) = verdict(snapshot, plan) {
        store(
            &mut conditions,
            (keys::CONDITION_PROGRESSING, status),
            reason.to_owned(),
            message,
            now,
        );
    }
    conditions
}

/// Whether a creation rests after a refusal, and whether anything else does: it has not been tried again.
fn resting(plan: &Plan<Action, Hold>) -> [bool; 2] {
    let other = |hold: &Hold| {
        matches!(
            hold,
            Hold::UpdateRefused { .. } | Hold::DeletionRefused { .. } | Hold::OwnerRefused { .. }
        )
    };
    let creation = |hold: &Hold| matches!(hold, Hold::CreationRefused { .. });
    [plan.holds.iter().any(creation), plan.holds.iter().any(other)]
}

/// Sets a condition to a problem, or to False if it is settled; keeps its time while its status stays.
fn raise(
    conditions: &mut Vec<StatefulSetCondition>,
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
    store(conditions, (kind, status), reason, message, now);
}

/// Sets a condition; keeps its time while its status stays.
fn store(
    conditions: &mut Vec<StatefulSetCondition>,
    (kind, status): (&str, &str),
    reason: String,
    message: String,
    now: Timestamp,
) {
    let known = conditions.iter().position(|condition| condition.type_ == kind);
    let before = known.and_then(|at| conditions.get(at));
    let since = before.filter(|c| c.status == status).and_then(|c| c.last_transition_time.clone());
    let condition = StatefulSetCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        last_transition_time: Some(since.unwrap_or_else(|| Time(second(now)))),
        reason: Some(reason),
        message: Some(message).filter(|text| !text.is_empty()),
    };
    match known.and_then(|at| conditions.get_mut(at)) {
        Some(slot) => *slot = condition,
        None => conditions.push(condition),
    }
}

/// Kubernetes stores whole seconds; anything finer would differ from what is read back.
fn second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
