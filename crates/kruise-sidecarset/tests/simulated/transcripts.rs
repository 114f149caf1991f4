//! Whole rollouts as text, compared with `transcripts/*.txt`. Accept changes with
//! `ACCEPT=1 cargo test -p kruise-sidecarset --test simulated`, and review them as behaviour.

use std::path::Path;

use kruise_common::key::ObjectKey;
use serde_json::{Value, json};

use crate::builders::{
    Sim, annotation, change, condition, counts, drive, image, log, merge, mesh, pod, restarts,
    set_image, settle, strategy, with,
};

/// A line that tells what the test does.
fn act(sim: &mut Sim, line: &str) {
    sim.say(&format!("# {line}"));
}

/// Comes to rest, and says how it stands.
fn rest(sim: &mut Sim, key: &ObjectKey) {
    settle(sim, key);
    let [matched, updated, ready, both] = counts(sim, key);
    let left = sim.plan(key).unwrap().steps.len();
    let work = if left == 0 { "" } else { ", work left" };
    sim.say(&format!("= matched {matched}, updated {updated}, ready {ready}, both {both}{work}"));
}

fn compare(sim: &Sim, name: &str) {
    let text = sim.transcript.join("\n") + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/simulated/transcripts/{name}.txt"));
    if std::env::var("ACCEPT").is_ok() {
        std::fs::write(&file, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        golden == text,
        "{name} is told differently now; ACCEPT=1 accepts\n--- before\n{golden}\n--- now\n{text}"
    );
}

fn sides(sim: &mut Sim, at: usize) {
    let pod = pod(sim, at);
    let tag = |name: &str| image(&pod, name).rsplit(':').next().unwrap().to_owned();
    let version =
        |twin: &str| annotation(&pod, &format!("version.sidecarset.kruise.io/{twin}")) != "0";
    let working = annotation(&pod, "kruise.io/sidecarset-working-hotupgrade-container").to_owned();
    let line = format!(
        "  web-{at}: mesh-1 {}{}, mesh-2 {}{}, {working}",
        tag("mesh-1"),
        if version("mesh-1") { "" } else { " (idle)" },
        tag("mesh-2"),
        if version("mesh-2") { "" } else { " (idle)" },
    );
    sim.say(&line);
}

#[test]
fn a_cold_upgrade_within_the_budget() {
    let set = with(log(), &strategy(&json!({ "maxUnavailable": 2 })));
    let (mut sim, key) = drive(&set, 5);
    act(&mut sim, "5 injected pods");
    rest(&mut sim, &key);
    act(&mut sim, "a new image, two at a time");
    set_image(&mut sim, &key, "example.com/agent:2");
    rest(&mut sim, &key);
    for at in 0..5 {
        let pod = pod(&sim, at);
        assert_eq!(image(&pod, "agent"), "example.com/agent:2");
        assert_eq!((restarts(&pod, "app"), restarts(&pod, "agent")), (0, 1));
        let says = condition(&pod, "SidecarSetUpgradable").unwrap();
        assert_eq!(says, ("True".into(), r#"{"log":true}"#.into()));
    }
    compare(&sim, "cold");
}

#[test]
fn a_bad_image_stops_after_the_budget_and_a_good_one_heals() {
    let (mut sim, key) = drive(&log(), 3);
    rest(&mut sim, &key);
    act(&mut sim, "an image that cannot be pulled");
    set_image(&mut sim, &key, "example.com/agent:fail-pull");
    rest(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [3, 1, 2, 0]);
    act(&mut sim, "a good image");
    set_image(&mut sim, &key, "example.com/agent:3");
    rest(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [3, 3, 3, 3]);
    compare(&sim, "bad-image");
}

#[test]
fn a_rollout_is_paused_partitioned_and_selected() {
    let (mut sim, key) = drive(&with(log(), &strategy(&json!({ "maxUnavailable": "50%" }))), 4);
    rest(&mut sim, &key);
    act(&mut sim, "a new image while paused");
    change(&mut sim, &key, &strategy(&json!({ "paused": true })));
    set_image(&mut sim, &key, "example.com/agent:2");
    rest(&mut sim, &key);
    act(&mut sim, "go on, half of them");
    change(&mut sim, &key, &strategy(&json!({ "paused": false, "partition": "50%" })));
    rest(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [4, 2, 4, 2]);
    act(&mut sim, "only pods of tier gold");
    let selector = json!({ "matchLabels": { "tier": "gold" } });
    change(&mut sim, &key, &strategy(&json!({ "partition": 0, "selector": selector })));
    rest(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [4, 2, 4, 2]);
    act(&mut sim, "all of them");
    change(&mut sim, &key, &strategy(&json!({ "selector": null })));
    rest(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [4, 4, 4, 4]);
    compare(&sim, "steps");
}

#[test]
fn more_than_an_image_is_not_applied_until_it_is_taken_back() {
    let (mut sim, key) = drive(&log(), 2);
    rest(&mut sim, &key);
    let args = |args: Value| {
        move |set: &mut Value| {
            merge(&mut set["spec"]["containers"][0], &json!({ "args": args }));
        }
    };
    act(&mut sim, "other arguments");
    sim.world.edit(&kruise_common::kind::SIDECAR_SET, &key, args(json!(["-v"])));
    rest(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [2, 0, 2, 0]);
    let says = condition(&pod(&sim, 0), "SidecarSetUpgradable").unwrap();
    assert_eq!(says, ("False".into(), r#"{"log":false}"#.into()));
    act(&mut sim, "the old arguments, and a new image");
    sim.world.edit(&kruise_common::kind::SIDECAR_SET, &key, args(Value::Null));
    set_image(&mut sim, &key, "example.com/agent:2");
    rest(&mut sim, &key);
    let says = condition(&pod(&sim, 0), "SidecarSetUpgradable").unwrap();
    assert_eq!(says, ("True".into(), r#"{"log":true}"#.into()));
    compare(&sim, "not-upgradable");
}

#[test]
fn a_hot_upgrade_and_the_next_one() {
    let (mut sim, key) = drive(&mesh(), 2);
    rest(&mut sim, &key);
    for tag in ["2", "3"] {
        act(&mut sim, &format!("image {tag}"));
        set_image(&mut sim, &key, &format!("example.com/mesh:{tag}"));
        rest(&mut sim, &key);
        sides(&mut sim, 0);
        sides(&mut sim, 1);
    }
    compare(&sim, "hot");
}

#[test]
fn a_hot_upgrade_that_fails_in_the_middle() {
    let (mut sim, key) = drive(&mesh(), 2);
    rest(&mut sim, &key);
    act(&mut sim, "an image that cannot be pulled: the old side goes on working");
    set_image(&mut sim, &key, "example.com/mesh:fail-pull");
    rest(&mut sim, &key);
    sides(&mut sim, 0);
    sides(&mut sim, 1);
    act(&mut sim, "a third image goes to the same twin");
    set_image(&mut sim, &key, "example.com/mesh:3");
    rest(&mut sim, &key);
    sides(&mut sim, 0);
    sides(&mut sim, 1);
    act(&mut sim, "another failing one");
    set_image(&mut sim, &key, "example.com/mesh:fail-pull-too");
    rest(&mut sim, &key);
    sides(&mut sim, 0);
    act(&mut sim, "back to the image that the old side runs");
    set_image(&mut sim, &key, "example.com/mesh:3");
    rest(&mut sim, &key);
    sides(&mut sim, 0);
    sides(&mut sim, 1);
    assert_eq!(counts(&sim, &key), [2, 2, 2, 2]);
    compare(&sim, "hot-failing");
}
