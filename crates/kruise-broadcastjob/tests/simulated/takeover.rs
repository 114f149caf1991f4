//! Jobs as OpenKruise v1.9 left them (`tests/captured`): what is finished is left alone, and nothing runs twice.

use std::path::Path;

use kruise_common::key::ObjectKey;
use kruise_common::kind::{BROADCAST_JOB, NODE, POD};
use kruise_common::testing::drive::Drive;
use kruise_common::testing::world::World;
use serde_json::{Value, json};

use crate::builders::{Sim, counts, node, process, status};

const JOBS: [&str; 2] = ["once", "never"];
const STATES: [&str; 2] = ["1-created", "5-more"];

fn cluster(gates: &str, state: &str) -> World {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured").join(gates).join(state);
    // A while after the last captured time.
    let mut world = World::new("2026-11-23T00:00:00Z".parse().unwrap());
    // The node on which OpenKruise ran them is older.
    world.insert(&NODE, node("node-1", &json!({})));
    world.now = "2026-11-24T00:00:00Z".parse().unwrap();
    let mut found = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let kind = if name.starts_with("pods.") { &POD } else { &BROADCAST_JOB };
        world.insert(kind, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap());
        found += 1;
    }
    assert_eq!(found, 4, "two jobs and their pods in {}", folder.display());
    world
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("cap", name)
}

fn everywhere(check: impl Fn(Sim, &str)) {
    for gates in ["all-gates", "default-gates"] {
        for state in STATES {
            let sim = Drive::new(cluster(gates, state), process);
            check(sim, &format!("{gates}/{state}"));
        }
    }
}

#[test]
fn the_first_turn_over_a_finished_state_writes_nothing() {
    everywhere(|mut sim, place| {
        for name in JOBS {
            sim.turn(&key(name)).expect("the job is there");
        }
        let written: Vec<String> =
            sim.writes.iter().map(|w| format!("{w}: {:?}", w.request)).collect();
        assert!(written.is_empty(), "{place}:\n{}", written.join("\n"));
    });
}

/// What was stored through the older version is the same job: both have one schema, and the server changes nothing but
/// `apiVersion`.
#[test]
fn the_first_turn_over_jobs_of_the_older_version_writes_nothing() {
    everywhere(|mut sim, place| {
        for name in JOBS {
            let before = sim.observe(&key(name)).unwrap().job;
            sim.world.edit(&BROADCAST_JOB, &key(name), |job| {
                assert_eq!(job["apiVersion"], "apps.kruise.io/v1beta1", "as captured");
                job["apiVersion"] = json!("apps.kruise.io/v1alpha1");
            });
            sim.relist();
            let job = sim.observe(&key(name)).unwrap().job;
            assert_eq!((&job.spec, &job.status), (&before.spec, &before.status), "{place}");
            assert_eq!(job.unreadable, None, "{place}");
            sim.turn(&key(name)).unwrap();
        }
        assert_eq!(sim.writes, [], "{place}");
    });
}

#[test]
fn nothing_runs_twice_and_new_nodes_are_served() {
    everywhere(|mut sim, place| {
        sim.world.insert(&NODE, node("node-2", &json!({})));
        for name in JOBS {
            sim.settle(&key(name), 100).unwrap();
        }
        let of = |job: &str| {
            let mine = |pod: &&Value| pod["metadata"]["labels"]["broadcastjob-name"] == job;
            sim.world.list(&POD).filter(mine).count()
        };
        assert_eq!((of("once"), of("never")), (1, 2), "{place}: the finished one stays finished");
    });
}

/// W16: OpenKruise's record of who is done are the pods. One that somebody cleans up is recorded before it is forgotten.
#[test]
fn a_pod_that_is_cleaned_up_after_the_take_over_is_not_made_again() {
    everywhere(|mut sim, place| {
        sim.turn(&key("never")).unwrap();
        let pods = sim.world.list(&POD);
        let mine = pods.filter(|pod| pod["metadata"]["labels"]["broadcastjob-name"] == "never");
        let done = mine.filter(|pod| pod["status"]["phase"] == "Succeeded");
        let done: Vec<String> =
            done.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        assert!(!done.is_empty(), "{place}");
        for name in done {
            sim.world.delete(&POD, &key(&name));
        }
        sim.relist();
        sim.turn(&key("never")).unwrap();
        assert!(!status(&sim, &key("never"))["results"].is_null(), "{place}");
        let mut sim = Drive::new(sim.world, process);
        sim.settle(&key("never"), 100).unwrap();
        assert!(!sim.writes.iter().any(|write| write.verb() == "create"), "{place}");
    });
}

#[test]
fn a_status_that_was_lost_is_computed_as_it_was() {
    everywhere(|mut sim, place| {
        let before = status(&sim, &key("never"));
        sim.world.edit(&BROADCAST_JOB, &key("never"), |job| job["status"] = json!({}));
        sim.turn(&key("never"));
        sim.relist();
        sim.turn(&key("never")).unwrap();
        let after = status(&sim, &key("never"));
        for member in ["active", "succeeded", "failed", "desired", "phase", "conditions"] {
            assert_eq!(after[member], before[member], "{place}: {member}");
        }
        assert_eq!(sim.writes.len(), 1, "{place}: the status and nothing else");
    });
}

#[test]
fn a_reference_of_the_older_version_is_as_good() {
    let mut sim = Drive::new(cluster("default-gates", "1-created"), process);
    for pod in sim.world.list(&POD).cloned().collect::<Vec<_>>() {
        let name = pod["metadata"]["name"].as_str().unwrap();
        sim.world.edit(&POD, &key(name), |pod| {
            pod["metadata"]["ownerReferences"][0]["apiVersion"] = json!("apps.kruise.io/v1alpha1");
        });
    }
    sim.relist();
    sim.turn(&key("never")).unwrap();
    assert_eq!(sim.writes, []);
    assert_eq!(counts(&sim, &key("never")).1, [0, 1, 0, 1]);
}
