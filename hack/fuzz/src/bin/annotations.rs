//! Every decoder of annotations that users and other programs write: it answers, and what it accepts it can write again.
#![no_main]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use kruise_api::keys;
use kruise_common::intern::Interner;
use kruise_common::pod::{Pod, WirePod};
use kruise_common::table::Wire;
use kruise_common::write::{Patch, Request, Write};
use kruise_inplace::progress::progress;
use kruise_inplace::refresh::{Context, refresh};
use kruise_sidecarset::choose::skips;
use kruise_sidecarset::containers::{Entries, injected_sets, working, working_text};
use kruise_sidecarset::inplace::Rewrite;
use kruise_sidecarset::member::Member;
use kruise_sidecarset::object::{SidecarSet, WireSet};
use kruise_sidecarset::snapshot::{Invalid, Options, Settings};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const WORKING: &str = "kruise.io/sidecarset-working-hotupgrade-container";
const STATE: &str = "kruise.io/sidecarset-inplace-update-state";

/// A set with a sidecar of each kind.
static SETTINGS: LazyLock<Settings> = LazyLock::new(|| {
    let set = json!({ "metadata": { "name": "a" }, "spec": {
        "selector": { "matchLabels": { "app": "web" } },
        "initContainers": [{ "name": "native", "image": "n:2", "restartPolicy": "Always" }],
        "containers": [{ "name": "cold", "image": "c:2" }, {
            "name": "hot", "image": "h:2", "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e" },
        }],
    } });
    let wire: WireSet = serde_json::from_value(set).expect("a set");
    let options = Options { native_updates: true, ..Options::default() };
    settings(&wire.into_record(&Interner::default()), options).expect("settings")
});

fn settings(set: &SidecarSet, options: Options) -> Result<Settings, Invalid> {
    let hashes = set.content.as_ref().map(|content| content.computed.clone());
    Settings::new(set, hashes.unwrap_or_default(), options)
}

/// A pod of the set in which every annotation that is read says this.
fn pod(text: &str) -> Value {
    let annotations = [
        "kruise.io/sidecarset-hash",
        "kruise.io/sidecarset-hash-without-image",
        "version.sidecarset.kruise.io/hot-1",
        "version.sidecarset.kruise.io/hot-2",
        "versionalt.sidecarset.kruise.io/hot-1",
        "versionalt.sidecarset.kruise.io/hot-2",
        keys::RUNTIME_CONTAINERS_META,
        STATE,
    ];
    let mut annotations: BTreeMap<&str, &str> =
        annotations.into_iter().map(|key| (key, text)).collect();
    annotations.insert("kruise.io/sidecarset-injected-list", "a");
    let map = if working(&BTreeMap::from([(WORKING.to_owned(), text.to_owned())]))
        .is_some_and(|map| map.contains_key("hot"))
    {
        text
    } else {
        r#"{"hot":"hot-1"}"#
    };
    annotations.insert(WORKING, map);
    let status = |name: &str, image: &str| {
        json!({ "name": name, "image": image, "imageID": "i", "containerID": format!("c://{name}"), "ready": false,
                "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } } })
    };
    json!({
        "metadata": { "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1", "annotations": annotations },
        "spec": {
            "initContainers": [{ "name": "native", "image": "n:1", "restartPolicy": "Always" }],
            "containers": [{ "name": "cold", "image": "c:1" }, { "name": "hot-1", "image": "h:1" }, { "name": "hot-2", "image": "e" }],
        },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "SidecarSetUpgradable", "status": "False", "message": text }],
            "initContainerStatuses": [status("native", "n:1")],
            "containerStatuses": [status("cold", "c:1"), status("hot-1", "h:1"), status("hot-2", "e")],
        },
    })
}

fn record(pod: &Value) -> Arc<Pod> {
    let wire: WirePod = serde_json::from_value(pod.clone()).expect("a pod");
    Arc::new(wire.into_record(&Interner::default()))
}

/// What the write makes of the pod; everything that it tests is so.
fn performed(mut pod: Value, write: &Write) -> Value {
    let operations = match &write.request {
        Request::Patch { patch: Patch::Json(operations), .. } => operations,
        // The first word of the gate tests nothing but the UID.
        Request::Patch { .. } => return pod,
        _ => panic!("{write:?}"),
    };
    for operation in operations.as_array().expect("operations") {
        let path = operation["path"].as_str().expect("a path");
        if operation["op"] == "test" {
            assert_eq!(pod.pointer(path).unwrap_or(&Value::Null), &operation["value"], "{path}");
        } else {
            let one: json_patch::Patch = serde_json::from_value(json!([operation])).expect("it");
            json_patch::patch(&mut pod, &one).expect("it applies");
        }
    }
    pod
}

