//! The end of a grace period, whoever began it (`inplace.md` §8; W10, W20).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{at, writes};
use crate::begin::{Target, begin};
use crate::diff::{Change, MetadataChange};
use crate::progress::Missing;
use crate::refresh::{Context, Refresh, Waiting, refresh};
use crate::tests::cluster::Cluster;
use crate::tests::pod::{Builder, after, now, put, sent, stored_state, web_main};

const STATE: &str = "apps.kruise.io/inplace-update-state";

fn grace(seconds: i32) -> Value {
    json!({
        "revision": "web-a",
        "containerImages": { "main": "reg.io/main:v2" },
        "metaDataPatch": "e30=",
        "graceSeconds": seconds,
    })
}

/// Out of traffic since [`now`] for ten seconds.
fn waiting() -> Builder {
    web_main()
        .state("Updating")
        .condition("InPlaceUpdateReady", &json!({ "status": "False", "reason": "StartInPlaceUpdate" }))
        .updated(&json!({ "revision": "web-a", "updateTimestamp": "2026-01-02T03:04:05Z", "updateImages": true }))
        .graced(&grace(10))
}

#[test]
fn the_end_brings_image_and_state_and_drops_the_plan() {
    let done = at(&waiting(), None, after(11));
    let state = r#"{"revision":"web-a","updateTimestamp":"2026-01-02T03:04:05Z","lastContainerStatuses":{"main":{"imageID":"reg.io/main:v1@sha256:1","containerID":"containerd://main-1","madeFrom":"reg.io/main:v1"}},"updateImages":true,"containerBatchesRecord":[{"timestamp":"2026-01-02T03:04:16Z","containers":["main"]}]}"#;
    assert_eq!(
        sent(&done.writes),
        json!([{ "on": "pods", "json": [
            { "op": "test", "path": "/metadata/uid", "value": "uid-web-0" },
            { "op": "test", "path": "/metadata/annotations/apps.kruise.io~1inplace-update-grace", "value": grace(10).to_string() },
            { "op": "test", "path": "/metadata/labels/controller-revision-hash", "value": "web-a" },
            { "op": "test", "path": "/spec/containers/0/name", "value": "main" },
            { "op": "test", "path": "/spec/containers/0/image", "value": "reg.io/main:v1" },
            { "op": "test", "path": "/status/containerStatuses/0/name", "value": "main" },
            { "op": "test", "path": "/status/containerStatuses/0/imageID", "value": "reg.io/main:v1@sha256:1" },
            { "op": "replace", "path": "/spec/containers/0/image", "value": "reg.io/main:v2" },
            { "op": "add", "path": "/metadata/annotations/apps.kruise.io~1inplace-update-state", "value": state },
            { "op": "remove", "path": "/metadata/annotations/apps.kruise.io~1inplace-update-grace" },
        ]}])
    );
}

/// W20: the stored time has whole seconds, so a second is added; never early.
#[test]
fn the_period_is_never_shortened() {
    let until = "2026-01-02T03:04:16Z".parse().unwrap();
    let wait = Refresh { waiting: Some(Waiting::Grace { until }), ..Refresh::default() };
    for seconds in [0, 5, 10] {
        assert_eq!(at(&waiting(), None, after(seconds)), wait, "after {seconds} s");
    }
    assert_eq!(at(&waiting(), None, until).writes.len(), 1);
}

/// §8: changed settings do not touch a period that runs; absurd ones do not overflow.
#[test]
fn the_length_is_that_of_the_annotation() {
    assert_eq!(at(&waiting().graced(&grace(0)), None, after(1)).writes.len(), 1);
    let long = at(&waiting().graced(&grace(i32::MAX)), None, after(1_000_000));
    assert!(matches!(long.waiting, Some(Waiting::Grace { .. })), "{long:?}");
    assert_eq!(at(&waiting().graced(&grace(-5)), None, after(1)).writes.len(), 1);
}

/// A controller that knows nothing but the pod goes on.
#[test]
fn a_restarted_controller_finds_everything_on_the_pod() {
    let mut cluster = Cluster::new(&web_main().label("old", "1").revision("web-0"));
    let change = Change {
        images: [("main".to_owned(), "reg.io/main:v2".to_owned())].into(),
        metadata: MetadataChange {
            labels: [("tier".to_owned(), Some("gold".to_owned())), ("old".to_owned(), None)].into(),
            annotations: [("note".to_owned(), Some("x".to_owned()))].into(),
            finalizers_added: vec!["a.io/new".to_owned()],
            ..MetadataChange::default()
        },
        ..Change::default()
    };
    let target = Target { revision: "web-a", grace_seconds: 10 };
    cluster.perform(&begin(&cluster.pod(), &change, &target, now()));
    let pod = cluster.pod();
    assert_eq!((pod.revision(), &*pod.containers[0].image), (Some("web-a"), "reg.io/main:v1"));
    assert_eq!(pod.meta.labels.get("tier"), None);
    let context = Context { lifecycle: None, update_revision: "web-a" };
    cluster.perform(&refresh(&pod, &context, after(11)).writes);
    let pod = cluster.pod();
    assert_eq!(&*pod.containers[0].image, "reg.io/main:v2");
    assert_eq!((pod.meta.labels.get("tier"), pod.meta.labels.get("old")), (Some("gold"), None));
    assert_eq!(pod.meta.finalizers.iter().map(|f| &**f).collect::<Vec<_>>(), ["a.io/new"]);
    assert_eq!(pod.annotations.get("apps.kruise.io/inplace-update-grace"), None);
}

