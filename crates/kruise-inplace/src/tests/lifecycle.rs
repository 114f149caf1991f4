//! The state machine of hooks: every state with every set of markers, and the bodies of its writes (`inplace.md` §13).

use std::fmt::Write as _;

use kruise_api::raw::RawJson;
use kruise_api::statefulset::v1beta1::Lifecycle;
use kruise_common::write::Write;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::pod::{Builder, NOW, now, put, sent, web_main};
use crate::begin::{Target, begin};
use crate::diff::Change;
use crate::lifecycle::{
    Announced, DeleteGate, HookPending, UpdateGate, before_delete, before_update, cancel,
    initial_state, next, state, waits,
};
use crate::progress::Missing;
use crate::refresh::{Context, refresh};

/// One hook, held by a label and a finalizer, at all three places.
fn hooks(mark_pod_not_ready: bool) -> Lifecycle {
    let hook = json!({
        "labelsHandler": { "a.io/hold": "yes" },
        "finalizersHandler": ["a.io/hold"],
        "markPodNotReady": mark_pod_not_ready,
    });
    serde_json::from_value(json!({ "preDelete": hook, "inPlaceUpdate": hook, "preNormal": hook }))
        .unwrap()
}

fn marked(pod: Builder) -> Builder {
    pod.label("a.io/hold", "yes").finalizers(&["a.io/hold"])
}

/// In traffic as far as `KruisePodReady` goes.
fn gated() -> Builder {
    web_main()
        .gate("KruisePodReady")
        .condition("KruisePodReady", &json!({ "status": "True", "message": "[]" }))
}

/// What is announced.
fn announced() -> Announced<'static> {
    Announced { revision: "web-2", containers: vec!["main"] }
}

fn marks(gate: UpdateGate) -> Value {
    let UpdateGate::Mark(writes) = gate else { panic!("{gate:?}") };
    sent(&writes)
}

fn say(gate: &UpdateGate) -> &'static str {
    match gate {
        UpdateGate::Proceed => "proceed",
        UpdateGate::Wait(_) => "wait",
        UpdateGate::Mark(writes) if format!("{writes:?}").contains("a.io~1hold") => {
            "mark with markers"
        }
        UpdateGate::Mark(_) => "mark",
        UpdateGate::NotAllowed(_) => "not allowed",
    }
}

/// The lifecycle state that writes enter, and whether they put markers back.
fn put_state(writes: &[Write]) -> String {
    if writes.is_empty() {
        return "-".to_owned();
    }
    let state = put(writes, "/metadata/labels/lifecycle.apps.kruise.io~1state").unwrap();
    let markers = put(writes, "/metadata/labels/a.io~1hold").map_or("", |_| "+");
    format!("{}{markers}", state.as_str().unwrap())
}

