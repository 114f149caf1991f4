//! Rollouts on a real control plane (AC-3, AC-5, AC-7, AC-10…AC-13, W-4, K-1), with every gate on (AC-24).

use serde_json::{Value, json};

use crate::acceptance::{ALL_GATES, break_pod, set_with, use_image};
use crate::harness::{Controller, Space, set};
use crate::objects::{created, image, is_true, is_up, ordinal, ready_since, uids};

/// Ordinals that run an image.
fn at(pods: &[Value], tag: &str) -> Vec<i32> {
    let wanted = format!("registry.k8s.io/pause:{tag}");
    pods.iter().filter(|pod| image(pod) == wanted && is_up(pod)).map(ordinal).collect()
}

/// Waits until these ordinals, and no others, run an image.
async fn updated(space: &Space, tag: &str, wanted: &[i32], replicas: usize) -> Vec<Value> {
    let what = format!("pods {wanted:?} at {tag}");
    let pods = space.pods_are(&what, |pods| {
        pods.len() == replicas && pods.iter().all(is_up) && at(pods, tag) == wanted
    });
    pods.await
}

/// AC-2, and AC-10: a broken pod halts the rollout, which goes on when it is well again.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac2_an_ordered_update_goes_from_the_top_and_halts_while_a_pod_is_broken() {
    let space = Space::new("ac2").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    space.create(set("web", 3)).await;
    space.ordinals_are(&[0, 1, 2]).await;
    let watch = space.watch_available(3);
    space.patch("web", use_image("3.2")).await;
    space.rolled_out("web").await;
    let before = space.ordinals_are(&[0, 1, 2]).await;
    assert_eq!(watch.gone(), ["web-2", "web-1", "web-0"]);
    assert_eq!(watch.least(), 2, "one at a time");
    for pair in before.windows(2) {
        let (after, earlier) = (created(&pair[0]), ready_since(&pair[1]));
        assert!(after >= earlier, "each after the one above it is ready");
    }
    break_pod(&space, "web-1", "fail-pull").await;
    space.patch("web", use_image("3.3")).await;
    let status = space
        .status_is("web", "the halt", |status| {
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|c| c["type"] == "Progressing" && c["reason"] == "StuckRollout")
        })
        .await;
    assert_ne!(status["updateRevision"], status["currentRevision"]);
    assert_eq!(uids(&before), uids(&space.pods().await), "nobody else is touched");
    break_pod(&space, "web-1", "3.2").await;
    space.rolled_out("web").await;
    assert!(space.pods().await.iter().all(|pod| image(pod).ends_with(":3.3")));
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac10_a_rollout_ends_and_a_rollback_finds_the_earlier_revision() {
    let space = Space::new("ac10").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    space.create(set("web", 3)).await;
    space.rolled_out("web").await;
    let first = space.set("web").await["status"]["updateRevision"].clone();
    space.patch("web", use_image("fail-pull")).await;
    let status = space
        .status_is("web", "the broken rollout", |s| {
            s["updatedReplicas"] == 1 && s["readyReplicas"] == 2
        })
        .await;
    assert_eq!(status["currentRevision"], first);
    assert_ne!(status["updateRevision"], first);
    assert_eq!(space.pods().await.iter().map(ordinal).max(), Some(2));
    // The trap of kubernetes#67250: taken back, and still stuck, until the owner lets the controller move on.
    space.patch("web", use_image("3.1")).await;
    let why = space.status_is("web", "the stuck rollout", |status| {
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|c| c["type"] == "Progressing" && c["reason"] == "StuckRollout")
    });
    assert_eq!(why.await["updateRevision"], first, "the earlier name");
    assert_eq!(controller.holds("StuckRollout").await, 1);
    assert!(space.warning("web").await.contains("StuckRollout{pod: web-2"));
    let recover = json!({ "metadata": { "annotations": { "apps.kruise.io/recover-stuck-rollout": "true" } } });
    space.merge("web", recover).await;
    space.rolled_out("web").await;
    assert_eq!(space.set("web").await["status"]["currentRevision"], first);
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac11_a_partition_goes_down_step_by_step() {
    let space = Space::new("ac11").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let partition = |partition: i32| json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": partition } } } });
    let mut change = partition(4);
    json_patch::merge(&mut change, &json!({ "spec": { "podManagementPolicy": "Parallel" } }));
    space.create(set_with(4, &change)).await;
    space.ordinals_are(&[0, 1, 2, 3]).await;
    space.patch("web", use_image("3.2")).await;
    space
        .status_is("web", "the new revision", |s| s["updateRevision"] != s["currentRevision"])
        .await;
    updated(&space, "3.2", &[], 4).await;
    for (kept, wanted) in [(3, vec![3]), (1, vec![1, 2, 3])] {
        space.merge("web", partition(kept)).await;
        updated(&space, "3.2", &wanted, 4).await;
    }
    // Pods that are deleted in between come back at the revision of their rank (PO-10).
    for name in ["web-0", "web-2"] {
        let uid = space.pod(name).await.unwrap()["metadata"]["uid"].clone();
        space.delete("Pod", name).await;
        space
            .pods_are(&format!("a new {name}"), |pods| {
                let new =
                    |pod: &&Value| pod["metadata"]["name"] == name && pod["metadata"]["uid"] != uid;
                pods.iter().any(|pod| new(&pod) && is_up(pod))
            })
            .await;
    }
    updated(&space, "3.2", &[1, 2, 3], 4).await;
    space.merge("web", partition(0)).await;
    space.rolled_out("web").await;
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ru3_a_paused_set_scales_and_heals_and_moves_nobody() {
    let space = Space::new("ru3").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let paused = |paused: bool| json!({ "spec": { "updateStrategy": { "rollingUpdate": { "paused": paused } } } });
    let mut change = paused(true);
    json_patch::merge(&mut change, &json!({ "spec": { "podManagementPolicy": "Parallel" } }));
    space.create(set_with(3, &change)).await;
    space.rolled_out("web").await;
    let before = space.pods().await;
    space.patch("web", use_image("3.2")).await;
    let replace =
        json!({ "metadata": { "labels": { "apps.kruise.io/specified-delete": "true" } } });
    space.merge_pod("web-0", replace).await;
    // What appears meanwhile has the revision of its rank (7.5).
    space.set_scale("web", 4).await;
    updated(&space, "3.2", &[3], 4).await;
    space.delete("Pod", "web-1").await;
    let pods = updated(&space, "3.2", &[1, 3], 4).await;
    for at in [0, 2] {
        assert_eq!(uids(&before)[at], uids(&pods)[at], "web-{at}");
    }
    assert_eq!(controller.holds("Paused").await, 1);
    space.merge("web", paused(false)).await;
    space.rolled_out("web").await;
    let pods = updated(&space, "3.2", &[0, 1, 2, 3], 4).await;
    assert_ne!(uids(&before)[0], uids(&pods)[0], "the label is obeyed now");
    controller.stop().await;
}

/// Whatever users delete meanwhile, as many pods stay at the old revision as the partition says, and no ordinal appears
/// that is reserved or beyond the range.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac1_ac4_a_missing_pod_makes_no_room_for_another_update() {
    let space = Space::new("ac4").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let rolling = json!({ "partition": 2, "maxUnavailable": 4, "unorderedUpdate": {} });
    let change = json!({ "spec": {
        "podManagementPolicy": "Parallel", "reserveOrdinals": [1], "updateStrategy": { "rollingUpdate": rolling },
    } });
    space.create(set_with(4, &change)).await;
    space.ordinals_are(&[0, 2, 3, 4]).await;
    space.patch("web", use_image("3.2")).await;
    let settled = |pods: &[Value]| {
        assert!(pods.iter().all(|pod| [0, 2, 3, 4].contains(&ordinal(pod))), "AC-1: {pods:#?}");
        let new = pods.iter().filter(|pod| image(pod) == "registry.k8s.io/pause:3.2").count();
        assert!(new <= 2, "AC-4: {pods:#?}");
        pods.len() == 4 && pods.iter().all(is_up) && new == 2
    };
    space.delete("Pod", "web-0").await;
    space.pods_are("two pods at each image", settled).await;
    for name in ["web-2", "web-4"] {
        let uid = space.pod(name).await.unwrap()["metadata"]["uid"].clone();
        space.delete("Pod", name).await;
        let back = |pods: &[Value]| {
            let new =
                |pod: &Value| pod["metadata"]["name"] == name && pod["metadata"]["uid"] != uid;
            settled(pods) && pods.iter().any(new)
        };
        space.pods_are(&format!("a new {name}"), back).await;
    }
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac12_on_delete_waits_for_somebody_and_can_be_switched() {
    let space = Space::new("ac12").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    space
        .create(set_with(2, &json!({ "spec": { "updateStrategy": { "type": "OnDelete" } } })))
        .await;
    space.ordinals_are(&[0, 1]).await;
    space.patch("web", use_image("3.2")).await;
    space
        .status_is("web", "the new revision", |s| s["updateRevision"] != s["currentRevision"])
        .await;
    assert_eq!(controller.holds("OnDelete").await, 1);
    space.delete("Pod", "web-0").await;
    updated(&space, "3.2", &[0], 2).await;
    space.merge("web", json!({ "spec": { "updateStrategy": { "type": "RollingUpdate" } } })).await;
    updated(&space, "3.2", &[0, 1], 2).await;
    space
        .merge(
            "web",
            json!({ "spec": { "updateStrategy": { "type": "OnDelete", "rollingUpdate": null } } }),
        )
        .await;
    space.patch("web", use_image("3.1")).await;
    space.status_is("web", "the next revision", |s| s["updatedReplicas"] == 0).await;
    assert_eq!(at(&space.pods().await, "3.2"), [0, 1]);
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac5_ac13_an_in_place_update_waits_for_its_hook() {
    let space = Space::new("ac13").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let change = json!({ "spec": {
        "lifecycle": { "inPlaceUpdate": { "labelsHandler": { "hold": "on" } } },
        "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "InPlaceIfPossible" } },
        "template": {
            "metadata": { "labels": { "app": "web", "hold": "on" } },
            "spec": { "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }] },
        },
    } });
    space.create(set_with(1, &change)).await;
    let before = space.ordinals_are(&[0]).await;
    space.patch("web", use_image("3.2")).await;
    space
        .pods_are("the hook", |pods| {
            pods[0]["metadata"]["labels"]["lifecycle.apps.kruise.io/state"] == "PreparingUpdate"
        })
        .await;
    space.status_is("web", "the wait", |s| s["updateRevision"] != s["currentRevision"]).await;
    assert_eq!(controller.holds("HookPending").await, 1);
    assert_eq!(image(&space.pod("web-0").await.unwrap()), "registry.k8s.io/pause:3.1");
    space.merge_pod("web-0", json!({ "metadata": { "labels": { "hold": null } } })).await;
    space
        .pods_are("the update", |pods| {
            is_true(&pods[0], "InPlaceUpdateReady") && image(&pods[0]).ends_with(":3.2")
        })
        .await;
    space.merge_pod("web-0", json!({ "metadata": { "labels": { "hold": "on" } } })).await;
    space.rolled_out("web").await;
    let after = space
        .pods_are("the end of the hook", |pods| {
            pods[0]["metadata"]["labels"]["lifecycle.apps.kruise.io/state"] == "Normal"
        })
        .await;
    assert_eq!(uids(&after), uids(&before));
    controller.stop().await;
}

/// AC-5: a `preDelete` hook holds a re-creation, and no image changes before the grace period has ended.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac5_an_update_overtakes_neither_hook_nor_grace_period() {
    let space = Space::new("ac5").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let change = json!({ "spec": {
        "lifecycle": { "preDelete": { "labelsHandler": { "hold": "on" } } },
        "template": { "metadata": { "labels": { "app": "web", "hold": "on" } } },
    } });
    space.create(set_with(1, &change)).await;
    let before = space.ordinals_are(&[0]).await;
    space.patch("web", use_image("3.2")).await;
    space
        .pods_are("the hook", |pods| {
            pods[0]["metadata"]["labels"]["lifecycle.apps.kruise.io/state"] == "PreparingDelete"
        })
        .await;
    space.status_is("web", "the wait", |s| s["updateRevision"] != s["currentRevision"]).await;
    assert_eq!(controller.holds("HookPending").await, 1);
    let pod = space.pod("web-0").await.unwrap();
    assert_eq!(pod["metadata"]["uid"], before[0]["metadata"]["uid"]);
    assert!(pod["metadata"]["deletionTimestamp"].is_null());
    space.merge_pod("web-0", json!({ "metadata": { "labels": { "hold": null } } })).await;
    space
        .pods_are("the new pod", |pods| {
            pods.iter().all(is_up) && uids(pods) != uids(&before) && at(pods, "3.2") == [0]
        })
        .await;
    // Who is not asked any more: the next update is in place, after two seconds.
    let graced = json!({ "spec": {
        "lifecycle": null,
        "updateStrategy": { "rollingUpdate": {
            "podUpdatePolicy": "InPlaceIfPossible", "inPlaceUpdateStrategy": { "gracePeriodSeconds": 2 },
        } },
        "template": { "spec": { "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }] } },
    } });
    space.merge("web", graced).await;
    space.rolled_out("web").await;
    space.patch("web", use_image("3.1")).await;
    space
        .pods_are("the grace period", |pods| {
            pods[0]["metadata"]["annotations"]["apps.kruise.io/inplace-update-grace"].is_string()
                && at(pods, "3.1").is_empty()
        })
        .await;
    space.rolled_out("web").await;
    let pod = space.pod("web-0").await.unwrap();
    let state = &pod["metadata"]["annotations"]["apps.kruise.io/inplace-update-state"];
    let state: Value = serde_json::from_str(state.as_str().unwrap()).unwrap();
    let time = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let changed = time(&state["containerBatchesRecord"][0]["timestamp"]);
    let began = time(&state["updateTimestamp"]);
    assert!(changed.duration_since(began).as_secs() >= 2, "{state}");
    controller.stop().await;
}

/// AC-3: what is down anyway, what an update takes down and what is deleted by label count together.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac3_updates_and_deletions_by_label_share_one_budget() {
    let space = Space::new("ac3-shared").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let change = json!({ "spec": {
        "podManagementPolicy": "Parallel", "updateStrategy": { "rollingUpdate": { "maxUnavailable": 2 } },
    } });
    space.create(set_with(5, &change)).await;
    let before = space.ordinals_are(&[0, 1, 2, 3, 4]).await;
    break_pod(&space, "web-0", "fail-pull").await;
    let watch = space.watch_available(4);
    for name in ["web-1", "web-2"] {
        let label = json!({ "metadata": { "labels": { "apps.kruise.io/specified-delete": "" } } });
        space.merge_pod(name, label).await;
    }
    space.patch("web", use_image("3.2")).await;
    space.rolled_out("web").await;
    let after = space.ordinals_are(&[0, 1, 2, 3, 4]).await;
    assert_eq!(at(&after, "3.2"), [0, 1, 2, 3, 4]);
    assert!(uids(&before).iter().zip(uids(&after)).all(|(old, new)| *old != new));
    assert!(watch.least() >= 3, "two of five at most");
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac3_labelled_pods_are_replaced_within_the_budget() {
    let space = Space::new("ac3").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let change = json!({ "spec": { "podManagementPolicy": "Parallel" } });
    space.create(set_with(3, &change)).await;
    let before = space.ordinals_are(&[0, 1, 2]).await;
    let watch = space.watch_available(3);
    for name in ["web-0", "web-1", "web-2"] {
        let label = json!({ "metadata": { "labels": { "apps.kruise.io/specified-delete": "" } } });
        space.merge_pod(name, label).await;
    }
    let after = space
        .pods_are("three new pods", |pods| {
            let new =
                |(old, new): (&Value, &Value)| old["metadata"]["uid"] != new["metadata"]["uid"];
            pods.len() == 3 && pods.iter().all(is_up) && before.iter().zip(pods).all(new)
        })
        .await;
    assert!(
        after
            .iter()
            .all(|pod| pod["metadata"]["labels"].get("apps.kruise.io/specified-delete").is_none())
    );
    assert!(watch.least() >= 2, "one at a time (SD-7)");
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn ac7_a_steady_set_is_left_alone_by_a_controller_that_starts() {
    let space = Space::new("ac7").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    // With everything that could have to be kept up: gates, hooks, claims and their owners, an update in the past.
    let hook = json!({ "labelsHandler": { "hold": "on" }, "markPodNotReady": true });
    let change = json!({ "spec": {
        "lifecycle": { "preDelete": hook, "inPlaceUpdate": { "labelsHandler": { "other": "on" } } },
        "persistentVolumeClaimRetentionPolicy": { "whenScaled": "Delete", "whenDeleted": "Delete" },
        "podManagementPolicy": "Parallel",
        "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": "100%" } },
        "volumeClaimTemplates": [{
            "metadata": { "name": "data" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        }],
        "template": {
            "metadata": { "labels": { "app": "web", "hold": "on" } },
            "spec": { "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }] },
        },
    } });
    space.create(set_with(2, &change)).await;
    space.rolled_out("web").await;
    space.patch("web", use_image("3.2")).await;
    space.rolled_out("web").await;
    for name in ["web-0", "web-1"] {
        space.merge_pod(name, json!({ "metadata": { "labels": { "other": "on" } } })).await;
    }
    let normal = |pod: &Value| {
        is_up(pod) && pod["metadata"]["labels"]["lifecycle.apps.kruise.io/state"] == "Normal"
    };
    space.pods_are("pods that are as they were", |pods| pods.iter().all(normal)).await;
    space
        .status_is("web", "the end", |status| {
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|c| c["type"] == "Progressing" && c["reason"] == "Complete")
        })
        .await;
    controller.stop().await;
    let controller = Controller::start(&space, ALL_GATES).await;
    controller.turned().await;
    assert_eq!(controller.all_writes().await, 0);
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn k1_an_ordered_update_takes_down_as_many_as_its_owner_allows() {
    let space = Space::new("k1").await;
    let controller = Controller::start(&space, ALL_GATES).await;
    let more =
        json!({ "metadata": { "annotations": { "apps.kruise.io/ordered-max-unavailable": "2" } } });
    space.create(set_with(4, &more)).await;
    space.ordinals_are(&[0, 1, 2, 3]).await;
    let watch = space.watch_available(4);
    space.patch("web", use_image("3.2")).await;
    space.rolled_out("web").await;
    assert_eq!(watch.least(), 2);
    controller.stop().await;
}

/// X-1, §18: with the gate on and the kind not served the controller starts and works; nothing is watched that is not there.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_kind_that_is_not_served_stops_nobody() {
    let space = Space::new("nojobs").await;
    let gate = ["--feature-gates=PreDownloadImageForInPlaceUpdate=true"];
    let controller = Controller::start(&space, &gate).await;
    space.create(set("web", 1)).await;
    space.ordinals_are(&[0]).await;
    controller.stop().await;
}
