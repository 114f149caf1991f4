#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! Sidecars beside real containers: `make e2e`.

use kruise_common::testing::cluster::wait;
use kruise_e2e::{Case, Load, Recorder, container, image, is_ready, play, restarts, same_pod, set};
use serde_json::{Value, json};

/// A SidecarSet for the pods of a namespace that bear a label, and waits until it is asked about them.
async fn sidecars(case: &Case, label: &str, change: &Value) -> String {
    let name = format!("{}-{label}", case.space.name);
    let mut set = json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": { "app": label } },
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": case.space.name } },
            "updateStrategy": { "type": "RollingUpdate", "maxUnavailable": 1 },
        },
    });
    json_patch::merge(&mut set["spec"], change);
    case.create(&case.sidecar_sets(), set).await;
    let hooks =
        case.space.cluster("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration");
    wait("pods to be asked about", || async {
        let hooks = hooks.get_opt("kruise-sidecarset-mutating").await.ok()??;
        let hooks = serde_json::to_string(&hooks).unwrap();
        (hooks.contains("mpod.kb.io") && hooks.contains(&case.space.name)).then_some(())
    })
    .await;
    name
}

fn agent(tag: &str) -> Value {
    json!({
        "name": "agent", "image": image(tag), "podInjectPolicy": "BeforeAppContainer",
        "shareVolumePolicy": { "type": "enabled" },
        "resources": { "requests": { "cpu": "1m", "memory": "4Mi" } },
    })
}

/// Waits until all pods of a set run the new sidecars.
async fn updated(case: &Case, set: &str, many: u64) {
    case.until("all updated", &case.sidecar_sets(), set, |set| {
        let status = &set["status"];
        status["observedGeneration"] == set["metadata"]["generation"]
            && status["updatedReadyPods"] == many
    })
    .await;
}

