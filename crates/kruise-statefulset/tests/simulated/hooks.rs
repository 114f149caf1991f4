//! Lifecycle hooks beside pods that break, in ordered sets.

use kruise_common::key::ObjectKey;
use kruise_common::kind::POD;
use serde_json::{Value, json};

use crate::builders::{Sim, change, drive, in_place, is_true, merge, set_image, text, web_with};

/// An ordered set of pods that a hook holds by a label.
fn hooked(replicas: i32, hook: &str, annotations: &Value) -> (Sim, ObjectKey) {
    let mut set = web_with(replicas, &in_place());
    merge(
        &mut set,
        &json!({
            "metadata": { "annotations": annotations },
            "spec": {
                "podManagementPolicy": "OrderedReady",
                "lifecycle": { hook: { "labelsHandler": { "hold": "on" }, "markPodNotReady": true } },
                "template": { "metadata": { "labels": { "hold": "on" } } },
            },
        }),
    );
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    (sim, key)
}

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, 400).unwrap();
}

fn pod<'a>(sim: &'a Sim, key: &ObjectKey, ordinal: i32) -> &'a Value {
    sim.world.get(&POD, &key.sibling(format!("web-{ordinal}"))).unwrap()
}

fn state<'a>(sim: &'a Sim, key: &ObjectKey, ordinal: i32) -> &'a str {
    text(pod(sim, key, ordinal), "/metadata/labels/lifecycle.apps.kruise.io~1state")
}

/// The owner of the hook lets go of the pod, or holds it again.
fn hold(sim: &mut Sim, key: &ObjectKey, ordinal: i32, value: &Value) {
    let meta = json!({ "metadata": { "labels": { "hold": value } } });
    sim.world.edit(&POD, &key.sibling(format!("web-{ordinal}")), |pod| merge(pod, &meta));
}

/// Its node reports it not ready and falls silent, or works again.
fn broken(sim: &mut Sim, key: &ObjectKey, ordinal: i32, broken: bool) {
    let ignored = if broken { json!("true") } else { Value::Null };
    let meta = json!({ "metadata": { "annotations": { "sim.kruise.dev/ignore": ignored } } });
    sim.world.edit(&POD, &key.sibling(format!("web-{ordinal}")), |pod| {
        merge(pod, &meta);
        for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
            if condition["type"] == "Ready" {
                condition["status"] = json!(if broken { "False" } else { "True" });
            }
        }
    });
}

fn image<'a>(sim: &'a Sim, key: &ObjectKey, ordinal: i32) -> &'a str {
    text(pod(sim, key, ordinal), "/spec/containers/0/image")
}

const NEW: &str = "example.com/app:2";

/// A new image, and the hook lets the pod through.
fn through(sim: &mut Sim, key: &ObjectKey, ordinal: i32) {
    set_image(sim, key, NEW);
    settle(sim, key);
    for value in [Value::Null, json!("on")] {
        hold(sim, key, ordinal, &value);
        settle(sim, key);
    }
}

/// AC-2: the bad image does not reach another pod because its hook let go of it.
#[test]
fn a_pod_at_its_hook_waits_for_a_broken_one_above() {
    let (mut sim, key) = hooked(3, "inPlaceUpdate", &json!({}));
    through(&mut sim, &key, 2);
    assert_eq!((image(&sim, &key, 2), state(&sim, &key, 1)), (NEW, "PreparingUpdate"));
    broken(&mut sim, &key, 2, true);
    hold(&mut sim, &key, 1, &Value::Null);
    settle(&mut sim, &key);
    assert_eq!(image(&sim, &key, 1), "example.com/app:1");
    let holds = sim.plan(&key).unwrap().holds;
    assert!(
        holds.iter().any(|hold| hold.to_string() == "NotAvailableYet{pod: web-2}"),
        "{holds:?}"
    );
    broken(&mut sim, &key, 2, false);
    settle(&mut sim, &key);
    assert_eq!(image(&sim, &key, 1), NEW);
}

