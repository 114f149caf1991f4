//! What the doctor makes of what it sees.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::doctor::admission::Seen;
use crate::doctor::{Answer, Finding, Level, SUBJECTS, Subject};
use crate::doctor::{admission, definition, lease, workload};
use crate::runtime::certs;

const STATEFULSET: &Subject = &SUBJECTS[0];

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn said(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| format!("{} {}", f.level.as_str(), f.what)).collect()
}

fn crd() -> Value {
    let version =
        |name: &str, storage: bool| json!({ "name": name, "served": true, "storage": storage });
    json!({
        "metadata": {},
        "spec": {
            "conversion": { "strategy": "None" },
            "versions": [version("v1alpha1", false), version("v1beta1", true)],
        },
        "status": { "conditions": [{ "type": "Established", "status": "True" }] },
    })
}

#[test]
fn a_definition_is_right_or_says_what_is_missing() {
    let check = |crd: Value| said(&definition::check(STATEFULSET, &Answer::There(crd)));
    assert_eq!(check(crd()), ["ok serves v1beta1 and v1alpha1"]);
    let mut old = crd();
    old["spec"]["versions"] = json!([{ "name": "v1alpha1", "served": true, "storage": true }]);
    old["spec"]["conversion"] = json!({ "strategy": "Webhook", "webhook": { "clientConfig": {
        "service": { "namespace": "kruise-system", "name": "kruise-webhook-service" },
    } } });
    old["metadata"]["deletionTimestamp"] = json!("2026-06-01T11:00:00Z");
    old["status"] = json!({});
    assert_eq!(
        check(old),
        [
            "problem is not established",
            "problem does not serve v1beta1",
            "problem stores v1alpha1 instead of v1beta1",
            "warning is converted by a webhook (kruise-system/kruise-webhook-service): while it does not answer, nobody can read these objects",
            "problem is being deleted, and all its objects with it",
        ]
    );
    let absent = definition::check(STATEFULSET, &Answer::Absent);
    assert_eq!(said(&absent), ["problem is not installed"]);
    let unknown = definition::check(STATEFULSET, &Answer::Unknown("forbidden".into()));
    assert_eq!(said(&unknown), ["warning could not be read: forbidden"]);
}

fn held(holder: &str, renewed: &str) -> Answer {
    Answer::There(json!({ "spec": {
        "holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15,
    } }))
}

#[test]
fn somebody_leads_or_nobody_does() {
    let check = |answer: Answer| {
        let finding = lease::check(STATEFULSET, "kruise", &answer, now());
        format!("{} {}", finding.level.as_str(), finding.what)
    };
    let fresh = "2026-06-01T11:59:55.000000Z";
    assert_eq!(check(held("a", fresh)), "ok a leads, heard 5s ago");
    assert_eq!(check(held("", fresh)), "problem nobody leads, for 5s");
    assert_eq!(
        check(held("a", "2026-06-01T11:59:00Z")),
        "problem a led and has been silent for 1m"
    );
    assert_eq!(check(held("a", "never")), "problem was never renewed");
    assert_eq!(check(Answer::Absent), "problem nobody ever led: the controller does not run");
    let bearing = |conditions: &str| {
        let Answer::There(mut lease) = held("a", fresh) else { unreachable!("there") };
        lease["metadata"] = json!({ "annotations": { "kruise.io/conditions": conditions } });
        check(Answer::There(lease))
    };
    let condition = |status: &str| {
        let condition = json!([{
            "type": "Degraded", "status": status, "reason": "AdmissionDegraded", "message": "no CA",
            "lastTransitionTime": "2026-06-01T11:00:00Z",
        }]);
        bearing(&condition.to_string())
    };
    assert_eq!(condition("True"), "warning a leads, heard 5s ago, but degraded: no CA");
    assert_eq!(condition("False"), "ok a leads, heard 5s ago");
    assert_eq!(bearing("[{"), "ok a leads, heard 5s ago");
}

#[test]
fn a_manager_of_openkruise_counts_while_it_is_alive() {
    let level =
        |answer: Answer| lease::conflict("kruise-system/kruise-manager", &answer, now()).level;
    assert_eq!(level(held("manager", "2026-06-01T11:59:55Z")), Level::Wrong);
    assert_eq!(level(held("manager", "2026-06-01T11:59:00Z")), Level::Right);
    assert_eq!(level(held("", "2026-06-01T11:59:55Z")), Level::Right);
    assert_eq!(level(Answer::Absent), Level::Right);
}

