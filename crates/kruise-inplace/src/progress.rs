//! Is the last in-place update of a pod finished, and if not, what is missing (§10)?
//!
//! Only containers that the update named are looked at: a sidecar in transition is somebody else's business (§18.6).

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use kruise_api::keys;
use kruise_api::shared::inplace::{LastStatus, UpdateState, rfc3339};
use kruise_common::moment::Moment;
use kruise_common::pod::{Container, ContainerStatus, Pod};

use crate::conditions;
use crate::hash;
use crate::resize;
use crate::state::{grace_state, update_state};

/// How far an in-place update is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Finished, or there never was one.
    Complete,
    /// Something is missing.
    Incomplete(Missing),
}

/// What an in-place update still needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The grace period has not ended.
    Grace,
    /// Later batches wait.
    NextBatch,
    /// A container has not been restarted with its new image.
    Restart {
        /// Container.
        container: String,
        /// Why the kubelet does not start it, if it says so.
        waiting: String,
    },
    /// The kubelet reports nothing of a container.
    Status {
        /// Container.
        container: String,
    },
    /// A container runs the image of an update that another one has overtaken; it is about to be restarted again (W27).
    Superseded {
        /// Container.
        container: String,
    },
    /// Env of a container is older than the metadata that it reads.
    Env {
        /// Container.
        container: String,
    },
    /// CPU and memory of a container were not asked for yet, or the API server refused them.
    Unsent {
        /// Container.
        container: String,
    },
    /// CPU and memory of a container are not yet what was asked for.
    Resize {
        /// Container.
        container: String,
        /// What the kubelet says, if it does.
        why: String,
    },
    /// The node can never give a container what was asked for (W17).
    Infeasible {
        /// Container.
        container: String,
    },
    /// An annotation cannot be read; the next update overwrites it.
    Corrupt {
        /// Annotation.
        key: &'static str,
        /// Why.
        problem: String,
    },
    /// A hook allows no update in this state.
    Lifecycle {
        /// Lifecycle state.
        state: String,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grace => f.write_str("still in grace period of in-place update"),
            Self::NextBatch => f.write_str("containers wait for the next batch"),
            Self::Restart { container, waiting } if waiting.is_empty() => {
                write!(f, "restart of container {container}")
            }
            Self::Restart { container, waiting } => {
                write!(f, "restart of container {container} ({waiting})")
            }
            Self::Status { container } => write!(f, "status of container {container}"),
            Self::Superseded { container } => {
                write!(f, "second restart of container {container}, which runs an image overtaken")
            }
            Self::Env { container } => {
                write!(f, "restart of container {container} by kruise-daemon, for its env")
            }
            Self::Unsent { container } => {
                write!(f, "resize of container {container} (not sent yet)")
            }
            Self::Resize { container, why } if why.is_empty() => {
                write!(f, "resize of container {container}")
            }
            Self::Resize { container, why } => write!(f, "resize of container {container} ({why})"),
            Self::Infeasible { container } => {
                write!(
                    f,
                    "room on the node for the resources of container {container} (Infeasible)"
                )
            }
            Self::Corrupt { key, problem } => write!(f, "readable annotation {key}: {problem}"),
            Self::Lifecycle { state } => write!(f, "a lifecycle state other than {state}"),
        }
    }
}

/// How far the last in-place update of `pod` is.
pub fn progress(pod: &Pod) -> Progress {
    match missing(pod) {
        Some(missing) => Progress::Incomplete(missing),
        None => Progress::Complete,
    }
}

fn missing(pod: &Pod) -> Option<Missing> {
    let corrupt =
        |error: crate::state::Corrupt| Missing::Corrupt { key: error.key, problem: error.problem };
    match grace_state(pod) {
        Err(error) => return Some(corrupt(error)),
        Ok(Some(_)) => return Some(Missing::Grace),
        Ok(None) => {}
    }
    let state = match update_state(pod) {
        Err(error) => return Some(corrupt(error)),
        Ok(None) => return None,
        Ok(Some(state)) => state,
    };
    let missing = containers(pod, &state);
    // What never comes is said whatever waits for it.
    let stays =
        |missing: &Missing| matches!(missing, Missing::Infeasible { .. } | Missing::Unsent { .. });
    if has_next(&state) { missing.filter(stays).or(Some(Missing::NextBatch)) } else { missing }
}

/// Whether later batches wait.
pub(crate) fn has_next(state: &UpdateState) -> bool {
    !state.next_container_images.is_empty()
        || !state.next_container_ref_metadata.is_empty()
        || !state.next_container_resources.is_empty()
}

