#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! Admission on a real API server: the binary's webhook over TLS, registered by URL. One test at a time: a cluster has
//! one set of webhook configurations (`hack/test api` sees to it).

#[path = "api_admission/at_once.rs"]
mod at_once;
#[path = "api_admission/conformance.rs"]
mod conformance;
#[path = "api_admission/outages.rs"]
mod outages;
#[path = "api_admission/requirements.rs"]
mod requirements;
#[path = "api_admission/second_look.rs"]
mod second_look;
#[path = "api_admission/together.rs"]
mod together;
#[path = "api_admission/twins.rs"]
mod twins;

use kruise_common::testing::cluster::{Controller, Space, create, wait};
use kruise_common::testing::ports::free_address;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_kruise-sidecarset");
const ALL: &str = "AllAlpha=true,AllBeta=true,EnableExternalCerts=false,TemplateNoDefaults=false";

fn cluster(space: &Space, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(group, version, kind);
    Api::all_with(space.client.clone(), &ApiResource::from_gvk(&kind))
}

fn sets(space: &Space, version: &str) -> Api<DynamicObject> {
    cluster(space, "apps.kruise.io", version, "SidecarSet")
}

/// Takes registration and sets away.
async fn clean(space: &Space) {
    for (phase, name) in
        [("Mutating", "kruise-sidecarset-mutating"), ("Validating", "kruise-sidecarset-validating")]
    {
        let kind = format!("{phase}WebhookConfiguration");
        let api = cluster(space, "admissionregistration.k8s.io", "v1", &kind);
        let gone = api.delete(name, &DeleteParams::default()).await;
        assert!(gone.is_ok() || gone.is_err_and(|error| error.to_string().contains("NotFound")));
    }
    let all = sets(space, "v1beta1");
    all.delete_collection(&DeleteParams::default(), &kube::api::ListParams::default())
        .await
        .unwrap();
}

/// A controller alone on a free port, once the API server asks it.
async fn alone(space: &Space, gates: &str) -> Controller {
    clean(space).await;
    start(space, &free_address().to_string(), &["--feature-gates", gates]).await
}

/// A controller that answers at `address` and, if it leads, registers `url`.
async fn listening(url: &str, address: &str, more: &[&str]) -> Controller {
    // Pods of its own namespace are never asked about, so it is not that of the test.
    let flags = [
        "--leader-election-namespace",
        "default",
        "--webhook-url",
        url,
        "--webhook-addr",
        address,
        "--webhook-drain",
        "1s",
    ];
    Controller::start_with(BINARY, &[&flags, more].concat()).await
}

/// A controller whose webhook is at this address, once the API server asks it.
async fn start(space: &Space, address: &str, more: &[&str]) -> Controller {
    let url = format!("https://{address}");
    let controller = listening(&url, address, more).await;
    controller.leads().await;
    controller.until("kruise_webhook_registered", "", |registered| registered > 0.0).await;
    asked(space).await;
    controller
}

/// The API server asks our webhook.
async fn asked(space: &Space) {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let all = sets(space, "v1beta1");
    wait("the webhook to be asked", || async {
        let probe = json!({
            "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": { "name": "probe" },
            "spec": { "selector": { "matchLabels": { "probe": "x" } }, "containers": [{ "name": "p", "image": "p:1" }] },
        });
        let filled = all.create(&params, &serde_json::from_value(probe).unwrap()).await.ok()?;
        filled.data["spec"].get("revisionHistoryLimit").map(|_| ())
    })
    .await;
}

