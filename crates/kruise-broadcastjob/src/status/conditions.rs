//! Conditions of a job: the end as OpenKruise writes it, and ours beside it, one of each type.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kruise_api::broadcastjob::v1beta1::BroadcastJobCondition;
use kruise_api::keys;
use kruise_common::plan::Applied;

use super::refusal::Refused;
use super::second;
use crate::census::{Census, Place, Standing};
use crate::mark::Mark;
use crate::plan::action::Action;
use crate::plan::hold::Pauser;
use crate::snapshot::Snapshot;

/// What conditions are made from.
pub struct Seen<'a> {
    /// The job.
    pub snapshot: &'a Snapshot,
    /// What became of what was decided.
    pub applied: &'a Applied<Action>,
    /// Nodes whose pods are refused.
    pub refused: &'a BTreeMap<Mark, Refused>,
    /// Who pauses the job.
    pub paused: Option<Pauser>,
}

/// Raises and settles our conditions. A job that never had a problem has none, as in OpenKruise.
pub fn update(conditions: &mut Vec<BroadcastJobCondition>, seen: &Seen<'_>, now: Timestamp) {
    let invalid = seen.snapshot.settings.invalid.as_ref();
    let invalid = invalid.map(|problem| ("InvalidSpec", problem.to_string()));
    set(conditions, (keys::CONDITION_INVALID_SPEC, invalid, true), now);
    let paused = seen.paused.map(|by| match by {
        Pauser::Spec => ("Spec", "spec.paused is true".to_owned()),
        Pauser::FailedPod => ("FailedPod", "job is paused, due to failed pod".to_owned()),
    });
    set(conditions, (keys::CONDITION_PAUSED, paused, true), now);
    let census = seen.snapshot.census();
    let nodes = census.places.len();
    let none = (census.desired() == 0).then(|| {
        let text = format!("none of {nodes} nodes fits; status.unfinished says why");
        ("NoNodeFits", text)
    });
    set(conditions, (keys::CONDITION_NO_ELIGIBLE_NODES, none, true), now);
    let created = seen.applied.done().any(|action| matches!(action, Action::CreatePod { .. }));
    // Whoever has just begun knows of no refusal, and nobody may wait any more.
    let settled = created || !census.places.iter().any(lacks_its_pod);
    set(conditions, (keys::CONDITION_FAILED_CREATE_POD, refused(census, seen), settled), now);
}

fn lacks_its_pod(place: &Place) -> bool {
    place.pod.is_none() && matches!(place.standing, Standing::Waiting | Standing::Retrying(_))
}

/// What is said of the first node, by name, whose pod is refused, and how many more there are.
fn refused(census: &Census, seen: &Seen<'_>) -> Option<(&'static str, String)> {
    let places = census.places.iter().filter(|place| lacks_its_pod(place));
    let mut all = places.filter_map(|place| Some((place, seen.refused.get(&place.mark)?)));
    let (place, said) = all.next()?;
    let more = match all.count() {
        0 => String::new(),
        more => format!(" (and the pods of {more} more nodes)"),
    };
    Some((said.reason, format!("pod of node {}: {}{more}", place.node.name(), said.message)))
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