/// W-2, W-34: a pod that is wanted as it is serves again, though a broken one below stops the update.
#[test]
fn a_pod_is_given_back_behind_a_broken_one() {
    let (mut sim, key) = hooked(4, "preDelete", &json!({}));
    change(&mut sim, &key, &json!({ "spec": { "replicas": 3 } }));
    settle(&mut sim, &key);
    assert_eq!(state(&sim, &key, 3), "PreparingDelete");
    broken(&mut sim, &key, 1, true);
    change(&mut sim, &key, &json!({ "spec": { "replicas": 4 } }));
    settle(&mut sim, &key);
    assert_eq!(state(&sim, &key, 3), "Normal");

    let (mut sim, key) = hooked(4, "inPlaceUpdate", &json!({}));
    set_image(&mut sim, &key, NEW);
    settle(&mut sim, &key);
    assert_eq!(state(&sim, &key, 3), "PreparingUpdate");
    broken(&mut sim, &key, 1, true);
    let partition =
        json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 4 } } } });
    change(&mut sim, &key, &partition);
    settle(&mut sim, &key);
    assert_eq!(state(&sim, &key, 3), "Normal");
}

/// K-1: pods at their hooks are updated as they are let go of, from whichever end.
#[test]
fn several_pods_at_their_hooks_need_not_be_let_go_of_in_order() {
    let several = json!({ "apps.kruise.io/ordered-max-unavailable": "3" });
    for order in [[4, 3, 2], [2, 3, 4]] {
        let (mut sim, key) = hooked(5, "inPlaceUpdate", &several);
        set_image(&mut sim, &key, NEW);
        settle(&mut sim, &key);
        for ordinal in order {
            assert_eq!(state(&sim, &key, ordinal), "PreparingUpdate", "{order:?}: {ordinal}");
            hold(&mut sim, &key, ordinal, &Value::Null);
            settle(&mut sim, &key);
            assert_eq!(image(&sim, &key, ordinal), NEW, "{order:?}: {ordinal}");
            hold(&mut sim, &key, ordinal, &json!("on"));
            settle(&mut sim, &key);
        }
    }
}

/// AC-2, M-20: nobody is taken down while one above is missing, and that one does not wait for the owner of a hook.
#[test]
fn one_that_is_missing_above_is_made_before_a_pod_at_its_hook_is_updated() {
    let (mut sim, key) = hooked(3, "inPlaceUpdate", &json!({}));
    through(&mut sim, &key, 2);
    assert_eq!((image(&sim, &key, 2), state(&sim, &key, 1)), (NEW, "PreparingUpdate"));
    sim.world.delete(&POD, &key.sibling("web-2"));
    settle(&mut sim, &key);
    assert!(is_true(pod(&sim, &key, 2), "Ready"));
    assert_eq!(
        (image(&sim, &key, 1), state(&sim, &key, 1)),
        ("example.com/app:1", "PreparingUpdate")
    );
    hold(&mut sim, &key, 1, &Value::Null);
    settle(&mut sim, &key);
    assert_eq!(image(&sim, &key, 1), NEW);
}

/// AC-2: one that goes serves for a while, and is missing all the same.
#[test]
fn a_pod_at_its_hook_waits_for_one_above_that_goes() {
    let (mut sim, key) = hooked(3, "inPlaceUpdate", &json!({}));
    through(&mut sim, &key, 2);
    let slow = |sim: &mut Sim, finalizers: &Value| {
        let meta = json!({ "metadata": { "finalizers": finalizers } });
        sim.world.edit(&POD, &key.sibling("web-2"), |pod| merge(pod, &meta));
    };
    slow(&mut sim, &json!(["test/slow"]));
    sim.world.delete(&POD, &key.sibling("web-2"));
    hold(&mut sim, &key, 1, &Value::Null);
    settle(&mut sim, &key);
    assert_eq!(image(&sim, &key, 1), "example.com/app:1");
    slow(&mut sim, &Value::Null);
    settle(&mut sim, &key);
    assert!(is_true(pod(&sim, &key, 2), "Ready"));
    assert_eq!(
        (image(&sim, &key, 1), state(&sim, &key, 1)),
        ("example.com/app:1", "PreparingUpdate")
    );
}

