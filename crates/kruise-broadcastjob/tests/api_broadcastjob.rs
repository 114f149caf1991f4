#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! The binary against a real API server with a real scheduler: `hack/test api` brings the cluster and CRDs.
//!
//! Each test has its own namespace, its own simulated nodes and its own controller, which looks at this namespace only.
//! The numbers are those of the acceptance list (broadcastjob.md §24).

#[path = "api/harness.rs"]
mod harness;
#[path = "api/takeover.rs"]
mod takeover;

use std::collections::BTreeSet;

use harness::{Space, controller as start, controller_behind, wait};
use kruise_common::testing::relay::{Cut, Relay};
use serde_json::{Value, json};

fn nodes_of(pods: &[Value]) -> BTreeSet<String> {
    pods.iter().map(|pod| pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()).collect()
}

fn at_work(pods: &[Value]) -> usize {
    let ended =
        |pod: &Value| ["Succeeded", "Failed"].contains(&pod["status"]["phase"].as_str().unwrap());
    pods.iter().filter(|pod| !ended(pod) && pod["metadata"]["deletionTimestamp"].is_null()).count()
}

/// R1, R2, R3, R5, R12.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn every_node_runs_once_and_never_more_than_may() {
    let space = Space::new("once", 6).await;
    let controller = start(&space).await;
    let mut job = space.job(
        "exit-0",
        &json!({ "parallelism": "33%", "completionPolicy": { "ttlSecondsAfterFinished": 3600 } }),
    );
    job["apiVersion"] = json!("apps.kruise.io/v1alpha1");
    let stored = space.create(job).await;
    assert_eq!(stored["spec"]["completionPolicy"]["ttlSecondsAfterFinished"], 3600);
    let other = space.jobs("v1beta1").get("clean").await.unwrap();
    assert_eq!(other.data["spec"]["parallelism"], "33%", "readable in the other version");
    space.shows(json!({ "desired": 6 })).await;
    loop {
        let pods = space.pods().await;
        assert!(at_work(&pods) <= 2, "a third of six are two");
        if space.status().await["phase"] == "completed" {
            break;
        }
    }
    space.shows(json!({ "succeeded": 6, "failed": 0, "active": 0 })).await;
    let pods = space.pods().await;
    assert_eq!((pods.len(), nodes_of(&pods).len()), (6, 6));
    let uid = &stored["metadata"]["uid"];
    for pod in &pods {
        assert_eq!(pod["metadata"]["ownerReferences"][0]["uid"], *uid);
        assert_eq!(pod["metadata"]["labels"]["broadcastjob-controller-uid"], *uid);
        assert_eq!(pod["metadata"]["ownerReferences"][0]["controller"], true);
    }
    let created = controller.count("kruise_writes_total", "outcome=\"ok\",resource=\"pods\"").await;
    assert_eq!(created, 6, "one write per pod");
    assert_eq!(
        space.event("JobComplete").await,
        format!("Job {}/clean is completed, 6 pods succeeded, 0 pods failed", space.name)
    );
    controller.stop().await;
    // Idle: another process over the finished job.
    let controller = start(&space).await;
    controller.turned().await;
    assert_eq!(
        controller.count("kruise_writes_total", "").await,
        0,
        "a finished job causes no write"
    );
    controller.stop().await;
    space.end().await;
}

