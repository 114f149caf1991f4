//! Whole jobs as text, compared with `transcripts/*.txt`. Accept changes with
//! `ACCEPT=1 cargo test -p kruise-broadcastjob --test simulated`, and review them as behaviour.

use std::path::Path;

use kruise_common::key::ObjectKey;
use kruise_common::kind::{BROADCAST_JOB, NODE, POD};
use serde_json::{Value, json};

use crate::builders::{
    Sim, change, change_node, clean, clean_with, condition, counts, drive, image, merge, node,
    node_key, pod_on, status,
};

const TURNS: usize = 400;

/// A line that tells what the test does.
fn act(sim: &mut Sim, line: &str) {
    sim.say(&format!("# {line}"));
}

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, TURNS).unwrap();
    let (phase, [active, succeeded, failed, desired]) = counts(sim, key);
    sim.say(&format!(
        "{phase}: active {active}, succeeded {succeeded}, failed {failed}, desired {desired}"
    ));
}

fn compare(sim: &Sim, name: &str) {
    let text = sim.transcript.join("\n") + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/simulated/transcripts/{name}.txt"));
    if std::env::var("ACCEPT").is_ok() {
        std::fs::write(&file, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        golden == text,
        "{name} is told differently now; ACCEPT=1 accepts\n--- before\n{golden}\n--- now\n{text}"
    );
}

fn spec(change: &Value) -> Value {
    json!({ "spec": change })
}

#[test]
fn two_at_a_time_until_all_are_done_then_gone() {
    let policy = json!({ "parallelism": 2, "completionPolicy": { "ttlSecondsAfterFinished": 30 } });
    let (mut sim, key) = drive(5, clean_with(&spec(&policy)));
    act(&mut sim, "five nodes, two at a time");
    sim.settle(&key, 6).unwrap_err();
    let (phase, [_, _, _, desired]) = counts(&sim, &key);
    assert_eq!((phase.as_str(), desired), ("running", 5));
    while sim.world.get(&BROADCAST_JOB, &key).is_some() {
        settle(&mut sim, &key);
    }
    compare(&sim, "parallelism");
}

#[test]
fn a_failed_pod_ends_the_job() {
    let mut job = clean_with(&image("never-ready"));
    merge(&mut job, &spec(&json!({ "parallelism": 3 })));
    let (mut sim, key) = drive(5, job);
    act(&mut sim, "five nodes, three at a time; the policy is FailFast");
    settle(&mut sim, &key);
    act(&mut sim, "the pod on n1 fails");
    let pod = pod_on(&sim, "n1");
    sim.world.edit(&POD, &pod, |pod| pod["status"]["phase"] = json!("Failed"));
    settle(&mut sim, &key);
    let failed = condition(&sim, &key, "Failed").unwrap();
    let text = "failure policy is FailurePolicyTypeFailFast and failed pod is found";
    assert_eq!(failed, ("Failed".to_owned(), text.to_owned()));
    assert!(status(&sim, &key)["completionTime"].is_string());
    assert_eq!(sim.world.list(&POD).count(), 1, "the failed one stays, those at work are gone");
    compare(&sim, "fail-fast");
}

#[test]
fn failures_are_counted_and_the_job_goes_on() {
    let mut job = clean_with(&image("exit-1"));
    merge(&mut job, &spec(&json!({ "parallelism": 1, "failurePolicy": { "type": "Continue" } })));
    let (mut sim, key) = drive(2, job);
    act(&mut sim, "two nodes, every pod fails; the policy is Continue");
    settle(&mut sim, &key);
    assert_eq!(
        condition(&sim, &key, "Complete").unwrap().1,
        "Job completed, 0 pods succeeded, 2 pods failed"
    );
    compare(&sim, "continue");
}

#[test]
fn a_failed_pod_pauses_the_job_until_its_owner_has_seen_it() {
    let mut job = clean_with(&image("exit-1"));
    merge(&mut job, &spec(&json!({ "parallelism": 1, "failurePolicy": { "type": "Pause" } })));
    let (mut sim, key) = drive(3, job);
    act(&mut sim, "three nodes, one at a time, pods fail; the policy is Pause");
    settle(&mut sim, &key);
    assert_eq!(condition(&sim, &key, "Paused").unwrap().0, "FailedPod");
    act(&mut sim, "the owner deletes the failed pod, and has the next one succeed");
    change(&mut sim, &key, &image("exit-0"));
    let pod = pod_on(&sim, "n0");
    sim.world.delete(&POD, &pod);
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 3, 0, 3]));
    compare(&sim, "pause-on-failure");
}

