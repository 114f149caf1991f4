//! Revisions: which are kept, in which order the others go, and what becomes of pods whose revision is gone.

use kruise_common::key::ObjectKey;
use kruise_common::kind::{CONTROLLER_REVISION, POD, STATEFUL_SET};
use serde_json::{Value, json};

use crate::builders::{Sim, change, drive, in_place, merge, set_image, text, web_with};

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, 400).unwrap();
}

fn image(version: i32) -> String {
    format!("example.com/app:{version}")
}

/// A parallel set that keeps so many old revisions.
fn keeping(replicas: i32, limit: i32) -> (Sim, ObjectKey) {
    let spec = json!({ "podManagementPolicy": "Parallel", "revisionHistoryLimit": limit });
    let (mut sim, key) = drive(web_with(replicas, &json!({ "spec": spec })));
    settle(&mut sim, &key);
    (sim, key)
}

fn roll(sim: &mut Sim, key: &ObjectKey, version: i32) {
    set_image(sim, key, &image(version));
    settle(sim, key);
}

fn partition(sim: &mut Sim, key: &ObjectKey, partition: i32) {
    let rolling = json!({ "updateStrategy": { "rollingUpdate": { "partition": partition } } });
    change(sim, key, &json!({ "spec": rolling }));
}

/// Numbers of all revisions with the versions of their images, by number.
fn history(sim: &Sim) -> Vec<(i64, String)> {
    let version = |revision: &Value| {
        let image = text(revision, "/data/spec/template/spec/containers/0/image");
        image.rsplit(':').next().unwrap().to_owned()
    };
    let all = sim.world.list(&CONTROLLER_REVISION);
    let mut all: Vec<_> =
        all.map(|revision| (revision["revision"].as_i64().unwrap(), version(revision))).collect();
    all.sort_unstable();
    all
}

fn numbers(sim: &Sim) -> Vec<i64> {
    history(sim).into_iter().map(|(number, _)| number).collect()
}

/// Revisions that were deleted, by number, in order.
fn dropped(sim: &mut Sim, key: &ObjectKey) -> Vec<i64> {
    let known = |sim: &Sim, name: &str| {
        let revision = sim.world.get(&CONTROLLER_REVISION, &key.sibling(name.to_owned()));
        revision.and_then(|revision| revision["revision"].as_i64())
    };
    let all: Vec<(String, i64)> = sim
        .world
        .list(&CONTROLLER_REVISION)
        .map(|revision| text(revision, "/metadata/name").to_owned())
        .map(|name| (name.clone(), known(sim, &name).unwrap()))
        .collect();
    let from = sim.writes.len();
    settle(sim, key);
    let deletes = sim.writes[from..].iter().filter(|write| write.verb() == "delete");
    let names = deletes.filter(|write| *write.kind == CONTROLLER_REVISION).map(|w| &w.key.name);
    names.map(|name| all.iter().find(|(known, _)| **known == **name).unwrap().1).collect()
}

fn status<'a>(sim: &'a Sim, key: &ObjectKey, member: &str) -> &'a str {
    text(sim.world.get(&STATEFUL_SET, key).unwrap(), &format!("/status/{member}"))
}

/// of those that nobody uses the newest stay, as many as the limit says.
#[test]
fn the_oldest_revision_that_nobody_uses_goes_first() {
    let (mut sim, key) = keeping(2, 2);
    for version in 2..=5 {
        roll(&mut sim, &key, version);
    }
    assert_eq!(numbers(&sim), [3, 4, 5], "two and the one in use");

    let (mut sim, key) = keeping(2, 10);
    for version in 2..=5 {
        roll(&mut sim, &key, version);
    }
    assert_eq!(numbers(&sim), [1, 2, 3, 4, 5]);
    change(&mut sim, &key, &json!({ "spec": { "revisionHistoryLimit": 1 } }));
    assert_eq!(dropped(&mut sim, &key), [1, 2, 3]);
    assert_eq!(numbers(&sim), [4, 5]);
}

