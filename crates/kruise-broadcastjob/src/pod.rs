//! The pod of a node: its name, and what it is made of (§11).

use jiff::Timestamp;
use kruise_api::keys;
use kruise_api::shared::inplace::rfc3339;
use kruise_common::kind::{BROADCAST_JOB, POD};
use kruise_common::node::Node;
use kruise_common::write::Write;
use serde_json::{Map, Value, json};

use crate::job_pod::JobPod;
use crate::mark::Mark;
use crate::object::Job;
use crate::snapshot::Snapshot;

/// Most characters of a pod's name: it becomes its host name.
const LONGEST: usize = 63;

/// The name of the pod with this mark.
pub fn name(job: &Job, mark: Mark) -> String {
    format!("{}{mark}", prefix(job))
}

/// What stands before the mark.
pub fn prefix(job: &Job) -> String {
    format!("{}-", stem(job))
}

/// What the names of a job's pods begin with. What is cut off does no harm: the mark tells jobs apart too.
fn stem(job: &Job) -> &str {
    let room = LONGEST - 1 - Mark::LENGTH;
    job.name().get(..room).unwrap_or(job.name())
}

/// The mark in the name of a pod that this controller made for the job.
pub fn mark(job: &Job, pod: &JobPod) -> Option<Mark> {
    Mark::parse(pod.name().strip_prefix(stem(job))?.strip_prefix('-')?)
}

/// The POST that creates the pod of `node`.
pub fn create(snapshot: &Snapshot, node: &Node, mark: Mark) -> Write {
    let job = &snapshot.job;
    let template: Value = snapshot.settings.template.parse().unwrap_or_default();
    let member = |name: &str| template.get(name).and_then(Value::as_object).cloned();
    let given = member("metadata").unwrap_or_default();
    // Only these travel from the template to the pod (§11.1).
    let kept = |name: &str| given.get(name).filter(|value| !value.is_null()).cloned();
    let mut labels = kept("labels").and_then(|l| l.as_object().cloned()).unwrap_or_default();
    labels.insert(keys::BROADCASTJOB_NAME.into(), json!(job.name()));
    labels.insert(keys::BROADCASTJOB_UID.into(), json!(&*job.meta.uid));
    let mut meta = Map::new();
    meta.insert("labels".into(), Value::Object(labels));
    for name in ["annotations", "finalizers"] {
        if let Some(value) = kept(name) {
            meta.insert(name.into(), value);
        }
    }
    let owner = job.meta.controller_reference(&BROADCAST_JOB);
    meta.insert("ownerReferences".into(), json!([owner]));
    let mut spec = member("spec").unwrap_or_default();
    if snapshot.by_scheduler {
        pin(&mut spec, node.name());
    } else {
        spec.insert("nodeName".into(), json!(node.name()));
    }
    let body = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec });
    Write::create(&POD, job.meta.key.sibling(name(job, mark)), body)
}

/// The write that says for the first time that nothing blocks the pod, as OpenKruise's controller of the gate does.
pub fn open_gate(pod: &JobPod, now: Timestamp) -> Write {
    let condition = json!({
        "type": keys::KRUISE_POD_READY, "status": "True", "lastProbeTime": null, "lastTransitionTime": rfc3339(now),
    });
    Write::strategic_status(&POD, &pod.meta, json!({ "status": { "conditions": [condition] } }))
}

/// Replaces the required node affinity by the node's name; everything else of the affinity stays (§11.2).
fn pin(spec: &mut Map<String, Value>, node: &str) {
    let mut affinity = taken(spec, "affinity");
    let mut to_nodes = taken(&mut affinity, "nodeAffinity");
    let required = json!({ "nodeSelectorTerms": [{
        "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [node] }],
    }] });
    to_nodes.insert("requiredDuringSchedulingIgnoredDuringExecution".into(), required);
    affinity.insert("nodeAffinity".into(), Value::Object(to_nodes));
    spec.insert("affinity".into(), Value::Object(affinity));
}

/// The member taken out; empty if it is no object.
fn taken(parent: &mut Map<String, Value>, member: &str) -> Map<String, Value> {
    match parent.remove(member) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}
