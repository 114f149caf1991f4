//! The beginning of a grace period: one write from which a restarted controller can go on (`inplace.md` §5.4e, §8, §22.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kruise_common::write::Write;
use serde_json::{Value, json};

use super::{drained, images, label};
use crate::begin::{Target, begin};
use crate::diff::{Change, MetadataChange};
use crate::tests::pod::{Builder, NOW, now, operations, put, sent, web_main};

fn start(pod: &Builder, change: &Change) -> Vec<Write> {
    let target = Target { revision: "web-b", grace_seconds: 10 };
    begin(&pod.build(), change, &target, now())
}

/// The text that the write puts into an annotation.
fn annotation(writes: &[Write], key: &str) -> Value {
    put(writes, &format!("/metadata/annotations/{}", key.replace('/', "~1"))).unwrap()
}

#[test]
fn one_write_takes_the_pod_out_of_traffic_and_carries_the_whole_plan() {
    let state = r#"{"revision":"web-b","updateTimestamp":"2026-01-02T03:04:05Z","lastContainerStatuses":null,"updateImages":true}"#;
    let grace = r#"{"revision":"web-b","containerImages":{"main":"reg.io/main:v2"},"metaDataPatch":"e30=","graceSeconds":10}"#;
    let add = |path: &str, value: &str| json!({ "op": "add", "path": path, "value": value });
    let want = drained(vec![
        add("/metadata/labels/controller-revision-hash", "web-b"),
        add("/metadata/labels/lifecycle.apps.kruise.io~1state", "Updating"),
        add("/metadata/annotations/lifecycle.apps.kruise.io~1timestamp", NOW),
        add("/metadata/annotations/apps.kruise.io~1inplace-update-state", state),
        add("/metadata/annotations/apps.kruise.io~1inplace-update-grace", grace),
    ]);
    let writes = start(&web_main(), &images(&[("main", "reg.io/main:v2")]));
    assert_eq!(sent(&writes), json!([want]));
}

#[test]
fn changed_metadata_waits_as_a_strategic_merge_patch() {
    let metadata = MetadataChange {
        annotations: [("note".to_owned(), None)].into(),
        finalizers_added: vec!["a.io/new".to_owned()],
        finalizers_removed: vec!["a.io/old".to_owned()],
        ..label("tier", Some("gold"))
    };
    let writes = start(&web_main(), &Change { metadata, ..images(&[("main", "reg.io/main:v2")]) });
    assert_eq!(put(&writes, "/metadata/labels/tier"), None, "not before the grace period ends");
    let grace = annotation(&writes, "apps.kruise.io/inplace-update-grace");
    let grace: Value = serde_json::from_str(grace.as_str().unwrap()).unwrap();
    let patch = STANDARD.decode(grace["metaDataPatch"].as_str().unwrap()).unwrap();
    let patch: Value = serde_json::from_slice(&patch).unwrap();
    assert_eq!(
        patch,
        json!({ "metadata": {
            "labels": { "tier": "gold" },
            "annotations": { "note": null },
            "finalizers": ["a.io/new"],
            "$deleteFromPrimitiveList/finalizers": ["a.io/old"],
        }})
    );
}

#[test]
fn without_a_restart_or_without_the_gate_there_is_no_grace_period() {
    let metadata = Change { metadata: label("tier", Some("gold")), ..Change::default() };
    let image = images(&[("main", "reg.io/main:v2")]);
    let same = images(&[("main", "reg.io/main:v1")]);
    let cases = [
        ("metadata only", web_main(), metadata),
        ("no gate, so nobody is drained", web_main().without_gates(), image),
        ("the image is there", web_main(), same),
    ];
    for (sentence, pod, change) in cases {
        let writes = start(&pod, &change);
        assert_eq!(writes.len(), 1, "{sentence}");
        assert_eq!(sent(&writes)[0]["on"], "pods", "{sentence}");
        let grace = put(&writes, "/metadata/annotations/apps.kruise.io~1inplace-update-grace");
        assert_eq!(grace, None, "{sentence}");
    }
}

/// §2: deleted when the new one is written.
#[test]
fn legacy_annotations_go_when_the_new_ones_come() {
    let pod = web_main()
        .annotation("inplace-update-state", r#"{"revision":"web-a"}"#)
        .annotation("inplace-update-grace", r#"{"revision":"web-a"}"#);
    let writes = start(&pod, &images(&[("main", "reg.io/main:v2")]));
    for key in ["inplace-update-state", "inplace-update-grace"] {
        let gone = json!({ "op": "remove", "path": format!("/metadata/annotations/{key}") });
        assert!(operations(&writes).contains(&gone), "{key}: {writes:?}");
    }
}
