//! A set and its pods in one breath: nothing is waited for in between.

use kruise_common::testing::cluster::{Space, create};
use kruise_common::testing::ports::free_address;
use serde_json::{Value, json};

use super::{asked, clean, listening, sets, start};

/// A set with one sidecar, of its own name, for pods with these labels: sets that can meet in a pod must differ in that.
fn set(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": labels },
            "containers": [{ "name": name, "image": "example.com/agent:1" }],
        },
    })
}

/// A pod with these labels, which must come out with the sidecar of the set.
async fn injected(space: &Space, name: &str, labels: &Value, set: &str) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": labels },
        "spec": { "terminationGracePeriodSeconds": 0, "containers": [{ "name": "main", "image": "example.com/main:1" }] },
    });
    let pod = create(&space.api("", "v1", "Pod"), pod).await.unwrap();
    let containers = pod.data["spec"]["containers"].as_array().unwrap().iter();
    let names: Vec<&str> = containers.map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, [set, "main"], "pod {name}");
}

/// Creates sets and, the moment each is stored, a pod of it; then changes a set so that it is about other pods, and creates
/// one of those. Each pod must come out with its sidecar.
async fn play(space: &Space) {
    let all = sets(space, "v1beta1");
    for number in 0..20 {
        let name = format!("at-once-{number}");
        let labels = json!({ "app": name });
        let mut set = set(&name, &labels);
        set["spec"]["namespace"] = json!(space.name);
        create(&all, set).await.unwrap();
        injected(space, &name, &labels, &name).await;
    }
    for number in 0..10 {
        let app = format!("moved-{number}");
        let labels = json!({ "app": app });
        let to = json!({ "spec": { "selector": { "matchLabels": labels } } });
        let params = kube::api::PatchParams::default();
        all.patch("at-once-0", &params, &kube::api::Patch::Merge(to)).await.unwrap();
        injected(space, &app, &labels, "at-once-0").await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_pod_created_right_after_its_set_is_injected() {
    let space = Space::new("at-once").await;
    clean(&space).await;
    let controller = start(&space, &free_address().to_string(), &[]).await;
    play(&space).await;
    controller.stop().await;
    clean(&space).await;
}

/// The replica that is asked cannot register hooks: it tells the one that leads.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_pod_created_right_after_its_set_is_injected_whoever_answers() {
    let space = Space::new("at-once-other").await;
    clean(&space).await;
    let (own, other) = (free_address().to_string(), free_address().to_string());
    let url = format!("https://{other}");
    let leader = listening(&url, &own, &[]).await;
    leader.leads().await;
    let answers = listening(&url, &other, &[]).await;
    asked(&space).await;
    play(&space).await;
    answers.stop().await;
    leader.stop().await;
    clean(&space).await;
}

/// What a registration says no more is taken out of it: a condition that selectors make superfluous, and a selector that
/// a set does not share.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_registration_that_says_less_leaves_no_pod_out() {
    let space = Space::new("says-less").await;
    clean(&space).await;
    let controller = start(&space, &free_address().to_string(), &[]).await;
    let all = sets(&space, "v1beta1");
    // The last one makes of them every pair of two values each, which selectors can say.
    for (app, zone) in [("a", "1"), ("b", "2"), ("a", "2"), ("b", "1")] {
        let (name, labels) = (format!("{app}-{zone}"), json!({ "app": app, "zone": zone }));
        create(&all, set(&name, &labels)).await.unwrap();
        injected(&space, &name, &labels, &name).await;
    }
    // It is about pods without the labels that all others demand.
    let labels = json!({ "tier": "web" });
    create(&all, set("web", &labels)).await.unwrap();
    injected(&space, "web", &labels, "web").await;
    controller.stop().await;
    clean(&space).await;
}

/// More sets than a condition holds: the selectors alone narrow, and widen.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_label_that_is_not_demanded_any_more_leaves_no_pod_out() {
    let space = Space::new("widens").await;
    clean(&space).await;
    let controller = start(&space, &free_address().to_string(), &[]).await;
    let all = sets(&space, "v1beta1");
    for number in 0..66 {
        let labels = json!({ "app": "a", format!("key-{number}"): "x" });
        create(&all, set(&format!("many-{number}"), &labels)).await.unwrap();
    }
    let labels = json!({ "tier": "web" });
    create(&all, set("other", &labels)).await.unwrap();
    injected(&space, "other", &labels, "other").await;
    controller.stop().await;
    clean(&space).await;
}
