//! A member of the spec that means nothing stops the creation of pods, and nothing else (A6).

use kruise_common::key::ObjectKey;
use kruise_common::kind::{BROADCAST_JOB, NODE, POD};
use serde_json::{Value, json};

use crate::builders::{
    Sim, begin, change, change_node, clean_with, condition, counts, drive, image, merge, node,
    pod_on, pods_on,
};

const TURNS: usize = 400;

/// Members that mean nothing, as they get past an API server without our schema and admission.
fn slips() -> Vec<(Value, &'static str)> {
    vec![
        (json!({ "parallelism": "x" }), "spec.parallelism: \"x\": must be a number"),
        (json!({ "parallelism": -5 }), "spec.parallelism: -5: must be greater than or equal to 0"),
        (
            json!({ "failurePolicy": { "maxFailedNodes": -1 } }),
            "spec.failurePolicy.maxFailedNodes: -1: ",
        ),
        (
            json!({ "failurePolicy": { "restartLimit": "few" } }),
            "spec.failurePolicy.restartLimit: invalid type: string \"few\"",
        ),
        (
            json!({ "completionPolicy": { "stopClockWhilePaused": 7 } }),
            "spec.completionPolicy.stopClockWhilePaused: invalid type: integer `7`",
        ),
        (json!({ "rollout": { "waves": ["y"] } }), "spec.rollout.waves[0]: \"y\": "),
        (json!({ "rollout": { "first": {} } }), "spec.rollout.first: empty selector"),
        (json!({ "template": { "spec": { "containers": 5 } } }), "spec.template: cannot be read"),
    ]
}

/// Two of four nodes at work, then the slip; the policies are those of `policies`.
fn after(slip: &Value, policies: &Value) -> (Sim, ObjectKey) {
    let mut job = clean_with(&image("never-ready"));
    merge(&mut job, &json!({ "spec": { "parallelism": 2 } }));
    merge(&mut job, &json!({ "spec": policies }));
    let (mut sim, key) = drive(4, job);
    begin(&mut sim, &key, 3);
    assert_eq!(counts(&sim, &key).1, [2, 0, 0, 4]);
    change(&mut sim, &key, &json!({ "spec": { "parallelism": 4 } }));
    change(&mut sim, &key, &json!({ "spec": slip }));
    begin(&mut sim, &key, 2);
    (sim, key)
}

fn finish(sim: &mut Sim, node: &str, phase: &str) {
    let pod = pod_on(sim, node);
    sim.world.edit(&POD, &pod, |pod| {
        let ignored = json!({ "metadata": { "annotations": { "sim.kruise.dev/ignore": "true" } } });
        merge(pod, &ignored);
        pod["status"]["phase"] = json!(phase);
    });
}

#[test]
fn no_pod_is_made_and_everything_is_counted() {
    for (slip, says) in slips() {
        let (mut sim, key) = after(&slip, &json!({ "failurePolicy": { "type": "Continue" } }));
        let (_, message) = condition(&sim, &key, "InvalidSpec").unwrap_or_else(|| panic!("{slip}"));
        assert!(message.starts_with(says), "{slip}: {message}");
        finish(&mut sim, "n0", "Succeeded");
        finish(&mut sim, "n1", "Failed");
        sim.settle(&key, TURNS).unwrap();
        assert_eq!(counts(&sim, &key), ("running".to_owned(), [0, 1, 1, 4]), "{slip}");
        assert_eq!(sim.world.list(&POD).count(), 2, "{slip}");
        let holds: Vec<String> =
            sim.plan(&key).unwrap().holds.iter().map(ToString::to_string).collect();
        assert!(
            holds.iter().any(|hold| hold.starts_with(&format!("InvalidSpec{{{says}"))),
            "{holds:?}"
        );
    }
}

#[test]
fn a_failed_pod_still_ends_the_job() {
    for (slip, _) in slips() {
        let (mut sim, key) = after(&slip, &json!({}));
        finish(&mut sim, "n0", "Failed");
        sim.settle(&key, TURNS).unwrap();
        assert_eq!(counts(&sim, &key), ("failed".to_owned(), [0, 0, 2, 4]), "{slip}");
        assert!(pods_on(&sim, "n1").is_empty(), "{slip}: what was at work is ended");
    }
}

