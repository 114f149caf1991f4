//! The writes that start an update: their whole bodies, and nothing else beside them (`inplace.md` §5, §6, §22).

use kruise_common::write::Write;
use serde_json::{Value, json};

use super::pod::{NOW, now, put, sent, stored_state, web, web_main};
use crate::begin::{Target, begin};
use crate::diff::{Change, MetadataChange};

mod batches;
mod env;
mod grace;
mod overtaking;
mod resize;
mod third_revision;

const STATE: &str = "/metadata/annotations/apps.kruise.io~1inplace-update-state";

/// New images of containers.
fn images(images: &[(&str, &str)]) -> Change {
    let images = images.iter().map(|(name, image)| ((*name).to_owned(), (*image).to_owned()));
    Change { images: images.collect(), ..Change::default() }
}

/// A changed label; `None` removes it.
fn label(key: &str, value: Option<&str>) -> MetadataChange {
    let labels = [(key.to_owned(), value.map(str::to_owned))].into();
    MetadataChange { labels, ..MetadataChange::default() }
}

fn to(revision: &str) -> Target<'_> {
    Target { revision, grace_seconds: 0 }
}

fn start(pod: &super::pod::Builder, change: &Change) -> Vec<Write> {
    begin(&pod.build(), change, &to("web-b"), now())
}

/// The operations that take a pod with one gate out of traffic.
fn falls() -> Vec<Value> {
    let ready = |member: &str| format!("/status/conditions/1/{member}");
    let message =
        "the status of pod readiness gate \"InPlaceUpdateReady\" is not \"True\", but False";
    let gate = json!({
        "type": "InPlaceUpdateReady", "status": "False", "reason": "StartInPlaceUpdate",
        "lastProbeTime": null, "lastTransitionTime": NOW,
    });
    vec![
        json!({ "op": "test", "path": "/status/conditions/0/type", "value": "InPlaceUpdateReady" }),
        json!({ "op": "test", "path": "/status/conditions/0/message", "value": null }),
        json!({ "op": "replace", "path": "/status/conditions/0", "value": gate }),
        json!({ "op": "test", "path": ready("type"), "value": "Ready" }),
        json!({ "op": "test", "path": ready("reason"), "value": null }),
        json!({ "op": "add", "path": ready("status"), "value": "False" }),
        json!({ "op": "add", "path": ready("reason"), "value": "ReadinessGatesNotReady" }),
        json!({ "op": "add", "path": ready("message"), "value": message }),
        json!({ "op": "add", "path": ready("lastTransitionTime"), "value": NOW }),
    ]
}

/// The write that takes a pod with one gate out of traffic, with `more` after the tests.
fn drained(more: Vec<Value>) -> Value {
    let tests = vec![
        json!({ "op": "test", "path": "/metadata/uid", "value": "uid-web-0" }),
        json!({ "op": "test", "path": "/metadata/labels/controller-revision-hash", "value": "web-a" }),
    ];
    let all: Vec<Value> = tests.into_iter().chain(more).chain(falls()).collect();
    json!({ "on": "pods/status", "json": all })
}

#[test]
fn a_new_image_is_two_writes_out_of_traffic_first() {
    let state = r#"{"revision":"web-b","updateTimestamp":"2026-01-02T03:04:05Z","lastContainerStatuses":{"main":{"imageID":"reg.io/main:v1@sha256:1","containerID":"containerd://main-1","madeFrom":"reg.io/main:v1"}},"updateImages":true,"containerBatchesRecord":[{"timestamp":"2026-01-02T03:04:05Z","containers":["main"]}]}"#;
    let spec = json!({ "on": "pods", "json": [
        { "op": "test", "path": "/metadata/uid", "value": "uid-web-0" },
        { "op": "test", "path": "/metadata/labels/controller-revision-hash", "value": "web-a" },
        { "op": "add", "path": "/metadata/labels/controller-revision-hash", "value": "web-b" },
        { "op": "add", "path": "/metadata/labels/lifecycle.apps.kruise.io~1state", "value": "Updating" },
        { "op": "add", "path": "/metadata/annotations/lifecycle.apps.kruise.io~1timestamp", "value": NOW },
        { "op": "test", "path": "/spec/containers/0/name", "value": "main" },
        { "op": "test", "path": "/spec/containers/0/image", "value": "reg.io/main:v1" },
        { "op": "test", "path": "/status/containerStatuses/0/name", "value": "main" },
        { "op": "test", "path": "/status/containerStatuses/0/imageID", "value": "reg.io/main:v1@sha256:1" },
        { "op": "replace", "path": "/spec/containers/0/image", "value": "reg.io/main:v2" },
        { "op": "add", "path": STATE, "value": state },
    ]});
    let writes = start(&web_main(), &images(&[("main", "reg.io/main:v2")]));
    assert_eq!(sent(&writes), json!([drained(vec![]), spec]));
}

