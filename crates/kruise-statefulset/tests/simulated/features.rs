//! What a set may ask for beyond the plain rollout: options by annotation, ordinals that change, lost history.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{CONTROLLER_REVISION, POD, STATEFUL_SET};
use kruise_common::write::Request;
use serde_json::{Value, json};

use crate::builders::{
    Sim, change, drive, drive_with, in_place, is_true, merge, set_image, text, web, web_with,
};

fn pod(ordinal: i32) -> ObjectKey {
    ObjectKey { namespace: "default".into(), name: format!("web-{ordinal}").into() }
}

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, 500).unwrap();
}

fn option(name: &str, value: &str) -> Value {
    let key = format!("apps.kruise.io/{name}");
    json!({ "metadata": { "annotations": { key: value } } })
}

/// A set with an option and these changes of its spec.
fn web_option(replicas: i32, (name, value): (&str, &str), spec: &Value) -> Value {
    let mut set = web_with(replicas, &option(name, value));
    merge(&mut set, &json!({ "spec": spec }));
    set
}

/// Ordinals of all pods with this version of the image.
fn at_version(sim: &Sim, version: &str) -> Vec<i32> {
    let image = format!("example.com/app:{version}");
    let pods = sim.world.list(&POD).filter(|pod| text(pod, "/spec/containers/0/image") == image);
    pods.map(|pod| ordinal(text(pod, "/metadata/name"))).collect()
}

fn ordinal(name: &str) -> i32 {
    name.rsplit('-').next().unwrap().parse().unwrap()
}

fn ordinals(sim: &Sim) -> BTreeSet<i32> {
    sim.world.list(&POD).map(|pod| ordinal(text(pod, "/metadata/name"))).collect()
}

