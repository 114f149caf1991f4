//! What a set says of itself: a status that comes late undoes nothing, a roll-out begins and ends with an event, and a
//! revision that cannot be injected is told of.

use std::cell::RefCell;
use std::rc::Rc;

use kruise_common::key::ObjectKey;
use kruise_common::kind::{CONTROLLER_REVISION, SIDECAR_SET};
use kruise_common::plan::Applied;
use kruise_common::reconciler::Reconciler;
use kruise_common::write::{Category, Write};
use kruise_sidecarset::controller::SidecarSetController as C;
use serde_json::{Value, json};

use crate::builders::{
    Sim, change, drive, log, run, set_image, settle, status, strategy, text, with,
};

/// Collects the events of the set itself: reason and message.
fn notes(sim: &mut Sim) -> Rc<RefCell<Vec<(String, String)>>> {
    let notes: Rc<RefCell<Vec<(String, String)>>> = Rc::default();
    let into = notes.clone();
    sim.witness = Box::new(move |_, _, plan| {
        let own = plan.notes.iter().filter(|note| note.about.is_none());
        into.borrow_mut().extend(own.map(|note| (note.reason.to_owned(), note.message.clone())));
    });
    notes
}

fn reasons(notes: &RefCell<Vec<(String, String)>>) -> Vec<String> {
    notes.borrow_mut().drain(..).map(|(reason, _)| reason).collect()
}

/// The status of a change of the set, by somebody who stops before it is sent.
fn status_not_sent(sim: &mut Sim, key: &ObjectKey) -> Write {
    settle(sim, key);
    change(sim, key, &json!({ "spec": { "revisionHistoryLimit": 5 } }));
    sim.relist();
    let snapshot = sim.observe(key).unwrap();
    let plan = C::plan(&snapshot, sim.world.now);
    C::status(&snapshot, &plan, &Applied::default(), sim.world.now).expect("a new generation")
}

/// STA-31: a write that was computed from an older generation, and is sent when a newer one has its status, is refused.
#[test]
fn a_status_of_an_older_generation_never_overwrites_a_newer_one() {
    let (mut sim, key) = drive(&log(), 2);
    let late = status_not_sent(&mut sim, &key);
    // Meanwhile the spec changes again, and its status is written by somebody else.
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    let newer = status(&sim, &key);
    let generation = sim.world.get(&SIDECAR_SET, &key).unwrap()["metadata"]["generation"].clone();
    assert_eq!(newer["observedGeneration"], generation);
    let error = sim.world.perform(&late).unwrap_err();
    assert_eq!(error.category, Category::Conflict, "{error}");
    assert_eq!(status(&sim, &key), newer);
}

/// The same without another status in between: what was read is not what is there any more, though nobody has said so yet.
#[test]
fn a_status_of_a_spec_that_changed_since_is_not_written() {
    let (mut sim, key) = drive(&log(), 2);
    let late = status_not_sent(&mut sim, &key);
    let before = status(&sim, &key);
    set_image(&mut sim, &key, "example.com/agent:2");
    assert_eq!(sim.world.perform(&late).unwrap_err().category, Category::Conflict);
    assert_eq!(status(&sim, &key), before);
    settle(&mut sim, &key);
    let generation = sim.world.get(&SIDECAR_SET, &key).unwrap()["metadata"]["generation"].clone();
    assert_eq!(status(&sim, &key)["observedGeneration"], generation, "the next turn says it");
}

/// W-29.
#[test]
fn a_roll_out_begins_and_ends_with_an_event() {
    let (mut sim, key) = drive(&with(log(), &strategy(&json!({ "maxUnavailable": 2 }))), 5);
    let notes = notes(&mut sim);
    settle(&mut sim, &key);
    assert_eq!(reasons(&notes), [] as [&str; 0], "a set is new, and all pods have it");
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    let revision = text(&status(&sim, &key), "/latestRevision").to_owned();
    assert_eq!(
        notes.borrow_mut().drain(..).collect::<Vec<_>>(),
        [
            ("RolloutStarted".into(), format!("5 pods are to follow revision {revision}")),
            ("RolloutCompleted".into(), format!("no pod is behind revision {revision}")),
        ]
    );
    sim.restart();
    settle(&mut sim, &key);
    assert_eq!(reasons(&notes), [] as [&str; 0], "a new leader has nothing to add");
    // A revision that makes nobody outdated (CNF-20), and a set that updates nothing.
    change(
        &mut sim,
        &key,
        &json!({ "spec": { "initContainers": [{ "name": "prep", "image": "p:1" }] } }),
    );
    settle(&mut sim, &key);
    change(&mut sim, &key, &strategy(&json!({ "type": "NotUpdate" })));
    set_image(&mut sim, &key, "example.com/agent:3");
    settle(&mut sim, &key);
    assert_eq!(reasons(&notes), [] as [&str; 0]);
}

