//! Pods beside those of the set that look like its own, and what must become of them (E-17…E-19, I-2, I-8).

use kruise_common::key::ObjectKey;
use kruise_common::kind::{POD, STATEFUL_SET};
use kruise_common::testing::world::World;
use serde_json::{Value, json};

use crate::builders::{merge, text, web};
use crate::rules::key;

/// Names of pods that are never touched.
pub const NAMES: [&str; 5] = ["other-0", "web-x", "web-01", "web-20", "web-21"];
/// An orphan that is adopted, and removed since nobody wants its ordinal.
pub const ORPHAN: &str = "web-22";

fn pod(name: &str, app: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "default", "labels": { "app": app } },
        "spec": { "containers": [{ "name": "app", "image": "example.com/app:1" }] },
    })
}

fn owner(uid: &str) -> Value {
    json!({ "metadata": { "ownerReferences": [{
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "other", "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    }] } })
}

/// Puts them there; returns those that must stay as they are.
pub fn insert(world: &mut World) -> Vec<(ObjectKey, Value)> {
    let mut set = web(0);
    set["metadata"]["name"] = json!("other");
    let other = world.insert(&STATEFUL_SET, set);
    let uid = |world: &World, key| {
        text(world.get(&STATEFUL_SET, key).unwrap(), "/metadata/uid").to_owned()
    };
    let mut taken = pod("web-20", "web");
    merge(&mut taken, &owner(&uid(world, &other)));
    // It refers to our set, from a namespace in which the set has no say.
    let mut elsewhere = pod("web-1", "web");
    elsewhere["metadata"]["namespace"] = json!("elsewhere");
    merge(&mut elsewhere, &owner(&uid(world, &key())));
    let alike = ["other-0", "web-x", "web-01"].map(|name| pod(name, "web"));
    let others = alike.into_iter().chain([taken, elsewhere, pod("web-21", "other")]);
    let keys: Vec<ObjectKey> = others.map(|pod| world.insert(&POD, pod)).collect();
    world.insert(&POD, pod(ORPHAN, "web"));
    keys.into_iter().map(|key| (key.clone(), metadata(world, &key))).collect()
}

/// What nobody but a controller changes of a pod.
fn metadata(world: &World, key: &ObjectKey) -> Value {
    let mut metadata = world.get(&POD, key).map(|pod| pod["metadata"].clone()).unwrap_or_default();
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.retain(|member, _| !["resourceVersion", "generation"].contains(&member.as_str()));
    }
    metadata
}

/// They are as they were.
pub fn untouched(world: &World, before: &[(ObjectKey, Value)]) {
    for (key, before) in before {
        assert_eq!(metadata(world, key), *before, "{key} is somebody else's");
    }
}
