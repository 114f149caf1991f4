use kruise_common::reconciler::Reconciler;
use kruise_common::testing::pages;
use serde_json::json;

use super::facts::{job, node, now, pod, snapshot};
use crate::controller::BroadcastJobController;
use crate::gauges::measures;
use crate::plan::action::{Action, Ending};

#[test]
fn nodes_of_open_jobs_are_counted_by_how_far_they_are() {
    let nodes = ["a", "b", "c", "d"].map(|name| node(name, &json!({})));
    let cordoned = node("e", &json!({ "spec": { "unschedulable": true } }));
    let pods = [
        pod("a", &json!({ "status": { "phase": "Succeeded" } })),
        pod("b", &json!({ "status": { "phase": "Failed" } })),
        pod("c", &json!({})),
    ];
    let open = job(&json!({ "failurePolicy": { "type": "Continue" } }));
    let seen = snapshot(&open, nodes.clone().into_iter().chain([cordoned]), pods.clone());
    let shown = |state: &str| {
        let measures = measures(&seen);
        measures.iter().find(|m| m.value == state).map(|m| m.amount.to_string()).unwrap()
    };
    for state in ["waiting", "active", "succeeded", "failed", "ineligible"] {
        assert_eq!(shown(state), "1", "{state}");
    }
    assert_eq!(shown("retrying"), "0");
    for measure in measures(&seen) {
        pages::lists_family(measure.name, "gauge", &[measure.label, measure.value]);
    }
    let mut over = open;
    over["status"] = json!({ "phase": "failed" });
    assert_eq!(measures(&snapshot(&over, nodes, pods)), [], "nothing of what is over");
}

#[test]
fn a_job_that_ends_says_how_long_it_took() {
    let mut begun = job(&json!({}));
    begun["status"] = json!({ "phase": "running", "startTime": "2026-01-01T00:08:30Z" });
    let seen = snapshot(&begun, [node("a", &json!({}))], []);
    let samples = BroadcastJobController::samples(&seen, &Action::Finish(Ending::Deadline), now());
    let [sample] = &samples[..] else { panic!("one sample: {samples:?}") };
    assert_eq!((sample.value, sample.seconds.to_string()), ("deadline", "90".to_owned()));
    pages::lists_family(sample.name, "histogram", &[sample.label, sample.value]);
    assert_eq!(BroadcastJobController::samples(&seen, &Action::DeleteJob, now()), []);
}
