//! What becomes of running pods when the set changes around them, or somebody changes them (§15.6, §19, §24).

use kruise_common::key::ObjectKey;
use kruise_common::kind::{POD, SIDECAR_SET};
use serde_json::json;

use crate::builders::{
    Sim, change, condition, counts, drive, image, log, mesh, pod, pod_key, set_image, settle,
    status, strategy, text, with,
};

fn twins(sim: &Sim) -> [String; 2] {
    let pod = pod(sim, 0);
    ["mesh-1", "mesh-2"].map(|twin| image(&pod, twin).rsplit(':').next().unwrap().to_owned())
}

fn holds(sim: &Sim, key: &ObjectKey) -> Vec<String> {
    sim.plan(key).unwrap().holds.iter().map(ToString::to_string).collect()
}

/// HOT-33: both sides run until the set goes on; so they do if it is told never to update.
#[test]
fn a_pause_in_the_middle_of_a_hot_upgrade_leaves_both_sides() {
    for (stop, go, hold) in [
        (json!({ "paused": true }), json!({ "paused": false }), "Paused{outdated: 1}"),
        (
            json!({ "type": "NotUpdate" }),
            json!({ "type": "RollingUpdate" }),
            "NotUpdate{outdated: 1}",
        ),
    ] {
        let (mut sim, key) = drive(&mesh(), 1);
        settle(&mut sim, &key);
        set_image(&mut sim, &key, "example.com/mesh:2");
        sim.relist();
        sim.turn(&key).unwrap();
        change(&mut sim, &key, &strategy(&stop));
        settle(&mut sim, &key);
        assert_eq!(
            (twins(&sim), holds(&sim, &key)),
            (["1", "2"].map(Into::into), vec![hold.into()])
        );
        change(&mut sim, &key, &strategy(&go));
        settle(&mut sim, &key);
        assert_eq!(twins(&sim), ["empty", "2"]);
    }
}

/// HOT-5.
#[test]
fn a_set_that_updates_nothing_never_switches_its_twins() {
    let (mut sim, key) = drive(&with(mesh(), &strategy(&json!({ "type": "NotUpdate" }))), 1);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/mesh:2");
    settle(&mut sim, &key);
    assert_eq!(twins(&sim), ["1", "empty"]);
}

/// LIF-10, REC-12, REC-13: a pause of injection is about new pods; and what is done waits for nothing.
#[test]
fn running_pods_follow_while_injection_is_paused() {
    let (mut sim, key) = drive(&log(), 2);
    change(&mut sim, &key, &json!({ "spec": { "injectionStrategy": { "paused": true } } }));
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    assert_eq!(image(&pod(&sim, 1), "agent"), "example.com/agent:2");
    assert_eq!((counts(&sim, &key), holds(&sim, &key)), ([2, 2, 2, 2], vec![]));
}

/// LIF-5.
#[test]
fn a_container_that_leaves_the_set_stays_in_its_pods() {
    let mut both = log();
    let extra = json!({ "name": "extra", "image": "example.com/extra:1" });
    both["spec"]["containers"].as_array_mut().unwrap().push(extra);
    let (mut sim, key) = drive(&both, 1);
    settle(&mut sim, &key);
    change(&mut sim, &key, &json!({ "spec": { "containers": log()["spec"]["containers"] } }));
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    let conditions = status(&sim, &key)["conditions"].clone();
    assert!(text(&conditions, "/0/message").starts_with("MoreThanImages: 1"), "{conditions}");
    let images = ["agent", "extra"].map(|name| image(&pod(&sim, 0), name));
    assert_eq!(images, ["example.com/agent:1", "example.com/extra:1"]);
    sim.world.edit(&SIDECAR_SET, &key, |set| set["spec"] = both["spec"].clone());
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [1, 1, 1, 1], "taken back");
}

/// LIF-8.
#[test]
fn pods_that_another_selector_leaves_out_keep_their_containers() {
    let (mut sim, key) = drive(&log(), 2);
    settle(&mut sim, &key);
    let select = |app: &str| json!({ "spec": { "selector": { "matchLabels": { "app": app } } } });
    change(&mut sim, &key, &select("db"));
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [0, 0, 0, 0]);
    assert_eq!(image(&pod(&sim, 0), "agent"), "example.com/agent:1");
    change(&mut sim, &key, &select("web"));
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [2, 2, 2, 2]);
    assert_eq!(image(&pod(&sim, 0), "agent"), "example.com/agent:2");
}

/// LIF-21: hashes decide, not images.
#[test]
fn an_image_that_somebody_puts_into_a_pod_stays_until_the_next_update() {
    let (mut sim, key) = drive(&log(), 1);
    settle(&mut sim, &key);
    sim.world.edit(&POD, &pod_key("web-0"), |pod| {
        pod["spec"]["containers"][1]["image"] = json!("example.com/agent:mine");
    });
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [1, 1, 1, 1]);
    assert_eq!(image(&pod(&sim, 0), "agent"), "example.com/agent:mine");
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    assert_eq!(image(&pod(&sim, 0), "agent"), "example.com/agent:2");
}

/// UPD-23: nobody goes before the first one for whom there is no room, not even who costs nothing.
#[test]
fn who_is_not_ready_does_not_overtake_who_comes_first() {
    let gold = json!({ "weight": 1, "matchSelector": { "matchLabels": { "tier": "gold" } } });
    let first = json!({ "priorityStrategy": { "weightPriority": [gold] } });
    for (priority, wanted) in [(first, 0), (json!({}), 1)] {
        let set = with(log(), &strategy(&json!({ "maxUnavailable": 0 })));
        let (mut sim, key) = drive(&with(set, &strategy(&priority)), 2);
        sim.world.edit(&POD, &pod_key("web-0"), |pod| {
            pod["metadata"]["labels"]["tier"] = json!("gold");
        });
        settle(&mut sim, &key);
        sim.world.edit(&POD, &pod_key("web-1"), |pod| {
            for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
                if condition["type"] == "Ready" {
                    condition["status"] = json!("False");
                }
            }
        });
        let ready = |sim: &Sim| condition(&pod(sim, 1), "Ready").unwrap().0;
        set_image(&mut sim, &key, "example.com/agent:2");
        sim.relist();
        sim.turn(&key).unwrap();
        let updated = (0..2).filter(|at| image(&pod(&sim, *at), "agent").ends_with(":2"));
        assert_eq!((updated.count(), &*ready(&sim)), (wanted, "False"));
    }
}