/// A fixture, as it is in the namespace of the test.
fn fixture(space: &Space, path: &str) -> Value {
    let path = format!("{}/tests/captured/{path}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let text = text
        .replace(
            "kubernetes.io/metadata.name: cap",
            &format!("kubernetes.io/metadata.name: {}", space.name),
        )
        .replace(
            r#""kubernetes.io/metadata.name":"cap""#,
            &format!(r#""kubernetes.io/metadata.name":"{}""#, space.name),
        )
        .replace("namespace: cap", &format!("namespace: {}", space.name));
    serde_saphyr::from_str(&text).unwrap()
}

/// A pod as far as injection decides: no names of tokens, no times.
fn comparable(pod: &Value) -> Value {
    let token = |item: &Value| {
        item["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access"))
    };
    let mut spec = pod["spec"].clone();
    let lists = ["containers", "initContainers"];
    for list in lists {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
                mounts.retain(|mount| !token(mount));
            }
        }
    }
    if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.retain(|volume| !token(volume));
    }
    let mut annotations = pod["metadata"]["annotations"].clone();
    annotations.as_object_mut().unwrap().remove("kubectl.kubernetes.io/last-applied-configuration");
    for value in annotations.as_object_mut().unwrap().values_mut() {
        let text = value.as_str().unwrap();
        let Some(at) = text.find(r#""updateTimestamp":""#) else { continue };
        let (before, after) = text.split_at(at + 19);
        *value = json!(format!("{before}{}", &after[20..]));
    }
    json!({
        "annotations": annotations, "containers": spec["containers"], "initContainers": spec["initContainers"],
        "volumes": spec["volumes"], "imagePullSecrets": spec["imagePullSecrets"],
    })
}

/// The status of the set and its stored revision say what those of OpenKruise said (CNF-21); readiness is another matter.
async fn followed_as_captured(space: &Space, name: &str) {
    let theirs = fixture(space, &format!("all-gates/1-created/sidecarsets.v1beta1.{name}.json"));
    let facts = |set: &Value| {
        ["collisionCount", "latestRevision", "matchedPods", "observedGeneration", "updatedPods"]
            .map(|member| set["status"][member].clone())
    };
    let all = sets(space, "v1beta1");
    wait(&format!("the status of {name}"), || async {
        let set = serde_json::to_value(all.get(name).await.ok()?).ok()?;
        (facts(&set) == facts(&theirs)).then_some(())
    })
    .await;
    let latest = theirs["status"]["latestRevision"].as_str().unwrap();
    let file = format!("all-gates/1-created/kruise-system.controllerrevisions.{latest}.json");
    let theirs = fixture(space, &file);
    let revisions = space.cluster("apps", "v1", "ControllerRevision");
    let label = format!("kruise.io/sidecarset-name={name}");
    let list = revisions.list(&kube::api::ListParams::default().labels(&label)).await.unwrap();
    let ours: Vec<Value> =
        list.items.iter().map(|revision| serde_json::to_value(revision).unwrap()).collect();
    let comparable = |revision: &Value| {
        let mut meta = revision["metadata"].clone();
        let kept = ["name", "labels", "annotations", "ownerReferences"];
        meta.as_object_mut().unwrap().retain(|member, _| kept.contains(&member.as_str()));
        let applied = "kubectl.kubernetes.io/last-applied-configuration";
        meta["annotations"].as_object_mut().unwrap().remove(applied);
        meta["ownerReferences"][0].as_object_mut().unwrap().remove("uid");
        json!({ "metadata": meta, "data": revision["data"], "revision": revision["revision"] })
    };
    assert_eq!(ours.iter().map(comparable).collect::<Vec<_>>(), [comparable(&theirs)], "{name}");
}

