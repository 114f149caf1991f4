//! Sets, clusters and controllers for tests: each sets only what a test is about.

use std::sync::Arc;

use jiff::Timestamp;
use kruise_common::claim::WireClaim;
use kruise_common::gates::FeatureGates;
use kruise_common::key::ObjectKey;
use kruise_common::kind::STATEFUL_SET;
use kruise_common::pod::WirePod;
use kruise_common::revision::WireRevision;
use kruise_common::storage_class::WireStorageClass;
use kruise_common::testing::drive::{Drive, Process};
use kruise_common::testing::mirror::MirrorOf;
use kruise_common::testing::world::World;
use kruise_statefulset::controller::StatefulSetController;
use kruise_statefulset::object::WireSet;
use kruise_statefulset::observe::Caches;
use kruise_statefulset::pull_job::WirePullJob;
use serde_json::{Value, json};

pub type Sim = Drive<StatefulSetController>;

/// The beginning of simulated time.
pub fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A set `web` with one container `app`.
pub fn web(replicas: i32) -> Value {
    json!({
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "serviceName": "web",
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "app", "image": "example.com/app:1" }] },
            },
        },
    })
}

/// Merges `change` into the object.
pub fn merge(object: &mut Value, change: &Value) {
    json_patch::merge(object, change);
}

/// [`web`] with changes.
pub fn web_with(replicas: i32, change: &Value) -> Value {
    let mut set = web(replicas);
    merge(&mut set, change);
    set
}

/// In place if possible, with the readiness gate, all at once.
pub fn in_place() -> Value {
    json!({ "spec": {
        "podManagementPolicy": "Parallel",
        "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "InPlaceIfPossible" } },
        "template": { "spec": { "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }] } },
    } })
}

/// A claim template `data`.
pub fn with_claims() -> Value {
    json!({ "spec": {
        "volumeClaimTemplates": [{
            "metadata": { "name": "data" },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Gi" } },
            },
        }],
    } })
}

/// The controller with empty caches.
pub fn process(gates: FeatureGates) -> Process<StatefulSetController> {
    let caches = Caches {
        sets: Arc::default(),
        pods: Arc::default(),
        claims: Arc::default(),
        revisions: Arc::default(),
        classes: gates.resize_claims.then(Arc::default),
        pull_jobs: gates.predownload_image.then(Arc::default),
    };
    let classes = caches.classes.iter().map(MirrorOf::<WireStorageClass>::boxed);
    let pull_jobs = caches.pull_jobs.iter().map(MirrorOf::<WirePullJob>::boxed);
    let mirrors = vec![
        MirrorOf::<WireSet>::boxed(&caches.sets),
        MirrorOf::<WirePod>::boxed(&caches.pods),
        MirrorOf::<WireClaim>::boxed(&caches.claims),
        MirrorOf::<WireRevision>::boxed(&caches.revisions),
    ];
    let mirrors = mirrors.into_iter().chain(classes).chain(pull_jobs).collect();
    (StatefulSetController::new(caches, gates), mirrors)
}

/// The controller beside a cluster with this set.
pub fn drive(set: Value) -> (Sim, ObjectKey) {
    drive_with(set, FeatureGates::default())
}

/// [`drive`] with feature gates.
pub fn drive_with(set: Value, gates: FeatureGates) -> (Sim, ObjectKey) {
    let mut world = World::new(start());
    let key = world.insert(&STATEFUL_SET, set);
    (Drive::new(world, move || process(gates)), key)
}

/// Changes the set as its owner does.
pub fn change(sim: &mut Sim, key: &ObjectKey, change: &Value) {
    sim.world.edit(&STATEFUL_SET, key, |set| merge(set, change));
}

/// Sets the image of the container.
pub fn set_image(sim: &mut Sim, key: &ObjectKey, image: &str) {
    sim.world.edit(&STATEFUL_SET, key, |set| {
        set["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    });
}

/// Text of a member, empty if it is not there.
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a condition of a pod is true.
pub fn is_true(pod: &Value, kind: &str) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == "True")
}
