//! Pod conditions that kruise writes, as they go on the wire (§3.4, §12).

use jiff::Timestamp;
use kruise_api::keys;
use kruise_api::shared::inplace::rfc3339;
use kruise_api::shared::readiness::{Blocker, blockers, message};
use kruise_common::moment::Moment;
use kruise_common::pod::Pod;
use kruise_common::write::Operations;
use serde_json::{Value, json};

/// `InPlaceUpdateReady` or `KruisePodReady` true.
pub(crate) fn gate_true(kind: &str, now: Timestamp) -> Value {
    json!({
        "type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": rfc3339(now),
    })
}

/// `InPlaceUpdateReady` false: the pod leaves traffic before a container is killed. What is false already keeps its
/// time (§5.3).
pub(crate) fn gate_false(pod: &Pod, now: Timestamp) -> Value {
    let known = pod.condition(keys::INPLACE_UPDATE_READY).filter(|condition| !condition.status);
    let since = known.and_then(|condition| condition.since).map_or(now, Moment::timestamp);
    json!({
        "type": keys::INPLACE_UPDATE_READY,
        "status": "False",
        "reason": keys::START_INPLACE_UPDATE,
        "lastProbeTime": null,
        "lastTransitionTime": rfc3339(since),
    })
}

/// `KruisePodReady` with this list of blockers: true when the list is empty.
pub(crate) fn pod_ready(list: Vec<Blocker>, now: Timestamp) -> Value {
    let status = if list.is_empty() { "True" } else { "False" };
    json!({
        "type": keys::KRUISE_POD_READY,
        "status": status,
        "message": message(list),
        "lastProbeTime": null,
        "lastTransitionTime": rfc3339(now),
    })
}

/// `Ready` false, exactly as the kubelet will compute it once it sees the gate (§12.2): endpoints must go before the
/// container does, not at the kubelet's next sync. `None` if the pod is not ready anyway.
pub(crate) fn ready_false(pod: &Pod, falling: &str, now: Timestamp) -> Option<Value> {
    let is_true = |kind: &str| pod.condition(kind).is_some_and(|condition| condition.status);
    if !is_true("Ready") || !is_true("ContainersReady") {
        return None;
    }
    let texts = pod.gates.iter().filter_map(|gate| {
        let known = pod.condition(gate).is_some() || **gate == *falling;
        match (known, is_true(gate) && **gate != *falling) {
            (false, _) => Some(format!(
                "corresponding condition of pod readiness gate {gate:?} does not exist."
            )),
            (true, false) => Some(format!(
                "the status of pod readiness gate {gate:?} is not \"True\", but False"
            )),
            (true, true) => None,
        }
    });
    let message = texts.collect::<Vec<_>>().join(", ");
    (!message.is_empty()).then(|| {
        json!({
            "type": "Ready",
            "status": "False",
            "reason": keys::READINESS_GATES_NOT_READY,
            "message": message,
            "lastProbeTime": null,
            "lastTransitionTime": rfc3339(now),
        })
    })
}

/// Whether the containers are said to be ready by something that tells of none: a kubelet says both at once, but not all that
/// plays nodes does, and there is nothing to wait for.
pub(crate) fn is_ready_untold(pod: &Pod) -> bool {
    let is_true = |kind: &str| pod.condition(kind).is_some_and(|condition| condition.status);
    pod.statuses.is_empty() && (is_true("Ready") || is_true("ContainersReady"))
}

/// Who keeps the pod out of traffic.
pub(crate) fn blocked_by(pod: &Pod) -> Vec<Blocker> {
    let condition = pod.condition(keys::KRUISE_POD_READY);
    blockers(condition.and_then(|condition| condition.message.as_deref()))
}