/// K-1: where several may be down at once, a missing one is made at once, whatever hooks wait below.
#[test]
fn several_pods_at_their_hooks_keep_no_missing_one_from_being_made() {
    let several = json!({ "apps.kruise.io/ordered-max-unavailable": "3" });
    let (mut sim, key) = hooked(5, "inPlaceUpdate", &several);
    set_image(&mut sim, &key, NEW);
    settle(&mut sim, &key);
    sim.world.delete(&POD, &key.sibling("web-4"));
    settle(&mut sim, &key);
    assert_eq!((image(&sim, &key, 4), is_true(pod(&sim, &key, 4), "Ready")), (NEW, true));
    assert_eq!(state(&sim, &key, 3), "PreparingUpdate");
}

/// RU-3, W-34: a pause keeps nobody out of traffic, and scaling goes on.
#[test]
fn a_pause_gives_back_what_it_keeps_from_being_updated() {
    let paused = |more: &Value| {
        let mut spec = json!({ "updateStrategy": { "rollingUpdate": { "paused": true } } });
        merge(&mut spec, more);
        json!({ "spec": spec })
    };
    let (mut sim, key) = hooked(4, "inPlaceUpdate", &json!({}));
    set_image(&mut sim, &key, NEW);
    settle(&mut sim, &key);
    assert_eq!(state(&sim, &key, 3), "PreparingUpdate");
    change(&mut sim, &key, &paused(&json!({ "replicas": 6 })));
    settle(&mut sim, &key);
    assert_eq!(state(&sim, &key, 3), "Normal");
    assert_eq!(sim.world.list(&POD).filter(|pod| is_true(pod, "Ready")).count(), 6);

    // Without order nothing waits for it, and it is told so once; but who falls below the partition serves again.
    let (mut sim, key) = hooked(4, "inPlaceUpdate", &json!({}));
    change(&mut sim, &key, &json!({ "spec": { "podManagementPolicy": "Parallel" } }));
    set_image(&mut sim, &key, NEW);
    settle(&mut sim, &key);
    change(&mut sim, &key, &paused(&json!({})));
    settle(&mut sim, &key);
    assert_eq!(state(&sim, &key, 3), "PreparingUpdate");
    let partition = json!({ "updateStrategy": { "rollingUpdate": { "partition": 4 } } });
    change(&mut sim, &key, &paused(&partition));
    settle(&mut sim, &key);
    assert_eq!(state(&sim, &key, 3), "Normal");
}

/// W-4: the highest first, one at a time, and its hook is heard.
#[test]
fn recovery_takes_one_pod_at_a_time_through_its_hook() {
    let recover = json!({ "apps.kruise.io/recover-stuck-rollout": "true" });
    let (mut sim, key) = hooked(3, "inPlaceUpdate", &recover);
    for ordinal in [0, 2] {
        broken(&mut sim, &key, ordinal, true);
    }
    set_image(&mut sim, &key, NEW);
    settle(&mut sim, &key);
    let states: Vec<&str> = (0..3).map(|ordinal| state(&sim, &key, ordinal)).collect();
    assert_eq!(states, ["Normal", "Normal", "PreparingUpdate"]);
    hold(&mut sim, &key, 2, &Value::Null);
    settle(&mut sim, &key);
    assert_eq!(image(&sim, &key, 2), NEW);
}

/// K-1: fewer are allowed by now than were announced: whichever is let go of is updated.
#[test]
fn pods_that_were_announced_are_heard_after_the_budget_was_lowered() {
    let several = |many: &str| json!({ "apps.kruise.io/ordered-max-unavailable": many });
    let (mut sim, key) = hooked(4, "inPlaceUpdate", &several("3"));
    set_image(&mut sim, &key, NEW);
    settle(&mut sim, &key);
    change(&mut sim, &key, &json!({ "metadata": { "annotations": several("1") } }));
    for ordinal in [2, 3, 1] {
        settle(&mut sim, &key);
        hold(&mut sim, &key, ordinal, &Value::Null);
        settle(&mut sim, &key);
        assert_eq!(image(&sim, &key, ordinal), NEW, "{ordinal}");
        hold(&mut sim, &key, ordinal, &json!("on"));
    }
}
