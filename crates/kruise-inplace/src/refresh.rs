//! Upkeep of one pod: end of a grace period, next batch, gates back to true, lifecycle states (§7, §8, §9, §12, §13).
//!
//! One call per pod and turn, at most one write. Nothing is written that is there already.

use jiff::{SignedDuration, Timestamp};
use kruise_api::keys;
use kruise_api::shared::inplace::{GraceState, UpdateState, rfc3339};
use kruise_api::shared::readiness::PRE_UPDATE;
use kruise_api::statefulset::v1beta1::Lifecycle;
use kruise_common::kind::POD;
use kruise_common::moment::Moment;
use kruise_common::pod::Pod;
use kruise_common::write::{Operations, Write};
use serde_json::{Value, json};

use crate::batch::next_batch;
use crate::conditions;
use crate::diff::MetadataChange;
use crate::lifecycle::{self, HookPending};
use crate::metadata;
use crate::progress::{
    self, Missing, containers, has_next, restarts_nothing, seen_by_kubelet, settles,
};
use crate::resize;
use crate::state::{drop_grace, grace_state, grace_test, state_test, store, update_state};
use crate::work::Work;

/// What the upkeep of a pod depends on beside the pod.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The workload's hooks.
    pub lifecycle: Option<&'a Lifecycle>,
    /// Name of the update revision.
    pub update_revision: &'a str,
}

/// The upkeep that is due.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refresh {
    /// The writes: none, one, or two if a resize goes with a batch.
    pub writes: Vec<Write>,
    /// What they do, in words.
    pub what: String,
    /// What the pod waits for.
    pub waiting: Option<Waiting>,
    /// The update that ends with these writes: the pod is back in traffic.
    pub finished: Option<Finished>,
    /// Whether the writes go on with an update: they may be refused like its first ones, and a newer update takes over
    /// what they would do.
    pub moves: bool,
}

/// An in-place update that has ended (W21).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// When it began, the grace period included.
    pub since: Timestamp,
    /// What changed: `image`, else `env`, else `resources`, else `metadata`.
    pub changed: &'static str,
}

impl Finished {
    /// What the state says of an update that ends now.
    fn of(state: &UpdateState) -> Option<Self> {
        let changed = match state {
            UpdateState { update_images: true, .. } => "image",
            UpdateState { update_env_from_metadata: true, .. } => "env",
            UpdateState { update_resources: true, .. } => "resources",
            _ => "metadata",
        };
        Some(Self { since: state.update_timestamp.parse().ok()?, changed })
    }
}

/// What a pod waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The end of the grace period.
    Grace {
        /// When it ends.
        until: Timestamp,
    },
    /// The rest of its in-place update.
    Incomplete(Missing),
    /// A container that runs an image overtaken: if it is the wanted one under another name, it stays (W27).
    Settling {
        /// When it is taken for the wanted one.
        until: Timestamp,
    },
    /// A hook.
    Hook(HookPending),
}

impl Refresh {
    fn write(what: impl Into<String>, write: Write) -> Self {
        Self { writes: vec![write], what: what.into(), ..Self::default() }
    }

    fn moving(what: impl Into<String>, writes: Vec<Write>) -> Self {
        Self { writes, what: what.into(), moves: true, ..Self::default() }
    }

    fn wait(waiting: Waiting) -> Self {
        Self { waiting: Some(waiting), ..Self::default() }
    }
}

/// The upkeep of `pod` at `now`.
pub fn refresh(pod: &Pod, context: &Context<'_>, now: Timestamp) -> Refresh {
    let (grace, state) = match (grace_state(pod), update_state(pod)) {
        (Ok(grace), Ok(state)) => (grace, state),
        (Err(error), _) | (_, Err(error)) => {
            let missing = Missing::Corrupt { key: error.key, problem: error.problem };
            return Refresh::wait(Waiting::Incomplete(missing));
        }
    };
    if let Some(grace) = grace {
        return finish_grace(pod, &grace, state, now);
    }
    if let Some(state) = &state {
        let missing = containers(pod, state);
        // What waits only for amounts, and is not restarted for them, goes on and serves meanwhile: the node may have no room
        // for long.
        if missing.is_some() && restarts_nothing(pod, state) {
            let on = if has_next(state) {
                advance(pod, state, now)
            } else {
                settle(pod, context, Some(state), now)
            };
            if !on.writes.is_empty() {
                return Refresh { waiting: missing.map(Waiting::Incomplete), ..on };
            }
        }
        if let Some(resend) = resend(pod, state, now) {
            return resend;
        }
        if let Some(missing) = missing {
            return unfinished(pod, state, missing, now);
        }
        if has_next(state) {
            return advance(pod, state, now);
        }
    }
    settle(pod, context, state.as_ref(), now)
}

