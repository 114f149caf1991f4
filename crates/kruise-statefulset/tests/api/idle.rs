//! A set that is what its owner asks for, or waits for its owner, costs nothing: no write, no list, however many turns it
//! has. Counted twice: by the audit log of the API server, and by the controller's own client, whatever the kind.

use jiff::Timestamp;
use serde_json::json;

use crate::audit;
use crate::harness::{Controller, Space, set};

/// Turns of each set that find nothing to do.
const TURNS: i64 = 5;

/// One set that has arrived and one that waits for somebody to delete its pods; both with claims.
async fn two_sets(space: &Space) {
    let claims = json!({ "spec": {
        "podManagementPolicy": "Parallel",
        "volumeClaimTemplates": [{
            "metadata": { "name": "data" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        }],
    }});
    for name in ["web", "waits"] {
        let mut set = set(name, 3);
        json_patch::merge(&mut set, &claims);
        if name == "waits" {
            set["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
        }
        space.create(set).await;
        space.rolled_out(name).await;
    }
    let image = "/spec/template/spec/containers/0/image";
    let other = json!([{ "op": "replace", "path": image, "value": "registry.k8s.io/pause:3.2" }]);
    space.patch("waits", other).await;
    space.status_is("waits", "a revision that nobody has", |s| s["updatedReplicas"] == 0).await;
}

/// Lets the controller look at both sets again: something happens to their pods that changes nothing.
async fn look_again(space: &Space, controller: &Controller) {
    for round in 0..TURNS {
        for name in ["web", "waits"] {
            let turns = controller.turns().await;
            let label = json!({ "metadata": { "labels": { "round": round.to_string() } } });
            space.merge_pod(&format!("{name}-0"), label).await;
            controller
                .until("controller_runtime_reconcile_total", |now| {
                    #[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
                    let before = turns as f64;
                    now > before
                })
                .await;
        }
    }
}

/// The status is written once a second at most: a turn that is still to come would write the last of it.
async fn settled(space: &Space, controller: &Controller) {
    for name in ["web", "waits"] {
        space.status_is(name, "the end", |status| status["readyReplicas"] == 3).await;
    }
    assert_eq!(controller.holds("OnDelete").await, 1);
    look_again(space, controller).await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn what_is_settled_costs_watches_and_the_lease_alone() {
    let space = Space::new("idle").await;
    let controller = Controller::start(&space, &[]).await;
    two_sets(&space).await;
    settled(&space, &controller).await;
    let (since, writes) = (Timestamp::now(), controller.all_writes().await);
    let mutations = async || {
        controller.requests("method=\"PATCH\"").await
            + controller.requests("method=\"POST\"").await
            + controller.requests("method=\"DELETE\"").await
    };
    let before = mutations().await;
    look_again(&space, &controller).await;
    // The Lease is renewed on the way: the log is at hand, and of this process.
    controller.renewed().await;
    assert_eq!(controller.all_writes().await, writes, "no write");
    assert_eq!(mutations().await, before, "and nothing beside: no event");
    if let Some(calls) = audit::ours_since(&space, since) {
        let other: Vec<&String> = calls
            .iter()
            .filter(|call| !call.starts_with("watch ") && !call.ends_with(" leases"))
            .collect();
        assert!(other.is_empty(), "{other:?}");
        assert!(calls.iter().any(|call| call == "update leases"), "{calls:?}");
        println!("{} turns of two settled sets: {calls:?}", 2 * TURNS);
    }
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn without_an_election_what_is_settled_costs_no_request_at_all() {
    let space = Space::new("idle-alone").await;
    let controller = Controller::start(&space, &["--enable-leader-election=false"]).await;
    two_sets(&space).await;
    settled(&space, &controller).await;
    let (since, before) = (Timestamp::now(), controller.requests("").await);
    let watches = controller.requests("method=\"GET\"").await;
    look_again(&space, &controller).await;
    // A watch may end and begin anew; it is the only thing that is read.
    let (after, read) =
        (controller.requests("").await, controller.requests("method=\"GET\"").await);
    assert_eq!(after - before, read - watches, "nothing but reads");
    if let Some(calls) = audit::ours_since(&space, since) {
        assert!(calls.iter().all(|call| call.starts_with("watch ")), "{calls:?}");
    }
    println!("{} turns of two settled sets: {} requests", 2 * TURNS, after - before);
    controller.stop().await;
}
