//! The PATCH of a pod's sidecars (sections 15.4, 20, 21).

use std::collections::BTreeSet;

use jiff::Timestamp;
use kruise_common::write::{Patch, Request, Write};
use serde_json::{Value, json};

use super::support::{pod, running, settings};
use crate::inplace::{Rewrite, mark};
use crate::member::Member;

fn now() -> Timestamp {
    "2026-02-01T00:00:00.7Z".parse().unwrap()
}

fn operations(write: &Write) -> Vec<Value> {
    match &write.request {
        Request::Patch { patch: Patch::Json(operations), .. } => {
            operations.as_array().unwrap().clone()
        }
        other => panic!("{other:?}"),
    }
}

fn hot() -> Value {
    json!({ "containers": [{
        "name": "agent", "image": "i:2", "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e" },
    }] })
}

fn twins(versions: [&str; 2]) -> Value {
    let mut object = running();
    object["spec"]["containers"] =
        json!([{ "name": "agent-1", "image": "i:1" }, { "name": "agent-2", "image": "e" }]);
    let annotations = &mut object["metadata"]["annotations"];
    annotations["kruise.io/sidecarset-working-hotupgrade-container"] =
        json!(r#"{"agent":"agent-1","other":"x"}"#);
    annotations["version.sidecarset.kruise.io/agent-1"] = json!(versions[0]);
    annotations["version.sidecarset.kruise.io/agent-2"] = json!(versions[1]);
    object
}

fn updated(object: &Value, spec: &Value) -> Vec<Value> {
    let settings = settings(spec);
    let member = Member::new(&pod(object), &settings).unwrap();
    operations(&Rewrite::new(&member, &settings, (&"log-1".into(), 5000), now()).update())
}

/// The value that an annotation gets.
fn added<'a>(operations: &'a [Value], key: &str) -> Option<&'a str> {
    let path = format!("/metadata/annotations/{}", key.replace('/', "~1"));
    let found = operations.iter().find(|it| it["op"] == "add" && it["path"] == path.as_str());
    found.and_then(|it| it["value"].as_str())
}

