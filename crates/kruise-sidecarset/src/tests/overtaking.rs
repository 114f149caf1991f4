//! An update that comes before the kubelet has acted on an earlier one (inplace W27): nothing is taken for done that still
//! runs, or will yet run, the image overtaken, and nothing waits for a restart that never comes.

use jiff::{SignedDuration, Timestamp};
use kruise_common::write::{Patch, Request, Write};
use serde_json::{Value, json};

use super::support::{pod, running, settings_with};
use crate::inplace::Rewrite;
use crate::member::Member;
use crate::snapshot::{Options, Settings};

const STATE: &str = "kruise.io/sidecarset-inplace-update-state";

fn now() -> Timestamp {
    "2026-02-01T00:00:00Z".parse().unwrap()
}

fn image(tag: usize) -> String {
    format!("example.com/agent:{tag}")
}

/// A set whose container has this tag: an ordinary one or a native sidecar.
fn settings(native: bool, tag: usize) -> Settings {
    let spec = if native {
        json!({ "initContainers": [{ "name": "agent", "image": image(tag), "restartPolicy": "Always" }] })
    } else {
        json!({ "containers": [{ "name": "agent", "image": image(tag) }] })
    };
    let options = Options { native_updates: true, ..Options::default() };
    settings_with(&spec, options)
}

/// A pod whose sidecar runs tag 1 and is not ready, so that updates may overtake each other.
fn start(native: bool) -> Value {
    let mut object = running();
    object["spec"]["containers"][0]["image"] = json!(image(1));
    let status = &mut object["status"]["containerStatuses"][0];
    status["ready"] = json!(false);
    if native {
        let mut status = status.clone();
        object["spec"]["initContainers"] = json!([
            { "name": "prep", "image": "p:1" },
            { "name": "agent", "image": image(1), "restartPolicy": "Always" },
        ]);
        status["name"] = json!("agent");
        let prep = json!({ "name": "prep", "image": "p:1", "imageID": "p", "containerID": "c://p", "ready": true });
        object["status"]["initContainerStatuses"] = json!([prep, status]);
        object["spec"]["containers"] = json!([{ "name": "main", "image": "m:1" }]);
        object["status"]["containerStatuses"] = json!([
            { "name": "main", "image": "m:1", "imageID": "m", "containerID": "c://m", "ready": true },
        ]);
    }
    object
}

fn list(native: bool) -> &'static str {
    if native { "initContainerStatuses" } else { "containerStatuses" }
}

fn member(object: &Value, settings: &Settings) -> Member {
    Member::new(&pod(object), settings).unwrap()
}

/// Performs a write; what it tests must be so.
fn perform(object: &mut Value, write: &Write) {
    let Request::Patch { patch: Patch::Json(operations), .. } = &write.request else {
        panic!("{write:?}")
    };
    let mut changes = Vec::new();
    for operation in operations.as_array().unwrap() {
        let there = object.pointer(operation["path"].as_str().unwrap()).unwrap_or(&Value::Null);
        match operation["op"].as_str() {
            Some("test") => assert_eq!(*there, operation["value"], "{operation}"),
            _ => changes.push(operation.clone()),
        }
    }
    let patch: json_patch::Patch = serde_json::from_value(json!(changes)).unwrap();
    json_patch::patch(object, &patch).unwrap();
}

fn update(object: &mut Value, settings: &Settings) -> Write {
    let member = member(object, settings);
    let write = Rewrite::new(&member, settings, (&"log-1".into(), 5000), now()).update();
    perform(object, &write);
    write
}

/// The kubelet started another container.
fn started(object: &mut Value, native: bool, id: &str, image: &str) {
    let at = usize::from(native);
    let status = &mut object["status"][list(native)][at];
    status["containerID"] = json!(id);
    status["image"] = json!(image);
    // Tag 1 keeps the ID that it has.
    let id = if image.ends_with(":1") {
        "example.com/agent@sha256:1"
    } else {
        &format!("{image}@sha256:1")
    };
    status["imageID"] = json!(id);
    status["state"] = json!({ "running": { "startedAt": "2026-02-01T00:00:10Z" } });
}

