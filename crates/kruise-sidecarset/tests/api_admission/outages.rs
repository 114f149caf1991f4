//! What pods come out as while nobody answers, and while certificates change.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kruise_common::testing::admission::dry_run;
use kruise_common::testing::cluster::{Space, create, wait, wait_or};
use kruise_common::testing::load::Load;
use kruise_common::testing::ports::free_address;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::requirements::{Stage, container};
use super::{clean, sets, start};

fn sidecars(pods: &[Value]) -> usize {
    let has = |pod: &&Value| {
        let containers = pod["spec"]["containers"].as_array().unwrap();
        containers.iter().any(|container| container["name"] == "agent")
    };
    pods.iter().filter(has).count()
}

/// Platform P1, W-4: with `Ignore` nothing stands still while all replicas are down; who was missed is told, and comes back
/// with its sidecar if the set says so.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn pods_are_created_while_nobody_answers_and_found_afterwards() {
    let space = Space::new("outage").await;
    clean(&space).await;
    let address = free_address().to_string();
    let lenient = ["--webhook-failure-policy", "Ignore"];
    let controller = start(&space, &address, &lenient).await;
    let stage = Stage { space, controller };
    stage.create(&stage.set("agent", &json!({}))).await;
    stage.injected(&Stage::pod("before", "agent", &json!({})), "agent").await;
    stage.counts("agent", (1, 1)).await;
    // Times of creation have seconds: pods of the same second as the set count as older.
    let set = stage.get("agent").await;
    let created: Timestamp =
        set["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap();
    wait("a later second", || async {
        (Timestamp::now().as_second() > created.as_second()).then_some(())
    })
    .await;
    let Stage { space, controller } = stage;
    controller.kill().await;

    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "replicas": 3, "selector": { "matchLabels": { "app": "agent" } },
            "template": {
                "metadata": { "labels": { "app": "agent", "of": "web" } },
                "spec": { "terminationGracePeriodSeconds": 0, "containers": [{ "name": "main", "image": "example.com/main:1" }] },
            },
        },
    });
    create(&space.api("apps", "v1", "Deployment"), deployment).await.unwrap();
    let web = || async {
        let of = |pod: &Value| pod["metadata"]["labels"]["of"] == "web";
        space.pods().await.into_iter().filter(of).collect::<Vec<_>>()
    };
    wait("pods without a webhook", || async { (web().await.len() == 3).then_some(()) }).await;
    assert_eq!(sidecars(&web().await), 0, "nobody could inject them");

    // The same address, as a Service would have it.
    let controller = start(&space, &address, &lenient).await;
    let stage = Stage { space: space.clone(), controller };
    let log = || stage.controller.log();
    let told = wait_or("the auditor", log, || async {
        let status = stage.get("agent").await["status"].clone();
        let conditions = status["conditions"].as_array()?;
        let found = conditions
            .iter()
            .find(|it| it["type"] == "NotInjectedPods" && it["status"] == "True")?;
        Some(found["message"].as_str()?.to_owned())
    })
    .await;
    assert!(told.starts_with("3 pods match and were not injected: "), "{told}");
    assert_eq!(sidecars(&web().await), 0, "a running pod is left alone");
    // It is known that a pod would come back right once a younger one did.
    stage.injected(&Stage::pod("after", "agent", &json!({})), "agent").await;
    let repair = json!({ "metadata": { "annotations": { "kruise.io/sidecarset-evict-not-injected": "true" } } });
    stage.patch("agent", repair).await;
    wait("all with their sidecar", || async {
        let pods = web().await;
        (pods.len() == 3 && sidecars(&pods) == 3).then_some(())
    })
    .await;
    stage.counts("agent", (5, 5)).await;
    stage.end().await;
}