/// R6, R8, R9.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_failed_pod_means_what_the_policy_says() {
    let space = Space::new("policy", 3).await;
    let controller = start(&space).await;
    for (policy, phase, left) in
        [("FailFast", "failed", 1), ("Pause", "paused", 2), ("Continue", "running", 3)]
    {
        let change = json!({ "parallelism": 2, "failurePolicy": { "type": policy } });
        space.create(space.job("never-ready", &change)).await;
        let pods = space.running(2).await;
        space.end_pod(&pods[0], "Failed").await;
        let (failed, active) = match policy {
            "FailFast" => (2, 0),
            "Pause" => (1, 1),
            _ => (1, 2),
        };
        let shown = json!({ "phase": phase, "failed": failed, "active": active, "desired": 3 });
        space.shows(shown).await;
        wait("the pods that are to be left", || async {
            (space.pods().await.len() == left).then_some(())
        })
        .await;
        let status = space.status().await;
        assert_eq!(status["completionTime"].is_string(), policy == "FailFast");
        if policy == "Continue" {
            for pod in
                space.running(2).await.iter().filter(|pod| pod["status"]["phase"] == "Running")
            {
                space.end_pod(pod, "Succeeded").await;
            }
            space.shows(json!({ "phase": "completed", "succeeded": 2, "failed": 1 })).await;
        }
        space.remove_job().await;
    }
    controller.stop().await;
    space.end().await;
}

/// R7: one restart is one too many unless it is tolerated; the pod is ended, not deleted (W1).
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_pod_over_its_restart_limit_fails_the_job() {
    let space = Space::new("restarts", 1).await;
    let controller = start(&space).await;
    let change = json!({ "failurePolicy": { "restartLimit": 1 }, "template": { "spec": { "restartPolicy": "OnFailure" } } });
    space.create(space.job("crash", &change)).await;
    space.shows(json!({ "phase": "failed", "failed": 1, "active": 0 })).await;
    wait("the pod to be ended", || async {
        let pods = space.pods().await;
        (pods[0]["status"]["reason"] == "DeadlineExceeded").then_some(())
    })
    .await;
    let pods = space.pods().await;
    assert_eq!(pods[0]["spec"]["activeDeadlineSeconds"], 1);
    let restarts = pods[0]["status"]["containerStatuses"][0]["restartCount"].as_i64();
    assert!(restarts >= Some(2), "one is tolerated, the second is too many: {restarts:?}");
    controller.stop().await;
    space.end().await;
}

/// R4, R10, R13, R14.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn nodes_are_served_when_they_fit() {
    let space = Space::new("fit", 5).await;
    let controller = start(&space).await;
    space.change_node(1, json!({ "spec": { "unschedulable": true } })).await;
    let taint = |value: &str| json!({ "spec": { "taints": [{ "key": "team", "value": value, "effect": "NoSchedule" }] } });
    space.change_node(2, taint("a")).await;
    space.change_node(3, taint("b")).await;
    space.change_node(4, json!({ "metadata": { "labels": { "skip": "true" } } })).await;
    let expression = json!({ "key": "skip", "operator": "DoesNotExist" });
    let change = json!({
        "paused": true,
        "completionPolicy": { "type": "Never" },
        "template": { "spec": {
            "tolerations": [{ "key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule" }],
            "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{ "matchExpressions": [expression] }],
            } } },
        } },
    });
    space.create(space.job("exit-0", &change)).await;
    space.shows(json!({ "phase": "paused", "desired": 2, "active": 0 })).await;
    assert!(space.pods().await.is_empty(), "paused");
    let reasons: BTreeSet<String> = space.status().await["unfinished"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["reason"].as_str().unwrap().to_owned())
        .collect();
    for reason in ["Cordoned", "Tainted", "AffinityMismatch"] {
        assert!(reasons.contains(reason), "{reasons:?}");
    }
    space.change(json!({ "spec": { "paused": false } })).await;
    space.shows(json!({ "phase": "running", "desired": 2, "succeeded": 2 })).await;
    assert_eq!(nodes_of(&space.pods().await), [space.node(0), space.node(2)].into());
    space.change_node(1, json!({ "spec": { "unschedulable": null } })).await;
    space.change_node(3, json!({ "spec": { "taints": null } })).await;
    space.change_node(4, json!({ "metadata": { "labels": { "skip": null } } })).await;
    space.shows(json!({ "phase": "running", "desired": 5, "succeeded": 5 })).await;
    // Cordoned again, and its pod cleaned up: it is done all the same.
    space.change_node(0, json!({ "spec": { "unschedulable": true } })).await;
    let pods = space.pods_on(0).await;
    space.delete_pod(&pods[0]).await;
    space.change_node(0, json!({ "spec": { "unschedulable": null } })).await;
    space.change_node(1, json!({ "metadata": { "labels": { "seen": "true" } } })).await;
    wait("the controller to have seen it", || async {
        (controller.count("kruise_cache_objects", "resource=\"pods\"").await == 4).then_some(())
    })
    .await;
    space.shows(json!({ "phase": "running", "desired": 5, "succeeded": 5, "active": 0 })).await;
    assert_eq!(space.pods().await.len(), 4, "nothing runs twice");
    controller.stop().await;
    space.end().await;
}

