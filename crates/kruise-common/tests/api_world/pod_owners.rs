//! Adoption and release.

use kruise_common::kind::{POD, STATEFUL_SET};
use kruise_common::write::{Category, Write};
use serde_json::{Value, json};

use crate::bodies::{owned_by, pod, set};
use crate::pair::{Both, Pair, Side};

/// A pod `a` and sets `one` and `two`, which may own it.
async fn three(pair: &mut Pair) -> (Both, Both, Both) {
    let key = pair.key("a");
    pair.send("create", Ok(()), |_| pod(key.clone(), &json!({}))).await;
    for name in ["one", "two"] {
        pair.send(name, Ok(()), |_| set(key.sibling(name), &json!({}))).await;
    }
    let a = pair.see(&POD, "a").await;
    (a, pair.see(&STATEFUL_SET, "one").await, pair.see(&STATEFUL_SET, "two").await)
}

fn owners(list: &Value) -> Value {
    json!({ "metadata": { "ownerReferences": list } })
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn references_merge_by_uid_and_only_one_of_them_controls() {
    let mut pair = Pair::new("owners").await;
    let (a, one, two) = three(&mut pair).await;
    let adopt = |side: Side, set: &Both, controller| {
        Write::strategic(&POD, a.on(side), owners(&json!([owned_by(set.on(side), controller)])))
    };
    let release = |side: Side, set: &Both| {
        let directive = json!([{ "$patch": "delete", "uid": &*set.on(side).uid }]);
        Write::strategic(&POD, a.on(side), owners(&directive))
    };
    let ok = Ok(());
    pair.send("nothing to release", ok, |side| release(side, &one)).await;
    pair.send("adopt", ok, |side| adopt(side, &one, true)).await;
    pair.send("adopt again", ok, |side| adopt(side, &one, true)).await;
    pair.send("a second controller", Err(Category::Invalid), |side| adopt(side, &two, true)).await;
    pair.send("a second owner", ok, |side| adopt(side, &two, false)).await;
    pair.send("an owner changes", ok, |side| adopt(side, &one, false)).await;
    pair.send("release", ok, |side| release(side, &one)).await;
    pair.send("release again", ok, |side| release(side, &one)).await;
    pair.send("the last", ok, |side| release(side, &two)).await;
    pair.done().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_new_pod_has_one_controller_at_most() {
    let mut pair = Pair::new("born").await;
    let (_, one, two) = three(&mut pair).await;
    let key = pair.key("owned");
    pair.send("two controllers", Err(Category::Invalid), |side| {
        let list = json!([owned_by(one.on(side), true), owned_by(two.on(side), true)]);
        pod(key.clone(), &owners(&list))
    })
    .await;
    pair.send("one", Ok(()), |side| {
        let list = json!([owned_by(one.on(side), true), owned_by(two.on(side), false)]);
        pod(key.clone(), &owners(&list))
    })
    .await;
    pair.done().await;
}
