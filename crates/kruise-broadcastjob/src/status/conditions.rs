//! Conditions of a job: the end as OpenKruise writes it, and ours beside it, one of each type.

use jiff::Timestamp;
use kruise_api::broadcastjob::v1beta1::BroadcastJobCondition;
use kruise_api::keys;
use kruise_common::plan::{Applied, Plan};

use super::second;
use crate::plan::action::Action;
use crate::plan::hold::{Hold, Pauser};
use crate::snapshot::Snapshot;

/// What conditions are made from.
pub struct Seen<'a> {
    /// The job.
    pub snapshot: &'a Snapshot,
    /// What was decided.
    pub plan: &'a Plan<Action, Hold>,
    /// What became of it.
    pub applied: &'a Applied<Action>,
    /// Who pauses the job.
    pub paused: Option<Pauser>,
}

/// Raises and settles our conditions. A job that never had a problem has none, as in OpenKruise.
pub fn update(conditions: &mut Vec<BroadcastJobCondition>, seen: &Seen<'_>, now: Timestamp) {
    let invalid = seen.plan.holds.iter().find_map(|hold| match hold {
        Hold::InvalidSpec { field, problem } => {
            Some(("InvalidSpec", format!("{field}: {problem}")))
        }
        _ => None,
    });
    let settled = seen.snapshot.settings.is_ok();
    set(conditions, (keys::CONDITION_INVALID_SPEC, invalid, settled), now);
    let paused = seen.paused.map(|by| match by {
        Pauser::Spec => ("Spec", "spec.paused is true".to_owned()),
        Pauser::FailedPod => ("FailedPod", "job is paused, due to failed pod".to_owned()),
    });
    set(conditions, (keys::CONDITION_PAUSED, paused, true), now);
    if let Some((_, census)) = seen.snapshot.census() {
        let nodes = census.places.len();
        let none = (census.desired() == 0).then(|| {
            let text = format!("none of {nodes} nodes fits; status.unfinished says why");
            ("NoNodeFits", text)
        });
        set(conditions, (keys::CONDITION_NO_ELIGIBLE_NODES, none, true), now);
    }
    let creations = |action: &Action| matches!(action, Action::CreatePod { .. });
    let mut failures = seen.applied.failed().filter(|(action, _)| creations(action));
    let refused = failures.find(|(_, error)| error.category.concerns_user());
    let refused = refused.map(|(_, error)| (error.category.as_str(), error.message.clone()));
    let settled = seen.applied.done().any(creations);
    set(conditions, (keys::CONDITION_FAILED_CREATE_POD, refused, settled), now);
}

/// Appends the end; it is the last one (§4).
pub fn end(
    conditions: &mut Vec<BroadcastJobCondition>,
    kind: &str,
    message: String,
    now: Timestamp,
) {
    conditions.retain(|condition| condition.type_ != kind);
    conditions.push(BroadcastJobCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        last_probe_time: Some(second(now)),
        last_transition_time: Some(second(now)),
        reason: Some(kind.to_owned()),
        message: Some(message),
    });
}

/// Sets a condition to a problem, or to False if it is settled; keeps its times while its status stays.
fn set(
    conditions: &mut Vec<BroadcastJobCondition>,
    (kind, problem, settled): (&str, Option<(&str, String)>, bool),
    now: Timestamp,
) {
    let known = conditions.iter().position(|condition| condition.type_ == kind);
    let (status, reason, message) = match (problem, known) {
        (Some((reason, message)), _) => ("True", reason.to_owned(), message),
        (None, Some(_)) if settled => ("False", "Settled".to_owned(), String::new()),
        (None, _) => return,
    };
    let before = known.and_then(|at| conditions.get(at)).filter(|c| c.status == status);
    let (probe, since) = match before {
        Some(same) => (same.last_probe_time.clone(), same.last_transition_time.clone()),
        None => (Some(second(now)), Some(second(now))),
    };
    let condition = BroadcastJobCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        last_probe_time: probe,
        last_transition_time: since,
        reason: Some(reason),
        message: Some(message).filter(|text| !text.is_empty()),
    };
    match known.and_then(|at| conditions.get_mut(at)) {
        Some(slot) => *slot = condition,
        None => conditions.push(condition),
    }
}