/// Node deletion, a node under the same name, a pod that is drained.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn nodes_and_pods_that_go_are_no_failure() {
    let space = Space::new("lost", 3).await;
    let controller = start(&space).await;
    space
        .create(space.job("never-ready", &json!({ "completionPolicy": { "type": "Never" } })))
        .await;
    let before = space.running(3).await;
    space.delete_pod(&before[0]).await;
    wait("another pod in its place", || async {
        let pods = space.pods().await;
        let same = pods.iter().any(|pod| pod["metadata"]["uid"] == before[0]["metadata"]["uid"]);
        (!same && pods.len() == 3).then_some(())
    })
    .await;
    space.running(3).await;
    let old = space.pods_on(2).await;
    space.lose_node(2, true).await;
    wait("the pod of the new node", || async {
        let pods = space.pods_on(2).await;
        let new =
            pods.iter().filter(|pod| pod["metadata"]["name"] != old[0]["metadata"]["name"]).count();
        (new == 1 && pods.len() == 1).then_some(())
    })
    .await;
    space.lose_node(1, false).await;
    space.shows(json!({ "phase": "running", "desired": 2, "failed": 0 })).await;
    controller.stop().await;
    space.end().await;
}

/// A kubelet that never answers holds up its own node and nothing else, and the deadline ends that (R11), also if the
/// controller died in between and no event comes (B7); then the job goes with its time (R15).
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn deadline_and_time_to_live_survive_the_controller() {
    let space = Space::new("deadline", 3).await;
    let controller = start(&space).await;
    let change = json!({
        "parallelism": 1,
        "completionPolicy": { "activeDeadlineSeconds": 8, "ttlSecondsAfterFinished": 3 },
        "template": { "metadata": { "annotations": { "sim.kruise.dev/ignore": "true" } } },
    });
    space.create(space.job("exit-0", &change)).await;
    space.shows(json!({ "active": 1, "desired": 3 })).await;
    let healthy = json!({ "metadata": { "annotations": { "sim.kruise.dev/ignore": null } } });
    space.change(json!({ "spec": { "parallelism": 2, "template": healthy } })).await;
    space.shows(json!({ "succeeded": 2, "active": 1, "desired": 3, "phase": "running" })).await;
    controller.kill().await;
    let controller = start(&space).await;
    space.shows(json!({ "phase": "failed", "succeeded": 2, "failed": 1, "active": 0 })).await;
    let ended = time(&space.status().await, "completionTime");
    let status = space.status().await;
    assert!(ended - time(&status, "startTime") >= 8, "not early");
    let last = status["conditions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["type"], "Failed");
    assert_eq!(
        last["message"],
        format!("Job {}/clean was active longer than specified deadline", space.name)
    );
    wait("the pod at work to be ended", || async {
        let pods = space.pods().await;
        let goes = |pod: &&Value| !pod["metadata"]["deletionTimestamp"].is_null();
        let (gone, there): (Vec<_>, Vec<_>) = pods.iter().partition(goes);
        assert!(there.iter().all(|pod| pod["status"]["phase"] == "Succeeded" || gone.is_empty()));
        (there.len() == 2).then_some(())
    })
    .await;
    controller.kill().await;
    let controller = start(&space).await;
    wait("the job to go", || async {
        space.jobs("v1beta1").get_opt("clean").await.unwrap().is_none().then_some(())
    })
    .await;
    assert!(jiff::Timestamp::now().as_second() - ended >= 3, "not early");
    wait("its pods to go", || async {
        let there = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_null();
        (!space.pods().await.iter().any(there)).then_some(())
    })
    .await;
    controller.stop().await;
    space.end().await;
}

/// A time of the status, in seconds.
fn time(status: &Value, name: &str) -> i64 {
    let time: jiff::Timestamp = status[name].as_str().unwrap().parse().unwrap();
    time.as_second()
}

/// R10, and R12 at its bounds.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_paused_job_leaves_its_pods_alone_and_goes_on_afterwards() {
    let space = Space::new("pause", 5).await;
    let controller = start(&space).await;
    space.create(space.job("never-ready", &json!({ "parallelism": "40%" }))).await;
    let pods = space.running(2).await;
    space.shows(json!({ "active": 2, "desired": 5, "phase": "running" })).await;
    space.change(json!({ "spec": { "paused": true } })).await;
    space.shows(json!({ "active": 2, "phase": "paused" })).await;
    space.end_pod(&pods[0], "Succeeded").await;
    space.shows(json!({ "active": 1, "succeeded": 1, "phase": "paused" })).await;
    let now = space.running(1).await;
    assert_eq!(now.len(), 2, "none is created");
    assert_eq!(now[1]["metadata"]["uid"], pods[1]["metadata"]["uid"], "none is touched");
    space.change(json!({ "spec": { "paused": false } })).await;
    for left in (0..4).rev() {
        let busy: Vec<Value> = space.running(left.min(1) + 1).await;
        let pod = busy.iter().find(|pod| pod["status"]["phase"] == "Running").unwrap();
        space.end_pod(pod, "Succeeded").await;
        space.shows(json!({ "succeeded": 5 - left, "active": left.min(2) })).await;
    }
    space.shows(json!({ "phase": "completed", "succeeded": 5 })).await;
    controller.stop().await;
    space.end().await;
}

