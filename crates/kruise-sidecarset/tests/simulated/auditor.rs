//! [ext] Pods that were admitted without their sidecars are told of, and repaired on request (W-4).

use jiff::SignedDuration;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{NAMESPACE, POD, SIDECAR_SET};
use kruise_common::write::Request;
use kruise_sidecarset::snapshot::Options;
use serde_json::{Value, json};

use crate::builders::{
    Sim, cluster, counts, drive_with, injected, key_of, log, pod_key, process, run, settle, status,
    strategy, text, with,
};

/// A pod of the same workload that no webhook has seen.
fn bare(name: &str) -> Value {
    let mut pod = injected(name, &[]);
    pod["metadata"]["annotations"] = json!({});
    pod
}

/// A set, and pods that came a while later: so many injected, so many not.
fn mixed(set: &Value, good: usize, bad: usize) -> (Sim, ObjectKey) {
    let mut world = cluster(&[set], 0);
    let later = |world: &mut kruise_common::testing::world::World| {
        world.now = world.now.checked_add(SignedDuration::from_secs(10)).unwrap();
    };
    later(&mut world);
    for at in 0..bad {
        world.insert(&POD, bare(&format!("bad-{at}")));
    }
    later(&mut world);
    for at in 0..good {
        world.insert(&POD, injected(&format!("web-{at}"), &[set]));
    }
    run(&mut world);
    drive_with(world, set, Options::default())
}

fn repairing() -> Value {
    with(
        log(),
        &json!({ "metadata": { "annotations": { "kruise.io/sidecarset-evict-not-injected": "true" } } }),
    )
}

fn evictions(sim: &Sim) -> usize {
    sim.writes.iter().filter(|write| matches!(write.request, Request::Evict { .. })).count()
}

fn condition(sim: &Sim, key: &ObjectKey) -> String {
    let conditions = status(sim, key)["conditions"].clone();
    let found =
        conditions.as_array().into_iter().flatten().find(|it| it["type"] == "NotInjectedPods");
    found.map(|it| format!("{} {}", text(it, "/status"), text(it, "/message"))).unwrap_or_default()
}

#[test]
fn missed_pods_are_told_of_and_left_alone() {
    let (mut sim, key) = mixed(&log(), 2, 2);
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [2, 2, 2, 2]);
    assert_eq!(
        condition(&sim, &key),
        "True 2 pods match and were not injected: default/bad-0, default/bad-1"
    );
    assert_eq!(evictions(&sim), 0);
    for at in 0..2 {
        sim.world.delete(&POD, &pod_key(&format!("bad-{at}")));
    }
    settle(&mut sim, &key);
    assert_eq!(condition(&sim, &key), "False ");
}

#[test]
fn pods_that_had_no_chance_or_another_set_are_not_missed() {
    let mut world = cluster(&[], 0);
    world.insert(&POD, bare("older"));
    world.now = world.now.checked_add(SignedDuration::from_secs(10)).unwrap();
    let set = log();
    let mut canary = with(
        log(),
        &json!({ "metadata": { "name": "canary", "annotations": {
        "apps.kruise.io/sidecarset-canary": "true", "apps.kruise.io/sidecarset-base": "log",
    } } }),
    );
    canary["spec"]["selector"] = json!({ "matchLabels": { "app": "web", "canary": "yes" } });
    for set in [&set, &canary] {
        world.insert(&SIDECAR_SET, set.clone());
    }
    world.now = world.now.checked_add(SignedDuration::from_secs(10)).unwrap();
    let mut pod = injected("web-0", &[&canary]);
    pod["metadata"]["labels"]["canary"] = json!("yes");
    world.insert(&POD, pod);
    let mut mirror = bare("mirror");
    mirror["metadata"]["annotations"] = json!({ "kubernetes.io/config.mirror": "x" });
    world.insert(&POD, mirror);
    run(&mut world);
    let (mut sim, key) = drive_with(world, &set, Options::default());
    for key in [&key, &key_of(&canary)] {
        settle(&mut sim, key);
        assert_eq!(condition(&sim, key), "");
    }
}