/// A configuration with one hook, by a Service, with a CA that lives for so many hours from now.
fn configuration(name: &str, hook: &str, hours: i64) -> Value {
    let made = certs::make("x", &["x.y.svc".to_owned()], SignedDuration::from_hours(hours), now())
        .unwrap();
    json!({
        "metadata": { "name": name },
        "webhooks": [{
            "name": hook,
            "failurePolicy": "Fail",
            "clientConfig": {
                "caBundle": STANDARD.encode(made.ca),
                "service": { "namespace": "kruise", "name": "web" },
            },
        }],
    })
}

fn seen(configuration: &Value, others: &[Value], ready: usize) -> Seen {
    let there = Answer::There(configuration.clone());
    Seen {
        ours: [there.clone(), there],
        all: Answer::There(json!({ "items": others })),
        ready: vec![("kruise/web".to_owned(), ready)],
    }
}

#[test]
fn hooks_are_reachable_and_trusted() {
    let name = "kruise-statefulset-mutating";
    let check = |hours: i64, ready: usize, at: Timestamp| {
        let own = configuration(name, "mstatefulset.kb.io", hours);
        let mut said = said(&admission::check(
            STATEFULSET,
            &seen(&own, std::slice::from_ref(&own), ready),
            at,
        ));
        said.dedup();
        said
    };
    assert_eq!(check(1000, 2, now()), ["ok 1 hooks, trusted"]);
    assert_eq!(
        check(1000, 0, now()),
        ["problem nobody serves kruise/web: what is written is refused"]
    );
    assert_eq!(
        check(10, 1, now()),
        ["warning the CA of mstatefulset.kb.io ends at 2026-06-01T22:00:00Z"]
    );
    let later = now() + SignedDuration::from_hours(11);
    assert_eq!(
        check(10, 1, later),
        ["problem the CA of mstatefulset.kb.io ended at 2026-06-01T22:00:00Z"]
    );
    let mut bare = configuration(name, "mstatefulset.kb.io", 1000);
    bare["webhooks"][0]["clientConfig"]["caBundle"] = json!("bm9uZQ==");
    let findings = admission::check(STATEFULSET, &seen(&bare, &[], 1), now());
    assert_eq!(findings[0].what, "mstatefulset.kb.io has a CA that is no certificate");
}

#[test]
fn hooks_that_are_absent_or_openkruises_are_said() {
    let foreign =
        configuration("kruise-mutating-webhook-configuration", "mstatefulset.kb.io", 1000);
    let other = configuration("kruise-mutating-webhook-configuration", "mcloneset.kb.io", 1000);
    let seen = Seen {
        ours: [Answer::Absent, Answer::Absent],
        all: Answer::There(json!({ "items": [foreign, other] })),
        ready: Vec::new(),
    };
    let findings = admission::check(STATEFULSET, &seen, now());
    assert_eq!(
        said(&findings),
        [
            "warning is not there: objects are neither defaulted nor checked when they are written",
            "warning is not there: objects are neither defaulted nor checked when they are written",
            "warning mstatefulset.kb.io is OpenKruise's: once its manager is gone, what it asks about fails",
        ]
    );
}

#[test]
fn objects_in_trouble_are_named_with_what_they_say_themselves() {
    let set = |name: &str, status: Value| json!({ "metadata": { "namespace": "shop", "name": name, "generation": 3 }, "status": status });
    let stuck = json!({ "observedGeneration": 3, "conditions": [
        { "type": "FailedCreatePod", "status": "False" },
        { "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "waits for web-1" },
    ] });
    let items = json!({ "items": [
        set("good", json!({ "observedGeneration": 3 })),
        set("stuck", stuck.clone()),
        set("unseen", json!({ "observedGeneration": 2 })),
        set("new", json!({})),
    ] });
    let findings = workload::check(STATEFULSET, &Answer::There(items));
    let said: Vec<String> = findings.iter().map(|f| format!("{}: {}", f.about, f.what)).collect();
    assert_eq!(
        said,
        [
            "StatefulSet shop/stuck: Progressing ProgressDeadlineExceeded: waits for web-1",
            "StatefulSet shop/unseen: generation 3 was not looked at yet (seen: 2)",
        ]
    );
    let many: Vec<Value> = (0..25).map(|n| set(&format!("s-{n}"), stuck.clone())).collect();
    let findings = workload::check(STATEFULSET, &Answer::There(json!({ "items": many })));
    assert_eq!(findings.len(), 21);
    assert_eq!(findings[20].what, "5 more of 25 are in trouble");
    let none = workload::check(STATEFULSET, &Answer::There(json!({ "items": [] })));
    assert_eq!(none[0].to_string(), "ok       statefulsets: 0, none in trouble");
}
