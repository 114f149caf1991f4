//! What others do to pods and nodes in the middle of a job.

use std::collections::BTreeSet;

use kruise_common::kind::{NODE, POD};
use kruise_common::testing::drive::Fate;
use kruise_common::write::Request;
use serde_json::{Value, json};

use crate::builders::{
    Sim, begin, change, change_node, clean_with, counts, drive, image, merge, node, node_key,
    pod_on, pods_on, status, text,
};

const TURNS: usize = 400;

/// Two nodes whose pods are at work for a while and do not end by themselves.
fn at_work(change: &Value) -> (Sim, kruise_common::key::ObjectKey) {
    let mut job = clean_with(&image("never-ready"));
    merge(&mut job, &json!({ "spec": change }));
    let (mut sim, key) = drive(2, job);
    begin(&mut sim, &key, 3);
    assert_eq!(counts(&sim, &key).1, [2, 0, 0, 2]);
    later(&mut sim, 10);
    (sim, key)
}

fn later(sim: &mut Sim, seconds: i64) {
    let time = jiff::SignedDuration::from_secs(seconds);
    sim.world.now = sim.world.now.checked_add(time).unwrap();
}

/// Lets the pods of these nodes end well.
fn succeed(sim: &mut Sim, nodes: &[&str]) {
    for node in nodes {
        let pod = pod_on(sim, node);
        sim.world.edit(&POD, &pod, |pod| {
            merge(&mut pod["status"], &json!({ "phase": "Succeeded" }));
            // Its kubelet would put that right.
            merge(
                pod,
                &json!({ "metadata": { "annotations": { "sim.kruise.dev/ignore": "true" } } }),
            );
        });
    }
}

fn uid(sim: &Sim, node: &str) -> String {
    text(&pods_on(sim, node)[0], "/metadata/uid").to_owned()
}

/// W9: a pod that is deleted passes through phase Failed while it terminates.
#[test]
fn a_drained_pod_runs_again_and_fails_nobody() {
    let (mut sim, key) = at_work(&json!({}));
    let (pod, before) = (pod_on(&sim, "n0"), uid(&sim, "n0"));
    sim.world.delete(&POD, &pod);
    sim.world.edit(&POD, &pod, |pod| {
        let ended = json!([{ "name": "c", "state": { "terminated": { "exitCode": 143, "finishedAt": "2026-01-01T00:10:00Z" } } }]);
        merge(&mut pod["status"], &json!({ "phase": "Failed", "containerStatuses": ended }));
    });
    sim.relist();
    sim.turn(&key).unwrap();
    assert_eq!(counts(&sim, &key), ("running".to_owned(), [1, 0, 0, 2]));
    sim.settle(&key, TURNS).unwrap();
    assert_ne!(uid(&sim, "n0"), before);
    assert_eq!(counts(&sim, &key), ("running".to_owned(), [2, 0, 0, 2]));
}

#[test]
fn an_evicted_pod_runs_again_unless_it_failed_before() {
    let disrupt = |sim: &mut Sim, finished: Option<&str>| {
        let pod = pod_on(sim, "n0");
        let exits = finished.map(|at| json!([{ "name": "c", "state": { "terminated": { "exitCode": 1, "finishedAt": at } } }]));
        sim.world.edit(&POD, &pod, |pod| {
            let condition = json!({ "type": "DisruptionTarget", "status": "True", "lastTransitionTime": "2026-01-01T00:05:00Z" });
            merge(&mut pod["status"], &json!({ "phase": "Failed", "conditions": [condition], "containerStatuses": exits }));
        });
    };
    let (mut sim, key) = at_work(&json!({}));
    let before = uid(&sim, "n0");
    disrupt(&mut sim, None);
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(counts(&sim, &key), ("running".to_owned(), [2, 0, 0, 2]));
    assert_ne!(uid(&sim, "n0"), before);

    let (mut sim, key) = at_work(&json!({}));
    disrupt(&mut sim, Some("2026-01-01T00:04:57Z"));
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(counts(&sim, &key), ("failed".to_owned(), [0, 0, 2, 2]));
}

/// W4: without a result a node is not done.
#[test]
fn a_terminating_pod_is_no_result() {
    let (mut sim, key) = at_work(&json!({}));
    succeed(&mut sim, &["n1"]);
    let pod = pod_on(&sim, "n0");
    sim.world.delete(&POD, &pod);
    sim.relist();
    let turned = sim.turn(&key).unwrap();
    assert_eq!(counts(&sim, &key), ("running".to_owned(), [0, 1, 0, 2]));
    let held: Vec<String> = turned.holds.iter().map(ToString::to_string).collect();
    assert!(held.iter().any(|hold| hold.starts_with("PodTerminating")), "{held:?}");
}

