//! [ext] Pods that cannot be updated in place are evicted, if the set says so (W-45).

use jiff::SignedDuration;
use kruise_common::kind::{CONTROLLER_REVISION, POD, SIDECAR_SET};
use kruise_common::write::Request;
use kruise_sidecarset::snapshot::Options;
use serde_json::{Value, json};

use crate::builders::{
    Sim, cluster, counts, drive, injected, log, pod_key, run, set_image, settle, status, strategy,
    text, with,
};

fn evicting() -> Value {
    let annotations = json!({ "kruise.io/sidecarset-evict-not-upgradable": "true" });
    with(log(), &json!({ "metadata": { "annotations": annotations } }))
}

fn change_args(sim: &mut Sim, key: &kruise_common::key::ObjectKey) {
    sim.world.edit(&SIDECAR_SET, key, |set| {
        set["spec"]["containers"][0]["args"] = json!(["-v"]);
    });
}

fn evictions(sim: &Sim) -> usize {
    sim.writes.iter().filter(|write| matches!(write.request, Request::Evict { .. })).count()
}

/// Plays the workload that owns the pods: what is missing is made anew, injected as the set is now.
fn recreate(sim: &mut Sim, key: &kruise_common::key::ObjectKey, many: usize) {
    let set = sim.world.get(&SIDECAR_SET, key).unwrap().clone();
    for at in 0..many {
        let name = format!("web-{at}");
        if sim.world.get(&POD, &pod_key(&name)).is_none() {
            sim.world.insert(&POD, injected(&name, &[&set]));
        }
    }
}

#[test]
fn pods_are_evicted_one_after_another_within_the_budget() {
    let (mut sim, key) = drive(&with(evicting(), &strategy(&json!({ "maxUnavailable": 2 }))), 5);
    settle(&mut sim, &key);
    change_args(&mut sim, &key);
    for _ in 0..30 {
        sim.relist();
        sim.turn(&key).unwrap();
        let down = sim
            .world
            .list(&POD)
            .filter(|pod| {
                !pod["metadata"]["deletionTimestamp"].is_null()
                    || crate::builders::condition(pod, "Ready")
                        .is_none_or(|(status, _)| status != "True")
            })
            .count();
        assert!(down <= 2, "{down} pods are down");
        run(&mut sim.world);
        recreate(&mut sim, &key, 5);
        run(&mut sim.world);
    }
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [5, 5, 5, 5]);
    assert_eq!(evictions(&sim), 5, "each pod once");
}

fn ready(sim: &Sim) -> usize {
    let ready = |pod: &&Value| {
        let ready = crate::builders::condition(pod, "Ready");
        pod["metadata"]["deletionTimestamp"].is_null()
            && ready.is_some_and(|(status, _)| status == "True")
    };
    sim.world.list(&POD).filter(ready).count()
}

fn holds(sim: &Sim, key: &kruise_common::key::ObjectKey) -> String {
    sim.plan(key).unwrap().holds.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Nothing shows a pod that is gone, and there may be turns before its workload makes another one.
#[test]
fn an_evicted_pod_is_down_until_it_is_back() {
    let (mut sim, key) = drive(&with(evicting(), &strategy(&json!({ "maxUnavailable": 2 }))), 5);
    settle(&mut sim, &key);
    change_args(&mut sim, &key);
    for _ in 0..10 {
        for _ in 0..3 {
            sim.relist();
            sim.turn(&key).unwrap();
            assert!(ready(&sim) >= 3, "{} of 5 serve", ready(&sim));
            run(&mut sim.world);
        }
        recreate(&mut sim, &key, 5);
        run(&mut sim.world);
    }
    settle(&mut sim, &key);
    assert_eq!((counts(&sim, &key), evictions(&sim)), ([5, 5, 5, 5], 5));
}

/// A quota, or an admission webhook, our own for instance, refuses every new pod.
#[test]
fn while_pods_do_not_come_back_no_other_goes() {
    let (mut sim, key) = drive(&evicting(), 5);
    settle(&mut sim, &key);
    change_args(&mut sim, &key);
    for _ in 0..10 {
        sim.relist();
        sim.turn(&key).unwrap();
        run(&mut sim.world);
        sim.world.now = sim.world.now.checked_add(SignedDuration::from_mins(10)).unwrap();
    }
    assert_eq!((evictions(&sim), ready(&sim)), (1, 4));
    assert!(
        holds(&sim, &key).contains("EvictedNotBack{pod: default/web-"),
        "{}",
        holds(&sim, &key)
    );
    recreate(&mut sim, &key, 5);
    settle(&mut sim, &key);
    assert_eq!(evictions(&sim), 2, "it goes on");
}

/// An image waits for who was evicted, but not for ever: the workload may have been scaled down meanwhile.
#[test]
fn an_update_in_place_waits_for_an_evicted_pod_for_five_minutes() {
    let (mut sim, key) = drive(&evicting(), 3);
    settle(&mut sim, &key);
    change_args(&mut sim, &key);
    sim.relist();
    sim.turn(&key).unwrap();
    run(&mut sim.world);
    sim.world.edit(&SIDECAR_SET, &key, |set| {
        set["spec"]["containers"] = json!([{ "name": "agent", "image": "example.com/agent:2" }]);
    });
    let evicted = sim.world.now;
    sim.relist();
    assert_eq!(sim.plan(&key).unwrap().actions().filter(|it| it.pod().is_some()).count(), 0);
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [2, 2, 2, 2]);
    assert!(sim.world.now.duration_since(evicted) >= SignedDuration::from_mins(4));
    assert_eq!(holds(&sim, &key), format!("EvictedNotBack{{pod: default/{}}}", missing(&sim)));
}

