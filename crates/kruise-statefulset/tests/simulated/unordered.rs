//! Who counts as updated in an update without regard to ordinals (P-9, R-26, PO-3, G-2).

use kruise_common::gates::FeatureGates;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{POD, STATEFUL_SET};
use serde_json::{Value, json};

use crate::builders::{Sim, drive_with, in_place, merge, set_image, text, web_with};

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, 400).unwrap();
}

fn gates(preparing_counts: bool) -> FeatureGates {
    format!("PreparingUpdateAsUpdate={preparing_counts}").parse().unwrap()
}

fn rolling(more: &Value) -> Value {
    json!({ "spec": { "updateStrategy": { "rollingUpdate": more } } })
}

fn hook() -> Value {
    json!({ "spec": {
        "lifecycle": { "inPlaceUpdate": { "labelsHandler": { "hold": "on" } } },
        "template": { "metadata": { "labels": { "hold": "on" } } },
    } })
}

fn version(sim: &Sim, key: &ObjectKey, ordinal: i32) -> String {
    let pod = sim.world.get(&POD, &key.sibling(format!("web-{ordinal}"))).unwrap();
    text(pod, "/spec/containers/0/image").rsplit(':').next().unwrap().to_owned()
}

/// Ordinals of the pods that were announced to their hook.
fn preparing(sim: &Sim) -> Vec<&str> {
    let state = "/metadata/labels/lifecycle.apps.kruise.io~1state";
    let pods = sim.world.list(&POD).filter(|pod| text(pod, state) == "PreparingUpdate");
    pods.map(|pod| text(pod, "/metadata/name")).collect()
}

/// With the gate a pod at its hook counts as updated already: one that is missing comes back old, for enough others are
/// as good as new.
#[test]
fn the_gate_says_whether_a_pod_at_its_hook_counts_as_updated() {
    for (gate, comes_back) in [(true, "1"), (false, "2")] {
        let mut set = web_with(4, &in_place());
        merge(&mut set, &hook());
        let two = json!({ "unorderedUpdate": {}, "partition": 2, "maxUnavailable": 3 });
        merge(&mut set, &rolling(&two));
        let (mut sim, key) = drive_with(set, gates(gate));
        settle(&mut sim, &key);
        set_image(&mut sim, &key, "example.com/app:2");
        settle(&mut sim, &key);
        assert_eq!(preparing(&sim), ["web-2", "web-3"], "gate {gate}");
        sim.world.delete(&POD, &key.sibling("web-0"));
        settle(&mut sim, &key);
        assert_eq!(version(&sim, &key, 0), comes_back, "gate {gate}");
        // AC-4 either way: no more than two are or will be new.
        let new = (0..4).filter(|at| version(&sim, &key, *at) == "2").count();
        assert!(new + preparing(&sim).len() <= 2, "gate {gate}: {new} and {:?}", preparing(&sim));
    }
}

/// P-9: the hash alone is compared, as pods of other kinds of workloads carry nothing else.
#[test]
fn the_hash_of_the_revision_is_enough_to_count_as_updated() {
    let mut set = web_with(3, &in_place());
    merge(&mut set, &rolling(&json!({ "unorderedUpdate": {}, "partition": 2, "paused": true })));
    let (mut sim, key) = drive_with(set, FeatureGates::default());
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    let update = text(sim.world.get(&STATEFUL_SET, &key).unwrap(), "/status/updateRevision");
    let hash = update.rsplit('-').next().unwrap().to_owned();
    let label = json!({ "metadata": { "labels": { "controller-revision-hash": format!("other-{hash}") } } });
    sim.world.edit(&POD, &key.sibling("web-2"), |pod| merge(pod, &label));
    sim.world.delete(&POD, &key.sibling("web-0"));
    settle(&mut sim, &key);
    assert_eq!(version(&sim, &key, 0), "1", "one of the others is old, and two have to be");
}

/// G-2: with the gate an ordered update goes its way, and so does one in place without regard to ordinals.
#[test]
fn the_gate_keeps_no_update_from_its_end() {
    for unordered in [false, true] {
        let mut set = web_with(3, &in_place());
        merge(&mut set, &hook());
        let order = if unordered { "Parallel" } else { "OrderedReady" };
        merge(&mut set, &json!({ "spec": { "podManagementPolicy": order } }));
        if unordered {
            merge(&mut set, &rolling(&json!({ "unorderedUpdate": {} })));
        }
        let (mut sim, key) = drive_with(set, gates(true));
        settle(&mut sim, &key);
        set_image(&mut sim, &key, "example.com/app:2");
        for left in (0..3).rev() {
            settle(&mut sim, &key);
            let names: Vec<ObjectKey> =
                preparing(&sim).into_iter().map(|name| key.sibling(name.to_owned())).collect();
            assert_eq!(names.len(), 1, "unordered {unordered}");
            for value in [Value::Null, json!("on")] {
                let meta = json!({ "metadata": { "labels": { "hold": value } } });
                sim.world.edit(&POD, &names[0], |pod| merge(pod, &meta));
                settle(&mut sim, &key);
            }
            let old = (0..3).filter(|at| version(&sim, &key, *at) == "1").count();
            assert_eq!(old, left, "unordered {unordered}");
        }
    }
}