/// W5: what is at work on a node that is cordoned goes on; what is done stays done.
#[test]
fn a_cordon_ends_nothing() {
    let (mut sim, key) = at_work(&json!({}));
    let before = uid(&sim, "n0");
    change_node(&mut sim, "n0", &json!({ "spec": { "unschedulable": true } }));
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(uid(&sim, "n0"), before);
    assert_eq!(counts(&sim, &key), ("running".to_owned(), [2, 0, 0, 2]));
    succeed(&mut sim, &["n0", "n1"]);
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 2, 0, 2]));
}

#[test]
fn a_cordon_ends_pods_at_work_if_that_is_wanted() {
    let (mut sim, key) = at_work(&json!({ "unfitPods": "Delete" }));
    change_node(&mut sim, "n0", &json!({ "spec": { "unschedulable": true } }));
    sim.settle(&key, TURNS).unwrap();
    assert!(pods_on(&sim, "n0").is_empty());
    assert_eq!(counts(&sim, &key), ("running".to_owned(), [1, 0, 0, 1]));
}

/// B3: the place of a pod that may not stay is free once it goes. A policy may forbid that.
#[test]
fn a_pod_that_cannot_be_deleted_keeps_its_place() {
    let mut job = clean_with(&image("never-ready"));
    merge(&mut job, &json!({ "spec": { "unfitPods": "Delete", "parallelism": 1 } }));
    let (mut sim, key) = drive(2, job);
    begin(&mut sim, &key, 3);
    assert_eq!((pods_on(&sim, "n0").len(), pods_on(&sim, "n1").len()), (1, 0));
    change_node(&mut sim, "n0", &json!({ "spec": { "unschedulable": true } }));
    sim.fate = Box::new(|_, write| match write.request {
        Request::Delete { .. } => Fate::Denied,
        _ => Fate::Done,
    });
    begin(&mut sim, &key, 5);
    assert_eq!((pods_on(&sim, "n0").len(), pods_on(&sim, "n1").len()), (1, 0));
    sim.fate = Box::new(|_, _| Fate::Done);
    sim.settle(&key, TURNS).unwrap();
    assert_eq!((pods_on(&sim, "n0").len(), pods_on(&sim, "n1").len()), (0, 1));
}

#[test]
fn a_node_that_no_pod_may_stay_on_loses_its_pod() {
    for change in [
        json!({ "spec": { "taints": [{ "key": "out", "effect": "NoExecute" }] } }),
        json!({ "metadata": { "labels": { "disk": "hdd" } } }),
    ] {
        let selector = json!({ "template": { "spec": { "nodeSelector": { "disk": "ssd" } } } });
        let mut job = clean_with(&image("never-ready"));
        merge(&mut job, &json!({ "spec": selector }));
        let (mut sim, key) = drive(2, job);
        for name in ["n0", "n1"] {
            change_node(&mut sim, name, &json!({ "metadata": { "labels": { "disk": "ssd" } } }));
        }
        begin(&mut sim, &key, 3);
        assert_eq!(counts(&sim, &key).1, [2, 0, 0, 2]);
        change_node(&mut sim, "n0", &change);
        sim.settle(&key, TURNS).unwrap();
        assert!(pods_on(&sim, "n0").is_empty(), "{change}");
        assert_eq!(counts(&sim, &key), ("running".to_owned(), [1, 0, 0, 1]), "{change}");
    }
}

#[test]
fn a_node_that_does_not_answer_keeps_its_pod() {
    let (mut sim, key) = at_work(&json!({}));
    let before = uid(&sim, "n0");
    let taints = ["NoSchedule", "NoExecute"]
        .map(|effect| json!({ "key": "node.kubernetes.io/unreachable", "effect": effect }));
    change_node(&mut sim, "n0", &json!({ "spec": { "taints": taints } }));
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(uid(&sim, "n0"), before);
}

/// W11: nobody else takes a pod away that waits for a node that is gone.
#[test]
fn a_pod_that_waits_for_a_lost_node_is_deleted_and_holds_no_slot() {
    let (mut sim, key) = drive(2, clean_with(&json!({ "spec": { "parallelism": 1 } })));
    sim.turn(&key).unwrap();
    assert_eq!(pods_on(&sim, "n0").len(), 1, "it is created, and no scheduler has seen it");
    sim.world.delete(&NODE, &node_key("n0"));
    sim.settle(&key, TURNS).unwrap();
    assert!(pods_on(&sim, "n0").is_empty());
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 1, 0, 1]));
}

