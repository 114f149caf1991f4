//! Revisions: made, raised, renamed, truncated (section 23, CNF-21, CNF-22).

use kruise_common::key::ObjectKey;
use kruise_common::kind::{CONTROLLER_REVISION, SIDECAR_SET};
use kruise_sidecarset::snapshot::Options;
use serde_json::{Value, json};

use crate::builders::{
    Sim, change, cluster, counts, drive, drive_with, log, merge, set_image, settle, status,
    strategy, text, with,
};

/// Revisions of a set: number and image, by number.
fn revisions(sim: &Sim, set: &str) -> Vec<(i64, String)> {
    let all = sim.world.list(&CONTROLLER_REVISION);
    let own = all.filter(|it| it["metadata"]["labels"]["kruise.io/sidecarset-name"] == set);
    let mut found: Vec<(i64, String)> = own
        .map(|it| {
            let image = text(it, "/data/spec/containers/0/image");
            (it["revision"].as_i64().unwrap(), image.rsplit(':').next().unwrap().to_owned())
        })
        .collect();
    found.sort();
    found
}

fn latest<'a>(sim: &'a Sim, key: &ObjectKey) -> &'a Value {
    let name = text(sim.world.get(&SIDECAR_SET, key).unwrap(), "/status/latestRevision");
    sim.world.get(&CONTROLLER_REVISION, &ObjectKey::new("kruise-system", name)).unwrap()
}

#[test]
fn the_first_status_is_right_and_names_the_revision() {
    let (mut sim, key) = drive(&log(), 2);
    sim.turn(&key).unwrap();
    assert_eq!(counts(&sim, &key), [2, 2, 2, 2]);
    assert_eq!(sim.writes.len(), 2, "the revision and the status");
    let set = sim.world.get(&SIDECAR_SET, &key).unwrap().clone();
    assert_eq!(set["status"]["collisionCount"], 0);
    assert_eq!(set["status"]["observedGeneration"], set["metadata"]["generation"]);
    let revision = latest(&sim, &key);
    assert_eq!(revision["revision"], 1);
    let owner = &revision["metadata"]["ownerReferences"][0];
    assert_eq!(
        (owner["kind"].as_str(), &owner["uid"]),
        (Some("SidecarSet"), &set["metadata"]["uid"])
    );
    let parts: Vec<&String> = revision["data"]["spec"].as_object().unwrap().keys().collect();
    let wanted = [
        "$patch",
        "containers",
        "imagePullSecrets",
        "initContainers",
        "patchPodMetadata",
        "volumes",
    ];
    assert_eq!(parts, wanted);
    sim.restart();
    assert_eq!(sim.turn(&key).unwrap().writes, 0);
}

/// HIS-10.
#[test]
fn the_oldest_go_beyond_the_limit_and_a_rollback_gets_the_highest_number() {
    let (mut sim, key) = drive(&log(), 0);
    for version in 1..=15 {
        set_image(&mut sim, &key, &format!("example.com/agent:{version}"));
        settle(&mut sim, &key);
    }
    let numbers: Vec<i64> = revisions(&sim, "log").iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (6..=15).collect::<Vec<_>>());
    set_image(&mut sim, &key, "example.com/agent:11");
    settle(&mut sim, &key);
    let all = revisions(&sim, "log");
    assert_eq!(all.last().unwrap(), &(16, "11".to_owned()));
    assert_eq!(all.len(), 10);
    assert_eq!(text(latest(&sim, &key), "/data/spec/containers/0/image"), "example.com/agent:11");
}

