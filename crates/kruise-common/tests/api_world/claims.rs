//! Claims: owners by retention policy, deletion, what may not change.

use kruise_common::kind::{CLAIM, POD, STATEFUL_SET};
use kruise_common::write::{Category, Operations, Write};
use serde_json::{Value, json};

use crate::bodies::{HOLD, claim, owned_by, pod, set};
use crate::pair::Pair;

fn using_it() -> Value {
    let volume = json!({ "name": "data", "persistentVolumeClaim": { "claimName": "data" } });
    json!({ "spec": { "volumes": [volume] } })
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn owners_are_appended_tested_and_removed_by_place() {
    let mut pair = Pair::new("retain").await;
    let key = pair.key("data");
    pair.send("create", Ok(()), |_| claim(key.clone(), &json!({}))).await;
    pair.send("again", Err(Category::AlreadyExists), |_| claim(key.clone(), &json!({}))).await;
    pair.send("create the pod", Ok(()), |_| pod(key.sibling("a"), &json!({}))).await;
    pair.send("create the set", Ok(()), |_| set(key.sibling("web"), &json!({}))).await;
    let a = pair.see(&POD, "a").await;
    let web = pair.see(&STATEFUL_SET, "web").await;
    let by_pod =
        |side| json!({ "apiVersion": "v1", "kind": "Pod", "name": "a", "uid": &*a.on(side).uid });
    let list = ["metadata", "ownerReferences"];
    let data = pair.see(&CLAIM, "data").await;
    for (what, expected) in [("the first", Ok(())), ("again", Err(Category::Conflict))] {
        pair.send(what, expected, |side| {
            let version = &*data.on(side).resource_version;
            let operations = Operations::default().test(&["metadata", "resourceVersion"], version);
            Write::json(&CLAIM, data.on(side), operations.add(&list, json!([by_pod(side)])))
        })
        .await;
    }
    pair.send("one more", Ok(()), |side| {
        let owner = owned_by(web.on(side), false);
        let operations = Operations::default().add(&["metadata", "ownerReferences", "-"], owner);
        Write::json(&CLAIM, data.on(side), operations)
    })
    .await;
    let drop = |uid: &str, at: &'static str| {
        let operations =
            Operations::default().test(&["metadata", "ownerReferences", at, "uid"], uid);
        operations.remove(&["metadata", "ownerReferences", at])
    };
    pair.send("another place", Err(Category::Conflict), |side| {
        Write::json(&CLAIM, data.on(side), drop(&a.on(side).uid, "1"))
    })
    .await;
    pair.send("the place", Ok(()), |side| {
        Write::json(&CLAIM, data.on(side), drop(&a.on(side).uid, "0"))
    })
    .await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_claim_is_protected_while_a_pod_on_a_node_uses_it() {
    let mut pair = Pair::new("protect").await;
    let key = pair.key("data");
    let mut user = using_it();
    json_patch::merge(&mut user, &json!({ "spec": { "nodeName": "nowhere" } }));
    pair.send("create", Ok(()), |_| claim(key.clone(), &json!({}))).await;
    pair.send("its user", Ok(()), |_| pod(key.sibling("a"), &user)).await;
    let (data, a) = (pair.see(&CLAIM, "data").await, pair.see(&POD, "a").await);
    pair.send("another uid", Err(Category::Conflict), |side| {
        let mut other = data.on(side).clone();
        other.uid = "another".into();
        Write::delete(&CLAIM, &other)
    })
    .await;
    pair.send("delete", Ok(()), |side| Write::delete(&CLAIM, data.on(side))).await;
    let label = json!({ "metadata": { "labels": { "x": "1" } } });
    pair.send("still there", Ok(()), |side| Write::strategic(&CLAIM, data.on(side), label.clone()))
        .await;
    let ended = json!({ "status": { "phase": "Failed" } });
    pair.send("its user ends", Ok(()), |side| {
        Write::strategic_status(&POD, a.on(side), ended.clone())
    })
    .await;
    pair.send("its user goes", Ok(()), |side| Write::delete(&POD, a.on(side))).await;
    pair.settled(&CLAIM, "data").await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_claim_goes_with_its_last_finalizer_and_at_once_without_a_user() {
    let mut pair = Pair::new("claims").await;
    let key = pair.key("data");
    pair.send("create", Ok(()), |_| claim(key.clone(), &json!({}))).await;
    // A pod that is on no node does not count.
    pair.send("a user", Ok(()), |_| pod(key.sibling("a"), &using_it())).await;
    let data = pair.see(&CLAIM, "data").await;
    pair.send("delete", Ok(()), |side| Write::delete(&CLAIM, data.on(side))).await;
    pair.send("patch", Err(Category::NotFound), |side| {
        Write::strategic(&CLAIM, data.on(side), json!({ "metadata": { "labels": { "x": "1" } } }))
    })
    .await;

    let held = json!({ "metadata": { "finalizers": [HOLD] } });
    pair.send("held", Ok(()), |_| claim(key.clone(), &held)).await;
    let data = pair.see(&CLAIM, "data").await;
    pair.send("delete", Ok(()), |side| Write::delete(&CLAIM, data.on(side))).await;
    let free = json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": [HOLD] } });
    pair.send("let it go", Ok(()), |side| Write::strategic(&CLAIM, data.on(side), free.clone()))
        .await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn an_unbound_claim_stays_as_it_was_created_and_its_status_takes_labels_along() {
    let mut pair = Pair::new("unbound-claim").await;
    let key = pair.key("data");
    pair.send("create", Ok(()), |_| claim(key.clone(), &json!({ "status": { "phase": "Bound" } })))
        .await;
    let data = pair.see(&CLAIM, "data").await;
    let storage =
        |size: &str| json!({ "spec": { "resources": { "requests": { "storage": size } } } });
    for (what, expected, change) in [
        ("the same", Ok(()), storage("1Gi")),
        ("more", Err(Category::Invalid), storage("2Gi")),
        ("a class", Err(Category::Invalid), json!({ "spec": { "storageClassName": "fast" } })),
        ("labels", Ok(()), json!({ "metadata": { "labels": { "app": null, "x": "1" } } })),
    ] {
        pair.send(what, expected, |side| Write::strategic(&CLAIM, data.on(side), change.clone()))
            .await;
    }
    let along: Value = json!({
        "metadata": { "labels": { "x": "2" } },
        "status": { "conditions": [{ "type": "Resizing", "status": "True" }] },
    });
    pair.send("status", Ok(()), |side| {
        Write::strategic_status(&CLAIM, data.on(side), along.clone())
    })
    .await;
    pair.done().await;
}
