//! Is the last in-place update of a pod finished, and if not, what is missing (§10)?
//!
//! Only containers that the update named are looked at: a sidecar in transition is somebody else's business (§18.6).

use std::fmt;

use jiff::Timestamp;
use kruise_api::shared::inplace::{LastStatus, UpdateState};
use kruise_common::pod::{ContainerStatus, Pod};

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
    if has_next(&state) {
        return Some(Missing::NextBatch);
    }
    containers(pod, &state)
}

/// Whether later batches wait.
pub(crate) fn has_next(state: &UpdateState) -> bool {
    !state.next_container_images.is_empty()
        || !state.next_container_ref_metadata.is_empty()
        || !state.next_container_resources.is_empty()
}

/// What the containers of the batches so far still need.
pub(crate) fn containers(pod: &Pod, state: &UpdateState) -> Option<Missing> {
    let recorded = state.last_container_statuses.iter().flatten();
    for (name, last) in recorded {
        let Some((_, status)) = pod.status(name) else {
            return Some(Missing::Status { container: name.clone() });
        };
        if !restarted(pod, status, last, state) {
            let waiting = status.waiting.to_string();
            return Some(Missing::Restart { container: name.clone(), waiting });
        }
    }
    None
}

/// Whether the container runs what the update asked for. Any of these is evidence (W1, W27): another container ID than
/// recorded; without a recorded one (an update that OpenKruise began, or one that takes an image back) another image
/// ID, a start after the batch, or the wanted image name on a container that runs.
pub fn restarted(
    pod: &Pod,
    status: &ContainerStatus,
    last: &LastStatus,
    state: &UpdateState,
) -> bool {
    if !last.container_id.is_empty() {
        return !status.container_id.is_empty() && *status.container_id != *last.container_id;
    }
    // While a container is down its image ID may be empty: no evidence.
    if !status.image_id.is_empty() && *status.image_id != *last.image_id {
        return true;
    }
    let began = state
        .container_batches_record
        .iter()
        .rev()
        .find(|batch| batch.containers.iter().any(|name| **name == *status.name));
    let began = began.and_then(|batch| batch.timestamp.parse::<Timestamp>().ok());
    if let (Some(began), Some(started)) = (began, status.started_at)
        && started.timestamp() > began
    {
        return true;
    }
    let wanted = pod.container(&status.name).map(|(_, container)| &*container.image);
    status.started_at.is_some() && wanted.is_some_and(|wanted| same_image(wanted, &status.image))
}

/// Whether two names mean the same image.
pub(crate) fn same_image(a: &str, b: &str) -> bool {
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
