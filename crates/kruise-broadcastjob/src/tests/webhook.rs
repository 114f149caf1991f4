use kruise_api::raw::RawJson;
use kruise_common::admission::{Admission, Answer, Operation, Request, Verdict};
use kruise_common::gates::FeatureGates;
use serde_json::{Value, json};

use crate::webhook::{MUTATE, VALIDATE, Webhook};

fn raw(object: &Value) -> RawJson {
    RawJson::from_string(object.to_string()).unwrap()
}

fn ask(path: &str, object: &Value, old: Option<&Value>) -> Answer {
    let webhook = Webhook { gates: FeatureGates::default() };
    let request = Request {
        uid: "u".to_owned(),
        subresource: String::new(),
        namespace: "default".to_owned(),
        name: "clean".to_owned(),
        operation: if old.is_some() { Operation::Update } else { Operation::Create },
        object: Some(raw(object)),
        old: old.map(raw),
        dry_run: false,
    };
    webhook.answer(path, &request).unwrap()
}

fn job(change: &Value) -> Value {
    let mut job = json!({
        "apiVersion": "apps.kruise.io/v1alpha1",
        "kind": "BroadcastJob",
        "metadata": { "name": "clean", "namespace": "default" },
        "spec": { "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "c:1" }] } } },
    });
    json_patch::merge(&mut job["spec"], change);
    job
}

#[test]
fn a_job_is_completed_and_then_needs_nothing_more() {
    let mut object = job(&json!({ "paused": false }));
    let Verdict::Patched(patch) = ask(MUTATE, &object, None).verdict else { panic!("no patch") };
    let patch: json_patch::Patch = serde_json::from_slice(patch.text()).unwrap();
    json_patch::patch(&mut object, &patch).unwrap();
    assert_eq!(object["spec"]["parallelism"], 2_147_483_647);
    assert_eq!(object["spec"]["failurePolicy"]["type"], "FailFast");
    assert_eq!(object["spec"]["template"]["spec"]["dnsPolicy"], "ClusterFirst");
    assert_eq!(object["spec"]["paused"], false, "what was written stays (W20)");
    assert_eq!(ask(MUTATE, &object, None), Answer::allowed());
    assert_eq!(ask(VALIDATE, &object, None), Answer::allowed());
}

/// R16.
#[test]
fn rules_are_told_in_one_message() {
    let mut object =
        job(&json!({ "completionPolicy": { "type": "Never", "ttlSecondsAfterFinished": 1 } }));
    object["metadata"]["name"] = json!("a.b");
    let Verdict::Denied(denial) = ask(VALIDATE, &object, None).verdict else {
        panic!("not denied")
    };
    assert_eq!(denial.code, 422);
    assert!(
        denial.message.starts_with("[metadata.name: Invalid value: \"a.b\""),
        "{}",
        denial.message
    );
    assert!(
        denial.message.contains("ttlSecondsAfterFinished can just work with Always"),
        "{}",
        denial.message
    );
    // What is stored already excuses it.
    assert!(ask(VALIDATE, &object, Some(&object)).is_allowed());
}

#[test]
fn surprises_are_warned_of_and_nonsense_is_unreadable() {
    let answer = ask(VALIDATE, &job(&json!({ "parallelism": "5" })), None);
    assert!(answer.is_allowed());
    assert_eq!(answer.warnings.len(), 1);
    for path in [MUTATE, VALIDATE] {
        let Verdict::Denied(denial) = ask(path, &job(&json!({ "paused": "yes" })), None).verdict
        else {
            panic!("not denied")
        };
        assert_eq!(denial.code, 400, "{path}");
    }
}

#[test]
fn it_is_asked_under_openkruises_names() {
    let webhook = Webhook { gates: FeatureGates::default() };
    let hooks = webhook.hooks();
    let names: Vec<&str> = hooks.iter().map(|hook| hook.name.as_str()).collect();
    assert_eq!(names, ["mbroadcastjob.kb.io", "vbroadcastjob.kb.io"]);
    assert!(hooks.iter().all(|hook| webhook.paths().contains(&hook.path)));
}