#[test]
fn revisions_that_pods_or_the_set_name_are_kept() {
    let old = log();
    let set = with(
        log(),
        &json!({ "spec": { "revisionHistoryLimit": 1, "updateStrategy": { "paused": true } } }),
    );
    let (mut sim, key) = drive_with(cluster(&[&old], 1), &set, Options::default());
    change(&mut sim, &key, &json!({ "spec": { "revisionHistoryLimit": 1 } }));
    settle(&mut sim, &key);
    // The pod is updated once, so that it names a revision; then it is left behind.
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    change(&mut sim, &key, &strategy(&json!({ "paused": true })));
    for version in 3..=5 {
        set_image(&mut sim, &key, &format!("example.com/agent:{version}"));
        settle(&mut sim, &key);
    }
    let images: Vec<String> = revisions(&sim, "log").into_iter().map(|(_, image)| image).collect();
    assert_eq!(images, ["2", "5"], "the pod's and the latest");
    let pinned = text(latest(&sim, &key), "/metadata/name").to_owned();
    change(
        &mut sim,
        &key,
        &json!({ "spec": { "injectionStrategy": { "revision": { "revisionName": pinned } } } }),
    );
    set_image(&mut sim, &key, "example.com/agent:6");
    settle(&mut sim, &key);
    let images: Vec<String> = revisions(&sim, "log").into_iter().map(|(_, image)| image).collect();
    assert_eq!(images, ["2", "5", "6"]);
}

/// HIS-8: without the one that the set names by its version every new pod would be refused (REV-2).
#[test]
fn the_newest_revision_of_a_version_that_the_set_names_is_kept() {
    let set = with(log(), &json!({ "spec": { "revisionHistoryLimit": 1, "customVersion": "v1" } }));
    let (mut sim, key) = drive(&set, 0);
    settle(&mut sim, &key);
    let pinned = json!({ "injectionStrategy": { "revision": { "customVersion": "v1" } } });
    change(&mut sim, &key, &json!({ "spec": pinned }));
    change(&mut sim, &key, &json!({ "spec": { "customVersion": "v2" } }));
    for version in 2..=4 {
        set_image(&mut sim, &key, &format!("example.com/agent:{version}"));
        settle(&mut sim, &key);
    }
    let images: Vec<String> = revisions(&sim, "log").into_iter().map(|(_, image)| image).collect();
    assert_eq!(images, ["1", "4"]);
}

#[test]
fn another_custom_version_renames_the_present_revision() {
    let set = with(log(), &json!({ "spec": { "customVersion": "v1" } }));
    let (mut sim, key) = drive(&set, 0);
    settle(&mut sim, &key);
    let label = |sim: &Sim| {
        latest(sim, &key)["metadata"]["labels"]["apps.kruise.io/sidecarset-custom-version"].clone()
    };
    assert_eq!(label(&sim), "v1");
    change(&mut sim, &key, &json!({ "spec": { "customVersion": "v2" } }));
    settle(&mut sim, &key);
    assert_eq!((label(&sim), revisions(&sim, "log").len()), (json!("v2"), 1));
    change(&mut sim, &key, &json!({ "spec": { "customVersion": null } }));
    settle(&mut sim, &key);
    assert_eq!(label(&sim), "v2", "a cleared version stays on the revision");
}

/// HIS-6: data that another object's name stands in the way of gets another name.
#[test]
fn a_name_that_is_taken_raises_the_collision_count() {
    let (mut sim, key) = drive(&log(), 0);
    settle(&mut sim, &key);
    let mut foreign = latest(&sim, &key).clone();
    let first = text(&foreign, "/metadata/name").to_owned();
    merge(
        &mut foreign,
        &json!({ "metadata": {
        "ownerReferences": [{ "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "name": "log", "uid": "rs", "controller": true }],
    } }),
    );
    let (mut sim, key) = drive(&log(), 0);
    sim.world.insert(&CONTROLLER_REVISION, foreign);
    settle(&mut sim, &key);
    let status = status(&sim, &key);
    assert_eq!(status["collisionCount"], 1);
    assert_ne!(status["latestRevision"], json!(first));
}

/// CNF-20: a change that is not hashed makes a revision, and no pod outdated.
#[test]
fn a_plain_init_container_makes_a_revision_only() {
    let (mut sim, key) = drive(&log(), 2);
    settle(&mut sim, &key);
    change(
        &mut sim,
        &key,
        &json!({ "spec": { "initContainers": [{ "name": "prep", "image": "p:1" }] } }),
    );
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [2, 2, 2, 2]);
    assert_eq!(revisions(&sim, "log").len(), 2);
}
