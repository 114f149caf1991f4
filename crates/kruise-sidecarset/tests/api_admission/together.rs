//! A SidecarSet and an Advanced StatefulSet update the same pods at the same time, each by its own controller.

use std::path::Path;

use kruise_common::testing::cluster::{Controller, Space, create, wait};
use kruise_common::testing::ports::free_address;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::requirements::Stage;
use super::{BINARY, clean, sets, start};

const REPLICAS: usize = 4;

fn workload(tag: usize) -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "metadata": { "name": "web" },
        "spec": {
            "replicas": REPLICAS, "serviceName": "web", "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": { "app": "agent" } },
            "updateStrategy": { "rollingUpdate": {
                "podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 2, "unorderedUpdate": { "priorityStrategy": null },
            } },
            "template": {
                "metadata": { "labels": { "app": "agent" } },
                "spec": {
                    "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }],
                    "containers": [{ "name": "main", "image": format!("example.com/main:{tag}") }],
                },
            },
        },
    })
}

/// Image and restarts of a container of each pod.
fn of(pods: &[Value], container: &str) -> Vec<(String, i64)> {
    let one = |pod: &Value| {
        let find = |list: &Value| {
            let found = list.as_array()?.iter().find(|it| it["name"] == container);
            found.cloned()
        };
        let image = find(&pod["spec"]["containers"]).map(|it| it["image"].clone());
        let restarts =
            find(&pod["status"]["containerStatuses"]).map(|it| it["restartCount"].clone());
        let image = image.and_then(|image| Some(image.as_str()?.to_owned()));
        (image.unwrap_or_default(), restarts.and_then(|it| it.as_i64()).unwrap_or(-1))
    };
    pods.iter().map(one).collect()
}

fn uids(pods: &[Value]) -> Vec<Value> {
    pods.iter().map(|pod| pod["metadata"]["uid"].clone()).collect()
}

/// Waits until workload and set say that all their pods are updated and ready.
async fn settled(stage: &Stage, tag: usize) {
    let api = stage.space.workloads("v1beta1", "StatefulSet");
    wait(&format!("both to be at {tag}"), || async {
        let web = serde_json::to_value(api.get("web").await.ok()?).ok()?;
        let agent = stage.get("agent").await;
        let current = |object: &Value| {
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
        };
        let mut counted = ["readyReplicas", "updatedReplicas"].iter();
        let done = counted.all(|count| web["status"][*count] == REPLICAS)
            && web["status"]["currentRevision"] == web["status"]["updateRevision"];
        let counts = ["matchedPods", "updatedReadyPods"];
        let followed = counts.iter().all(|count| agent["status"][*count] == REPLICAS);
        (current(&web) && current(&agent) && done && followed).then_some(())
    })
    .await;
}

/// CNF-30, platform §18.6: neither stands in the other's way, and neither touches what is the other's.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_30_a_set_and_an_advanced_statefulset_update_the_same_pods_at_the_same_time() {
    let stage = Stage::new("cnf30").await;
    let other = Path::new(BINARY).with_file_name("kruise-statefulset");
    let workloads = Controller::start(&other, &stage.space, &[]).await;
    let all = json!({ "spec": { "updateStrategy": { "maxUnavailable": "50%" } } });
    stage.create(&stage.set("agent", &all)).await;
    let probe = Stage::pod("probe", "agent", &json!({}));
    stage
        .would_be(&probe, |pod| (pod["spec"]["containers"].as_array()?.len() == 2).then_some(()))
        .await;
    let api = stage.space.workloads("v1beta1", "StatefulSet");
    create(&api, workload(1)).await.unwrap();
    settled(&stage, 1).await;
    let before = stage.space.pods().await;
    assert_eq!(of(&before, "agent"), vec![("example.com/agent:1".to_owned(), 0); REPLICAS]);
    let mut done = 0;
    for tag in 2..=4 {
        let image = |name: &str| format!("example.com/{name}:{tag}");
        let sidecar =
            json!({ "spec": { "containers": [{ "name": "agent", "image": image("agent") }] } });
        let own = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image("main") }]);
        let own = Patch::Json::<()>(serde_json::from_value(own).unwrap());
        let (params, sidecars) = (PatchParams::default(), sets(&stage.space, "v1beta1"));
        let sidecar = Patch::Merge(sidecar);
        let (one, two) = tokio::join!(
            sidecars.patch("agent", &params, &sidecar),
            api.patch("web", &params, &own)
        );
        one.unwrap();
        two.unwrap();
        settled(&stage, tag).await;
        done += 1;
        let after = stage.space.pods().await;
        assert_eq!(uids(&after), uids(&before), "no pod was replaced");
        for name in ["agent", "main"] {
            assert_eq!(
                of(&after, name),
                vec![(image(name), done); REPLICAS],
                "once for each change"
            );
        }
    }
    let conflicts =
        async |of: &Controller| of.count("kruise_writes_total", "outcome=\"conflict\"").await;
    let (ours, theirs) = (conflicts(&stage.controller).await, conflicts(&workloads).await);
    println!("conflicts: {ours} of the set, {theirs} of the workload");
    workloads.stop().await;
    stage.end().await;
}

/// 30.9.4: the API server lets the image of a native sidecar be changed in a running pod. Simulated nodes do not run init
/// containers, so that it is restarted is not seen here.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn images_of_native_sidecars_are_changed_in_running_pods() {
    let space = Space::new("native").await;
    clean(&space).await;
    let controller =
        start(&space, &free_address().to_string(), &["--update-native-sidecars"]).await;
    let stage = Stage { space, controller };
    let native = |tag: usize| {
        let image = format!("example.com/native:{tag}");
        json!({ "spec": { "containers": null, "initContainers": [{ "name": "native", "image": image, "restartPolicy": "Always" }] } })
    };
    stage.create(&stage.set("native", &native(1))).await;
    let made = stage.injected(&Stage::pod("pod", "native", &json!({})), "native").await;
    assert_eq!(made["spec"]["initContainers"][0]["image"], "example.com/native:1");
    stage.patch("native", native(2)).await;
    wait("the new image", || async {
        let pod = stage.stored("pod").await;
        assert_eq!(pod["metadata"]["uid"], made["metadata"]["uid"]);
        let container = &pod["spec"]["initContainers"][0];
        assert_eq!(container["restartPolicy"], "Always");
        (container["image"] == "example.com/native:2").then_some(())
    })
    .await;
    stage.counts("native", (1, 1)).await;
    stage.end().await;
}
