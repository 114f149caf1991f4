//! The status of a job, recomputed from what is (§4, §17): counts, results, conditions; and how it ends.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kruise_api::broadcastjob::v1beta1::{BroadcastJobStatus, Results};
use kruise_api::keys;
use kruise_common::kind::BROADCAST_JOB;
use kruise_common::plan::{Applied, Plan};
use kruise_common::write::{Operations, Write};
use serde_json::json;

use crate::census::{Census, Class, Place, Standing, class};
use crate::failures::{self, Failure, Failures};
use crate::job_pod::JobPod;
use crate::mark::{self, Mark, Marks};
use crate::plan::action::{Action, Ending};
use crate::plan::hold::{Hold, Pauser};
use crate::snapshot::{OnFailure, Settings, Snapshot};

mod conditions;
mod refusal;
mod visibility;

/// Why a job with failed pods has failed (§4).
pub const FAILED_POD: &str = "failure policy is FailurePolicyTypeFailFast and failed pod is found";

/// The status write, or `None` if the stored status is right.
pub fn status(
    snapshot: &Snapshot,
    plan: &Plan<Action, Hold>,
    applied: &Applied<Action>,
    now: Timestamp,
) -> Option<Write> {
    let ended = |action: &Action| matches!(action, Action::Finish(_));
    // What is over stays as it is, and its end has just been recorded.
    if snapshot.job.finished() || applied.done().any(ended) {
        return None;
    }
    let status = compute(snapshot, plan, applied, now);
    let stored = &snapshot.job.status;
    // A pod that is gone is known from nowhere else.
    let nothing_new =
        || is_taken_over(stored) && snapshot.departed.is_empty() && says_the_same(&status, stored);
    if status == *stored || nothing_new() {
        return None;
    }
    Some(write(snapshot, &status))
}

/// Bound to the version that was seen: what somebody changed since is looked at first (W14).
fn write(snapshot: &Snapshot, status: &BroadcastJobStatus) -> Write {
    let meta = &snapshot.job.meta;
    let operations = Operations::default()
        .test(&["metadata", "resourceVersion"], &*meta.resource_version)
        .add(&["status"], json!(status));
    Write::json_status(&BROADCAST_JOB, meta, operations)
}

/// Written by OpenKruise and not by us so far. As long as nothing happens, nothing is to be said.
fn is_taken_over(stored: &BroadcastJobStatus) -> bool {
    !stored.phase.is_empty() && stored.observed_generation.is_none()
}

fn says_the_same(a: &BroadcastJobStatus, b: &BroadcastJobStatus) -> bool {
    let counts = |s: &BroadcastJobStatus| (s.active, s.succeeded, s.failed, s.desired);
    counts(a) == counts(b)
        && a.phase == b.phase
        && a.conditions == b.conditions
        && a.start_time == b.start_time
        && a.failures.is_empty()
}