/// Whatever the annotations say: the pod is a member, and after an update what is written can be read.
fn updated(text: &str) {
    let before = pod(text);
    let member = Member::new(&record(&before), &SETTINGS).expect("it has all containers");
    let rewrite = || Rewrite::new(&member, &SETTINGS, (&*REVISION, 7), Timestamp::UNIX_EPOCH);
    let _ = (rewrite().reset(), rewrite().turn_back(), rewrite().settle());
    let after = performed(before, &rewrite().update());
    let member = Member::new(&record(&after), &SETTINGS).expect("still");
    assert!(member.updated && member.touched, "{after}");
    let state = after["metadata"]["annotations"][STATE].as_str().expect("a state");
    let state: Value = serde_json::from_str(state).expect("a state that can be read");
    let last = &state["a"]["lastContainerStatuses"];
    assert!(last["cold"]["containerID"] == "c://cold" && last["native"].is_object(), "{state}");
}

/// A set whose every annotation says this: it has settings, or the reason why not; a canary replaces what it says.
fn set(text: &str) {
    let annotations = [
        "kruise.io/sidecarset-hash",
        "kruise.io/sidecarset-hash-without-image",
        "apps.kruise.io/sidecarset-base",
        "kruise.io/sidecarset-progress-deadline-seconds",
        "kruise.io/sidecarset-evict-not-upgradable",
        "kruise.io/sidecarset-evict-not-injected",
        "kruise.io/sidecarset-update-not-ready-within-budget",
        "kruise.io/sidecarset-pod-volumes",
        "kruise.io/sidecarset-share-from-init",
    ];
    let mut annotations: BTreeMap<&str, &str> =
        annotations.into_iter().map(|key| (key, text)).collect();
    annotations.insert("apps.kruise.io/sidecarset-canary", "true");
    let set = json!({ "metadata": { "name": "a", "annotations": annotations }, "spec": {
        "selector": { "matchLabels": { "app": "web" } }, "containers": [{ "name": "cold", "image": "c:2" }],
    } });
    let wire: WireSet = serde_json::from_value(set).expect("a set");
    let set = wire.into_record(&Interner::default());
    assert_eq!(set.replaces().unwrap_or_default(), text);
    match settings(&set, Options::default()) {
        Ok(settings) => assert!(settings.deadline.is_some_and(|wait| wait.is_positive()), "{text}"),
        Err(invalid) => assert!(invalid.field.contains("deadline"), "{invalid}"),
    }
    let names = BTreeMap::from([("kruise.io/sidecarset-skip".to_owned(), text.to_owned())]);
    let _ = skips(&names, "a");
}

/// A pod of a workload whose annotations of in-place updates say this: it is looked after, and what is to be written
/// applies to it.
fn in_place(text: &str) {
    for key in [
        keys::INPLACE_UPDATE_STATE,
        keys::INPLACE_UPDATE_STATE_LEGACY,
        keys::INPLACE_UPDATE_GRACE,
        keys::INPLACE_UPDATE_GRACE_LEGACY,
    ] {
        let annotations = BTreeMap::from([
            (key, text),
            (keys::LIFECYCLE_TIMESTAMP, text),
            (keys::RUNTIME_CONTAINERS_META, text),
            (keys::SIDECARSET_INJECTED_LIST, text),
        ]);
        let mut before = pod("{}");
        before["metadata"]["annotations"] = json!(annotations);
        before["spec"]["readinessGates"] = json!([{ "conditionType": keys::INPLACE_UPDATE_READY }]);
        let record = record(&before);
        assert!(record.injected.iter().all(|set| !set.is_empty()));
        let _ = progress(&record);
        let context = Context { lifecycle: None, update_revision: "b" };
        let writes = refresh(&record, &context, Timestamp::UNIX_EPOCH).writes;
        let _ = writes.iter().fold(before, performed);
    }
}

static REVISION: LazyLock<Arc<str>> = LazyLock::new(|| "a-1".into());

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(entries) = Entries::parse(Some(text)) {
        let _ = (entries.hash("a"), entries.revision("a"), entries.contains("a"));
        let written = entries.encode().expect("what was read can be written");
        let again = Entries::parse(Some(&written)).expect("what was written can be read");
        assert_eq!(again.encode().as_ref(), Ok(&written));
    }
    let annotations: BTreeMap<String, String> =
        ["kruise.io/sidecarset-injected-list", WORKING]
            .map(|key| (key.to_owned(), text.to_owned()))
            .into();
    assert!(injected_sets(&annotations).iter().all(|set| !set.is_empty()));
    if let Some(map) = working(&annotations) {
        let written = working_text(&map);
        let again = BTreeMap::from([(WORKING.to_owned(), written)]);
        assert_eq!(working(&again), Some(map));
    }
    updated(text);
    set(text);
    in_place(text);
});
