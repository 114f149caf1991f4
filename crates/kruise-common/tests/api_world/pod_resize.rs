//! What the subresource takes that changes CPU and memory of a pod, and how the server counts changes of its spec.

use kruise_common::kind::POD;
use kruise_common::write::{Category, Operations, Write};
use serde_json::{Value, json};

use crate::bodies::pod;
use crate::pair::Pair;

const CPU: [&str; 6] = ["spec", "containers", "0", "resources", "requests", "cpu"];
const IMAGE: [&str; 4] = ["spec", "containers", "0", "image"];
const GENERATION: [&str; 2] = ["metadata", "generation"];

/// Burstable, and guaranteed as soon as the request of CPU is the limit.
fn body() -> Value {
    json!({ "spec": { "containers": [{
        "name": "app", "image": "example.com/app:1",
        "resources": {
            "requests": { "cpu": "100m", "memory": "10Mi" },
            "limits": { "cpu": "200m", "memory": "10Mi" },
        },
    }]}})
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_resize_takes_amounts_alone_and_keeps_the_class_of_service() {
    let mut pair = Pair::new("resize").await;
    let key = pair.key("a");
    pair.send("create", Ok(()), |_| pod(key.clone(), &body())).await;
    let a = pair.see(&POD, "a").await;
    let op = Operations::default;
    let to = |from: &str, to: &str| op().test(&CPU, from).replace(&CPU, to);
    let label = ["metadata", "labels", "x"];
    for (what, expected, operations) in [
        ("an amount", Ok(()), to("100m", "150m")),
        ("it is another now", Err(Category::Conflict), to("100m", "160m")),
        (
            "nothing else",
            Ok(()),
            to("150m", "155m").replace(&IMAGE, "example.com/app:9").add(&label, "y"),
        ),
        ("another class", Err(Category::Invalid), to("155m", "200m")),
    ] {
        pair.send(what, expected, |side| Write::json_resize(&POD, a.on(side), operations.clone()))
            .await;
    }
    pair.send("not on the pod itself", Err(Category::Invalid), |side| {
        Write::json(&POD, a.on(side), to("155m", "160m"))
    })
    .await;
    pair.done().await;
}

/// By that a controller tells whether a resize that it asked for was ever made.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn the_generation_counts_changes_of_the_spec_alone() {
    let mut pair = Pair::new("counted").await;
    let key = pair.key("a");
    pair.send("create", Ok(()), |_| pod(key.clone(), &body())).await;
    let a = pair.see(&POD, "a").await;
    let is = |generation: i64| Operations::default().test(&GENERATION, generation);
    let label = ["metadata", "labels", "x"];
    let note = |generation: i64, value: &str| is(generation).add(&label, value);
    pair.send("a label", Ok(()), |side| Write::json(&POD, a.on(side), note(1, "a"))).await;
    pair.send("an image", Ok(()), |side| {
        Write::json(&POD, a.on(side), is(1).replace(&IMAGE, "example.com/app:2"))
    })
    .await;
    pair.send("older", Err(Category::Conflict), |side| Write::json(&POD, a.on(side), note(1, "b")))
        .await;
    pair.send("a resize", Ok(()), |side| {
        Write::json_resize(&POD, a.on(side), is(2).replace(&CPU, "150m"))
    })
    .await;
    pair.send("a status", Ok(()), |side| {
        Write::json_status(&POD, a.on(side), is(3).add(&["status", "reason"], "x"))
    })
    .await;
    pair.send("the last", Ok(()), |side| Write::json(&POD, a.on(side), note(3, "c"))).await;
    pair.done().await;
}

/// A kubelet that cannot resize reports no resources.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_pod_whose_kubelet_cannot_resize_takes_none() {
    let mut pair = Pair::new("unable").await;
    let key = pair.key("a");
    pair.send("create", Ok(()), |_| pod(key.clone(), &body())).await;
    let a = pair.see(&POD, "a").await;
    let status = |resources: Option<Value>| {
        let mut status = json!({
            "name": "app", "image": "example.com/app:1", "imageID": "x", "containerID": "containerd://1",
            "ready": true, "restartCount": 0, "lastState": {},
            "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
        });
        if let (Some(resources), Some(members)) = (resources, status.as_object_mut()) {
            members.insert("resources".to_owned(), resources);
        }
        json!({ "status": { "phase": "Running", "containerStatuses": [status] } })
    };
    let resize = |amount: &str| Operations::default().replace(&CPU, amount);
    pair.send("it runs", Ok(()), |side| Write::strategic_status(&POD, a.on(side), status(None)))
        .await;
    pair.send("unable", Err(Category::Invalid), |side| {
        Write::json_resize(&POD, a.on(side), resize("150m"))
    })
    .await;
    let runs_with = body().pointer("/spec/containers/0/resources").cloned();
    pair.send("it says what it runs with", Ok(()), |side| {
        Write::strategic_status(&POD, a.on(side), status(runs_with.clone()))
    })
    .await;
    pair.send("able", Ok(()), |side| Write::json_resize(&POD, a.on(side), resize("150m"))).await;
    pair.done().await;
}
