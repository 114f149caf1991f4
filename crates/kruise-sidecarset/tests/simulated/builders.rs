//! Sets, injected pods, clusters and controllers for tests: each sets only what a test is about.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{CONTROLLER_REVISION, NAMESPACE, POD, SIDECAR_SET};
use kruise_common::pod::WirePod;
use kruise_common::revision::WireRevision;
use kruise_common::testing::drive::{Drive, Process};
use kruise_common::testing::mirror::MirrorOf;
use kruise_common::testing::world::World;
use kruise_sidecarset::controller::SidecarSetController;
use kruise_sidecarset::evicted::Evictions;
use kruise_sidecarset::hash::hashes;
use kruise_sidecarset::namespace::WireNamespace;
use kruise_sidecarset::object::WireSet;
use kruise_sidecarset::observe::Caches;
use kruise_sidecarset::registration::Unasked;
use kruise_sidecarset::roster::Rosters;
use kruise_sidecarset::snapshot::Options;
use serde_json::{Value, json};

pub type Sim = Drive<SidecarSetController>;

pub const TURNS: usize = 400;

/// The beginning of simulated time.
pub fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A set `log` with a container `agent` for pods of `app: web` in namespace `default`.
pub fn log() -> Value {
    json!({
        "metadata": { "name": "log", "namespace": "" },
        "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "default" } },
            "updateStrategy": { "type": "RollingUpdate" },
            "containers": [{ "name": "agent", "image": "example.com/agent:1" }],
        },
    })
}

/// A set `mesh` with a hot sidecar `mesh`.
pub fn mesh() -> Value {
    let mut set = log();
    set["metadata"]["name"] = json!("mesh");
    set["spec"]["containers"] = json!([{
        "name": "mesh", "image": "example.com/mesh:1",
        "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "example.com/mesh:empty" },
    }]);
    set
}

/// Merges `change` into the object.
pub fn merge(object: &mut Value, change: &Value) {
    json_patch::merge(object, change);
}

/// `set` with changes.
pub fn with(mut set: Value, change: &Value) -> Value {
    merge(&mut set, change);
    set
}

/// A rolling update with these members.
pub fn strategy(change: &Value) -> Value {
    json!({ "spec": { "updateStrategy": change } })
}

/// A pod of `app: web` as admission injects the sets into it.
pub fn injected(name: &str, sets: &[&Value]) -> Value {
    let mut containers = vec![json!({ "name": "app", "image": "example.com/app:1" })];
    let mut init = Vec::new();
    let (mut full, mut bare, mut names) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let mut annotations = BTreeMap::new();
    let mut working = BTreeMap::new();
    for set in sets {
        let set_name = set["metadata"]["name"].as_str().unwrap().to_owned();
        let spec = serde_json::from_value(set["spec"].clone()).unwrap();
        let hashes = hashes(&spec).unwrap();
        let mut listed = Vec::new();
        for container in set["spec"]["containers"].as_array().into_iter().flatten() {
            let sidecar = text(container, "/name").to_owned();
            listed.push(sidecar.clone());
            let empty = text(container, "/upgradeStrategy/hotUpgradeEmptyImage");
            if empty.is_empty() {
                containers.push(json!({ "name": sidecar, "image": container["image"] }));
                continue;
            }
            let (one, two) = (format!("{sidecar}-1"), format!("{sidecar}-2"));
            containers.push(json!({ "name": one, "image": container["image"] }));
            containers.push(json!({ "name": two, "image": empty }));
            for (prefix, twin, version) in [
                ("version", &one, "1"),
                ("versionalt", &one, "0"),
                ("version", &two, "0"),
                ("versionalt", &two, "1"),
            ] {
                annotations
                    .insert(format!("{prefix}.sidecarset.kruise.io/{twin}"), version.to_owned());
            }
            working.insert(sidecar, one);
        }
        for container in set["spec"]["initContainers"].as_array().into_iter().flatten() {
            listed.push(text(container, "/name").to_owned());
            init.push(container.clone());
        }
        let record = |hash: &str| json!({ "updateTimestamp": "2026-01-01T00:00:00Z", "hash": hash, "sidecarSetName": set_name, "sidecarList": listed });
        full.insert(set_name.clone(), record(&hashes.full));
        bare.insert(set_name.clone(), record(&hashes.without_image));
        names.push(set_name.clone());
    }
    let json_text = |value: &Value| value.to_string();
    annotations.insert("kruise.io/sidecarset-hash".into(), json_text(&json!(full)));
    annotations.insert("kruise.io/sidecarset-hash-without-image".into(), json_text(&json!(bare)));
    annotations.insert("kruise.io/sidecarset-injected-list".into(), names.join(","));
    if !working.is_empty() {
        let key = "kruise.io/sidecarset-working-hotupgrade-container";
        annotations.insert(key.into(), json_text(&json!(working)));
    }
    json!({
        "metadata": {
            "name": name, "namespace": "default", "labels": { "app": "web" }, "annotations": annotations,
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true }],
        },
        "spec": { "terminationGracePeriodSeconds": 1, "containers": containers, "initContainers": init },
    })
}

