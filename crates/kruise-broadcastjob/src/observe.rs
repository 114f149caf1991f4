//! From the caches to a [`Snapshot`].

use std::sync::{Arc, OnceLock};

use kruise_common::key::ObjectKey;
use kruise_common::node::Node;
use kruise_common::table::Table;

use crate::job_pod::JobPod;
use crate::mark::Mark;
use crate::object::Job;
use crate::pod;
use crate::snapshot::{Invalid, Settings, Snapshot};

/// The caches a job is observed in.
#[derive(Debug)]
pub struct Caches {
    /// Jobs.
    pub jobs: Arc<Table<Job>>,
    /// Pods of jobs.
    pub pods: Arc<Table<JobPod>>,
    /// Nodes.
    pub nodes: Arc<Table<Node>>,
}

/// What the caches say of the job; `None` if it is gone.
pub fn observe(caches: &Caches, by_scheduler: bool, key: &ObjectKey) -> Option<Snapshot> {
    let job = caches.jobs.get(key)?;
    let settings = match &job.spec {
        Ok(spec) => Settings::new(spec),
        Err(problem) => Err(Invalid { field: "spec".to_owned(), problem: problem.clone() }),
    };
    // A reference from another namespace counts for nothing: whoever may write there must not reach into this one.
    let mut pods = caches.pods.owned_by(&job.meta.uid);
    pods.retain(|pod| pod.meta.key.namespace == job.meta.key.namespace);
    // What is over asks for no node.
    let nodes =
        if job.finished() { Vec::new() } else { caches.nodes.with_prefix(&Arc::from(""), "") };
    let strangers = nodes.iter().filter_map(|node| {
        let name = pod::name(&job, Mark::of(&job.meta.uid, &node.meta.uid));
        let pod = caches.pods.get(&key.sibling(name))?;
        let ours = pod.meta.controller().is_some_and(|owner| owner.uid == job.meta.uid);
        (!ours).then_some(pod)
    });
    let strangers = strangers.collect();
    let counted = OnceLock::new();
    Some(Snapshot { job, settings, pods, nodes, strangers, by_scheduler, counted })
}