/// W-29: what is kept old has not ended; taking the change back ends it.
#[test]
fn a_roll_out_that_is_taken_back_ends_too() {
    let (mut sim, key) = drive(&with(log(), &strategy(&json!({ "partition": 3 }))), 5);
    let notes = notes(&mut sim);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    assert_eq!(reasons(&notes), ["RolloutStarted"]);
    set_image(&mut sim, &key, "example.com/agent:1");
    change(&mut sim, &key, &strategy(&json!({ "partition": 0 })));
    settle(&mut sim, &key);
    assert_eq!(reasons(&notes), ["RolloutStarted", "RolloutCompleted"]);
}

/// W-29: a status that names another revision for the first time does not wait for its time, and if it is not written all
/// the same, the end is told.
#[test]
fn a_roll_out_of_which_no_status_told_ends_too() {
    let (mut sim, key) = drive(&with(log(), &strategy(&json!({ "maxUnavailable": "100%" }))), 2);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/agent:2");
    sim.relist();
    let snapshot = sim.observe(&key).unwrap();
    let now = sim.world.now;
    let plan = C::plan(&snapshot, now);
    let write = C::status(&snapshot, &plan, &Applied::default(), now).expect("a new revision");
    assert!(C::urgent(&snapshot, &write));
    for action in plan.actions() {
        for write in C::apply(&snapshot, action, now) {
            sim.world.perform(&write).unwrap();
        }
    }
    run(&mut sim.world);
    let notes = notes(&mut sim);
    settle(&mut sim, &key);
    assert_eq!(reasons(&notes), ["RolloutCompleted"]);
    set_image(&mut sim, &key, "example.com/agent:3");
    settle(&mut sim, &key);
    let snapshot = sim.observe(&key).unwrap();
    assert!(!C::urgent(&snapshot, &write), "the revision is known");
}

/// W-8: pods are refused, and the set says so before the next one is tried.
#[test]
fn a_revision_that_cannot_be_used_is_told_of_by_the_set() {
    let (mut sim, key) = drive(&with(log(), &json!({ "spec": { "customVersion": "v1" } })), 1);
    settle(&mut sim, &key);
    let old = text(&status(&sim, &key), "/latestRevision").to_owned();
    let pin = json!({ "spec": { "injectionStrategy": { "revision": { "revisionName": old } } } });
    change(&mut sim, &key, &pin);
    set_image(&mut sim, &key, "example.com/agent:2");
    let notes = notes(&mut sim);
    settle(&mut sim, &key);
    assert!(status(&sim, &key)["conditions"].is_null(), "it is there");
    reasons(&notes);

    // Somebody deletes it.
    sim.world.delete(&CONTROLLER_REVISION, &ObjectKey::new("kruise-system", old.as_str()));
    settle(&mut sim, &key);
    let said = |sim: &Sim| -> Value { status(sim, &key)["conditions"][0].clone() };
    let now = said(&sim);
    assert_eq!((text(&now, "/type"), text(&now, "/status")), ("RevisionUnusable", "True"), "{now}");
    assert_eq!(
        text(&now, "/message"),
        format!("new pods are refused: ControllerRevision.apps \"{old}\" not found")
    );
    let holds = sim.plan(&key).unwrap().holds;
    assert!(holds.iter().any(|hold| hold.to_string().starts_with("RevisionUnusable{why: ")));
    assert_eq!(reasons(&notes), ["RevisionUnusable"], "once, not in every turn");

    // Paused: nobody is refused. A version that is there: nobody either.
    change(&mut sim, &key, &json!({ "spec": { "injectionStrategy": { "paused": true } } }));
    settle(&mut sim, &key);
    assert_eq!(text(&said(&sim), "/status"), "False");
    change(
        &mut sim,
        &key,
        &json!({ "spec": { "injectionStrategy": { "paused": false, "revision": { "revisionName": null, "customVersion": "v9" } } } }),
    );
    settle(&mut sim, &key);
    assert_eq!(text(&said(&sim), "/status"), "True");
    // The present revision gets the name in the same turn in which it is looked for.
    change(&mut sim, &key, &json!({ "spec": { "customVersion": "v9" } }));
    settle(&mut sim, &key);
    assert_eq!(text(&said(&sim), "/status"), "False", "{}", said(&sim));
}