/// Under pods at work: a cordon, a taint that drives out, a label that goes (W5).
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn nodes_change_under_pods_at_work() {
    let space = Space::new("change", 3).await;
    let controller = start(&space).await;
    for index in 0..3 {
        space.change_node(index, json!({ "metadata": { "labels": { "disk": "ssd" } } })).await;
    }
    let change = json!({ "template": { "spec": { "nodeSelector": { "disk": "ssd" } } } });
    space.create(space.job("never-ready", &change)).await;
    let pods = space.running(3).await;
    space.change_node(0, json!({ "spec": { "unschedulable": true } })).await;
    space.change_node(1, json!({ "metadata": { "labels": { "disk": null } } })).await;
    space.shows(json!({ "desired": 2, "active": 2 })).await;
    let taint = json!([{ "key": "out", "effect": "NoExecute" }]);
    space.change_node(2, json!({ "spec": { "taints": taint } })).await;
    space.shows(json!({ "desired": 1, "active": 1 })).await;
    wait("two pods to go", || async { (space.pods().await.len() == 1).then_some(()) }).await;
    let left = space.pods_on(0).await;
    assert!(pods.iter().any(|pod| pod["metadata"]["uid"] == left[0]["metadata"]["uid"]));
    space.change_node(2, json!({ "spec": { "taints": null } })).await;
    space.shows(json!({ "desired": 2, "active": 2 })).await;
    for pod in space.running(2).await {
        space.end_pod(&pod, "Succeeded").await;
    }
    space.shows(json!({ "phase": "completed", "succeeded": 2, "failed": 0, "desired": 2 })).await;
    controller.stop().await;
    space.end().await;
}

