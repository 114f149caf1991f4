//! A set and its pods in one breath: nothing is waited for in between.

use kruise_common::testing::cluster::{Space, create};
use kruise_common::testing::ports::free_address;
use serde_json::{Value, json};

use super::{asked, clean, listening, sets, start};

/// Creates sets and, the moment each is stored, a pod of it; then changes a set so that it is about other pods, and creates
/// one of those. Each pod must come out with its sidecar.
async fn play(space: &Space) {
    let all = sets(space, "v1beta1");
    let set = |name: &str| {
        json!({
            "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": { "name": name },
            "spec": {
                "namespace": space.name, "selector": { "matchLabels": { "app": name } },
                "containers": [{ "name": "agent", "image": "example.com/agent:1" }],
            },
        })
    };
    let injected = |app: String| async move {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": app, "labels": { "app": app } },
            "spec": { "terminationGracePeriodSeconds": 0, "containers": [{ "name": "main", "image": "example.com/main:1" }] },
        });
        let pod = create(&space.api("", "v1", "Pod"), pod).await.unwrap();
        let names = |pod: &Value| {
            let containers = pod["spec"]["containers"].as_array().unwrap().iter();
            containers.map(|it| it["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&serde_json::to_value(&pod).unwrap()), ["agent", "main"], "pod of {app}");
    };
    for number in 0..20 {
        let name = format!("at-once-{number}");
        create(&all, set(&name)).await.unwrap();
        injected(name).await;
    }
    for number in 0..10 {
        let app = format!("moved-{number}");
        let to = json!({ "spec": { "selector": { "matchLabels": { "app": app } } } });
        let params = kube::api::PatchParams::default();
        all.patch("at-once-0", &params, &kube::api::Patch::Merge(to)).await.unwrap();
        injected(app).await;
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
    let name = |labels: &[(&str, &str)]| {
        labels.iter().map(|(key, value)| format!("{key}-{value}")).collect::<Vec<_>>().join("-")
    };
    let created = |labels: Vec<(&'static str, &'static str)>| {
        let (all, space) = (&all, &space);
        async move {
            let name = name(&labels);
            let labels: std::collections::BTreeMap<_, _> = labels.into_iter().collect();
            let set = json!({
                "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": { "name": name },
                "spec": {
                    "selector": { "matchLabels": labels },
                    "containers": [{ "name": name, "image": "example.com/agent:1" }],
                },
            });
            create(all, set).await.unwrap();
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": labels },
                "spec": { "terminationGracePeriodSeconds": 0, "containers": [{ "name": "main", "image": "example.com/main:1" }] },
            });
            let pod = create(&space.api("", "v1", "Pod"), pod).await.unwrap();
            let count = pod.data["spec"]["containers"].as_array().unwrap().len();
            assert_eq!(count, 2, "pod of {name}");
        }
    };
    // The last one makes of them every pair of two values each, which selectors can say.
    for (app, zone) in [("a", "1"), ("b", "2"), ("a", "2"), ("b", "1")] {
        created(vec![("app", app), ("zone", zone)]).await;
    }
    // It is about pods without the labels that all others demand.
    created(vec![("tier", "web")]).await;
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
    let set = |name: String, labels: Value| {
        json!({
            "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": { "name": name },
            "spec": {
                "selector": { "matchLabels": labels },
                "containers": [{ "name": name, "image": "example.com/agent:1" }],
            },
        })
    };
    for number in 0..66 {
        let labels = json!({ "app": "a", format!("key-{number}"): "x" });
        create(&all, set(format!("many-{number}"), labels)).await.unwrap();
    }
    create(&all, set("other".to_owned(), json!({ "tier": "web" }))).await.unwrap();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "other", "labels": { "tier": "web" } },
        "spec": { "terminationGracePeriodSeconds": 0, "containers": [{ "name": "main", "image": "example.com/main:1" }] },
    });
    let pod = create(&space.api("", "v1", "Pod"), pod).await.unwrap();
    assert_eq!(pod.data["spec"]["containers"].as_array().unwrap().len(), 2);
    controller.stop().await;
    clean(&space).await;
}
