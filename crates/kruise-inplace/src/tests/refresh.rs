//! The upkeep of a pod: at most one write, its whole body, and what the pod waits for (`inplace.md` §7, §12, §13).

use jiff::Timestamp;
use kruise_api::statefulset::v1beta1::Lifecycle;
use serde_json::{Value, json};

use super::pod::{Builder, NOW, now, sent, web_main};
use crate::lifecycle::HookPending;
use crate::progress::Missing;
use crate::refresh::{Context, Refresh, Waiting, refresh};

mod captured;
mod completion;
mod grace;
mod properties;

const STATE: &str = "/metadata/labels/lifecycle.apps.kruise.io~1state";
const TIME: &str = "/metadata/annotations/lifecycle.apps.kruise.io~1timestamp";

/// The upkeep of a pod at revision `web-a` while `web-a` is the update revision.
fn at(pod: &Builder, lifecycle: Option<&Lifecycle>, now: Timestamp) -> Refresh {
    refresh(&pod.build(), &Context { lifecycle, update_revision: "web-a" }, now)
}

/// What is written, without a hook.
fn writes(pod: &Builder) -> Value {
    sent(&at(pod, None, now()).writes)
}

/// An `inPlaceUpdate` and a `preNormal` hook with one label.
fn hooks() -> Lifecycle {
    let hook = json!({ "labelsHandler": { "a.io/hold": "yes" }, "markPodNotReady": true });
    serde_json::from_value(json!({ "inPlaceUpdate": hook, "preNormal": hook })).unwrap()
}

fn condition(kind: &str) -> Value {
    json!({ "type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": NOW })
}

#[test]
fn a_settled_pod_is_left_alone() {
    assert_eq!(at(&web_main(), None, now()), Refresh::default());
    let gated =
        web_main().gate("KruisePodReady").condition("KruisePodReady", &json!({ "status": "True" }));
    assert_eq!(at(&gated, None, now()), Refresh::default());
    let with_reason = json!({ "reason": "X", "message": "y" });
    let spoken = web_main().condition("InPlaceUpdateReady", &with_reason);
    assert_eq!(at(&spoken, None, now()), Refresh::default(), "a true gate may say something");
}

/// §7, §12.4, §22.1: nobody else makes a new pod ready.
#[test]
fn a_new_pod_gets_both_gates_in_one_write() {
    let new = web_main().gate("KruisePodReady").without_condition("InPlaceUpdateReady");
    let conditions = [condition("InPlaceUpdateReady"), condition("KruisePodReady")];
    assert_eq!(
        writes(&new),
        json!([{ "on": "pods/status", "merge": {
            "metadata": { "uid": "uid-web-0" },
            "status": { "conditions": conditions },
        }}])
    );
    assert_eq!(writes(&new.without_gates()), json!([]), "a pod without gates needs no condition");
}