/// The name of the pod that is not there.
fn missing(sim: &Sim) -> String {
    let mut names = (0..3).map(|at| format!("web-{at}"));
    names.find(|name| sim.world.get(&POD, &pod_key(name)).is_none()).unwrap()
}

/// A workload with one pod: whether it is gone itself nothing shows.
#[test]
fn a_workload_that_has_no_pod_left_is_waited_for_five_minutes() {
    let set = evicting();
    let mut world = cluster(&[&set], 2);
    let other = json!({ "metadata": { "name": "other", "namespace": "default", "uid": "rs-2" } });
    world.insert(&CONTROLLER_REVISION, other);
    world.edit(&POD, &pod_key("web-1"), |pod| {
        pod["metadata"]["ownerReferences"][0]["uid"] = json!("rs-2");
    });
    let (mut sim, key) = crate::builders::drive_with(world, &set, Options::default());
    settle(&mut sim, &key);
    change_args(&mut sim, &key);
    for _ in 0..5 {
        sim.relist();
        sim.turn(&key).unwrap();
        run(&mut sim.world);
    }
    assert_eq!(evictions(&sim), 1);
    settle(&mut sim, &key);
    assert_eq!(evictions(&sim), 2);
}

/// A replica of the webhook that is behind, for instance: what came back is no better than what went.
#[test]
fn a_workload_whose_pods_come_back_as_they_were_is_left_alone() {
    let (mut sim, key) = drive(&evicting(), 3);
    settle(&mut sim, &key);
    change_args(&mut sim, &key);
    let as_before = |sim: &mut Sim| {
        for at in 0..3 {
            let name = format!("web-{at}");
            if sim.world.get(&POD, &pod_key(&name)).is_none() {
                sim.world.insert(&POD, injected(&name, &[&log()]));
            }
        }
    };
    // Each time it is twice as long until another one is tried, for a day at most.
    let day = 24 * 60;
    for (minutes, wanted) in
        [(0, 1), (1, 1), (5, 2), (5, 2), (6, 3), (15, 3), (6, 4), (day, 5), (day, 6), (day, 7)]
    {
        sim.world.now = sim.world.now.checked_add(SignedDuration::from_mins(minutes)).unwrap();
        for _ in 0..5 {
            sim.relist();
            sim.turn(&key).unwrap();
            run(&mut sim.world);
            as_before(&mut sim);
            run(&mut sim.world);
        }
        assert_eq!(evictions(&sim), wanted, "{minutes}");
    }
    assert!(holds(&sim, &key).contains("EvictionUnproven{pods: 3, "), "{}", holds(&sim, &key));
}

#[test]
fn nobody_is_evicted_unless_the_set_says_so() {
    let (mut sim, key) = drive(&log(), 2);
    settle(&mut sim, &key);
    change_args(&mut sim, &key);
    settle(&mut sim, &key);
    assert_eq!(evictions(&sim), 0);
    assert!(
        text(&status(&sim, &key), "/conditions/0/message").contains("when they are re-created")
    );
}

#[test]
fn nobody_is_evicted_in_vain() {
    for (change, hold) in [
        (
            json!({ "spec": { "injectionStrategy": { "paused": true } } }),
            "EvictionUseless{why: spec.injectionStrategy.paused}",
        ),
        (
            json!({ "spec": { "injectionStrategy": { "revision": { "customVersion": "v1" } } } }),
            "EvictionUseless{why: spec.injectionStrategy.revision}",
        ),
    ] {
        let (mut sim, key) = drive(&with(evicting(), &change), 2);
        settle(&mut sim, &key);
        change_args(&mut sim, &key);
        settle(&mut sim, &key);
        assert_eq!(evictions(&sim), 0);
        let holds: Vec<String> =
            sim.plan(&key).unwrap().holds.iter().map(ToString::to_string).collect();
        assert!(holds.contains(&hold.to_owned()), "{holds:?}");
    }
}

#[test]
fn pods_without_a_controller_stay() {
    let set = evicting();
    let mut world = cluster(&[&set], 1);
    world.edit(&POD, &pod_key("web-0"), |pod| {
        drop(pod["metadata"].as_object_mut().unwrap().remove("ownerReferences"));
    });
    let (mut sim, key) = crate::builders::drive_with(world, &set, Options::default());
    settle(&mut sim, &key);
    change_args(&mut sim, &key);
    settle(&mut sim, &key);
    assert_eq!(evictions(&sim), 0);
    let holds: Vec<String> =
        sim.plan(&key).unwrap().holds.iter().map(ToString::to_string).collect();
    assert!(holds.iter().any(|hold| hold == "NobodyRecreates{pod: default/web-0}"), "{holds:?}");
}

#[test]
fn an_image_goes_in_place_even_where_evictions_are_allowed() {
    let (mut sim, key) = drive(&evicting(), 2);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    assert_eq!((evictions(&sim), counts(&sim, &key)), (0, [2, 2, 2, 2]));
}

/// A pod that was evicted is down until it comes back: an update in place waits for it.
#[test]
fn a_pod_on_its_way_out_spends_the_budget_of_updates_too() {
    for (set, waits) in [(evicting(), true), (log(), false)] {
        let (mut sim, key) = drive(&set, 3);
        settle(&mut sim, &key);
        sim.world.edit(&POD, &pod_key("web-0"), |pod| {
            pod["spec"]["terminationGracePeriodSeconds"] = json!(600);
        });
        sim.world.delete(&POD, &pod_key("web-0"));
        set_image(&mut sim, &key, "example.com/agent:2");
        sim.relist();
        let steps = format!("{:?}", sim.plan(&key).unwrap().steps);
        assert_eq!(steps.contains("UpdatePod"), !waits, "{steps}");
    }
}
