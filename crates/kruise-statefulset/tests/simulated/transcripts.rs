//! Whole rollouts as text, compared with `transcripts/*.txt`. Accept changes with
//! `ACCEPT=1 cargo test -p kruise-statefulset --test simulated`, and review them as behaviour.

use std::path::Path;

use kruise_common::gates::FeatureGates;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{CONTROLLER_REVISION, POD, STATEFUL_SET};
use kruise_common::testing::drive::Drive;
use kruise_common::testing::world::World;
use serde_json::{Value, json};

use crate::builders::{
    Sim, change, drive, drive_with, in_place, merge, process, set_image, start, text, web,
    web_with, with_claims,
};

const TURNS: usize = 400;

/// A line that tells what the test does.
fn act(sim: &mut Sim, line: &str) {
    sim.say(&format!("# {line}"));
}

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, TURNS).unwrap();
    let plan = sim.plan(key).map(|plan| plan.steps.len());
    sim.say(if plan.unwrap_or(0) == 0 { "settled" } else { "settled with work left" });
}

fn compare(sim: &Sim, name: &str) {
    golden(name, &(sim.transcript.join("\n") + "\n"));
}

/// Compares a text with the golden file of this name.
pub fn golden(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/simulated/transcripts/{name}.txt"));
    if std::env::var("ACCEPT").is_ok() {
        std::fs::write(&file, text).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        golden == text,
        "{name} is told differently now; ACCEPT=1 accepts\n--- before\n{golden}\n--- now\n{text}"
    );
}

fn pod(ordinal: i32) -> ObjectKey {
    ObjectKey { namespace: "default".into(), name: format!("web-{ordinal}").into() }
}

fn image(sim: &Sim, ordinal: i32) -> String {
    let pod = sim.world.get(&POD, &pod(ordinal)).unwrap();
    text(pod, "/spec/containers/0/image").to_owned()
}

fn label(sim: &mut Sim, ordinal: i32, change: &Value) {
    sim.world.edit(&POD, &pod(ordinal), |pod| merge(pod, &json!({"metadata": {"labels": change}})));
}

#[test]
fn ordered_creation_then_recreation_from_the_top() {
    let (mut sim, key) = drive(web_with(3, &with_claims()));
    act(&mut sim, "an ordered set of 3 with claims");
    settle(&mut sim, &key);
    act(&mut sim, "a new image, by re-creation");
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    compare(&sim, "ordered");
}