/// The status as it must be.
pub fn compute(
    snapshot: &Snapshot,
    plan: &Plan<Action, Hold>,
    applied: &Applied<Action>,
    now: Timestamp,
) -> BroadcastJobStatus {
    let mut status = snapshot.job.status.clone();
    status.observed_generation = Some(snapshot.job.meta.generation);
    status.start_time.get_or_insert_with(|| second(now));
    let census = snapshot.census();
    let paused = plan.holds.iter().find_map(|hold| match hold {
        Hold::Paused { by } => Some(*by),
        _ => None,
    });
    // A paused job asks for nothing; what it was refused before says nothing of what it waits for.
    let refused =
        if paused.is_some() { BTreeMap::new() } else { refusal::known(snapshot, applied) };
    count(&mut status, census, applied);
    remember(&mut status, snapshot, now);
    visibility::show(&mut status, census, applied, &refused);
    let deleting = plan.holds.contains(&Hold::JobDeleting);
    // A completed job that was opened for future nodes stays completed (§4).
    if status.phase.is_empty() || (status.phase != "completed" && !deleting) {
        status.phase = String::from(if paused.is_some() { "paused" } else { "running" });
    }
    keep_time(&mut status, snapshot, paused, now);
    let seen = conditions::Seen { snapshot, applied, refused: &refused, paused };
    conditions::update(&mut status.conditions, &seen, now);
    status
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Counted anew from what is there and what was done, never added to what was said before (W7, W8).
fn count(status: &mut BroadcastJobStatus, census: &Census, applied: &Applied<Action>) {
    let created = applied.done().filter(|action| matches!(action, Action::CreatePod { .. }));
    let deleted = applied.done().filter_map(|action| match action {
        Action::DeletePod { pod, .. } => Some(pod),
        _ => None,
    });
    let deleted: BTreeSet<&Arc<str>> = deleted.collect();
    let active = census.active().filter(|pod| !deleted.contains(&pod.meta.key.name));
    status.active = number(active.count().saturating_add(created.count()));
    let (succeeded, failed) = census.results();
    status.succeeded = number(succeeded);
    status.failed = number(failed);
    status.desired = number(census.desired());
}

/// What has to survive the pods: results, failures, when the last node was done (W16).
fn remember(status: &mut BroadcastJobStatus, snapshot: &Snapshot, now: Timestamp) {
    let (settings, census) = (&snapshot.settings, snapshot.census());
    let stored = status.results.take().unwrap_or_default();
    let acknowledged = match settings.on_failure {
        // Whoever pauses the job by hand has seen what failed (W10).
        OnFailure::Pause if settings.paused => census.failed.clone(),
        OnFailure::Pause => &mark::read(&stored.acknowledged) & &census.failed,
        OnFailure::FailFast | OnFailure::Continue => Marks::new(),
    };
    let (succeeded, past_succeeded) = listed(census, &census.succeeded);
    let (failed, past_failed) = listed(census, &census.failed);
    let results = Results {
        succeeded: mark::write(&succeeded),
        failed: mark::write(&failed),
        acknowledged: mark::write(&acknowledged),
        past_succeeded: stored.past_succeeded.saturating_add(past_succeeded),
        past_failed: stored.past_failed.saturating_add(past_failed),
    };
    let done = results != Results::default();
    status.results = Some(results).filter(|_| done || snapshot.job.status.results.is_some());
    status.last_finish_time = census.last_finish.map(second).or_else(|| done.then(|| second(now)));
    status.failures = failures::write(&failures_of(snapshot, now));
}

/// Most results that are listed, two hundred kilobytes; beyond, nodes that are gone are only counted. A job that never
/// completes sees nodes come and go for years, and a status has to stay storable. The UID of a node never comes back, so
/// nothing that is there runs again.
const LISTED: usize = 20_000;

/// The results to list, and how many more there are.
fn listed<'a>(census: &Census, marks: &'a Marks) -> (Cow<'a, Marks>, i64) {
    if marks.len() <= LISTED {
        return (Cow::Borrowed(marks), 0);
    }
    let here = census.places.iter().map(|place| place.mark);
    let strays = census.strays.iter().filter_map(|stray| stray.mark);
    let here: Marks = here.chain(strays).collect();
    let kept: Marks = marks & &here;
    let past = marks.len().saturating_sub(kept.len());
    (Cow::Owned(kept), i64::try_from(past).unwrap_or(i64::MAX))
}

/// The failures of nodes that are tried again or whose pod is being ended.
fn failures_of(snapshot: &Snapshot, now: Timestamp) -> Failures {
    let (settings, census) = (&snapshot.settings, snapshot.census());
    let stored = &snapshot.failures;
    let of_pod = |before: Option<&Failure>, pod: &JobPod, stopped: bool| {
        let pod = Mark::of(&snapshot.job.meta.uid, &pod.meta.uid);
        match before {
            Some(known) if known.pod == pod => Failure { stopped, ..*known },
            _ => Failure {
                count: before.map_or(0, |known| known.count).saturating_add(1),
                time: second(now).0,
                pod,
                stopped,
            },
        }
    };
    let was_stopped = |before: Option<&Failure>, pod: &JobPod| {
        let pod = Mark::of(&snapshot.job.meta.uid, &pod.meta.uid);
        before.is_some_and(|known| known.stopped && known.pod == pod)
    };
    let of_place = |place: &Place| {
        let before = stored.get(&place.mark);
        let seen = place.pod.as_ref().map(|pod| (pod, class(settings, pod)));
        match seen {
            _ if place.standing == Standing::Succeeded => None,
            Some((pod, Class::OverLimit)) => Some(of_pod(before, pod, true)),
            Some((pod, _)) if pod.meta.terminating() && was_stopped(before, pod) => before.copied(),
            Some((pod, Class::Failed(_))) if settings.retry.is_some() => {
                Some(of_pod(before, pod, false))
            }
            Some((_, Class::Failed(_))) => None,
            _ => before.filter(|known| stays(settings, place, known)).copied(),
        }
    };
    let places = census.places.iter();
    let mut failures: Failures = places.filter_map(|p| Some((p.mark, of_place(p)?))).collect();
    for (mark, pod) in census.over_limit(settings) {
        failures.entry(mark).or_insert_with(|| of_pod(stored.get(&mark), pod, true));
    }
    failures::bounded(failures, stored, failures::MOST)
}

