//! What is true of a matched pod (sections 18, 19.1).

use serde_json::{Value, json};

use super::support::{pod, running, settings, with_state};
use crate::member::{Member, Stuck};

fn spec() -> Value {
    json!({ "containers": [{ "name": "agent", "image": "example.com/agent:2" }] })
}

fn member(object: &Value) -> Member {
    Member::new(&pod(object), &settings(&spec())).unwrap()
}

fn consistent(object: &Value) -> bool {
    member(object).consistent
}

fn with_status(mut object: Value, change: &Value) -> Value {
    json_patch::merge(&mut object["status"]["containerStatuses"][0], change);
    object
}

#[test]
fn an_update_is_carried_out_once_the_container_was_restarted() {
    assert!(consistent(&running()), "never updated");
    let before = with_state(running(), "example.com/agent@sha256:1", "c://1");
    assert!(!consistent(&before));
    let restarted = |image: &str| {
        with_status(before.clone(), &json!({ "containerID": "c://2", "image": image }))
    };
    assert!(
        consistent(&restarted("example.com/agent:2")),
        "the same digest under a new tag (W-10)"
    );
    assert!(
        !consistent(&restarted("example.com/agent:1")),
        "it may have crashed before (inplace W27)"
    );
    assert!(!consistent(&with_status(before.clone(), &json!({ "containerID": "" }))), "it is down");
}

/// What OpenKruise wrote names no container.
#[test]
fn an_update_that_openkruise_began_is_carried_out_with_another_image_id_or_the_wanted_image() {
    let before = with_state(running(), "example.com/agent@sha256:1", "");
    assert!(!consistent(&before));
    assert!(consistent(&with_status(
        before.clone(),
        &json!({ "imageID": "example.com/agent@sha256:2" })
    )));
    assert!(consistent(&with_status(before.clone(), &json!({ "image": "example.com/agent:2" }))));
    // The same image under another tag, where the runtime tells the first name.
    let since = |started: &str| {
        let state = json!({ "running": { "startedAt": started } });
        let status = json!({ "image": "example.com/agent:1", "state": state });
        consistent(&with_status(before.clone(), &status))
    };
    assert!(!since("2025-12-31T23:00:00Z"), "it ran before the update");
    assert!(!since("2026-01-01T00:00:00Z"), "in its second: settles");
    assert!(since("2026-01-01T00:00:03Z"));
}

#[test]
fn a_digest_that_runs_is_proof_whatever_the_repository_is_called() {
    let mut object = with_state(running(), "old", "c://1");
    object["spec"]["containers"][0]["image"] = json!("agent@sha256:9");
    assert!(!consistent(&object));
    assert!(consistent(&with_status(
        object,
        &json!({ "imageID": "mirror.local/x/agent@sha256:9" })
    )));
}

/// Else all pods would be restarted at once when images only move to another registry.
#[test]
fn a_digest_that_ran_before_is_no_proof() {
    let mut object = with_state(running(), "a.io/agent@sha256:1", "c://1");
    object["spec"]["containers"][0]["image"] = json!("b.io/agent@sha256:1");
    let status = |id: &str, image: &str| json!({ "imageID": "a.io/agent@sha256:1", "image": image, "containerID": id });
    let at = |id, image| consistent(&with_status(object.clone(), &status(id, image)));
    assert!(!at("c://1", "a.io/agent@sha256:1"));
    assert!(at("c://2", "b.io/agent@sha256:1"));
}

#[test]
fn a_status_of_every_container_is_needed() {
    let mut object = running();
    object["status"]["containerStatuses"] = json!([]);
    assert!(!consistent(&object));
}

