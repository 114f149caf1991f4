//! Deleting pods: at once, with a grace period, held by finalizers.

use kruise_common::kind::POD;
use kruise_common::write::{Category, Operations, Write};
use serde_json::{Value, json};

use crate::bodies::{HOLD, SECOND, condition, pod};
use crate::pair::{Both, Pair};

async fn created(pair: &mut Pair, name: &str, change: Value) -> Both {
    let key = pair.key(name);
    pair.send("create", Ok(()), |_| pod(key.clone(), &change)).await;
    pair.see(&POD, name).await
}

fn free() -> Operations {
    Operations::default().remove(&["metadata", "finalizers"])
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_held_pod_takes_writes_while_it_terminates_and_goes_with_its_last_finalizer() {
    let mut pair = Pair::new("held").await;
    let held = json!({ "metadata": { "finalizers": [HOLD, SECOND] } });
    let a = created(&mut pair, "a", held).await;
    let key = pair.key("a");
    pair.send("delete", Ok(()), |side| Write::delete(&POD, a.on(side))).await;
    pair.send("delete again", Ok(()), |side| Write::delete(&POD, a.on(side))).await;
    pair.send("the name", Err(Category::AlreadyExists), |_| pod(key.clone(), &json!({}))).await;
    for (what, expected, change) in [
        ("a label", Ok(()), json!({ "metadata": { "labels": { "x": "1" } } })),
        (
            "another finalizer",
            Err(Category::Invalid),
            json!({ "metadata": { "finalizers": ["test.kruise.io/new"] } }),
        ),
        (
            "alive again",
            Ok(()),
            json!({ "metadata": { "deletionTimestamp": null, "labels": { "x": "2" } } }),
        ),
        (
            "an image",
            Ok(()),
            json!({ "spec": { "containers": [{ "name": "app", "image": "example.com/app:2" }] } }),
        ),
    ] {
        pair.send(what, expected, |side| Write::strategic(&POD, a.on(side), change.clone())).await;
    }
    let status =
        json!({ "status": { "conditions": [condition("Ready", "False", "Terminating")] } });
    pair.send("status", Ok(()), |side| Write::strategic_status(&POD, a.on(side), status.clone()))
        .await;
    let first = Operations::default().test(&["metadata", "finalizers", "0"], HOLD).remove(&[
        "metadata",
        "finalizers",
        "0",
    ]);
    pair.send("one finalizer", Ok(()), |side| Write::json(&POD, a.on(side), first.clone())).await;
    pair.send("the last", Ok(()), |side| Write::json(&POD, a.on(side), free())).await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_pod_on_a_node_waits_for_its_kubelet_unless_there_is_nothing_to_stop() {
    let mut pair = Pair::new("bound").await;
    // No kubelet looks after this node.
    let on_node = |more: Value| {
        let mut change = json!({ "spec": { "nodeName": "nowhere" } });
        json_patch::merge(&mut change, &more);
        change
    };
    let a = created(&mut pair, "a", on_node(json!({}))).await;
    pair.send("delete", Ok(()), |side| Write::delete(&POD, a.on(side))).await;
    let label = json!({ "metadata": { "labels": { "x": "1" } } });
    pair.send("a label", Ok(()), |side| Write::strategic(&POD, a.on(side), label.clone())).await;

    let at_once = on_node(json!({ "spec": { "terminationGracePeriodSeconds": 0 } }));
    let b = created(&mut pair, "b", at_once).await;
    pair.send("no grace period", Ok(()), |side| Write::delete(&POD, b.on(side))).await;

    for phase in ["Failed", "Succeeded"] {
        let c = created(&mut pair, "c", on_node(json!({}))).await;
        let ended = json!({ "status": { "phase": phase } });
        pair.send(phase, Ok(()), |side| Write::strategic_status(&POD, c.on(side), ended.clone()))
            .await;
        pair.send("delete what ended", Ok(()), |side| Write::delete(&POD, c.on(side))).await;
    }

    let held = on_node(json!({ "metadata": { "finalizers": [HOLD] } }));
    let d = created(&mut pair, "d", held).await;
    pair.send("delete", Ok(()), |side| Write::delete(&POD, d.on(side))).await;
    pair.send("no finalizer, but a node", Ok(()), |side| Write::json(&POD, d.on(side), free()))
        .await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn an_eviction_as_seen_spares_a_pod_that_has_changed() {
    let mut pair = Pair::new("evict").await;
    for (name, phase) in [("a", "Pending"), ("b", "Running")] {
        let old = created(&mut pair, name, json!({})).await;
        let ready = condition("Ready", "False", "ContainersNotReady");
        let status = json!({ "status": { "phase": phase, "conditions": [ready] } });
        pair.send(phase, Ok(()), |side| {
            Write::strategic_status(&POD, old.on(side), status.clone())
        })
        .await;
        pair.send("late", Err(Category::Conflict), |side| Write::evict_as_seen(old.on(side))).await;
        let new = pair.see(&POD, name).await;
        pair.send("in time", Ok(()), |side| Write::evict_as_seen(new.on(side))).await;
    }
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_pod_without_a_node_has_no_grace_period() {
    let mut pair = Pair::new("unbound").await;
    let a = created(&mut pair, "a", json!({})).await;
    pair.send("another uid", Err(Category::Conflict), |side| {
        let mut other = a.on(side).clone();
        other.uid = "another".into();
        Write::delete(&POD, &other)
    })
    .await;
    pair.send("delete", Ok(()), |side| Write::delete(&POD, a.on(side))).await;
    let b = created(&mut pair, "b", json!({ "metadata": { "finalizers": [HOLD] } })).await;
    pair.send("delete", Ok(()), |side| Write::delete(&POD, b.on(side))).await;
    pair.send("let it go", Ok(()), |side| Write::json(&POD, b.on(side), free())).await;
    pair.done().await;
}
