//! The order of updates (19.2).

use serde_json::{Value, json};

use super::support::{pod, running, settings};
use crate::member::Member;
use crate::plan::order;

fn spec(strategy: &Value) -> Value {
    json!({ "containers": [{ "name": "agent", "image": "i" }], "updateStrategy": strategy })
}

fn ordered(pods: &[Value], strategy: &Value) -> Vec<String> {
    let settings = settings(&spec(strategy));
    let members: Vec<Member> =
        pods.iter().map(|it| Member::new(&pod(it), &settings).unwrap()).collect();
    let order = order::order(members.iter().collect(), &members, &settings);
    order.iter().map(|member| member.pod.name().to_owned()).collect()
}

fn named(name: &str, change: &Value) -> Value {
    let mut object = running();
    object["metadata"]["name"] = json!(name);
    json_patch::merge(&mut object, change);
    object
}

/// UPD-10, one criterion after the other.
#[test]
fn who_costs_least_goes_first() {
    let ready = |since: &str| json!({ "status": { "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": since }] } });
    let restarts = |count: i64| json!({ "status": { "containerStatuses": [{ "name": "agent", "image": "i", "imageID": "", "ready": true, "restartCount": count }] } });
    let created = |at: &str| json!({ "metadata": { "creationTimestamp": at } });
    let pods = [
        named("i-old", &created("2026-01-01T00:00:00Z")),
        named("h-young", &created("2026-01-02T00:00:00Z")),
        named("g-restarted", &restarts(3)),
        named("f-ready-lately", &ready("2026-01-03T00:00:00Z")),
        named("e-ready-without-time", &ready("never")),
        named(
            "d-not-ready",
            &json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } }),
        ),
        named("c-unknown", &json!({ "status": { "phase": "Unknown" } })),
        named("b-pending", &json!({ "status": { "phase": "Pending" } })),
        named("a-unassigned", &json!({ "spec": { "nodeName": null } })),
    ];
    let mut order = ordered(&pods, &json!({}));
    // Pods without a time of creation go before those that have one, which come last here.
    order.retain(|name| !name.starts_with('g'));
    assert_eq!(
        order,
        [
            "a-unassigned",
            "b-pending",
            "c-unknown",
            "d-not-ready",
            "e-ready-without-time",
            "f-ready-lately",
            "h-young",
            "i-old",
        ]
    );
    assert_eq!(ordered(&[pods[0].clone(), pods[2].clone()], &json!({})), ["g-restarted", "i-old"]);
}

/// UPD-11.
#[test]
fn weights_and_numbers_come_before_that() {
    let label =
        |name: &str, labels: Value| named(name, &json!({ "metadata": { "labels": labels } }));
    let pods = [
        label("a", json!({ "o": "p-1" })),
        label("b", json!({ "o": "p-10", "tier": "gold" })),
        label("c", json!({})),
    ];
    let weight = json!({ "priorityStrategy": { "weightPriority": [{ "weight": 5, "matchSelector": { "matchLabels": { "tier": "gold" } } }] } });
    assert_eq!(ordered(&pods, &weight), ["b", "a", "c"]);
    let by_number = json!({ "priorityStrategy": { "orderPriority": [{ "orderedKey": "o" }] } });
    assert_eq!(
        ordered(&pods, &by_number),
        ["c", "b", "a"],
        "without the key first, then the larger number"
    );
}

/// The vector of 29.2: 10 candidates, 3 of them labelled: they go as numbers 1, 6 and 10.
#[test]
fn pods_with_a_label_in_common_are_spread() {
    let pods: Vec<Value> = (0..10)
        .map(|at| {
            let zone = if at < 3 { json!({ "zone": "a" }) } else { json!({}) };
            named(&format!("web-{at}"), &json!({ "metadata": { "labels": zone } }))
        })
        .collect();
    let order = ordered(&pods, &json!({ "scatterStrategy": [{ "key": "zone", "value": "a" }] }));
    let labelled: Vec<usize> = order
        .iter()
        .enumerate()
        .filter(|(_, name)| ["web-0", "web-1", "web-2"].contains(&name.as_str()))
        .map(|(at, _)| at + 1)
        .collect();
    assert_eq!(labelled, [1, 6, 10]);
}
