//! What becomes of claims over a whole life of a set: none is deleted or made smaller by the controller (AC-6), and they
//! grow along with other changes (AC-22), with every gate on (AC-24).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use kruise_api::shared::quantity::Quantity;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};

use crate::acceptance::{ALL_GATES, set_with};
use crate::audit;
use crate::harness::{Controller, Space};
use crate::objects::{image, is_up, uids};
use crate::volumes::{size, template};

/// Watches what claims ask for.
struct Requests {
    /// Claims that asked for less than before.
    shrunk: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Requests {
    fn watch(space: &Space) -> Self {
        let shrunk: Arc<Mutex<Vec<String>>> = Arc::default();
        let (api, found) = (space.api("", "v1", "PersistentVolumeClaim"), shrunk.clone());
        let task = tokio::spawn(async move {
            let mut most: BTreeMap<String, Quantity> = BTreeMap::new();
            let claims =
                watcher(api, watcher::Config::default()).default_backoff().applied_objects();
            let mut claims = std::pin::pin!(claims);
            while let Ok(Some(claim)) = claims.try_next().await {
                let asked = claim.data["spec"]["resources"]["requests"]["storage"].as_str();
                let asked = Quantity::parse(asked.unwrap_or_default()).unwrap();
                let before =
                    most.insert(claim.metadata.uid.clone().unwrap_or_default(), asked.clone());
                if before.is_some_and(|before| before > asked) {
                    found.lock().unwrap().push(format!("{:?}", claim.metadata.name));
                }
            }
        });
        Self { shrunk, task }
    }

    /// Ends the watch: claims that ever shrank.
    fn shrunk(self) -> Vec<String> {
        self.task.abort();
        self.shrunk.lock().unwrap().clone()
    }
}

fn sizes(claims: &[Value]) -> Vec<&str> {
    claims.iter().map(size).collect()
}

/// Waits until a claim has asked for that much.
async fn asks(space: &Space, name: &str, wanted: &str) {
    let what = format!("{name} to ask for {wanted}");
    crate::harness::wait(&what, String::new, || async {
        let claims = space.claims().await;
        let claim = claims.iter().find(|claim| claim["metadata"]["name"] == name)?;
        (size(claim) == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac6_no_claim_is_deleted_or_shrunk_by_the_controller() {
    let space = Space::new("ac6").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let requests = Requests::watch(&space);
    let class = space.class("grows", true).await;
    let templates = |size: &str| json!({ "spec": { "volumeClaimTemplates": [template("data", &class, size)] } });
    let retain = |scaled: &str, deleted: &str| json!({ "spec": { "persistentVolumeClaimRetentionPolicy": { "whenScaled": scaled, "whenDeleted": deleted } } });
    let mut change = templates("1Gi");
    json_patch::merge(&mut change, &retain("Retain", "Retain"));
    json_patch::merge(
        &mut change,
        &json!({ "spec": {
            "podManagementPolicy": "Parallel",
            "volumeClaimUpdateStrategy": { "type": "OnPodRollingUpdate" },
        } }),
    );
    space.create(set_with(3, &change)).await;
    space.ordinals_are(&[0, 1, 2]).await;
    let all = ["data-web-0", "data-web-1", "data-web-2"];
    let first = space.claims_are(&all).await;
    // Kept by policy, and used again.
    space.merge("web", json!({ "spec": { "replicas": 1 } })).await;
    space.ordinals_are(&[0]).await;
    space.merge("web", json!({ "spec": { "replicas": 3 } })).await;
    space.ordinals_are(&[0, 1, 2]).await;
    assert_eq!(uids(&first), uids(&space.claims_are(&all).await));
    // Grown, and asked back: what is bigger fits.
    space.merge("web", templates("2Gi")).await;
    for name in ["data-web-2", "data-web-1", "data-web-0"] {
        asks(&space, name, "2Gi").await;
        space.grow(name).await;
    }
    space
        .status_is("web", "all have grown", |s| {
            s["volumeClaims"][0]["compatibleReadyReplicas"] == 3
        })
        .await;
    space.merge("web", templates("1Gi")).await;
    space
        .status_is("web", "smaller templates", |s| s["volumeClaims"][0]["compatibleReplicas"] == 3)
        .await;
    // Given away by policy: the garbage collector deletes them, by what the controller wrote on them.
    space.merge("web", retain("Delete", "Delete")).await;
    space.merge("web", json!({ "spec": { "reserveOrdinals": [1], "replicas": 2 } })).await;
    space.ordinals_are(&[0, 2]).await;
    let kept = space.claims_are(&["data-web-0", "data-web-2"]).await;
    assert_eq!(sizes(&kept), ["2Gi", "2Gi"]);
    space.delete_set("web").await;
    space.claims_are(&[]).await;
    if let Some(calls) = audit::writes(&space, "persistentvolumeclaims") {
        let by_us = calls.iter().filter(|call| call.ours);
        let verbs: std::collections::BTreeSet<&str> =
            by_us.map(|call| call.what.as_str()).collect();
        let known = ["create persistentvolumeclaims", "patch persistentvolumeclaims"];
        assert!(verbs.into_iter().eq(known), "{calls:?}");
        let deleted = calls.iter().filter(|call| call.what == "delete persistentvolumeclaims");
        assert!(deleted.count() >= 3, "by others: {calls:?}");
    }
    assert_eq!(requests.shrunk(), [""; 0]);
    controller.stop().await;
}

/// A set of two whose claims `data` follow their template.
fn growing(class: &str, policy: &str) -> Value {
    set_with(
        2,
        &json!({ "spec": {
            "podManagementPolicy": "Parallel",
            "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": policy } },
            "volumeClaimUpdateStrategy": { "type": "OnPodRollingUpdate" },
            "volumeClaimTemplates": [template("data", class, "1Gi")],
            "template": { "spec": { "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }] } },
        } }),
    )
}

/// A change of image and size at once.
fn both(class: &str, tag: &str, size: &str) -> Value {
    let container = json!({ "name": "app", "image": format!("registry.k8s.io/pause:{tag}") });
    json!({ "spec": {
        "template": { "spec": { "containers": [container] } },
        "volumeClaimTemplates": [template("data", class, size)],
    } })
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac22_claims_grow_before_their_pods_are_updated() {
    for (policy, in_place) in [("InPlaceIfPossible", true), ("ReCreate", false)] {
        let space = Space::new(&format!("ac22-{}", policy.to_lowercase())).await;
        let controller = Controller::start(&space, ALL_GATES).await;
        let class = space.class("grows", true).await;
        space.create(growing(&class, policy)).await;
        let before = space.ordinals_are(&[0, 1]).await;
        space.merge("web", both(&class, "3.2", "2Gi")).await;
        for (name, rank) in [("data-web-1", 1), ("data-web-0", 0)] {
            asks(&space, name, "2Gi").await;
            assert!(image(&space.pods().await[rank]).ends_with(":3.1"), "{name} has not grown yet");
            space.grow(name).await;
        }
        space.rolled_out("web").await;
        let after = space.ordinals_are(&[0, 1]).await;
        assert!(after.iter().all(|pod| image(pod).ends_with(":3.2")));
        let same = uids(&before).iter().zip(uids(&after)).filter(|(a, b)| **a == *b).count();
        assert_eq!(same, if in_place { 2 } else { 0 }, "{policy}");
        assert_eq!(sizes(&space.claims().await), ["2Gi", "2Gi"]);
        controller.stop().await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac22_a_resize_is_left_off_and_a_pod_replaced_in_its_midst() {
    let space = Space::new("ac22-midway").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let class = space.class("grows", true).await;
    space.create(growing(&class, "InPlaceIfPossible")).await;
    let before = space.ordinals_are(&[0, 1]).await;
    space.merge("web", both(&class, "3.1", "2Gi")).await;
    asks(&space, "data-web-1", "2Gi").await;
    // A pod that is to be replaced waits for the budget that the claim of the other one takes up (SD-7).
    let label = json!({ "metadata": { "labels": { "apps.kruise.io/specified-delete": "" } } });
    space.merge_pod("web-0", label).await;
    space
        .status_is("web", "the wait", |status| {
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            let message = conditions.iter().find(|c| c["type"] == "Progressing");
            message
                .is_some_and(|c| c["message"].as_str().unwrap_or_default().contains("BudgetSpent"))
        })
        .await;
    assert_eq!(uids(&before), uids(&space.pods().await));
    space.grow("data-web-1").await;
    let uid = before[0]["metadata"]["uid"].clone();
    asks(&space, "data-web-0", "2Gi").await;
    space.grow("data-web-0").await;
    space
        .pods_are("a new web-0", |pods| {
            pods.len() == 2 && pods.iter().all(is_up) && pods[0]["metadata"]["uid"] != uid
        })
        .await;
    space
        .status_is("web", "both have grown", |s| {
            s["volumeClaims"][0]["compatibleReadyReplicas"] == 2
        })
        .await;
    // The strategy is switched in the midst: no further claim grows, the pods go on (RS-11).
    space.merge("web", both(&class, "3.2", "3Gi")).await;
    asks(&space, "data-web-1", "3Gi").await;
    space
        .merge("web", json!({ "spec": { "volumeClaimUpdateStrategy": { "type": "OnDelete" } } }))
        .await;
    space.rolled_out("web").await;
    assert_eq!(sizes(&space.claims().await), ["2Gi", "3Gi"]);
    let pods = space.ordinals_are(&[0, 1]).await;
    assert!(pods.iter().all(|pod| image(pod).ends_with(":3.2")));
    controller.stop().await;
}