/// Whether what is known of a node's failures still matters, now that its pod is none that failed.
fn stays(settings: &Settings, place: &Place, known: &Failure) -> bool {
    match &settings.retry {
        Some(retry) if known.count <= retry.limit => true,
        // A pod that was given up and is gone: its owner has it run again, unless we took it away ourselves.
        Some(_) | None => known.stopped && place.pod.is_none(),
    }
}

/// The clock that stops while the job is paused, if it does (W25).
fn keep_time(
    status: &mut BroadcastJobStatus,
    snapshot: &Snapshot,
    paused: Option<Pauser>,
    now: Timestamp,
) {
    let stops = snapshot.settings.completion.stop_clock;
    match (status.paused_since.take(), paused.filter(|_| stops)) {
        (since, Some(_)) => status.paused_since = Some(since.unwrap_or_else(|| second(now))),
        (Some(since), None) => {
            let seconds = now.duration_since(since.0).as_secs().max(0);
            status.paused_seconds = status.paused_seconds.saturating_add(seconds);
        }
        (None, None) => {}
    }
}

/// The status of a job that has come to this end (§15, R6): what is at work when it fails counts as failed, and is
/// recorded so before it is ended.
fn ended(snapshot: &Snapshot, ending: Ending, now: Timestamp) -> BroadcastJobStatus {
    let census = snapshot.census();
    let mut status = compute(snapshot, &Plan::default(), &Applied::default(), now);
    let completed = ending == Ending::Complete;
    if completed {
        // What may not stay where it is goes too, and nobody will count again.
        status.active =
            number(census.strays.iter().filter(|stray| stray.is_running_twin()).count());
    } else {
        let mut failed = census.failed.clone();
        let places = census.places.iter();
        let at_work = places.filter(|place| place.standing == Standing::Active);
        failed.extend(at_work.map(|place| place.mark));
        let strays = census.strays.iter().filter(|stray| stray.class == Class::Active);
        let nameless = strays.clone().filter(|stray| stray.mark.is_none()).count();
        failed.extend(strays.filter_map(|stray| stray.mark));
        status.failed = number(failed.len() + census.past.1 + nameless);
        status.active = 0;
        let results = status.results.get_or_insert_default();
        results.failed = mark::write(&failed);
        results.acknowledged = String::new();
    }
    status.completion_time = Some(second(now));
    status.phase = String::from(if completed { "completed" } else { "failed" });
    let kind = if completed { keys::CONDITION_COMPLETE } else { keys::CONDITION_FAILED };
    let message = match ending {
        Ending::Complete => {
            let (succeeded, failed) = (status.succeeded, status.failed);
            format!("Job completed, {succeeded} pods succeeded, {failed} pods failed")
        }
        Ending::FailedPod => FAILED_POD.to_owned(),
        Ending::Deadline => deadline_message(snapshot),
    };
    conditions::end(&mut status.conditions, kind, message, now);
    status
}

/// The write that records the end.
pub fn finish(snapshot: &Snapshot, ending: Ending, now: Timestamp) -> Write {
    write(snapshot, &ended(snapshot, ending, now))
}

/// Succeeded and failed pods as they are counted at this end.
pub fn final_counts(snapshot: &Snapshot, ending: Ending) -> (i32, i32) {
    // Only times depend on the time.
    let status = ended(snapshot, ending, Timestamp::UNIX_EPOCH);
    (status.succeeded, status.failed)
}

/// Why a job that took too long has failed (§4).
pub fn deadline_message(snapshot: &Snapshot) -> String {
    format!("Job {} was active longer than specified deadline", snapshot.job.meta.key)
}

/// Kubernetes stores whole seconds; anything finer would differ from what is read back.
fn second(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}