/// The resize that an update asked for and has not sent.
fn resend(pod: &Pod, state: &UpdateState, now: Timestamp) -> Option<Refresh> {
    let operations = resize::send(pod, state, now)?;
    let Some(renewed) = resize::renewed(pod, state, now) else {
        let write = Write::json_resize(&POD, &pod.meta, state_test(pod, operations));
        return Some(Refresh::moving("resize that was not sent", vec![write]));
    };
    let seen = Operations::default().test(&["metadata", "generation"], pod.meta.generation);
    let operations = store(pod, state_test(pod, seen), &renewed);
    // Not a part of the move: nobody refuses it, and it must not rest while that does.
    let write = Write::json(&POD, &pod.meta, operations);
    Some(Refresh::write("resize that others came before", write))
}

/// A container has not become what it should. One that stays at an image overtaken runs the wanted one, of which the
/// runtime knows another name: that is written down, for no event will tell.
fn unfinished(pod: &Pod, state: &UpdateState, missing: Missing, now: Timestamp) -> Refresh {
    let Missing::Superseded { container } = &missing else {
        return Refresh::wait(Waiting::Incomplete(missing));
    };
    let mut state = state.clone();
    let last = state.last_container_statuses.as_mut().and_then(|all| all.get_mut(container));
    let known = pod.status(container).map(|(_, status)| status).zip(last);
    let Some((status, last)) = known.filter(|_| seen_by_kubelet(pod)) else {
        return Refresh::wait(Waiting::Incomplete(missing));
    };
    match settles(pod, status, last) {
        None => return Refresh::wait(Waiting::Incomplete(missing)),
        Some(until) if now < until => return Refresh::wait(Waiting::Settling { until }),
        Some(_) => progress::settle(status, last, now),
    }
    let mut operations = state_test(pod, Operations::default());
    if let Some((at, status)) = pod.status(container) {
        let (at, id) = (at.to_string(), Some(&*status.container_id).filter(|id| !id.is_empty()));
        operations = operations.test(&["status", "containerStatuses", &at, "containerID"], id);
    }
    let operations = store(pod, operations, &state);
    let what = format!("container {container} stays");
    Refresh::write(what, Write::json(&POD, &pod.meta, operations))
}

/// §8: the image changes when the grace period has run out; a second is added because the stored time has whole
/// seconds, so that it is never shortened (W20).
fn finish_grace(
    pod: &Pod,
    grace: &GraceState,
    state: Option<UpdateState>,
    now: Timestamp,
) -> Refresh {
    let corrupt = |key, problem: String| {
        Refresh::wait(Waiting::Incomplete(Missing::Corrupt { key, problem }))
    };
    let operations = grace_tests(pod);
    if pod.revision() != Some(&grace.revision) {
        // Another revision is wanted by now: the update starts over.
        let write = Write::json(&POD, &pod.meta, drop_grace(pod, operations));
        return Refresh::write("drop a grace period for another revision", write);
    }
    let Some(mut state) = state else {
        let problem = "is missing although a grace period runs".to_owned();
        return corrupt(keys::INPLACE_UPDATE_STATE, problem);
    };
    let Ok(began) = state.update_timestamp.parse::<Timestamp>() else {
        return corrupt(keys::INPLACE_UPDATE_STATE, "has no readable updateTimestamp".to_owned());
    };
    let length = SignedDuration::from_secs(i64::from(grace.grace_seconds) + 1);
    let until = began.checked_add(length).unwrap_or(now);
    if now < until {
        return Refresh::wait(Waiting::Grace { until });
    }
    let mut change = match metadata::read_patch(&grace.meta_data_patch) {
        Ok(change) => change,
        Err(problem) => return corrupt(keys::INPLACE_UPDATE_GRACE, problem),
    };
    let mut work = Work::waiting(grace);
    work.fit(pod, &mut change);
    let operations = metadata::apply(pod, operations, &change);
    let mut batch = next_batch(pod, operations, &mut state, work, now);
    batch.operations = drop_grace(pod, batch.operations);
    Refresh::moving("end of the grace period: new image", batch.writes(pod))
}

/// Tests that the grace annotation and the revision label are those that were read.
fn grace_tests(pod: &Pod) -> Operations {
    let operations = grace_test(pod, Operations::default());
    match pod.revision() {
        Some(name) => {
            operations.test(&["metadata", "labels", keys::CONTROLLER_REVISION_HASH], name)
        }
        None => operations,
    }
}

/// §9: the next batch, once the containers of the last one are ready.
fn advance(pod: &Pod, state: &UpdateState, now: Timestamp) -> Refresh {
    let required = state.pre_check_before_next.clone().unwrap_or_default();
    let unready = required
        .containers_required_ready
        .iter()
        .find(|name| !pod.status(name).is_some_and(|(_, status)| status.ready));
    if unready.is_some() {
        return Refresh::wait(Waiting::Incomplete(Missing::NextBatch));
    }
    let (mut next, mut change) = (state.clone(), MetadataChange::default());
    let mut work = Work::next(state);
    work.fit(pod, &mut change);
    let operations = metadata::apply(pod, state_test(pod, Operations::default()), &change);
    let batch = next_batch(pod, operations, &mut next, work, now);
    Refresh::moving("next batch of containers", batch.writes(pod))
}

