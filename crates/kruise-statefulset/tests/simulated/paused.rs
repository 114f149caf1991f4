//! Sets that update nobody, paused or `OnDelete`: everything else goes on (RU-3, RU-15, M-29).

use kruise_common::key::ObjectKey;
use kruise_common::kind::{CLAIM, POD, STATEFUL_SET};
use serde_json::{Value, json};

use crate::builders::{Sim, change, drive, is_true, merge, set_image, text, web_with, with_claims};

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, 400).unwrap();
}

fn rolling(more: &Value) -> Value {
    json!({ "spec": { "updateStrategy": { "rollingUpdate": more } } })
}

fn replicas(count: i32) -> Value {
    json!({ "spec": { "replicas": count } })
}

/// Versions of the images by ordinal.
fn versions(sim: &Sim) -> Vec<&str> {
    let images = sim.world.list(&POD).map(|pod| text(pod, "/spec/containers/0/image"));
    images.map(|image| image.rsplit(':').next().unwrap()).collect()
}

fn evict(sim: &mut Sim, key: &ObjectKey, ordinal: i32) {
    let evict = json!({ "metadata": { "annotations": { "sim.kruise.dev/evict": "true" } } });
    sim.world.edit(&POD, &key.sibling(format!("web-{ordinal}")), |pod| merge(pod, &evict));
}

fn holds(sim: &Sim, key: &ObjectKey) -> Vec<String> {
    sim.plan(key).unwrap().holds.iter().map(ToString::to_string).collect()
}

fn status<'a>(sim: &'a Sim, key: &ObjectKey, member: &str) -> &'a Value {
    &sim.world.get(&STATEFUL_SET, key).unwrap()["status"][member]
}

/// RU-3, F-13: a template change reaches nobody who is there; scaling, replacement and claims go on, and who is made
/// meanwhile gets the revision that the partition says (7.5).
#[test]
fn a_paused_set_updates_nobody_and_does_everything_else() {
    for order in ["OrderedReady", "Parallel"] {
        let mut set = web_with(3, &with_claims());
        merge(&mut set, &json!({ "spec": { "podManagementPolicy": order } }));
        merge(&mut set, &rolling(&json!({ "paused": true })));
        let (mut sim, key) = drive(set);
        settle(&mut sim, &key);
        set_image(&mut sim, &key, "example.com/app:2");
        settle(&mut sim, &key);
        assert_eq!(versions(&sim), ["1", "1", "1"], "{order}");
        assert_eq!(holds(&sim, &key), ["Paused{outdated: 3}"]);

        change(&mut sim, &key, &replicas(5));
        settle(&mut sim, &key);
        assert_eq!(versions(&sim), ["1", "1", "1", "2", "2"], "{order}: scaled up");
        assert_eq!(sim.world.list(&CLAIM).count(), 5);
        evict(&mut sim, &key, 1);
        settle(&mut sim, &key);
        assert_eq!(versions(&sim), ["1", "2", "1", "2", "2"], "{order}: replaced");

        change(&mut sim, &key, &rolling(&json!({ "partition": 3 })));
        evict(&mut sim, &key, 1);
        settle(&mut sim, &key);
        assert_eq!(versions(&sim), ["1", "1", "1", "2", "2"], "{order}: below the partition");
        change(&mut sim, &key, &replicas(4));
        settle(&mut sim, &key);
        assert_eq!(versions(&sim), ["1", "1", "1", "2"], "{order}: scaled down");
        assert_eq!(status(&sim, &key, "updatedReplicas"), 1);

        change(&mut sim, &key, &rolling(&json!({ "paused": false, "partition": 0 })));
        settle(&mut sim, &key);
        assert_eq!(versions(&sim), ["2"; 4], "{order}: it goes on");
    }
}

/// RU-3: hooks at a deletion for a scale-down go on while paused.
#[test]
fn a_paused_set_tells_hooks_of_a_scale_down() {
    let mut set = web_with(2, &rolling(&json!({ "paused": true })));
    merge(
        &mut set,
        &json!({ "spec": {
            "lifecycle": { "preDelete": { "labelsHandler": { "hold": "on" } } },
            "template": { "metadata": { "labels": { "hold": "on" } } },
        } }),
    );
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    change(&mut sim, &key, &replicas(1));
    settle(&mut sim, &key);
    let pod = key.sibling("web-1");
    let state = "/metadata/labels/lifecycle.apps.kruise.io~1state";
    assert_eq!(text(sim.world.get(&POD, &pod).unwrap(), state), "PreparingDelete");
    let free = json!({ "metadata": { "labels": { "hold": null } } });
    sim.world.edit(&POD, &pod, |pod| merge(pod, &free));
    settle(&mut sim, &key);
    assert!(sim.world.get(&POD, &pod).is_none());
}

/// M-29, RU-15, R-23: the pass ends before the update; what somebody deletes comes back new, and that everybody is new in
/// the end is no end of a rollout.
#[test]
fn on_delete_updates_whom_somebody_deletes() {
    let on_delete = json!({ "spec": {
        "podManagementPolicy": "Parallel", "updateStrategy": { "type": "OnDelete" } } });
    let (mut sim, key) = drive(web_with(2, &on_delete));
    settle(&mut sim, &key);
    let current = status(&sim, &key, "currentRevision").clone();
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    assert_eq!(versions(&sim), ["1", "1"]);
    assert_eq!(holds(&sim, &key), ["OnDelete{outdated: 2}"]);
    for (ordinal, updated) in [(0, 1), (1, 2)] {
        sim.world.delete(&POD, &key.sibling(format!("web-{ordinal}")));
        settle(&mut sim, &key);
        assert_eq!(status(&sim, &key, "updatedReplicas"), updated);
    }
    assert_eq!(versions(&sim), ["2", "2"]);
    assert!(sim.world.list(&POD).all(|pod| is_true(pod, "Ready")));
    assert_eq!(*status(&sim, &key, "currentRevision"), current);
    assert_ne!(*status(&sim, &key, "updateRevision"), current);
}

/// That nobody is updated is no reason not to say who is not available.
#[test]
fn on_delete_says_who_is_not_available() {
    let on_delete = json!({ "spec": {
        "podManagementPolicy": "Parallel", "updateStrategy": { "type": "OnDelete" } } });
    let (mut sim, key) = drive(web_with(2, &on_delete));
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/app:never-ready");
    sim.world.delete(&POD, &key.sibling("web-1"));
    settle(&mut sim, &key);
    assert_eq!(holds(&sim, &key), ["NotAvailableYet{pod: web-1}", "OnDelete{outdated: 1}"]);
}