#[test]
fn a_pause_by_hand_acknowledges_failures() {
    let mut job = clean_with(&image("exit-1"));
    merge(&mut job, &spec(&json!({ "parallelism": 1, "failurePolicy": { "type": "Pause" } })));
    let (mut sim, key) = drive(2, job);
    settle(&mut sim, &key);
    act(&mut sim, "paused by hand, and resumed");
    change(&mut sim, &key, &spec(&json!({ "paused": true })));
    settle(&mut sim, &key);
    change(&mut sim, &key, &spec(&json!({ "paused": false })));
    settle(&mut sim, &key);
    act(&mut sim, "once more");
    change(&mut sim, &key, &spec(&json!({ "paused": true })));
    settle(&mut sim, &key);
    change(&mut sim, &key, &spec(&json!({ "paused": false })));
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 0, 2, 2]));
    compare(&sim, "acknowledged");
}

#[test]
fn nodes_come_change_and_go_under_a_job_without_end() {
    let never =
        json!({ "completionPolicy": { "type": "Never" }, "failurePolicy": { "type": "Continue" } });
    let (mut sim, key) = drive(2, clean_with(&spec(&never)));
    change_node(&mut sim, "n1", &json!({ "spec": { "unschedulable": true } }));
    act(&mut sim, "n1 is cordoned");
    settle(&mut sim, &key);
    act(&mut sim, "n1 is not any more");
    change_node(&mut sim, "n1", &json!({ "spec": { "unschedulable": null } }));
    settle(&mut sim, &key);
    act(&mut sim, "n1 is cordoned and uncordoned again: it is done");
    change_node(&mut sim, "n1", &json!({ "spec": { "unschedulable": true } }));
    settle(&mut sim, &key);
    change_node(&mut sim, "n1", &json!({ "spec": { "unschedulable": null } }));
    settle(&mut sim, &key);
    act(&mut sim, "somebody cleans the finished pod of n0 up: it is still done");
    let pod = pod_on(&sim, "n0");
    sim.world.delete(&POD, &pod);
    settle(&mut sim, &key);
    act(&mut sim, "n2 comes");
    sim.world.insert(&NODE, node("n2", &json!({})));
    settle(&mut sim, &key);
    act(&mut sim, "n2 goes");
    sim.world.delete(&NODE, &node_key("n2"));
    settle(&mut sim, &key);
    act(&mut sim, "another node comes under the name of n2");
    sim.world.insert(&NODE, node("n2", &json!({})));
    settle(&mut sim, &key);
    compare(&sim, "nodes");
}

#[test]
fn a_job_that_takes_too_long_fails() {
    let mut job = clean_with(&image("never-ready"));
    merge(&mut job, &spec(&json!({ "completionPolicy": { "activeDeadlineSeconds": 60 } })));
    let (mut sim, key) = drive(2, job);
    act(&mut sim, "two nodes, the pods never end, a minute is given");
    settle(&mut sim, &key);
    assert_eq!(
        condition(&sim, &key, "Failed").unwrap().1,
        "Job default/clean was active longer than specified deadline"
    );
    assert_eq!(counts(&sim, &key), ("failed".to_owned(), [0, 0, 2, 2]));
    compare(&sim, "deadline");
}

