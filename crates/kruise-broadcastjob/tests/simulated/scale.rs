//! A cluster of 20,000 nodes: the object stays storable (W16).

use kruise_broadcastjob::mark::Mark;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{BROADCAST_JOB, NODE, POD};
use serde_json::{Value, json};

use crate::builders::{Sim, clean_with, counts, drive, merge, status};

const NODES: usize = 20_000;
/// What etcd takes, without a sixth for the rest of the object: its template, and who manages its fields.
const ROOM: usize = 1_572_864 / 6 * 5;

fn size(sim: &Sim, key: &ObjectKey) -> usize {
    sim.world.get(&BROADCAST_JOB, key).unwrap()["status"].to_string().len()
}

/// On every node a pod of this phase, as this controller would have made it.
fn end_everywhere(sim: &mut Sim, key: &ObjectKey, phase: &str) {
    let job = sim.world.get(&BROADCAST_JOB, key).unwrap()["metadata"].clone();
    let nodes = sim.world.list(&NODE);
    let nodes: Vec<Value> = nodes.map(|node| node["metadata"].clone()).collect();
    for node in nodes {
        let mark = Mark::of(job["uid"].as_str().unwrap(), node["uid"].as_str().unwrap());
        let pod = ObjectKey::new("default", format!("clean-{mark}"));
        sim.world.delete(&POD, &pod);
        let owner = json!({
            "apiVersion": "apps.kruise.io/v1beta1", "kind": "BroadcastJob", "name": "clean", "uid": job["uid"],
            "controller": true,
        });
        let meta =
            json!({ "name": &*pod.name, "namespace": "default", "ownerReferences": [owner] });
        let spec = json!({ "nodeName": node["name"], "restartPolicy": "Never" });
        sim.world
            .insert(&POD, json!({ "metadata": meta, "spec": spec, "status": { "phase": phase } }));
    }
    sim.relist();
}

/// The worst there is: every node fails, is tried again, fails for good and has been looked at.
#[test]
fn a_job_that_fails_on_twenty_thousand_nodes_stays_storable() {
    let mut job = clean_with(&json!({}));
    let policy = json!({ "type": "Pause", "maxFailedNodes": "100%", "retry": { "limit": 1 } });
    merge(&mut job, &json!({ "spec": { "failurePolicy": policy } }));
    let (mut sim, key) = drive(NODES, job);
    end_everywhere(&mut sim, &key, "Failed");
    sim.turn(&key).unwrap();
    assert_eq!(status(&sim, &key)["nodes"]["retrying"], 20_000);
    let first = size(&sim, &key);
    sim.world.edit(&BROADCAST_JOB, &key, |job| job["spec"]["paused"] = json!(true));
    end_everywhere(&mut sim, &key, "Failed");
    sim.turn(&key).unwrap();
    assert_eq!(counts(&sim, &key).1, [0, 0, 20_000, 20_000], "none is tried a third time");
    let worst = size(&sim, &key);
    println!("status after the first failure of all: {first} bytes, after the last: {worst} bytes");
    assert!(worst < ROOM, "{worst}");
}

#[test]
fn twenty_thousand_nodes_that_succeed_are_two_hundred_kilobytes() {
    let (mut sim, key) = drive(NODES, clean_with(&json!({})));
    end_everywhere(&mut sim, &key, "Succeeded");
    sim.turn(&key).unwrap();
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 20_000, 0, 20_000]));
    assert!((200_000..201_000).contains(&size(&sim, &key)), "{}", size(&sim, &key));
}
