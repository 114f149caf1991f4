//! Lifecycle hooks beside pods that break, in ordered sets.

use kruise_common::key::ObjectKey;
use kruise_common::kind::POD;
use serde_json::{Value, json};

use crate::builders::{Sim, change, drive, in_place, merge, set_image, text, web_with};

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

/// AC-2: the bad image does not reach another pod because its hook let go of it.
#[test]
fn a_pod_at_its_hook_waits_for_a_broken_one_above() {
    let (mut sim, key) = hooked(3, "inPlaceUpdate", &json!({}));
    set_image(&mut sim, &key, NEW);
    settle(&mut sim, &key);
    hold(&mut sim, &key, 2, &Value::Null);
    settle(&mut sim, &key);
    hold(&mut sim, &key, 2, &json!("on"));
    settle(&mut sim, &key);
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
