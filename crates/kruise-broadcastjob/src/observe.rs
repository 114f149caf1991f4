//! From the caches to a [`Snapshot`].

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use kruise_common::key::ObjectKey;
use kruise_common::node::Node;
use kruise_common::refusal::Refusal;
use kruise_common::table::Table;

use crate::failures;
use crate::job_pod::JobPod;
use crate::mark::{self, Mark};
use crate::object::Job;
use crate::pod;
use crate::snapshot::{Settings, Snapshot};

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

/// What the caches say of the job, and which nodes' pods were `refused`; `None` if it is gone.
pub fn observe(
    caches: &Caches,
    by_scheduler: bool,
    refused: BTreeMap<Mark, Refusal>,
    key: &ObjectKey,
) -> Option<Snapshot> {
    let job = caches.jobs.get(key);
    let departed = departed(caches, key, job.as_deref());
    let job = job?;
    let settings = Settings::new(&job.spec, job.unreadable.clone());
    let failures = failures::read(&job.status.failures);
    // A reference from another namespace counts for nothing: whoever may write there must not reach into this one.
    let mut pods = caches.pods.owned_by(&job.meta.uid);
    pods.retain(|pod| pod.meta.key.namespace == job.meta.key.namespace);
    // What is over asks for no node.
    let nodes =
        if job.finished() { Vec::new() } else { caches.nodes.with_prefix(&Arc::from(""), "") };
    // All that could stand in the way bears a name like ours: one walk, however many nodes there are.
    let mut strangers = if nodes.is_empty() { Vec::new() } else { namesakes(caches, &job) };
    strangers.retain(|pod| pod.meta.controller().is_none_or(|owner| owner.uid != job.meta.uid));
    let counted = OnceLock::new();
    Some(Snapshot {
        job,
        settings,
        failures,
        pods,
        departed,
        nodes,
        strangers,
        by_scheduler,
        refused,
        counted,
    })
}

/// Pods with a name as this controller gives it to pods of the job, whoever owns them.
fn namesakes(caches: &Caches, job: &Job) -> Vec<Arc<JobPod>> {
    let mut pods = caches.pods.with_prefix(&job.meta.key.namespace, &pod::prefix(job));
    pods.retain(|known| pod::mark(job, known).is_some());
    pods
}

/// Pods of the job that succeeded and are gone before its status says so (W16). What nobody asks for any more is
/// forgotten: what is recorded, and pods of jobs that are over, gone or others by now.
fn departed(caches: &Caches, key: &ObjectKey, job: Option<&Job>) -> Vec<Arc<JobPod>> {
    let pods = &caches.pods;
    let concerns = |pod: &JobPod| {
        let owner = pod.meta.controller();
        pod.meta.key.namespace == key.namespace && owner.is_some_and(|o| *o.name == *key.name)
    };
    let Some(job) = job.filter(|job| !job.finished()) else {
        pods.bury(concerns);
        return Vec::new();
    };
    let ours = |pod: &JobPod| pod.meta.controller().is_some_and(|o| o.uid == job.meta.uid);
    // What a standby has heard of jobs that are gone concerns nobody's turn.
    pods.bury(|pod| {
        let owner = pod.meta.controller();
        owner.is_none_or(|o| caches.jobs.get(&pod.meta.key.sibling(&*o.name)).is_none())
    });
    if pods.departed(concerns).is_empty() {
        return Vec::new();
    }
    let results = job.status.results.as_ref();
    let recorded = results.map(|results| mark::read(&results.succeeded)).unwrap_or_default();
    // A pod of another maker counts under the mark of its node, or under its own.
    let node = |pod: &JobPod| caches.nodes.get(&ObjectKey::new("", pod.node()?));
    let known = |pod: &JobPod| {
        let of_node = || node(pod).map(|node| Mark::of(&job.meta.uid, &node.meta.uid));
        let marks =
            [pod::mark(job, pod).or_else(of_node), Some(Mark::of(&job.meta.uid, &pod.meta.uid))];
        marks.into_iter().flatten().any(|mark| recorded.contains(&mark))
    };
    pods.bury(|pod| concerns(pod) && (!ours(pod) || known(pod)));
    pods.departed(concerns)
}
