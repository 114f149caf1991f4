//! Requirements on admission (sidecarset 29.1), one test each: the real API server asks the webhook, the controller runs.

use kruise_common::testing::cluster::{Controller, Space, create, wait};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{alone, clean, sets};

/// One test's cluster: a namespace with a label of its own, and the controller.
pub struct Stage {
    pub space: Space,
    pub controller: Controller,
}

impl Stage {
    pub async fn new(purpose: &str) -> Self {
        let space = Space::new(purpose).await;
        let controller = alone(&space, "").await;
        Self { space, controller }
    }

    pub async fn end(self) {
        self.controller.stop().await;
        clean(&self.space).await;
    }

    /// A set for pods of `app: NAME` in this namespace, with a container of its own name.
    pub fn set(&self, name: &str, change: &Value) -> Value {
        let mut set = json!({
            "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
            "metadata": { "name": name },
            "spec": {
                "selector": { "matchLabels": { "app": name } },
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": self.space.name } },
                "containers": [{ "name": name, "image": format!("example.com/{name}:1") }],
            },
        });
        json_patch::merge(&mut set, change);
        set
    }

    pub async fn create(&self, set: &Value) -> Value {
        let created = create(&sets(&self.space, "v1beta1"), set.clone()).await.unwrap();
        serde_json::to_value(created).unwrap()
    }

    /// Why the API server does not take a set.
    pub async fn refusal(&self, set: &Value) -> String {
        create(&sets(&self.space, "v1beta1"), set.clone()).await.unwrap_err().to_string()
    }

    pub async fn get(&self, set: &str) -> Value {
        serde_json::to_value(sets(&self.space, "v1beta1").get(set).await.unwrap()).unwrap()
    }

    pub async fn patch(&self, set: &str, change: Value) -> Value {
        let api = sets(&self.space, "v1beta1");
        let after = api.patch(set, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
        serde_json::to_value(after).unwrap()
    }

    /// Waits until the status of the present spec says something.
    pub async fn status<T>(&self, set: &str, says: impl Fn(&Value) -> Option<T>) -> T {
        wait(&format!("the status of {set}"), || async {
            let now = self.get(set).await;
            let current = now["status"]["observedGeneration"] == now["metadata"]["generation"];
            says(&now["status"]).filter(|_| current)
        })
        .await
    }

    /// matched, updated
    pub async fn counts(&self, set: &str, wanted: (i64, i64)) {
        self.status(set, |status| {
            let count = |name: &str| status[name].as_i64().unwrap_or(0);
            ((count("matchedPods"), count("updatedPods")) == wanted).then_some(())
        })
        .await;
    }

    /// The name of the revision that the present spec is.
    pub async fn revision(&self, set: &str) -> String {
        self.status(set, |status| Some(status["latestRevision"].as_str()?.to_owned())).await
    }

    fn pods(&self) -> Api<DynamicObject> {
        self.space.api("", "v1", "Pod")
    }

    /// A pod of `app: APP`.
    pub fn pod(name: &str, app: &str, change: &Value) -> Value {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": app } },
            "spec": { "terminationGracePeriodSeconds": 0, "containers": [{ "name": "main", "image": "example.com/main:1" }] },
        });
        json_patch::merge(&mut pod, change);
        pod
    }

    async fn send(&self, pod: &Value, dry_run: bool) -> kube::Result<Value> {
        let params = PostParams { dry_run, ..PostParams::default() };
        let pod = serde_json::from_value(pod.clone()).unwrap();
        let made = self.pods().create(&params, &pod).await?;
        Ok(serde_json::to_value(made).unwrap())
    }

    /// The pod as it would be, once it `is` as wanted: registration and caches follow a set a moment later.
    pub async fn would_be<T>(&self, pod: &Value, is: impl Fn(&Value) -> Option<T>) -> T {
        wait("a pod as it must be", || async { is(&self.send(pod, true).await.ok()?) }).await
    }

    /// Why the pod is not created, once it is refused.
    pub async fn refused(&self, pod: &Value) -> String {
        wait("a refusal", || async { Some(self.send(pod, true).await.err()?.to_string()) }).await
    }

    /// Creates the pod, once such pods are injected by the set.
    pub async fn injected(&self, pod: &Value, set: &str) -> Value {
        self.would_be(pod, |pod| listed(pod).split(',').any(|name| name == set).then_some(()))
            .await;
        self.send(pod, false).await.unwrap()
    }

    pub async fn stored(&self, name: &str) -> Value {
        serde_json::to_value(self.pods().get(name).await.unwrap()).unwrap()
    }
}

