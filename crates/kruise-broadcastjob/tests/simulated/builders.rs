//! Jobs, clusters and controllers for tests: each sets only what a test is about.

use std::sync::Arc;

use jiff::Timestamp;
use kruise_broadcastjob::controller::BroadcastJobController;
use kruise_broadcastjob::job_pod::WireJobPod;
use kruise_broadcastjob::object::WireJob;
use kruise_broadcastjob::observe::Caches;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{BROADCAST_JOB, NODE, POD};
use kruise_common::node::WireNode;
use kruise_common::testing::drive::{Drive, Process};
use kruise_common::testing::mirror::MirrorOf;
use kruise_common::testing::world::World;
use serde_json::{Value, json};

pub type Sim = Drive<BroadcastJobController>;

/// The beginning of simulated time.
pub fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A job `clean` whose pods succeed after a second.
pub fn clean() -> Value {
    json!({
        "metadata": { "name": "clean", "namespace": "default" },
        "spec": {
            "template": {
                "metadata": { "labels": { "app": "clean" } },
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{ "name": "c", "image": "example.com/clean:exit-0" }],
                },
            },
        },
    })
}

/// [`clean`] with changes.
pub fn clean_with(change: &Value) -> Value {
    let mut job = clean();
    merge(&mut job, change);
    job
}

/// A change of the container's image, that is of how its pods end.
pub fn image(tag: &str) -> Value {
    let container = json!({ "name": "c", "image": format!("example.com/clean:{tag}") });
    json!({ "spec": { "template": { "spec": { "containers": [container] } } } })
}

/// Merges `change` into the object.
pub fn merge(object: &mut Value, change: &Value) {
    json_patch::merge(object, change);
}

/// A node with these changes.
pub fn node(name: &str, change: &Value) -> Value {
    let mut node = json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
        "spec": {},
        "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" } },
    });
    merge(&mut node, change);
    node
}

/// The controller with empty caches.
pub fn process() -> Process<BroadcastJobController> {
    let caches = Caches { jobs: Arc::default(), pods: Arc::default(), nodes: Arc::default() };
    let mirrors = vec![
        MirrorOf::<WireJob>::boxed(&caches.jobs),
        MirrorOf::<WireJobPod>::boxed(&caches.pods),
        MirrorOf::<WireNode>::boxed(&caches.nodes),
    ];
    (BroadcastJobController::new(caches, true), mirrors)
}

/// The controller beside a cluster with `nodes` nodes `n0`, `n1`, … and this job.
pub fn drive(nodes: usize, job: Value) -> (Sim, ObjectKey) {
    let mut world = World::new(start());
    for index in 0..nodes {
        world.insert(&NODE, node(&format!("n{index}"), &json!({})));
    }
    let key = world.insert(&BROADCAST_JOB, job);
    (Drive::new(world, process), key)
}

/// Key of a node.
pub fn node_key(name: &str) -> ObjectKey {
    ObjectKey::new("", name)
}

/// Changes the job as its owner does.
pub fn change(sim: &mut Sim, key: &ObjectKey, change: &Value) {
    sim.world.edit(&BROADCAST_JOB, key, |job| merge(job, change));
}

/// Changes a node.
pub fn change_node(sim: &mut Sim, name: &str, change: &Value) {
    sim.world.edit(&NODE, &node_key(name), |node| merge(node, change));
}

/// The status of the job.
pub fn status(sim: &Sim, key: &ObjectKey) -> Value {
    sim.world.get(&BROADCAST_JOB, key).map(|job| job["status"].clone()).unwrap_or_default()
}

/// The phase and the counts: active, succeeded, failed, desired.
pub fn counts(sim: &Sim, key: &ObjectKey) -> (String, [i64; 4]) {
    let status = status(sim, key);
    let count = |name: &str| status[name].as_i64().unwrap_or_default();
    let phase = status["phase"].as_str().unwrap_or_default().to_owned();
    (phase, ["active", "succeeded", "failed", "desired"].map(count))
}

/// Pods of a node, by name.
pub fn pods_on(sim: &Sim, node: &str) -> Vec<Value> {
    let on = |pod: &&Value| {
        text(pod, "/spec/nodeName") == node
            || text(
                pod,
                "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0",
            ) == node
    };
    sim.world.list(&POD).filter(on).cloned().collect()
}

/// The key of the pod on a node.
pub fn pod_on(sim: &Sim, node: &str) -> ObjectKey {
    let pods = pods_on(sim, node);
    assert_eq!(pods.len(), 1, "pods on {node}:\n{}", sim.transcript.join("\n"));
    ObjectKey::new("default", text(&pods[0], "/metadata/name"))
}

/// Condition of the job, if it is true: its reason and message.
pub fn condition(sim: &Sim, key: &ObjectKey, kind: &str) -> Option<(String, String)> {
    let status = status(sim, key);
    let conditions = status["conditions"].as_array()?.clone();
    let found = conditions.iter().find(|c| c["type"] == kind && c["status"] == "True")?;
    Some((text(found, "/reason").to_owned(), text(found, "/message").to_owned()))
}

/// Turns until all pods have begun: they are bound, and their kubelets know them.
pub fn begin(sim: &mut Sim, key: &ObjectKey, turns: usize) {
    for _ in 0..turns {
        sim.relist();
        sim.turn(key).unwrap();
        sim.world.nodes();
    }
    sim.relist();
}

/// Text of a member, empty if it is not there.
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}
