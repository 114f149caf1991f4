//! Objects as OpenKruise v1.9 left them (`tests/captured`): a finished state is left alone, an unfinished one finished.

use std::path::Path;

use kruise_common::key::ObjectKey;
use kruise_common::kind::{CONTROLLER_REVISION, Kind, NAMESPACE, POD, SIDECAR_SET};
use kruise_common::testing::drive::Drive;
use kruise_common::testing::world::World;
use kruise_common::write::Write;
use kruise_sidecarset::snapshot::Options;
use serde_json::{Value, json};

use crate::builders::{Sim, process, text};

const STATES: [&str; 5] =
    ["1-created", "2-image-updating", "3-image-updated", "4-hook-released", "5-more"];

/// The gate sets under which the objects were captured, with the sets that there were.
const FOLDERS: [(&str, &[&str]); 2] = [
    ("all-gates", &["full", "hot", "mini", "native"]),
    ("default-gates", &["hot", "mini", "native"]),
];

fn cluster(folder: &str, state: &str) -> World {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured").join(folder).join(state);
    // A while after the last captured time.
    let mut world = World::new("2026-11-24T00:00:00Z".parse().unwrap());
    for name in ["cap", "kruise-system"] {
        let labels = json!({ "kubernetes.io/metadata.name": name });
        let metadata = json!({ "name": name, "namespace": "", "labels": labels });
        world.insert(&NAMESPACE, json!({ "metadata": metadata }));
    }
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let name = name.trim_start_matches("kruise-system.");
        if name.contains("v1alpha1") {
            continue;
        }
        let kind: &'static Kind = match name.split('.').next().unwrap() {
            "sidecarsets" => &SIDECAR_SET,
            "pods" => &POD,
            "controllerrevisions" => &CONTROLLER_REVISION,
            other => panic!("what is {other}?"),
        };
        let mut object: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        if kind == &SIDECAR_SET {
            object["metadata"]["namespace"] = json!("");
        }
        world.insert(kind, object);
    }
    world
}

fn drive(world: World) -> Sim {
    Drive::new(world, move || process(Options::default()))
}

fn written(sim: &Sim) -> Vec<String> {
    sim.writes.iter().map(|write| format!("{write}: {:?}", write.request)).collect()
}

#[test]
fn the_first_turn_over_a_captured_state_writes_nothing() {
    for (folder, sets) in FOLDERS {
        for state in STATES {
            let mut sim = drive(cluster(folder, state));
            for name in sets {
                let turned = sim.turn(&ObjectKey::new("", *name)).expect("the set is there");
                assert!(turned.holds.is_empty(), "{folder}/{state}/{name}: {:?}", turned.holds);
            }
            if state == "2-image-updating" {
                // Caught in the middle: the pods are further than the status that was stored, and where the new side of the
                // hot upgrade works already its old one is due to be idle.
                let status =
                    |write: &Write| write.subresource() == "status" && *write.kind == SIDECAR_SET;
                let reset = |write: &Write| *write.kind == POD && *write.key.name == *"hot";
                let due = folder == "default-gates";
                sim.writes.retain(|write| !(status(write) || due && reset(write)));
            }
            assert!(written(&sim).is_empty(), "{folder}/{state}:\n{}", written(&sim).join("\n"));
        }
    }
}

#[test]
fn every_state_is_continued_to_its_end_in_the_same_pods() {
    for (folder, sets) in FOLDERS {
        for state in STATES {
            let mut sim = drive(cluster(folder, state));
            let uids = |sim: &Sim| -> Vec<String> {
                sim.world.list(&POD).map(|pod| text(pod, "/metadata/uid").to_owned()).collect()
            };
            let before = uids(&sim);
            for name in sets {
                let key = ObjectKey::new("", *name);
                sim.settle(&key, 200).unwrap_or_else(|error| panic!("{folder}/{state}: {error}"));
                let set = sim.world.get(&SIDECAR_SET, &key).unwrap();
                let status = &set["status"];
                let many = status["matchedPods"].as_i64().unwrap();
                assert_eq!(many, 1, "{folder}/{state}/{name}: {status}");
                assert_eq!(status["updatedPods"], many, "{folder}/{state}/{name}: {status}");
                if *name != "native" {
                    assert_eq!(status["readyPods"], many, "{folder}/{state}/{name}: {status}");
                }
                assert!(status["conditions"].is_null(), "{status}");
                let revisions = sim.world.list(&CONTROLLER_REVISION);
                let ours = revisions
                    .filter(|it| it["metadata"]["labels"]["kruise.io/sidecarset-name"] == **name);
                assert_eq!(
                    ours.count(),
                    if state != "1-created" && ["hot", "mini"].contains(name) { 2 } else { 1 }
                );
            }
            assert_eq!(uids(&sim), before, "{folder}/{state}");
        }
    }
}

#[test]
fn a_status_that_was_lost_is_computed_as_it_was() {
    for (folder, sets) in FOLDERS {
        for name in sets {
            let key = ObjectKey::new("", *name);
            let mut world = cluster(folder, "3-image-updated");
            let before = world.get(&SIDECAR_SET, &key).unwrap()["status"].clone();
            world.edit(&SIDECAR_SET, &key, |set| set["status"] = json!({}));
            let mut sim = drive(world);
            sim.turn(&key).unwrap();
            let mut after = sim.world.get(&SIDECAR_SET, &key).unwrap()["status"].clone();
            assert_eq!(sim.writes.len(), 1, "{folder}/{name}: the status and nothing else");
            if *name == "native" {
                // Frozen when the pod was made; nothing tells that moment any more (EVT-13).
                for count in ["readyPods", "updatedReadyPods"] {
                    after[count] = before[count].clone();
                }
            }
            let compact = |value: &Value| {
                let mut value = value.clone();
                value.as_object_mut().unwrap().retain(|_, member| !member.is_null());
                value
            };
            assert_eq!(compact(&after), compact(&before), "{folder}/{name}");
        }
    }
}