/// Names of the containers.
pub fn containers(pod: &Value) -> Vec<String> {
    let all = pod["spec"]["containers"].as_array().unwrap();
    all.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect()
}

pub fn container<'a>(pod: &'a Value, list: &str, name: &str) -> &'a Value {
    let all = pod["spec"][list].as_array();
    all.and_then(|all| all.iter().find(|it| it["name"] == name)).unwrap_or(&Value::Null)
}

fn image<'a>(pod: &'a Value, name: &str) -> &'a str {
    container(pod, "containers", name)["image"].as_str().unwrap_or_default()
}

pub fn listed(pod: &Value) -> &str {
    pod["metadata"]["annotations"]["kruise.io/sidecarset-injected-list"]
        .as_str()
        .unwrap_or_default()
}

/// What the pod records of a set.
pub fn record(pod: &Value, set: &str) -> Value {
    let text = pod["metadata"]["annotations"]["kruise.io/sidecarset-hash"].as_str().unwrap();
    serde_json::from_str::<Value>(text).unwrap()[set].clone()
}

pub fn hashes(set: &Value) -> [Value; 2] {
    ["kruise.io/sidecarset-hash", "kruise.io/sidecarset-hash-without-image"]
        .map(|key| set["metadata"]["annotations"][key].clone())
}

/// Recorded revisions of a set, by name, each with its custom version.
async fn recorded(stage: &Stage, set: &str) -> Vec<(String, String)> {
    let revisions = stage.space.cluster("apps", "v1", "ControllerRevision");
    let params =
        kube::api::ListParams::default().labels(&format!("kruise.io/sidecarset-name={set}"));
    let list = revisions.list(&params).await.unwrap().items;
    let label = |it: &DynamicObject| {
        let labels = it.metadata.labels.clone().unwrap_or_default();
        labels.get("apps.kruise.io/sidecarset-custom-version").cloned().unwrap_or_default()
    };
    let mut found: Vec<(String, String)> =
        list.iter().map(|it| (it.metadata.name.clone().unwrap(), label(it))).collect();
    found.sort();
    found
}

