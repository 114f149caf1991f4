//! Which calls an action means: one arm per [`Action`].

use jiff::Timestamp;
use kruise_common::kind::{BROADCAST_JOB, POD};
use kruise_common::write::{Operations, Write};

use crate::plan::action::Action;
use crate::pod;
use crate::snapshot::Snapshot;
use crate::status;

/// The calls of `action`, in order.
pub fn apply(snapshot: &Snapshot, action: &Action, now: Timestamp) -> Vec<Write> {
    let write = match action {
        Action::CreatePod { node, mark } => {
            snapshot.node(node).map(|node| pod::create(snapshot, node, *mark))
        }
        Action::DeletePod { pod, .. } => {
            snapshot.pod(pod).map(|pod| Write::delete(&POD, &pod.meta))
        }
        Action::StopPod { pod } => snapshot.pod(pod).map(|pod| {
            // The API server lets a deadline be added to or lowered on a pod that lives.
            let operations = Operations::default().add(&["spec", "activeDeadlineSeconds"], 1);
            Write::json(&POD, &pod.meta, operations)
        }),
        Action::OpenGate { pod } => snapshot.pod(pod).map(|pod| pod::open_gate(pod, now)),
        Action::Finish(ending) => Some(status::finish(snapshot, *ending, now)),
        // As it was seen: one that somebody gave another time to live, or something else to do, is not taken from them.
        Action::DeleteJob => Some(Write::delete_as_seen(&BROADCAST_JOB, &snapshot.job.meta)),
    };
    write.into_iter().collect()
}
