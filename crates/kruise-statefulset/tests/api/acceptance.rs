//! Creation, scaling and ownership on a real control plane (AC-8, AC-9, AC-14…AC-19, AC-23), with every gate on (AC-24).

use kruise_common::testing::cluster;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::harness::{Controller, Space, set};
use crate::objects::{created, is_up, ordinal, ready_since, uids};

/// G-1: the gates of the conformance environment.
pub const ALL_GATES: &[&str] = &["--feature-gates=AllAlpha=true,AllBeta=true"];

/// A set with changes.
pub fn set_with(replicas: i32, change: &Value) -> Value {
    let mut set = set("web", replicas);
    json_patch::merge(&mut set, change);
    set
}

/// The image of the container, as a change of a set.
pub fn use_image(tag: &str) -> Value {
    let image = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": format!("registry.k8s.io/pause:{tag}") }]);
    image
}

/// Makes a pod broken, or well again, by its image.
pub async fn break_pod(space: &Space, name: &str, tag: &str) {
    let image = format!("registry.k8s.io/pause:{tag}");
    space.set_pod_image(name, &image).await;
    let broken = tag.starts_with("fail");
    space
        .pods_are(&format!("{name} broken: {broken}"), |pods| {
            pods.iter().any(|pod| pod["metadata"]["name"] == name && is_up(pod) != broken)
        })
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac9_pods_come_in_order_with_stable_names_and_keep_their_claims() {
    let space = Space::new("ac9").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let claims = json!({ "spec": { "volumeClaimTemplates": [{
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    }] } });
    space.create(set_with(3, &claims)).await;
    let pods = space.ordinals_are(&[0, 1, 2]).await;
    for pair in pods.windows(2) {
        let (before, after) = (ready_since(&pair[0]), created(&pair[1]));
        assert!(after >= before, "each after the one before is ready (AC-2)");
    }
    for pod in &pods {
        let name = &pod["metadata"]["name"];
        assert_eq!(pod["spec"]["hostname"], *name);
        assert_eq!(pod["spec"]["subdomain"], "web");
        assert_eq!(pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"], *name);
        assert_eq!(
            pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"],
            ordinal(pod).to_string()
        );
    }
    let status = space
        .status_is("web", "the end of the creation", |status| status["readyReplicas"] == 3)
        .await;
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    assert_eq!(status["labelSelector"], "app=web");
    let before = space.claims_are(&["data-web-0", "data-web-1", "data-web-2"]).await;
    space.delete("Pod", "web-1").await;
    let uid = pods[1]["metadata"]["uid"].clone();
    space
        .pods_are("a new web-1", |pods| {
            pods.len() == 3 && pods.iter().all(is_up) && pods[1]["metadata"]["uid"] != uid
        })
        .await;
    let after = space.claims().await;
    assert_eq!(uids(&before), uids(&after), "data survive the pod");
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac14_ordered_scaling_halts_while_a_pod_is_broken() {
    let space = Space::new("ac14").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    space.create(set("web", 2)).await;
    space.ordinals_are(&[0, 1]).await;
    break_pod(&space, "web-0", "fail-pull").await;
    space.merge("web", json!({ "spec": { "replicas": 4 } })).await;
    space
        .status_is("web", "the halt", |status| {
            status["replicas"] == 2 && status["readyReplicas"] == 1
        })
        .await;
    assert!(controller.holds("NotAvailableYet").await > 0, "the wait is in the metric");
    assert_eq!(space.pods().await.len(), 2, "no overshoot");
    break_pod(&space, "web-0", "3.1").await;
    space.ordinals_are(&[0, 1, 2, 3]).await;
    // Down: strictly from the top, and not past a broken pod that is to stay.
    let watch = space.watch_available(4);
    break_pod(&space, "web-0", "fail-pull").await;
    space.merge("web", json!({ "spec": { "replicas": 1 } })).await;
    space.status_is("web", "the halt", |status| status["readyReplicas"] == 3).await;
    assert_eq!(space.pods().await.len(), 4);
    break_pod(&space, "web-0", "3.1").await;
    space.ordinals_are(&[0]).await;
    space.merge("web", json!({ "spec": { "replicas": 0 } })).await;
    space.status_is("web", "nothing left", |status| status["replicas"] == 0).await;
    assert_eq!(watch.gone(), ["web-3", "web-2", "web-1", "web-0"]);
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac14_burst_scaling_completes_while_pods_are_broken() {
    let space = Space::new("ac14b").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    space.create(set_with(3, &json!({ "spec": { "podManagementPolicy": "Parallel" } }))).await;
    space.ordinals_are(&[0, 1, 2]).await;
    break_pod(&space, "web-1", "fail-pull").await;
    space.merge("web", json!({ "spec": { "replicas": 6 } })).await;
    space
        .status_is("web", "six pods", |status| {
            status["replicas"] == 6 && status["readyReplicas"] == 5
        })
        .await;
    space.merge("web", json!({ "spec": { "replicas": 0 } })).await;
    space.status_is("web", "no pod", |status| status["replicas"] == 0).await;
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac15_ac16_what_ended_or_was_deleted_comes_back() {
    let space = Space::new("ac15").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    space.create(set("web", 3)).await;
    let before = space.ordinals_are(&[0, 1, 2]).await;
    let evict = json!({ "metadata": { "annotations": { "sim.kruise.dev/evict": "true" } } });
    for _ in 0..2 {
        let uid = space.pod("web-1").await.unwrap()["metadata"]["uid"].clone();
        space.merge_pod("web-1", evict.clone()).await;
        space
            .pods_are("web-1 after its eviction", |pods| {
                pods.len() == 3 && pods.iter().all(is_up) && pods[1]["metadata"]["uid"] != uid
            })
            .await;
    }
    break_pod(&space, "web-2", "fail-pull").await;
    space.delete("Pod", "web-0").await;
    let uid = before[0]["metadata"]["uid"].clone();
    space
        .pods_are("web-0 although web-2 is broken", |pods| {
            pods.len() == 3 && is_up(&pods[0]) && pods[0]["metadata"]["uid"] != uid
        })
        .await;
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac17_scaling_up_leaves_no_more_unavailable_than_allowed() {
    let space = Space::new("ac17").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let mut change = json!({ "spec": {
        "podManagementPolicy": "Parallel",
        "scaleStrategy": { "maxUnavailable": 2 },
        "updateStrategy": { "rollingUpdate": { "minReadySeconds": 1 } },
    } });
    space.create(set_with(5, &change)).await;
    let mut pods = space.ordinals_are(&[0, 1, 2, 3, 4]).await;
    pods.sort_by_key(|pod| (created(pod), ordinal(pod)));
    for (at, pod) in pods.iter().enumerate() {
        let second = jiff::SignedDuration::from_secs(1);
        let available = |before: &&Value| ready_since(before) + second <= created(pod);
        let there = pods[..at].iter().filter(available).count();
        assert!(at < there + 2, "{at} pods before it, {there} of them available: {pods:#?}");
    }
    space.delete_set("web").await;
    space.pods_are("no pod", <[Value]>::is_empty).await;
    let bad = json!([{ "name": "app", "image": "registry.k8s.io/pause:fail-pull" }]);
    change["spec"]["template"] = json!({ "spec": { "containers": bad } });
    space.create(set_with(5, &change)).await;
    space.status_is("web", "two broken pods", |status| status["replicas"] == 2).await;
    assert_eq!(controller.holds("ScaleBudgetSpent").await, 1);
    assert_eq!(space.pods().await.len(), 2, "never more than the budget");
    // A good template proceeds although every pod so far is broken.
    space.patch("web", use_image("3.1")).await;
    space.ordinals_are(&[0, 1, 2, 3, 4]).await;
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac18_the_scale_subresource_works_without_a_version() {
    let space = Space::new("ac18").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    space.create(set("web", 1)).await;
    space.status_is("web", "one pod", |status| status["readyReplicas"] == 1).await;
    let scale = space.scale("web").await;
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&json!(1), &json!(1)));
    assert_eq!(scale["status"]["selector"], "app=web");
    space.set_scale("web", 2).await;
    space.ordinals_are(&[0, 1]).await;
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac19_ac20_ordinals_move_with_their_start_and_reservations() {
    let space = Space::new("ac19").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    space.create(set_with(2, &json!({ "spec": { "podManagementPolicy": "Parallel" } }))).await;
    space.ordinals_are(&[0, 1]).await;
    for (spec, wanted) in [
        (json!({ "ordinals": { "start": 3 } }), vec![3, 4]),
        (json!({ "ordinals": { "start": 1 } }), vec![1, 2]),
        (json!({ "ordinals": null }), vec![0, 1]),
        (json!({ "reserveOrdinals": [1, "3-4"], "replicas": 3 }), vec![0, 2, 5]),
        (json!({ "reserveOrdinals": null }), vec![0, 1, 2]),
    ] {
        space.merge("web", json!({ "spec": spec })).await;
        space.ordinals_are(&wanted).await;
    }
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac23_pods_are_adopted_released_and_adopted_again() {
    let space = Space::new("ac23").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    space.create(set("web", 1)).await;
    let uid = space.ordinals_are(&[0]).await[0]["metadata"]["uid"].clone();
    let owned = |pods: &[Value]| {
        let owner = &pods[0]["metadata"]["ownerReferences"][0];
        owner["kind"] == "StatefulSet" && owner["controller"] == true
    };
    space.merge_pod("web-0", json!({ "metadata": { "ownerReferences": null } })).await;
    space.pods_are("the adoption", |pods| pods.len() == 1 && owned(pods)).await;
    // Another label: released, and its name is taken.
    space.merge_pod("web-0", json!({ "metadata": { "labels": { "app": "other" } } })).await;
    space.pods_are("the release", |pods| !owned(pods)).await;
    let why = space.condition("web", "FailedCreatePod").await;
    assert!(why.contains("belongs to somebody else"), "{why}");
    space.merge_pod("web-0", json!({ "metadata": { "labels": { "app": "web" } } })).await;
    let pods = space.pods_are("the second adoption", |pods| owned(pods)).await;
    assert_eq!(pods[0]["metadata"]["uid"], uid, "all the time the same pod");
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac8_deletion_leaves_orphans_running_and_takes_the_rest_along() {
    let space = Space::new("ac8").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    space.create(set("web", 2)).await;
    let before = space.ordinals_are(&[0, 1]).await;
    space.orphan("web").await;
    let after = space.ordinals_are(&[0, 1]).await;
    assert!(after.iter().all(|pod| pod["metadata"].get("ownerReferences").is_none()));
    space.create(set("web", 2)).await;
    let adopted = space
        .pods_are("the adoption", |pods| {
            pods.iter().all(|pod| pod["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet")
        })
        .await;
    assert_eq!(uids(&before), uids(&adopted), "no pod was restarted (E-22)");
    space.delete_set("web").await;
    space.pods_are("no pod", <[Value]>::is_empty).await;
    controller.stop().await;
}

/// E-22: the pods of a native StatefulSet that was deleted and left its pods behind. What is taken over is the template as
/// the API server stores it, with all its defaults; a revision of the same content is the same revision.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn e22_a_native_set_is_taken_over_without_a_restart() {
    let space = Space::new("e22").await;
    let native = space.api("apps", "v1", "StatefulSet");
    let mut object = set("web", 2);
    object["apiVersion"] = json!("apps/v1");
    let stored = cluster::create(&native, object).await.unwrap();
    let before = space.ordinals_are(&[0, 1]).await;
    native.delete("web", &DeleteParams::orphan()).await.unwrap();
    cluster::wait("the end of the native set", || async {
        native.get_opt("web").await.ok()?.is_none().then_some(())
    })
    .await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let mut ours = set("web", 2);
    ours["spec"]["template"] = stored.data["spec"]["template"].clone();
    space.create(ours).await;
    space.rolled_out("web").await;
    let after = space.ordinals_are(&[0, 1]).await;
    assert_eq!(uids(&before), uids(&after));
    let revision = |pod: &Value| pod["metadata"]["labels"]["controller-revision-hash"].clone();
    assert_eq!(
        before.iter().map(revision).collect::<Vec<_>>(),
        after.iter().map(revision).collect::<Vec<_>>()
    );
    let status = space.set("web").await["status"].clone();
    assert_eq!(status["updateRevision"], revision(&after[0]), "the native set's revision");
    assert!(
        after
            .iter()
            .all(|pod| pod["metadata"]["ownerReferences"][0]["apiVersion"]
                == "apps.kruise.io/v1beta1")
    );
    // And it goes on from there.
    space.patch("web", use_image("3.2")).await;
    space.rolled_out("web").await;
    space.patch("web", use_image("3.1")).await;
    space.rolled_out("web").await;
    assert_eq!(space.set("web").await["status"]["updateRevision"], status["updateRevision"]);
    controller.stop().await;
}