fn recorded(object: &Value) -> Value {
    let state: Value =
        serde_json::from_str(object["metadata"]["annotations"][STATE].as_str().unwrap()).unwrap();
    state["log"]["lastContainerStatuses"]["agent"].clone()
}

#[test]
fn a_container_with_the_image_overtaken_is_not_the_wanted_one() {
    for native in [false, true] {
        let mut object = start(native);
        update(&mut object, &settings(native, 2));
        let third = settings(native, 3);
        update(&mut object, &third);
        assert_eq!(
            recorded(&object),
            json!({ "imageID": "example.com/agent@sha256:1", "containerID": "c://1", "superseded": image(2), "madeFrom": image(1) })
        );
        started(&mut object, native, "c://2", &image(2));
        let half = member(&object, &third);
        assert!(!half.consistent && half.unavailable(), "native: {native}");
        assert_eq!(half.overtaken.len(), 1);
        started(&mut object, native, "c://3", &image(3));
        let whole = member(&object, &third);
        assert!(whole.consistent && whole.overtaken.is_empty(), "native: {native}");
    }
}

/// The same image under another tag, where the runtime tells the first name: it settles once, and is done.
#[test]
fn the_same_image_under_another_tag_settles_once() {
    for native in [false, true] {
        let mut object = start(native);
        let second = settings(native, 2);
        update(&mut object, &second);
        started(&mut object, native, "c://2", &image(1));
        let waits = member(&object, &second);
        assert_eq!(recorded(&object)["imageID"], "example.com/agent@sha256:1");
        assert!(!waits.consistent, "native: {native}");
        assert_eq!(waits.overtaken.len(), 1);
        for _ in 0..2 {
            let waits = member(&object, &second);
            let until = waits.overtaken[0].1;
            let write = Rewrite::new(&waits, &second, (&"log-1".into(), 5000), until).settle();
            perform(&mut object, &write);
        }
        assert_eq!(recorded(&object), json!({ "containerID": "c://1", "madeFrom": image(1) }));
        let done = member(&object, &second);
        assert!(done.consistent && done.overtaken.is_empty(), "native: {native}");
    }
}

/// The image comes back before the kubelet acted: it may see only that, and keep the container.
#[test]
fn a_container_that_gets_its_image_back_may_stay() {
    for native in [false, true] {
        let mut object = start(native);
        object["status"]["observedGeneration"] = json!(1);
        object["metadata"]["generation"] = json!(2);
        update(&mut object, &settings(native, 2));
        let first = settings(native, 1);
        update(&mut object, &first);
        assert_eq!(recorded(&object)["mayStay"], json!(true), "native: {native}");
        assert!(!member(&object, &first).consistent, "the kubelet may still act on the second");
        object["status"]["observedGeneration"] = json!(2);
        assert!(member(&object, &first).consistent, "it kept the container");
        started(&mut object, native, "c://2", &image(2));
        assert!(!member(&object, &first).consistent, "it acted on the second");
        started(&mut object, native, "c://3", &image(1));
        assert!(member(&object, &first).consistent);
    }
}

/// Digests are no proof either while the kubelet may be about to restart the container twice.
#[test]
fn a_digest_that_came_back_is_waited_for_too() {
    let digest = |tag: usize| format!("example.com/agent@sha256:{tag}");
    let of = |tag| {
        let spec = json!({ "containers": [{ "name": "agent", "image": digest(tag) }] });
        settings_with(&spec, Options::default())
    };
    let mut object = start(false);
    object["spec"]["containers"][0]["image"] = json!(digest(1));
    object["status"]["containerStatuses"][0]["image"] = json!(digest(1));
    object["status"]["observedGeneration"] = json!(1);
    object["metadata"]["generation"] = json!(2);
    update(&mut object, &of(2));
    update(&mut object, &of(1));
    assert!(!member(&object, &of(1)).consistent);
    object["status"]["observedGeneration"] = json!(2);
    assert!(member(&object, &of(1)).consistent);
}