fn condition(sim: &Sim, key: &ObjectKey, kind: &str) -> (String, String, String) {
    let set = sim.world.get(&STATEFUL_SET, key).unwrap();
    let conditions = set["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|c| c["type"] == kind).unwrap_or_default();
    let of = |member: &str| text(&found, &format!("/{member}")).to_owned();
    (of("status"), of("reason"), of("message"))
}

fn image(version: &str) -> String {
    format!("example.com/app:{version}")
}

/// Ordinals of pods in the order in which they were deleted.
fn deletions(sim: &Sim, from: usize) -> Vec<i32> {
    let deletes = sim.writes[from..].iter().filter(|write| *write.kind == POD);
    let deletes = deletes.filter(|write| matches!(write.request, Request::Delete { .. }));
    deletes.map(|write| ordinal(&write.key.name)).collect()
}

#[test]
fn a_percentage_of_the_ranks_stays_old() {
    let parallel = json!({ "podManagementPolicy": "Parallel" });
    let (mut sim, key) = drive(web_option(10, ("partition-percent", "75%"), &parallel));
    settle(&mut sim, &key);
    set_image(&mut sim, &key, &image("2"));
    settle(&mut sim, &key);
    assert_eq!(at_version(&sim, "2"), [8, 9]);
    change(&mut sim, &key, &option("partition-percent", "0%"));
    settle(&mut sim, &key);
    assert_eq!(at_version(&sim, "2").len(), 10);
}

#[test]
fn an_option_that_cannot_be_read_updates_nobody() {
    let (mut sim, key) = drive(web_option(3, ("partition-percent", "half"), &json!({})));
    settle(&mut sim, &key);
    assert!(ordinals(&sim).is_empty());
    let (status, _, message) = condition(&sim, &key, "InvalidSpec");
    assert_eq!(status, "True");
    assert!(
        message.starts_with("metadata.annotations[apps.kruise.io/partition-percent]: \"half\"")
    );
}

/// K-1: the highest two at a time, never overtaking, and never more than two down.
#[test]
fn an_ordered_update_takes_down_as_many_as_the_owner_allows() {
    for (allowed, worst) in [("2", 2), ("50%", 3), ("1", 1)] {
        let (mut sim, key) = drive(web_option(6, ("ordered-max-unavailable", allowed), &json!({})));
        settle(&mut sim, &key);
        let before = sim.writes.len();
        let down = std::rc::Rc::new(std::cell::Cell::new(0));
        let seen = down.clone();
        sim.inspect = Box::new(move |world, write| {
            let up = |pod: &&Value| {
                is_true(pod, "Ready") && pod["metadata"]["deletionTimestamp"].is_null()
            };
            if write.verb() == "delete" {
                let others =
                    world.list(&POD).filter(|p| text(p, "/metadata/name") != &*write.key.name);
                seen.set(seen.get().max(6 - others.filter(up).count()));
            }
        });
        set_image(&mut sim, &key, &image("2"));
        settle(&mut sim, &key);
        assert_eq!(at_version(&sim, "2").len(), 6);
        assert_eq!(deletions(&sim, before), [5, 4, 3, 2, 1, 0], "{allowed}");
        assert_eq!(down.get(), worst, "{allowed}");
    }
}

/// Without the option one pod at a time, whatever `maxUnavailable` was stored past validation.
#[test]
fn an_ordered_update_needs_the_option_to_take_down_more() {
    let more = json!({ "updateStrategy": { "rollingUpdate": { "maxUnavailable": 3 } } });
    let (mut sim, key) = drive(web_with(4, &json!({ "spec": more })));
    settle(&mut sim, &key);
    set_image(&mut sim, &key, &image("2"));
    sim.relist();
    sim.turn(&key);
    let terminating =
        sim.world.list(&POD).filter(|p| !p["metadata"]["deletionTimestamp"].is_null());
    assert_eq!(terminating.count(), 1);
}

/// kubernetes#67250, W-4: the corrected template reaches a set that is stuck in a broken one.
#[test]
fn a_stuck_ordered_rollout_recovers_where_the_owner_wants_that() {
    for policy in ["ReCreate", "InPlaceIfPossible"] {
        let mut set = web_with(3, &in_place());
        merge(
            &mut set,
            &json!({ "spec": {
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": policy } },
        } }),
        );
        let (mut sim, key) = drive(set);
        settle(&mut sim, &key);
        set_image(&mut sim, &key, &image("fail-pull"));
        settle(&mut sim, &key);
        assert_eq!(at_version(&sim, "fail-pull"), [2], "one broken pod stops the rollout");
        set_image(&mut sim, &key, &image("2"));
        settle(&mut sim, &key);
        assert_eq!(at_version(&sim, "fail-pull"), [2], "stuck, as in Kubernetes");
        let (status, reason, message) = condition(&sim, &key, "Progressing");
        assert_eq!(
            (status.as_str(), reason.as_str()),
            ("False", "StuckRollout"),
            "{policy}: {message}"
        );
        assert!(
            message.contains("pod: web-2, why: ImagePullBackOff of container app"),
            "{message}"
        );

        change(&mut sim, &key, &option("recover-stuck-rollout", "true"));
        settle(&mut sim, &key);
        assert_eq!(at_version(&sim, "2"), [0, 1, 2], "{policy}");
        assert_eq!(condition(&sim, &key, "Progressing").1, "Complete");
    }
}

/// Several broken pods: the highest first, one at a time, and each comes back before the one above is made.
#[test]
fn a_set_that_is_broken_in_several_places_recovers() {
    let (mut sim, key) = drive(web_option(4, ("recover-stuck-rollout", "true"), &json!({})));
    settle(&mut sim, &key);
    for at in [0, 1, 3] {
        sim.world.edit(&POD, &pod(at), |pod| {
            pod["spec"]["containers"][0]["image"] = json!("example.com/app:fail-pull");
        });
    }
    sim.settle(&key, 500).unwrap();
    let before = sim.writes.len();
    set_image(&mut sim, &key, &image("2"));
    settle(&mut sim, &key);
    assert_eq!(at_version(&sim, "2"), [0, 1, 2, 3]);
    assert_eq!(deletions(&sim, before), [3, 1, 0, 2]);
}

/// A broken template is not healed by trying again.
#[test]
fn recovery_does_not_touch_a_broken_pod_of_the_update_revision() {
    let (mut sim, key) = drive(web_option(3, ("recover-stuck-rollout", "true"), &json!({})));
    settle(&mut sim, &key);
    set_image(&mut sim, &key, &image("fail-pull"));
    settle(&mut sim, &key);
    let writes = sim.writes.len();
    settle(&mut sim, &key);
    assert_eq!(sim.writes.len(), writes);
    assert_eq!(at_version(&sim, "1"), [0, 1]);
}

#[test]
fn a_rollout_that_does_not_get_on_exceeds_its_deadline_and_is_well_again_later() {
    let (mut sim, key) = drive(web_option(3, ("progress-deadline-seconds", "60"), &json!({})));
    settle(&mut sim, &key);
    assert_eq!(condition(&sim, &key, "Progressing").1, "Complete");
    set_image(&mut sim, &key, &image("never-ready"));
    let began = sim.world.now;
    settle(&mut sim, &key);
    let (status, reason, message) = condition(&sim, &key, "Progressing");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ProgressDeadlineExceeded"));
    assert!(message.contains("NotAvailableYet{pod: web-2}"), "{message}");
    let waited = sim.world.now.duration_since(began).as_secs();
    assert!((60..75).contains(&waited), "time went on to the deadline and no further: {waited} s");
    sim.world.delete(&POD, &pod(2));
    set_image(&mut sim, &key, &image("3"));
    settle(&mut sim, &key);
    assert_eq!(condition(&sim, &key, "Progressing").0, "True");
    assert_eq!(at_version(&sim, "3"), [0, 1, 2]);
}

/// Three of eight pods are in zone a; they do not go first all together.
#[test]
fn an_unordered_update_is_scattered_over_labels() {
    let mut set = web_with(8, &in_place());
    merge(&mut set, &option("scatter-strategy", r#"[{"key":"zone","value":"a"}]"#));
    merge(
        &mut set,
        &json!({ "spec": { "updateStrategy": { "rollingUpdate": { "unorderedUpdate": {} } } } }),
    );
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    for at in 5..8 {
        let zone = json!({ "metadata": { "labels": { "zone": "a" } } });
        sim.world.edit(&POD, &pod(at), |pod| merge(pod, &zone));
    }
    settle(&mut sim, &key);
    let before = sim.writes.len();
    set_image(&mut sim, &key, &image("2"));
    settle(&mut sim, &key);
    let starts = sim.writes[before..].iter().filter(|write| {
        *write.kind == POD && format!("{:?}", write.request).contains("example.com/app:2")
    });
    let mut order: Vec<i32> = starts.map(|write| ordinal(&write.key.name)).collect();
    order.dedup();
    assert_eq!(order, [7, 4, 3, 6, 5, 2, 1, 0]);
}

/// AC-19, O-7: set, raised, lowered and removed on a live set, in both modes.
#[test]
fn a_start_that_changes_ends_in_exactly_the_new_ordinals() {
    let gates = || "StatefulSetStartOrdinal=true".parse().unwrap();
    for policy in ["OrderedReady", "Parallel"] {
        let set = web_with(3, &json!({ "spec": { "podManagementPolicy": policy } }));
        let (mut sim, key) = drive_with(set, gates());
        settle(&mut sim, &key);
        for (ordinals_spec, expected) in [
            (json!({ "start": 2 }), [2, 3, 4]),
            (json!({ "start": 7 }), [7, 8, 9]),
            (json!({ "start": 1 }), [1, 2, 3]),
            (Value::Null, [0, 1, 2]),
        ] {
            change(&mut sim, &key, &json!({ "spec": { "ordinals": ordinals_spec } }));
            settle(&mut sim, &key);
            assert_eq!(ordinals(&sim), BTreeSet::from(expected), "{policy}: {ordinals_spec}");
            assert!(sim.world.list(&POD).all(|pod| is_true(pod, "Ready")));
        }
    }
}

#[test]
fn a_start_means_nothing_without_its_gate() {
    let (mut sim, key) = drive(web_with(2, &json!({ "spec": { "ordinals": { "start": 5 } } })));
    settle(&mut sim, &key);
    assert_eq!(ordinals(&sim), BTreeSet::from([0, 1]));
}

/// O-5, O-6: ranges that come and go.
#[test]
fn reserved_ranges_move_pods_and_let_them_come_back() {
    let (mut sim, key) = drive(web(3));
    settle(&mut sim, &key);
    for (reserved, expected) in [
        (json!([1, "3-4"]), [0, 2, 5]),
        (json!(["0-9"]), [10, 11, 12]),
        (json!(["0-1000000000"]), [1_000_000_001, 1_000_000_002, 1_000_000_003]),
        (json!([]), [0, 1, 2]),
    ] {
        change(&mut sim, &key, &json!({ "spec": { "reserveOrdinals": reserved } }));
        settle(&mut sim, &key);
        assert_eq!(ordinals(&sim), BTreeSet::from(expected), "{reserved}");
    }
}

fn canary() -> (Sim, ObjectKey) {
    let spec = json!({ "podManagementPolicy": "Parallel", "updateStrategy": { "rollingUpdate": { "partition": 2 } } });
    let (mut sim, key) = drive(web_with(4, &json!({ "spec": spec })));
    settle(&mut sim, &key);
    set_image(&mut sim, &key, &image("2"));
    settle(&mut sim, &key);
    assert_eq!(at_version(&sim, "2"), [2, 3]);
    (sim, key)
}

/// R-17: the pods tell what the status has forgotten.
#[test]
fn a_lost_status_does_not_forget_the_partition() {
    for status in [json!({}), json!({ "currentRevision": "web-gone" })] {
        let (mut sim, key) = canary();
        sim.world.edit(&STATEFUL_SET, &key, |set| set["status"] = status.clone());
        for at in [0, 3] {
            sim.world.delete(&POD, &pod(at));
        }
        settle(&mut sim, &key);
        assert_eq!(at_version(&sim, "1"), [0, 1], "{status}");
        let current =
            sim.world.get(&STATEFUL_SET, &key).unwrap()["status"]["currentRevision"].clone();
        let label = &sim.world.get(&POD, &pod(0)).unwrap()["metadata"]["labels"]["controller-revision-hash"];
        assert_eq!(*label, current);
    }
}

/// When the revision itself is gone, nobody can bring the old template back: that is said, not hidden.
#[test]
fn a_lost_revision_is_said() {
    let (mut sim, key) = canary();
    let current =
        text(sim.world.get(&STATEFUL_SET, &key).unwrap(), "/status/currentRevision").to_owned();
    sim.world.delete(&CONTROLLER_REVISION, &key.sibling(current.clone()));
    sim.relist();
    let plan = sim.plan(&key).unwrap();
    assert!(
        plan.holds
            .iter()
            .any(|hold| hold.to_string() == format!("HistoryLost{{revision: {current}}}"))
    );
    assert!(plan.notes.iter().any(|note| note.warning && note.message.contains("is gone")));
    settle(&mut sim, &key);
    assert_eq!(at_version(&sim, "1"), [0, 1], "pods that run are left alone");
    assert_eq!(condition(&sim, &key, "Progressing").1, "HistoryLost", "it stays so");
    let partition = json!({ "updateStrategy": { "rollingUpdate": { "partition": 0 } } });
    change(&mut sim, &key, &json!({ "spec": partition }));
    settle(&mut sim, &key);
    assert_eq!(condition(&sim, &key, "Progressing").1, "Complete");
}

/// W-15, K-5: a claim that another controller manages keeps its owners, whatever the policy.
#[test]
fn claims_of_another_controller_are_left_alone() {
    use kruise_common::kind::CLAIM;
    let mut set = web_with(2, &crate::builders::with_claims());
    merge(
        &mut set,
        &json!({ "spec": { "persistentVolumeClaimRetentionPolicy": { "whenScaled": "Delete", "whenDeleted": "Delete" } } }),
    );
    let (mut sim, key) = drive(set);
    let owner = sim
        .world
        .insert(&CONTROLLER_REVISION, json!({ "metadata": { "name": "other" }, "revision": 1 }));
    let uid =
        text(sim.world.get(&CONTROLLER_REVISION, &owner).unwrap(), "/metadata/uid").to_owned();
    let reference = json!([{ "apiVersion": "x/v1", "kind": "Backup", "name": "other", "uid": uid, "controller": true }]);
    sim.world.insert(&CLAIM, json!({
        "metadata": { "name": "data-web-1", "ownerReferences": reference },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    }));
    settle(&mut sim, &key);
    let claim = key.sibling("data-web-1");
    assert_eq!(sim.world.get(&CLAIM, &claim).unwrap()["metadata"]["ownerReferences"], reference);
    let holds = sim.plan(&key).unwrap().holds;
    assert!(
        holds.iter().any(|hold| hold.to_string() == "ClaimTaken{claim: data-web-1}"),
        "{holds:?}"
    );
    let other = sim.world.get(&CLAIM, &key.sibling("data-web-0")).unwrap();
    assert_eq!(other["metadata"]["ownerReferences"][0]["kind"], "StatefulSet");
    change(&mut sim, &key, &json!({ "spec": { "replicas": 1 } }));
    settle(&mut sim, &key);
    assert!(sim.world.get(&CLAIM, &claim).is_some(), "not taken along");
}

/// A container that runs and is never ready, or crashes again and again, stops a rollout as well, and is called so all the
/// time.
#[test]
fn a_rollout_that_a_failing_probe_stops_is_called_stuck_after_a_while() {
    let (mut sim, key) = drive(web(3));
    settle(&mut sim, &key);
    set_image(&mut sim, &key, &image("never-ready"));
    settle(&mut sim, &key);
    set_image(&mut sim, &key, &image("2"));
    settle(&mut sim, &key);
    assert_eq!(condition(&sim, &key, "Progressing").1, "RollingOut", "it may yet become ready");
    sim.world.now += SignedDuration::from_mins(3);
    settle(&mut sim, &key);
    let (status, reason, message) = condition(&sim, &key, "Progressing");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "StuckRollout"));
    assert!(message.contains("why: container app is not ready}"), "{message}");
    sim.world.crash(&pod(2), "app");
    settle(&mut sim, &key);
    assert_eq!(condition(&sim, &key, "Progressing").1, "StuckRollout");
}

/// Its condition as the kubelet writes it, and nobody is there to change it again.
fn unready(sim: &mut Sim, ordinal: i32) {
    let now = sim.world.now.to_string();
    sim.world.edit(&POD, &pod(ordinal), |pod| {
        pod["metadata"]["annotations"]["sim.kruise.dev/ignore"] = json!("true");
        for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
            if condition["type"] == "Ready" {
                condition["status"] = json!("False");
                condition["lastTransitionTime"] = json!(now);
            }
        }
    });
}

