//! Claims on a real control plane, which provisions volumes by itself (AC-6, AC-20…AC-22), with every gate on (AC-24).

use serde_json::{Value, json};

use crate::acceptance::{ALL_GATES, set_with};
use crate::harness::{Controller, Space};
use crate::objects::{is_up, uids};

/// A claim template.
pub fn template(name: &str, class: &str, size: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": { "requests": { "storage": size } },
        },
    })
}

/// What a claim asks for.
pub fn size(claim: &Value) -> &str {
    claim["spec"]["resources"]["requests"]["storage"].as_str().unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac20_claims_go_with_their_pods_and_their_set_where_that_is_asked_for() {
    let space = Space::new("ac20").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let class = space.class("standard", false).await;
    let change = json!({ "spec": {
        "podManagementPolicy": "Parallel",
        "persistentVolumeClaimRetentionPolicy": { "whenScaled": "Delete", "whenDeleted": "Delete" },
        "volumeClaimTemplates": [template("data", &class, "1Gi")],
    } });
    space.create(set_with(3, &change)).await;
    space.ordinals_are(&[0, 1, 2]).await;
    let before = space.claims_are(&["data-web-0", "data-web-1", "data-web-2"]).await;
    space.merge("web", json!({ "spec": { "replicas": 1 } })).await;
    space.claims_are(&["data-web-0"]).await;
    space.merge("web", json!({ "spec": { "replicas": 2 } })).await;
    space.ordinals_are(&[0, 1]).await;
    let after = space.claims_are(&["data-web-0", "data-web-1"]).await;
    let uid = |claim: &Value| claim["metadata"]["uid"].clone();
    assert_eq!(uid(&before[0]), uid(&after[0]));
    assert_ne!(uid(&before[1]), uid(&after[1]), "a fresh one");
    // A range that is reserved takes its claims along (PV-12).
    space.merge("web", json!({ "spec": { "reserveOrdinals": ["0-1"] } })).await;
    space.claims_are(&["data-web-2", "data-web-3"]).await;
    // A pod that was let go and taken again has claims that go with the set (PV-15).
    space.ordinals_are(&[2, 3]).await;
    space.merge_pod("web-2", json!({ "metadata": { "ownerReferences": null } })).await;
    let owned = |pod: &Value| pod["metadata"]["ownerReferences"][0]["controller"] == true;
    space.pods_are("the adoption", |pods| pods.iter().all(owned)).await;
    space.delete_set("web").await;
    space.claims_are(&[]).await;
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac21_claim_and_pod_deleted_together_come_back_together() {
    let space = Space::new("ac21").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let class = space.class("standard", false).await;
    let change = json!({ "spec": { "volumeClaimTemplates": [template("data", &class, "1Gi")] } });
    space.create(set_with(2, &change)).await;
    let pods = space.ordinals_are(&[0, 1]).await;
    let claims = space.claims_are(&["data-web-0", "data-web-1"]).await;
    space.delete("PersistentVolumeClaim", "data-web-1").await;
    space.delete("Pod", "web-1").await;
    let uid = pods[1]["metadata"]["uid"].clone();
    space
        .pods_are("a new web-1", |pods| {
            pods.len() == 2 && pods.iter().all(is_up) && pods[1]["metadata"]["uid"] != uid
        })
        .await;
    let after = space.claims_are(&["data-web-0", "data-web-1"]).await;
    assert_ne!(claims[1]["metadata"]["uid"], after[1]["metadata"]["uid"]);
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac22_claims_grow_one_after_the_other_and_never_shrink() {
    let space = Space::new("ac22").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let (grows, fixed) = (space.class("grows", true).await, space.class("fixed", false).await);
    let templates = |data: &str, logs: &str| {
        json!([template("data", &grows, data), template("logs", &fixed, logs)])
    };
    let change = json!({ "spec": {
        "podManagementPolicy": "Parallel",
        "volumeClaimUpdateStrategy": { "type": "OnPodRollingUpdate" },
        "volumeClaimTemplates": templates("1Gi", "1Gi"),
    } });
    space.create(set_with(2, &change)).await;
    let before = space.ordinals_are(&[0, 1]).await;
    space
        .merge("web", json!({ "spec": { "volumeClaimTemplates": templates("2Gi", "1Gi") } }))
        .await;
    let sizes = |claims: &[Value]| claims.iter().map(|c| size(c).to_owned()).collect::<Vec<_>>();
    // One at a time, from the top, and the next only when the volume has grown.
    let status = space
        .status_is("web", "the first resize", |s| s["volumeClaims"][0]["compatibleReplicas"] == 1);
    assert_eq!(status.await["volumeClaims"][0]["compatibleReadyReplicas"], 0);
    assert_eq!(controller.holds("ClaimResizing").await, 1);
    assert_eq!(sizes(&space.claims().await), ["1Gi", "2Gi", "1Gi", "1Gi"]);
    space.grow("data-web-1").await;
    space.status_is("web", "the second", |s| s["volumeClaims"][0]["compatibleReplicas"] == 2).await;
    space.grow("data-web-0").await;
    space
        .status_is("web", "the end", |s| s["volumeClaims"][0]["compatibleReadyReplicas"] == 2)
        .await;
    let after = space.pods().await;
    assert_eq!(uids(&before), uids(&after), "no pod was touched (W-12)");
    // What cannot grow is said; what was asked back shrinks nothing.
    space
        .merge("web", json!({ "spec": { "volumeClaimTemplates": templates("1Gi", "2Gi") } }))
        .await;
    space
        .status_is("web", "the refusal", |status| {
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|c| c["type"] == "Progressing" && c["reason"] == "NotExpandable")
        })
        .await;
    assert_eq!(sizes(&space.claims().await), ["2Gi", "2Gi", "1Gi", "1Gi"]);
    controller.stop().await;
}