/// A run for each of its writes: the controller is killed at that write, once with the write done and its answer lost, once
/// with the write never sent. Every node runs exactly once, and the status is right.
async fn killed_at_every_write(purpose: &str, cut: Cut) {
    let space = Space::new(purpose, 10).await;
    for write in 1.. {
        let relay = Relay::silent_at(space.client(), write, cut).await;
        space.create(space.job("exit-0", &json!({ "parallelism": 4 }))).await;
        let end = json!({
            "phase": "completed", "succeeded": 10, "failed": 0, "active": 0, "desired": 10,
        });
        let start = async || controller_behind(&space, &relay).await;
        let killed = relay.killed(start, space.shows(end)).await;
        let sent = relay.sent();
        let created = sent.iter().filter(|sent| sent.created("pods")).count();
        let deleted = sent.iter().filter(|sent| sent.deleted("pods")).count();
        assert_eq!((created, deleted), (10, 0), "killed at write {write}: {sent:#?}");
        let pods = space.pods().await;
        assert_eq!((pods.len(), nodes_of(&pods).len()), (10, 10), "killed at write {write}");
        let results = space.status().await["results"]["succeeded"].as_str().unwrap().len();
        assert_eq!(results, 10 * 10, "killed at write {write}");
        space.remove_job().await;
        if !killed {
            assert!(write > 11, "ten pods and the end at least are written: {write}");
            println!("{cut:?}: killed at each of {} writes", write - 1);
            break;
        }
    }
    space.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn killed_after_any_write_every_node_runs_once() {
    killed_at_every_write("after", Cut::After).await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn killed_before_any_write_every_node_runs_once() {
    killed_at_every_write("before", Cut::Before).await;
}

/// R17: ten nodes have their pods before any of them has ended, with one write each. R18: a job as a cron controller makes
/// it is done within a minute.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn all_pods_are_created_at_once_and_a_child_of_a_cron_job_is_a_job() {
    let space = Space::new("cron", 10).await;
    let relay = Relay::start(space.client()).await;
    let controller = controller_behind(&space, &relay).await;
    let mut job = space.job("never-ready", &json!({ "parallelism": "100%" }));
    json_patch::merge(
        &mut job["metadata"],
        &json!({
            "annotations": { "apps.kruise.io/scheduled-at": "2026-01-22T00:00:00Z" },
            "ownerReferences": [{
                "apiVersion": "apps.kruise.io/v1beta1", "kind": "AdvancedCronJob", "name": "nightly",
                "uid": "d3b0a7c5-0000-4000-8000-000000000000", "blockOwnerDeletion": true, "controller": true,
            }],
        }),
    );
    space.create(job).await;
    let pods = space.running(10).await;
    let created = relay.sent().iter().filter(|sent| sent.created("pods")).count();
    assert_eq!((created, nodes_of(&pods).len()), (10, 10));
    for pod in &pods {
        assert!(pod["metadata"]["annotations"].is_null(), "its template's only");
        space.end_pod(pod, "Succeeded").await;
    }
    space.shows(json!({ "phase": "completed", "desired": 10, "succeeded": 10 })).await;
    let status = space.status().await;
    assert!(time(&status, "completionTime") - time(&status, "startTime") < 60);
    controller.stop().await;
    space.end().await;
}

/// A5: a policy that refuses the pod of the first node holds up nobody else.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_pod_that_is_refused_holds_up_no_other_node() {
    let space = Space::new("refused", 4).await;
    let policy = space.refuse_pods_for(0).await;
    let controller = start(&space).await;
    space.create(space.job("exit-0", &json!({ "parallelism": 1 }))).await;
    space.shows(json!({ "phase": "running", "succeeded": 3, "active": 0, "desired": 4 })).await;
    let status = space.status().await;
    let first = &status["unfinished"][0];
    assert_eq!(
        (&first["node"], &first["reason"]),
        (&json!(space.node(0)), &json!("CreationRefused"))
    );
    let conditions = status["conditions"].as_array().unwrap();
    let told = conditions.iter().find(|c| c["type"] == "FailedCreatePod" && c["status"] == "True");
    let message = told.unwrap()["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("pod of node {}: ", space.node(0))), "{message}");
    assert!(message.contains("not on this node"), "{message}");
    assert!(space.event("FailedCreate").await.contains("not on this node"));
    let held = controller.count("kruise_broadcastjob_holds", "reason=\"CreationRefused\"").await;
    assert_eq!(held, 1);
    space.lift(&policy).await;
    // Its own delay has grown meanwhile; whoever changes the job need not wait for its end.
    space.change(json!({ "spec": { "parallelism": 2 } })).await;
    space.shows(json!({ "phase": "completed", "succeeded": 4 })).await;
    assert_eq!(nodes_of(&space.pods().await).len(), 4);
    controller.stop().await;
    space.end().await;
}

/// R9: two nodes are done, one of them badly, and a third one fits late: the job is paused, and counts it.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_job_that_a_failure_paused_makes_no_pod_for_a_late_node() {
    let space = Space::new("late", 3).await;
    let controller = start(&space).await;
    space.change_node(2, json!({ "spec": { "unschedulable": true } })).await;
    space.create(space.job("never-ready", &json!({ "failurePolicy": { "type": "Pause" } }))).await;
    let pods = space.running(2).await;
    space.end_pod(&pods[0], "Succeeded").await;
    space.shows(json!({ "phase": "running", "succeeded": 1, "active": 1, "desired": 2 })).await;
    space.end_pod(&pods[1], "Failed").await;
    space.shows(json!({ "phase": "paused", "succeeded": 1, "failed": 1, "desired": 2 })).await;
    space.change_node(2, json!({ "spec": { "unschedulable": null } })).await;
    space
        .shows(json!({ "phase": "paused", "succeeded": 1, "failed": 1, "active": 0, "desired": 3 }))
        .await;
    assert_eq!(space.pods().await.len(), 2, "no pod for the late node");
    // What the policy becomes applies to what has failed before (§14).
    space.change(json!({ "spec": { "failurePolicy": { "type": "Continue" } } })).await;
    let late = space.running(1).await;
    let late = late.iter().find(|pod| pod["status"]["phase"] == "Running").unwrap();
    assert_eq!(late["spec"]["nodeName"], space.node(2));
    space.end_pod(late, "Succeeded").await;
    space.shows(json!({ "phase": "completed", "succeeded": 2, "failed": 1 })).await;
    controller.stop().await;
    space.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn bad_input_is_explained() {
    let space = Space::new("bad", 1).await;
    let controller = start(&space).await;
    space.create(space.job("exit-0", &json!({ "parallelism": "some" }))).await;
    let condition = |kind: &'static str| {
        let space = &space;
        async move {
            wait(kind, || async {
                let status = space.status().await;
                let conditions = status["conditions"].as_array()?.clone();
                let found =
                    conditions.iter().find(|c| c["type"] == kind && c["status"] == "True")?;
                Some(found["message"].as_str()?.to_owned())
            })
            .await
        }
    };
    assert!(condition("InvalidSpec").await.starts_with("spec.parallelism: \"some\""));
    space.event("InvalidSpec").await;
    space.change(json!({ "spec": { "parallelism": 1, "template": { "spec": { "restartPolicy": "Sometimes" } } } })).await;
    let message = condition("FailedCreatePod").await;
    assert!(message.contains("spec.restartPolicy: Unsupported value: \"Sometimes\""), "{message}");
    assert!(space.event("FailedCreate").await.starts_with("Error creating: "));
    space.change(json!({ "spec": { "template": { "spec": { "restartPolicy": "Never" } } } })).await;
    space.shows(json!({ "phase": "completed", "succeeded": 1 })).await;
    controller.stop().await;
    space.end().await;
}