/// HOT-17 with its example.
#[test]
fn versions_tell_each_side_what_the_other_is() {
    let operations = updated(&twins(["1", "0"]), &hot());
    for (key, wanted) in [
        ("version.sidecarset.kruise.io/agent-2", "5000"),
        ("versionalt.sidecarset.kruise.io/agent-2", "1"),
        ("versionalt.sidecarset.kruise.io/agent-1", "5000"),
        ("kruise.io/sidecarset-working-hotupgrade-container", r#"{"agent":"agent-2","other":"x"}"#),
    ] {
        assert_eq!(added(&operations, key), Some(wanted), "{key}");
    }
    assert_eq!(added(&operations, "version.sidecarset.kruise.io/agent-1"), None);
}

/// W-17: after a restore of the cluster the set's version may be behind.
#[test]
fn a_version_is_never_one_that_was_seen() {
    let operations = updated(&twins(["9000", "0"]), &hot());
    assert_eq!(added(&operations, "version.sidecarset.kruise.io/agent-2"), Some("9001"));
}

/// INP-20, W-23, platform §18.6.
#[test]
fn states_of_other_sets_and_unknown_members_survive() {
    let mut object = running();
    let state = json!({
        "log": { "revision": "old", "updateTimestamp": "2020-01-01T00:00:00Z", "more": 1,
                 "lastContainerStatuses": { "gone": { "imageID": "x" } } },
        "zeta": { "revision": "z", "updateTimestamp": "2020-01-01T00:00:00Z", "lastContainerStatuses": { "z": {} }, "updateImages": true },
    });
    object["metadata"]["annotations"]["kruise.io/sidecarset-inplace-update-state"] =
        json!(state.to_string());
    object["spec"]["containers"][0]["image"] = json!("example.com/agent:1");
    let spec = json!({ "containers": [{ "name": "agent", "image": "example.com/agent:2" }] });
    let operations = updated(&object, &spec);
    let text = added(&operations, "kruise.io/sidecarset-inplace-update-state").unwrap();
    let full = settings(&spec).hashes.full;
    assert_eq!(
        text,
        format!(
            r#"{{"log":{{"revision":"{full}","updateTimestamp":"2026-02-01T00:00:00Z","lastContainerStatuses":{{"agent":{{"imageID":"example.com/agent@sha256:1","containerID":"c://1","madeFrom":"example.com/agent:1"}}}},"more":1}},"zeta":{{"revision":"z","updateTimestamp":"2020-01-01T00:00:00Z","lastContainerStatuses":{{"z":{{}}}},"updateImages":true}}}}"#
        )
    );
    let record = added(&operations, "kruise.io/sidecarset-hash").unwrap();
    assert_eq!(
        record,
        format!(
            r#"{{"log":{{"updateTimestamp":"2026-02-01T00:00:00Z","hash":"{full}","sidecarSetName":"log","sidecarList":["agent"],"controllerRevision":"log-1"}}}}"#
        )
    );
}

/// Without a record nobody would know when the update is over.
#[test]
fn a_state_that_nobody_can_read_keeps_no_other_from_being_written() {
    let unreadable =
        |of: &str| json!({ of: { "revision": "r", "updateTimestamp": "2026-11-2\u{26b}" } });
    let spec = json!({ "containers": [{ "name": "agent", "image": "example.com/agent:2" }] });
    for of in ["log", "zeta"] {
        let mut object = running();
        object["metadata"]["annotations"]["kruise.io/sidecarset-inplace-update-state"] =
            json!(unreadable(of).to_string());
        object["spec"]["containers"][0]["image"] = json!("example.com/agent:1");
        let operations = updated(&object, &spec);
        let text = added(&operations, "kruise.io/sidecarset-inplace-update-state").unwrap();
        let state: Value = serde_json::from_str(text).unwrap();
        assert_eq!(state.as_object().map(serde_json::Map::len), Some(1), "{text}");
        assert_eq!(
            state["log"]["lastContainerStatuses"]["agent"]["containerID"], "c://1",
            "{text}"
        );
    }
}

/// Everything that is changed is tested before: the order of operations is tests first.
#[test]
fn tests_come_before_changes_and_cover_them() {
    let operations = updated(&twins(["1", "0"]), &hot());
    let first_change = operations.iter().position(|it| it["op"] != "test").unwrap();
    let (tests, changes) = operations.split_at(first_change);
    assert!(changes.iter().all(|it| it["op"] != "test"));
    for change in changes {
        assert!(tests.iter().any(|test| test["path"] == change["path"]), "{change}");
    }
}

/// CND-2, CND-3.
#[test]
fn a_condition_that_is_there_is_replaced_where_it_stands() {
    let mut object = running();
    let nobody = BTreeSet::new();
    object["metadata"]["annotations"]["kruise.io/sidecarset-injected-list"] = json!("log,mesh");
    let fresh = mark(&pod(&object), ("log", Some(true)), &nobody, now());
    let Request::Patch { patch: Patch::Strategic(body), .. } = &fresh.request else {
        panic!("{fresh:?}")
    };
    assert_eq!(body["status"]["conditions"][0]["message"], r#"{"log":true}"#);
    object["status"]["conditions"] = json!([{ "type": "Ready", "status": "True" }, {
        "type": "SidecarSetUpgradable", "status": "True", "reason": "AllSidecarsetUpgradable",
        "message": r#"{"gone":false,"mesh":true}"#, "lastTransitionTime": "2020-01-01T00:00:00Z",
    }]);
    let kept = operations(&mark(&pod(&object), ("log", Some(true)), &nobody, now()));
    let condition = &kept.last().unwrap()["value"];
    assert_eq!(condition["message"], r#"{"log":true,"mesh":true}"#, "a set that left has no say");
    assert_eq!(condition["lastTransitionTime"], "2020-01-01T00:00:00Z");
    let turned = operations(&mark(&pod(&object), ("log", Some(false)), &nobody, now()));
    let condition = &turned.last().unwrap()["value"];
    assert_eq!(
        (condition["status"].as_str(), condition["reason"].as_str()),
        (Some("False"), Some("UpdateImmutableField"))
    );
    assert_eq!(condition["lastTransitionTime"], "2026-02-01T00:00:00Z");
}