#[test]
fn parallel_in_place_rollout_within_the_budget() {
    let mut set = web_with(5, &in_place());
    merge(&mut set, &json!({"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}}}}));
    let (mut sim, key) = drive(set);
    act(&mut sim, "a parallel set of 5");
    settle(&mut sim, &key);
    act(&mut sim, "a new image, in place, two at a time");
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    compare(&sim, "in-place");
}

#[test]
fn a_partition_is_lowered_step_by_step_and_a_rollback_returns_to_the_old_name() {
    let rolling = |partition: i32| json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": partition, "maxUnavailable": "100%"}}}});
    let mut set = web_with(4, &in_place());
    merge(&mut set, &rolling(3));
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    act(&mut sim, "a new image with partition 3");
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    act(&mut sim, "partition 1; a pod below it is deleted by hand and comes back old");
    change(&mut sim, &key, &rolling(1));
    sim.world.delete(&POD, &pod(0));
    settle(&mut sim, &key);
    assert_eq!(image(&sim, 0), "example.com/app:1");
    assert_eq!(image(&sim, 1), "example.com/app:2");
    act(&mut sim, "back to the old image");
    set_image(&mut sim, &key, "example.com/app:1");
    settle(&mut sim, &key);
    let set = sim.world.get(&STATEFUL_SET, &key).unwrap();
    assert_eq!(set["status"]["currentRevision"], set["status"]["updateRevision"]);
    compare(&sim, "partition");
}

#[test]
fn a_bad_image_is_healed_by_the_next_one() {
    let (mut sim, key) = drive(web_with(3, &in_place()));
    settle(&mut sim, &key);
    act(&mut sim, "an image that cannot be pulled, in place, one at a time");
    set_image(&mut sim, &key, "example.com/app:fail-pull");
    settle(&mut sim, &key);
    assert_eq!(image(&sim, 1), "example.com/app:1");
    act(&mut sim, "a good image");
    set_image(&mut sim, &key, "example.com/app:3");
    settle(&mut sim, &key);
    for ordinal in 0..3 {
        assert_eq!(image(&sim, ordinal), "example.com/app:3");
    }
    compare(&sim, "bad-image");
}

#[test]
fn a_bad_image_stops_an_ordered_rollout_until_its_pod_is_deleted() {
    let mut set = web_with(3, &in_place());
    merge(&mut set, &json!({"spec": {"podManagementPolicy": "OrderedReady"}}));
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    act(&mut sim, "an image that cannot be pulled");
    set_image(&mut sim, &key, "example.com/app:fail-pull");
    settle(&mut sim, &key);
    act(&mut sim, "a good image: nothing happens (RU-10)");
    set_image(&mut sim, &key, "example.com/app:3");
    settle(&mut sim, &key);
    assert_eq!(image(&sim, 2), "example.com/app:fail-pull");
    act(&mut sim, "web-2 is deleted");
    sim.world.delete(&POD, &pod(2));
    settle(&mut sim, &key);
    for ordinal in 0..3 {
        assert_eq!(image(&sim, ordinal), "example.com/app:3");
    }
    compare(&sim, "bad-image-ordered");
}

#[test]
fn an_ordered_scale_down_goes_from_the_top_and_claims_follow_their_policy() {
    let mut set = web_with(4, &with_claims());
    merge(
        &mut set,
        &json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete", "whenDeleted": "Retain"}}}),
    );
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    act(&mut sim, "from 4 to 2");
    change(&mut sim, &key, &json!({"spec": {"replicas": 2}}));
    settle(&mut sim, &key);
    let claims: Vec<String> = sim
        .world
        .list(&kruise_common::kind::CLAIM)
        .map(|claim| text(claim, "/metadata/name").to_owned())
        .collect();
    assert_eq!(claims, ["data-web-0", "data-web-1"]);
    compare(&sim, "scale-down");
}

#[test]
fn hooks_hold_an_update_and_a_deletion_until_their_label_is_gone() {
    let mut set = web_with(2, &in_place());
    merge(
        &mut set,
        &json!({"spec": {
            "lifecycle": {
                "inPlaceUpdate": {"labelsHandler": {"block": "yes"}},
                "preDelete": {"labelsHandler": {"block": "yes"}},
            },
            "template": {"metadata": {"labels": {"block": "yes"}}},
        }}),
    );
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    act(&mut sim, "a new image; the hook holds the pods");
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    assert_eq!(image(&sim, 1), "example.com/app:1");
    act(&mut sim, "the hook lets web-1 go");
    label(&mut sim, 1, &json!({"block": null}));
    settle(&mut sim, &key);
    assert_eq!(image(&sim, 1), "example.com/app:2");
    act(&mut sim, "and takes it back");
    label(&mut sim, 1, &json!({"block": "yes"}));
    settle(&mut sim, &key);
    act(&mut sim, "scale down to 0: both are held");
    change(&mut sim, &key, &json!({"spec": {"replicas": 0}}));
    settle(&mut sim, &key);
    assert_eq!(sim.world.list(&POD).count(), 2);
    act(&mut sim, "both let go");
    label(&mut sim, 0, &json!({"block": null}));
    label(&mut sim, 1, &json!({"block": null}));
    settle(&mut sim, &key);
    assert_eq!(sim.world.list(&POD).count(), 0);
    compare(&sim, "hooks");
}

#[test]
fn a_grace_period_lies_between_unready_and_the_new_image() {
    let mut set = web_with(1, &in_place());
    merge(
        &mut set,
        &json!({"spec": {"updateStrategy": {"rollingUpdate": {"inPlaceUpdateStrategy": {"gracePeriodSeconds": 10}}}}}),
    );
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    act(&mut sim, "a new image with a grace period of 10 s");
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    assert_eq!(image(&sim, 0), "example.com/app:2");
    compare(&sim, "grace");
}

#[test]
fn reserved_ordinals_and_a_new_start_move_the_set() {
    let mut set = web(3);
    merge(&mut set, &json!({"spec": {"podManagementPolicy": "Parallel", "reserveOrdinals": [1]}}));
    let gates = "StatefulSetStartOrdinal=true".parse().unwrap();
    let (mut sim, key) = drive_with(set, gates);
    act(&mut sim, "3 replicas, 1 reserved");
    settle(&mut sim, &key);
    act(&mut sim, "a range is reserved, and the set starts at 2");
    change(
        &mut sim,
        &key,
        &json!({"spec": {"reserveOrdinals": ["3-4"], "ordinals": {"start": 2}}}),
    );
    settle(&mut sim, &key);
    let names: Vec<&str> = sim.world.list(&POD).map(|pod| text(pod, "/metadata/name")).collect();
    assert_eq!(names, ["web-2", "web-5", "web-6"]);
    compare(&sim, "ordinals");
}

#[test]
fn an_evicted_pod_comes_back_and_an_orphan_is_adopted() {
    let (mut sim, key) = drive(web_with(2, &json!({"spec": {"podManagementPolicy": "Parallel"}})));
    settle(&mut sim, &key);
    act(&mut sim, "web-0 is evicted, web-1 loses its owner");
    let evict = json!({"metadata": {"annotations": {"sim.kruise.dev/evict": "true"}}});
    sim.world.edit(&POD, &pod(0), |pod| merge(pod, &evict));
    sim.world.edit(&POD, &pod(1), |pod| {
        pod["metadata"]["ownerReferences"] = json!([]);
    });
    settle(&mut sim, &key);
    compare(&sim, "eviction");
}

#[test]
fn a_revision_name_that_a_native_set_holds_is_passed_over() {
    let (mut sim, key) = drive(web(1));
    settle(&mut sim, &key);
    let revision = |sim: &Sim| {
        let set = sim.world.get(&STATEFUL_SET, &key).unwrap();
        text(set, "/status/updateRevision").to_owned()
    };
    let taken = revision(&sim);
    let mut world = World::new(start());
    let owner = json!([{
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "native", "controller": true,
    }]);
    let native = json!({
        "metadata": { "name": taken, "namespace": "default", "ownerReferences": owner, "labels": { "app": "web" } },
        "revision": 1,
        "data": { "spec": {} },
    });
    world.insert(&CONTROLLER_REVISION, native);
    world.insert(&STATEFUL_SET, web(1));
    sim = Drive::new(world, || process(FeatureGates::default()));
    settle(&mut sim, &key);
    assert_ne!(revision(&sim), taken);
    let set = sim.world.get(&STATEFUL_SET, &key).unwrap();
    assert_eq!(set["status"]["collisionCount"], 1);
    assert_eq!(sim.writes.iter().filter(|write| *write.kind == CONTROLLER_REVISION).count(), 1);
}

#[test]
fn a_set_that_is_deleted_is_left_to_the_garbage_collector() {
    let (mut sim, key) = drive(web_with(2, &json!({"metadata": {"finalizers": ["test/hold"]}})));
    settle(&mut sim, &key);
    let before = sim.writes.len();
    act(&mut sim, "the set is deleted; then a pod");
    sim.world.delete(&STATEFUL_SET, &key);
    sim.world.delete(&POD, &pod(1));
    settle(&mut sim, &key);
    let pods = sim.writes[before..].iter().filter(|write| *write.kind == POD).count();
    assert_eq!(pods, 0, "nothing is done to pods of a set that goes");
    let status = &sim.world.get(&STATEFUL_SET, &key).unwrap()["status"];
    assert_eq!((&status["replicas"], &status["readyReplicas"]), (&json!(1), &json!(1)), "S-9");
    compare(&sim, "deletion");
}

#[test]
fn a_set_that_means_nothing_is_left_alone_and_says_why() {
    let (mut sim, key) = drive(web(2));
    settle(&mut sim, &key);
    let before = sim.writes.len();
    act(&mut sim, "the selector does not match; then maxUnavailable is nonsense");
    change(&mut sim, &key, &json!({"spec": {"template": {"metadata": {"labels": {"app": "x"}}}}}));
    settle(&mut sim, &key);
    let nonsense = json!({"spec": {
        "template": {"metadata": {"labels": {"app": "web"}}},
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"rollingUpdate": {"maxUnavailable": "lots"}},
    }});
    change(&mut sim, &key, &nonsense);
    settle(&mut sim, &key);
    let written: Vec<String> = sim.writes[before..].iter().map(ToString::to_string).collect();
    assert_eq!(written, ["patch statefulsets/status default/web"; 2], "and nothing else");
    let set = sim.world.get(&STATEFUL_SET, &key).unwrap();
    sim.transcript.push(serde_json::to_string_pretty(&set["status"]["conditions"]).unwrap());
    compare(&sim, "nonsense");
}
