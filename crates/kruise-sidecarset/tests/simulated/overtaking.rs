//! Updates that overtake each other before a kubelet acts (D.2, inplace W27): the set goes on, within its budget.

use kruise_common::kind::POD;
use serde_json::json;

use crate::builders::{
    Sim, counts, drive, image, log, pod, pod_key, run, set_image, settle, strategy, with,
};

/// Two pods; the sidecar of the first one runs and is not ready, so it is not waited for.
fn failing(sim: &mut Sim) {
    sim.world.edit(&POD, &pod_key("web-0"), |pod| {
        for list in ["containerStatuses", "conditions"] {
            for item in pod["status"][list].as_array_mut().unwrap() {
                if item["name"] == "agent" {
                    item["ready"] = json!(false);
                }
                if item["type"] == "Ready" || item["type"] == "ContainersReady" {
                    item["status"] = json!("False");
                }
            }
        }
    });
}

#[test]
fn the_way_back_before_the_kubelet_acted_does_not_stall_the_set() {
    let set = with(log(), &strategy(&json!({ "maxUnavailable": 1 })));
    let (mut sim, key) = drive(&set, 2);
    settle(&mut sim, &key);
    failing(&mut sim);
    for tag in [2, 1] {
        set_image(&mut sim, &key, &format!("example.com/agent:{tag}"));
        sim.relist();
        sim.turn(&key).unwrap();
        assert_eq!(image(&pod(&sim, 0), "agent"), format!("example.com/agent:{tag}"));
    }
    run(&mut sim.world);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/agent:9");
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [2, 2, 2, 2], "{}", sim.transcript.join("\n"));
}

/// Nobody restarts a pod on a dead node; it serves nobody either, and must not stand in the way of what follows.
#[test]
fn a_pod_of_a_dead_node_does_not_hold_up_the_next_image() {
    let set = with(log(), &strategy(&json!({ "maxUnavailable": 1 })));
    let (mut sim, key) = drive(&set, 3);
    settle(&mut sim, &key);
    sim.world.edit(&POD, &pod_key("web-0"), |pod| {
        pod["metadata"]["annotations"]["sim.kruise.dev/ignore"] = json!("true");
        // The node controller turns the condition, and leaves what the kubelet said of containers.
        for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
            if condition["type"] == "Ready" {
                condition["status"] = json!("False");
            }
        }
    });
    for (tag, wanted) in [(2, [3, 1, 2, 0]), (3, [3, 2, 2, 2])] {
        set_image(&mut sim, &key, &format!("example.com/agent:{tag}"));
        settle(&mut sim, &key);
        assert_eq!(counts(&sim, &key), wanted, "{}", sim.transcript.join("\n"));
    }
}

/// Who is yet to be restarted for an earlier image is down as well.
#[test]
fn an_update_that_overtakes_another_one_keeps_to_the_budget() {
    let set = with(log(), &strategy(&json!({ "maxUnavailable": 1 })));
    let (mut sim, key) = drive(&set, 3);
    settle(&mut sim, &key);
    for tag in [2, 3] {
        set_image(&mut sim, &key, &format!("example.com/agent:{tag}"));
        sim.relist();
        sim.turn(&key).unwrap();
        sim.turn(&key).unwrap();
    }
    let old = (0..3).filter(|at| image(&pod(&sim, *at), "agent") == "example.com/agent:1");
    assert_eq!(old.count(), 2, "{}", sim.transcript.join("\n"));
    run(&mut sim.world);
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [3, 3, 3, 3], "{}", sim.transcript.join("\n"));
}
