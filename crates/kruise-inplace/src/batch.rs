//! The writes of one batch of containers (§6).

use jiff::Timestamp;
use kruise_api::shared::inplace::{Batch, LastStatus, PreCheck, UpdateState, rfc3339};
use kruise_common::kind::POD;
use kruise_common::pod::Pod;
use kruise_common::write::{Operations, Write};
use serde_json::Value;

use crate::conditions;
use crate::diff::MetadataChange;
use crate::metadata;
use crate::progress::evidence;
use crate::resize::{self, Resize};
use crate::state::store;
use crate::work::{Work, values};

/// The writes that bring the next batch of `work`, and leave what it leaves in the state: `operations` with images,
/// metadata and state, then the resize, if there is one. The state holds what is asked for, so a resize that is not sent
/// is sent later.
pub(crate) fn next_batch(
    pod: &Pod,
    operations: Operations,
    state: &mut UpdateState,
    mut work: Work,
    now: Timestamp,
) -> Batched {
    let (names, batch) = work.split(pod);
    let mut operations = operations;
    for (name, image) in &batch.images {
        operations = set_image(pod, operations, state, (name, image));
    }
    for read in batch.env.values() {
        let set = |(key, value): (&String, &String)| (key.clone(), Some(value.clone()));
        let change = MetadataChange {
            labels: read.labels.iter().map(set).collect(),
            annotations: read.annotations.iter().map(set).collect(),
            ..MetadataChange::default()
        };
        operations = metadata::apply(pod, operations, &change);
    }
    // The server counts a changed spec; metadata is none.
    let generation = pod.meta.generation + i64::from(!batch.images.is_empty());
    let mut resize = Operations::default();
    // What an earlier batch has not sent yet must not look as if others had come after it.
    resize::renew(pod, &mut state.container_resources, generation, now);
    for (name, wanted) in &batch.resources {
        let Some((index, container)) = pod.container(name) else { continue };
        let lacks = wanted.clone().not_set(container);
        let asked = if lacks.is_empty() {
            resize::there(wanted, generation, now)
        } else {
            resize = lacks.apply(container, index, resize);
            resize::asked(wanted, generation)
        };
        state.container_resources.insert(name.clone(), asked);
    }
    if !resize.is_empty() {
        operations = operations.test(&["metadata", "generation"], pod.meta.generation);
    }
    state.next_container_images = work.images;
    state.next_container_ref_metadata = values(&work.env, metadata::env_value);
    state.next_container_resources = values(&work.resources, Resize::value);
    let containers: Vec<String> = names.into_iter().collect();
    let more = crate::progress::has_next(state);
    state.pre_check_before_next =
        more.then(|| PreCheck { containers_required_ready: containers.clone() });
    // Batches of updates that this one overtakes do not pile up.
    for earlier in &mut state.container_batches_record {
        earlier.containers.retain(|name| !containers.contains(name));
    }
    state.container_batches_record.retain(|earlier| !earlier.containers.is_empty());
    state.container_batches_record.push(Batch { timestamp: rfc3339(now), containers });
    let operations = store(pod, operations, state);
    Batched { resize, operations }
}

/// A batch, not sent yet.
pub(crate) struct Batched {
    resize: Operations,
    /// What happens to the pod itself.
    pub operations: Operations,
}

impl Batched {
    /// The writes, in order: one or two.
    pub fn writes(self, pod: &Pod) -> Vec<Write> {
        let Self { resize, operations } = self;
        let resize = (!resize.is_empty()).then(|| Write::json_resize(&POD, &pod.meta, resize));
        std::iter::once(Write::json(&POD, &pod.meta, operations)).chain(resize).collect()
    }
}

/// Sets an image; the container is tested to be the one that was seen, up to the image ID that is recorded as evidence.
fn set_image(
    pod: &Pod,
    mut operations: Operations,
    state: &mut UpdateState,
    (name, image): (&str, &str),
) -> Operations {
    let Some((index, container)) = pod.container(name) else { return operations };
    let at = index.to_string();
    let path = |member| ["spec", "containers", &at, member];
    operations = operations.test(&path("name"), name).test(&path("image"), &*container.image);
    if let Some((position, status)) = pod.status(name) {
        let position = position.to_string();
        let path = |member| ["status", "containerStatuses", &position, member];
        operations = operations.test(&path("name"), name).test(&path("imageID"), &*status.image_id);
        let last = evidence(pod, (container, status), image, Some(state));
        state.last_container_statuses.get_or_insert_default().insert(name.to_owned(), last);
    } else if pod.node.is_some() && !conditions::is_ready_untold(pod) {
        // Its kubelet may have begun with the image that it was made with (W27). One without a node has none.
        let last = LastStatus { superseded: container.image.to_string(), ..LastStatus::default() };
        state.last_container_statuses.get_or_insert_default().insert(name.to_owned(), last);
    }
    operations.replace(&path("image"), Value::from(image))
}
