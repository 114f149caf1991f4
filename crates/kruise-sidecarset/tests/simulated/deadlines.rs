//! [ext] A roll-out that makes no progress is told of after as long as the set says (W-43).

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::builders::{Sim, counts, drive, log, set_image, settle, status, text, with};

fn impatient(seconds: &str) -> Value {
    let annotations = json!({ "kruise.io/sidecarset-progress-deadline-seconds": seconds });
    with(log(), &json!({ "metadata": { "annotations": annotations } }))
}

fn condition(
    sim: &Sim,
    key: &kruise_common::key::ObjectKey,
    kind: &str,
) -> Option<(String, String)> {
    let conditions = status(sim, key)["conditions"].clone();
    let found = conditions.as_array()?.iter().find(|it| it["type"] == kind)?.clone();
    Some((text(&found, "/status").to_owned(), text(&found, "/message").to_owned()))
}

#[test]
fn a_roll_out_that_makes_no_progress_is_stalled_until_it_makes_some() {
    let (mut sim, key) = drive(&impatient("600"), 3);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/agent:fail-pull");
    sim.relist();
    sim.turn(&key).unwrap();
    let begun = sim.world.now;
    while sim.world.nodes() {}
    sim.relist();
    sim.turn(&key).unwrap();
    let holds = format!("{:?}", sim.plan(&key).unwrap().holds);
    assert!(holds.contains("Progressing"), "{holds}");
    assert_eq!(condition(&sim, &key, "Stalled"), None);
    sim.world.now = begun.checked_add(SignedDuration::from_secs(700)).unwrap();
    sim.relist();
    sim.turn(&key).unwrap();
    let (stalled, message) = condition(&sim, &key, "Stalled").unwrap();
    assert_eq!(stalled, "True");
    assert!(message.starts_with("no pod was updated or became ready since 2026-"), "{message}");
    set_image(&mut sim, &key, "example.com/agent:3");
    settle(&mut sim, &key);
    assert_eq!(condition(&sim, &key, "Stalled").unwrap().0, "False");
    assert_eq!(counts(&sim, &key), [3, 3, 3, 3]);
}

#[test]
fn who_waits_for_nothing_is_never_stalled() {
    for seconds in ["1", "600"] {
        let (mut sim, key) = drive(&impatient(seconds), 2);
        settle(&mut sim, &key);
        sim.world.now = sim.world.now.checked_add(SignedDuration::from_hours(5)).unwrap();
        settle(&mut sim, &key);
        assert_eq!(condition(&sim, &key, "Stalled"), None);
    }
}

#[test]
fn a_deadline_that_is_none_is_told() {
    for seconds in ["soon", "0", "-1", ""] {
        let (mut sim, key) = drive(&impatient(seconds), 1);
        settle(&mut sim, &key);
        let (invalid, message) = condition(&sim, &key, "InvalidSpec").unwrap();
        assert_eq!(invalid, "True");
        let field = "metadata.annotations[kruise.io/sidecarset-progress-deadline-seconds]: ";
        assert_eq!(message, format!("{field}{seconds:?} is no number of seconds above 0"));
    }
}
