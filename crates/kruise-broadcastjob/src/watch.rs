//! Which jobs a change concerns; pure but for a look at the table of jobs.

use kruise_api::keys;
use kruise_common::key::ObjectKey;
use kruise_common::node::Node;
use kruise_common::table::{Change, Table};

use crate::job_pod::JobPod;
use crate::object::Job;

/// A job concerns itself.
pub fn job(change: &Change<Job>) -> Vec<ObjectKey> {
    let row = change.new.as_ref().or(change.old.as_ref());
    row.map(|job| job.meta.key.clone()).into_iter().collect()
}

/// The job that controls or controlled the pod, whatever version of the kind the reference names (§5).
pub fn pod(change: &Change<JobPod>) -> Vec<ObjectKey> {
    let rows = [change.old.as_deref(), change.new.as_deref()].into_iter().flatten();
    let mut jobs: Vec<ObjectKey> = rows
        .filter_map(|pod| {
            let owner = pod.meta.controller()?;
            let ours = *owner.group == *keys::GROUP && *owner.kind == *"BroadcastJob";
            ours.then(|| pod.meta.key.sibling(owner.name.clone()))
        })
        .collect();
    jobs.sort();
    jobs.dedup();
    jobs
}

/// All jobs that are not over, if the node came, went or changed so that a pod may fit or not fit any more. Heartbeats
/// concern nobody (§8.2, W18); a node that goes does (W11).
pub fn node(change: &Change<Node>, jobs: &Table<Job>) -> Vec<ObjectKey> {
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && !old.differs(new)
    {
        return Vec::new();
    }
    let open = |key: &ObjectKey| jobs.get(key).is_some_and(|job| !job.finished());
    jobs.keys().into_iter().filter(open).collect()
}
