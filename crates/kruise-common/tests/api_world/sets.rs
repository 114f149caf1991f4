//! Our custom resource.

use kruise_common::kind::STATEFUL_SET;
use kruise_common::write::{Category, Operations, Write};
use serde_json::json;

use crate::bodies::{HOLD, condition, set};
use crate::pair::Pair;

const KIND: &kruise_common::kind::Kind = &STATEFUL_SET;

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_spec_raises_the_generation_and_a_status_does_not() {
    let mut pair = Pair::new("sets").await;
    let key = pair.key("web");
    let status = json!({ "status": { "readyReplicas": 3 } });
    pair.send("create", Ok(()), |_| set(key.clone(), &status)).await;
    pair.send("again", Err(Category::AlreadyExists), |_| set(key.clone(), &json!({}))).await;
    let web = pair.see(KIND, "web").await;
    let op = Operations::default;
    let ok = Ok(());
    for (what, expected, operations) in [
        ("replicas", ok, op().replace(&["spec", "replicas"], 2)),
        ("the same", ok, op().replace(&["spec", "replicas"], 2)),
        ("a label", ok, op().add(&["metadata", "labels", "x"], "1")),
        (
            "the last annotation",
            Err(Category::Conflict),
            op().remove(&["metadata", "annotations", "x"]),
        ),
        ("a map", ok, op().add(&["metadata", "annotations"], json!({ "x": "1" }))),
        ("no key", ok, op().remove(&["metadata", "annotations", "x"])),
        ("no map", Err(Category::Conflict), op().add(&["metadata", "annotations", "x"], "1")),
        ("the status", ok, op().add(&["status"], json!({ "readyReplicas": 1 }))),
    ] {
        pair.send(what, expected, |side| Write::json(KIND, web.on(side), operations.clone())).await;
    }
    let counts = json!({
        "replicas": 2, "readyReplicas": 1, "currentReplicas": 0, "updatedReplicas": 0,
        "availableReplicas": 0, "conditions": [condition("InvalidSpec", "False", "")],
    });
    let counted = op().add(&["status"], counts);
    let along = op()
        .add(&["metadata", "labels", "x"], "2")
        .replace(&["spec", "replicas"], 9)
        .replace(&["status", "readyReplicas"], 2);
    for (what, expected, operations) in
        [("counts", ok, counted.clone()), ("the same", ok, counted), ("nothing else", ok, along)]
    {
        let write = |side| Write::json_status(KIND, web.on(side), operations.clone());
        pair.send(what, expected, write).await;
    }
    pair.send("stale", Err(Category::Conflict), |side| {
        let version = &*web.on(side).resource_version;
        let operations = op().test(&["metadata", "resourceVersion"], version);
        Write::json_status(KIND, web.on(side), operations.add(&["status", "readyReplicas"], 5))
    })
    .await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn custom_resources_take_no_strategic_merge() {
    let mut pair = Pair::new("custom").await;
    let key = pair.key("web");
    pair.send("create", Ok(()), |_| set(key.clone(), &json!({}))).await;
    let web = pair.see(KIND, "web").await;
    pair.send("merge", Err(Category::Invalid), |side| {
        Write::strategic(KIND, web.on(side), json!({ "metadata": { "labels": { "x": "1" } } }))
    })
    .await;
    pair.send("status", Err(Category::Invalid), |side| {
        Write::strategic_status(KIND, web.on(side), json!({ "status": { "readyReplicas": 1 } }))
    })
    .await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_held_set_terminates_until_its_finalizer_goes() {
    let mut pair = Pair::new("held-set").await;
    let key = pair.key("web");
    pair.send("create", Ok(()), |_| {
        set(key.clone(), &json!({ "metadata": { "finalizers": [HOLD] } }))
    })
    .await;
    let web = pair.see(KIND, "web").await;
    pair.send("another uid", Err(Category::Conflict), |side| {
        let mut other = web.on(side).clone();
        other.uid = "another".into();
        Write::delete(KIND, &other)
    })
    .await;
    pair.send("delete", Ok(()), |side| Write::delete(KIND, web.on(side))).await;
    pair.send("delete again", Ok(()), |side| Write::delete(KIND, web.on(side))).await;
    let op = Operations::default;
    for (what, expected, operations) in [
        ("scale", Ok(()), op().replace(&["spec", "replicas"], 0)),
        (
            "one more finalizer",
            Err(Category::Invalid),
            op().add(&["metadata", "finalizers", "-"], "test.kruise.io/new"),
        ),
        ("status", Ok(()), op().add(&["status"], json!({ "readyReplicas": 1 }))),
        ("let it go", Ok(()), op().remove(&["metadata", "finalizers", "0"])),
    ] {
        pair.send(what, expected, |side| Write::json(KIND, web.on(side), operations.clone())).await;
    }
    pair.done().await;
}
