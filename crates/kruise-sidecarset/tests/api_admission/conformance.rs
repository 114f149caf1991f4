//! More requirements on injection (sidecarset 29.1) on a real API server, with manifests of both versions.

use kruise_common::testing::admission::dry_run;
use kruise_common::testing::cluster::{Controller, Space, create, wait};
use kruise_common::testing::ports::free_address;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::requirements::{Stage, container, containers, hashes, listed, record};
use super::{clean, listening, sets};

/// Creates a set by one of the versions.
async fn by_version(stage: &Stage, version: &str, mut set: Value) {
    set["apiVersion"] = json!(format!("apps.kruise.io/{version}"));
    create(&sets(&stage.space, version), set).await.unwrap();
}

fn selecting(app: &str) -> Value {
    json!({ "spec": { "selector": { "matchLabels": { "app": app } } } })
}

/// The pod, once all these sets inject it.
async fn with_all(stage: &Stage, pod: &Value, names: &str) -> Value {
    stage.would_be(pod, |pod| (listed(pod) == names).then(|| pod.clone())).await
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_1_and_2_all_sets_of_a_pod_act_at_once_and_only_in_their_namespace() {
    let stage = Stage::new("cnf1").await;
    let elsewhere = Space::new("cnf2").await;
    let init = json!({ "spec": { "initContainers": [{ "name": "prep", "image": "example.com/prep:1" }] } });
    let mut one = stage.set("one", &selecting("pair"));
    // The older way to name a namespace.
    one["spec"].as_object_mut().unwrap().remove("namespaceSelector");
    one["spec"]["namespace"] = json!(stage.space.name);
    by_version(&stage, "v1alpha1", one).await;
    let mut two = stage.set("two", &selecting("pair"));
    json_patch::merge(&mut two, &init);
    by_version(&stage, "v1beta1", two).await;
    let pod = Stage::pod("pod", "pair", &json!({}));
    with_all(&stage, &pod, "one,two").await;
    let made = stage.injected(&pod, "two").await;
    assert_eq!(containers(&made), ["one", "two", "main"]);
    assert_eq!(container(&made, "initContainers", "prep")["image"], "example.com/prep:1");
    let there = create(&elsewhere.api("", "v1", "Pod"), pod.clone()).await.unwrap();
    let there = serde_json::to_value(there).unwrap();
    assert_eq!((containers(&there), listed(&there)), (vec!["main".to_owned()], ""));
    for set in ["one", "two"] {
        stage.counts(set, (1, 1)).await;
        let made = stage.get(set).await;
        assert_eq!(record(&stage.stored("pod").await, set)["hash"], hashes(&made)[0], "CNF-9");
    }
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_3_sidecars_stand_before_and_behind_the_pod_s_own_containers() {
    let stage = Stage::new("cnf3").await;
    let sidecar = |name: &str, place: &str| json!({ "name": name, "image": format!("example.com/{name}:1"), "podInjectPolicy": place });
    let mut twins = sidecar("twins", "BeforeAppContainer");
    twins["upgradeStrategy"] =
        json!({ "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "example.com/empty:1" });
    let placed = json!({ "spec": { "containers": [
        sidecar("behind", "AfterAppContainer"), twins, sidecar("before", "BeforeAppContainer"),
        sidecar("last", "AfterAppContainer"),
    ] } });
    for version in ["v1alpha1", "v1beta1"] {
        by_version(&stage, version, stage.set(version, &placed)).await;
        let mut pod = Stage::pod("pod", version, &json!({}));
        let other = json!({ "name": "other", "image": "example.com/other:1" });
        pod["spec"]["containers"].as_array_mut().unwrap().push(other);
        let made = with_all(&stage, &pod, version).await;
        let wanted = ["twins-1", "twins-2", "before", "main", "other", "behind", "last"];
        assert_eq!(containers(&made), wanted, "{version}");
        sets(&stage.space, version).delete(version, &DeleteParams::default()).await.unwrap();
    }
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_4_a_pause_of_injection_concerns_new_pods_only() {
    let stage = Stage::new("cnf4").await;
    for version in ["v1alpha1", "v1beta1"] {
        let (set, pod) =
            (version, |name: &str| Stage::pod(&format!("{name}-{version}"), version, &json!({})));
        by_version(&stage, version, stage.set(set, &json!({}))).await;
        stage.injected(&pod("before"), set).await;
        let pause = |on: bool| json!({ "spec": { "injectionStrategy": { "paused": on } } });
        stage.patch(set, pause(true)).await;
        stage.would_be(&pod("during"), |pod| (containers(pod) == ["main"]).then_some(())).await;
        let during = create(&stage.space.api("", "v1", "Pod"), pod("during")).await.unwrap();
        assert_eq!(containers(&serde_json::to_value(during).unwrap()), ["main"]);
        stage.patch(set, pause(false)).await;
        stage.injected(&pod("after"), set).await;
        stage.counts(set, (2, 2)).await;
        assert_eq!(containers(&stage.stored(&format!("during-{version}")).await), ["main"]);
    }
    stage.end().await;
}

/// A pod with something of everything that can be shared.
fn sharing(name: &str, app: &str) -> Value {
    let env = |name: &str, value: &str| json!({ "name": name, "value": value });
    Stage::pod(
        name,
        app,
        &json!({
            "metadata": { "labels": { "source": "main" } },
            "spec": {
                "imagePullSecrets": [{ "name": "pod" }, { "name": "both" }],
                "containers": [{
                    "name": "main", "image": "example.com/main:1",
                    "env": [env("ONE", "1"), env("TWO", "2"), env("KEPT", "theirs"), env("DIR", "d")],
                    "volumeMounts": [
                        { "name": "logs", "mountPath": "/data" },
                        { "name": "logs", "mountPath": "/logs", "subPathExpr": "$(DIR)/x" },
                    ],
                    "volumeDevices": [{ "name": "disk", "devicePath": "/dev/disk" }],
                }],
                "volumes": [
                    { "name": "logs", "emptyDir": {} },
                    { "name": "disk", "persistentVolumeClaim": { "claimName": "disk" } },
                ],
            },
        }),
    )
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_5_6_and_7_what_a_sidecar_gets_of_the_pod() {
    let stage = Stage::new("cnf5").await;
    let shares = json!({ "spec": {
        "containers": [{
            "name": "shares", "image": "example.com/shares:1",
            "env": [{ "name": "KEPT", "value": "mine" }],
            "volumeMounts": [{ "name": "own", "mountPath": "/data" }],
            "shareVolumePolicy": { "type": "enabled" }, "shareVolumeDevicePolicy": { "type": "enabled" },
            "transferEnv": [
                { "sourceContainerName": "main", "envName": "ONE" },
                { "sourceContainerNameFrom": { "fieldRef": { "fieldPath": "metadata.labels['source']" } }, "envNames": ["TWO", "KEPT", "NONE"] },
                { "sourceContainerNameFrom": { "fieldRef": { "fieldPath": "metadata.annotations['nowhere']" } }, "envName": "ONE" },
                { "sourceContainerName": "nobody", "envName": "THREE" },
            ],
        }],
        "volumes": [{ "name": "own", "emptyDir": {} }],
        "imagePullSecrets": [{ "name": "both" }, { "name": "set" }],
    } });
    for version in ["v1alpha1", "v1beta1"] {
        by_version(&stage, version, stage.set(version, &shares)).await;
        // A container of a name in two sets would be refused.
        let made = with_all(&stage, &sharing("pod", version), version).await;
        let sidecar = container(&made, "containers", "shares");
        let of = |list: &str, member: &str| -> Vec<String> {
            let items = sidecar[list].as_array().cloned().unwrap_or_default();
            let own = |it: &&Value| !it[member].as_str().unwrap().starts_with("/var/run/secrets");
            items.iter().filter(own).map(|it| it[member].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(of("volumeMounts", "mountPath"), ["/data", "/logs"]);
        assert_eq!(sidecar["volumeMounts"][0]["name"], "own", "its own mounts win");
        assert_eq!(sidecar["volumeMounts"][1]["subPathExpr"], "$(DIR)/x");
        assert_eq!(of("volumeDevices", "devicePath"), ["/dev/disk"]);
        assert_eq!(of("env", "name"), ["KEPT", "IS_INJECTED", "ONE", "TWO", "DIR"]);
        assert_eq!(sidecar["env"][0]["value"], "mine", "its own variables win");
        let secrets = made["spec"]["imagePullSecrets"].clone();
        assert_eq!(secrets, json!([{ "name": "pod" }, { "name": "both" }, { "name": "set" }]));
        sets(&stage.space, version).delete(version, &DeleteParams::default()).await.unwrap();
    }
    stage.end().await;
}

/// Three annotations may be patched.
fn whitelist() -> Value {
    let list = r#"{"rules":[{"allowedAnnotationKeyExprs":["^(kept|taken|merged)$"]}]}"#;
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "kruise-configuration" },
        "data": { "SidecarSet_PatchPodMetadata_WhiteList": list },
    })
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_8_annotations_are_patched_as_far_as_the_whitelist_goes() {
    let stage = Stage::new("cnf8").await;
    // That of the controller's namespace.
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
    let maps: Api<DynamicObject> =
        Api::namespaced_with(stage.space.client.clone(), "default", &kind);
    let _ = maps.delete("kruise-configuration", &DeleteParams::default()).await;
    let patches = |list: Value| json!({ "spec": { "patchPodMetadata": list } });
    let patch = |policy: &str, key: &str, value: &str| json!({ "annotations": { key: value }, "patchPolicy": policy });
    let all = patches(json!([
        patch("Retain", "kept", "set"),
        patch("Overwrite", "taken", "set"),
        patch("MergePatchJson", "merged", r#"{"agent":1}"#),
    ]));
    let set = stage.set("agent", &all);
    wait("a refusal", || async {
        let text = create(&sets(&stage.space, "v1beta1"), set.clone()).await.err()?.to_string();
        text.contains("whitelist not found").then_some(())
    })
    .await;
    create(&maps, whitelist()).await.unwrap();
    wait("the whitelist", || async {
        create(&sets(&stage.space, "v1beta1"), set.clone()).await.ok().map(|_| ())
    })
    .await;
    let other = stage.set("other", &patches(json!([patch("Overwrite", "forbidden", "x")])));
    let text = stage.refusal(&other).await;
    assert!(text.contains("annotation(forbidden) is not allowed"), "{text}");
    let clash = |policy: &str, key: &str, value: &str| {
        let mut set = stage.set("other", &patches(json!([patch(policy, key, value)])));
        json_patch::merge(&mut set, &selecting("agent"));
        set
    };
    // Two that merge are fine (VAL-74).
    wait("a conflict", || async {
        let text = stage.refusal(&clash("Overwrite", "taken", "mine")).await;
        text.contains("annotation taken is in conflict with sidecarset agent").then_some(())
    })
    .await;
    let before = json!({ "metadata": { "annotations": {
        "kept": "pod", "taken": "pod", "merged": r#"{"main":1}"#,
    } } });
    let made = stage.injected(&Stage::pod("pod", "agent", &before), "agent").await;
    let said = |pod: &Value| {
        ["kept", "taken", "merged"]
            .map(|key| pod["metadata"]["annotations"][key].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(said(&made), ["pod", "set", r#"{"agent":1,"main":1}"#]);
    // They come along with the next image (INP-7).
    let mut change = patches(json!([
        patch("Overwrite", "taken", "again"),
        patch("MergePatchJson", "merged", r#"{"agent":null}"#)
    ]));
    change["spec"]["containers"] = json!([{ "name": "agent", "image": "example.com/agent:2" }]);
    stage.patch("agent", change).await;
    stage.counts("agent", (1, 1)).await;
    assert_eq!(said(&stage.stored("pod").await), ["pod", "again", r#"{"main":1}"#]);
    maps.delete("kruise-configuration", &DeleteParams::default()).await.unwrap();
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_19_native_sidecars_are_injected_and_sets_with_them_roll_nothing_out() {
    let stage = Stage::new("cnf19").await;
    let native = |kind: &str, tag: usize| {
        json!({ "spec": {
            "updateStrategy": { "type": kind },
            "initContainers": [{ "name": "native", "image": format!("example.com/native:{tag}"), "restartPolicy": "Always" }],
        } })
    };
    for version in ["v1alpha1", "v1beta1"] {
        let mut refused = stage.set(version, &native("RollingUpdate", 1));
        refused["apiVersion"] = json!(format!("apps.kruise.io/{version}"));
        let text = create(&sets(&stage.space, version), refused).await.unwrap_err().to_string();
        assert!(text.contains("updateStrategy"), "{text}");
        by_version(&stage, version, stage.set(version, &native("NotUpdate", 1))).await;
        let made = stage
            .injected(&Stage::pod(&format!("pod-{version}"), version, &json!({})), version)
            .await;
        assert_eq!(container(&made, "initContainers", "native")["restartPolicy"], "Always");
        assert_eq!(record(&made, version)["sidecarList"], json!(["native", version]));
        let before = hashes(&stage.get(version).await);
        let after = hashes(&stage.patch(version, native("NotUpdate", 2)).await);
        assert_ne!(before[0], after[0]);
        stage.counts(version, (1, 0)).await;
        sets(&stage.space, version).delete(version, &DeleteParams::default()).await.unwrap();
    }
    stage.end().await;
}

/// What a client of one version reads it may write back, and nothing changes: no spec, no hash, no revision.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_31_what_is_read_in_one_version_may_be_written_back_in_it() {
    let stage = Stage::new("cnf31").await;
    let mut older =
        stage.set("older", &json!({ "spec": { "updateStrategy": { "partition": 1 } } }));
    older["spec"].as_object_mut().unwrap().remove("namespaceSelector");
    older["spec"]["namespace"] = json!(stage.space.name);
    older["metadata"]["labels"] = json!({ "apps.kruise.io/sidecarset-custom-version": "v1" });
    by_version(&stage, "v1alpha1", older).await;
    let newer = json!({ "spec": { "customVersion": "v1", "containers": [{
        "name": "newer", "image": "example.com/newer:1", "unknown": { "member": 1 },
    }] } });
    by_version(&stage, "v1beta1", stage.set("newer", &newer)).await;
    for name in ["older", "newer"] {
        let before = stage.get(name).await;
        let named = json!({ "matchLabels": { "kubernetes.io/metadata.name": stage.space.name } });
        assert_eq!(before["spec"]["namespaceSelector"], named, "{name}");
        assert_eq!(before["spec"]["customVersion"], "v1", "{name}");
        let revision = stage.revision(name).await;
        for version in ["v1alpha1", "v1beta1"] {
            let api = sets(&stage.space, version);
            // The status is written beside us; who writes back reads again then, as clients do.
            wait(&format!("{name} to be written back as {version}"), || async {
                let read = api.get(name).await.unwrap();
                match api.replace(name, &PostParams::default(), &read).await {
                    Ok(_) => Some(()),
                    Err(kube::Error::Api(status)) if status.code == 409 => None,
                    Err(error) => panic!("{name} as {version}: {error}"),
                }
            })
            .await;
        }
        let after = stage.get(name).await;
        assert_eq!(after["spec"], before["spec"], "{name}");
        assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"], "{name}");
        assert_eq!(hashes(&after), hashes(&before), "{name}");
        assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"], "{name}");
        assert_eq!(stage.revision(name).await, revision, "{name}");
    }
    stage.end().await;
}

/// A pod and a set with every `n`-th feature of both.
fn pair(stage: &Stage, n: usize) -> (Value, Value) {
    let has = |bit: usize| n & (1 << bit) != 0;
    let name = format!("pair-{n}");
    let mut own = json!({ "name": "main", "image": "example.com/main:1", "resources": { "requests": { "cpu": "100m" } } });
    let mut spec = json!({ "terminationGracePeriodSeconds": 0, "volumes": [{ "name": "logs", "emptyDir": {} }] });
    let mut sidecar = json!({ "name": "agent", "image": "example.com/agent:1" });
    if has(0) {
        own["volumeMounts"] =
            json!([{ "name": "logs", "mountPath": "/logs", "subPathExpr": "$(A)" }]);
        own["env"] = json!([{ "name": "A", "value": "a" }]);
        sidecar["shareVolumePolicy"] = json!({ "type": "enabled" });
    }
    if has(1) {
        sidecar["upgradeStrategy"] =
            json!({ "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "example.com/empty:1" });
    }
    if has(2) {
        sidecar["resourcesPolicy"] = json!({
            "targetContainersMode": "max", "targetContainersNameRegex": ".*",
            "resourcesExpr": { "requests": { "cpu": "cpu*50%", "memory": "memory+1Mi" } },
        });
    }
    if has(3) {
        sidecar["podInjectPolicy"] = json!("AfterAppContainer");
        sidecar["volumeMounts"] = json!([{ "name": "cache", "mountPath": "/cache" }]);
        sidecar["ports"] = json!([{ "containerPort": 8080 }]);
    }
    if has(4) {
        sidecar["transferEnv"] = json!([{ "sourceContainerName": "main", "envNames": ["A", "B"] }]);
        spec["initContainers"] = json!([{ "name": "prep", "image": "example.com/prep:1" }]);
    }
    spec["containers"] = json!([own]);
    let pod = Stage::pod(&name, &name, &json!({ "spec": spec }));
    let mut set = stage.set(
        &name,
        &json!({ "spec": {
        "containers": [sidecar], "volumes": [{ "name": "cache", "emptyDir": {} }],
        "imagePullSecrets": [{ "name": "secret" }],
    } }),
    );
    if n.is_multiple_of(3) {
        set["spec"]["updateStrategy"] = json!({ "type": "NotUpdate" });
        set["spec"]["initContainers"] = json!([
            { "name": "native", "image": "example.com/native:1", "restartPolicy": "Always" },
            { "name": "first", "image": "example.com/first:1", "podInjectPolicy": "BeforeAppContainer" },
        ]);
    }
    (pod, set)
}

/// The property of the issue: after the patch the API server accepts the pod; stored as it is answered, asked again or not.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn the_api_server_accepts_what_injection_makes() {
    let stage = Stage::new("accepted").await;
    for n in 0..50 {
        let (pod, set) = pair(&stage, n);
        let version = if n.is_multiple_of(2) { "v1beta1" } else { "v1alpha1" };
        by_version(&stage, version, set).await;
        stage.status(&format!("pair-{n}"), |_| Some(())).await;
        let made = dry_run(&stage.space.api("", "v1", "Pod"), &pod).await;
        let made = made.unwrap_or_else(|error| panic!("{n}: {error}"));
        assert_eq!(listed(&made), format!("pair-{n}"), "{n}");
    }
    stage.end().await;
}

/// Every replica answers, whichever leads: here the leader registers the address of the other one.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_replica_that_does_not_lead_answers_too() {
    let space = Space::new("replicas").await;
    clean(&space).await;
    let (leader, other) = (free_address().to_string(), free_address().to_string());
    let url = format!("https://{other}");
    let first = listening(&url, &leader, &[]).await;
    first.leads().await;
    let second = listening(&url, &other, &[]).await;
    first.until("kruise_webhook_registered", "", |registered| registered > 0.0).await;
    let stage = Stage { space, controller: first };
    let set = stage.set("agent", &json!({}));
    wait("a set to be filled", || async {
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let object = serde_json::from_value(set.clone()).unwrap();
        let made = sets(&stage.space, "v1beta1").create(&params, &object).await.ok()?;
        made.data["spec"].get("revisionHistoryLimit").map(|_| ())
    })
    .await;
    stage.create(&set).await;
    stage.injected(&Stage::pod("pod", "agent", &json!({})), "agent").await;
    stage.counts("agent", (1, 1)).await;
    let asked = async |of: &Controller| {
        let family = "controller_runtime_webhook_requests_total";
        of.metric(family, "/mutate-pod").await.unwrap_or_default()
    };
    assert!(asked(&second).await > 0.0, "the one that stands by answered");
    assert!(asked(&stage.controller).await.abs() < 0.5, "the leader was not asked");
    second.stop().await;
    stage.end().await;
}