#[test]
fn a_node_that_comes_back_under_its_name_is_another_node() {
    let (mut sim, key) = at_work(&json!({ "completionPolicy": { "type": "Never" } }));
    succeed(&mut sim, &["n1"]);
    sim.settle(&key, TURNS).unwrap();
    let before = [uid(&sim, "n0"), uid(&sim, "n1")];
    for name in ["n0", "n1"] {
        sim.world.delete(&NODE, &node_key(name));
        sim.world.insert(&NODE, node(name, &json!({})));
    }
    sim.settle(&key, TURNS).unwrap();
    let uids = |name: &str| -> Vec<String> {
        pods_on(&sim, name).iter().map(|pod| text(pod, "/metadata/uid").to_owned()).collect()
    };
    assert!(!uids("n0").contains(&before[0]), "what was at work for the old node is gone");
    let told = sim.transcript.join("\n");
    assert_eq!(uids("n1").len(), 2, "the result of the old node stays, the new one runs\n{told}");
    assert_eq!(counts(&sim, &key).1, [2, 1, 0, 2]);
}

/// W16: results survive pods and nodes.
#[test]
fn results_survive_the_loss_of_pods_and_nodes() {
    let (mut sim, key) = drive(3, clean_with(&json!({ "spec": { "parallelism": 1 } })));
    while counts(&sim, &key).1[1] < 1 {
        begin(&mut sim, &key, 1);
        later(&mut sim, 1);
    }
    let pod = pod_on(&sim, "n0");
    sim.world.delete(&POD, &pod);
    sim.world.delete(&NODE, &node_key("n0"));
    sim.restart();
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 3, 0, 2]));
}

/// W16: somebody cleans up so fast that no status could say yet that the pod succeeded; it was seen, and that is enough.
#[test]
fn a_success_counts_although_its_pod_is_gone_before_the_status_says_so() {
    let (mut sim, key) = at_work(&json!({}));
    let before = uid(&sim, "n0");
    succeed(&mut sim, &["n0"]);
    sim.relist();
    let pod = pod_on(&sim, "n0");
    sim.world.delete(&POD, &pod);
    sim.relist();
    assert!(pods_on(&sim, "n0").is_empty(), "{before} is gone");
    sim.turn(&key).unwrap();
    succeed(&mut sim, &["n1"]);
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 2, 0, 2]));
    assert!(pods_on(&sim, "n0").is_empty(), "it did not run again");
}

/// Platform §18.7: a gate that OpenKruise's webhook added, and that nobody else answers for.
#[test]
fn a_gate_that_somebody_added_is_opened_once() {
    let gate = json!([{ "conditionType": "KruisePodReady" }]);
    let (sim, _) = at_work(&json!({ "template": { "spec": { "readinessGates": gate } } }));
    for node in ["n0", "n1"] {
        let pod = &pods_on(&sim, node)[0];
        let conditions = pod["status"]["conditions"].as_array().unwrap();
        let opened: Vec<&Value> =
            conditions.iter().filter(|c| c["type"] == "KruisePodReady").collect();
        assert_eq!((opened.len(), &opened[0]["status"]), (1, &json!("True")));
    }
    let told = |write: &&kruise_common::write::Write| write.to_string().contains("pods/status");
    assert_eq!(sim.writes.iter().filter(told).count(), 2, "once for each pod");
    let (without, _) = at_work(&json!({}));
    assert_eq!(without.writes.iter().filter(told).count(), 0, "pods of ours have no gate");
}

