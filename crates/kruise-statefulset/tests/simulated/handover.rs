//! What we leave behind, after any single write: objects that OpenKruise v1.9 can go on with.
//!
//! It is not at hand in tests, so this checks what it relies on: revisions by name and hash, states and annotations that
//! it knows, a status that its CRD accepts (R-4…R-9, IP-12, L-3, X-8).

use std::collections::BTreeSet;

use kruise_common::history::{encode, hash, revision_name, template_of};
use kruise_common::kind::{CONTROLLER_REVISION, POD, STATEFUL_SET};
use kruise_common::testing::world::World;
use serde_json::{Value, json};

use crate::builders::{drive, in_place, merge, set_image, text, web_with, with_claims};

const STATES: [&str; 7] =
    ["", "PreparingNormal", "Normal", "PreparingUpdate", "Updating", "Updated", "PreparingDelete"];

/// Members of the in-place state that OpenKruise knows (IP-12).
const IN_PLACE: [&str; 11] = [
    "revision",
    "updateTimestamp",
    "lastContainerStatuses",
    "updateEnvFromMetadata",
    "updateResources",
    "updateImages",
    "nextContainerImages",
    "nextContainerRefMetadata",
    "nextContainerResources",
    "preCheckBeforeNext",
    "containerBatchesRecord",
];

fn revisions(world: &World) -> BTreeSet<String> {
    let all = world.list(&CONTROLLER_REVISION);
    all.map(|revision| text(revision, "/metadata/name").to_owned()).collect()
}

/// Bytes and name are those that OpenKruise would give, or it would restart every pod.
fn check_revision(revision: &Value) {
    let data = encode(template_of(&revision["data"].to_string()).unwrap().get()).unwrap();
    let short = hash(&data, Some(0));
    assert_eq!(text(revision, "/metadata/name"), revision_name("web", &short));
    assert_eq!(text(revision, "/metadata/labels/controller.kubernetes.io~1hash"), short);
    assert_eq!(text(revision, "/metadata/labels/app"), "web", "found by the selector (R-3)");
}

fn check_pod(pod: &Value, known: &BTreeSet<String>) {
    let label = |name: &str| text(pod, &format!("/metadata/labels/{name}")).to_owned();
    assert!(known.contains(&label("controller-revision-hash")), "its revision is there: {pod}");
    assert!(STATES.contains(&label("lifecycle.apps.kruise.io~1state").as_str()), "{pod}");
    for key in ["inplace-update-state", "inplace-update-grace"] {
        let annotation = text(pod, &format!("/metadata/annotations/apps.kruise.io~1{key}"));
        if annotation.is_empty() {
            continue;
        }
        let state: Value = serde_json::from_str(annotation).unwrap();
        if key == "inplace-update-state" {
            let members = state.as_object().unwrap().keys();
            let unknown: Vec<&String> =
                members.filter(|member| !IN_PLACE.contains(&member.as_str())).collect();
            assert!(unknown.is_empty(), "{unknown:?}");
            assert!(known.contains(text(&state, "/revision")), "{state}");
        }
    }
}

fn check(world: &World) {
    let known = revisions(world);
    world.list(&CONTROLLER_REVISION).for_each(check_revision);
    world.list(&POD).for_each(|pod| check_pod(pod, &known));
    for set in world.list(&STATEFUL_SET) {
        let Some(status) = set.get("status") else { continue };
        for member in
            ["replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"]
        {
            assert!(status[member].is_i64(), "{member}: {status}");
        }
        for member in ["currentRevision", "updateRevision"] {
            assert!(known.contains(text(status, &format!("/{member}"))), "{member}: {status}");
        }
        assert!(!text(status, "/labelSelector").is_empty());
    }
}

#[test]
fn openkruise_could_go_on_after_any_of_our_writes() {
    let rolling = |policy: &str, grace: i32| {
        json!({ "spec": { "updateStrategy": { "rollingUpdate": {
            "podUpdatePolicy": policy, "maxUnavailable": 2,
            "inPlaceUpdateStrategy": { "gracePeriodSeconds": grace },
        } } } })
    };
    for (policy, grace) in [("ReCreate", 0), ("InPlaceIfPossible", 0), ("InPlaceIfPossible", 5)] {
        let mut set = web_with(3, &in_place());
        merge(&mut set, &with_claims());
        merge(&mut set, &rolling(policy, grace));
        merge(
            &mut set,
            &json!({ "spec": { "lifecycle": { "inPlaceUpdate": { "finalizersHandler": ["x/y"] } } } }),
        );
        let (mut sim, key) = drive(set);
        // The cluster before a write is the one after the write before it.
        sim.inspect = Box::new(|world, _| check(world));
        for image in ["example.com/app:1", "example.com/app:2", "example.com/app:1"] {
            set_image(&mut sim, &key, image);
            sim.settle(&key, 500).unwrap();
            check(&sim.world);
        }
        assert!(sim.writes.len() > 20, "{policy}: {} writes were looked at", sim.writes.len());
    }
}
