//! Conditions as they go on the wire (`inplace.md` §3.4, §12).

use serde_json::{Value, json};

use super::pod::{Builder, NOW, now, web_main};
use crate::conditions::{block, gate_true, ready_false, unblock};

const BLOCKED: &str = r#"[{"userAgent":"Lifecycle","key":"preUpdateHook"}]"#;
const BLOCKED_BY_TWO: &str =
    r#"[{"userAgent":"Lifecycle","key":"preUpdateHook"},{"userAgent":"Other","key":"x"}]"#;
const BLOCKED_BY_OTHER: &str = r#"[{"userAgent":"Other","key":"x"}]"#;

fn gated(status: &str, message: &str) -> Builder {
    let condition = json!({ "status": status, "message": message });
    web_main().gate("KruisePodReady").condition("KruisePodReady", &condition)
}

fn pod_ready(status: &str, message: &str) -> Value {
    json!({
        "type": "KruisePodReady", "status": status, "message": message,
        "lastProbeTime": null, "lastTransitionTime": NOW,
    })
}

#[test]
fn a_true_gate_has_neither_reason_nor_message() {
    let want = json!({
        "type": "InPlaceUpdateReady", "status": "True", "lastProbeTime": null, "lastTransitionTime": NOW,
    });
    assert_eq!(gate_true("InPlaceUpdateReady", now()), want);
}

#[test]
fn ready_falls_only_from_true_while_the_containers_are_ready() {
    let falls = |pod: Builder| ready_false(&pod.build(), "InPlaceUpdateReady", now()).is_some();
    assert!(falls(web_main()));
    assert!(!falls(web_main().condition("Ready", &json!({ "status": "False" }))));
    assert!(!falls(web_main().condition("ContainersReady", &json!({ "status": "False" }))));
    assert!(!falls(web_main().without_condition("Ready")));
    assert!(!falls(web_main().without_condition("ContainersReady")));
    assert!(!falls(web_main().without_gates()), "no gate that keeps it from being ready");
}

/// §12.2: word for word what the kubelet will say, in the order of the gates.
#[test]
fn ready_falls_with_the_kubelets_words() {
    let pod = web_main()
        .gate("a.io/absent")
        .gate("a.io/down")
        .gate("a.io/up")
        .condition("a.io/down", &json!({ "status": "False" }))
        .condition("a.io/up", &json!({ "status": "True" }));
    let want = "the status of pod readiness gate \"InPlaceUpdateReady\" is not \"True\", but False, corresponding condition of pod readiness gate \"a.io/absent\" does not exist., the status of pod readiness gate \"a.io/down\" is not \"True\", but False";
    let ready = ready_false(&pod.build(), "InPlaceUpdateReady", now()).unwrap();
    assert_eq!(ready["message"], want);
    let first = web_main().without_condition("InPlaceUpdateReady").build();
    let ready = ready_false(&first, "InPlaceUpdateReady", now()).unwrap();
    let want = "the status of pod readiness gate \"InPlaceUpdateReady\" is not \"True\", but False";
    assert_eq!(ready["message"], want, "the condition comes with the same write");
}

#[test]
fn a_blocker_is_added_once_and_those_of_others_survive() {
    let block = |pod: Builder| block(&pod.build(), "preUpdateHook", now());
    assert_eq!(block(gated("True", "[]")), Some(pod_ready("False", BLOCKED)));
    assert_eq!(block(gated("False", BLOCKED_BY_OTHER)), Some(pod_ready("False", BLOCKED_BY_TWO)));
    assert_eq!(block(gated("False", BLOCKED_BY_TWO)), None, "there already");
    assert_eq!(
        block(gated("True", BLOCKED)),
        Some(pod_ready("False", BLOCKED)),
        "listed but not down"
    );
    let absent = web_main().gate("KruisePodReady");
    assert_eq!(block(absent), Some(pod_ready("False", BLOCKED)), "W15: never without a status");
    let ungated = web_main().condition("KruisePodReady", &json!({ "status": "True" }));
    assert_eq!(block(ungated), None);
}

#[test]
fn the_last_blocker_that_goes_lets_the_pod_into_traffic() {
    let unblock = |pod: Builder| unblock(&pod.build(), "preUpdateHook", now());
    assert_eq!(unblock(gated("False", BLOCKED)), Some(pod_ready("True", "[]")));
    assert_eq!(unblock(gated("False", BLOCKED_BY_TWO)), Some(pod_ready("False", BLOCKED_BY_OTHER)));
    assert_eq!(unblock(gated("False", BLOCKED_BY_OTHER)), None, "not ours to remove");
    assert_eq!(unblock(gated("False", "nonsense")), None);
    assert_eq!(unblock(web_main().gate("KruisePodReady")), None);
}