#[test]
fn the_clock_goes_on_while_paused_unless_it_is_told_to_stop() {
    let run = |stop: bool| {
        let policy = json!({ "activeDeadlineSeconds": 60, "stopClockWhilePaused": stop });
        let (mut sim, key) =
            drive(1, clean_with(&spec(&json!({ "completionPolicy": policy, "paused": true }))));
        sim.settle(&key, TURNS).unwrap();
        sim.world.now = sim.world.now.checked_add(jiff::SignedDuration::from_secs(100)).unwrap();
        change(&mut sim, &key, &spec(&json!({ "paused": false })));
        sim.restart();
        sim.settle(&key, TURNS).unwrap();
        (counts(&sim, &key), status(&sim, &key)["pausedSeconds"].as_i64())
    };
    assert_eq!(run(false), (("failed".to_owned(), [0, 0, 0, 1]), None));
    assert_eq!(run(true), (("completed".to_owned(), [0, 1, 0, 1]), Some(100)));
}

#[test]
fn failed_nodes_are_tried_again_with_growing_delays() {
    let policy = json!({ "type": "Continue", "retry": { "limit": 2, "backoffSeconds": 10 } });
    let mut job = clean_with(&image("exit-1"));
    merge(&mut job, &spec(&json!({ "failurePolicy": policy })));
    let (mut sim, key) = drive(1, job);
    act(&mut sim, "one node, every pod fails, two retries");
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 0, 1, 1]));
    compare(&sim, "retry");
}

#[test]
fn a_pod_over_its_restart_limit_is_stopped_and_counts_as_failed() {
    let mut job = clean_with(&image("crash"));
    let policy = json!({ "failurePolicy": { "type": "Continue", "restartLimit": 2 } });
    merge(&mut job, &spec(&policy));
    merge(&mut job, &spec(&json!({ "template": { "spec": { "restartPolicy": "OnFailure" } } })));
    let (mut sim, key) = drive(1, job);
    act(&mut sim, "one node, the container crashes again and again, two restarts are tolerated");
    settle(&mut sim, &key);
    let pod = pod_on(&sim, "n0");
    let pod = sim.world.get(&POD, &pod).unwrap();
    assert_eq!(pod["status"]["phase"], "Failed", "stopped, not deleted");
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 0, 1, 1]));
    compare(&sim, "restart-limit");
}

#[test]
fn canaries_first_then_waves_with_time_between() {
    let rollout = json!({ "first": { "matchLabels": { "canary": "true" } }, "waves": [1, "50%"], "soakSeconds": 60 });
    let (mut sim, key) = drive(4, clean_with(&spec(&json!({ "rollout": rollout }))));
    change_node(&mut sim, "n2", &json!({ "metadata": { "labels": { "canary": "true" } } }));
    act(&mut sim, "four nodes, n2 first, then half of them, then all, a minute between");
    settle(&mut sim, &key);
    compare(&sim, "waves");
}

#[test]
fn one_at_a_time_in_each_zone() {
    let rollout = json!({ "topologyKey": "zone", "maxPerTopology": 1 });
    let (mut sim, key) = drive(4, clean_with(&spec(&json!({ "rollout": rollout }))));
    for (name, zone) in [("n0", "a"), ("n1", "a"), ("n2", "b"), ("n3", "b")] {
        change_node(&mut sim, name, &json!({ "metadata": { "labels": { "zone": zone } } }));
    }
    act(&mut sim, "two nodes in each of two zones, one at a time in each");
    settle(&mut sim, &key);
    compare(&sim, "zones");
}

