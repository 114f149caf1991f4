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
#[path = "api/bad_input.rs"]
mod bad_input;
#[path = "api/claims.rs"]
mod claims;
#[path = "api/crashes.rs"]
mod crashes;
#[path = "api/harness.rs"]
mod harness;
#[path = "api/idle.rs"]
mod idle;
#[path = "api/leaders.rs"]
mod leaders;
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
    let (writes, conflicts) = controller.pod_writes(2 * 8).await;
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
    let (now, now_conflicts) = controller.pod_writes(writes + 3 * 8).await;
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