/// §22.1, W3: no container restarts, so nobody is drained.
#[test]
fn changed_metadata_alone_is_one_write() {
    let change = Change {
        metadata: MetadataChange {
            labels: [("tier".to_owned(), Some("gold".to_owned())), ("old".to_owned(), None)].into(),
            annotations: [("a.io/~x".to_owned(), Some("1".to_owned()))].into(),
            finalizers_added: vec!["a.io/new".to_owned()],
            finalizers_removed: vec!["a.io/old".to_owned()],
        },
        ..Change::default()
    };
    let state = r#"{"revision":"web-b","updateTimestamp":"2026-01-02T03:04:05Z","lastContainerStatuses":null,"containerBatchesRecord":[{"timestamp":"2026-01-02T03:04:05Z","containers":[]}]}"#;
    let pod = web_main().finalizers(&["a.io/old"]);
    assert_eq!(
        sent(&start(&pod, &change)),
        json!([{ "on": "pods", "json": [
            { "op": "test", "path": "/metadata/uid", "value": "uid-web-0" },
            { "op": "test", "path": "/metadata/labels/controller-revision-hash", "value": "web-a" },
            { "op": "add", "path": "/metadata/labels/controller-revision-hash", "value": "web-b" },
            { "op": "add", "path": "/metadata/labels/old", "value": "" },
            { "op": "remove", "path": "/metadata/labels/old" },
            { "op": "add", "path": "/metadata/labels/tier", "value": "gold" },
            { "op": "add", "path": "/metadata/annotations/a.io~1~0x", "value": "1" },
            { "op": "test", "path": "/metadata/finalizers/0", "value": "a.io/old" },
            { "op": "remove", "path": "/metadata/finalizers/0" },
            { "op": "add", "path": "/metadata/finalizers/-", "value": "a.io/new" },
            { "op": "add", "path": STATE, "value": state },
        ]}])
    );
}

/// IP-5: only revision label and state are written.
#[test]
fn no_difference_at_all_is_one_write() {
    let writes = start(&web_main(), &Change::default());
    assert_eq!(writes.len(), 1);
    let label = put(&writes, "/metadata/labels/controller-revision-hash");
    assert_eq!(label, Some(json!("web-b")));
    assert_eq!(stored_state(&writes)["lastContainerStatuses"], Value::Null);
}

/// IP-7: nobody would put the condition back to true.
#[test]
fn a_pod_without_the_gate_is_not_drained() {
    let writes = start(&web_main().without_gates(), &images(&[("main", "reg.io/main:v2")]));
    assert_eq!(writes.len(), 1);
    assert_eq!(put(&writes, "/spec/containers/0/image"), Some(json!("reg.io/main:v2")));
}

/// §5.3: the cached copy may be stale in the dangerous direction. What is false keeps its time.
#[test]
fn the_gate_is_written_false_even_if_it_is_false_already() {
    let pod = web_main()
        .condition("InPlaceUpdateReady", &json!({ "status": "False" }))
        .condition("Ready", &json!({ "status": "False" }));
    let writes = start(&pod, &images(&[("main", "reg.io/main:v2")]));
    assert_eq!(writes.len(), 2);
    let gate = json!({
        "type": "InPlaceUpdateReady", "status": "False", "reason": "StartInPlaceUpdate",
        "lastProbeTime": null, "lastTransitionTime": "2026-01-02T03:00:00Z",
    });
    assert_eq!(put(&writes[..1], "/status/conditions/0"), Some(gate));
    assert_eq!(put(&writes[..1], "/status/conditions/1/status"), None, "Ready is false already");
}