/// §12.3: who is blocked stays blocked.
#[test]
fn a_pod_ready_gate_that_is_false_is_left_alone() {
    let blocked = json!({ "status": "False", "message": r#"[{"userAgent":"Other","key":"x"}]"# });
    let pod = web_main().gate("KruisePodReady").condition("KruisePodReady", &blocked);
    assert_eq!(writes(&pod), json!([]));
}

#[test]
fn a_lifecycle_state_alone_is_a_patch_of_the_pod() {
    assert_eq!(
        writes(&web_main().state("PreparingNormal")),
        json!([{ "on": "pods", "json": [
            { "op": "test", "path": "/metadata/uid", "value": "uid-web-0" },
            { "op": "test", "path": "/metadata/labels/controller-revision-hash", "value": "web-a" },
            { "op": "test", "path": STATE, "value": "PreparingNormal" },
            { "op": "replace", "path": STATE, "value": "Normal" },
            { "op": "add", "path": TIME, "value": NOW },
        ]}])
    );
}

#[test]
fn a_first_gate_and_a_state_travel_together() {
    let new = web_main().state("PreparingNormal").without_condition("InPlaceUpdateReady");
    assert_eq!(
        writes(&new),
        json!([{ "on": "pods/status", "merge": {
            "metadata": {
                "uid": "uid-web-0",
                "labels": { "lifecycle.apps.kruise.io/state": "Normal" },
                "annotations": { "lifecycle.apps.kruise.io/timestamp": NOW },
            },
            "status": { "conditions": [condition("InPlaceUpdateReady")] },
        }}])
    );
}

#[test]
fn a_state_that_a_hook_must_end_is_waited_for() {
    let pending = |hook| {
        let markers = "waits for label a.io/hold=yes".to_owned();
        Some(Waiting::Hook(HookPending { hook, markers }))
    };
    for (state, hook) in [("PreparingNormal", "preNormal"), ("Updated", "inPlaceUpdate")] {
        let pod = web_main().state(state);
        let waits = at(&pod, Some(&hooks()), now());
        assert_eq!(waits, Refresh { waiting: pending(hook), ..Refresh::default() }, "{state}");
        let done = at(&pod.label("a.io/hold", "yes"), Some(&hooks()), now());
        assert_eq!((done.writes.len(), done.waiting), (1, None), "{state}");
        assert_eq!(done.what, format!("{state} → Normal"));
    }
}

/// W6, kruise#1156: the user went back while the pod waited, and the hook's blocker must not stay.
#[test]
fn going_back_while_a_hook_holds_lets_the_pod_into_traffic_again() {
    let blocked = json!({
        "status": "False", "message": r#"[{"userAgent":"Lifecycle","key":"preUpdateHook"}]"#,
    });
    let pod = web_main()
        .state("PreparingUpdate")
        .label("a.io/hold", "yes")
        .gate("KruisePodReady")
        .condition("KruisePodReady", &blocked);
    let unblocked = json!({
        "type": "KruisePodReady", "status": "True", "message": "[]",
        "lastProbeTime": null, "lastTransitionTime": NOW,
    });
    let want = |state: &str| {
        let message = r#"[{"userAgent":"Lifecycle","key":"preUpdateHook"}]"#;
        json!([{ "on": "pods/status", "json": [
            { "op": "test", "path": "/metadata/uid", "value": "uid-web-0" },
            { "op": "test", "path": "/metadata/labels/controller-revision-hash", "value": "web-a" },
            { "op": "test", "path": "/status/conditions/3/type", "value": "KruisePodReady" },
            { "op": "test", "path": "/status/conditions/3/message", "value": message },
            { "op": "replace", "path": "/status/conditions/3", "value": unblocked },
            { "op": "test", "path": STATE, "value": "PreparingUpdate" },
            { "op": "replace", "path": STATE, "value": state },
            { "op": "add", "path": TIME, "value": NOW },
        ]}])
    };
    let got = |pod: &Builder| sent(&at(pod, Some(&hooks()), now()).writes);
    assert_eq!(got(&pod), want("Normal"));
    assert_eq!(got(&pod.clone().label("a.io/hold", "no")), want("Updated"));
    assert_eq!(writes(&pod), want("Normal"), "also if the hook was taken away meanwhile");
    assert_eq!(got(&pod.revision("web-old")), json!([]), "still wanted elsewhere");
}

/// W10: neither a panic nor a write, but a reason.
#[test]
fn what_cannot_be_read_stops_the_upkeep_and_is_named() {
    let state = "apps.kruise.io/inplace-update-state";
    let grace = "apps.kruise.io/inplace-update-grace";
    let texts = ["{", "[]", "7", "\"x\"", r#"{"revision":[]}"#, r#"{"revision":{}"#];
    let pod =
        web_main().state("Updating").condition("InPlaceUpdateReady", &json!({ "status": "False" }));
    for key in [state, grace] {
        for text in texts {
            let done = at(&pod.clone().annotation(key, text), None, now());
            assert_eq!(done.writes, [], "{key}: {text}");
            assert!(
                matches!(
                    &done.waiting,
                    Some(Waiting::Incomplete(Missing::Corrupt { key: named, .. })) if *named == key
                ),
                "{key}: {text}: {done:?}"
            );
        }
    }
}
