//! What a pod's status subresource takes.

use kruise_common::kind::POD;
use kruise_common::write::{Category, Operations, Write};
use serde_json::{Value, json};

use crate::bodies::{HOLD, condition, owned_by, pod, set};
use crate::pair::Pair;

fn conditions(list: &[Value]) -> Value {
    json!({ "status": { "conditions": list } })
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn conditions_merge_by_type_and_new_ones_come_first() {
    let mut pair = Pair::new("conditions").await;
    let key = pair.key("a");
    pair.send("create", Ok(()), |_| pod(key.clone(), &json!({}))).await;
    let a = pair.see(&POD, "a").await;
    let (gate, ready) = (condition("Gate", "False", "Draining"), condition("Ready", "False", "No"));
    let other = condition("Other", "True", "");
    for (what, list) in [
        ("the first", vec![gate.clone()]),
        ("the same", vec![gate.clone()]),
        ("two more", vec![ready.clone(), other.clone()]),
        ("one that is known", vec![condition("Gate", "True", "Done")]),
        ("known, new", vec![condition("Other", "False", "Why"), condition("Last", "True", "")]),
        ("new, known", vec![condition("Newest", "True", ""), condition("Ready", "True", "Yes")]),
        ("a member less", vec![json!({ "type": "Ready", "reason": null })]),
        ("one less", vec![json!({ "type": "Other", "$patch": "delete" })]),
        ("one that is not there", vec![json!({ "type": "Other", "$patch": "delete" })]),
        ("none", vec![]),
    ] {
        pair.send(what, Ok(()), |side| {
            Write::strategic_status(&POD, a.on(side), conditions(&list))
        })
        .await;
    }
    pair.send("all less", Ok(()), |side| {
        Write::strategic_status(&POD, a.on(side), json!({ "status": { "conditions": null } }))
    })
    .await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn operations_on_conditions_go_by_the_place_that_was_seen() {
    let mut pair = Pair::new("places").await;
    let key = pair.key("a");
    pair.send("create", Ok(()), |_| pod(key.clone(), &json!({}))).await;
    let a = pair.see(&POD, "a").await;
    let op = Operations::default;
    let list = ["status", "conditions"];
    let kind = |at: &'static str| ["status", "conditions", at, "type"];
    let member = |at: &'static str, name: &'static str| ["status", "conditions", at, name];
    let no = Err(Category::Conflict);
    let gate = || condition("Gate", "False", "Draining");
    for (what, expected, operations) in [
        ("append to no list", no, op().add(&["status", "conditions", "-"], gate())),
        ("a list", Ok(()), op().add(&list, json!([gate()]))),
        (
            "append",
            Ok(()),
            op().add(&["status", "conditions", "-"], condition("Ready", "False", "")),
        ),
        ("another place", no, op().test(&kind("0"), "Ready")),
        (
            "the place",
            Ok(()),
            op().test(&kind("1"), "Ready")
                .replace(&["status", "conditions", "1"], condition("Ready", "True", "")),
        ),
        ("one member", Ok(()), op().add(&member("0", "message"), "soon")),
        ("it says something", no, op().test(&member("0", "message"), Value::Null)),
        (
            "members that were not there",
            Ok(()),
            op().test(&member("1", "reason"), Value::Null)
                .add(&member("1", "status"), "False")
                .add(&member("1", "reason"), "Why")
                .add(&member("1", "message"), "text")
                .add(&member("1", "lastTransitionTime"), "2026-01-02T00:00:00Z"),
        ),
        ("they are there", no, op().test(&member("1", "reason"), Value::Null)),
        ("no text", Ok(()), op().add(&member("1", "reason"), "").add(&member("0", "message"), "")),
        ("is nothing", Ok(()), op().test(&member("1", "reason"), Value::Null)),
        ("an empty list", Ok(()), op().replace(&list, json!([]))),
        ("is no list", no, op().test(&list, json!([]))),
        ("an image is not taken", Ok(()), op().replace(&["spec", "containers", "0", "image"], "x")),
    ] {
        let write = |side| Write::json_status(&POD, a.on(side), operations.clone());
        pair.send(what, expected, write).await;
    }
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_status_write_takes_labels_annotations_and_finalizers_along_but_no_owners() {
    let mut pair = Pair::new("along").await;
    let (key, owner) = (pair.key("a"), pair.key("web"));
    pair.send("create", Ok(()), |_| pod(key.clone(), &json!({}))).await;
    pair.send("create an owner", Ok(()), |_| set(owner.clone(), &json!({}))).await;
    let (a, web) =
        (pair.see(&POD, "a").await, pair.see(&kruise_common::kind::STATEFUL_SET, "web").await);
    let merged = json!({
        "metadata": { "labels": { "x": "1", "app": null }, "annotations": { "note": "second" } },
        "status": { "conditions": [condition("Gate", "True", "")] },
    });
    pair.send("merged", Ok(()), |side| Write::strategic_status(&POD, a.on(side), merged.clone()))
        .await;
    let only = json!({ "metadata": { "labels": { "y": "1" }, "finalizers": [HOLD] } });
    pair.send("only those", Ok(()), |side| Write::strategic_status(&POD, a.on(side), only.clone()))
        .await;
    pair.send("owners", Ok(()), |side| {
        let owners = json!({ "metadata": { "ownerReferences": [owned_by(web.on(side), true)] } });
        Write::strategic_status(&POD, a.on(side), owners)
    })
    .await;
    let operations = Operations::default()
        .test(&["metadata", "labels", "x"], "1")
        .replace(&["metadata", "labels", "x"], "2")
        .add(&["metadata", "annotations", "new"], "1")
        .replace(&["status", "phase"], "Running");
    pair.send("operations", Ok(()), |side| {
        Write::json_status(&POD, a.on(side), operations.clone())
    })
    .await;
    let state = Operations::default()
        .test(&["metadata", "annotations", "note"], "second")
        .test(&["spec", "containers", "0", "image"], "example.com/app:1")
        .remove(&["metadata", "finalizers"]);
    pair.send("tests elsewhere", Ok(()), |side| {
        Write::json_status(&POD, a.on(side), state.clone())
    })
    .await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn container_statuses_are_replaced_and_tested_as_a_whole_list() {
    let mut pair = Pair::new("statuses").await;
    let key = pair.key("a");
    pair.send("create", Ok(()), |_| pod(key.clone(), &json!({}))).await;
    let a = pair.see(&POD, "a").await;
    let status = |name: &str, id: &str, restarts: i32| {
        json!({
            "name": name, "image": "example.com/app:1", "imageID": id, "containerID": id, "ready": true,
            "restartCount": restarts, "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
            "lastState": {},
        })
    };
    let list = |list: Value| json!({ "status": { "phase": "Running", "containerStatuses": list } });
    for (what, list) in [
        (
            "two",
            list(json!([status("app", "containerd://1", 0), status("side", "containerd://2", 0)])),
        ),
        ("one", list(json!([status("side", "", 1)]))),
    ] {
        pair.send(what, Ok(()), |side| Write::strategic_status(&POD, a.on(side), list.clone()))
            .await;
    }
    let at = |member| ["status", "containerStatuses", "0", member];
    let seen = Operations::default().test(&at("name"), "side").test(&at("imageID"), "");
    let image = ["spec", "containers", "1", "image"];
    pair.send("an empty ID", Ok(()), |side| {
        Write::json(&POD, a.on(side), seen.clone().replace(&image, "example.com/side:2"))
    })
    .await;
    let another = Operations::default().test(&at("containerID"), "containerd://2");
    pair.send("another ID", Err(Category::Conflict), |side| {
        Write::json(&POD, a.on(side), another.clone().replace(&image, "example.com/side:3"))
    })
    .await;
    pair.done().await;
}