/// A kubelet that never answers: the pod is told to stop, then deleted, and its node counts as failed.
#[test]
fn a_pod_that_does_not_stop_is_deleted() {
    let policy = json!({ "failurePolicy": { "type": "Continue" }, "template": { "spec": { "restartPolicy": "OnFailure" } } });
    let (mut sim, key) = at_work(&policy);
    let pod = pod_on(&sim, "n0");
    sim.world.edit(&POD, &pod, |pod| {
        merge(pod, &json!({ "metadata": { "annotations": { "sim.kruise.dev/ignore": "true" } } }));
        pod["status"]["containerStatuses"][0]["restartCount"] = json!(1);
    });
    sim.relist();
    sim.turn(&key).unwrap();
    assert_eq!(pods_on(&sim, "n0")[0]["spec"]["activeDeadlineSeconds"], 1);
    assert_eq!(counts(&sim, &key), ("running".to_owned(), [1, 0, 1, 2]));
    for _ in 0..3 {
        sim.relist();
        sim.turn(&key).unwrap();
    }
    assert!(pods_on(&sim, "n0")[0]["metadata"]["deletionTimestamp"].is_null(), "it has a minute");
    later(&mut sim, 61);
    sim.relist();
    sim.turn(&key).unwrap();
    assert!(!pods_on(&sim, "n0")[0]["metadata"]["deletionTimestamp"].is_null());
    for phase in ["Running", "Failed"] {
        sim.world.edit(&POD, &pod, |pod| pod["status"]["phase"] = json!(phase));
        for _ in 0..2 {
            sim.relist();
            sim.turn(&key).unwrap();
            assert_eq!(counts(&sim, &key), ("running".to_owned(), [1, 0, 1, 2]), "on its way out");
        }
    }
    // Somebody forces it away at last: the node has failed, and is not run again.
    sim.world.edit(&POD, &pod, |pod| pod["metadata"]["deletionGracePeriodSeconds"] = json!(0));
    succeed(&mut sim, &["n1"]);
    sim.settle(&key, TURNS).unwrap();
    assert!(pods_on(&sim, "n0").is_empty());
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 1, 1, 2]));
}

/// All nodes that count are done; what may not stay where it is goes with the last of them, and is not left behind.
#[test]
fn completion_leaves_nobody_behind() {
    let (mut sim, key) = at_work(&json!({}));
    let selector =
        json!({ "spec": { "template": { "spec": { "nodeSelector": { "disk": "ssd" } } } } });
    change_node(&mut sim, "n1", &json!({ "metadata": { "labels": { "disk": "ssd" } } }));
    succeed(&mut sim, &["n1"]);
    change(&mut sim, &key, &selector);
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 1, 0, 1]));
    assert!(pods_on(&sim, "n0").is_empty(), "it would run on for ever");
}

/// A pod whose end does not count and that ends at once, for whatever reason, is not made again as fast as it ends.
#[test]
fn a_pod_that_always_ends_at_once_is_not_made_again_at_once() {
    let rules =
        json!([{ "action": "Ignore", "onExitCodes": { "operator": "In", "values": [42] } }]);
    let (mut sim, key) = at_work(&json!({ "failurePolicy": { "rules": rules } }));
    let mut before = BTreeSet::new();
    for _ in 0..20 {
        let Some(now) = pods_on(&sim, "n0").first().cloned() else { continue };
        before.insert(text(&now, "/metadata/uid").to_owned());
        let pod = pod_on(&sim, "n0");
        sim.world.edit(&POD, &pod, |pod| {
            let ended = json!([{ "name": "c", "state": { "terminated": { "exitCode": 42 } } }]);
            merge(&mut pod["status"], &json!({ "phase": "Failed", "containerStatuses": ended }));
        });
        later(&mut sim, 1);
        for _ in 0..3 {
            sim.relist();
            sim.turn(&key).unwrap();
        }
    }
    assert!((2..=3).contains(&before.len()), "{} pods in twenty seconds", before.len());
}

/// W22: one of two pods on a node, made by another controller before.
#[test]
fn one_of_two_pods_on_a_node_goes_if_it_has_not_begun() {
    let (mut sim, key) = at_work(&json!({}));
    let pod = pod_on(&sim, "n0");
    sim.world.edit(&POD, &pod, |pod| pod["status"]["phase"] = json!("Running"));
    let mut twin = pods_on(&sim, "n0")[0].clone();
    twin["metadata"] = json!({
        "name": "clean-abcde", "namespace": "default", "labels": twin["metadata"]["labels"],
        "ownerReferences": twin["metadata"]["ownerReferences"],
    });
    twin["status"] = json!({ "phase": "Pending" });
    sim.world.insert(&POD, twin);
    sim.relist();
    sim.turn(&key).unwrap();
    let going = sim.writes.last().unwrap().to_string();
    assert!(
        sim.transcript.iter().any(|line| line.ends_with("delete clean-abcde (it is one too many)")),
        "{going}"
    );
}

#[test]
fn somebody_elses_pod_under_our_name_is_left_alone_and_reported() {
    let (mut sim, key) = drive(1, clean_with(&json!({})));
    let plan = sim.plan(&key).unwrap();
    assert_eq!(plan.actions().count(), 1);
    // Its name is taken by a pod without an owner.
    begin(&mut sim, &key, 1);
    let pod = pod_on(&sim, "n0");
    sim.world.edit(&POD, &pod, |pod| pod["metadata"]["ownerReferences"] = json!([]));
    sim.relist();
    let turned = sim.turn(&key).unwrap();
    let held: Vec<String> = turned.holds.iter().map(ToString::to_string).collect();
    assert!(held.contains(&format!("NameTaken{{pod: {}}}", pod.name)), "{held:?}");
    assert_eq!(turned.writes, 1, "the status alone");
}

