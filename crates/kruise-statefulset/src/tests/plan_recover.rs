//! What an ordered rollout that stands is called.

use serde_json::{Value, json};

use super::facts::{Facts, now, pod, set};
use crate::plan::plan;

/// What is said of a set of one whose pod of another revision has not been ready for so many seconds.
fn said(seconds: i64, more: &Value) -> Vec<String> {
    let since = now() - jiff::SignedDuration::from_secs(seconds);
    let down =
        json!({ "type": "Ready", "status": "False", "lastTransitionTime": since.to_string() });
    let old = json!({ "controller-revision-hash": "web-old" });
    let mut pod = pod(
        0,
        &json!({
            "metadata": { "labels": old, "creationTimestamp": "2026-01-01T00:00:00Z" },
            "status": { "phase": "Pending", "conditions": [down] },
        }),
    );
    for (member, value) in more.as_object().unwrap() {
        match pod["status"][member].as_array_mut() {
            Some(list) => list.extend(value.as_array().unwrap().iter().cloned()),
            None => pod["status"][member] = value.clone(),
        }
    }
    let holds = plan(&Facts::new(&set(&json!({ "replicas": 1 })), [pod]).snapshot(""), now()).holds;
    let texts = holds.iter().map(ToString::to_string);
    texts
        .filter_map(|text| Some(text.strip_prefix("StuckRollout{pod: web-0, why: ")?.to_owned()))
        .collect()
}

fn container(ready: bool, restarts: i32, waiting: &str) -> Value {
    let state = if waiting.is_empty() {
        json!({ "running": {} })
    } else {
        json!({ "waiting": { "reason": waiting } })
    };
    json!({ "containerStatuses": [{ "name": "app", "ready": ready, "restartCount": restarts, "state": state }] })
}

/// RU-10: what the kubelet names at once, everything else when it has lasted, and the same all the time.
#[test]
fn a_pod_that_stays_down_is_stuck_whatever_the_kubelet_says() {
    let unscheduled = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable" }] });
    for (facts, soon, later) in [
        (
            container(false, 0, "ImagePullBackOff"),
            Some("ImagePullBackOff of container app}"),
            "ImagePullBackOff of container app}",
        ),
        (
            container(false, 4, "CrashLoopBackOff"),
            None,
            "container app is not ready after restarts}",
        ),
        (container(false, 4, ""), None, "container app is not ready after restarts}"),
        (container(false, 0, ""), None, "container app is not ready}"),
        (container(false, 0, "ContainerCreating"), None, "container app is not ready}"),
        (unscheduled, None, "Unschedulable}"),
        (json!({}), None, "it is not ready}"),
    ] {
        let soon: Vec<&str> = soon.into_iter().collect();
        assert_eq!(said(60, &facts), soon, "{facts}");
        assert_eq!(said(180, &facts), [later], "{facts}");
    }
}
