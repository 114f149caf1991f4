//! The hashes of the node daemon, against OpenKruise's own vectors (`inplace.md` §11).

use serde_json::json;

use super::pod::{web, web_main};
use crate::hash::{env, of, plain, report};

fn reading(value: &str) -> super::pod::Builder {
    let read = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    web_main().label("key", value).spec(
        "main",
        &json!({ "env": [
            { "name": "plain", "value": "x" },
            read("node", "spec.nodeName"),
            read("SIDECARSET_VERSION", "metadata.annotations['v']"),
            { "name": "set", "value": "y", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['key']" } } },
            read("all", "metadata.labels"),
            read("e2", "metadata.labels['key']"),
        ]}),
    )
}

#[test]
fn a_plain_hash_is_that_of_kubelets_from_1_31_on() {
    let pod = web().container("test_container", "foo/image:v1").build();
    assert_eq!(plain(&pod.containers[0]), 2_386_938_832);
}

#[test]
fn an_env_hash_goes_by_what_is_read_from_metadata_alone() {
    for (value, want) in [("foo", 2_053_173_458), ("bar", 539_240_142)] {
        let pod = reading(value).build();
        assert_eq!(env(&pod, &pod.containers[0]), want, "{value}");
    }
    let none = web_main().build();
    assert_eq!(env(&none, &none.containers[0]), 86_995_377);
}

/// Sorted by name, an absent value left out, and escaped as Go does it.
#[test]
fn an_env_hash_is_that_of_go_json() {
    let read = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let hash = |list: serde_json::Value, note: &str| {
        let pod = web_main().annotation("note", note).spec("main", &json!({ "env": list })).build();
        env(&pod, &pod.containers[0])
    };
    let (a, b) = (read("a", "metadata.annotations['note']"), read("b", "metadata.labels['none']"));
    assert_eq!(hash(json!([a, b]), "1"), hash(json!([b, a]), "1"));
    assert_ne!(hash(json!([a]), "1"), hash(json!([a]), "2"));
    assert_ne!(hash(json!([a]), "<"), hash(json!([a]), "\\u003c"));
}

/// §10.2.4: a report is of one container, and may be of one that is gone.
#[test]
fn a_report_counts_for_the_container_that_runs() {
    let meta = |id: &str| {
        let hashes = json!({ "plainHash": 7, "extractedEnvFromMetadataHash": 8 });
        let text = json!({ "containers": [{ "name": "main", "containerID": id, "restartCount": 0, "hashes": hashes }] });
        web_main().annotation("apps.kruise.io/runtime-containers-meta", &text.to_string()).build()
    };
    let found = |pod: &kruise_common::pod::Pod| {
        let report = report(pod)?;
        of(&report, &pod.statuses[0]).map(|found| found.hashes.plain_hash)
    };
    assert_eq!(found(&meta("containerd://main-1")), Some(7));
    assert_eq!(found(&meta("containerd://main-0")), None);
    assert_eq!(found(&meta("")), None);
    for text in
        ["", "{", "[]", "null", r#"{"containers":null}"#, r#"{"containers":[{"name":"main"}]}"#]
    {
        let pod = web_main().annotation("apps.kruise.io/runtime-containers-meta", text).build();
        assert_eq!(found(&pod), None, "{text}");
    }
}