async fn give_image(case: &Case, set: &str, at: usize, tag: &str) {
    let path = format!("/spec/containers/{at}/image");
    let change = json!([{ "op": "replace", "path": path, "value": image(tag) }]);
    kruise_common::testing::cluster::patch(&case.sidecar_sets(), set, change).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_sidecar_comes_with_the_pod_and_changes_beside_the_application() {
    play("sidecar", |case| async move {
        let sidecar = sidecars(&case, "web", &json!({ "containers": [agent("v1")] })).await;
        case.run(set("web", 3, &json!({}))).await;
        let before = case.space.pods().await;
        for pod in ["web-0", "web-1", "web-2"] {
            case.sh(pod, "app", "echo from-app > /scratch/file").await;
            assert_eq!(case.sh(pod, "agent", "cat /scratch/file").await, "from-app\n", "shared");
        }
        let recorder = Recorder::start(&case).await;
        give_image(&case, &sidecar, 0, "v2").await;
        updated(&case, &sidecar, 3).await;
        let after = case.space.pods().await;
        for (old, new) in before.iter().zip(&after) {
            same_pod(old, new);
            assert_eq!((restarts(new, "agent"), restarts(new, "app")), (1, 0));
            assert_eq!(container(old, "app")["containerID"], container(new, "app")["containerID"]);
            let name = new["metadata"]["name"].as_str().unwrap();
            assert!(case.sh(name, "agent", "cat /etc/image").await.ends_with(":v2"));
        }
        // A container that is back within the kubelet's second is never seen unready.
        assert!(recorder.fewest_ready("web-", 3) >= 2, "one at a time");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn sidecar_and_application_are_updated_at_once() {
    play("both", |case| async move {
        let sidecar = sidecars(&case, "web", &json!({ "containers": [agent("v1")] })).await;
        case.run(set("web", 3, &json!({}))).await;
        let before = case.space.pods().await;
        let at = before[0]["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .position(|c| c["name"] == "app");
        assert_eq!(at, Some(1), "the sidecar is in front");
        let to_app = image("v2");
        tokio::join!(case.set_image("web", 0, &to_app), give_image(&case, &sidecar, 0, "v2"));
        case.rolled_out("web").await;
        updated(&case, &sidecar, 3).await;
        case.rolled_out("web").await;
        let after = case.space.pods().await;
        for (old, new) in before.iter().zip(&after) {
            same_pod(old, new);
            assert_eq!((restarts(new, "agent"), restarts(new, "app")), (1, 1));
            let name = new["metadata"]["name"].as_str().unwrap();
            for container in ["agent", "app"] {
                assert!(case.sh(name, container, "cat /etc/image").await.ends_with(":v2"));
            }
        }
    })
    .await;
}

/// Whether one of the twins runs, is ready, and is not the empty one.
fn works(pod: &Value) -> bool {
    ["mesh-1", "mesh-2"].iter().any(|name| {
        let status = container(pod, name);
        let image = status["image"].as_str().unwrap_or_default();
        status["ready"] == true && status["state"]["running"].is_object() && image.contains(":twin")
    })
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_hot_upgrade_never_leaves_the_pod_without_a_working_twin() {
    play("hot", |case| async move {
        let mesh = json!({ "containers": [{
            "name": "mesh", "image": image("twin-v1"), "podInjectPolicy": "BeforeAppContainer",
            "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": image("empty") },
            "resources": { "requests": { "cpu": "1m", "memory": "4Mi" } },
        }] });
        let sidecar = sidecars(&case, "web", &mesh).await;
        case.run(set("web", 1, &json!({}))).await;
        let before = case.pod("web-0").await;
        assert!(works(&before));
        let url = format!("http://{}:8090", before["status"]["podIP"].as_str().unwrap());
        let load = Load::start(&case, "client", &url).await;
        let recorder = Recorder::start(&case).await;
        for tag in ["twin-v2", "twin-v3"] {
            give_image(&case, &sidecar, 0, tag).await;
            updated(&case, &sidecar, 1).await;
            // Only the new version is left when it is over.
            case.until("the older one to be emptied", &case.core("Pod"), "web-0", |pod| {
                let images = ["mesh-1", "mesh-2"].map(|name| container(pod, name)["image"].to_string());
                let count = |part: &str| images.iter().filter(|image| image.contains(part)).count();
                is_ready(pod) && count(tag) == 1 && count(":empty") == 1
            })
            .await;
        }
        println!("requests, hot upgrade twice: {}", load.stop().await);
        if let Err(pod) = recorder.always("web-", works) {
            panic!("a moment without a working twin: {}", pod["status"]["containerStatuses"]);
        }
        let after = case.pod("web-0").await;
        same_pod(&before, &after);
        assert_eq!(restarts(&after, "app"), 0);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_native_sidecar_starts_before_and_ends_after_the_application() {
    play("native", |case| async move {
        let notes = |who: &str| {
            let script = format!("echo {who} up >> /scratch/log; trap 'echo {who} down >> /scratch/log; cp /scratch/log /keep/log; exit 0' TERM; while :; do sleep 0.1; done");
            json!(["sh", "-c", script])
        };
        let native = json!({
            // Admission allows nothing else for sets with init containers.
            "updateStrategy": { "type": "NotUpdate" },
            "initContainers": [{
                "name": "agent", "image": image("v1"), "restartPolicy": "Always", "command": notes("agent"),
                "shareVolumePolicy": { "type": "enabled" },
                "startupProbe": { "exec": { "command": ["sh", "-c", "[ -e /scratch/log ]"] }, "periodSeconds": 1 },
                "resources": { "requests": { "cpu": "1m", "memory": "4Mi" } },
            }],
        });
        sidecars(&case, "web", &native).await;
        let mut web = set("web", 1, &json!({ "volumeClaimTemplates": [{
            "metadata": { "name": "keep" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } } }] }));
        let app = &mut web["spec"]["template"]["spec"]["containers"][0];
        app["command"] = notes("app");
        app.as_object_mut().unwrap().remove("readinessProbe");
        app["volumeMounts"] = json!([{ "name": "scratch", "mountPath": "/scratch" }, { "name": "keep", "mountPath": "/keep" }]);
        case.run(web).await;
        assert_eq!(case.sh("web-0", "app", "cat /scratch/log").await, "agent up\napp up\n");
        let uid = case.pod("web-0").await["metadata"]["uid"].clone();
        case.delete(&case.core("Pod"), "web-0").await;
        case.until("another", &case.core("Pod"), "web-0", |pod| pod["metadata"]["uid"] != uid && is_ready(pod)).await;
        let log = case.sh("web-0", "app", "cat /keep/log").await;
        assert_eq!(log, "agent up\napp up\napp down\nagent down\n");
    })
    .await;
}

/// A container that stays until the pod ends, and then goes at once.
fn waiting() -> Value {
    json!(["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"])
}

fn native(tag: &str) -> Value {
    json!({
        "name": "agent", "image": image(tag), "restartPolicy": "Always", "command": waiting(),
        "resources": { "requests": { "cpu": "1m", "memory": "4Mi" } },
    })
}

/// 30.9: the kubelet restarts a native sidecar whose image changed, and nothing else of the pod. Needs
/// `--update-native-sidecars`.
#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_native_sidecar_gets_its_image_beside_the_application() {
    play("native-update", |case| async move {
        let sidecar = sidecars(&case, "web", &json!({ "initContainers": [native("v1")] })).await;
        case.run(set("web", 2, &json!({}))).await;
        let before = case.space.pods().await;
        let recorder = Recorder::start(&case).await;
        let change = json!([{ "op": "replace", "path": "/spec/initContainers/0/image", "value": image("v2") }]);
        kruise_common::testing::cluster::patch(&case.sidecar_sets(), &sidecar, change).await.unwrap();
        updated(&case, &sidecar, 2).await;
        let after = case.space.pods().await;
        assert_eq!((before.len(), after.len()), (2, 2));
        for (old, new) in before.iter().zip(&after) {
            same_pod(old, new);
            assert_eq!(container(old, "app")["containerID"], container(new, "app")["containerID"]);
            assert_eq!((restarts(new, "agent"), restarts(new, "app")), (1, 0));
            let name = new["metadata"]["name"].as_str().unwrap();
            assert!(case.sh(name, "agent", "cat /etc/image").await.ends_with(":v2"));
        }
        assert!(recorder.fewest_ready("web-", 2) >= 1, "one at a time");
    })
    .await;
}

/// §28: beside a native sidecar a Job completes by itself; nobody has to end the sidecar.
#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_job_completes_beside_a_native_sidecar() {
    play("native-job", |case| async move {
        let native =
            json!({ "updateStrategy": { "type": "NotUpdate" }, "initContainers": [native("v1")] });
        sidecars(&case, "job", &native).await;
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "once" },
            "spec": { "template": {
                "metadata": { "labels": { "app": "job" } },
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{
                        "name": "app", "image": image("v1"), "command": ["sh", "-c", "sleep 1"],
                        "resources": { "requests": { "cpu": "1m", "memory": "4Mi" } },
                    }],
                },
            } },
        });
        let jobs = case.space.api("batch", "v1", "Job");
        case.create(&jobs, job).await;
        case.until("the Job to complete", &jobs, "once", |job| job["status"]["succeeded"] == 1)
            .await;
        let pods = case.space.pods().await;
        assert_eq!(pods.len(), 1);
        assert_eq!(pods[0]["status"]["phase"], "Succeeded");
        let status = container(&pods[0], "agent");
        assert!(status["state"]["terminated"].is_object(), "it ended with the Job: {status}");
    })
    .await;
}