/// A change by somebody else between the decision and the write.
type Edit = fn(&mut Value);

/// What ① found is tested: another update, a gate that stands elsewhere, and a pod that became ready since it was seen
/// as not ready, which nobody would take out of traffic. What others write beside that makes no conflict.
#[test]
fn a_late_drain_fails_if_the_pod_is_not_what_it_was() {
    let image = images(&[("main", "reg.io/main:v2")]);
    let unready = json!({ "status": "False", "reason": "ContainersNotReady" });
    let pods = [
        ("ready", web_main()),
        (
            "not ready",
            web_main().condition("Ready", &unready).condition("ContainersReady", &unready),
        ),
    ];
    let edits: [(&str, Edit, bool); 6] = [
        ("nothing", |_| {}, true),
        (
            "another update",
            |pod| {
                pod["metadata"]["labels"]["controller-revision-hash"] = json!("web-z");
            },
            false,
        ),
        (
            "conditions in another order",
            |pod| {
                pod["status"]["conditions"].as_array_mut().unwrap().reverse();
            },
            false,
        ),
        (
            "Ready turned",
            |pod| {
                let ready = pod["status"]["conditions"][1].as_object_mut().unwrap();
                if ready.remove("reason").is_none() {
                    ready.insert("reason".to_owned(), json!("ContainersNotReady"));
                }
            },
            false,
        ),
        ("a label of a user", |pod| pod["metadata"]["labels"]["x"] = json!("y"), true),
        (
            "another condition",
            |pod| {
                let list = pod["status"]["conditions"].as_array_mut().unwrap();
                list.push(json!({ "type": "Other", "status": "True" }));
            },
            true,
        ),
    ];
    for (which, pod) in pods {
        let drain = start(&pod, &image).remove(0);
        for (edit, change, holds) in edits {
            let mut cluster = super::cluster::Cluster::new(&pod);
            cluster.edit(change);
            let done = cluster.world.perform(&drain);
            assert_eq!(done.is_ok(), holds, "{which}, {edit}: {done:?}");
            assert!(!holds || !cluster.pod().ready(), "{which}, {edit}");
        }
    }
}

/// A member that kruise does not know of a condition that is the kubelet's stays.
#[test]
fn conditions_of_others_keep_what_we_do_not_know() {
    let pod = web_main().condition("Ready", &json!({ "observedGeneration": 3 }));
    let mut cluster = super::cluster::Cluster::new(&pod);
    cluster.perform(&start(&pod, &images(&[("main", "reg.io/main:v2")]))[..1]);
    let stored = cluster.value();
    assert_eq!(stored["status"]["conditions"][1]["observedGeneration"], 3);
    assert_eq!(stored["status"]["conditions"][1]["status"], "False");
}

/// IP-19.
#[test]
fn a_pod_without_a_lifecycle_state_gets_none() {
    let pod = web_main().without_label("lifecycle.apps.kruise.io/state");
    let graced = Target { revision: "web-b", grace_seconds: 5 };
    for target in [to("web-b"), graced] {
        let change = images(&[("main", "reg.io/main:v2")]);
        let writes = begin(&pod.build(), &change, &target, now());
        assert!(!format!("{writes:?}").contains("lifecycle"), "{writes:?}");
    }
}

/// §6: containers are found by name in the live pod, so an injected sidecar disturbs nothing.
#[test]
fn containers_are_matched_by_name() {
    let pod = web().container("proxy", "reg.io/proxy:v1").container("main", "reg.io/main:v1");
    let change = images(&[("main", "reg.io/main:v2"), ("gone", "reg.io/gone:v2")]);
    let writes = start(&pod, &change);
    assert_eq!(put(&writes, "/spec/containers/1/image"), Some(json!("reg.io/main:v2")));
    assert_eq!(put(&writes, "/spec/containers/0/image"), None);
    let state = stored_state(&writes);
    assert_eq!(state["containerBatchesRecord"][0]["containers"], json!(["main"]));
    assert_eq!(state["nextContainerImages"], Value::Null, "a missing container waits for nobody");
}