/// CNF-1…CNF-8, CNF-17, CNF-19, CNF-31 on the manifests that OpenKruise was given: sets are stored in both versions as it
/// stored them, pods come out as it made them, with the same hashes and names of revisions.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn captured_manifests_give_what_openkruise_gave() {
    let space = Space::new("inject").await;
    let controller = alone(&space, ALL).await;
    for (manifest, name) in [
        ("sidecar-full", "full"),
        ("sidecar-hot", "hot"),
        ("sidecar-min-v1alpha1", "mini"),
        ("sidecar-native", "native"),
    ] {
        let object = fixture(&space, &format!("in/{manifest}.yaml"));
        let version = object["apiVersion"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        create(&sets(&space, &version), object).await.unwrap();
        for version in ["v1alpha1", "v1beta1"] {
            let stored =
                serde_json::to_value(sets(&space, version).get(name).await.unwrap()).unwrap();
            let file = format!("all-gates/1-created/sidecarsets.{version}.{name}.json");
            let theirs = fixture(&space, &file);
            assert_eq!(stored["spec"], theirs["spec"], "{file}");
            for key in ["kruise.io/sidecarset-hash", "kruise.io/sidecarset-hash-without-image"] {
                let hash = |object: &Value| object["metadata"]["annotations"][key].clone();
                assert_eq!(hash(&stored), hash(&theirs), "{file} {key}");
            }
        }
    }
    let pods = space.api("", "v1", "Pod");
    for name in ["mini", "hot", "native", "target"] {
        let manifest = fixture(&space, &format!("in/pod-{name}.yaml"));
        let theirs = comparable(&fixture(&space, &format!("all-gates/1-created/pods.{name}.json")));
        // The registration follows the sets a moment later.
        wait(&format!("pod {name} to be injected"), || async {
            let _ = pods.delete(name, &DeleteParams::default().grace_period(0)).await;
            let pod = create(&pods, manifest.clone()).await.ok()?;
            pod.metadata.annotations.as_ref()?.get("kruise.io/sidecarset-injected-list").map(|_| ())
        })
        .await;
        let pod = serde_json::to_value(pods.get(name).await.unwrap()).unwrap();
        assert_eq!(comparable(&pod), theirs, "{name}");
    }
    for name in ["full", "hot", "mini", "native"] {
        followed_as_captured(&space, name).await;
    }
    controller.stop().await;
    clean(&space).await;
}

/// Platform P1, D.15: the API server takes our selectors and conditions, and does not ask about pods that no set can match.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn only_pods_that_a_set_can_match_are_asked_about() {
    let space = Space::new("narrow").await;
    let controller = alone(&space, "").await;
    let selector = json!({
        "matchLabels": { "app": "web" },
        "matchExpressions": [
            { "key": "tier", "operator": "NotIn", "values": ["x\"y", "db"] }, { "key": "off", "operator": "DoesNotExist" },
            { "key": "on", "operator": "Exists" },
        ],
    });
    // A quote is no value of a label, but nothing of a spec may break the condition.
    let selector: Value =
        serde_json::from_str(&selector.to_string().replace("x\\\"y", "xy")).unwrap();
    let set = json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": { "name": "narrow" },
        "spec": { "namespace": space.name, "selector": selector, "containers": [{ "name": "s", "image": "s:1" }] },
    });
    create(&sets(&space, "v1alpha1"), set).await.unwrap();
    let pods = space.api("", "v1", "Pod");
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let made = |labels: Value| {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "labels": labels },
            "spec": { "containers": [{ "name": "app", "image": "app:1" }] },
        });
        let (pods, params) = (pods.clone(), params.clone());
        async move {
            let pod = pods.create(&params, &serde_json::from_value(pod).unwrap()).await.unwrap();
            pod.data["spec"]["containers"].as_array().unwrap().len()
        }
    };
    let right = json!({ "app": "web", "on": "1" });
    wait("pods to be injected", || async { (made(right.clone()).await == 2).then_some(()) }).await;
    let asked = || async {
        controller
            .metric("controller_runtime_webhook_requests_total", "/mutate-pod")
            .await
            .unwrap_or_default()
    };
    let before = asked().await;
    for labels in [
        Value::Null,
        json!({ "app": "db", "on": "1" }),
        json!({ "app": "web" }),
        json!({ "app": "web", "on": "1", "off": "" }),
        json!({ "app": "web", "on": "1", "tier": "db" }),
    ] {
        assert_eq!(made(labels.clone()).await, 1, "{labels}");
    }
    assert_eq!(asked().await.to_bits(), before.to_bits(), "not one of them was sent to us");
    assert_eq!(made(json!({ "app": "web", "on": "1", "tier": "web" })).await, 2);
    assert!(asked().await > before);
    controller.stop().await;
    clean(&space).await;
}