#[test]
fn the_deadline_holds_and_the_job_goes_after_its_time() {
    for (slip, _) in slips() {
        let policy = json!({ "activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 30 });
        let (mut sim, key) = after(&slip, &json!({ "completionPolicy": policy }));
        while sim
            .world
            .get(&BROADCAST_JOB, &key)
            .is_some_and(|job| job["status"]["phase"] != "failed")
        {
            sim.world.now = sim.world.now.checked_add(jiff::SignedDuration::from_secs(10)).unwrap();
            begin(&mut sim, &key, 1);
        }
        assert_eq!(counts(&sim, &key), ("failed".to_owned(), [0, 0, 2, 4]), "{slip}");
        let (_, message) = condition(&sim, &key, "Failed").unwrap();
        assert_eq!(message, "Job default/clean was active longer than specified deadline");
        sim.settle(&key, TURNS).unwrap();
        assert!(sim.world.get(&BROADCAST_JOB, &key).is_none(), "{slip}: it is gone");
    }
}

/// A pod that makes room for another one stays when there will be none: it is what people look at.
#[test]
fn failed_pods_that_would_be_tried_again_stay() {
    let retry = json!({ "type": "Continue", "retry": { "limit": 3, "backoffSeconds": 1 } });
    let (mut sim, key) = after(&json!({ "parallelism": "x" }), &json!({ "failurePolicy": retry }));
    finish(&mut sim, "n0", "Failed");
    finish(&mut sim, "n1", "Succeeded");
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(pods_on(&sim, "n0").len(), 1);
    change(&mut sim, &key, &image("exit-0"));
    change(&mut sim, &key, &json!({ "spec": { "parallelism": 4 } }));
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(condition(&sim, &key, "InvalidSpec"), None);
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 4, 0, 4]));
}

/// W7 at a deletion: OpenKruise took every pod that it deleted from the pods at work, although it was none of them, and
/// subtracted the number below zero from the largest parallelism there is.
#[test]
fn deletions_with_the_largest_parallelism_overflow_nothing() {
    for parallelism in [json!(null), json!(i32::MAX), json!("2147483647%")] {
        let mut job = clean_with(&image("never-ready"));
        let policy = json!({ "type": "Continue", "retry": { "limit": 1, "backoffSeconds": 0 } });
        let change =
            json!({ "parallelism": parallelism, "unfitPods": "Delete", "failurePolicy": policy });
        merge(&mut job, &json!({ "spec": change }));
        let (mut sim, key) = drive(3, job);
        begin(&mut sim, &key, 3);
        assert_eq!(counts(&sim, &key).1, [3, 0, 0, 3]);
        // One that is not at work any more is deleted for its retry, two that are because their nodes drive them out.
        finish(&mut sim, "n0", "Failed");
        begin(&mut sim, &key, 1);
        for name in ["n1", "n2"] {
            change_node(
                &mut sim,
                name,
                &json!({ "spec": { "taints": [{ "key": "out", "effect": "NoExecute" }] } }),
            );
        }
        sim.world.edit(&BROADCAST_JOB, &key, |job| job["status"]["active"] = json!(i32::MIN));
        begin(&mut sim, &key, 1);
        let deleted = sim.writes.iter().filter(|write| write.verb() == "delete").count();
        assert_eq!(deleted, 3, "{parallelism}\n{}", sim.transcript.join("\n"));
        let (_, [active, _, failed, desired]) = counts(&sim, &key);
        assert!(
            (0..=1).contains(&active) && failed == 0 && desired == 1,
            "{parallelism}: {active}"
        );
        sim.settle(&key, TURNS).unwrap();
        assert_eq!(counts(&sim, &key), ("running".to_owned(), [1, 0, 0, 1]), "{parallelism}");
    }
}

/// R8, R9: two nodes are done, one of them badly; then a third one comes.
#[test]
fn a_node_that_comes_late_is_served_unless_a_failure_pauses_the_job() {
    let run = |policy: &str| {
        let mut job = clean_with(&image("never-ready"));
        merge(&mut job, &json!({ "spec": { "failurePolicy": { "type": policy } } }));
        let (mut sim, key) = drive(2, job);
        begin(&mut sim, &key, 3);
        finish(&mut sim, "n0", "Succeeded");
        begin(&mut sim, &key, 1);
        finish(&mut sim, "n1", "Failed");
        sim.world.insert(&NODE, node("n2", &json!({})));
        begin(&mut sim, &key, 3);
        (sim, key)
    };
    let (mut sim, key) = run("Pause");
    assert_eq!(counts(&sim, &key), ("paused".to_owned(), [0, 1, 1, 3]));
    assert!(pods_on(&sim, "n2").is_empty(), "no pod for the late node");
    sim.settle(&key, TURNS).unwrap();
    assert!(pods_on(&sim, "n2").is_empty());
    let (mut sim, key) = run("Continue");
    assert_eq!(counts(&sim, &key), ("running".to_owned(), [1, 1, 1, 3]));
    finish(&mut sim, "n2", "Succeeded");
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 2, 1, 3]));
    let (sim, key) = run("FailFast");
    assert_eq!(counts(&sim, &key).0, "failed");
    assert!(pods_on(&sim, "n2").is_empty());
}
