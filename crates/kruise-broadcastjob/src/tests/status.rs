use kruise_api::broadcastjob::v1beta1::BroadcastJobStatus;
use kruise_common::plan::{Applied, Outcome};
use kruise_common::write::{Category, WriteError};
use serde_json::{Value, json};

use super::facts::{job, mark, node, now, pod, snapshot};
use crate::mark::Mark;
use crate::plan::action::{Action, Why};
use crate::plan::plan;
use crate::snapshot::Snapshot;
use crate::status::compute;

fn after(seen: &Snapshot, outcomes: Vec<(Action, Outcome)>) -> BroadcastJobStatus {
    compute(seen, &plan(seen, now()), &Applied { outcomes }, now())
}

fn nodes<const N: usize>(names: [&str; N]) -> [Value; N] {
    names.map(|name| node(name, &json!({})))
}

fn create(name: &str) -> Action {
    Action::CreatePod { node: name.into(), mark: mark(name) }
}

/// W8: OpenKruise counted pods that it failed to create.
#[test]
fn only_what_was_created_is_at_work() {
    let seen = snapshot(&job(&json!({})), nodes(["a", "b", "c"]), []);
    let refused = WriteError::new(Category::Forbidden, "exceeded quota");
    let status = after(
        &seen,
        vec![
            (create("a"), Outcome::Done),
            (create("b"), Outcome::Failed(refused)),
            (create("c"), Outcome::NotAttempted),
        ],
    );
    assert_eq!((status.active, status.desired), (1, 3));
    assert_eq!(status.nodes.unwrap().waiting, 2);
    let condition = &status.conditions[0];
    assert_eq!(condition.type_, "FailedCreatePod");
    assert_eq!(condition.message.as_deref(), Some("pod of node b: exceeded quota"));
    let left: Vec<_> = status.unfinished.iter().map(|node| (&*node.node, &*node.reason)).collect();
    assert_eq!(left, [("b", "CreationRefused")]);
}

/// W7: what was removed was at work, or does not count.
#[test]
fn removals_never_count_below_nothing() {
    let failed = pod("a", &json!({ "status": { "phase": "Failed" } }));
    let seen = snapshot(
        &job(&json!({ "failurePolicy": { "type": "Continue" } })),
        nodes(["a", "b"]),
        [failed, pod("b", &json!({}))],
    );
    let remove = |name: &str| {
        let pod = format!("clean-{}", mark(name)).into();
        (Action::DeletePod { pod, why: Why::Unfit }, Outcome::Done)
    };
    let status = after(&seen, vec![remove("a"), remove("b")]);
    assert_eq!((status.active, status.failed), (0, 1));
}

#[test]
fn what_is_right_is_not_written_and_what_is_over_stays() {
    let seen = snapshot(&job(&json!({})), nodes(["a"]), [pod("a", &json!({}))]);
    let status = after(&seen, Vec::new());
    let mut stored = job(&json!({}));
    stored["status"] = json!(status);
    let seen = snapshot(&stored, nodes(["a"]), [pod("a", &json!({}))]);
    assert_eq!(crate::status::status(&seen, &plan(&seen, now()), &Applied::default(), now()), None);
    stored["status"]["phase"] = json!("failed");
    stored["status"]["active"] = json!(7);
    let seen = snapshot(&stored, nodes(["a"]), []);
    assert_eq!(crate::status::status(&seen, &plan(&seen, now()), &Applied::default(), now()), None);
}

/// W17.
#[test]
fn it_says_why_nodes_are_not_done() {
    let waiting = json!({ "status": { "containerStatuses": [{ "name": "c", "state": { "waiting": { "reason": "ImagePullBackOff" } } }] } });
    let unbound = json!({ "spec": { "nodeName": null, "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["b"] }] }] } } } },
        "status": { "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/5" }] } });
    let cordoned = node("c", &json!({ "spec": { "unschedulable": true } }));
    let all = nodes(["a", "b", "d"]).into_iter().chain([cordoned]);
    let seen = snapshot(
        &job(&json!({ "parallelism": 2, "failurePolicy": { "type": "Continue" } })),
        all,
        [pod("a", &waiting), pod("b", &unbound)],
    );
    let status = after(&seen, Vec::new());
    let said: Vec<(&str, &str)> =
        status.unfinished.iter().map(|n| (n.node.as_str(), n.reason.as_str())).collect();
    assert_eq!(said, [("a", "ImagePullBackOff"), ("b", "Unschedulable"), ("c", "Cordoned")]);
    let counts = status.nodes.unwrap();
    assert_eq!((counts.waiting, counts.unscheduled, counts.ineligible), (1, 1, 1));
}

#[test]
fn lists_are_bounded() {
    let names: Vec<String> = (0..200).map(|n| format!("n{n:03}")).collect();
    let nodes = names.iter().map(|name| node(name, &json!({ "spec": { "unschedulable": true } })));
    let status = after(&snapshot(&job(&json!({})), nodes, []), Vec::new());
    assert_eq!(status.unfinished.len(), 20);
    assert_eq!(status.nodes.unwrap().ineligible, 200);
    let nodes = names.iter().map(|name| node(name, &json!({})));
    let failed = names.iter().map(|name| pod(name, &json!({ "status": { "phase": "Failed" } })));
    let seen = snapshot(
        &job(
            &json!({ "completionPolicy": { "type": "Never" }, "failurePolicy": { "type": "Continue" } }),
        ),
        nodes,
        failed,
    );
    let status = after(&seen, Vec::new());
    assert_eq!((status.failed, status.failed_nodes.len()), (200, 50));
    assert_eq!(status.results.unwrap().failed.len(), 200 * 10, "ten characters for each node");
}

/// W16: a job that never completes sees nodes come and go for years; its status stays storable, and its counts right.
#[test]
fn results_of_nodes_that_are_gone_are_only_counted_once_there_are_very_many() {
    let past: String =
        (0..20_000).map(|at| Mark::of("job", &format!("gone-{at}")).to_string()).collect();
    let run = |past: &str, succeeded: i64| {
        let mut open = job(&json!({ "completionPolicy": { "type": "Never" } }));
        let results = json!({ "succeeded": past, "pastSucceeded": succeeded });
        open["status"] = json!({ "phase": "running", "results": results });
        let ended = pod("a", &json!({ "status": { "phase": "Succeeded" } }));
        after(&snapshot(&open, nodes(["a", "b"]), [ended]), Vec::new())
    };
    let status = run(&past, 0);
    assert_eq!(status.succeeded, 20_001);
    let results = status.results.unwrap();
    assert_eq!((results.succeeded, results.past_succeeded), (mark("a").to_string(), 20_000));
    let again = run(mark("a").as_str(), 20_000);
    assert_eq!((again.succeeded, again.results.unwrap().past_succeeded), (20_001, 20_000));
    let few = run(past.get(..10).unwrap(), 0);
    assert_eq!((few.succeeded, few.results.unwrap().past_succeeded), (2, 0), "few are listed");
}