/// §6.6, W27: of a container that no kubelet has told of, at most the image that one may have begun with.
#[test]
fn a_container_without_a_status_gets_no_record_of_what_runs() {
    let pod = web_main().untold();
    let writes = start(&pod, &images(&[("main", "reg.io/main:v2")]));
    assert_eq!(put(&writes, "/spec/containers/0/image"), Some(json!("reg.io/main:v2")));
    let begun = json!({ "main": { "superseded": "reg.io/main:v1" } });
    assert_eq!(stored_state(&writes)["lastContainerStatuses"], begun);
    let unbound = pod.edit(|pod| drop(pod["spec"].as_object_mut().unwrap().remove("nodeName")));
    let writes = start(&unbound, &images(&[("main", "reg.io/main:v2")]));
    assert_eq!(stored_state(&writes)["lastContainerStatuses"], Value::Null);
}

/// The kubelet restarts nothing for an image that is there, so nothing may wait for it.
#[test]
fn an_image_that_the_pod_has_already_restarts_nobody() {
    let pod = web_main().spec("main", &json!({ "image": "reg.io/main:v2" }));
    let writes = start(&pod, &images(&[("main", "reg.io/main:v2")]));
    assert_eq!(writes.len(), 1, "no drain: {writes:?}");
    assert_eq!(stored_state(&writes)["lastContainerStatuses"], Value::Null);
}

/// §2: read while the new key is absent, deleted when it is written.
#[test]
fn the_legacy_state_goes_when_the_new_one_comes() {
    let pod = web_main().annotation("inplace-update-state", r#"{"revision":"web-a"}"#);
    let writes = start(&pod, &images(&[("main", "reg.io/main:v2")]));
    let removal = json!({ "op": "remove", "path": "/metadata/annotations/inplace-update-state" });
    assert!(super::pod::operations(&writes).contains(&removal), "{writes:?}");
}

/// W10: what cannot be read is planned anew, not waited for.
#[test]
fn corrupt_annotations_are_overwritten_by_the_next_update() {
    let pod = web_main()
        .annotation("apps.kruise.io/inplace-update-state", "{")
        .annotation("apps.kruise.io/inplace-update-grace", "[1]");
    let writes = start(&pod, &images(&[("main", "reg.io/main:v2")]));
    assert_eq!(stored_state(&writes)["revision"], "web-b");
    let removal = json!({ "op": "remove", "path": "/metadata/annotations/apps.kruise.io~1inplace-update-grace" });
    assert!(super::pod::operations(&writes).contains(&removal), "{writes:?}");
}

/// An adopted pod may have neither labels nor annotations: maps are made, and tested to be absent still.
#[test]
fn a_bare_pod_gets_the_maps_that_its_metadata_lacks() {
    let pod = web_main().edit(|pod| {
        pod["metadata"]
            .as_object_mut()
            .unwrap()
            .retain(|member, _| member != "labels" && member != "annotations");
    });
    let operations = super::pod::operations(&start(&pod, &Change::default()));
    for map in ["labels", "annotations"] {
        let path = format!("/metadata/{map}");
        let test = json!({ "op": "test", "path": path, "value": null });
        let add = json!({ "op": "add", "path": path, "value": {} });
        let at = operations.iter().position(|operation| *operation == test).unwrap();
        assert_eq!(operations[at + 1], add);
    }
}

#[test]
fn a_label_that_is_removed_by_the_change_need_not_be_there() {
    let change = Change { metadata: label("tier", None), ..Change::default() };
    let operations = super::pod::operations(&start(&web_main(), &change));
    let at = operations.iter().position(|o| o["path"] == "/metadata/labels/tier").unwrap();
    assert_eq!(
        (&operations[at]["op"], &operations[at + 1]["op"]),
        (&json!("add"), &json!("remove"))
    );
}