fn is_late(sim: &Sim, key: &ObjectKey) -> bool {
    sim.relist();
    let holds = sim.plan(key).unwrap().holds;
    holds.iter().any(|hold| hold.to_string().starts_with("ProgressDeadlineExceeded"))
}

/// The time before something was to be done is no time in which nothing got on.
#[test]
fn the_deadline_does_not_count_the_time_before_the_wait() {
    let slow = json!({ "podManagementPolicy": "Parallel", "updateStrategy": { "rollingUpdate": { "partition": 2 } } });
    let (mut sim, key) = drive(web_option(3, ("progress-deadline-seconds", "600"), &slow));
    settle(&mut sim, &key);
    set_image(&mut sim, &key, &image("2"));
    settle(&mut sim, &key);
    assert_eq!(at_version(&sim, "2"), [2]);
    sim.world.now += SignedDuration::from_hours(24);
    unready(&mut sim, 0);
    assert!(!is_late(&sim, &key), "the partition keeps that one as it is");
    unready(&mut sim, 2);
    assert!(!is_late(&sim, &key), "it was ready all the time");
    sim.world.now += SignedDuration::from_secs(601);
    assert!(is_late(&sim, &key));

    let (mut sim, key) = drive(web_option(3, ("progress-deadline-seconds", "600"), &slow));
    settle(&mut sim, &key);
    set_image(&mut sim, &key, &image("2"));
    settle(&mut sim, &key);
    sim.world.now += SignedDuration::from_hours(24);
    let held = json!({ "metadata": { "finalizers": ["test/slow"] } });
    sim.world.edit(&POD, &pod(1), |pod| merge(pod, &held));
    change(
        &mut sim,
        &key,
        &json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 1 } } } }),
    );
    for _ in 0..5 {
        sim.relist();
        sim.turn(&key);
        sim.world.nodes();
    }
    assert!(!sim.world.get(&POD, &pod(1)).unwrap()["metadata"]["deletionTimestamp"].is_null());
    assert!(!is_late(&sim, &key), "it was told to go a moment ago");
    sim.world.now += SignedDuration::from_secs(700);
    assert!(is_late(&sim, &key), "it does not go");
}