#[test]
fn edits_in_the_middle_take_effect() {
    let (mut sim, key) = drive(4, clean_with(&json!({ "spec": { "parallelism": 0 } })));
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(
        counts(&sim, &key),
        ("running".to_owned(), [0, 0, 0, 4]),
        "parallelism 0 holds a job"
    );
    change(&mut sim, &key, &json!({ "spec": { "parallelism": "50%" } }));
    begin(&mut sim, &key, 1);
    assert_eq!(sim.world.list(&POD).count(), 2);
    change(&mut sim, &key, &json!({ "spec": { "parallelism": 1 } }));
    begin(&mut sim, &key, 1);
    assert_eq!(sim.world.list(&POD).count(), 2, "lowering it ends nothing");
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 4, 0, 4]));
    change(&mut sim, &key, &json!({ "spec": { "completionPolicy": { "type": "Never" } } }));
    sim.world.insert(&NODE, node("n9", &json!({})));
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(
        counts(&sim, &key),
        ("completed".to_owned(), [0, 5, 0, 5]),
        "open for new nodes again"
    );
    assert!(status(&sim, &key)["completionTime"].is_string());
}

#[test]
fn rules_say_what_a_failure_means() {
    let run = |rules: Value, code: i32| {
        let policy = json!({ "failurePolicy": { "type": "Continue", "rules": rules, "retry": { "limit": 5 } } });
        let (mut sim, key) = at_work(&policy);
        let pod = pod_on(&sim, "n0");
        sim.world.edit(&POD, &pod, |pod| {
            let ended = json!([{ "name": "c", "state": { "terminated": { "exitCode": code } } }]);
            merge(&mut pod["status"], &json!({ "phase": "Failed", "containerStatuses": ended }));
        });
        sim.relist();
        sim.turn(&key).unwrap();
        sim.relist();
        sim.turn(&key).unwrap();
        counts(&sim, &key)
    };
    let on = |action: &str| json!([{ "action": action, "onExitCodes": { "operator": "In", "values": [42] } }]);
    assert_eq!(run(on("FailJob"), 42), ("failed".to_owned(), [0, 0, 2, 2]));
    assert_eq!(run(on("FailNode"), 42), ("running".to_owned(), [1, 0, 1, 2]));
    assert_eq!(run(on("Ignore"), 42), ("running".to_owned(), [2, 0, 0, 2]), "run again at once");
    assert_eq!(run(on("FailJob"), 1), ("running".to_owned(), [1, 0, 0, 2]), "retried later");
}

#[test]
fn some_failed_nodes_are_tolerated() {
    let policy = json!({ "failurePolicy": { "type": "FailFast", "maxFailedNodes": 1 } });
    let (mut sim, key) = at_work(&policy);
    let fail = |sim: &mut Sim, node: &str| {
        let pod = pod_on(sim, node);
        sim.world.edit(&POD, &pod, |pod| pod["status"]["phase"] = json!("Failed"));
    };
    fail(&mut sim, "n0");
    sim.relist();
    sim.turn(&key).unwrap();
    assert_eq!(counts(&sim, &key), ("running".to_owned(), [1, 0, 1, 2]));
    fail(&mut sim, "n1");
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(counts(&sim, &key), ("failed".to_owned(), [0, 0, 2, 2]));
}

/// W24: what was complete in time is complete, even if nobody looked until the deadline was past.
#[test]
fn a_job_that_was_done_in_time_is_complete() {
    let (mut sim, key) = at_work(&json!({ "completionPolicy": { "activeDeadlineSeconds": 60 } }));
    succeed(&mut sim, &["n0", "n1"]);
    sim.world.now = sim.world.now.checked_add(jiff::SignedDuration::from_secs(1000)).unwrap();
    sim.restart();
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 2, 0, 2]));
}

#[test]
fn a_completed_job_counts_no_pod_of_a_lost_node() {
    let (mut sim, key) = at_work(&json!({}));
    succeed(&mut sim, &["n0"]);
    sim.world.delete(&NODE, &node_key("n1"));
    sim.relist();
    sim.turn(&key).unwrap();
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 1, 0, 1]));
}
