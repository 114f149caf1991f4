//! Controller revisions: numbers rise, data never changes.

use kruise_common::kind::{CONTROLLER_REVISION, STATEFUL_SET};
use kruise_common::write::{Category, Operations, Write};
use serde_json::json;

use crate::bodies::{HOLD, owned_by, revision, set};
use crate::pair::Pair;

const KIND: &kruise_common::kind::Kind = &CONTROLLER_REVISION;

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn numbers_rise_on_the_version_that_was_seen_and_data_stays() {
    let mut pair = Pair::new("revisions").await;
    let key = pair.key("web-1");
    pair.send("create", Ok(()), |_| revision(key.clone(), &json!({}))).await;
    pair.send("again", Err(Category::AlreadyExists), |_| revision(key.clone(), &json!({}))).await;
    let one = pair.see(KIND, "web-1").await;
    let raise = |version: &str, number: i64| {
        let operations = Operations::default().test(&["metadata", "resourceVersion"], version);
        operations.replace(&["revision"], number)
    };
    for (what, expected) in [("raise", Ok(())), ("it is another by now", Err(Category::Conflict))] {
        pair.send(what, expected, |side| {
            Write::json(KIND, one.on(side), raise(&one.on(side).resource_version, 2))
        })
        .await;
    }
    for (what, expected, change) in [
        ("the number it has", Ok(()), json!({ "revision": 2 })),
        ("below zero", Err(Category::Invalid), json!({ "revision": -1 })),
        ("labels", Ok(()), json!({ "metadata": { "labels": { "x": "1" } } })),
    ] {
        pair.send(what, expected, |side| Write::strategic(KIND, one.on(side), change.clone()))
            .await;
    }
    pair.send("data", Err(Category::Invalid), |side| {
        let operations = Operations::default().replace(&["data", "spec"], json!({ "b": 1 }));
        Write::json(KIND, one.on(side), operations)
    })
    .await;
    pair.send("stale", Err(Category::Conflict), |side| {
        let version = &*one.on(side).resource_version;
        let change = json!({ "metadata": { "resourceVersion": version }, "revision": 3 });
        Write::strategic(KIND, one.on(side), change)
    })
    .await;
    pair.send("no status", Err(Category::NotFound), |side| {
        Write::strategic_status(KIND, one.on(side), json!({ "status": { "x": 1 } }))
    })
    .await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_revision_is_adopted_and_deleted() {
    let mut pair = Pair::new("adopted").await;
    let key = pair.key("web-1");
    pair.send("create", Ok(()), |_| revision(key.clone(), &json!({}))).await;
    pair.send("create the set", Ok(()), |_| set(key.sibling("web"), &json!({}))).await;
    let (one, web) = (pair.see(KIND, "web-1").await, pair.see(&STATEFUL_SET, "web").await);
    pair.send("adopt", Ok(()), |side| {
        let owners = json!([owned_by(web.on(side), true)]);
        Write::strategic(KIND, one.on(side), json!({ "metadata": { "ownerReferences": owners } }))
    })
    .await;
    pair.send("delete", Ok(()), |side| Write::delete(KIND, one.on(side))).await;

    let held = json!({ "metadata": { "finalizers": [HOLD] } });
    pair.send("held", Ok(()), |_| revision(key.clone(), &held)).await;
    pair.send("old uid", Err(Category::Conflict), |side| Write::delete(KIND, one.on(side))).await;
    let two = pair.see(KIND, "web-1").await;
    pair.send("delete", Ok(()), |side| Write::delete(KIND, two.on(side))).await;
    let free = || Operations::default().remove(&["metadata", "finalizers"]);
    pair.send("let it go", Ok(()), |side| Write::json(KIND, two.on(side), free())).await;
    pair.done().await;
}