#[test]
fn nobody_fits() {
    let template = json!({ "template": { "spec": { "nodeSelector": { "disk": "ssd" } } } });
    let (mut sim, key) = drive(2, clean_with(&spec(&template)));
    act(&mut sim, "two nodes, neither has the label");
    settle(&mut sim, &key);
    let (reason, message) = condition(&sim, &key, "NoEligibleNodes").unwrap();
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("NoNodeFits", "none of 2 nodes fits; status.unfinished says why")
    );
    assert_eq!(status(&sim, &key)["unfinished"][0]["reason"], "AffinityMismatch");
    act(&mut sim, "n0 gets it");
    change_node(&mut sim, "n0", &json!({ "metadata": { "labels": { "disk": "ssd" } } }));
    settle(&mut sim, &key);
    assert_eq!(condition(&sim, &key, "NoEligibleNodes"), None);
    compare(&sim, "nobody-fits");
}

#[test]
fn a_job_for_nobody_is_complete_if_that_is_wanted() {
    let policy = json!({ "completionPolicy": { "completeWithoutNodes": true } });
    let (mut sim, key) = drive(0, clean_with(&spec(&policy)));
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0; 4]));
}

#[test]
fn nonsense_gets_a_condition_and_harms_nobody() {
    for (change, says) in [
        (json!({ "parallelism": -1 }), "spec.parallelism: -1: must be greater than or equal to 0"),
        (
            json!({ "parallelism": "many" }),
            "spec.parallelism: \"many\": must be a number or a percentage (e.g. 5 or '10%')",
        ),
        (json!({ "template": null }), "spec: "),
        (json!({ "template": { "spec": { "containers": 5 } } }), "spec.template: cannot be read"),
        (json!({ "rollout": { "first": {} } }), "spec.rollout.first: empty selector"),
        (json!({ "failurePolicy": "FailFast" }), "spec.failurePolicy: invalid type"),
        (
            json!({ "completionPolicy": { "ttlSecondsAfterFinished": 99_999_999_999_i64 } }),
            "spec.completionPolicy.ttlSecondsAfterFinished: invalid value: integer `99999999999`",
        ),
    ] {
        let mut job = clean();
        job["spec"].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (mut sim, key) = drive(1, job);
        let settled = sim.settle(&key, TURNS);
        assert!(settled.is_ok(), "{change}: {}", sim.transcript.join("\n"));
        let found = condition(&sim, &key, "InvalidSpec");
        // A template that is null is an empty one: the API server says what is wrong with its pods.
        if change["template"] != Value::Null || change.get("template").is_none() {
            let (_, message) = found.unwrap_or_else(|| panic!("{change}"));
            assert!(message.starts_with(says), "{change}: {message}");
            assert_eq!(sim.world.list(&POD).count(), 0, "{change}");
        }
    }
}

/// R17: 1 + 2 + 4 + 3.
#[test]
fn one_turn_creates_all_that_may_be_at_work() {
    let mut job = clean_with(&image("never-ready"));
    merge(&mut job, &spec(&json!({ "parallelism": 10 })));
    let (mut sim, key) = drive(10, job);
    sim.turn(&key).unwrap();
    let created = sim.writes.iter().filter(|write| write.verb() == "create").count();
    assert_eq!(created, 10, "{}", sim.transcript.join("\n"));
}

/// W7: with the largest parallelism there is, a count below zero overflowed, and the manager crashed for ever.
#[test]
fn the_largest_parallelism_overflows_nothing() {
    for parallelism in [json!(i32::MAX), json!("2147483647%"), json!("100%")] {
        let (mut sim, key) = drive(3, clean_with(&spec(&json!({ "parallelism": parallelism }))));
        sim.world.edit(&BROADCAST_JOB, &key, |job| {
            job["status"] = json!({ "phase": "running", "active": -2_147_483_648_i64, "failed": 2_147_483_647 });
        });
        change_node(
            &mut sim,
            "n0",
            &json!({ "spec": { "taints": [{ "key": "a", "effect": "NoSchedule" }] } }),
        );
        sim.settle(&key, TURNS).unwrap();
        assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 2, 0, 2]));
    }
}