/// Facts of every row: the state, and which markers of the hook are on the pod; the hook is `preDelete`, `inPlaceUpdate`
/// and `preNormal` at once.
#[test]
fn every_state_with_every_set_of_markers() {
    let states = [
        "",
        "PreparingNormal",
        "Normal",
        "PreparingUpdate",
        "Updating",
        "Updated",
        "PreparingDelete",
        "Unknown",
    ];
    let hooks = hooks(false);
    let mut table = String::new();
    let mut row = |cells: [&str; 9]| {
        let [state, markers, before, idle, complete, own, delete, not, waits] = cells;
        let next = format!("{idle:8} {complete:14} {own:15}");
        let line =
            format!("{state:15} {markers:7} {before:18} {next} {delete:13} {not:12} {waits}");
        writeln!(table, "{}", line.trim_end()).unwrap();
    };
    row([
        "state",
        "markers",
        "before update",
        "next",
        "when complete",
        "at the revision",
        "before delete",
        "not wanted",
        "waits for",
    ]);
    for state in states {
        for markers in ["no hook", "none", "some", "all"] {
            let pod = match markers {
                "some" => web_main().label("a.io/hold", "yes"),
                "all" => marked(web_main()),
                _ => web_main().label("a.io/hold", "no"),
            };
            let pod = pod.state(state).build();
            let hooks = (markers != "no hook").then_some(&hooks);
            let next = |revision, complete| next(&pod, hooks, revision, complete).unwrap_or("-");
            let shown = if state.is_empty() { "-" } else { state };
            let before = before_update(&pod, hooks, &announced(), now());
            let [idle, complete, own] =
                [next("web-b", false), next("web-b", true), next("web-a", false)];
            let delete = match before_delete(&pod, hooks, now()) {
                DeleteGate::Delete => "delete",
                DeleteGate::Wait(_) => "wait",
                DeleteGate::Mark(_) => "mark",
            };
            let cancelled = cancel(&pod, hooks, now());
            let back = put_state(&cancelled);
            let waits = waits(&pod, hooks).map_or("-", |pending| pending.hook);
            row([shown, markers, say(&before), idle, complete, own, delete, &back, waits]);
        }
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/lifecycle.txt");
    if std::env::var_os("ACCEPT").is_some() {
        std::fs::write(golden, &table).unwrap();
    }
    assert_eq!(table, std::fs::read_to_string(golden).unwrap(), "the table is\n{table}");
}

/// The operations that leave `from` for `to`.
fn entering(from: &str, to: &str) -> Vec<Value> {
    let state = "/metadata/labels/lifecycle.apps.kruise.io~1state";
    let time = "/metadata/annotations/lifecycle.apps.kruise.io~1timestamp";
    let told = "/metadata/annotations/apps.kruise.io~1inplace-update-announced";
    let update = r#"{"revision":"web-2","containers":["main"]}"#;
    let mut all = vec![
        json!({ "op": "test", "path": "/metadata/uid", "value": "uid-web-0" }),
        json!({ "op": "test", "path": state, "value": from }),
    ];
    if to == "PreparingUpdate" {
        all.push(json!({ "op": "add", "path": told, "value": update }));
    }
    all.push(json!({ "op": "add", "path": state, "value": to }));
    all.push(json!({ "op": "add", "path": time, "value": NOW }));
    all
}

/// With W-23 of the set: the owner of the hook reads which containers will go to which revision.
#[test]
fn a_hook_is_told_with_one_write() {
    assert_eq!(
        marks(before_update(&marked(gated()).build(), Some(&hooks(false)), &announced(), now())),
        json!([{ "on": "pods", "json": entering("Normal", "PreparingUpdate") }])
    );
}

/// W-23 of the set: the annotation is there as long as the pod waits, and names the update that it waits for.
#[test]
fn what_a_hook_was_told_is_what_it_holds_up() {
    const TOLD: &str = "/metadata/annotations/apps.kruise.io~1inplace-update-announced";
    let hooks = hooks(false);
    let told = |cluster: &Cluster| cluster.value().pointer(TOLD).cloned();
    let update = |cluster: &Cluster, announced: &Announced<'_>| {
        before_update(&cluster.pod(), Some(&hooks), announced, now())
    };
    let mut cluster = Cluster::new(&marked(gated()));
    let UpdateGate::Mark(writes) = update(&cluster, &announced()) else { panic!("not marked") };
    cluster.perform(&writes);
    assert!(matches!(update(&cluster, &announced()), UpdateGate::Wait(_)), "it knows");
    let newer = Announced { revision: "web-3", containers: vec!["main", "side"] };
    let UpdateGate::Mark(again) = update(&cluster, &newer) else { panic!("not told anew") };
    let late = again.clone();
    cluster.perform(&again);
    let text = r#"{"revision":"web-3","containers":["main","side"]}"#;
    assert_eq!(told(&cluster), Some(json!(text)));
    assert!(matches!(update(&cluster, &newer), UpdateGate::Wait(_)));

    let mut called_off = cluster.clone();
    let writes = cancel(&called_off.pod(), Some(&hooks), now());
    called_off.perform(&writes);
    assert_eq!(told(&called_off), None);
    assert!(called_off.world.perform(&late[0]).is_err(), "nobody waits any more");

    let mut deleted = cluster.clone();
    let DeleteGate::Mark(writes) = before_delete(&deleted.pod(), Some(&hooks), now()) else {
        panic!("not marked");
    };
    deleted.perform(&writes);
    assert_eq!(told(&deleted), None);

    let mut rolled_back = cluster.clone();
    let context = Context { lifecycle: Some(&hooks), update_revision: "web-a" };
    let writes = refresh(&rolled_back.pod(), &context, now()).writes;
    rolled_back.perform(&writes);
    assert_eq!((told(&rolled_back), state(&rolled_back.pod())), (None, "Normal"));

    let change =
        Change { images: [("main".into(), "reg.io/main:v3".into())].into(), ..Change::default() };
    let target = Target { revision: "web-3", grace_seconds: 0 };
    let writes = begin(&cluster.pod(), &change, &target, now());
    cluster.perform(&writes);
    assert_eq!((told(&cluster), state(&cluster.pod())), (None, "Updating"));

    // One that OpenKruise announced is left as it is.
    let silent = Cluster::new(&marked(gated()).state("PreparingUpdate"));
    assert!(matches!(update(&silent, &newer), UpdateGate::Wait(_)));
}

