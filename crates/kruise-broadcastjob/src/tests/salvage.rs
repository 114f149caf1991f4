use kruise_api::broadcastjob::v1beta1::{BroadcastJobSpec, BroadcastJobStatus};
use kruise_api::raw::RawJson;
use serde_json::{Value, json};

use crate::salvage::salvage;

fn raw(value: &Value) -> RawJson {
    serde_json::from_str(&value.to_string()).unwrap()
}

#[test]
fn what_can_be_read_is_kept_and_the_first_that_cannot_is_named() {
    let spec = json!({
        "parallelism": 3, "paused": "perhaps", "template": { "spec": { "anything": [1] } },
        "completionPolicy": { "activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": "soon" },
    });
    let (read, problem): (BroadcastJobSpec, _) = salvage(&raw(&spec), "spec");
    let policy = read.completion_policy.unwrap();
    assert_eq!(
        (policy.active_deadline_seconds, policy.ttl_seconds_after_finished),
        (Some(60), None)
    );
    assert!(read.parallelism.is_some() && !read.paused && read.template.get().contains("anything"));
    let problem = problem.unwrap();
    assert_eq!(problem.field, "spec.completionPolicy.ttlSecondsAfterFinished");
    assert_eq!(problem.problem, "invalid type: string \"soon\", expected i32");
}

/// W16: one bad member of the status does not cost the results.
#[test]
fn a_status_keeps_what_it_says_beside_nonsense() {
    let status = json!({
        "phase": "running", "active": "many", "results": { "succeeded": "aaaaaaaaaa", "pastFailed": {} },
    });
    let (read, _): (BroadcastJobStatus, _) = salvage(&raw(&status), "status");
    assert_eq!((read.phase.as_str(), read.active), ("running", 0));
    assert_eq!(read.results.unwrap().succeeded, "aaaaaaaaaa");
}

#[test]
fn what_is_no_object_is_named_as_a_whole() {
    for value in [json!("text"), json!(5), json!(true)] {
        let (read, problem): (BroadcastJobSpec, _) = salvage(&raw(&value), "spec");
        assert_eq!(read, BroadcastJobSpec::default());
        assert_eq!(problem.unwrap().field, "spec");
    }
    let (_, problem): (BroadcastJobSpec, _) = salvage(&raw(&json!({})), "spec");
    assert_eq!(problem, None);
}
