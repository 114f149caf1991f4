#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! The simulated node against a real one: the same pods on both, and what a controller sees of them: `make e2e`.
//!
//! A sequence is every change of a pod's status that its watch tells, without times, addresses and IDs; what is seen twice
//! in a row counts once. Compared are the statuses in which nothing is under way; full sequences of both are written to
//! `target/e2e/sequences/`, and how they differ is in `docs/simulated-node.md`.

#[path = "conformance/sequence.rs"]
mod sequence;

use std::path::PathBuf;

use kruise_common::testing::cluster;
use kruise_e2e::{Case, Recorder, container, image, is_ready, play, restarts};
use sequence::Sequence;
use serde_json::{Value, json};

/// A real node and a simulated one; nothing, and says so, if there are not both.
async fn nodes(case: &Case) -> Option<[String; 2]> {
    let list = case.space.cluster("", "v1", "Node").list(&kube::api::ListParams::default()).await;
    let names: Vec<String> =
        list.unwrap().items.into_iter().filter_map(|node| node.metadata.name).collect();
    let simulated = names.iter().find(|name| name.starts_with("sim-")).cloned();
    let real = names.iter().find(|name| !name.starts_with("sim-")).cloned();
    let both = real.zip(simulated).map(|(real, simulated)| [real, simulated]);
    if both.is_none() {
        println!("left out: there is no simulated node beside the real ones");
    }
    both
}

/// A pod on a node, with two containers that wait, and a change merged into its spec.
fn two(name: &str, node: &str, change: &Value) -> Value {
    let one = |name: &str, tag: &str| {
        json!({ "name": name, "image": image(tag),
            "resources": { "requests": { "cpu": "1m", "memory": "4Mi" }, "limits": { "cpu": "50m", "memory": "32Mi" } } })
    };
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "nodeName": node, "terminationGracePeriodSeconds": 1, "tolerations": [{ "operator": "Exists" }],
            "containers": [one("app", "v1"), one("side", "v1")] },
    });
    json_patch::merge(&mut pod["spec"], change);
    pod
}

/// Plays the same on both nodes and compares what was seen.
async fn compare<F>(name: &'static str, change: Value, act: fn(Case, String) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    play(name, move |case| async move {
        let Some([real, simulated]) = nodes(&case).await else { return };
        let recorder = Recorder::start(&case).await;
        let pods = [("real", real), ("simulated", simulated)];
        for (pod, node) in &pods {
            case.create(&case.core("Pod"), two(pod, node, &change)).await;
        }
        tokio::join!(
            act(case.clone(), "real".to_owned()),
            act(case.clone(), "simulated".to_owned())
        );
        let seen = recorder.end(&case).await;
        let [real, simulated] = pods.map(|(pod, _)| Sequence::of(&seen[pod]));
        write(name, &real, &simulated);
        assert_eq!(real.settled(), simulated.settled(), "{name}: left is the real node");
        assert!(!real.settled().is_empty(), "{name}: there is something to compare");
    })
    .await;
}

fn write(name: &str, real: &Sequence, simulated: &Sequence) {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "../target".into());
    let dir = PathBuf::from(target).join("e2e/sequences");
    std::fs::create_dir_all(&dir).unwrap();
    let text = format!("real\n{real}\nsimulated\n{simulated}");
    std::fs::write(dir.join(format!("{name}.txt")), text).unwrap();
}

async fn ready(case: &Case, pod: &str) {
    case.until("ready", &case.core("Pod"), pod, is_ready).await;
}

async fn set_image(case: &Case, pod: &str, tag: &str) {
    let change =
        json!([{ "op": "replace", "path": "/spec/containers/0/image", "value": image(tag) }]);
    cluster::patch(&case.core("Pod"), pod, change).await.unwrap();
}

async fn end(case: &Case, pod: &str) {
    case.delete(&case.core("Pod"), pod).await;
    case.gone(&case.core("Pod"), pod).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_pod_starts_and_ends() {
    compare("start", json!({}), |case, pod| async move {
        ready(&case, &pod).await;
        end(&case, &pod).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn an_image_changes() {
    compare("image", json!({}), |case, pod| async move {
        ready(&case, &pod).await;
        set_image(&case, &pod, "v2").await;
        case.until("updated", &case.core("Pod"), &pod, |pod| {
            is_ready(pod) && restarts(pod, "app") == 1
        })
        .await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn an_image_cannot_be_pulled() {
    compare("pull", json!({}), |case, pod| async move {
        ready(&case, &pod).await;
        set_image(&case, &pod, "fail-pull").await;
        case.until("backing off", &case.core("Pod"), &pod, |pod| {
            container(pod, "app")["state"]["waiting"]["reason"] == "ImagePullBackOff"
        })
        .await;
        set_image(&case, &pod, "v2").await;
        case.until("healed", &case.core("Pod"), &pod, |pod| {
            is_ready(pod) && restarts(pod, "app") == 1
        })
        .await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_readiness_gate_opens_and_closes() {
    let gate = json!({ "readinessGates": [{ "conditionType": "example.com/gate" }] });
    compare("gate", gate, |case, pod| async move {
        let pods = case.core("Pod");
        case.until("running", &pods, &pod, |pod| kruise_e2e::is_true(pod, "ContainersReady")).await;
        for status in ["True", "False", "True"] {
            let condition = json!({ "type": "example.com/gate", "status": status });
            let body = json!({ "status": { "conditions": [condition] } });
            let patch = kube::api::Patch::Strategic(body);
            pods.patch_status(&pod, &kube::api::PatchParams::default(), &patch).await.unwrap();
            case.until("follows", &pods, &pod, |pod| is_ready(pod) == (status == "True")).await;
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_pod_ends_by_itself() {
    for (name, tag, phase) in [("success", "exit-0", "Succeeded"), ("failure", "exit-3", "Failed")]
    {
        let only = json!({ "restartPolicy": "Never", "containers": [{ "name": "app", "image": image(tag),
            "resources": { "requests": { "cpu": "1m" } } }] });
        if phase == "Failed" {
            compare(name, only, |case, pod| async move {
                case.until("its end", &case.core("Pod"), &pod, |pod| {
                    pod["status"]["phase"] == "Failed"
                })
                .await;
            })
            .await;
        } else {
            compare(name, only, |case, pod| async move {
                case.until("its end", &case.core("Pod"), &pod, |pod| {
                    pod["status"]["phase"] == "Succeeded"
                })
                .await;
            })
            .await;
        }
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_container_crashes_again_and_again() {
    compare("crash", json!({}), |case, pod| async move {
        ready(&case, &pod).await;
        set_image(&case, &pod, "crash").await;
        case.until("crashed twice", &case.core("Pod"), &pod, |pod| {
            restarts(pod, "app") >= 2
                && container(pod, "app")["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        })
        .await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn resources_change() {
    compare("resize", json!({}), |case, pod| async move {
        ready(&case, &pod).await;
        let limit = json!({ "cpu": "80m", "memory": "32Mi" });
        let change = json!({ "spec": { "containers": [{ "name": "app", "resources": { "limits": limit } }] } });
        let patch = kube::api::Patch::Strategic(change);
        let parameters = kube::api::PatchParams::default();
        case.core("Pod").patch_subresource("resize", &pod, &parameters, &patch).await.unwrap();
        case.until("resized", &case.core("Pod"), &pod, |pod| {
            container(pod, "app")["resources"]["limits"]["cpu"] == "80m" && pod["status"]["observedGeneration"] == 2
        })
        .await;
    })
    .await;
}
