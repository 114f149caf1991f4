//! Creating pods, and changing what is not their status.

use kruise_common::kind::{Kind, POD, STATEFUL_SET};
use kruise_common::meta::Meta;
use kruise_common::write::{Category, Guard, Operations, Write};
use serde_json::{Value, json};

use crate::bodies::{HOLD, pod, set};
use crate::pair::Pair;

type Patch = fn(&'static Kind, &Meta, Value) -> Write;

const NOTE: [&str; 3] = ["metadata", "annotations", "note"];

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_name_is_taken_once_and_what_only_the_server_writes_is_not_taken_from_a_body() {
    let mut pair = Pair::new("create").await;
    let key = pair.key("a");
    let body = json!({
        "metadata": { "uid": "mine", "generation": 9, "deletionTimestamp": "2020-01-01T00:00:00Z" },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    pair.send("create", Ok(()), |_| pod(key.clone(), &body)).await;
    let a = pair.see(&POD, "a").await;
    pair.send("again", Err(Category::AlreadyExists), |_| pod(key.clone(), &json!({}))).await;
    let empty = json!({ "metadata": { "labels": null, "annotations": {}, "finalizers": [] } });
    pair.send("empty maps", Ok(()), |_| pod(key.sibling("b"), &empty)).await;
    pair.send("its uid is its own", Err(Category::Conflict), |side| {
        let mut other = a.on(side).clone();
        other.uid = "mine".into();
        Write::strategic(&POD, &other, json!({ "metadata": { "labels": { "x": "y" } } }))
    })
    .await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn operations_hold_completely_or_not_at_all() {
    let mut pair = Pair::new("operations").await;
    let key = pair.key("a");
    pair.send("create", Ok(()), |_| pod(key.clone(), &json!({}))).await;
    let a = pair.see(&POD, "a").await;
    let op = Operations::default;
    let image = ["spec", "containers", "0", "image"];
    let ok = Ok(());
    let no = Err(Category::Conflict);
    for (what, expected, operations) in [
        ("add", ok, op().add(&["metadata", "labels", "x/y"], "1")),
        ("add what is so", ok, op().add(&["metadata", "labels", "x/y"], "1")),
        ("test, add", ok, op().test(&NOTE, "first").add(&NOTE, "second")),
        ("test fails", no, op().test(&NOTE, "first").add(&NOTE, "third")),
        ("test fails at the end", no, op().add(&NOTE, "third").test(&NOTE, "first")),
        ("test of a missing member", no, op().test(&["metadata", "annotations", "none"], "x")),
        (
            "null for a missing member",
            ok,
            op().test(&["metadata", "annotations", "none"], Value::Null),
        ),
        ("null for a member", no, op().test(&NOTE, Value::Null)),
        ("null below a missing map", no, op().test(&["metadata", "none", "none"], Value::Null)),
        ("replace", ok, op().replace(&NOTE, "fourth")),
        ("replace what is missing", ok, op().replace(&["metadata", "annotations", "other"], "x")),
        ("replace below what is missing", no, op().replace(&["metadata", "none", "none"], "x")),
        ("replace out of range", no, op().replace(&["spec", "containers", "2"], json!({}))),
        ("remove what is missing", no, op().remove(&["metadata", "annotations", "none"])),
        ("remove", ok, op().remove(&["metadata", "labels", "x/y"])),
        ("an index out of range", no, op().test(&["spec", "containers", "2", "name"], "app")),
        (
            "an image",
            ok,
            op().test(&image, "example.com/app:1").replace(&image, "example.com/app:2"),
        ),
        (
            "the image is another now",
            no,
            op().test(&image, "example.com/app:1").replace(&image, "x"),
        ),
        ("the status", ok, op().add(&["status", "phase"], "Running")),
    ] {
        pair.send(what, expected, |side| Write::json(&POD, a.on(side), operations.clone())).await;
    }
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn an_emptied_map_is_gone_and_a_missing_one_takes_nothing() {
    let mut pair = Pair::new("maps").await;
    let key = pair.key("a");
    pair.send("create", Ok(()), |_| {
        pod(key.clone(), &json!({ "metadata": { "annotations": null } }))
    })
    .await;
    let a = pair.see(&POD, "a").await;
    let op = Operations::default;
    let annotations = ["metadata", "annotations"];
    let finalizers = ["metadata", "finalizers"];
    let no = Err(Category::Conflict);
    for (what, expected, operations) in [
        ("add below a missing map", no, op().add(&NOTE, "1")),
        ("empty map", Ok(()), op().add(&annotations, json!({}))),
        ("it is not stored", no, op().add(&NOTE, "1")),
        (
            "none, a map, a key",
            Ok(()),
            op().test(&annotations, Value::Null).add(&annotations, json!({})).add(&NOTE, "1"),
        ),
        ("last key", Ok(()), op().remove(&NOTE)),
        ("the map went with it", no, op().add(&NOTE, "2")),
        ("last label", Ok(()), op().remove(&["metadata", "labels", "app"])),
        ("no labels", no, op().test(&["metadata", "labels"], json!({}))),
        ("no finalizers", no, op().add(&["metadata", "finalizers", "-"], HOLD)),
        ("a finalizer", Ok(()), op().add(&finalizers, json!([HOLD]))),
        ("the last finalizer", Ok(()), op().remove(&["metadata", "finalizers", "0"])),
        ("no finalizers again", no, op().remove(&["metadata", "finalizers", "0"])),
    ] {
        pair.send(what, expected, |side| Write::json(&POD, a.on(side), operations.clone())).await;
    }
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_merge_sets_and_removes_members_and_takes_nothing_but_images_in_the_spec() {
    let mut pair = Pair::new("merge").await;
    let key = pair.key("a");
    pair.send("create", Ok(()), |_| pod(key.clone(), &json!({}))).await;
    let a = pair.see(&POD, "a").await;
    let containers = |change: Value| json!({ "spec": { "containers": [change] } });
    let meta = |change: Value| json!({ "metadata": change });
    for (what, expected, change) in [
        ("labels", Ok(()), meta(json!({ "labels": { "x": "1", "y": "2" } }))),
        ("the same", Ok(()), meta(json!({ "labels": { "x": "1" } }))),
        ("null", Ok(()), meta(json!({ "labels": { "x": null, "none": null } }))),
        ("null for all", Ok(()), meta(json!({ "annotations": null }))),
        ("last labels", Ok(()), meta(json!({ "labels": { "y": null, "app": null } }))),
        ("finalizers", Ok(()), meta(json!({ "finalizers": [HOLD] }))),
        ("they add up", Ok(()), meta(json!({ "finalizers": ["test.kruise.io/a"] }))),
        ("named ones go", Ok(()), meta(json!({ "$deleteFromPrimitiveList/finalizers": [HOLD] }))),
        ("all go", Ok(()), meta(json!({ "finalizers": null }))),
        (
            "stale",
            Err(Category::Conflict),
            meta(json!({ "resourceVersion": "1", "labels": { "z": "1" } })),
        ),
        (
            "image by name",
            Ok(()),
            containers(json!({ "name": "side", "image": "example.com/side:2" })),
        ),
        (
            "environment",
            Err(Category::Invalid),
            containers(json!({ "name": "side", "env": [{ "name": "A", "value": "1" }] })),
        ),
        ("one more", Err(Category::Invalid), containers(json!({ "name": "new", "image": "x" }))),
        ("the node", Err(Category::Invalid), json!({ "spec": { "nodeName": "nowhere" } })),
        ("the status", Ok(()), json!({ "status": { "phase": "Running" } })),
    ] {
        pair.send(what, expected, |side| Write::strategic(&POD, a.on(side), change.clone())).await;
    }
    pair.send("stale", Err(Category::Conflict), |side| {
        let version = &*a.on(side).resource_version;
        let change = json!({ "resourceVersion": version, "labels": { "z": "1" } });
        Write::strategic(&POD, a.on(side), meta(change))
    })
    .await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn what_is_not_there_or_was_replaced_takes_no_write() {
    let mut pair = Pair::new("absent").await;
    let key = pair.key("a");
    pair.send("create", Ok(()), |_| pod(key.clone(), &json!({}))).await;
    let old = pair.see(&POD, "a").await;
    pair.send("delete", Ok(()), |side| Write::delete(&POD, old.on(side))).await;
    let labels = json!({ "metadata": { "labels": { "x": "1" } } });
    let add = || Operations::default().add(&["metadata", "labels", "x"], "1");
    let status = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    let late: [(_, Patch, _); 2] =
        [("merge", Write::strategic, labels), ("status", Write::strategic_status, status)];
    for (what, write, body) in &late {
        pair.send(what, Err(Category::NotFound), |side| write(&POD, old.on(side), body.clone()))
            .await;
    }
    pair.send("operations", Err(Category::NotFound), |side| Write::json(&POD, old.on(side), add()))
        .await;
    pair.send("delete again", Ok(()), |side| Write::delete(&POD, old.on(side))).await;
    pair.send("another of the name", Ok(()), |_| pod(key.clone(), &json!({}))).await;
    for (what, write, body) in &late {
        pair.send(what, Err(Category::Conflict), |side| write(&POD, old.on(side), body.clone()))
            .await;
    }
    pair.send("operations", Err(Category::Conflict), |side| Write::json(&POD, old.on(side), add()))
        .await;
    pair.send("delete", Err(Category::Conflict), |side| Write::delete(&POD, old.on(side))).await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_deletion_as_seen_spares_an_object_that_has_changed() {
    let mut pair = Pair::new("as-seen").await;
    let key = pair.key("a");
    pair.send("create", Ok(()), |_| pod(key.clone(), &json!({}))).await;
    let old = pair.see(&POD, "a").await;
    let label = json!({ "metadata": { "labels": { "x": "1" } } });
    pair.send("change", Ok(()), |side| Write::strategic(&POD, old.on(side), label.clone())).await;
    pair.send("late", Err(Category::Conflict), |side| Write::delete_as_seen(&POD, old.on(side)))
        .await;
    let new = pair.see(&POD, "a").await;
    pair.send("in time", Ok(()), |side| Write::delete_as_seen(&POD, new.on(side))).await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_guard_holds_only_while_its_object_lives() {
    let mut pair = Pair::new("guard").await;
    let (key, owner) = (pair.key("a"), pair.key("web"));
    let held = json!({ "metadata": { "finalizers": [HOLD] } });
    pair.send("create", Ok(()), |_| pod(key.clone(), &json!({}))).await;
    pair.send("create its guard", Ok(()), |_| set(owner.clone(), &held)).await;
    let a = pair.see(&POD, "a").await;
    let web = pair.see(&STATEFUL_SET, "web").await;
    let label = |value: &str| json!({ "metadata": { "labels": { "x": value } } });
    let guard = |uid: &str, name: &str| Guard {
        kind: &STATEFUL_SET,
        key: owner.sibling(name),
        uid: uid.into(),
        may_terminate: false,
        generation: None,
    };
    pair.send("alive", Ok(()), |side| {
        Write::strategic(&POD, a.on(side), label("1")).guarded_by(guard(&web.on(side).uid, "web"))
    })
    .await;
    pair.send("asking for the same", Ok(()), |side| {
        let guard = Guard::unchanged(&STATEFUL_SET, web.on(side));
        Write::strategic(&POD, a.on(side), label("1")).guarded_by(guard)
    })
    .await;
    pair.send("asking for something else", Err(Category::Guard), |side| {
        let seen = web.on(side);
        let generation = Some(seen.generation + 1);
        let guard = Guard { generation, ..Guard::alive(&STATEFUL_SET, seen) };
        Write::strategic(&POD, a.on(side), label("2")).guarded_by(guard)
    })
    .await;
    pair.send("replaced", Err(Category::Guard), |side| {
        Write::strategic(&POD, a.on(side), label("2")).guarded_by(guard("another", "web"))
    })
    .await;
    pair.send("absent", Err(Category::Guard), |side| {
        Write::strategic(&POD, a.on(side), label("2")).guarded_by(guard(&web.on(side).uid, "none"))
    })
    .await;
    pair.send("delete the guard", Ok(()), |side| Write::delete(&STATEFUL_SET, web.on(side))).await;
    pair.send("terminating", Err(Category::Guard), |side| {
        Write::strategic(&POD, a.on(side), label("2")).guarded_by(guard(&web.on(side).uid, "web"))
    })
    .await;
    pair.send("terminating, which is allowed here", Ok(()), |side| {
        let guard = Guard { may_terminate: true, ..guard(&web.on(side).uid, "web") };
        Write::strategic(&POD, a.on(side), label("3")).guarded_by(guard)
    })
    .await;
    let free = || Operations::default().remove(&["metadata", "finalizers"]);
    pair.send("let it go", Ok(()), |side| Write::json(&STATEFUL_SET, web.on(side), free())).await;
    pair.done().await;
}