#[test]
fn missed_pods_are_evicted_within_the_budget_once_the_webhook_is_proven_to_work() {
    let set = with(repairing(), &strategy(&json!({ "maxUnavailable": 2 })));
    let (mut sim, key) = mixed(&set, 1, 5);
    for round in 1..10 {
        // Another turn while they go, and one when they are gone.
        for _ in 0..2 {
            for _ in 0..2 {
                sim.relist();
                sim.turn(&key).unwrap();
            }
            let there =
                sim.world.list(&POD).filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
            assert!(there.count() >= 4);
            run(&mut sim.world);
        }
        for at in 0..5 {
            let gone = sim.world.get(&POD, &pod_key(&format!("bad-{at}"))).is_none();
            let name = format!("web-{}", at + 1);
            if gone && sim.world.get(&POD, &pod_key(&name)).is_none() {
                sim.world.insert(&POD, injected(&name, &[&set]));
            }
        }
        run(&mut sim.world);
        if counts(&sim, &key) == [6, 6, 6, 6] {
            assert!(round >= 3);
            break;
        }
    }
    settle(&mut sim, &key);
    assert_eq!((counts(&sim, &key), evictions(&sim)), ([6, 6, 6, 6], 5));
}

/// While the webhook is away, evicted pods would come back as they were: one is tried, and then not for a while.
#[test]
fn evictions_do_not_go_round_in_circles() {
    let (mut sim, key) = mixed(&repairing(), 0, 2);
    for _ in 0..5 {
        sim.relist();
        sim.turn(&key).unwrap();
    }
    assert_eq!(evictions(&sim), 0, "the pods are too young to try");
    let begun = sim.world.now;
    sim.world.now = begun.checked_add(SignedDuration::from_secs(400)).unwrap();
    for _ in 0..5 {
        sim.relist();
        sim.turn(&key).unwrap();
        run(&mut sim.world);
        if sim.world.get(&POD, &pod_key("bad-0")).is_none() {
            sim.world.insert(&POD, bare("bad-0"));
            run(&mut sim.world);
        }
    }
    assert_eq!(evictions(&sim), 1);
    let holds: Vec<String> =
        sim.plan(&key).unwrap().holds.iter().map(ToString::to_string).collect();
    assert!(holds.iter().any(|hold| hold.starts_with("RepairUnproven{until: ")), "{holds:?}");
}

/// Pods that the webhook is never asked about come back as they are: nobody misses anything there (WHK-5, WHK-8).
#[test]
fn pods_that_nobody_asks_about_are_not_missed() {
    let anywhere = with(repairing(), &json!({ "spec": { "namespaceSelector": null } }));
    let later = |world: &mut kruise_common::testing::world::World| {
        world.now = world.now.checked_add(SignedDuration::from_secs(10)).unwrap();
    };
    let place = |world: &mut kruise_common::testing::world::World, namespace: &str| {
        let mut pod = bare("bad");
        pod["metadata"]["namespace"] = json!(namespace);
        world.insert(&POD, pod);
    };
    let mut world = cluster(&[&anywhere], 0);
    for (name, labels) in [
        ("kube-system", json!({})),
        ("openkruise", json!({ "control-plane": "openkruise" })),
        ("shop", json!({ "control-plane": "mine" })),
    ] {
        let metadata = json!({ "name": name, "namespace": "", "labels": labels });
        world.insert(&NAMESPACE, json!({ "metadata": metadata }));
    }
    later(&mut world);
    // The controller itself is in kruise-system.
    for namespace in ["kube-system", "kruise-system", "openkruise", "shop", "unheard"] {
        place(&mut world, namespace);
    }
    later(&mut world);
    world.insert(&POD, injected("web-0", &[&anywhere]));
    run(&mut world);
    let (mut sim, key) = drive_with(world.clone(), &anywhere, Options::default());
    sim.turn(&key).unwrap();
    assert_eq!(
        condition(&sim, &key),
        "True 1 pods match and were not injected: shop/bad",
        "of a namespace that is not known nothing is said"
    );
    settle(&mut sim, &key);
    for namespace in ["kube-system", "kruise-system", "openkruise"] {
        let pod = sim.world.get(&POD, &ObjectKey::new(namespace, "bad"));
        assert!(
            pod.is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_null()),
            "{namespace}"
        );
    }

    let off = || {
        let (mut it, mirrors) = process(Options::default());
        it.caches.unasked.all = true;
        (it, mirrors)
    };
    let mut sim = kruise_common::testing::drive::Drive::new(world, off);
    settle(&mut sim, &key);
    assert_eq!((condition(&sim, &key).as_str(), evictions(&sim)), ("", 0), "the gate is off");
}
