//! CPU and memory on a real API server (AC-13, `inplace.md` §10.2.3, §18), with every gate on (AC-24).

use serde_json::{Value, json};

use crate::acceptance::{ALL_GATES, set_with};
use crate::harness::{Controller, Space};
use crate::objects::{is_up, uids};

const DEFERRED: &str = "sim.kruise.dev/resize";

/// The template's resources: CPU as given, half of its limit at first; memory asked for as limited.
fn cpu(request: &str) -> Value {
    let resources = json!({
        "requests": { "cpu": request, "memory": "16Mi" }, "limits": { "cpu": "40m", "memory": "16Mi" },
    });
    let container =
        json!({ "name": "app", "image": "registry.k8s.io/pause:3.1", "resources": resources });
    json!({ "spec": { "template": { "spec": { "containers": [container] } } } })
}

/// CPU that the containers run with.
fn given(pods: &[Value]) -> Vec<&str> {
    let path = "/status/containerStatuses/0/resources/requests/cpu";
    pods.iter().map(|pod| pod.pointer(path).and_then(Value::as_str).unwrap_or_default()).collect()
}

fn restarted(pods: &[Value]) -> bool {
    pods.iter().any(|pod| pod["status"]["containerStatuses"][0]["restartCount"] != 0)
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac13_a_pod_resize_needs_no_restart_and_the_rollout_ends_when_they_are_reported() {
    let space = Space::new("ac13-cpu").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let mut change = cpu("10m");
    json_patch::merge(
        &mut change,
        &json!({ "spec": {
            "podManagementPolicy": "Parallel",
            "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": "100%" } },
            "template": {
                "metadata": { "annotations": { DEFERRED: "Deferred" } },
                "spec": { "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }] },
            },
        } }),
    );
    space.create(set_with(2, &change)).await;
    let before = space.ordinals_are(&[0, 1]).await;
    space.rolled_out("web").await;
    let first = space.set("web").await["status"]["updateRevision"].clone();
    space.merge("web", cpu("20m")).await;
    // Both pods bear the new revision, serve, and run with what they had.
    let status = space
        .status_is("web", "the wait for the kubelet", |status| {
            status["updatedReplicas"] == 2 && status["availableReplicas"] == 0
        })
        .await;
    assert_eq!(status["readyReplicas"], 2);
    assert_eq!(status["currentRevision"], first, "it is not over");
    assert_eq!(controller.holds("InPlaceInProgress").await, 1);
    let pods = space.pods().await;
    assert!(pods.iter().all(is_up));
    assert_eq!(given(&pods), ["10m", "10m"]);
    for name in ["web-0", "web-1"] {
        space.merge_pod(name, json!({ "metadata": { "annotations": { DEFERRED: null } } })).await;
    }
    space.rolled_out("web").await;
    space.status_is("web", "the end", |status| status["availableReplicas"] == 2).await;
    let pods = space.pods().await;
    assert_eq!(given(&pods), ["20m", "20m"]);
    assert_eq!((uids(&before), restarted(&pods)), (uids(&pods), false));
    // And back.
    space.merge("web", cpu("10m")).await;
    space.rolled_out("web").await;
    let pods = space.pods().await;
    assert_eq!(given(&pods), ["10m", "10m"]);
    assert_eq!((uids(&before), restarted(&pods)), (uids(&pods), false));
    assert_eq!(space.set("web").await["status"]["updateRevision"], first, "the earlier name");
    // What makes the pods Guaranteed is no resize (IP-4).
    space.merge("web", cpu("40m")).await;
    space.rolled_out("web").await;
    let pods = space.ordinals_are(&[0, 1]).await;
    assert_eq!(given(&pods), ["40m", "40m"]);
    assert!(uids(&before).iter().zip(uids(&pods)).all(|(old, new)| *old != new), "other pods");
    assert!(!restarted(&pods));
    controller.stop().await;
}
