//! A third revision, or the way back, while an update is under way loses no change (`inplace.md` W7, §10.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{images, label, start};
use crate::begin::{Target, begin};
use crate::diff::{Change, MetadataChange};
use crate::progress::{Missing, Progress, progress};
use crate::refresh::{Context, refresh};
use crate::tests::cluster::Cluster;
use crate::tests::pod::{Builder, after, now, operations, put, stored_state, web_main};

/// At revision `web-a` by label, but waiting for `main:v2` and metadata of that revision to come.
fn in_grace(patch: &Value) -> Builder {
    web_main()
        .container("side", "reg.io/side:v1")
        .state("Updating")
        .condition("InPlaceUpdateReady", &json!({ "status": "False", "reason": "StartInPlaceUpdate" }))
        .updated(&json!({ "revision": "web-a", "updateTimestamp": "2026-01-02T03:04:00Z", "updateImages": true }))
        .graced(&json!({
            "revision": "web-a",
            "containerImages": { "main": "reg.io/main:v2" },
            "metaDataPatch": STANDARD.encode(patch.to_string()),
            "graceSeconds": 30,
        }))
}

/// `side` has been updated, `main:v2` is the next batch.
fn between_batches() -> Builder {
    web_main().container("side", "reg.io/side:v2").state("Updating").updated(&json!({
        "revision": "web-a",
        "updateTimestamp": "2026-01-02T03:04:00Z",
        "lastContainerStatuses": { "side": { "imageID": "x", "containerID": "containerd://side-0" } },
        "updateImages": true,
        "nextContainerImages": { "main": "reg.io/main:v2" },
        "preCheckBeforeNext": { "containersRequiredReady": ["side"] },
        "containerBatchesRecord": [{ "timestamp": "2026-01-02T03:04:00Z", "containers": ["side"] }],
    }))
}

#[test]
fn images_that_wait_are_part_of_the_new_plan() {
    for pod in [in_grace(&json!({})), between_batches()] {
        let writes = start(&pod, &images(&[("side", "reg.io/side:v3")]));
        assert_eq!(put(&writes, "/spec/containers/0/image"), Some(json!("reg.io/main:v2")));
        assert_eq!(put(&writes, "/spec/containers/1/image"), Some(json!("reg.io/side:v3")));
        assert_eq!(stored_state(&writes)["nextContainerImages"], Value::Null);
    }
}

#[test]
fn the_new_plan_supersedes_what_waits() {
    for pod in [in_grace(&json!({})), between_batches()] {
        let writes = start(&pod, &images(&[("main", "reg.io/main:v3")]));
        assert_eq!(put(&writes, "/spec/containers/0/image"), Some(json!("reg.io/main:v3")));
        assert_eq!(put(&writes, "/spec/containers/1/image"), None);
    }
}

#[test]
fn metadata_that_waits_is_part_of_the_new_plan() {
    let waiting = json!({ "metadata": {
        "labels": { "tier": "gold", "old": null },
        "annotations": { "note": "b" },
        "finalizers": ["a.io/b"],
    }});
    let change = Change {
        metadata: MetadataChange {
            annotations: [("note".to_owned(), Some("c".to_owned()))].into(),
            finalizers_removed: vec!["a.io/b".to_owned()],
            ..MetadataChange::default()
        },
        ..Change::default()
    };
    let writes = start(&in_grace(&waiting), &change);
    assert_eq!(put(&writes, "/metadata/labels/tier"), Some(json!("gold")));
    let removal = json!({ "op": "remove", "path": "/metadata/labels/old" });
    assert!(operations(&writes).contains(&removal));
    assert_eq!(put(&writes, "/metadata/annotations/note"), Some(json!("c")), "the newer one wins");
    assert_eq!(put(&writes, "/metadata/finalizers"), None, "taken back before it came");
}

/// §3.1: what OpenKruise keeps for later batches because env reads it.
#[test]
fn metadata_of_later_batches_is_part_of_the_new_plan() {
    let pod = between_batches().updated(&json!({
        "revision": "web-a",
        "nextContainerRefMetadata": { "main": { "labels": { "tier": "gold" } } },
    }));
    let writes = start(&pod, &images(&[("side", "reg.io/side:v3")]));
    assert_eq!(put(&writes, "/metadata/labels/tier"), Some(json!("gold")));
}

#[test]
fn a_new_grace_period_carries_what_the_old_one_had_not_done() {
    let waiting = json!({ "metadata": { "labels": { "tier": "gold" } } });
    let change = Change { metadata: label("zone", None), ..images(&[("side", "reg.io/side:v3")]) };
    let target = Target { revision: "web-c", grace_seconds: 5 };
    let writes = begin(&in_grace(&waiting).build(), &change, &target, now());
    let grace = put(&writes, "/metadata/annotations/apps.kruise.io~1inplace-update-grace").unwrap();
    let grace: Value = serde_json::from_str(grace.as_str().unwrap()).unwrap();
    assert_eq!(
        grace["containerImages"],
        json!({ "main": "reg.io/main:v2", "side": "reg.io/side:v3" })
    );
    let patch = STANDARD.decode(grace["metaDataPatch"].as_str().unwrap()).unwrap();
    let patch: Value = serde_json::from_slice(&patch).unwrap();
    assert_eq!(patch, json!({ "metadata": { "labels": { "tier": "gold", "zone": null } } }));
}

#[test]
fn the_way_back_during_grace_restarts_nobody_and_ends_at_once() {
    let mut cluster = Cluster::new(&in_grace(&json!({})));
    let change = images(&[("main", "reg.io/main:v1")]);
    let target = Target { revision: "web-0", grace_seconds: 30 };
    cluster.perform(&begin(&cluster.pod(), &change, &target, now()));
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    let context = Context { lifecycle: None, update_revision: "web-0" };
    cluster.perform(&refresh(&cluster.pod(), &context, after(1)).writes);
    let pod = cluster.pod();
    assert!(pod.condition("InPlaceUpdateReady").unwrap().status);
    assert_eq!(pod.meta.labels.get("lifecycle.apps.kruise.io/state"), Some("Normal"));
    assert_eq!(pod.annotations.get("apps.kruise.io/inplace-update-grace"), None);
    assert_eq!(&*pod.containers[0].image, "reg.io/main:v1");
}

/// The kubelet may see only the second change and keep the container: nothing may wait for a restart then. While the
/// container is down, it has noticed the first one.
#[test]
fn the_way_back_before_the_kubelet_acted_needs_no_restart() {
    let pod = web_main().spec("main", &json!({ "image": "reg.io/main:v2" })).updated(&json!({
        "revision": "web-a",
        "updateTimestamp": "2026-01-02T03:04:00Z",
        "lastContainerStatuses": {
            "main": { "imageID": "reg.io/main:v1@sha256:1", "containerID": "containerd://main-1" },
        },
        "updateImages": true,
        "containerBatchesRecord": [{ "timestamp": "2026-01-02T03:04:00Z", "containers": ["main"] }],
    }));
    assert_ne!(progress(&pod.build()), Progress::Complete);
    let mut cluster = Cluster::new(&pod);
    let change = images(&[("main", "reg.io/main:v1")]);
    let target = Target { revision: "web-0", grace_seconds: 0 };
    cluster.perform(&begin(&cluster.pod(), &change, &target, now()));
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    cluster.edit(|pod| {
        pod["status"]["containerStatuses"][0]["state"] =
            json!({ "waiting": { "reason": "ImagePullBackOff" } });
    });
    let missing =
        Missing::Restart { container: "main".to_owned(), waiting: "ImagePullBackOff".to_owned() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing));
}