/// W-15: nobody waits for a claim that the policy does not reach.
#[test]
fn a_claim_of_somebody_else_is_no_late_rollout() {
    let mut set = web_option(1, ("progress-deadline-seconds", "600"), &json!({}));
    merge(&mut set, &crate::builders::with_claims());
    merge(
        &mut set,
        &json!({ "spec": { "persistentVolumeClaimRetentionPolicy": { "whenScaled": "Delete", "whenDeleted": "Delete" } } }),
    );
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    let owner = json!([{ "apiVersion": "x/v1", "kind": "Backup", "name": "other", "uid": "other", "controller": true }]);
    sim.world.edit(&kruise_common::kind::CLAIM, &key.sibling("data-web-0"), |claim| {
        claim["metadata"]["ownerReferences"] = owner;
    });
    sim.world.now += SignedDuration::from_hours(24);
    sim.relist();
    let holds = sim.plan(&key).unwrap().holds;
    let said: Vec<String> = holds.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["ClaimTaken{claim: data-web-0}"]);
}

/// What ends every pod right away is not asked as fast as it answers.
#[test]
fn pods_that_end_at_once_are_made_again_at_a_bounded_pace() {
    let (mut sim, key) = drive(web(1));
    sim.actor = Box::new(|world| {
        let runs =
            world.get(&POD, &pod(0)).is_some_and(|pod| text(pod, "/status/phase") != "Failed");
        if runs {
            world.edit(&POD, &pod(0), |pod| {
                pod["metadata"]["annotations"]["sim.kruise.dev/ignore"] = json!("true");
                pod["status"]["phase"] = json!("Failed");
            });
        }
        runs
    });
    let end = sim.world.now + SignedDuration::from_mins(2);
    let mut turns = 0;
    while sim.world.now < end && turns < 1000 {
        let _ = sim.settle(&key, 1);
        turns += 1;
    }
    let made =
        sim.writes.iter().filter(|w| *w.kind == POD && matches!(w.request, Request::Create { .. }));
    assert!((10..=13).contains(&made.count()), "every ten seconds");
}
