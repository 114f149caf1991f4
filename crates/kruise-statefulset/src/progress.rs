//! How far a rollout is, in one condition: what it waits for, and whether its deadline has passed.
//!
//! The condition `Progressing` is ours; OpenKruise has none. A set that never waited for anything has none either, so
//! that a converged set that is taken over is not written.

use jiff::{SignedDuration, Timestamp};
use kruise_api::keys;
use kruise_common::moment::Moment;
use kruise_common::plan::{Hold as _, Note, Plan, summary};
use kruise_inplace::begin::began;

use crate::plan::action::Action;
use crate::plan::hold::{Hold, Weight};
use crate::snapshot::{Settings, Snapshot};

/// Reason while everything goes its way.
const ROLLING_OUT: &str = "RollingOut";
/// Reason when nothing is left to do.
const COMPLETE: &str = "Complete";
/// Longest message of a condition, in bytes.
const LONGEST: usize = 1024;

/// What the condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Name of the reason.
    pub reason: &'static str,
    /// What is waited for.
    pub message: String,
}

/// The state of the rollout; `None` if that is not worth a condition of its own, or not known yet.
pub fn verdict(snapshot: &Snapshot, plan: &Plan<Action, Hold>) -> Option<Verdict> {
    let known = reason(snapshot);
    let worst = worst(&plan.holds);
    let (status, reason) = match worst {
        None if plan.steps.is_empty() => ("True", COMPLETE),
        None => ("True", ROLLING_OUT),
        Some(hold) => match hold.weight() {
            Weight::Owner => ("False", hold.reason()),
            Weight::Wanted if !plan.steps.is_empty() => ("True", ROLLING_OUT),
            Weight::Wanted if matches!(hold, Hold::Paused { .. }) => ("Unknown", hold.reason()),
            Weight::Outside | Weight::Wanted => ("True", hold.reason()),
            Weight::Passing => ("True", ROLLING_OUT),
        },
    };
    // A wait that was there before us, or that was asked for, is no news; an invalid spec has a condition of its own.
    let silent = match worst {
        None => plan.steps.is_empty(),
        Some(Hold::InvalidSpec { .. } | Hold::SetDeleting) => true,
        Some(hold) => {
            let weight = hold.weight();
            weight == Weight::Wanted || (weight != Weight::Owner && plan.steps.is_empty())
        }
    };
    if (known.is_none() && silent)
        || (tries_again(snapshot, plan) && is_known_refusal(known, worst))
    {
        return None;
    }
    Some(Verdict { status, reason, message: message(&plan.holds) })
}

/// Whether the plan asks for something once more that was refused before. Until it is known what becomes of that, the condition
/// stays as it is: else it would come and go with each attempt.
fn tries_again(snapshot: &Snapshot, plan: &Plan<Action, Hold>) -> bool {
    let refused = &snapshot.refused;
    !refused.is_empty()
        && plan.actions().filter_map(Action::asks).any(|it| refused.contains_key(&it))
}

/// Whether the stored reason is a refusal that nothing worse has taken the place of.
fn is_known_refusal(known: Option<&str>, worst: Option<&Hold>) -> bool {
    let late = matches!(worst, Some(Hold::ProgressDeadlineExceeded { .. }));
    match known {
        Some("ProgressDeadlineExceeded") => late,
        Some("UpdateRefused" | "DeletionRefused" | "CreationRefused" | "OwnerRefused") => !late,
        _ => false,
    }
}

/// The Event about a wait that is news: the stored condition has another reason.
pub fn note(snapshot: &Snapshot, plan: &Plan<Action, Hold>) -> Option<Note> {
    let verdict = verdict(snapshot, plan)?;
    let hold = worst(&plan.holds)?;
    // These have Events of their own.
    let told = matches!(
        hold,
        Hold::InvalidSpec { .. }
            | Hold::NameTaken { .. }
            | Hold::CreationRefused { .. }
            | Hold::NotInPlacePossible { .. }
            | Hold::ClaimMismatch { .. }
    );
    if told || reason(snapshot) == Some(verdict.reason) {
        return None;
    }
    let text = hold.to_string();
    Some(match hold.weight() {
        Weight::Owner => Note::warning(keys::EVENT_WAITING, text),
        Weight::Passing | Weight::Wanted | Weight::Outside => {
            Note::normal(keys::EVENT_WAITING, text)
        }
    })
}

