#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! Nodes that are switched off and on: `make e2e`. Nothing else may run meanwhile.

use kruise_e2e::{Case, Power, is_ready, play, restarts, same_pod, set};
use serde_json::{Value, json};

/// A set with claims, spread over nodes, of which pods leave a dead node after some seconds.
fn spread() -> Value {
    let dead = |key: &str| json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3 });
    let mut set = set(
        "web",
        3,
        &json!({
            "template": { "spec": {
                "tolerations": [dead("node.kubernetes.io/not-ready"), dead("node.kubernetes.io/unreachable")],
                "topologySpreadConstraints": [{
                    "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": { "matchLabels": { "app": "web" } } }],
            } },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } } }],
        }),
    );
    let mounts = &mut set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
    mounts.as_array_mut().unwrap().push(json!({ "name": "data", "mountPath": "/data" }));
    set
}

async fn started(case: &Case) -> Vec<Value> {
    case.run(spread()).await;
    for pod in ["web-0", "web-1", "web-2"] {
        case.sh(pod, "app", &format!("echo {pod} > /data/owner; sync")).await;
    }
    case.space.pods().await
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_node_that_is_started_again_has_its_pods_back() {
    let Some(power) = Power::found() else { return };
    play("reboot", |case| async move {
        let before = started(&case).await;
        let node = before[1]["spec"]["nodeName"].as_str().unwrap();
        power.switch(node, "reset").await;
        let on_it = |pod: &Value| pod["spec"]["nodeName"] == node;
        case.pods("what ran there runs again", |pods| {
            pods.iter().all(is_ready)
                && pods.iter().filter(|pod| on_it(pod)).all(|pod| restarts(pod, "app") == 1)
        })
        .await;
        case.rolled_out("web").await;
        let after = case.space.pods().await;
        for (old, new) in before.iter().zip(&after) {
            assert_eq!(old["metadata"]["uid"], new["metadata"]["uid"], "the same pod");
            assert_eq!(restarts(new, "app"), u64::from(on_it(new)));
            let name = new["metadata"]["name"].as_str().unwrap();
            assert_eq!(case.sh(name, "app", "cat /data/owner").await.trim(), name);
        }
        // And updates go on as ever.
        case.set_image("web", 0, &kruise_e2e::image("v2")).await;
        case.rolled_out("web").await;
        for (old, new) in after.iter().zip(&case.space.pods().await) {
            same_pod(old, new);
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_pod_of_a_dead_node_is_not_doubled_and_comes_back_elsewhere_when_the_node_is_deleted() {
    let Some(power) = Power::found() else { return };
    play("dead", |case| async move {
        let before = started(&case).await;
        let lost = &before[2];
        let node = lost["spec"]["nodeName"].as_str().unwrap().to_owned();
        power.switch(&node, "off").await;
        // Kubernetes waits 50 s for the node, and takes its pods down 3 s after.
        case.until("asked to go", &case.core("Pod"), "web-2", |pod| {
            pod["metadata"]["deletionTimestamp"].is_string()
        })
        .await;
        // Nobody can know that it has stopped: no second one comes into being (at most one pod of a name).
        assert_eq!(case.pod("web-2").await["metadata"]["uid"], lost["metadata"]["uid"]);
        case.delete(&case.space.cluster("", "v1", "Node"), &node).await;
        case.until("another pod elsewhere", &case.core("Pod"), "web-2", |pod| {
            pod["metadata"]["uid"] != lost["metadata"]["uid"]
                && is_ready(pod)
                && pod["spec"]["nodeName"] != node.as_str()
        })
        .await;
        case.rolled_out("web").await;
        assert_eq!(case.sh("web-2", "app", "cat /data/owner").await, "web-2\n", "with its data");
        power.switch(&node, "on").await;
        power.waited(&case, &node, true).await;
    })
    .await;
}