/// §22.1: condition and state in one patch of the status.
#[test]
fn a_hook_that_marks_pods_takes_them_out_of_traffic_in_the_same_write() {
    let want = |state: &str, key: &str| {
        let ready = |member: &str| format!("/status/conditions/1/{member}");
        let message =
            "the status of pod readiness gate \"KruisePodReady\" is not \"True\", but False";
        let gate = json!({
            "type": "KruisePodReady", "status": "False",
            "message": format!(r#"[{{"userAgent":"Lifecycle","key":"{key}"}}]"#),
            "lastProbeTime": null, "lastTransitionTime": NOW,
        });
        let mut all = entering("Normal", state);
        all.extend([
            json!({ "op": "test", "path": "/status/conditions/3/type", "value": "KruisePodReady" }),
            json!({ "op": "test", "path": "/status/conditions/3/message", "value": "[]" }),
            json!({ "op": "replace", "path": "/status/conditions/3", "value": gate }),
            json!({ "op": "test", "path": ready("type"), "value": "Ready" }),
            json!({ "op": "test", "path": ready("reason"), "value": null }),
            json!({ "op": "add", "path": ready("status"), "value": "False" }),
            json!({ "op": "add", "path": ready("reason"), "value": "ReadinessGatesNotReady" }),
            json!({ "op": "add", "path": ready("message"), "value": message }),
            json!({ "op": "add", "path": ready("lastTransitionTime"), "value": NOW }),
        ]);
        json!([{ "on": "pods/status", "json": all }])
    };
    let pod = marked(gated()).build();
    let update = marks(before_update(&pod, Some(&hooks(true)), &announced(), now()));
    assert_eq!(update, want("PreparingUpdate", "preUpdateHook"));
    let DeleteGate::Mark(writes) = before_delete(&pod, Some(&hooks(true)), now()) else {
        panic!("not marked");
    };
    assert_eq!(sent(&writes), want("PreparingDelete", "preDeleteHook"));
}

/// §12.3: the list has entries of others; one that came since it was read must not be lost.
#[test]
fn a_blocker_that_came_meanwhile_is_not_lost() {
    let pod = marked(gated());
    let UpdateGate::Mark(late) =
        before_update(&pod.build(), Some(&hooks(true)), &announced(), now())
    else {
        panic!("not marked");
    };
    let mut cluster = Cluster::new(&pod);
    cluster.edit(|pod| {
        pod["status"]["conditions"][3]["message"] = json!(r#"[{"userAgent":"Other","key":"x"}]"#);
        pod["status"]["conditions"][3]["status"] = json!("False");
    });
    assert!(cluster.world.perform(&late[0]).is_err());
    let UpdateGate::Mark(again) =
        before_update(&cluster.pod(), Some(&hooks(true)), &announced(), now())
    else {
        panic!("not marked");
    };
    cluster.perform(&again);
    let message = cluster.pod().condition("KruisePodReady").unwrap().message.clone();
    let both =
        r#"[{"userAgent":"Lifecycle","key":"preUpdateHook"},{"userAgent":"Other","key":"x"}]"#;
    assert_eq!(message.as_deref(), Some(both));
}

/// Two that decide at once: whoever comes second decides anew.
#[test]
fn a_state_that_was_left_meanwhile_is_not_overwritten() {
    let pod = marked(gated());
    let DeleteGate::Mark(late) = before_delete(&pod.build(), Some(&hooks(false)), now()) else {
        panic!("not marked");
    };
    let mut cluster = Cluster::new(&pod.state("PreparingUpdate"));
    assert!(cluster.world.perform(&late[0]).is_err());
}

/// L-13: nothing reads the condition of a pod without the gate.
#[test]
fn without_the_gate_a_pod_is_not_marked() {
    let writes =
        marks(before_update(&marked(web_main()).build(), Some(&hooks(true)), &announced(), now()));
    assert_eq!(writes[0]["on"], "pods");
}

/// §13, "with handler": the user gets the chance to block again.
#[test]
fn a_newer_update_puts_the_markers_back() {
    let hooks = hooks(false);
    let pod = gated().state("Updated").build();
    let UpdateGate::Mark(writes) = before_update(&pod, Some(&hooks), &announced(), now()) else {
        panic!("not marked");
    };
    assert_eq!(writes.len(), 1);
    assert_eq!(put(&writes, "/metadata/labels/a.io~1hold"), Some(json!("yes")));
    let state = put(&writes, "/metadata/labels/lifecycle.apps.kruise.io~1state");
    assert_eq!(state, Some(json!("PreparingUpdate")));
    assert_eq!(put(&writes, "/metadata/finalizers"), Some(json!(["a.io/hold"])));
    let mut labels_only = hooks;
    labels_only.in_place_update.as_mut().unwrap().finalizers_handler.clear();
    let writes = marks(before_update(&pod, Some(&labels_only), &announced(), now()));
    assert!(!writes.to_string().contains("finalizers"), "W13: not even []: {writes}");
}

#[test]
fn who_waits_is_told_for_what() {
    let hooks = hooks(false);
    let pod = marked(web_main()).state("PreparingUpdate").build();
    let markers = "label a.io/hold=yes, finalizer a.io/hold".to_owned();
    let pending = HookPending { hook: "inPlaceUpdate", markers };
    assert_eq!(pending.to_string(), "inPlaceUpdate (label a.io/hold=yes, finalizer a.io/hold)");
    assert_eq!(before_update(&pod, Some(&hooks), &announced(), now()), UpdateGate::Wait(pending));
    for (state, hook) in [("PreparingNormal", "preNormal"), ("Updated", "inPlaceUpdate")] {
        let pod = web_main().state(state).label("a.io/hold", "yes");
        let markers = "waits for finalizer a.io/hold".to_owned();
        assert_eq!(
            waits(&pod.build(), Some(&hooks)),
            Some(HookPending { hook, markers }),
            "{state}"
        );
        assert_eq!(waits(&marked(pod).build(), Some(&hooks)), None, "{state}");
    }
}

#[test]
fn a_pod_that_is_to_be_deleted_is_not_updated() {
    let pod = web_main().state("PreparingDelete").build();
    let why = Missing::Lifecycle { state: "PreparingDelete".to_owned() };
    assert_eq!(before_update(&pod, None, &announced(), now()), UpdateGate::NotAllowed(why));
}

/// M-30.
#[test]
fn a_pod_is_deleted_once_no_marker_is_on_it() {
    let hooks = hooks(false);
    let is_marked = |gate| matches!(gate, DeleteGate::Mark(writes) if writes.len() == 1);
    let free = web_main().label("a.io/hold", "no").build();
    assert_eq!(before_delete(&free, Some(&hooks), now()), DeleteGate::Delete);
    assert_eq!(before_delete(&marked(web_main()).build(), None, now()), DeleteGate::Delete);
    let held = web_main().finalizers(&["a.io/other", "a.io/hold"]);
    assert!(is_marked(before_delete(&held.build(), Some(&hooks), now())), "any marker holds");
    let markers = "finalizer a.io/hold".to_owned();
    let pending = HookPending { hook: "preDelete", markers };
    let told = held.state("PreparingDelete").build();
    assert_eq!(before_delete(&told, Some(&hooks), now()), DeleteGate::Wait(pending));
}

/// M-11b.
#[test]
fn a_new_pod_is_normal_if_its_template_has_every_marker() {
    let hooks = hooks(false);
    let empty: Lifecycle = serde_json::from_value(json!({ "preNormal": {} })).unwrap();
    let none = json!({ "metadata": null });
    let part = json!({ "metadata": { "labels": { "a.io/hold": "yes" } } });
    let all =
        json!({ "metadata": { "labels": { "a.io/hold": "yes" }, "finalizers": ["a.io/hold"] } });
    let cases = [
        ("no lifecycle", None, &none, "Normal"),
        ("no preNormal hook", Some(&Lifecycle::default()), &none, "Normal"),
        ("an empty hook", Some(&empty), &none, "Normal"),
        ("no marker", Some(&hooks), &none, "PreparingNormal"),
        ("some markers", Some(&hooks), &part, "PreparingNormal"),
        ("all markers", Some(&hooks), &all, "Normal"),
        ("a template that cannot be read", Some(&hooks), &json!([]), "PreparingNormal"),
    ];
    for (sentence, lifecycle, template, want) in cases {
        let template = RawJson::from_string(template.to_string()).unwrap();
        assert_eq!(initial_state(lifecycle, &template), want, "{sentence}");
    }
}

/// Hooks with markers of their own, that the owner of one of them has taken away.
fn apart() -> Lifecycle {
    let hook = |name: &str| json!({ "labelsHandler": { name: "on" } });
    let all = json!({ "preDelete": hook("keep"), "inPlaceUpdate": hook("drain"), "preNormal": hook("warm") });
    serde_json::from_value(all).unwrap()
}

/// L-2, L-9: what another hook waits for is not forgotten because a deletion came and went in between.
#[test]
fn a_deletion_that_is_called_off_leads_back_to_what_the_pod_waits_for() {
    let batch = json!([{ "timestamp": NOW, "containers": ["main"] }]);
    let state = |id: &str| {
        json!({
            "revision": "web-a", "updateTimestamp": NOW, "updateImages": true, "containerBatchesRecord": batch,
            "lastContainerStatuses": { "main": { "imageID": "reg.io/main:v1@sha256:1", "containerID": id } },
        })
    };
    let back = |pod: Builder| {
        let pod = pod.state("PreparingDelete").build();
        put_state(&cancel(&pod, Some(&apart()), now()))
    };
    let all = || web_main().label("warm", "on").label("drain", "on");
    assert_eq!(back(all()), "Normal");
    assert_eq!(back(web_main().label("drain", "on")), "PreparingNormal", "it was never let in");
    let updated = |id| web_main().label("warm", "on").updated(&state(id));
    assert_eq!(back(updated("containerd://main-1")), "Updating", "its container is the old one");
    assert_eq!(back(updated("containerd://main-0")), "Updated", "its hook has not let it in again");
    assert_eq!(back(all().updated(&state("containerd://main-0"))), "Normal");
}

/// L-9: a pod that was never let in is not let in because an update that was announced is not wanted any more.
#[test]
fn an_update_that_is_called_off_leads_back_to_what_the_pod_waits_for() {
    let tell = |pod: Builder| {
        let mut cluster = Cluster::new(&pod.label("drain", "on"));
        let gate = before_update(&cluster.pod(), Some(&apart()), &announced(), now());
        let UpdateGate::Mark(writes) = gate else { panic!("{gate:?}") };
        cluster.perform(&writes);
        cluster
    };
    let back = |cluster: &Cluster| put_state(&cancel(&cluster.pod(), Some(&apart()), now()));
    let rolled_back = |cluster: &Cluster| {
        let context = Context { lifecycle: Some(&apart()), update_revision: "web-a" };
        put_state(&refresh(&cluster.pod(), &context, now()).writes)
    };
    let cold = web_main().state("PreparingNormal");
    let state = json!({ "revision": "web-a", "updateTimestamp": NOW });
    for pod in [cold.clone(), cold.clone().updated(&state)] {
        let mut cluster = tell(pod);
        for _ in 0..2 {
            assert_eq!(
                (back(&cluster), rolled_back(&cluster)),
                ("PreparingNormal".into(), "PreparingNormal".into())
            );
            let other = Announced { revision: "web-3", containers: vec!["main"] };
            let gate = before_update(&cluster.pod(), Some(&apart()), &other, now());
            // Of another update it is told once.
            if let UpdateGate::Mark(writes) = gate {
                cluster.perform(&writes);
            }
        }
        cluster.edit(|pod| pod["metadata"]["labels"]["warm"] = json!("on"));
        assert_eq!(
            (back(&cluster), rolled_back(&cluster)),
            ("Normal".into(), "Normal".into()),
            "it was let in meanwhile"
        );
    }
    // Made before the set had a hook.
    let served = tell(web_main());
    assert_eq!((back(&served), rolled_back(&served)), ("Normal".into(), "Normal".into()));
    let openkruise = web_main().state("PreparingUpdate").label("drain", "on");
    assert_eq!(back(&Cluster::new(&openkruise)), "Normal", "it does not say where it was");
}

/// L-9, W6: whoever goes back to his `preNormal` hook is kept out of traffic by that alone.
#[test]
fn an_update_that_is_called_off_leaves_no_blocker_behind() {
    let hook = |name: &str| json!({ "labelsHandler": { name: "on" }, "markPodNotReady": true });
    let all = json!({ "inPlaceUpdate": hook("drain"), "preNormal": hook("warm") });
    let hooks: Lifecycle = serde_json::from_value(all).unwrap();
    let pod = gated().state("PreparingNormal").label("drain", "on");
    let mut cluster = Cluster::new(&pod);
    let gate = before_update(&cluster.pod(), Some(&hooks), &announced(), now());
    let UpdateGate::Mark(writes) = gate else { panic!("{gate:?}") };
    cluster.perform(&writes);
    assert!(!cluster.pod().condition("KruisePodReady").unwrap().status);
    let context = Context { lifecycle: Some(&hooks), update_revision: "web-a" };
    cluster.perform(&refresh(&cluster.pod(), &context, now()).writes);
    assert_eq!(state(&cluster.pod()), "PreparingNormal");
    assert!(cluster.pod().condition("KruisePodReady").unwrap().status);
}