/// What OpenKruise stores carries orders for lists; unknown ones are ignored.
#[test]
fn a_patch_that_openkruise_stored_is_applied() {
    let patch = json!({ "metadata": {
        "annotations": { "cfg": "new", "gone": null },
        "finalizers": ["a.io/new"],
        "$setElementOrder/finalizers": ["a.io/new"],
        "$deleteFromPrimitiveList/finalizers": ["a.io/old"],
    }});
    let mut plan = grace(0);
    plan["metaDataPatch"] = json!(STANDARD.encode(patch.to_string()));
    plan["containerRefMetadata"] =
        json!({ "main": { "creationTimestamp": null, "labels": { "read-by-env": "1" } } });
    plan["newTemplate"] = json!({ "metadata": {}, "spec": { "containers": null } });
    let pod = waiting().finalizers(&["a.io/old"]).graced(&plan);
    let done = at(&pod, None, after(1));
    assert_eq!(put(&done.writes, "/metadata/annotations/cfg"), Some(json!("new")));
    assert_eq!(put(&done.writes, "/metadata/finalizers/-"), Some(json!("a.io/new")));
    assert_eq!(put(&done.writes, "/metadata/labels/read-by-env"), Some(json!("1")));
    let mut cluster = Cluster::new(&pod);
    cluster.perform(&done.writes);
    assert_eq!(&*cluster.pod().meta.finalizers[0], "a.io/new");
}

/// IP-13: the update starts over.
#[test]
fn a_period_for_another_revision_is_dropped() {
    let legacy = grace(10).to_string();
    let pod = waiting().revision("web-c").annotation("inplace-update-grace", &legacy);
    assert_eq!(
        writes(&pod),
        json!([{ "on": "pods", "json": [
            { "op": "test", "path": "/metadata/uid", "value": "uid-web-0" },
            { "op": "test", "path": "/metadata/annotations/apps.kruise.io~1inplace-update-grace", "value": legacy },
            { "op": "test", "path": "/metadata/annotations/inplace-update-grace", "value": legacy },
            { "op": "test", "path": "/metadata/labels/controller-revision-hash", "value": "web-c" },
            { "op": "remove", "path": "/metadata/annotations/apps.kruise.io~1inplace-update-grace" },
            { "op": "remove", "path": "/metadata/annotations/inplace-update-grace" },
        ]}])
    );
}

/// §2: legacy keys are read, and go when the new one is written.
#[test]
fn a_legacy_period_ends_like_any_other() {
    let state = r#"{"revision":"web-a","updateTimestamp":"2026-01-02T03:04:05Z"}"#;
    let pod = web_main()
        .annotation("inplace-update-state", state)
        .annotation("inplace-update-grace", &grace(1).to_string());
    let mut cluster = Cluster::new(&pod);
    cluster.perform(&at(&pod, None, after(5)).writes);
    let pod = cluster.pod();
    assert_eq!(&*pod.containers[0].image, "reg.io/main:v2");
    let left: Vec<&str> = pod.annotations.iter().map(|(key, _)| key).collect();
    assert_eq!(left, [STATE, "lifecycle.apps.kruise.io/timestamp"]);
}

#[test]
fn images_that_are_there_already_are_not_waited_for() {
    let pod = waiting().spec("main", &json!({ "image": "reg.io/main:v2" }));
    let state = stored_state(&at(&pod, None, after(11)).writes);
    assert_eq!(state["lastContainerStatuses"], Value::Null);
    assert_eq!(state["containerBatchesRecord"][0]["containers"], json!([]));
}

#[test]
fn the_first_batch_begins_when_the_period_ends() {
    let mut plan = grace(0);
    plan["containerImages"]["side"] = json!("reg.io/side:v2");
    let pod = waiting().container("side", "reg.io/side:v1").priority("main", 1).priority("side", 0);
    let writes = at(&pod.graced(&plan), None, after(1)).writes;
    assert_eq!(put(&writes, "/spec/containers/0/image"), Some(json!("reg.io/main:v2")));
    assert_eq!(put(&writes, "/spec/containers/1/image"), None);
    assert_eq!(stored_state(&writes)["nextContainerImages"], json!({ "side": "reg.io/side:v2" }));
}

#[test]
fn a_period_that_cannot_end_says_why() {
    let mut bad_base64 = grace(0);
    bad_base64["metaDataPatch"] = json!("?");
    let mut bad_json = grace(0);
    bad_json["metaDataPatch"] = json!(STANDARD.encode("{"));
    let no_time = waiting().updated(&json!({ "revision": "web-a", "updateTimestamp": null }));
    let grace_key = "apps.kruise.io/inplace-update-grace";
    let cases = [
        (
            "no state",
            web_main().graced(&grace(0)),
            STATE,
            "is missing although a grace period runs",
        ),
        ("no time", no_time, STATE, "has no readable updateTimestamp"),
        ("no base64", waiting().graced(&bad_base64), grace_key, ""),
        ("no JSON", waiting().graced(&bad_json), grace_key, ""),
    ];
    for (sentence, pod, key, why) in cases {
        let done = at(&pod, None, after(100));
        assert_eq!(done.writes, [], "{sentence}");
        let Some(Waiting::Incomplete(Missing::Corrupt { key: named, problem })) = done.waiting
        else {
            panic!("{sentence}");
        };
        assert_eq!(named, key, "{sentence}");
        assert!(!problem.is_empty() && problem.contains(why), "{sentence}: {problem}");
    }
}
