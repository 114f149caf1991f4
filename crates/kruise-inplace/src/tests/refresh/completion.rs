//! After the restart: the next batch, then the pod back into traffic, bound to what was verified (`inplace.md` §7, §9, §22).

use serde_json::{Value, json};

use super::{at, condition, hooks, writes};
use crate::progress::Missing;
use crate::refresh::{Refresh, Waiting};
use crate::tests::cluster::Cluster;
use crate::tests::pod::{Builder, NOW, now, operations, put, sent, stored_state, web_main};

/// What somebody else does to the pod.
type Change = fn(&mut Value);

fn state() -> Value {
    json!({
        "revision": "web-a",
        "updateTimestamp": "2026-01-02T03:04:00Z",
        "lastContainerStatuses": {
            "main": { "imageID": "reg.io/main:v0@sha256:1", "containerID": "containerd://main-0" },
        },
        "updateImages": true,
        "containerBatchesRecord": [{ "timestamp": "2026-01-02T03:04:00Z", "containers": ["main"] }],
    })
}

/// `main` was restarted with its new image; nobody has looked since.
fn restarted() -> Builder {
    web_main()
        .state("Updating")
        .condition(
            "InPlaceUpdateReady",
            &json!({ "status": "False", "reason": "StartInPlaceUpdate" }),
        )
        .updated(&state())
}

/// As [`restarted`], `side` waits for its turn.
fn side_is_next() -> Builder {
    let mut state = state();
    state["nextContainerImages"] = json!({ "side": "reg.io/side:v2" });
    state["preCheckBeforeNext"] = json!({ "containersRequiredReady": ["main"] });
    restarted().container("side", "reg.io/side:v1").updated(&state)
}

#[test]
fn the_way_back_into_traffic_is_one_write_bound_to_what_was_seen() {
    assert_eq!(
        writes(&restarted()),
        json!([{ "on": "pods/status", "json": [
            { "op": "test", "path": "/metadata/uid", "value": "uid-web-0" },
            { "op": "test", "path": "/metadata/annotations/apps.kruise.io~1inplace-update-state", "value": state().to_string() },
            { "op": "test", "path": "/spec/containers/0/name", "value": "main" },
            { "op": "test", "path": "/spec/containers/0/image", "value": "reg.io/main:v1" },
            { "op": "test", "path": "/status/containerStatuses/0/containerID", "value": "containerd://main-1" },
            { "op": "test", "path": "/status/conditions/0/type", "value": "InPlaceUpdateReady" },
            { "op": "test", "path": "/status/conditions/0/message", "value": null },
            { "op": "replace", "path": "/status/conditions/0", "value": condition("InPlaceUpdateReady") },
            { "op": "test", "path": "/metadata/labels/lifecycle.apps.kruise.io~1state", "value": "Updating" },
            { "op": "replace", "path": "/metadata/labels/lifecycle.apps.kruise.io~1state", "value": "Normal" },
            { "op": "add", "path": "/metadata/annotations/lifecycle.apps.kruise.io~1timestamp", "value": NOW },
        ]}])
    );
}

/// W21: what is back in traffic says when its update began and what it changed; a new pod's first True ends none.
#[test]
fn the_end_of_an_update_says_how_long_it_took() {
    let finished = at(&restarted(), None, now()).finished.unwrap();
    assert_eq!(finished.since.to_string(), "2026-01-02T03:04:00Z");
    assert_eq!(finished.changed, "image");
    let alone = json!({ "revision": "web-a", "updateTimestamp": "2026-01-02T03:04:00Z" });
    let finished = at(&restarted().updated(&alone), None, now()).finished.unwrap();
    assert_eq!(finished.changed, "metadata");
    assert_eq!(at(&side_is_next(), None, now()).finished, None, "a batch is not the end");
    let fell = |at: &str| json!({ "status": "False", "lastTransitionTime": at });
    let fell = |at: &str| restarted().condition("InPlaceUpdateReady", &fell(at));
    assert!(at(&fell("2026-01-02T03:04:00Z"), None, now()).finished.is_some());
    let refused = at(&fell("2026-01-02T03:04:01Z"), None, now());
    assert_eq!(refused.finished, None, "another update began after the recorded one");
    let new = web_main().state("Normal");
    assert_eq!(at(&new, None, now()).finished, None);
}

