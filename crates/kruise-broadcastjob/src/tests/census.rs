use serde_json::{Value, json};

use super::facts::{UID, job, mark, node, pod, seen, snapshot};
use crate::census::{Blame, Class, Standing, class};
use crate::failures::{self, Failure};
use crate::mark::Mark;
use crate::nodes::Unfit;
use crate::snapshot::Settings;

fn settings(change: &Value) -> Settings {
    snapshot(&job(change), [], []).settings
}

fn class_of(change: &Value, pod: &Value) -> Class {
    class(&settings(change), &seen("a", pod))
}

fn standing(change: &Value, pods: impl IntoIterator<Item = Value>) -> Standing {
    let seen = snapshot(&job(change), [node("a", &json!({}))], pods);
    let census = seen.census();
    census.places[0].standing.clone()
}

#[test]
fn the_first_that_holds_is_what_a_pod_is() {
    let phase = |phase: &str| json!({ "status": { "phase": phase } });
    let going =
        json!({ "deletionTimestamp": "2026-01-01T00:06:30Z", "deletionGracePeriodSeconds": 30 });
    let none = json!({});
    assert_eq!(class_of(&none, &phase("Succeeded")), Class::Succeeded);
    assert_eq!(
        class_of(&none, &json!({ "metadata": going, "status": { "phase": "Succeeded" } })),
        Class::Succeeded
    );
    assert_eq!(class_of(&none, &phase("Failed")), Class::Failed(Blame::Attempt));
    assert_eq!(
        class_of(&none, &json!({ "metadata": going, "status": { "phase": "Failed" } })),
        Class::Disrupted
    );
    for active in ["Pending", "Running", "Unknown"] {
        assert_eq!(class_of(&none, &phase(active)), Class::Active, "{active}");
    }
    assert_eq!(class_of(&none, &json!({ "metadata": going })), Class::Ending);
}

/// §12, R7: per pod, more than the limit, only if it is restarted on failure.
#[test]
fn the_restart_limit_is_strict_and_for_restarted_pods_only() {
    let pod = |policy: &str, restarts: i32| json!({ "spec": { "restartPolicy": policy }, "status": { "containerStatuses": [{ "name": "c", "restartCount": restarts }] } });
    let limit = json!({ "failurePolicy": { "restartLimit": 3 } });
    assert_eq!(class_of(&limit, &pod("OnFailure", 3)), Class::Active);
    assert_eq!(class_of(&limit, &pod("OnFailure", 4)), Class::OverLimit);
    assert_eq!(class_of(&json!({}), &pod("OnFailure", 1)), Class::OverLimit);
    assert_eq!(class_of(&limit, &pod("Never", 9)), Class::Active);
}

#[test]
fn a_node_stands_as_its_pod_does() {
    let ended = |phase: &str| [pod("a", &json!({ "status": { "phase": phase } }))];
    assert_eq!(standing(&json!({}), []), Standing::Waiting);
    assert_eq!(standing(&json!({}), [pod("a", &json!({}))]), Standing::Active);
    assert_eq!(standing(&json!({}), ended("Succeeded")), Standing::Succeeded);
    assert_eq!(standing(&json!({}), ended("Failed")), Standing::Failed);
    let retry = json!({ "failurePolicy": { "retry": { "limit": 1 } } });
    assert_eq!(standing(&retry, ended("Failed")), Standing::Retrying(None), "not recorded yet");
    let picky = json!({ "template": { "spec": { "nodeSelector": { "x": "y" } } } });
    assert_eq!(standing(&picky, []), Standing::Ineligible(Unfit::Affinity));
    assert_eq!(standing(&picky, ended("Succeeded")), Standing::Succeeded, "done is done (W5)");
}