#[test]
fn records_that_cannot_be_read_make_a_pod_outdated_and_nothing_worse() {
    for text in [
        "",
        "{",
        "[]",
        "null",
        r#"{"log":5}"#,
        r#"{"log":{"hash":7}}"#,
        r#"{"other":{"hash":"x"}}"#,
    ] {
        let mut object = running();
        for key in ["kruise.io/sidecarset-hash", "kruise.io/sidecarset-inplace-update-state"] {
            object["metadata"]["annotations"][key] = json!(text);
        }
        let member = member(&object);
        assert!(!member.updated && member.consistent, "{text}");
        assert_eq!(member.stuck, Some(Stuck::MoreThanImages), "{text}");
    }
}

#[test]
fn a_pod_without_a_container_of_the_set_is_not_matched() {
    let mut object = running();
    object["spec"]["containers"][0]["name"] = json!("app");
    assert!(Member::new(&pod(&object), &settings(&spec())).is_none());
    let hot = json!({ "containers": [{
        "name": "agent", "image": "i", "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e" },
    }] });
    object["spec"]["containers"] =
        json!([{ "name": "agent-1", "image": "i" }, { "name": "agent-2", "image": "e" }]);
    assert!(Member::new(&pod(&object), &settings(&hot)).is_none(), "HOT-34: not in the map");
    object["metadata"]["annotations"]["kruise.io/sidecarset-working-hotupgrade-container"] =
        json!(r#"{"agent":"agent-1"}"#);
    assert!(Member::new(&pod(&object), &settings(&hot)).is_some());
}

/// UPD-2.2, UPD-4.
#[test]
fn an_update_is_in_flight_while_a_ready_container_is_not_restarted() {
    let before = with_state(running(), "example.com/agent@sha256:1", "c://1");
    assert!(member(&before).in_flight);
    assert!(
        !member(&with_status(before, &json!({ "ready": false }))).in_flight,
        "crashing: no wait"
    );
}

/// W-13: after a change of the empty image the idle twin keeps the old one, and is idle.
#[test]
fn an_idle_twin_is_idle_by_its_version() {
    let hot = json!({ "containers": [{
        "name": "agent", "image": "i", "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e:2" },
    }] });
    let mut object = running();
    object["spec"]["containers"] =
        json!([{ "name": "agent-1", "image": "i" }, { "name": "agent-2", "image": "e:1" }]);
    object["metadata"]["annotations"]["kruise.io/sidecarset-working-hotupgrade-container"] =
        json!(r#"{"agent":"agent-1"}"#);
    let ready = |object: &Value| Member::new(&pod(object), &settings(&hot)).unwrap().ready;
    assert!(!ready(&object), "it might be the old side of an upgrade");
    object["metadata"]["annotations"]["version.sidecarset.kruise.io/agent-2"] = json!("0");
    assert!(ready(&object));
}

/// Records of other sets may be anything that JSON can say; a text that is no JSON records nothing.
#[test]
fn the_record_of_a_set_is_found_among_others() {
    let hash = settings(&spec()).hashes.full;
    for (text, updated) in [
        (format!(r#"{{"log":{{"hash":"{hash}"}}}}"#), true),
        (format!(r#"{{"a":[1,{{"log":2}}],"l\u006fg":{{"hash":"{hash}"}},"z":null}}"#), true),
        (format!(r#"{{"log":"x","log":{{"hash":"{hash}"}}}}"#), true),
        (format!(r#"{{"log":"{hash}"}}"#), true),
        (format!(r#"{{"log":{{"hash":"{hash}"}},"log":"x"}}"#), false),
        (format!(r#"{{"other":{{"hash":"{hash}"}}}}"#), false),
        (format!(r#"{{"log":{{"hash":"{hash}"}}}} trailing"#), false),
        (format!(r#"{{"log":{{"hash":"{hash}"}},"z":}}"#), false),
        (format!(r#"["log",{{"hash":"{hash}"}}]"#), false),
    ] {
        let mut object = running();
        object["metadata"]["annotations"]["kruise.io/sidecarset-hash"] = json!(text);
        assert_eq!(member(&object).updated, updated, "{text}");
    }
}
