//! Starts an in-place update at the minimum of writes (§5, §6, §22):
//! ① the pod leaves traffic (status), ② image, revision label and state in one patch (spec), after it the resize.
//! What restarts no container needs no ①; with a grace period ② is sent later by `refresh`.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use kruise_api::keys;
use kruise_api::shared::inplace::{Batch, GraceState, RuntimeMeta, UpdateState, rfc3339};
use kruise_common::kind::POD;
use kruise_common::moment::Moment;
use kruise_common::pod::Pod;
use kruise_common::write::{Operations, Write};

use crate::batch::next_batch;
use crate::conditions;
use crate::diff::{Change, MetadataChange, NotInPlace};
use crate::hash;
use crate::lifecycle::{State, untold};
use crate::metadata;
use crate::progress::{batched, env, has_next, image, resized};
use crate::resize::{self, Resize};
use crate::state::{drop_grace, grace_test, state_test, store, update_state};
use crate::work::{Work, pending, values};

/// Where an update goes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Name of the update revision.
    pub revision: &'a str,
    /// Seconds between leaving traffic and the new image.
    pub grace_seconds: i32,
}

/// Whether `pod` can take the change where it is. What depends on the templates alone, [`crate::diff`] has said.
pub fn check(pod: &Pod, change: &Change, now: Timestamp) -> Result<(), NotInPlace> {
    let (_, work) = pending(pod, change, now);
    if !work.env.is_empty() {
        check_daemon(pod, &work, now)?;
    }
    resize::check(pod, &work.resources)
}

/// When the last in-place update of the pod began, if it had one.
pub fn began(pod: &Pod) -> Option<Timestamp> {
    update_state(pod).ok().flatten()?.update_timestamp.parse().ok()
}

/// When what the last in-place update changes of a container was asked for: with its batch, which may have come long after the
/// beginning.
pub fn asked(pod: &Pod, container: &str) -> Option<Timestamp> {
    let state = update_state(pod).ok().flatten()?;
    let mut batches = state.container_batches_record.iter().rev();
    let batch = batches.find(|batch| batch.containers.iter().any(|name| name == container));
    batch.map_or(&state.update_timestamp, |batch| &batch.timestamp).parse().ok()
}

