//! Objects as OpenKruise v1.9 left them (`tests/captured`): a finished state is left alone, an unfinished one finished.

use std::path::Path;

use kruise_common::gates::FeatureGates;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{CLAIM, CONTROLLER_REVISION, Kind, POD, STATEFUL_SET};
use kruise_common::testing::drive::Drive;
use kruise_common::testing::world::World;
use serde_json::json;

use crate::builders::{Sim, process, text};

const SETS: [&str; 4] = ["min", "old", "web", "hooked"];

/// Feature gates under which each folder was captured.
pub fn captured() -> [(&'static str, FeatureGates); 2] {
    let all = "AllAlpha=true,AllBeta=true".parse().unwrap();
    [("all-gates", all), ("default-gates", FeatureGates::default())]
}

pub fn cluster(folder: &str, state: &str) -> World {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured").join(folder).join(state);
    // A while after the last captured time.
    let mut world = World::new("2026-11-24T00:00:00Z".parse().unwrap());
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let kind: &'static Kind = match name.split('.').next().unwrap() {
            "statefulsets" => &STATEFUL_SET,
            "pods" => &POD,
            "persistentvolumeclaims" => &CLAIM,
            "controllerrevisions" => &CONTROLLER_REVISION,
            other => panic!("what is {other}?"),
        };
        world.insert(kind, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap());
    }
    world
}

pub fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "cap".into(), name: name.into() }
}

pub fn drive(world: World, gates: FeatureGates) -> Sim {
    Drive::new(world, move || process(gates))
}

#[test]
fn the_first_turn_over_a_finished_state_writes_nothing() {
    for (folder, gates) in captured() {
        for state in ["1-created", "3-image-updated"] {
            let mut sim = drive(cluster(folder, state), gates);
            for name in SETS {
                sim.turn(&key(name)).expect("the set is there");
            }
            let written: Vec<String> =
                sim.writes.iter().map(|w| format!("{w}: {:?}", w.request)).collect();
            assert!(
                written.is_empty(),
                "{folder}/{state}:\n{}\n{}",
                sim.transcript.join("\n"),
                written.join("\n")
            );
        }
    }
}

#[test]
fn every_state_is_continued_without_a_new_pod() {
    for (folder, gates) in captured() {
        for state in
            ["1-created", "2-image-updating", "3-image-updated", "4-hook-released", "5-more"]
        {
            let mut sim = drive(cluster(folder, state), gates);
            let uids = |sim: &Sim| -> Vec<String> {
                sim.world.list(&POD).map(|pod| text(pod, "/metadata/uid").to_owned()).collect()
            };
            let before = uids(&sim);
            for name in SETS {
                sim.settle(&key(name), 300)
                    .unwrap_or_else(|error| panic!("{folder}/{state}: {error}"));
                let plan = sim.plan(&key(name)).unwrap();
                assert_eq!(plan.steps, [], "{folder}/{state}/{name}");
            }
            // `web` is scaled down in the last state; nothing else may go, and nothing is made.
            let gone = before.iter().filter(|uid| !uids(&sim).contains(uid)).count();
            let made = uids(&sim).iter().filter(|uid| !before.contains(uid)).count();
            let story = sim.transcript.join("\n");
            assert_eq!(made, 0, "{folder}/{state}\n{story}");
            assert_eq!(gone, 0, "{folder}/{state}\n{story}");
        }
    }
}

#[test]
fn a_status_that_was_lost_is_computed_as_it_was() {
    for (folder, gates) in captured() {
        for name in SETS {
            let mut world = cluster(folder, "1-created");
            let before = world.get(&STATEFUL_SET, &key(name)).unwrap()["status"].clone();
            assert!(!text(&before, "/labelSelector").is_empty());
            world.edit(&STATEFUL_SET, &key(name), |set| set["status"] = json!({}));
            let mut sim = drive(world, gates);
            sim.turn(&key(name)).unwrap();
            let after = &sim.world.get(&STATEFUL_SET, &key(name)).unwrap()["status"];
            assert_eq!(*after, before, "{folder}/{name}");
            assert_eq!(sim.writes.len(), 1, "{folder}/{name}: the status and nothing else");
        }
    }
}