/// Nothing is under way: gates true, lifecycle one state further, if that is not so already.
fn settle(
    pod: &Pod,
    context: &Context<'_>,
    state: Option<&UpdateState>,
    now: Timestamp,
) -> Refresh {
    let next = lifecycle::next(pod, context.lifecycle, context.update_revision, true);
    let mut list = Vec::new();
    let gate = keys::INPLACE_UPDATE_READY;
    let down = !pod.condition(gate).is_some_and(|condition| condition.status);
    if pod.gated_by(gate) && down {
        list.push(conditions::gate_true(gate, now));
    }
    let pod_ready = keys::KRUISE_POD_READY;
    if pod.gated_by(pod_ready) && pod.condition(pod_ready).is_none() {
        list.push(conditions::gate_true(pod_ready, now));
    } else if matches!(
        next.unwrap_or(lifecycle::state(pod)),
        "" | "Updated" | "Normal" | "PreparingNormal"
    ) {
        // Also where no transition does it: OpenKruise leaves it behind in some cases (W-19).
        list.extend(conditions::unblock(pod, PRE_UPDATE, now));
    }
    let waiting = lifecycle::waits(pod, context.lifecycle).map(Waiting::Hook);
    if list.is_empty() && next.is_none() {
        return Refresh { waiting, ..Refresh::default() };
    }
    let what = match next {
        Some(next) => format!("{} → {next}", lifecycle::state(pod)),
        None => "gates true".to_owned(),
    };
    let new = |condition: &Value| {
        let kind = condition.get("type").and_then(Value::as_str).unwrap_or_default();
        pod.condition(kind).is_none()
    };
    // A first True needs no evidence, and while a pod starts its list changes too often to name an index in it.
    let write = if state.is_none() && !list.is_empty() && list.iter().all(new) {
        merge(pod, &list, next, now)
    } else {
        verified(pod, state, list, next, now)
    };
    // A gate that rises again, not the first one of a new pod.
    let down = pod.condition(gate).filter(|known| pod.gated_by(gate) && !known.status);
    // One that fell after the update that is recorded fell for another one, which was refused.
    let of_this = |ended: &Finished| {
        let fell = down.and_then(|known| known.since).map(Moment::timestamp);
        fell.is_none_or(|fell| fell <= ended.since)
    };
    let finished = state.filter(|_| down.is_some()).and_then(Finished::of).filter(of_this);
    Refresh { finished, ..Refresh::write(what, write) }
}

/// Conditions and state by strategic merge: conditions merge by type.
fn merge(pod: &Pod, list: &[Value], next: Option<&str>, now: Timestamp) -> Write {
    let mut body = json!({});
    if let Some(next) = next {
        let mut annotations = lifecycle::untold(pod).annotations;
        annotations.insert(keys::LIFECYCLE_TIMESTAMP.to_owned(), Some(rfc3339(now)));
        body = json!({ "metadata": {
            "labels": { keys::LIFECYCLE_STATE: next },
            "annotations": annotations,
        }});
    }
    if let Some(body) = body.as_object_mut() {
        body.insert("status".to_owned(), json!({ "conditions": list }));
    }
    Write::strategic_status(&POD, &pod.meta, body)
}

/// ③: bound to exactly what was verified: the state annotation, every updated container's image and container ID. A
/// second update that began meanwhile, or a container that died, makes it fail instead of marking the pod ready.
fn verified(
    pod: &Pod,
    state: Option<&UpdateState>,
    list: Vec<Value>,
    next: Option<&str>,
    now: Timestamp,
) -> Write {
    // Without a state the revision alone says that no update has begun since.
    let operations = match (state, pod.revision()) {
        (None, Some(name)) => Operations::default()
            .test(&["metadata", "labels", keys::CONTROLLER_REVISION_HASH], name),
        _ => Operations::default(),
    };
    let mut operations = state_test(pod, operations);
    let updated = state.and_then(|state| state.last_container_statuses.as_ref());
    for name in updated.into_iter().flatten().map(|(name, _)| name) {
        if let Some((index, container)) = pod.container(name) {
            let index = index.to_string();
            operations = operations
                .test(&["spec", "containers", &index, "name"], name.as_str())
                .test(&["spec", "containers", &index, "image"], &*container.image);
        }
        if let Some((index, status)) = pod.status(name) {
            let index = index.to_string();
            let path = ["status", "containerStatuses", &index, "containerID"];
            // A status without an ID has no such member: null is what equals that.
            let known = Some(&*status.container_id).filter(|id| !id.is_empty());
            operations = operations.test(&path, known);
        }
    }
    let on_status = !list.is_empty();
    operations = conditions::put(pod, operations, list);
    if let Some(next) = next {
        let path = ["metadata", "labels", keys::LIFECYCLE_STATE];
        operations = metadata::with_annotations(pod, operations.test(&path, lifecycle::state(pod)));
        operations = metadata::apply(pod, operations, &lifecycle::untold(pod))
            .replace(&path, next)
            .add(&["metadata", "annotations", keys::LIFECYCLE_TIMESTAMP], rfc3339(now));
    }
    if on_status {
        Write::json_status(&POD, &pod.meta, operations)
    } else {
        Write::json(&POD, &pod.meta, operations)
    }
}