/// Whether the node daemon can restart those whose env reads changed metadata, and tell when that is done.
fn check_daemon(pod: &Pod, work: &Work, now: Timestamp) -> Result<(), NotInPlace> {
    if !pod.gated_by(keys::INPLACE_UPDATE_READY) {
        // The daemon restarts only what is out of traffic (§20).
        let problem = format!("has no readiness gate {}", keys::INPLACE_UPDATE_READY);
        return Err(NotInPlace::Pod { problem });
    }
    let report = hash::report(pod);
    let reported = |name: &str| {
        let found = pod.status(name).and_then(|(_, status)| hash::of(report.as_ref()?, status));
        found.is_some_and(|found| found.hashes.extracted_env_from_metadata_hash != 0)
    };
    // It tells the end of every container of the update whose env reads metadata.
    let reads = |name: &str| pod.container(name).is_some_and(|(_, it)| !it.env.is_empty());
    let others = work.images.keys().chain(work.resources.keys()).filter(|name| reads(name));
    let asked: BTreeSet<&str> = work.env.keys().chain(others).map(String::as_str).collect();
    let unknown: Vec<&str> = asked.into_iter().filter(|name| !reported(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let containers = unknown.join(", ");
    let late = |name: &&str| report.as_ref().is_some_and(|report| is_late(pod, report, name, now));
    if unknown.iter().all(late) {
        return Err(NotInPlace::DaemonLate { containers });
    }
    Err(NotInPlace::NoDaemon { containers })
}

/// How long a daemon that is there may take to report of a container.
const REPORTED: SignedDuration = SignedDuration::from_secs(60);

/// Whether the daemon is there, and may yet report of a container that was started, or is about to be, a moment ago: it knew
/// the one before, or knows another one of the pod.
fn is_late(pod: &Pod, report: &RuntimeMeta, name: &str, now: Timestamp) -> bool {
    let status = pod.status(name).map(|(_, status)| status);
    let current = status.is_some_and(|status| hash::of(report, status).is_some());
    let known = report.containers.iter().any(|container| {
        container.name == name && container.hashes.extracted_env_from_metadata_hash != 0
    });
    let others = || pod.statuses.iter().any(|status| hash::of(report, status).is_some());
    let gate = pod.condition(keys::INPLACE_UPDATE_READY).and_then(|gate| gate.since);
    let since = status.and_then(|status| status.started_at).or(gate).map(Moment::timestamp);
    let young = since.is_some_and(|since| now.duration_since(since) < REPORTED);
    !current && young && (known || others())
}

/// The writes that start moving `pod` to the target. [`check`] has allowed it.
pub fn begin(pod: &Pod, change: &Change, target: &Target<'_>, now: Timestamp) -> Vec<Write> {
    let (metadata, work) = pending(pod, change, now);
    // Without the gate nobody would notice, and nobody would wait for the end of a grace period.
    let drains = work.restarts(pod) && pod.gated_by(keys::INPLACE_UPDATE_READY);
    let mut state = UpdateState {
        revision: target.revision.to_owned(),
        update_timestamp: rfc3339(now),
        update_images: !work.images.is_empty(),
        update_env_from_metadata: !work.env.is_empty(),
        update_resources: !work.resources.is_empty(),
        env_containers: work.env.keys().cloned().collect(),
        ..UpdateState::default()
    };
    carry_over(pod, &mut state, now);
    let busy = work.restarts(pod) || !state.container_batches_record.is_empty();
    let operations = start(pod, as_seen(pod, &work), (target.revision, busy), now);
    if target.grace_seconds > 0 && drains {
        let grace = grace(&metadata, &work, target);
        let operations = drop_grace(pod, store(pod, operations, &state))
            .add(&["metadata", "annotations", keys::INPLACE_UPDATE_GRACE], grace);
        return vec![Write::json_status(&POD, &pod.meta, drain(pod, operations, now))];
    }
    let operations = metadata::apply(pod, operations, &metadata);
    let mut batch = next_batch(pod, operations, &mut state, work, now);
    batch.operations = drop_grace(pod, batch.operations);
    let status =
        drains.then(|| Write::json_status(&POD, &pod.meta, drain(pod, as_planned(pod), now)));
    status.into_iter().chain(batch.writes(pod)).collect()
}

/// Keeps the evidence that an earlier update still waits for: whatever the new one changes, the pod is finished only when
/// both are. Its annotation alone remembers, for the new one overwrites it.
fn carry_over(pod: &Pod, state: &mut UpdateState, now: Timestamp) {
    let Ok(Some(old)) = update_state(pod) else { return };
    let mut kept: Vec<&str> = Vec::new();
    for (name, last) in old.last_container_statuses.iter().flatten() {
        if pod.container(name).is_some() && image(pod, &old, name, last).is_some() {
            let recorded = state.last_container_statuses.get_or_insert_default();
            recorded.insert(name.clone(), last.clone());
            state.update_images = true;
            kept.push(name);
        }
    }
    for name in batched(&old) {
        if env(pod, &old, name).is_some() {
            state.update_env_from_metadata = true;
            state.env_containers.push(name.to_owned());
            kept.push(name);
        }
    }
    state.env_containers.sort_unstable();
    state.env_containers.dedup();
    for name in resized(&old) {
        let asked = old.container_resources.get(name);
        if asked.is_some_and(|asked| resize::unsent(pod, name, asked, Some(now)).is_some()) {
            continue;
        }
        if resize::missing(pod, name, asked).is_some() {
            state.update_resources = true;
            kept.push(name);
            if let Some(asked) = asked {
                state.container_resources.insert(name.to_owned(), asked.clone());
            }
        }
    }
    // The last batch of each container tells when it was asked for.
    let mut told = BTreeSet::new();
    for batch in old.container_batches_record.iter().rev() {
        let containers = batch.containers.iter().filter(|name| kept.contains(&name.as_str()));
        let containers: Vec<String> =
            containers.filter(|name| told.insert(name.as_str())).cloned().collect();
        if !containers.is_empty() {
            let timestamp = batch.timestamp.clone();
            state.container_batches_record.insert(0, Batch { timestamp, containers });
        }
    }
}

/// ①: the gate falls, and `Ready` with it.
fn drain(pod: &Pod, operations: Operations, now: Timestamp) -> Operations {
    conditions::fall(pod, operations, conditions::gate_false(pod, now), now)
}

/// The tests of a plan. A pod that is restarted without leaving traffic first, because it is not ready anyway, must still be so.
fn as_seen(pod: &Pod, work: &Work) -> Operations {
    let operations = as_planned(pod);
    if pod.ready() || pod.gated_by(keys::INPLACE_UPDATE_READY) || !work.restarts(pod) {
        return operations;
    }
    conditions::as_long(pod, operations, "Ready")
}

/// Tests that the pod is at the revision, and in the midst of the plan, that were read: an update takes over what an
/// unfinished one has left to do.
fn as_planned(pod: &Pod) -> Operations {
    let path = ["metadata", "labels", keys::CONTROLLER_REVISION_HASH];
    let operations = match pod.revision() {
        Some(old) => Operations::default().test(&path, old),
        None => Operations::default(),
    };
    let unfinished = update_state(pod).ok().flatten().is_some_and(|state| has_next(&state));
    let operations = if unfinished { state_test(pod, operations) } else { operations };
    grace_test(pod, operations)
}

/// Label changes with which every update of a pod begins. One that is over with its own writes leaves the lifecycle
/// state of a pod that no hook holds.
fn start(
    pod: &Pod,
    mut operations: Operations,
    (revision, busy): (&str, bool),
    now: Timestamp,
) -> Operations {
    operations = metadata::with_labels(pod, operations);
    operations = metadata::with_annotations(pod, operations)
        .add(&["metadata", "labels", keys::CONTROLLER_REVISION_HASH], revision);
    operations = metadata::apply(pod, operations, &untold(pod));
    match (State::of(pod), busy) {
        // Pods without a state never get one (IP-19).
        (State::None, _) | (State::Normal | State::PreparingNormal, false) => operations,
        _ => operations
            .add(&["metadata", "labels", keys::LIFECYCLE_STATE], "Updating")
            .add(&["metadata", "annotations", keys::LIFECYCLE_TIMESTAMP], rfc3339(now)),
    }
}

/// The plan that waits for the end of a grace period: a restart of the controller finds everything on the pod.
fn grace(metadata: &MetadataChange, work: &Work, target: &Target<'_>) -> String {
    let grace = GraceState {
        revision: target.revision.to_owned(),
        container_images: work.images.clone(),
        container_ref_metadata: values(&work.env, metadata::env_value),
        container_resources: values(&work.resources, Resize::value),
        meta_data_patch: metadata::patch(metadata),
        update_env_from_metadata: !work.env.is_empty(),
        grace_seconds: target.grace_seconds,
    };
    serde_json::to_string(&grace).unwrap_or_default()
}