/// HSH-1: with `Ignore` a set can be edited while nobody is asked, and keeps the hashes of its earlier spec. It is rolled
/// out all the same.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_set_that_is_edited_while_nobody_answers_is_rolled_out() {
    let space = Space::new("unhashed").await;
    clean(&space).await;
    let address = free_address().to_string();
    let lenient = ["--webhook-failure-policy", "Ignore"];
    let controller = start(&space, &address, &lenient).await;
    let stage = Stage { space, controller };
    let set = stage.create(&stage.set("agent", &json!({}))).await;
    stage.injected(&Stage::pod("pod", "agent", &json!({})), "agent").await;
    stage.counts("agent", (1, 1)).await;
    stage.revision("agent").await;
    let Stage { space, controller } = stage;
    controller.kill().await;
    let image = json!([{ "op": "replace", "path": "/spec/containers/0/image", "value": "example.com/agent:2" }]);
    let image = Patch::Json::<()>(serde_json::from_value(image).unwrap());
    let edited = sets(&space, "v1beta1").patch("agent", &PatchParams::default(), &image).await;
    let edited = serde_json::to_value(edited.unwrap()).unwrap();
    let hash =
        |object: &Value| object["metadata"]["annotations"]["kruise.io/sidecarset-hash"].clone();
    assert_eq!(hash(&edited), hash(&set), "nobody was asked");

    let controller = start(&space, &address, &lenient).await;
    let stage = Stage { space, controller };
    wait("the image of the set", || async {
        let pod = stage.stored("pod").await;
        (container(&pod, "containers", "agent")["image"] == "example.com/agent:2").then_some(())
    })
    .await;
    stage.counts("agent", (1, 1)).await;
    // Whoever stores it next puts that right.
    let stored = stage.patch("agent", json!({ "spec": { "revisionHistoryLimit": 5 } })).await;
    let records = hash(&stage.stored("pod").await);
    let records: Value = serde_json::from_str(records.as_str().unwrap()).unwrap();
    assert_eq!(hash(&stored), records["agent"]["hash"]);
    assert_ne!(hash(&stored), hash(&set));
    stage.end().await;
}

/// Platform P2: new certificates under 100 pods a second, and not one of them is refused or missed.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn certificates_change_under_a_hundred_pods_a_second_and_none_is_missed() {
    let space = Space::new("pods-rotate").await;
    clean(&space).await;
    // A Secret of its own: the certificate of other tests lives for long.
    let life = ["--webhook-cert-validity", "30s", "--webhook-cert-secret", "rotating"];
    let controller = start(&space, &free_address().to_string(), &life).await;
    let stage = Stage { space, controller };
    stage.create(&stage.set("agent", &json!({}))).await;
    stage.injected(&Stage::pod("first", "agent", &json!({})), "agent").await;
    let load = load(&stage.space);
    let begun = Instant::now();
    let expiry = "webhook_cert_expiry_timestamp_seconds";
    let mut last = stage.controller.metric(expiry, "").await.unwrap();
    for _ in 0..2 {
        last = stage.controller.until(expiry, "", move |at| at > last).await;
    }
    let (done, failures) = load.stop().await;
    let rate = f64::from(u32::try_from(done).unwrap()) / begun.elapsed().as_secs_f64();
    println!("{done} pods while certificates changed twice, {rate:.0} a second");
    assert_eq!(failures, Vec::<String>::new(), "of {done}");
    assert!(done > 100, "{done} is no load");
    // A machine that has other work too does not come to it.
    if std::env::var_os("KRUISE_QUIET").is_some_and(|quiet| quiet == "1") {
        assert!(rate >= 90.0, "{rate:.1} a second");
    }
    stage.end().await;
}

/// Platform P1, P2: a set that was stored while no webhook judged sets names a value that no label has, and the API server
/// takes no configuration with it. It is told so; everybody else's pods are asked about.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_set_that_cannot_be_registered_stops_nobody_else() {
    let space = Space::new("unregistrable").await;
    clean(&space).await;
    let bad = json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": { "name": "bad" },
        "spec": { "selector": { "matchLabels": { "app": "no value" } }, "containers": [{ "name": "bad", "image": "b:1" }] },
    });
    create(&sets(&space, "v1beta1"), bad).await.unwrap();
    let controller = start(&space, &free_address().to_string(), &[]).await;
    let stage = Stage { space, controller };
    stage.create(&stage.set("good", &json!({}))).await;
    stage.injected(&Stage::pod("pod", "good", &json!({})), "good").await;
    let told = stage
        .status("bad", |status| {
            let mut all = status["conditions"].as_array()?.iter();
            let invalid = all.find(|it| it["type"] == "InvalidSpec" && it["status"] == "True")?;
            Some(invalid["message"].as_str()?.to_owned())
        })
        .await;
    assert!(told.contains(r#"selector.matchLabels: Invalid value: "no value""#), "{told}");
    stage.end().await;
}

/// Pods that are created (dry run), a hundred a second.
fn load(space: &Space) -> Load {
    let pods = space.api("", "v1", "Pod");
    Load::start(40, Duration::from_millis(400), move |asker| {
        let (pods, pod) = (pods.clone(), Stage::pod(&format!("load-{asker}"), "agent", &json!({})));
        async move {
            let made = dry_run(&pods, &pod).await.map_err(|error| error.to_string())?;
            if sidecars(&[made]) == 1 { Ok(()) } else { Err("missed".to_owned()) }
        }
    })
}