/// The controller with empty caches.
pub fn process(options: Options) -> Process<SidecarSetController> {
    let caches = Caches {
        sets: Arc::default(),
        pods: Arc::default(),
        namespaces: Arc::default(),
        revisions: Arc::default(),
        revision_namespace: "kruise-system".into(),
        // Small sets too, so that every story is told from what was kept.
        rosters: Rosters::of_at_least(1),
        evictions: Evictions::default(),
        library: Arc::default(),
        asked: Arc::default(),
        unasked: Unasked { own: "kruise-system".to_owned(), ..Unasked::default() },
    };
    let mirrors = vec![
        MirrorOf::<WireSet>::boxed(&caches.sets),
        MirrorOf::<WirePod>::boxed(&caches.pods),
        MirrorOf::<WireNamespace>::boxed(&caches.namespaces),
        MirrorOf::<WireRevision>::boxed(&caches.revisions),
    ];
    (SidecarSetController::new(caches, options), mirrors)
}

/// A cluster with namespaces, these sets, and so many pods with all of them; all run. The owner of the pods is there.
pub fn cluster(sets: &[&Value], pods: usize) -> World {
    let mut world = World::new(start());
    for name in ["default", "kruise-system", "other"] {
        let labels = json!({ "kubernetes.io/metadata.name": name });
        let metadata = json!({ "name": name, "namespace": "", "labels": labels });
        world.insert(&NAMESPACE, json!({ "metadata": metadata }));
    }
    let owner = json!({ "metadata": { "name": "owner", "namespace": "default", "uid": "rs" } });
    world.insert(&CONTROLLER_REVISION, owner);
    for set in sets {
        world.insert(&SIDECAR_SET, (*set).clone());
    }
    for at in 0..pods {
        world.insert(&POD, injected(&format!("web-{at}"), sets));
    }
    run(&mut world);
    world
}

/// Lets the kubelets come to rest.
pub fn run(world: &mut World) {
    for _ in 0..20 {
        while world.nodes() {}
        match world.next_wake() {
            Some(at) => world.now = at,
            None => return,
        }
    }
}

/// The controller beside a cluster with this set and so many pods.
pub fn drive(set: &Value, pods: usize) -> (Sim, ObjectKey) {
    drive_with(cluster(&[set], pods), set, Options::default())
}

/// The controller beside a cluster.
pub fn drive_with(world: World, set: &Value, options: Options) -> (Sim, ObjectKey) {
    (Drive::new(world, move || process(options)), key_of(set))
}

/// The key of a set.
pub fn key_of(set: &Value) -> ObjectKey {
    ObjectKey::new("", set["metadata"]["name"].as_str().unwrap())
}

/// The key of a pod.
pub fn pod_key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

/// A pod as it is.
pub fn pod(sim: &Sim, at: usize) -> Value {
    sim.world.get(&POD, &pod_key(&format!("web-{at}"))).unwrap().clone()
}

/// Changes the set as its owner does.
pub fn change(sim: &mut Sim, key: &ObjectKey, change: &Value) {
    sim.world.edit(&SIDECAR_SET, key, |set| merge(set, change));
}

/// Sets the image of the set's first container.
pub fn set_image(sim: &mut Sim, key: &ObjectKey, image: &str) {
    sim.world.edit(&SIDECAR_SET, key, |set| {
        set["spec"]["containers"][0]["image"] = json!(image);
    });
}

/// The status of the set.
pub fn status(sim: &Sim, key: &ObjectKey) -> Value {
    sim.world.get(&SIDECAR_SET, key).unwrap()["status"].clone()
}

/// matched, updated, ready, updated ready.
pub fn counts(sim: &Sim, key: &ObjectKey) -> [i64; 4] {
    let status = status(sim, key);
    ["matchedPods", "updatedPods", "readyPods", "updatedReadyPods"]
        .map(|count| status[count].as_i64().unwrap_or(0))
}

/// Text of a member, empty if it is not there.
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// An annotation of a pod.
pub fn annotation<'a>(pod: &'a Value, key: &str) -> &'a str {
    pod["metadata"]["annotations"][key].as_str().unwrap_or_default()
}

/// Image of a container.
pub fn image(pod: &Value, container: &str) -> String {
    let containers = pod["spec"]["containers"].as_array().unwrap();
    let found = containers.iter().find(|it| it["name"] == container);
    found.map(|it| text(it, "/image").to_owned()).unwrap_or_default()
}

/// Restarts of a container.
pub fn restarts(pod: &Value, container: &str) -> i64 {
    let statuses = pod["status"]["containerStatuses"].as_array().unwrap();
    let found = statuses.iter().find(|it| it["name"] == container);
    found.and_then(|it| it["restartCount"].as_i64()).unwrap_or_default()
}

/// A condition of a pod: status and message.
pub fn condition(pod: &Value, kind: &str) -> Option<(String, String)> {
    let conditions = pod["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|it| it["type"] == kind)?;
    Some((text(found, "/status").to_owned(), text(found, "/message").to_owned()))
}

/// Settles, and tells whether work is left.
pub fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, TURNS).unwrap();
}
