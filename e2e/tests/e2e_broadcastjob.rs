#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! Broadcast jobs on all nodes: `make e2e`.

use kruise_e2e::{Case, image, play};
use kube::api::ListParams;
use serde_json::{Value, json};

/// Names of nodes that take pods which tolerate nothing.
async fn nodes(case: &Case) -> Vec<String> {
    let list = case.space.cluster("", "v1", "Node").list(&ListParams::default()).await.unwrap();
    let nodes = list.items.into_iter().map(|node| serde_json::to_value(node).unwrap());
    let open = |node: &Value| {
        let taints = node["spec"]["taints"].as_array().map_or(0, Vec::len);
        taints == 0 && node["spec"]["unschedulable"] != true && kruise_e2e::is_true(node, "Ready")
    };
    nodes.filter(open).map(|node| node["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn job(script: &str, change: &Value) -> Value {
    let mut job = json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "BroadcastJob", "metadata": { "name": "clean" },
        "spec": { "template": { "metadata": { "labels": { "app": "clean" } }, "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "clean", "image": image("v1"), "command": ["sh", "-c", script],
                "env": [{ "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }],
                "resources": { "requests": { "cpu": "2m", "memory": "8Mi" } },
            }],
        } } },
    });
    json_patch::merge(&mut job["spec"], change);
    job
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn every_node_runs_it_once_and_the_failing_one_is_named() {
    play("broadcast", |case| async move {
        let nodes = nodes(&case).await;
        let bad = nodes.last().unwrap().clone();
        let script = format!("echo cleaned $NODE; [ $NODE != {bad} ]");
        let go_on = json!({ "failurePolicy": { "type": "Continue" } });
        case.create(&case.jobs(), job(&script, &go_on)).await;
        let job = case
            .until("its end", &case.jobs(), "clean", |job| job["status"]["phase"] == "completed")
            .await;
        let status = &job["status"];
        assert_eq!(status["desired"], nodes.len());
        assert_eq!(status["succeeded"], nodes.len() - 1, "{status}");
        assert_eq!(status["failed"], 1);
        assert!(status["failedNodes"].to_string().contains(&bad), "{status}");
        let pods = case.space.pods().await;
        assert_eq!(pods.len(), nodes.len(), "one pod for each node");
        for pod in &pods {
            let node = pod["spec"]["nodeName"].as_str().unwrap();
            let name = pod["metadata"]["name"].as_str().unwrap();
            let log = kruise_e2e::kubectl(&["logs", "-n", &case.space.name, name]).await;
            assert_eq!(log, format!("cleaned {node}\n"));
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_container_that_fails_once_is_started_again_and_no_failure() {
    play("broadcast-retry", |case| async move {
        let nodes = nodes(&case).await;
        let script = "if [ -e /tmp/once/x ]; then exit 0; fi; touch /tmp/once/x; exit 3";
        let change = json!({
            "failurePolicy": { "type": "FailFast", "restartLimit": 2 },
            "template": { "spec": { "restartPolicy": "OnFailure", "volumes": [{ "name": "once", "emptyDir": {} }] } },
        });
        let mut job = job(script, &change);
        job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "once", "mountPath": "/tmp/once" }]);
        case.create(&case.jobs(), job).await;
        let job = case.until("its end", &case.jobs(), "clean", |job| job["status"]["phase"] == "completed").await;
        assert_eq!(job["status"]["succeeded"], nodes.len());
        let pods = case.space.pods().await;
        assert!(pods.iter().all(|pod| kruise_e2e::restarts(pod, "clean") == 1));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_deadline_ends_what_still_runs() {
    play("broadcast-deadline", |case| async move {
        let change =
            json!({ "completionPolicy": { "type": "Always", "activeDeadlineSeconds": 5 } });
        case.create(&case.jobs(), job("while :; do sleep 1; done", &change)).await;
        case.until("its end", &case.jobs(), "clean", |job| job["status"]["phase"] == "failed")
            .await;
        case.pods("nothing runs", |pods| {
            pods.iter().all(|pod| pod["status"]["phase"] != "Running")
        })
        .await;
    })
    .await;
}