/// those of a pod, the current and the update revision are never history, whatever the limit.
#[test]
fn a_revision_that_somebody_uses_stays() {
    let (mut sim, key) = keeping(3, 0);
    partition(&mut sim, &key, 1);
    roll(&mut sim, &key, 2);
    partition(&mut sim, &key, 2);
    roll(&mut sim, &key, 3);
    // Pod 0 is at the current revision, pod 1 at one in between, pod 2 at the update revision.
    assert_eq!(numbers(&sim), [1, 2, 3]);
    partition(&mut sim, &key, 3);
    roll(&mut sim, &key, 4);
    assert_eq!(numbers(&sim), [1, 2, 3, 4], "nobody is at the update revision yet");
    partition(&mut sim, &key, 2);
    settle(&mut sim, &key);
    assert_eq!(numbers(&sim), [1, 2, 4], "nobody is at the third any more");
    // The current revision is kept while its last pod is gone.
    let pod = key.sibling("web-0");
    sim.world.delete(&POD, &pod);
    settle(&mut sim, &key);
    assert_eq!(text(sim.world.get(&POD, &pod).unwrap(), "/spec/containers/0/image"), image(1));
}

/// without history a way back makes the revision anew, under its old name.
#[test]
fn a_limit_of_none_keeps_no_history_and_the_way_back_has_the_old_name() {
    let (mut sim, key) = keeping(2, 0);
    let first = status(&sim, &key, "currentRevision").to_owned();
    let uid = |sim: &Sim, name: &str| {
        let revision = sim.world.get(&CONTROLLER_REVISION, &key.sibling(name.to_owned()));
        revision.map(|revision| text(revision, "/metadata/uid").to_owned())
    };
    let before = uid(&sim, &first).unwrap();
    roll(&mut sim, &key, 2);
    assert_eq!(history(&sim), [(2, "2".to_owned())]);
    assert_eq!(uid(&sim, &first), None);
    roll(&mut sim, &key, 1);
    assert_eq!(history(&sim), [(3, "1".to_owned())]);
    assert_eq!(status(&sim, &key, "currentRevision"), first);
    assert_ne!(uid(&sim, &first), Some(before), "another object");
    let pods: Vec<&str> =
        sim.world.list(&POD).map(|pod| text(pod, "/spec/containers/0/image")).collect();
    assert_eq!(pods, [image(1), image(1)]);
}

/// IP-2: what a pod was made from is gone, so nobody can tell what would change.
#[test]
fn a_pod_whose_revision_is_gone_is_recreated_if_that_is_allowed() {
    for (policy, recreated) in [("InPlaceIfPossible", true), ("InPlaceOnly", false)] {
        let mut set = web_with(2, &in_place());
        let rolling =
            json!({ "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": policy } } });
        merge(&mut set, &json!({ "spec": rolling }));
        let (mut sim, key) = drive(set);
        settle(&mut sim, &key);
        let pod = key.sibling("web-1");
        let uid = |sim: &Sim| text(sim.world.get(&POD, &pod).unwrap(), "/metadata/uid").to_owned();
        let before = uid(&sim);
        let gone = json!({ "metadata": { "labels": { "controller-revision-hash": "web-gone" } } });
        sim.world.edit(&POD, &pod, |pod| merge(pod, &gone));
        roll(&mut sim, &key, 2);
        assert_eq!(uid(&sim) != before, recreated, "{policy}");
        let holds = sim.plan(&key).unwrap().holds;
        let why = "NotInPlacePossible{pod: web-1, why: its revision \"web-gone\" is not in the history any more}";
        assert_eq!(holds.iter().any(|hold| hold.to_string() == why), !recreated, "{holds:?}");
        let other = sim.world.get(&POD, &key.sibling("web-0")).unwrap();
        assert_eq!(text(other, "/spec/containers/0/image"), image(2), "{policy}: others go on");
    }
}