/// Two names of one image: the runtime may report either. A container that the kubelet leaves alone is the wanted one.
#[test]
fn a_container_that_stays_at_the_name_overtaken_is_the_wanted_one_in_the_end() {
    for native in [false, true] {
        let mut object = start(native);
        update(&mut object, &settings(native, 2));
        let third = settings(native, 3);
        update(&mut object, &third);
        started(&mut object, native, "c://3", &image(2));
        let settles = member(&object, &third).overtaken[0].1;
        assert_eq!(settles, "2026-02-01T00:01:10Z".parse().unwrap());
        let at = |now, object: &mut Value| {
            let member = member(object, &third);
            let write = Rewrite::new(&member, &third, (&"log-1".into(), 5000), now).settle();
            perform(object, &write);
            Member::new(&pod(object), &third).unwrap().consistent
        };
        let early = settles.checked_sub(SignedDuration::from_secs(1)).unwrap();
        assert!(!at(early, &mut object));
        assert!(!at(settles, &mut object), "seen once is not enough");
        assert_eq!(recorded(&object)["staysSince"], json!(settles.to_string()));
        let settles = member(&object, &third).overtaken[0].1;
        assert_eq!(settles, "2026-02-01T00:02:10Z".parse().unwrap());
        assert!(at(settles, &mut object), "native: {native}");
    }
}

/// Of a container that OpenKruise updated only the time tells that it was restarted. The time moves on with the next update.
#[test]
fn what_openkruise_updated_stays_done_when_another_container_is_updated() {
    let spec = |tag: usize| {
        json!({ "containers": [
            { "name": "agent", "image": image(2) }, { "name": "other", "image": format!("o:{tag}") },
        ] })
    };
    let mut object = start(false);
    object["spec"]["containers"] = spec(1)["containers"].clone();
    let mut agent = object["status"]["containerStatuses"][0].clone();
    agent["state"] = json!({ "running": { "startedAt": "2026-01-01T00:00:10Z" } });
    let other = json!({ "name": "other", "image": "o:1", "imageID": "o1", "containerID": "c://o", "ready": true });
    object["status"]["containerStatuses"] = json!([agent, other]);
    let state = json!({ "log": {
        "revision": "r", "updateTimestamp": "2026-01-01T00:00:00Z",
        "lastContainerStatuses": { "agent": { "imageID": "example.com/agent@sha256:1" } },
    } });
    object["metadata"]["annotations"][STATE] = json!(state.to_string());
    let of = |tag| settings_with(&spec(tag), Options::default());
    assert!(member(&object, &of(2)).consistent);
    let time = |object: &Value| {
        let text = object["metadata"]["annotations"][STATE].as_str().unwrap().to_owned();
        serde_json::from_str::<Value>(&text).unwrap()["log"]["updateTimestamp"].clone()
    };
    update(&mut object, &of(1));
    assert_eq!(time(&object), "2026-01-01T00:00:00Z", "no image changed");
    update(&mut object, &of(2));
    assert_eq!(time(&object), "2026-02-01T00:00:00Z");
    let status = &mut object["status"]["containerStatuses"][1];
    json_patch::merge(status, &json!({ "image": "o:2", "imageID": "o2", "containerID": "c://p" }));
    assert!(member(&object, &of(2)).consistent);
}

/// The restart is told by the container's ID, so the patch tests it: of native sidecars too.
#[test]
fn the_container_that_was_seen_is_tested() {
    for native in [false, true] {
        let mut object = start(native);
        let write = update(&mut object, &settings(native, 2));
        let path = format!("/status/{}/{}/containerID", list(native), usize::from(native));
        let Request::Patch { patch: Patch::Json(operations), .. } = &write.request else {
            panic!("{write:?}")
        };
        let test = json!({ "op": "test", "path": path, "value": "c://1" });
        assert!(operations.as_array().unwrap().contains(&test), "{operations}");
    }
}