/// The condition that adds a lifecycle blocker, if the pod has the gate and the key is not there yet.
pub(crate) fn block(pod: &Pod, key: &str, now: Timestamp) -> Option<Value> {
    let mut list = blocked_by(pod);
    let blocker = Blocker::lifecycle(key);
    let down = pod.condition(keys::KRUISE_POD_READY).is_some_and(|condition| !condition.status);
    if !pod.gated_by(keys::KRUISE_POD_READY) || (down && list.contains(&blocker)) {
        return None;
    }
    list.push(blocker);
    Some(pod_ready(list, now))
}

/// The condition that removes a lifecycle blocker, if it is there (W6).
pub(crate) fn unblock(pod: &Pod, key: &str, now: Timestamp) -> Option<Value> {
    let mut list = blocked_by(pod);
    let blocker = Blocker::lifecycle(key);
    if !pod.gated_by(keys::KRUISE_POD_READY) || !list.contains(&blocker) {
        return None;
    }
    list.retain(|known| *known != blocker);
    Some(pod_ready(list, now))
}

/// Stores a gate that falls, and `Ready` with it. How `Ready` stood is tested: had it risen since it was seen, traffic
/// would reach the pod until the kubelet looks again.
pub(crate) fn fall(
    pod: &Pod,
    mut operations: Operations,
    gate: Value,
    now: Timestamp,
) -> Operations {
    let falling = gate.get("type").and_then(Value::as_str).unwrap_or_default();
    let ready = ready_false(pod, falling, now);
    if ready.is_none() {
        operations = as_seen(pod, operations, "Ready");
    }
    put(pod, operations, std::iter::once(gate).chain(ready).collect())
}

/// Stores each condition where one of its type was seen, or appends it. Of a condition that kruise owns all is replaced,
/// and its message is tested: it is a list in which others have entries (§12.3). Of another's, members that we do not
/// know stay.
pub(crate) fn put(pod: &Pod, mut operations: Operations, list: Vec<Value>) -> Operations {
    if pod.conditions.is_empty() && !list.is_empty() {
        return operations
            .test(&["status", "conditions"], Value::Null)
            .add(&["status", "conditions"], list);
    }
    for condition in list {
        let kind = condition.get("type").and_then(Value::as_str).unwrap_or_default();
        let Some(at) = pod.conditions.iter().position(|known| *known.kind == *kind) else {
            operations = operations.add(&["status", "conditions", "-"], condition);
            continue;
        };
        operations = as_seen(pod, operations, kind);
        let at = at.to_string();
        if is_ours(kind) {
            operations = operations.replace(&["status", "conditions", &at], condition);
            continue;
        }
        for member in ["status", "reason", "message", "lastTransitionTime"] {
            let value = condition.get(member).cloned().unwrap_or_default();
            operations = operations.add(&["status", "conditions", &at, member], value);
        }
    }
    operations
}

/// Tests that a condition has not changed its status since it was seen.
pub(crate) fn as_long(pod: &Pod, operations: Operations, kind: &str) -> Operations {
    let known = pod.conditions.iter().enumerate().find(|(_, known)| *known.kind == *kind);
    let Some((at, known)) = known else { return operations };
    let since = known.since.map(|since| rfc3339(since.timestamp()));
    let at = at.to_string();
    operations
        .test(&["status", "conditions", &at, "type"], kind)
        .test(&["status", "conditions", &at, "lastTransitionTime"], since)
}

/// Tests that a condition stands where it was seen, and says what it said.
fn as_seen(pod: &Pod, operations: Operations, kind: &str) -> Operations {
    let known = pod.conditions.iter().enumerate().find(|(_, known)| *known.kind == *kind);
    let Some((at, known)) = known else { return operations };
    let at = at.to_string();
    let operations = operations.test(&["status", "conditions", &at, "type"], kind);
    if !is_ours(kind) {
        let reason = (!known.reason.is_empty()).then(|| known.reason.to_string());
        return operations.test(&["status", "conditions", &at, "reason"], reason);
    }
    // Absent is null.
    operations.test(&["status", "conditions", &at, "message"], known.message.as_deref())
}

fn is_ours(kind: &str) -> bool {
    [keys::INPLACE_UPDATE_READY, keys::KRUISE_POD_READY].contains(&kind)
}
