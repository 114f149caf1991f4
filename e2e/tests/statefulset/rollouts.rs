//! New images in running pods.

use kruise_e2e::{Recorder, container, image, images_are, is_ready, play, restarts, same_pod, set};
use serde_json::{Value, json};

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_new_image_comes_in_place_and_the_pod_stays() {
    play("in-place", |case| async move {
        case.run(set("web", 3, &json!({}))).await;
        let before = case.space.pods().await;
        for pod in ["web-0", "web-1", "web-2"] {
            let write = "cat /etc/image; echo kept > /scratch/file";
            assert!(case.sh(pod, "app", write).await.ends_with(":v1"));
        }
        case.set_image("web", 0, &image("v2")).await;
        case.rolled_out("web").await;
        let after = case.space.pods().await;
        assert_eq!(after.len(), 3);
        for (old, new) in before.iter().zip(&after) {
            same_pod(old, new);
            assert_eq!(restarts(new, "app"), 1);
            assert_ne!(container(old, "app")["imageID"], container(new, "app")["imageID"]);
            let name = new["metadata"]["name"].as_str().unwrap();
            let seen =
                case.sh(name, "app", "cat /scratch/file /etc/image; echo; hostname -i").await;
            let lines: Vec<&str> = seen.lines().collect();
            assert_eq!(lines[0], "kept", "the file of the container before");
            assert!(lines[1].ends_with(":v2"), "{seen}");
            assert_eq!(new["status"]["podIP"], lines[2], "the address that the container has");
        }
    })
    .await;
}

/// What a container waits for.
fn waits(pod: &Value) -> &str {
    container(pod, "app")["state"]["waiting"]["reason"].as_str().unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_failing_pull_is_held_within_the_budget_shown_and_healed() {
    play("bad-pull", |case| async move {
        case.run(set("web", 4, &json!({}))).await;
        let before = case.space.pods().await;
        let recorder = Recorder::start(&case).await;
        case.set_image("web", 0, &image("fail-pull")).await;
        case.pods("a pull that fails", |pods| {
            pods.iter().any(|pod| ["ErrImagePull", "ImagePullBackOff"].contains(&waits(pod)))
        })
        .await;
        case.until("the reason", &case.sets(), "web", |set| {
            let says = set["status"]["conditions"].to_string();
            says.contains("ImagePullBackOff") || says.contains("ErrImagePull")
        })
        .await;
        let pods = case.space.pods().await;
        assert_eq!(pods.iter().filter(|pod| is_ready(pod)).count(), 3, "the others serve");
        case.set_image("web", 0, &image("v3")).await;
        case.rolled_out("web").await;
        assert_eq!(recorder.fewest_ready("web-", 4), 3, "maxUnavailable is 1");
        let after = case.space.pods().await;
        for (old, new) in before.iter().zip(&after) {
            same_pod(old, new);
            assert_eq!(restarts(new, "app"), 1, "a pull that failed is no restart");
        }
        assert!(images_are(&after, "app", "v3"));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_slow_pull_holds_the_rollout_and_nothing_else() {
    play("slow-pull", |case| async move {
        case.run(set("web", 3, &json!({}))).await;
        let recorder = Recorder::start(&case).await;
        case.set_image("web", 0, &image("slow-pull-2")).await;
        case.rolled_out("web").await;
        assert_eq!(recorder.fewest_ready("web-", 3), 2, "one after the other");
        assert!(case.space.pods().await.iter().all(|pod| restarts(pod, "app") == 1));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn env_from_metadata_is_what_the_metadata_say_after_the_update() {
    play("env", |case| async move {
        let mut app = kruise_e2e::app("v1");
        let from = json!({ "fieldRef": { "fieldPath": "metadata.annotations['example.com/greeting']" } });
        app["env"] = json!([{ "name": "GREETING", "valueFrom": from }]);
        let template = |greeting: &str| {
            json!({ "metadata": { "annotations": { "example.com/greeting": greeting } } })
        };
        let mut web = set("web", 2, &json!({ "template": template("hello") }));
        web["spec"]["template"]["spec"]["containers"][0] = app;
        case.run(web).await;
        assert_eq!(case.sh("web-0", "app", "echo $GREETING").await, "hello\n");
        let change = json!([
            { "op": "replace", "path": "/spec/template/metadata/annotations/example.com~1greeting", "value": "goodbye" },
            { "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image("v2") },
        ]);
        kruise_common::testing::cluster::patch(&case.sets(), "web", change).await.unwrap();
        case.rolled_out("web").await;
        for pod in ["web-0", "web-1"] {
            let seen = case.sh(pod, "app", "echo $GREETING; cat /etc/image").await;
            assert!(seen.starts_with("goodbye\n") && seen.ends_with(":v2"), "{pod}: {seen}");
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_probe_that_flaps_during_an_update_costs_budget() {
    play("flapping", |case| async move {
        case.run(set("web", 3, &json!({}))).await;
        let recorder = Recorder::start(&case).await;
        // Not by the update, but by its probe: the budget of one is spent.
        case.sh("web-0", "app", "touch /tmp/unready").await;
        case.until("unready", &case.core("Pod"), "web-0", |pod| !is_ready(pod)).await;
        case.set_image("web", 0, &image("v2")).await;
        // The one that is down anyway goes first or the others wait; in both cases two serve.
        case.until("seen", &case.sets(), "web", |set| {
            set["status"]["observedGeneration"] == set["metadata"]["generation"]
        })
        .await;
        for _ in 0..3 {
            let flap = "touch /tmp/unready; sleep 1; rm -f /tmp/unready; sleep 1";
            case.sh_while_it_lives("web-1", "app", flap).await;
            if images_are(&[case.pod("web-1").await], "app", "v2") {
                break;
            }
        }
        case.sh_while_it_lives("web-0", "app", "rm -f /tmp/unready").await;
        case.rolled_out("web").await;
        let pods = case.space.pods().await;
        assert!(images_are(&pods, "app", "v2"));
        // Probes took two down by themselves; the update added nothing to that.
        assert!(recorder.fewest_ready("web-", 3) >= 1);
        assert!(pods.iter().all(|pod| restarts(pod, "app") == 1), "each was updated once");
    })
    .await;
}