/// Adds the deadline, or that it has passed, to the plan of a rollout that is under way. Nothing is remembered between turns:
/// when something last happened can be read off the pods and the revision.
pub fn watch_deadline(
    snapshot: &Snapshot,
    settings: &Settings,
    plan: &mut Plan<Action, Hold>,
    now: Timestamp,
) {
    let Some(seconds) = settings.progress_deadline else { return };
    let paused = plan.holds.iter().any(|hold| matches!(hold, Hold::Paused { .. }));
    // That the policy does not reach a claim is told, and nobody waits for it.
    let asks =
        |hold: &Hold| hold.weight() != Weight::Wanted && !matches!(hold, Hold::ClaimTaken { .. });
    let waits = refused(snapshot) || plan.holds.iter().any(asks);
    if paused || !waits {
        return;
    }
    // What is planned counts as done, unless the last attempts were refused.
    let in_vain = plan.steps.is_empty() || refused(snapshot);
    let since = if in_vain { last_progress(snapshot) } else { Some(now) };
    let until = since.and_then(|at| at.checked_add(SignedDuration::from_secs(seconds)).ok());
    let hold = match until {
        Some(until) if until > now => Hold::ProgressDeadline { until },
        _ => Hold::ProgressDeadlineExceeded { seconds },
    };
    plan.holds.push(hold);
}

/// Whether the status says that writes are refused.
fn refused(snapshot: &Snapshot) -> bool {
    let kinds = [keys::CONDITION_REFUSED_WRITE, keys::CONDITION_FAILED_CREATE_POD];
    let conditions = snapshot.set.status.conditions.iter();
    conditions.into_iter().any(|c| kinds.contains(&&*c.type_) && c.status == "True")
}

/// When something last got on: a pod was made, became ready, was told to go, announced or taken out of traffic for its
/// update, or a revision was made. That a pod becomes unready is no progress; but where a pod of the update revision does,
/// what was done is to be done anew, and that begins then.
fn last_progress(snapshot: &Snapshot) -> Option<Timestamp> {
    let (_, revisions) = snapshot.chosen().ok()?;
    let update = &*revisions.update.name;
    let revision = snapshot.revision(update).and_then(|known| known.meta.created);
    let pods = snapshot.pods.values().flat_map(|pod| {
        let updated = pod.revision() == Some(update);
        let backward = |kind: &str| ["Ready", "ContainersReady"].contains(&kind);
        let conditions = pod.conditions.iter();
        let counted = conditions.filter(move |c| c.status || updated || !backward(&c.kind));
        let told = pod.annotations.get(keys::LIFECYCLE_TIMESTAMP).and_then(|at| at.parse().ok());
        let known = [pod.meta.created, pod.meta.deleted].into_iter().flatten();
        known
            .chain(counted.filter_map(|condition| condition.since))
            .map(Moment::timestamp)
            .chain(told)
            .chain(began(pod))
    });
    let others = revision.into_iter().chain(snapshot.set.meta.created).map(Moment::timestamp);
    pods.chain(others).max()
}

/// The hold that matters most: first what somebody has to do, then what passes, last what is wanted.
fn worst(holds: &[Hold]) -> Option<&Hold> {
    let exceeded = |hold: &&Hold| matches!(hold, Hold::ProgressDeadlineExceeded { .. });
    let of = |weight: Weight| holds.iter().find(move |hold| hold.weight() == weight);
    let order = [Weight::Owner, Weight::Outside, Weight::Passing, Weight::Wanted];
    holds.iter().find(exceeded).or_else(|| order.into_iter().find_map(of))
}

fn message(holds: &[Hold]) -> String {
    let told = holds.iter().filter(|hold| !matches!(hold, Hold::ProgressDeadline { .. }));
    let mut text = summary(&told.cloned().collect::<Vec<_>>());
    // When it is tried again is another time after each attempt, which is no news.
    for until in holds.iter().filter(|hold| is_refusal(hold)).filter_map(Hold::until) {
        text = text.replace(&format!(", until: {until}"), "");
    }
    if text.len() > LONGEST {
        let mut end = LONGEST;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Whether a write was refused, and rests.
fn is_refusal(hold: &Hold) -> bool {
    matches!(
        hold,
        Hold::UpdateRefused { .. }
            | Hold::DeletionRefused { .. }
            | Hold::CreationRefused { .. }
            | Hold::OwnerRefused { .. }
    )
}

fn reason(snapshot: &Snapshot) -> Option<&str> {
    let conditions = &snapshot.set.status.conditions;
    let known = conditions.iter().find(|c| c.type_ == keys::CONDITION_PROGRESSING)?;
    known.reason.as_deref()
}
