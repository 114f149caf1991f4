//! The state machine of hooks: every state with every set of markers, and the bodies of its writes (`inplace.md` §13).

use std::fmt::Write as _;

use kruise_api::raw::RawJson;
use kruise_api::statefulset::v1beta1::Lifecycle;
use serde_json::{Value, json};

use super::pod::{Builder, NOW, now, sent, web_main};
use crate::lifecycle::{
    DeleteGate, HookPending, UpdateGate, before_delete, before_update, initial_state, next, waits,
};
use crate::progress::Missing;

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

fn marks(gate: UpdateGate) -> Value {
    let UpdateGate::Mark(writes) = gate else { panic!("{gate:?}") };
    sent(&writes)
}

fn say(gate: &UpdateGate) -> &'static str {
    match gate {
        UpdateGate::Proceed => "proceed",
        UpdateGate::Wait(_) => "wait",
        UpdateGate::Mark(writes) if format!("{writes:?}").contains("a.io/hold") => {
            "mark with markers"
        }
        UpdateGate::Mark(_) => "mark",
        UpdateGate::NotAllowed(_) => "not allowed",
    }
}

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
    let mut row = |cells: [&str; 6]| {
        let [state, markers, before, idle, complete, own] = cells;
        writeln!(table, "{state:15} {markers:7} {before:18} {idle:8} {complete:14} {own}").unwrap();
    };
    row([
        "state",
        "markers",
        "before update",
        "next",
        "next, complete",
        "next, at the update revision",
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
            let before = before_update(&pod, hooks, now());
            let cells = [next("web-b", false), next("web-b", true), next("web-a", false)];
            row([shown, markers, say(&before), cells[0], cells[1], cells[2]]);
        }
    }
    assert_eq!(table, include_str!("../../tests/golden/lifecycle.txt"), "the table is\n{table}");
}

#[test]
fn a_hook_is_told_with_one_write() {
    assert_eq!(
        marks(before_update(&marked(gated()).build(), Some(&hooks(false)), now())),
        json!([{ "on": "pods", "merge": { "metadata": {
            "uid": "uid-web-0",
            "labels": { "lifecycle.apps.kruise.io/state": "PreparingUpdate" },
            "annotations": { "lifecycle.apps.kruise.io/timestamp": NOW },
        }}}])
    );
}

/// §22.1: condition and state in one patch of the status.
#[test]
fn a_hook_that_marks_pods_takes_them_out_of_traffic_in_the_same_write() {
    let want = |state: &str, key: &str| {
        json!([{ "on": "pods/status", "merge": {
            "metadata": {
                "uid": "uid-web-0",
                "labels": { "lifecycle.apps.kruise.io/state": state },
                "annotations": { "lifecycle.apps.kruise.io/timestamp": NOW },
            },
            "status": { "conditions": [
                {
                    "type": "KruisePodReady", "status": "False",
                    "message": format!(r#"[{{"userAgent":"Lifecycle","key":"{key}"}}]"#),
                    "lastProbeTime": null, "lastTransitionTime": NOW,
                },
                {
                    "type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady",
                    "message": "the status of pod readiness gate \"KruisePodReady\" is not \"True\", but False",
                    "lastProbeTime": null, "lastTransitionTime": NOW,
                },
            ]},
        }}])
    };
    let pod = marked(gated()).build();
    let update = marks(before_update(&pod, Some(&hooks(true)), now()));
    assert_eq!(update, want("PreparingUpdate", "preUpdateHook"));
    let DeleteGate::Mark(writes) = before_delete(&pod, Some(&hooks(true)), now()) else {
        panic!("not marked");
    };
    assert_eq!(sent(&writes), want("PreparingDelete", "preDeleteHook"));
}

/// L-13: nothing reads the condition of a pod without the gate.
#[test]
fn without_the_gate_a_pod_is_not_marked() {
    let writes = marks(before_update(&marked(web_main()).build(), Some(&hooks(true)), now()));
    assert_eq!(writes[0]["on"], "pods");
}

/// §13, "with handler": the user gets the chance to block again.
#[test]
fn a_newer_update_puts_the_markers_back() {
    let hooks = hooks(false);
    let pod = gated().state("Updated").build();
    let labels = json!({ "a.io/hold": "yes", "lifecycle.apps.kruise.io/state": "PreparingUpdate" });
    let writes = marks(before_update(&pod, Some(&hooks), now()));
    assert_eq!(writes.as_array().unwrap().len(), 1);
    assert_eq!(writes[0]["merge"]["metadata"]["labels"], labels);
    assert_eq!(writes[0]["merge"]["metadata"]["finalizers"], json!(["a.io/hold"]));
    let mut labels_only = hooks;
    labels_only.in_place_update.as_mut().unwrap().finalizers_handler.clear();
    let writes = marks(before_update(&pod, Some(&labels_only), now()));
    assert_eq!(writes[0]["merge"]["metadata"].get("finalizers"), None, "W13: not even []");
}

#[test]
fn who_waits_is_told_for_what() {
    let hooks = hooks(false);
    let pod = marked(web_main()).state("PreparingUpdate").build();
    let markers = "label a.io/hold=yes, finalizer a.io/hold".to_owned();
    let pending = HookPending { hook: "inPlaceUpdate", markers };
    assert_eq!(pending.to_string(), "inPlaceUpdate (label a.io/hold=yes, finalizer a.io/hold)");
    assert_eq!(before_update(&pod, Some(&hooks), now()), UpdateGate::Wait(pending));
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
    assert_eq!(before_update(&pod, None, now()), UpdateGate::NotAllowed(why));
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