fn tag(name: &str, tag: &str) -> Value {
    json!({ "spec": { "containers": [{ "name": name, "image": format!("example.com/{name}:{tag}") }] } })
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_20_a_plain_init_container_is_not_hashed_and_reaches_new_pods_only() {
    let stage = Stage::new("cnf20").await;
    let init = |tag: &str| json!({ "spec": { "initContainers": [{ "name": "prep", "image": format!("example.com/prep:{tag}") }] } });
    let set = stage.create(&stage.set("init", &init("1"))).await;
    let first = stage.revision("init").await;
    let old = stage.injected(&Stage::pod("old", "init", &json!({})), "init").await;
    assert_eq!(container(&old, "initContainers", "prep")["image"], "example.com/prep:1");
    stage.counts("init", (1, 1)).await;
    let changed = stage.patch("init", init("2")).await;
    assert_eq!(hashes(&changed), hashes(&set));
    assert_ne!(stage.revision("init").await, first, "the revision records it all the same");
    let new = Stage::pod("new", "init", &json!({}));
    let is_new = |pod: &Value| {
        (container(pod, "initContainers", "prep")["image"] == "example.com/prep:2").then_some(())
    };
    stage.would_be(&new, is_new).await;
    stage.injected(&new, "init").await;
    stage.counts("init", (2, 2)).await;
    let kept = stage.stored("old").await;
    assert_eq!(container(&kept, "initContainers", "prep")["image"], "example.com/prep:1");
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_22_a_recorded_revision_is_injected_by_version_or_name() {
    let stage = Stage::new("cnf22").await;
    // Nothing follows by itself: what a pod was given stays to be seen.
    let never =
        json!({ "spec": { "customVersion": "v1", "updateStrategy": { "type": "NotUpdate" } } });
    let set = stage.create(&stage.set("pin", &never)).await;
    let old = stage.revision("pin").await;
    let all = || recorded(&stage, "pin");
    assert_eq!(all().await, [(old.clone(), "v1".to_owned())]);
    let mut change = tag("pin", "2");
    change["spec"]["customVersion"] = json!("v2");
    stage.patch("pin", change).await;
    let new = stage.status("pin", |status| {
        let name = status["latestRevision"].as_str()?;
        (name != old).then(|| name.to_owned())
    });
    let new = new.await;
    let mut wanted = vec![(old.clone(), "v1".to_owned()), (new.clone(), "v2".to_owned())];
    wanted.sort();
    wait("both versions", || async { (all().await == wanted).then_some(()) }).await;
    // Another name for what is there: no other revision.
    stage.patch("pin", json!({ "spec": { "customVersion": "v3" } })).await;
    wanted.iter_mut().filter(|(name, _)| *name == new).for_each(|(_, label)| *label = "v3".into());
    wait("another name", || async { (all().await == wanted).then_some(()) }).await;
    for (at, revision) in
        [json!({ "customVersion": "v1" }), json!({ "revisionName": old })].into_iter().enumerate()
    {
        let pin = json!({ "spec": { "injectionStrategy": { "revision": null } } });
        stage.patch("pin", pin).await;
        let pod = Stage::pod(&format!("pod-{at}"), "pin", &json!({}));
        let has =
            |wanted: &'static str| move |pod: &Value| (image(pod, "pin") == wanted).then_some(());
        stage.would_be(&pod, has("example.com/pin:2")).await;
        let pin = json!({ "spec": { "injectionStrategy": { "revision": revision } } });
        stage.patch("pin", pin).await;
        stage.would_be(&pod, has("example.com/pin:1")).await;
        let made = stage.injected(&pod, "pin").await;
        assert_eq!(image(&made, "pin"), "example.com/pin:1");
        let record = record(&made, "pin");
        assert_eq!(record["hash"], hashes(&set)[0], "the old hash");
        assert_eq!(record["controllerRevision"], old);
    }
    stage.counts("pin", (2, 0)).await;
    for unknown in [
        json!({ "customVersion": "v9", "revisionName": null }),
        json!({ "customVersion": null, "revisionName": "pin-none" }),
    ] {
        let pin = json!({ "spec": { "injectionStrategy": { "revision": unknown } } });
        let api = sets(&stage.space, "v1beta1");
        let refused = api.patch("pin", &PatchParams::default(), &Patch::Merge(pin)).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("Cannot find specific ControllerRevision"), "{text}");
    }
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_23_a_pod_of_an_old_revision_is_updated_unless_that_is_paused() {
    let stage = Stage::new("cnf23").await;
    stage.create(&stage.set("again", &json!({ "spec": { "customVersion": "v1" } }))).await;
    let old = stage.revision("again").await;
    let mut change = tag("again", "2");
    change["spec"]["customVersion"] = json!("v2");
    change["spec"]["updateStrategy"] = json!({ "paused": true });
    change["spec"]["injectionStrategy"] = json!({ "revision": { "revisionName": old } });
    stage.patch("again", change).await;
    let pod = Stage::pod("pod", "again", &json!({}));
    let recorded = |pod: &Value| {
        (record(pod, "again")["controllerRevision"] == *old && listed(pod) == "again").then_some(())
    };
    wait("the old revision", || async {
        let made = stage.send(&pod, true).await.ok()?;
        (!listed(&made).is_empty()).then(|| recorded(&made))?
    })
    .await;
    let made = stage.injected(&pod, "again").await;
    assert_eq!(image(&made, "again"), "example.com/again:1");
    stage.counts("again", (1, 0)).await;
    assert_eq!(image(&stage.stored("pod").await, "again"), "example.com/again:1");
    stage.patch("again", json!({ "spec": { "updateStrategy": { "paused": false } } })).await;
    stage.counts("again", (1, 1)).await;
    assert_eq!(image(&stage.stored("pod").await, "again"), "example.com/again:2");
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_24_a_partial_policy_chooses_by_selector_partition_and_pause() {
    let stage = Stage::new("cnf24").await;
    stage.create(&stage.set("part", &json!({ "spec": { "customVersion": "v1" } }))).await;
    let old = stage.revision("part").await;
    let mut change = tag("part", "2");
    change["spec"]["customVersion"] = json!("v2");
    change["spec"]["injectionStrategy"] =
        json!({ "revision": { "customVersion": "v1", "policy": "Partial" } });
    stage.patch("part", change).await;
    assert_ne!(stage.revision("part").await, old);
    let selector = json!({ "matchLabels": { "tier": "gold" } });
    let (first, second) = ("example.com/part:1", "example.com/part:2");
    let gold = json!({ "metadata": { "labels": { "tier": "gold" } } });
    // Each answer differs from the one before it, so that it cannot be that of the spec before.
    for (strategy, labels, wanted) in [
        (json!({ "partition": "100%" }), json!({}), first),
        (json!({ "partition": "0%" }), json!({}), second),
        (json!({ "partition": "0%", "paused": true }), json!({}), first),
        (json!({ "partition": 1, "paused": false }), json!({}), second),
        (json!({ "partition": null, "selector": selector }), json!({}), first),
        (json!({ "partition": null, "selector": selector }), gold, second),
    ] {
        stage.patch("part", json!({ "spec": { "updateStrategy": strategy } })).await;
        let pod = Stage::pod("pod", "part", &labels);
        let is = |pod: &Value| (image(pod, "part") == wanted).then_some(());
        stage.would_be(&pod, is).await;
    }
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_25_a_canary_stands_in_for_its_base_in_new_pods() {
    let stage = Stage::new("cnf25").await;
    stage.create(&stage.set("base", &json!({}))).await;
    stage.injected(&Stage::pod("old", "base", &json!({})), "base").await;
    stage.counts("base", (1, 1)).await;
    let canary = |name: &str, base: &str, change: &Value| {
        let mut set = stage.set(
            "base",
            &json!({ "metadata": { "name": name, "annotations": {
            "apps.kruise.io/sidecarset-canary": "true", "apps.kruise.io/sidecarset-base": base,
        } }, "spec": { "updateStrategy": { "type": "NotUpdate" } } }),
        );
        json_patch::merge(&mut set, &tag("base", "2"));
        json_patch::merge(&mut set, change);
        set
    };
    for (set, why) in [
        (canary("canary", "canary", &json!({})), "base sidecarSet cannot be itself"),
        (canary("canary", "nobody", &json!({})), "fetch base sidecarSet[nobody] failed"),
        (
            canary(
                "canary",
                "base",
                &json!({ "spec": { "updateStrategy": { "type": "RollingUpdate" } } }),
            ),
            "RollingUpdate is not supported for canary sidecarSet",
        ),
    ] {
        let text = stage.refusal(&set).await;
        assert!(text.contains(why), "{text}");
    }
    stage.create(&canary("canary", "base", &json!({}))).await;
    wait("VAL-16", || async {
        let text = stage.refusal(&canary("second", "canary", &json!({}))).await;
        text.contains("base sidecarSet cannot be canary").then_some(())
    })
    .await;
    let moved =
        json!({ "metadata": { "annotations": { "apps.kruise.io/sidecarset-base": "nobody" } } });
    let api = sets(&stage.space, "v1beta1");
    let text = api.patch("canary", &PatchParams::default(), &Patch::Merge(moved)).await;
    let text = text.unwrap_err().to_string();
    assert!(text.contains("annotations[apps.kruise.io/sidecarset-base] is immutable"), "{text}");
    let new = stage.injected(&Stage::pod("new", "base", &json!({})), "canary").await;
    assert_eq!((containers(&new), listed(&new)), (vec!["base".into(), "main".into()], "canary"));
    assert_eq!(image(&new, "base"), "example.com/base:2");
    stage.counts("canary", (1, 1)).await;
    stage.counts("base", (1, 1)).await;
    let old = stage.stored("old").await;
    assert_eq!((listed(&old), image(&old, "base")), ("base", "example.com/base:1"));
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_26_resources_follow_those_of_the_pod() {
    let stage = Stage::new("cnf26").await;
    let policy = |mode: &str, regex: &str| {
        json!({ "spec": { "containers": [{
            "name": "res", "image": "example.com/res:1",
            "resourcesPolicy": {
                "targetContainersMode": mode, "targetContainersNameRegex": regex,
                "resourcesExpr": {
                    "limits": { "cpu": "cpu*50%", "memory": "200Mi" },
                    "requests": { "cpu": "max(cpu*50%, 50m)", "memory": "memory*50%" },
                },
            },
        }] } })
    };
    let both = json!({ "spec": { "containers": [{
        "name": "res", "image": "example.com/res:1", "resources": { "limits": { "cpu": "1" } },
        "resourcesPolicy": { "targetContainersMode": "sum", "resourcesExpr": { "limits": { "cpu": "cpu" } } },
    }] } });
    let text = stage.refusal(&stage.set("res", &both)).await;
    assert!(text.contains("resourcesPolicy and resources cannot be configured together"), "{text}");
    stage.create(&stage.set("res", &policy("sum", "^main"))).await;
    // RES-27: A has a CPU limit of 200m and requests 50m, B has no limit and requests 100m.
    let of = |limits_b: Value| {
        json!({ "spec": { "containers": [
            { "name": "main-a", "image": "example.com/main:1", "resources": { "limits": { "cpu": "200m" }, "requests": { "cpu": "50m" } } },
            { "name": "main-b", "image": "example.com/main:1", "resources": { "limits": limits_b, "requests": { "cpu": "100m" } } },
        ] } })
    };
    let pod = Stage::pod("pod", "res", &of(json!({})));
    let found = |pod: &Value| {
        let resources = &container(pod, "containers", "res")["resources"];
        (!resources.is_null()).then(|| resources.clone())
    };
    let resources = stage.would_be(&pod, found).await;
    // No CPU limit, for B has none; no memory limit, for nobody has one; requests of a sum that may be 0.
    assert_eq!(resources, json!({ "requests": { "cpu": "75m", "memory": "0" } }));
    let limited = Stage::pod("pod", "res", &of(json!({ "cpu": "300m" })));
    let resources = stage.would_be(&limited, found).await;
    assert_eq!(resources["limits"], json!({ "cpu": "250m" }), "of both together");
    // Nobody to follow: the pod is refused, and told why.
    let other =
        json!({ "spec": { "containers": [{ "name": "other", "image": "example.com/main:1" }] } });
    let text = stage.refused(&Stage::pod("pod", "res", &other)).await;
    assert!(text.contains(r#"no containers match the regex pattern "^main""#), "{text}");
    stage.patch("res", policy("max", "^main")).await;
    let is = |pod: &Value| (found(pod)?["limits"]["cpu"] == "150m").then_some(());
    stage.would_be(&limited, is).await;
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_28_pods_that_are_there_are_not_injected_when_a_set_appears() {
    let stage = Stage::new("cnf28").await;
    let old = stage.send(&Stage::pod("old", "late", &json!({})), false).await.unwrap();
    stage.create(&stage.set("late", &json!({}))).await;
    stage.injected(&Stage::pod("new", "late", &json!({})), "late").await;
    stage.counts("late", (1, 1)).await;
    let kept = stage.stored("old").await;
    assert_eq!(kept["spec"]["containers"], old["spec"]["containers"]);
    assert_eq!(listed(&kept), "");
    let conditions = stage.get("late").await["status"]["conditions"].clone();
    assert!(conditions.is_null(), "nobody was missed: {conditions}");
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_29_pods_of_all_workloads_are_treated_alike() {
    let stage = Stage::new("cnf29").await;
    stage.create(&stage.set("all", &json!({}))).await;
    stage
        .would_be(&Stage::pod("probe", "all", &json!({})), |pod| {
            (listed(pod) == "all").then_some(())
        })
        .await;
    let template = |kind: &str, restart: &str| {
        json!({
            "metadata": { "labels": { "app": "all", "kind": kind } },
            "spec": { "restartPolicy": restart, "containers": [{ "name": "main", "image": "example.com/main:1" }] },
        })
    };
    let kinds = [
        ("apps", "v1", "Deployment"),
        ("apps", "v1", "StatefulSet"),
        ("apps", "v1", "DaemonSet"),
        ("batch", "v1", "Job"),
        ("", "v1", "Pod"),
    ];
    for (group, version, kind) in kinds {
        let api = stage.space.api(group, version, kind);
        let mut object = json!({
            "apiVersion": if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") },
            "kind": kind, "metadata": { "name": kind.to_lowercase() },
        });
        match kind {
            "Pod" => json_patch::merge(&mut object, &template(kind, "Always")),
            "Job" => object["spec"] = json!({ "template": template(kind, "Never") }),
            _ => {
                object["spec"] = json!({
                    "selector": { "matchLabels": { "app": "all", "kind": kind } }, "template": template(kind, "Always"),
                });
            }
        }
        create(&api, object).await.unwrap();
    }
    for (_, _, kind) in kinds {
        let pod = wait(&format!("a pod of a {kind}"), || async {
            let of = |pod: &Value| pod["metadata"]["labels"]["kind"] == kind;
            stage.space.pods().await.into_iter().find(of)
        })
        .await;
        assert_eq!(
            (containers(&pod), listed(&pod)),
            (vec!["all".into(), "main".into()], "all"),
            "{kind}"
        );
        assert_eq!(record(&pod, "all")["sidecarList"], json!(["all"]));
    }
    stage.end().await;
}

/// Whoever waits for the first status of a set finds the next pod injected, however new the registration is.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_set_that_is_observed_is_asked_for() {
    let stage = Stage::new("observed").await;
    for at in 0..10 {
        let name = format!("new-{at}");
        stage.create(&stage.set(&name, &json!({}))).await;
        stage.status(&name, |_| Some(())).await;
        let pod = stage.send(&Stage::pod("pod", &name, &json!({})), true).await.unwrap();
        assert_eq!(listed(&pod), name, "the {at}th set");
    }
    stage.end().await;
}
