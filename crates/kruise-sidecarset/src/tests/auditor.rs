use std::collections::BTreeMap;
use std::sync::Arc;

use kruise_common::intern::Interner;
use kruise_common::key::ObjectKey;
use kruise_common::meta::Pairs;
use kruise_common::moment::Moment;
use serde_json::{Value, json};

use super::captured;
use crate::auditor::{Audited, Finding, audit};
use crate::object::SidecarSet;

fn pairs(value: &Value) -> Pairs {
    let map: BTreeMap<String, String> = serde_json::from_value(value.clone()).unwrap();
    Pairs::interned(&map, &Interner::default())
}

fn moment(minute: u8) -> Moment {
    let time: jiff::Timestamp = format!("2026-01-01T00:{minute:02}:00Z").parse().unwrap();
    time.into()
}

/// A set that was created in minute 10.
fn set(name: &str, more: &Value) -> Arc<SidecarSet> {
    let mut object = json!({
        "metadata": { "name": name, "creationTimestamp": "2026-01-01T00:10:00Z" },
        "spec": { "selector": { "matchLabels": { "app": "web" } }, "containers": [{ "name": "c", "image": "i" }] },
    });
    json_patch::merge(&mut object, more);
    Arc::new(captured::set(&object))
}

struct Pod {
    key: ObjectKey,
    labels: Pairs,
    injected: Vec<&'static str>,
    minute: u8,
    active: bool,
    mirror: bool,
}

fn pod(name: &str, injected: &[&'static str], minute: u8) -> Pod {
    Pod {
        key: ObjectKey::new("shop", name),
        labels: pairs(&json!({ "app": "web" })),
        injected: injected.to_vec(),
        minute,
        active: true,
        mirror: false,
    }
}

fn found(sets: &[Arc<SidecarSet>], pods: &[Pod]) -> Vec<Finding> {
    let audited = pods.iter().map(|pod| Audited {
        key: &pod.key,
        labels: &pod.labels,
        injected: pod.injected.clone(),
        created: Some(moment(pod.minute)),
        active: pod.active,
        mirror: pod.mirror,
    });
    audit(sets, audited, |name| (name == "shop").then(|| pairs(&json!({ "env": "prod" }))))
}

fn text(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| format!("{} {} {:?}", f.set, f.pod.name, f.why)).collect()
}

#[test]
fn pods_without_their_sidecar_are_found() {
    let sets = [set("log", &json!({})), set("mesh", &json!({}))];
    let pods = [
        pod("b", &["log"], 11),
        pod("a", &[], 11),
        pod("old", &[], 9),
        pod("both", &["log", "mesh"], 11),
    ];
    let findings = found(&sets, &pods);
    assert_eq!(
        text(&findings),
        ["log a Missed", "log old Older", "mesh a Missed", "mesh b Missed", "mesh old Older"]
    );
}

#[test]
fn who_cannot_have_one_misses_none() {
    let log = [set("log", &json!({}))];
    for change in [
        |pod: &mut Pod| pod.active = false,
        |pod: &mut Pod| pod.mirror = true,
        |pod: &mut Pod| pod.labels = pairs(&json!({ "app": "db" })),
    ] {
        let mut one = pod("a", &[], 11);
        change(&mut one);
        assert_eq!(found(&log, &[one]), []);
    }
    for spec in [
        json!({ "injectionStrategy": { "paused": true } }),
        json!({ "namespace": "other" }),
        json!({ "namespaceSelector": { "matchLabels": { "env": "test" } } }),
        json!({ "containers": 7 }),
    ] {
        assert_eq!(
            found(&[set("log", &json!({ "spec": spec }))], &[pod("a", &[], 11)]),
            [],
            "{spec}"
        );
    }
    // Labels of a namespace that nobody knows are no finding.
    let selected = set(
        "log",
        &json!({ "spec": { "namespaceSelector": { "matchLabels": { "env": "prod" } } } }),
    );
    let mut stranger = pod("a", &[], 11);
    stranger.key = ObjectKey::new("unknown", "a");
    assert_eq!(found(std::slice::from_ref(&selected), &[stranger]), []);
    assert_eq!(text(&found(&[selected], &[pod("a", &[], 11)])), ["log a Missed"]);
}

/// SEL-4, LIF-25: with a canary, new pods lack the base rightly, and old ones keep it.
#[test]
fn a_canary_stands_for_its_base() {
    let marks = json!({ "metadata": { "annotations": {
        "apps.kruise.io/sidecarset-canary": "true", "apps.kruise.io/sidecarset-base": "base",
    } } });
    let sets = [set("base", &json!({})), set("canary", &marks)];
    let pods = [pod("new", &["canary"], 11), pod("old", &["base"], 9), pod("none", &[], 11)];
    assert_eq!(text(&found(&sets, &pods)), ["canary none Missed"]);
}
