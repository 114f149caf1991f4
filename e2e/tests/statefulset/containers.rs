//! What containers do to an update: they end slowly, are killed, and get more of a resource.

use kruise_e2e::{container, image, play, restarts, same_pod, set};
use serde_json::{Value, json};

/// A container that notes its life in a file: when it starts, its preStop hook, its end.
fn noting() -> Value {
    let mut app = kruise_e2e::app("v1");
    let script = "echo start >> /scratch/log; trap 'echo term >> /scratch/log; sleep 1; echo end >> /scratch/log; exit 0' TERM; \
                  while :; do sleep 0.1; done";
    app["command"] = json!(["sh", "-c", script]);
    app["lifecycle"] = json!({ "preStop": { "exec": { "command": ["sh", "-c", "echo hook >> /scratch/log; sleep 2"] } } });
    app.as_object_mut().unwrap().remove("readinessProbe");
    app
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_container_ends_in_its_own_time() {
    play("grace", |case| async move {
        let mut web = set(
            "web",
            1,
            &json!({ "template": { "spec": { "terminationGracePeriodSeconds": 20 } } }),
        );
        web["spec"]["template"]["spec"]["containers"][0] = noting();
        case.run(web).await;
        let before = case.pod("web-0").await;
        case.set_image("web", 0, &image("v2")).await;
        case.rolled_out("web").await;
        let after = case.pod("web-0").await;
        same_pod(&before, &after);
        let log = case.sh("web-0", "app", "cat /scratch/log").await;
        assert_eq!(log, "start\nhook\nterm\nend\nstart\n", "hook and signal before the next start");
        assert_eq!(container(&after, "app")["lastState"]["terminated"]["exitCode"], 0);
        // The name is free again only when the container has ended: no two web-0 at a time.
        let deleted = std::time::Instant::now();
        case.delete(&case.core("Pod"), "web-0").await;
        let uid = after["metadata"]["uid"].clone();
        case.until("another", &case.core("Pod"), "web-0", |pod| pod["metadata"]["uid"] != uid)
            .await;
        let took = deleted.elapsed().as_secs_f64();
        assert!(took >= 3.0, "hook and end take 3 s, the next pod came after {took} s");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_container_killed_for_its_memory_in_the_midst_of_an_update_is_waited_for() {
    play("oom", |case| async move {
        let mut app = kruise_e2e::app("v1");
        // Once, after the update, it takes more than it may have.
        app["command"] = json!([
            "sh",
            "-c",
            "if [ -e /scratch/eat ]; then rm /scratch/eat; exec actor eat 200; fi; exec actor serve"
        ]);
        app["resources"] =
            json!({ "requests": { "cpu": "2m", "memory": "8Mi" }, "limits": { "memory": "48Mi" } });
        let mut web = set("web", 2, &json!({}));
        web["spec"]["template"]["spec"]["containers"][0] = app;
        case.run(web).await;
        case.sh("web-1", "app", "touch /scratch/eat").await;
        let before = case.space.pods().await;
        case.set_image("web", 0, &image("v2")).await;
        case.until("the kill", &case.core("Pod"), "web-1", |pod| {
            let status = container(pod, "app");
            [&status["lastState"], &status["state"]]
                .iter()
                .any(|s| s["terminated"]["reason"] == "OOMKilled")
        })
        .await;
        case.rolled_out("web").await;
        let after = case.space.pods().await;
        for (old, new) in before.iter().zip(&after) {
            same_pod(old, new);
        }
        assert_eq!(restarts(&after[0], "app"), 1);
        assert_eq!(restarts(&after[1], "app"), 2, "once for the update, once for the kill");
        assert_eq!(container(&after[1], "app")["lastState"]["terminated"]["exitCode"], 137);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn more_cpu_comes_without_a_restart() {
    play("resize", |case| async move {
        let quota = "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || true";
        let mut app = kruise_e2e::app("v1");
        app["resources"] = json!({ "requests": { "cpu": "2m", "memory": "8Mi" }, "limits": { "cpu": "50m", "memory": "48Mi" } });
        let mut web = set("web", 2, &json!({}));
        web["spec"]["template"]["spec"]["containers"][0] = app;
        case.run(web).await;
        assert!(case.sh("web-1", "app", quota).await.starts_with("5000"), "of 100000");
        let before = case.space.pods().await;
        let cpu = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/resources/limits/cpu", "value": "80m" }]);
        kruise_common::testing::cluster::patch(&case.sets(), "web", cpu).await.unwrap();
        case.rolled_out("web").await;
        let after = case.space.pods().await;
        for (old, new) in before.iter().zip(&after) {
            same_pod(old, new);
            assert_eq!(restarts(new, "app"), 0);
            // Pods are updated and ready all the time; the set is done when the kubelet says that it has done it.
            assert_eq!(container(new, "app")["resources"]["limits"]["cpu"], "80m");
        }
        assert!(case.sh("web-1", "app", quota).await.starts_with("8000"), "what the kernel has");
    })
    .await;
}

/// Amounts that would put the pod into another class of service cannot be changed while it runs: it is made anew.
#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn amounts_that_no_running_pod_can_get_come_with_a_new_one() {
    play("class", |case| async move {
        let mut app = kruise_e2e::app("v1");
        app["resources"] = json!({ "requests": { "cpu": "2m", "memory": "8Mi" }, "limits": { "cpu": "50m", "memory": "48Mi" } });
        let mut web = set("web", 2, &json!({}));
        web["spec"]["template"]["spec"]["containers"][0] = app;
        case.run(web).await;
        let before = case.space.pods().await;
        let all = json!({ "cpu": "50m", "memory": "48Mi" });
        let change = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/resources/requests", "value": all }]);
        kruise_common::testing::cluster::patch(&case.sets(), "web", change).await.unwrap();
        case.rolled_out("web").await;
        let after = case.space.pods().await;
        assert_eq!(after.len(), 2);
        for (old, new) in before.iter().zip(&after) {
            assert_eq!(old["metadata"]["name"], new["metadata"]["name"]);
            assert_ne!(old["metadata"]["uid"], new["metadata"]["uid"], "it is a new pod");
            assert_eq!(old["status"]["qosClass"], "Burstable");
            assert_eq!(new["status"]["qosClass"], "Guaranteed");
        }
    })
    .await;
}