/// kruise#2274: nothing is marked ready that has changed since it was looked at.
#[test]
fn a_late_write_fails_instead_of_marking_the_pod_ready() {
    let late = at(&restarted(), None, now()).writes;
    let changes: [(&str, Change); 5] = [
        ("a second update", |pod| {
            pod["metadata"]["annotations"]["apps.kruise.io/inplace-update-state"] = json!("{}");
        }),
        ("another image", |pod| pod["spec"]["containers"][0]["image"] = json!("reg.io/main:v9")),
        ("the container died", |pod| {
            pod["status"]["containerStatuses"][0]["containerID"] = json!("containerd://main-2");
        }),
        ("another pod of that name", |pod| pod["metadata"]["uid"] = json!("uid-other")),
        ("conditions in another order", |pod| {
            pod["status"]["conditions"].as_array_mut().unwrap().reverse();
        }),
    ];
    for (sentence, change) in changes {
        let mut cluster = Cluster::new(&restarted());
        cluster.edit(change);
        assert!(cluster.world.perform(&late[0]).is_err(), "{sentence}");
    }
    let mut cluster = Cluster::new(&restarted());
    cluster.edit(|pod| pod["status"]["containerStatuses"][0]["restartCount"] = json!(1));
    cluster.perform(&late);
    assert!(cluster.pod().condition("InPlaceUpdateReady").unwrap().status, "others may write");
}

/// Not everything that plays a kubelet gives containers an ID.
#[test]
fn a_container_without_an_id_does_not_keep_the_pod_out_of_traffic() {
    let mut old = state();
    old["lastContainerStatuses"]["main"]["containerID"] = json!("");
    let pod = restarted().updated(&old).status("main", &json!({ "containerID": null }));
    let mut cluster = Cluster::new(&pod);
    let writes = at(&pod, None, now()).writes;
    cluster.perform(&writes);
    assert!(cluster.pod().condition("InPlaceUpdateReady").unwrap().status);
    let mut cluster = Cluster::new(&pod);
    cluster.edit(|pod| pod["status"]["containerStatuses"][0]["containerID"] = json!("c://2"));
    assert!(cluster.world.perform(&writes[0]).is_err(), "another container");
}

#[test]
fn a_container_that_has_not_restarted_is_waited_for() {
    let before = json!({
        "containerID": "containerd://main-0", "image": "reg.io/main:v0", "imageID": "reg.io/main:v0@sha256:1",
    });
    let pod = restarted().status("main", &before);
    let missing = Missing::Restart { container: "main".to_owned(), waiting: String::new() };
    let wait = Refresh { waiting: Some(Waiting::Incomplete(missing)), ..Refresh::default() };
    assert_eq!(at(&pod, None, now()), wait);
}

