//! Hashes that stand on a set and are not those of its spec: of an edit that no webhook saw, or computed in another way
//! (HSH-1, platform §18.7.4).

use kruise_common::kind::{CONTROLLER_REVISION, POD};
use kruise_sidecarset::hash::{Hashes, hashes};
use kruise_sidecarset::snapshot::Options;
use serde_json::{Value, json};

use crate::builders::{
    Sim, annotation, change, cluster, counts, drive_with, image, log, merge, pod, set_image,
    settle, with,
};

const HASH: &str = "kruise.io/sidecarset-hash";
const BARE: &str = "kruise.io/sidecarset-hash-without-image";

fn of(set: &Value) -> Hashes {
    hashes(&serde_json::from_value(set["spec"].clone()).unwrap()).unwrap()
}

/// A set that bears hashes.
fn bearing(set: Value, full: &str, bare: &str) -> Value {
    with(set, &json!({ "metadata": { "annotations": { HASH: full, BARE: bare } } }))
}

fn record(sim: &Sim, at: usize) -> String {
    let records: Value = serde_json::from_str(annotation(&pod(sim, at), HASH)).unwrap();
    records["log"]["hash"].as_str().unwrap().to_owned()
}

fn images(sim: &Sim) -> Vec<String> {
    (0..2).map(|at| image(&pod(sim, at), "agent")).collect()
}

/// The webhook is away, and a manifest without hashes is applied: the stored ones stay, whatever the spec says.
#[test]
fn an_edit_that_no_webhook_saw_is_rolled_out() {
    let first = of(&log());
    let set = bearing(log(), &first.full, &first.without_image);
    let (mut sim, key) = drive_with(cluster(&[&set], 2), &set, Options::default());
    change(&mut sim, &key, &json!({ "spec": { "revisionHistoryLimit": 1 } }));
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    assert_eq!(images(&sim), ["example.com/agent:2"; 2]);
    assert_eq!(counts(&sim, &key), [2, 2, 2, 2]);
    let mut second = log();
    second["spec"]["containers"][0]["image"] = json!("example.com/agent:2");
    let second = of(&second).full;
    assert_eq!(record(&sim, 0), second);
    let revisions = sim.world.list(&CONTROLLER_REVISION);
    let own: Vec<&Value> =
        revisions.filter(|it| it["metadata"]["annotations"][HASH] != json!(null)).collect();
    assert_eq!(own.len(), 1, "the first one is beyond the limit");
    assert_eq!(own[0]["metadata"]["annotations"][HASH], second, "of what it records");
    sim.restart();
    assert_eq!(sim.turn(&key).unwrap().writes, 0, "although nobody knows the first one any more");
    // What is not hashed makes a revision, and nobody outdated.
    change(&mut sim, &key, &json!({ "spec": { "volumes": [{ "name": "v", "emptyDir": {} }] } }));
    settle(&mut sim, &key);
    assert_eq!((counts(&sim, &key), record(&sim, 0)), ([2, 2, 2, 2], second));
    set_image(&mut sim, &key, "example.com/agent:1");
    settle(&mut sim, &key);
    assert_eq!(
        (images(&sim), record(&sim, 1)),
        (vec!["example.com/agent:1".into(); 2], first.full)
    );
}

/// Another version of OpenKruise hashes in another way: nobody is outdated, whether there are revisions or not; and an
/// image reaches the pods in place.
#[test]
fn hashes_that_are_computed_in_another_way_are_taken_over() {
    let set = bearing(log(), "full", "bare");
    let mut world = cluster(&[&set], 2);
    let own = of(&log());
    for at in 0..2 {
        world.edit(&POD, &crate::builders::pod_key(&format!("web-{at}")), |pod| {
            for (key, ours, theirs) in
                [(HASH, &own.full, "full"), (BARE, &own.without_image, "bare")]
            {
                let text = annotation(pod, key).replace(ours, theirs);
                merge(pod, &json!({ "metadata": { "annotations": { key: text } } }));
            }
        });
    }
    let (mut sim, key) = drive_with(world, &set, Options::default());
    for _ in 0..2 {
        settle(&mut sim, &key);
        assert_eq!(counts(&sim, &key), [2, 2, 2, 2]);
        assert!(sim.writes.iter().all(|write| *write.kind != POD), "no pod is touched");
        sim.restart();
    }
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    assert_eq!((images(&sim), counts(&sim, &key)), (vec!["example.com/agent:2".into(); 2], [2; 4]));
    assert_ne!(record(&sim, 0), "full");
}