/// What the containers of the batches so far still need.
pub(crate) fn containers(pod: &Pod, state: &UpdateState) -> Option<Missing> {
    restarts(pod, state).or_else(|| {
        let mut amounts: Vec<Missing> = amounts(pod, state).map(|(_, missing)| missing).collect();
        // What may come yet hides nothing that does not.
        amounts.sort_by_key(|missing| matches!(missing, Missing::Resize { .. }));
        amounts.into_iter().next()
    })
}

/// What those of them that are restarted for an image or their env still need.
fn restarts(pod: &Pod, state: &UpdateState) -> Option<Missing> {
    let mut recorded = state.last_container_statuses.iter().flatten();
    recorded
        .find_map(|(name, last)| image(pod, state, name, last))
        .or_else(|| batched(state).into_iter().find_map(|name| env(pod, state, name)))
}

/// Containers that lack amounts which were asked for.
fn amounts<'a>(
    pod: &'a Pod,
    state: &'a UpdateState,
) -> impl Iterator<Item = (&'a str, Missing)> + 'a {
    resized(state).into_iter().filter_map(|name| {
        let missing = resize::missing(pod, name, state.container_resources.get(name));
        missing.map(|missing| (name, missing))
    })
}

/// Whether nothing is restarted any more for what the containers of the batches so far still need (§5.2).
pub(crate) fn restarts_nothing(pod: &Pod, state: &UpdateState) -> bool {
    restarts(pod, state).is_none()
        && amounts(pod, state)
            .all(|(name, _)| !resize::restarts(pod, name, state.container_resources.get(name)))
}

/// What a container whose image changed still needs.
pub(crate) fn image(
    pod: &Pod,
    state: &UpdateState,
    name: &str,
    last: &LastStatus,
) -> Option<Missing> {
    let container = name.to_owned();
    let Some((_, status)) = pod.status(name) else {
        // Of one that had been told of before there is more.
        let never = last.image_id.is_empty() && last.container_id.is_empty();
        return (!never || !conditions::is_ready_untold(pod))
            .then_some(Missing::Status { container });
    };
    let spec = pod.container(name).map(|(_, container)| container);
    if restarted(pod, (spec, status), last, state) {
        return None;
    }
    if lags(spec, status, last, state) {
        return Some(Missing::Superseded { container });
    }
    Some(Missing::Restart { container, waiting: status.waiting.to_string() })
}

/// What a container still needs whose env reads changed metadata (§10.2.2): the daemon's word that it was started with
/// the metadata of today.
pub(crate) fn env(pod: &Pod, state: &UpdateState, name: &str) -> Option<Missing> {
    let (_, container) = pod.container(name)?;
    if !state.update_env_from_metadata || container.env.is_empty() {
        return None;
    }
    // The kubelet starts a container whose image alone changes with the env of today. OpenKruise does not say who reads.
    let told = &state.env_containers;
    if !told.is_empty() && !told.iter().any(|told| told == name) {
        return None;
    }
    // What the daemon says of containers that restart later, or of metadata that others change, is no news of the update.
    if is_over(pod, state) {
        return None;
    }
    let report = hash::report(pod);
    let found = pod
        .status(name)
        .and_then(|(_, status)| hash::of(report.as_ref()?, status))
        .map(|found| found.hashes.extracted_env_from_metadata_hash);
    (found != Some(hash::env(pod, container))).then(|| Missing::Env { container: name.to_owned() })
}

/// How far the clocks of two leaders may be apart.
const APART: SignedDuration = SignedDuration::from_secs(60);

/// Whether an update that takes the pod out of traffic is over: the pod is back, or was, for the gate fell once more since
/// the update began, for another one.
fn is_over(pod: &Pod, state: &UpdateState) -> bool {
    let Some(gate) = pod.condition(keys::INPLACE_UPDATE_READY) else { return false };
    let began: Option<Timestamp> = state.update_timestamp.parse().ok();
    let fell = gate.since.map(Moment::timestamp);
    let again = fell.zip(began).is_some_and(|(fell, began)| fell.duration_since(began) > APART);
    gate.status || again
}

/// Containers of all batches so far.
pub(crate) fn batched(state: &UpdateState) -> BTreeSet<&str> {
    let batches = state.container_batches_record.iter();
    batches.flat_map(|batch| &batch.containers).map(String::as_str).collect()
}

/// Containers whose resources were changed; OpenKruise does not say which.
pub(crate) fn resized(state: &UpdateState) -> BTreeSet<&str> {
    match (state.update_resources, state.container_resources.is_empty()) {
        (false, _) => BTreeSet::new(),
        (true, false) => state.container_resources.keys().map(String::as_str).collect(),
        (true, true) => batched(state),
    }
}

/// Whether the image that runs is another than the wanted one, though the container is there in its new form: that of an
/// update which this one has overtaken, or the one that it replaces. Or whether it may be: OpenKruise records no container
/// ID, and the container was started in the second in which its update began.
pub fn lags(
    container: Option<&Container>,
    status: &ContainerStatus,
    last: &LastStatus,
    state: &UpdateState,
) -> bool {
    let replaced = || runs_replaced(container, status, last);
    runs_superseded(container, status, last)
        || (remade(status, last) && replaced())
        || (last.container_id.is_empty()
            && started_since(status, state, |a, b| a == b)
            && replaced())
}

/// Whether the image that runs is that of an update which another one has overtaken. Only the last of those is recorded, so
/// any image but the wanted one may be.
fn runs_superseded(
    container: Option<&Container>,
    status: &ContainerStatus,
    last: &LastStatus,
) -> bool {
    let wanted = |image: &str| container.is_some_and(|it| same_image(image, &it.image));
    if last.superseded.is_empty() || wanted(&last.superseded) || status.image.is_empty() {
        return false;
    }
    let other = last.container_id.is_empty() || remade(status, last);
    let known = || wanted(&status.image) || container.is_some_and(|it| same_digest(it, status));
    same_image(&last.superseded, &status.image) || (other && !known())
}

/// Whether the spec names the digest that runs.
fn same_digest(container: &Container, status: &ContainerStatus) -> bool {
    digest(&container.image).is_some_and(|wanted| digest(&status.image_id) == Some(wanted))
}

/// The digest that an image name or ID ends with.
pub fn digest(image: &str) -> Option<&str> {
    image.rsplit_once('@').map(|(_, digest)| digest)
}

/// Whether the container is another one than when the update began.
fn remade(status: &ContainerStatus, last: &LastStatus) -> bool {
    let known = !last.container_id.is_empty() && !status.container_id.is_empty();
    known && *status.container_id != *last.container_id
}

/// Whether the image has another ID than before, and no name but the wanted one. A kubelet would tell of another container
/// and name the image too, but not everything that plays nodes does, such as test suites that write statuses themselves.
/// A runtime gives the content that runs another name too, when another pod has pulled it from elsewhere.
fn renamed(container: Option<&Container>, status: &ContainerStatus, last: &LastStatus) -> bool {
    let content = digest(&status.image_id);
    let same = content.is_some() && content == digest(&last.image_id);
    let other = !status.image_id.is_empty() && *status.image_id != *last.image_id && !same;
    let wanted = |container: &Container| same_image(&container.image, &status.image);
    other && !last.image_id.is_empty() && (status.image.is_empty() || container.is_some_and(wanted))
}

/// Whether the container runs, as far as can be seen, the image that the update replaces: it crashed, and was started
/// again before the kubelet saw the new one, which will end it once more (W27). The same image under another name looks
/// alike where the runtime keeps to the first name, unless a digest tells that it is back.
fn runs_replaced(
    container: Option<&Container>,
    status: &ContainerStatus,
    last: &LastStatus,
) -> bool {
    let back = |it: &Container| !last.superseded.is_empty() && same_digest(it, status);
    let wanted = container.is_some_and(|it| same_image(&it.image, &status.image) || back(it));
    !last.image_id.is_empty() && *status.image_id == *last.image_id && !wanted
}

/// How long a container that [`lags`] is waited for. The kubelet restarts it at once if it is to run another.
const SETTLED: SignedDuration = SignedDuration::from_secs(60);

/// When [`settle`] is due for a container that [`lags`], whose runtime may know the wanted image by another name (W27);
/// `None` while it does not run.
pub fn settles(pod: &Pod, status: &ContainerStatus, last: &LastStatus) -> Option<Timestamp> {
    let started = status.started_at.map(Moment::timestamp)?;
    let seen = known_since(started, last);
    // The kubelet ends one container after another, and tells nothing meanwhile.
    let containers = i64::try_from(pod.containers.len()).unwrap_or(1);
    let ending = SignedDuration::from_secs(i64::from(pod.grace_seconds).saturating_mul(containers));
    let wait = if seen.is_some() { SETTLED.saturating_add(ending) } else { SETTLED };
    seen.unwrap_or(started).checked_add(wait).ok()
}

/// Takes a container that [`lags`] for the wanted one if it was seen long ago already that it stays, and records that it
/// does otherwise: one that was started long ago may have waited for the kubelet to be done with another container, and
/// be restarted now.
pub fn settle(status: &ContainerStatus, last: &mut LastStatus, now: Timestamp) {
    let started = status.started_at.map(Moment::timestamp);
    if started.and_then(|started| known_since(started, last)).is_none() {
        last.stays_since = rfc3339(now);
        return;
    }
    last.stays_since.clear();
    last.superseded.clear();
    last.image_id.clear();
}

/// Since when it is recorded that the container stays; a record from before its start is of another one.
fn known_since(started: Timestamp, last: &LastStatus) -> Option<Timestamp> {
    last.stays_since.parse().ok().filter(|since| *since >= started)
}

/// Whether the kubelet's status goes by the spec of now; taken for granted of kubelets that do not say.
pub fn seen_by_kubelet(pod: &Pod) -> bool {
    pod.observed_generation == 0 || pod.observed_generation >= pod.meta.generation
}

/// What is recorded of a container that is about to get another image; `earlier` is the state that records what has been
/// asked of it before, if anything has.
///
/// The kubelet may not have acted on an earlier update, nor started the container at all: then it may start that image yet,
/// or, if the container gets back what it runs, see only the last change and keep it (W27).
pub fn evidence(
    pod: &Pod,
    (container, status): (&Container, &ContainerStatus),
    image: &str,
    earlier: Option<&UpdateState>,
) -> LastStatus {
    let recorded = earlier.and_then(|state| {
        let last = state.last_container_statuses.as_ref()?.get(&*container.name)?;
        Some((state, last))
    });
    let overtaken = status.container_id.is_empty()
        || recorded
            .is_some_and(|(state, last)| !restarted(pod, (Some(container), status), last, state));
    let made_from = match recorded {
        _ if !overtaken => &*container.image,
        Some((_, last)) if *last.container_id == *status.container_id => last.made_from.as_str(),
        _ => "",
    };
    // The kubelet goes by the words of the spec. Where those are not known the runtime's have to do.
    let back = match made_from {
        "" => same_image(image, &status.image),
        known => known == image,
    };
    LastStatus {
        image_id: status.image_id.to_string(),
        container_id: status.container_id.to_string(),
        superseded: if overtaken { container.image.to_string() } else { String::new() },
        may_stay: overtaken && back,
        made_from: made_from.to_owned(),
        stays_since: String::new(),
    }
}

/// Whether the container runs what the update asked for. Any of these is evidence (W1, W27): another container ID than
/// recorded, or the same if it got its image back and the kubelet left it alone, or if its image has another ID under
/// the wanted name; the daemon's hash of what runs; without
/// a recorded ID (an update that OpenKruise began) another image ID, a start after the batch, or the wanted image name on
/// a container that runs. The container of the spec is an ordinary one or a native sidecar, if it is there.
pub fn restarted(
    pod: &Pod,
    (container, status): (Option<&Container>, &ContainerStatus),
    last: &LastStatus,
    state: &UpdateState,
) -> bool {
    if !last.may_stay && made_from_spec(pod, container, status) {
        return true;
    }
    if runs_superseded(container, status, last) {
        return false;
    }
    if !last.container_id.is_empty() {
        let stayed = last.may_stay && status.started_at.is_some() && seen_by_kubelet(pod);
        let remade = remade(status, last) && !runs_replaced(container, status, last);
        return stayed || remade || renamed(container, status, last);
    }
    // While a container is down its image ID may be empty: no evidence.
    if !status.image_id.is_empty() && *status.image_id != *last.image_id {
        return true;
    }
    if started_since(status, state, |started, began| started > began) {
        return true;
    }
    let named = container.is_some_and(|container| same_image(&container.image, &status.image));
    status.started_at.is_some() && named
}

/// Whether the start of the container is so to the beginning of its update; both have whole seconds.
fn started_since(
    status: &ContainerStatus,
    state: &UpdateState,
    is: impl Fn(Timestamp, Timestamp) -> bool,
) -> bool {
    let batch = state
        .container_batches_record
        .iter()
        .rev()
        .find(|batch| batch.containers.iter().any(|name| **name == *status.name));
    // Updates of sidecars have no batches.
    let began = batch.map_or(&state.update_timestamp, |batch| &batch.timestamp);
    let began = began.parse().ok();
    began.zip(status.started_at).is_some_and(|(began, started)| is(started.timestamp(), began))
}

/// Whether the daemon says that the container was made from the name and image of the spec (§10.2.4).
fn made_from_spec(pod: &Pod, container: Option<&Container>, status: &ContainerStatus) -> bool {
    let Some(report) = hash::report(pod) else { return false };
    let found = hash::of(&report, status);
    found
        .zip(container)
        .is_some_and(|(found, container)| found.hashes.plain_hash == hash::plain(container))
}

/// Whether two names mean the same image.
fn same_image(a: &str, b: &str) -> bool {
    normalized(a) == normalized(b)
}

/// An image name with its defaults written out, as runtimes report it: registry, `library/`, tag.
fn normalized(image: &str) -> String {
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let registry = first.contains(['.', ':']) || first == "localhost";
    let path = match (registry, first) {
        (true, _) => image.to_owned(),
        (false, "") => format!("docker.io/library/{rest}"),
        (false, _) => format!("docker.io/{image}"),
    };
    let last = path.rsplit('/').next().unwrap_or_default();
    if last.contains(['@', ':']) { path } else { format!("{path}:latest") }
}