#[test]
fn a_recorded_failure_is_retried_after_its_delay_and_given_up_after_its_limit() {
    let recorded = |count: i32, uid: &str| {
        let mut job =
            job(&json!({ "failurePolicy": { "retry": { "limit": 2, "backoffSeconds": 10 } } }));
        let time = "2026-01-01T00:00:00Z".parse().unwrap();
        let failure = Failure { count, time, pod: Mark::of(UID, uid), stopped: false };
        let failures = failures::write(&[(mark("a"), failure)].into());
        job["status"] = json!({ "phase": "running", "failures": failures });
        let pods = [pod("a", &json!({ "status": { "phase": "Failed" } }))];
        let seen = snapshot(&job, [node("a", &json!({}))], pods);
        seen.census().places[0].standing.clone()
    };
    let at = |time: &str| Standing::Retrying(Some(time.parse().unwrap()));
    assert_eq!(recorded(1, "pod-a"), at("2026-01-01T00:00:10Z"));
    assert_eq!(recorded(2, "pod-a"), at("2026-01-01T00:00:20Z"));
    assert_eq!(recorded(3, "pod-a"), Standing::Failed);
    assert_eq!(recorded(1, "earlier"), Standing::Retrying(None), "another pod has failed since");
    assert_eq!(recorded(2, "earlier"), Standing::Failed, "the third failure");
}

#[test]
fn results_are_remembered_by_node_not_by_pod() {
    let mut job = job(&json!({}));
    let done = format!("{}{}", mark("a"), mark("gone"));
    job["status"] = json!({ "phase": "running", "results": { "succeeded": done, "failed": mark("b").as_str() } });
    let nodes = ["a", "b"].map(|name| node(name, &json!({})));
    let seen = snapshot(&job, nodes, []);
    let census = seen.census();
    assert_eq!(census.succeeded.len(), 2, "with or without node and pod (W16)");
    assert_eq!(census.places[0].standing, Standing::Succeeded);
    assert_eq!(
        census.places[1].standing,
        Standing::Waiting,
        "its failed pod was deleted: run again (22.2)"
    );
    assert_eq!((census.failed.len(), census.desired()), (0, 2));
}

#[test]
fn a_failure_stays_when_its_node_goes() {
    let mut job = job(&json!({}));
    job["status"] = json!({ "phase": "running", "results": { "failed": mark("gone").as_str() } });
    let seen = snapshot(&job, [node("a", &json!({}))], []);
    assert_eq!(seen.census().failed.len(), 1);
}

#[test]
fn pods_of_lost_nodes_count_and_hold_no_slot() {
    let lost = |phase: &str| pod("gone", &json!({ "status": { "phase": phase } }));
    let seen = |phase: &str| snapshot(&job(&json!({})), [node("a", &json!({}))], [lost(phase)]);
    let active = seen("Running");
    let census = active.census();
    assert_eq!((census.active().count(), census.slots().count(), census.desired()), (1, 0, 1));
    let done = seen("Succeeded");
    assert_eq!(done.census().succeeded.len(), 1);
}

#[test]
fn a_pod_older_than_its_node_is_that_of_an_earlier_one() {
    let foreign = |created: &str| {
        pod(
            "a",
            &json!({ "metadata": { "name": "clean-x7k2p", "creationTimestamp": created }, "status": { "phase": "Succeeded" } }),
        )
    };
    assert_eq!(standing(&json!({}), [foreign("2026-01-01T00:00:00Z")]), Standing::Succeeded);
    assert_eq!(standing(&json!({}), [foreign("2025-12-31T23:59:59Z")]), Standing::Waiting);
    let renewed = node("a", &json!({ "metadata": { "uid": "another" } }));
    let seen = snapshot(
        &job(&json!({})),
        [renewed],
        [pod("a", &json!({ "status": { "phase": "Succeeded" } }))],
    );
    let census = seen.census();
    assert_eq!(census.places[0].standing, Standing::Waiting);
    assert_eq!(census.succeeded.len(), 1, "what ran on the earlier one still counts");
}