/// §22.1: the hook's blocker goes with the same write, and only the hook's (§12.3).
#[test]
fn the_end_of_a_hooked_update_is_one_write() {
    let other =
        r#"[{"userAgent":"Lifecycle","key":"preUpdateHook"},{"userAgent":"Other","key":"x"}]"#;
    let blocked = json!({ "status": "False", "message": other });
    let pod = restarted().gate("KruisePodReady").condition("KruisePodReady", &blocked);
    let writes = at(&pod, Some(&hooks()), now()).writes;
    assert_eq!((writes.len(), writes[0].subresource()), (1, "status"));
    let path = "/metadata/labels/lifecycle.apps.kruise.io~1state";
    assert_eq!(put(&writes, path), Some(json!("Updated")));
    assert_eq!(put(&writes, "/status/conditions/0"), Some(condition("InPlaceUpdateReady")));
    let left = put(&writes, "/status/conditions/3").unwrap();
    assert_eq!(left["message"], r#"[{"userAgent":"Other","key":"x"}]"#);
    assert_eq!(left["status"], "False");
    let mut cluster = Cluster::new(&pod);
    cluster.edit(|pod| pod["status"]["conditions"][3]["message"] = json!("[]"));
    assert!(cluster.world.perform(&writes[0]).is_err(), "a list that others changed is read again");
    let pod = restarted().gate("KruisePodReady").without_condition("KruisePodReady");
    let writes = at(&pod, None, now()).writes;
    assert_eq!(put(&writes, "/status/conditions/-"), Some(condition("KruisePodReady")));
}

/// Two conditions into a list that is not there: the second must not replace the first.
#[test]
fn a_status_without_conditions_gets_them_all() {
    let pod =
        restarted().gate("KruisePodReady").edit(|pod| pod["status"]["conditions"] = Value::Null);
    let writes = at(&pod, None, now()).writes;
    let mut cluster = Cluster::new(&pod);
    cluster.perform(&writes);
    let kinds: Vec<_> = cluster.pod().conditions.iter().map(|known| known.kind.clone()).collect();
    assert_eq!(kinds, ["InPlaceUpdateReady".into(), "KruisePodReady".into()]);
    let mut cluster = Cluster::new(&pod);
    cluster
        .edit(|pod| pod["status"]["conditions"] = json!([{ "type": "Ready", "status": "True" }]));
    assert!(cluster.world.perform(&writes[0]).is_err(), "a list that came meanwhile stays");
}

/// IP-7: without the gate only the state moves, on the pod itself.
#[test]
fn a_pod_without_the_gate_gets_its_state_only() {
    let writes = writes(&restarted().without_gates());
    assert_eq!(writes[0]["on"], "pods");
    assert_eq!(writes.as_array().unwrap().len(), 1);
    assert!(!writes.to_string().contains("/status/conditions"), "{writes}");
}

#[test]
fn the_next_batch_starts_when_the_last_one_is_ready() {
    let wait =
        Refresh { waiting: Some(Waiting::Incomplete(Missing::NextBatch)), ..Refresh::default() };
    let unready = side_is_next().status("main", &json!({ "ready": false }));
    assert_eq!(at(&unready, None, now()), wait);
    let text =
        side_is_next().value()["metadata"]["annotations"]["apps.kruise.io/inplace-update-state"]
            .clone();
    let done = at(&side_is_next(), None, now()).writes;
    let first = json!({ "op": "test", "path": "/metadata/annotations/apps.kruise.io~1inplace-update-state", "value": text });
    assert_eq!(sent(&done)[0]["on"], "pods", "the gate is false already");
    assert_eq!((done.len(), &operations(&done)[1]), (1, &first));
    assert_eq!(put(&done, "/spec/containers/1/image"), Some(json!("reg.io/side:v2")));
    let mut next = state();
    next["lastContainerStatuses"]["side"] = json!({ "imageID": "reg.io/side:v1@sha256:1", "containerID": "containerd://side-1", "madeFrom": "reg.io/side:v1" });
    let second = json!({ "timestamp": NOW, "containers": ["side"] });
    next["containerBatchesRecord"].as_array_mut().unwrap().push(second);
    assert_eq!(stored_state(&done), next);
}

/// An image that somebody set by hand restarts nobody, so it must not be waited for.
#[test]
fn a_batch_whose_images_are_there_is_over_at_once() {
    let pod = side_is_next().spec("side", &json!({ "image": "reg.io/side:v2" }));
    let mut cluster = Cluster::new(&pod);
    cluster.perform(&at(&pod, None, now()).writes);
    let context = crate::refresh::Context { lifecycle: None, update_revision: "web-a" };
    cluster.perform(&crate::refresh::refresh(&cluster.pod(), &context, now()).writes);
    assert!(cluster.pod().condition("InPlaceUpdateReady").unwrap().status);
}

/// OpenKruise splits an update whose metadata env reads; what it left for later batches comes with the next one (§9.3).
#[test]
fn metadata_of_later_batches_that_openkruise_left_is_brought() {
    let mut left = state();
    left["nextContainerRefMetadata"] = json!({
        "side": { "creationTimestamp": null, "labels": { "tier": "gold" }, "annotations": { "note": "1" } },
    });
    let done = at(&restarted().updated(&left), None, now()).writes;
    assert_eq!(put(&done, "/metadata/labels/tier"), Some(json!("gold")));
    assert_eq!(put(&done, "/metadata/annotations/note"), Some(json!("1")));
    assert_eq!(stored_state(&done)["nextContainerRefMetadata"], Value::Null);
}

/// W11: a batch is cut from the state that was read; if that is old, the write fails.
#[test]
fn a_batch_from_an_old_state_fails() {
    let late = at(&side_is_next(), None, now()).writes;
    let mut cluster = Cluster::new(&side_is_next());
    cluster.perform(&late);
    assert!(cluster.world.perform(&late[0]).is_err());
}
