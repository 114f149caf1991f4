#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! The binary against a real API server: `hack/test api` brings the cluster, simulated nodes and CRDs.
//!
//! Each test has its own namespace and its own controller, which looks at this namespace only.

#[path = "api/acceptance.rs"]
mod acceptance;
#[path = "api/audit.rs"]
mod audit;
#[path = "api/claims.rs"]
mod claims;
#[path = "api/crashes.rs"]
mod crashes;
#[path = "api/harness.rs"]
mod harness;
#[path = "api/objects.rs"]
mod objects;
#[path = "api/resources.rs"]
mod resources;
#[path = "api/rollouts.rs"]
mod rollouts;
#[path = "api/volumes.rs"]
mod volumes;
#[path = "api/writes.rs"]
mod writes;

use std::time::Instant;

use harness::{Controller, Space, set};
use kruise_common::testing::cluster;
use serde_json::{Value, json};

fn image(version: u8) -> Value {
    json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": format!("registry.k8s.io/pause:3.{version}") }])
}

fn in_place(replicas: i32) -> Value {
    let mut set = set("web", replicas);
    json_patch::merge(
        &mut set,
        &json!({ "spec": {
            "podManagementPolicy": "Parallel",
            "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": "100%" } },
            "template": { "spec": { "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }] } },
        }}),
    );
    set
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn an_image_changes_in_place_with_three_writes_per_pod_and_no_conflict() {
    let space = Space::new("inplace").await;
    let controller = Controller::start(&space, &[]).await;
    space.create(in_place(8)).await;
    space.rolled_out("web").await;
    let before = space.pods().await;
    let (writes, conflicts) = controller.pod_writes().await;
    space.patch("web", image(2)).await;
    space.rolled_out("web").await;
    let after = space.pods().await;
    for (old, new) in before.iter().zip(&after) {
        for same in ["/metadata/uid", "/spec/nodeName", "/status/podIP", "/spec/volumes"] {
            assert_eq!(old.pointer(same), new.pointer(same), "{same}");
        }
        assert_eq!(new["status"]["containerStatuses"][0]["restartCount"], 1);
        assert_eq!(new["spec"]["containers"][0]["image"], "registry.k8s.io/pause:3.2");
    }
    let (now, now_conflicts) = controller.pod_writes().await;
    assert_eq!(now - writes, 3 * 8, "3 writes per pod");
    assert_eq!(now_conflicts, conflicts, "no conflict");
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_template_change_recreates_within_the_budget_and_a_restart_writes_nothing() {
    let space = Space::new("recreate").await;
    let controller = Controller::start(&space, &[]).await;
    let mut recreated = set("web", 4);
    json_patch::merge(
        &mut recreated,
        &json!({ "spec": {
            "podManagementPolicy": "Parallel",
            "updateStrategy": { "rollingUpdate": { "maxUnavailable": 2 } },
        }}),
    );
    space.create(recreated).await;
    space.rolled_out("web").await;
    let before = space.pods().await;
    let watch = space.watch_available(4);
    let env = json!([{ "op": "add", "path": "/spec/template/spec/containers/0/env", "value": [{ "name": "A", "value": "1" }] }]);
    space.patch("web", env).await;
    space.rolled_out("web").await;
    let after = space.pods().await;
    assert!(before.iter().zip(&after).all(|(a, b)| a["metadata"]["uid"] != b["metadata"]["uid"]));
    assert!(watch.least() >= 2, "maxUnavailable is 2 of 4");
    controller.stop().await;
    // Idle: another process over the converged set.
    let controller = Controller::start(&space, &[]).await;
    controller.turned().await;
    assert_eq!(controller.all_writes().await, 0, "a converged set causes no write");
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn leaders_hand_over_and_no_pod_is_lost_or_doubled() {
    let space = Space::new("leaders").await;
    let lease = [
        // Long enough that no leader loses it because the machine is busy.
        "--leader-election-lease-duration=8s",
        "--leader-election-renew-deadline=6s",
        "--leader-election-retry-period=500ms",
    ];
    let first = Controller::start(&space, &lease).await;
    first.leads().await;
    let second = Controller::start(&space, &lease).await;
    space.create(in_place(20)).await;
    space.seen_pods(5).await;
    let asked = Instant::now();
    let (ended, ()) = tokio::join!(
        async {
            first.stop().await;
            asked.elapsed()
        },
        second.leads(),
    );
    println!("SIGTERM: hand-over after {:?}, end after {ended:?}", asked.elapsed());
    space.rolled_out("web").await;
    let before = space.pods().await;
    assert_eq!(before.len(), 20);
    let third = Controller::start(&space, &lease).await;
    space.patch("web", image(2)).await;
    second.kill().await;
    let killed = Instant::now();
    third.leads().await;
    println!("SIGKILL: hand-over after: {:?}", killed.elapsed());
    space.rolled_out("web").await;
    let after = space.pods().await;
    let uid = |pod: &Value| pod["metadata"]["uid"].clone();
    let same = before.iter().map(uid).eq(after.iter().map(uid));
    assert!(same, "the same 20 pods, each updated in place");
    assert!(after.iter().all(|pod| pod["status"]["containerStatuses"][0]["restartCount"] == 1));
    third.stop().await;
}

/// Platform §18.4: two managers of one kind would undo each other's work.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn it_stands_by_while_an_openkruise_manager_leads() {
    let space = Space::new("standby").await;
    let leases = space.api("coordination.k8s.io", "v1", "Lease");
    let now = jiff::Timestamp::now();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "kruise-manager" },
        "spec": { "holderIdentity": "manager_1", "leaseDurationSeconds": 3600, "renewTime": format!("{now:.6}") },
    });
    cluster::create(&leases, lease).await.unwrap();
    let flag = format!("--openkruise-lease={}/kruise-manager", space.name());
    let controller = Controller::start(&space, &[&flag]).await;
    space.create(set("web", 2)).await;
    controller.until("kruise_conflict", |conflict| conflict > 0.0).await;
    controller.until("kruise_cache_objects{resource=\"statefulsets\"", |sets| sets > 0.0).await;
    assert_eq!(controller.all_writes().await, 0, "it sees the set and leaves it alone");
    assert!(space.pods().await.is_empty());
    let released = json!([{ "op": "remove", "path": "/spec/holderIdentity" }]);
    cluster::patch(&leases, "kruise-manager", released).await.unwrap();
    space.rolled_out("web").await;
    controller.until("kruise_conflict", |conflict| conflict == 0.0).await;
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn bad_input_is_explained_and_harms_nobody_else() {
    let space = Space::new("bad").await;
    let controller = Controller::start(&space, &[]).await;
    let bad = |name: &str, change: Value| {
        let mut set = set(name, 2);
        json_patch::merge(&mut set, &change);
        set
    };
    let nonsense = json!({ "spec": { "podManagementPolicy": "Parallel", "updateStrategy": { "rollingUpdate": { "maxUnavailable": "lots" } } } });
    space.create(bad("percent", nonsense)).await;
    space.create(bad("ordinals", json!({ "spec": { "reserveOrdinals": ["5-x"] } }))).await;
    let other = json!({ "spec": { "selector": { "matchLabels": { "app": "other" } } } });
    space.create(bad("selector", other)).await;
    let rejected = json!({ "spec": { "template": { "spec": { "restartPolicy": "Sometimes" } } } });
    space.create(bad("rejected", rejected)).await;
    space.create(set("good", 2)).await;
    space.rolled_out("good").await;
    for (name, condition, says) in [
        ("percent", "InvalidSpec", "spec.updateStrategy.rollingUpdate.maxUnavailable: \"lots\""),
        ("ordinals", "InvalidSpec", "spec.reserveOrdinals[0]"),
        ("selector", "InvalidSpec", "spec.template.metadata.labels"),
        ("rejected", "FailedCreatePod", "spec.restartPolicy: Unsupported value: \"Sometimes\""),
    ] {
        let message = space.condition(name, condition).await;
        assert!(message.contains(says), "{name}: {message}");
        let event = space.warning(name).await;
        assert!(event.contains(says), "{name}: {event}");
    }
    // No hot loop: what is refused is tried again at growing intervals only, so that a turn costs one write of each set
    // that fails, and the turns themselves get rarer. Four refusals more take no write beside them.
    let failing = controller.all_writes().await;
    let turns = controller.failed_count().await;
    controller.failed_turns(turns + 4).await;
    let (writes, turns) =
        (controller.all_writes().await - failing, controller.failed_count().await - turns);
    assert!(writes <= turns + 2, "{writes} writes in {turns} failed turns");
    controller.stop().await;
}
