//! The bodies of the writes that transcripts do not show: who owns what, statuses, events. In `transcripts/bodies.txt`,
//! whole, with the precondition of each.

use std::fmt::Write as _;

use kruise_common::key::ObjectKey;
use kruise_common::kind::{CONTROLLER_REVISION, POD};
use kruise_common::plan::{Note, Outcome};
use kruise_common::reconciler::Reconciler;
use kruise_common::write::{Category, Patch, Request, Write, WriteError};
use kruise_statefulset::controller::StatefulSetController;
use serde_json::{Value, json};

use crate::builders::{Sim, change, drive, in_place, merge, set_image, web_with, with_claims};

const TURNS: usize = 400;

fn pod(ordinal: i32) -> ObjectKey {
    ObjectKey { namespace: "default".into(), name: format!("web-{ordinal}").into() }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// A write, whole.
fn show(write: &Write) -> String {
    let mut text = write.to_string();
    if let Some(guard) = &write.guard {
        let state = if guard.may_terminate { "there" } else { "alive" };
        let (kind, key, uid) = (guard.kind.kind, &guard.key, &guard.uid);
        write!(text, ", if {kind} {key} {uid} is {state}").unwrap();
        if let Some(generation) = guard.generation {
            write!(text, " at generation {generation}").unwrap();
        }
    }
    let (form, body) = match &write.request {
        Request::Create { body } => ("whole", pretty(body)),
        Request::Patch { patch: Patch::Json(body), .. } => ("json-patch", pretty(body)),
        Request::Patch { patch: Patch::Strategic(body), .. } => ("strategic-merge", pretty(body)),
        Request::Delete { uid, version: Some(version) }
        | Request::Evict { uid, version: Some(version) } => {
            ("precondition", format!("uid {uid}, version {version}"))
        }
        Request::Delete { uid, .. } | Request::Evict { uid, .. } => {
            ("precondition", format!("uid {uid}"))
        }
    };
    format!("{text}\n{form} {body}\n")
}

/// The writes since that number about which something is asked.
fn since(sim: &Sim, from: usize, wanted: impl Fn(&Write) -> bool) -> String {
    let writes = sim.writes[from..].iter().filter(|write| wanted(write));
    writes.map(show).collect::<Vec<_>>().join("\n")
}

fn references(write: &Write) -> bool {
    format!("{:?}", write.request).contains("ownerReferences")
        && matches!(write.request, Request::Patch { .. })
}

fn settled(set: Value) -> (Sim, ObjectKey) {
    let (mut sim, key) = drive(set);
    sim.settle(&key, TURNS).unwrap();
    (sim, key)
}

fn adoption(told: &mut String) {
    let (mut sim, key) = settled(web_with(1, &json!({})));
    let revision = sim.world.list(&CONTROLLER_REVISION).next().unwrap();
    let revision = key.sibling(revision["metadata"]["name"].as_str().unwrap());
    let alone = json!({ "metadata": { "ownerReferences": null } });
    sim.world.edit(&POD, &pod(0), |pod| merge(pod, &alone));
    sim.world.edit(&CONTROLLER_REVISION, &revision, |revision| merge(revision, &alone));
    let from = sim.writes.len();
    sim.settle(&key, TURNS).unwrap();
    writeln!(told, "# adoption\n{}", since(&sim, from, references)).unwrap();
    let other = json!({ "metadata": { "labels": { "app": "other" } } });
    sim.world.edit(&POD, &pod(0), |pod| merge(pod, &other));
    let from = sim.writes.len();
    sim.settle(&key, TURNS).unwrap();
    writeln!(told, "# release\n{}", since(&sim, from, references)).unwrap();
}

fn status(told: &mut String) {
    let (mut sim, key) = drive(web_with(2, &in_place()));
    let mut last = |sim: &mut Sim, what: &str| {
        sim.settle(&key, TURNS).unwrap();
        let status = |write: &&Write| write.subresource() == "status" && *write.kind != POD;
        let write = sim.writes.iter().rev().find(status).unwrap();
        writeln!(told, "# status: {what}\n{}", show(write)).unwrap();
    };
    last(&mut sim, "a new set has arrived");
    let partition =
        json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 1 } } } });
    change(&mut sim, &key, &partition);
    set_image(&mut sim, &key, "example.com/app:2");
    last(&mut sim, "half of it has another image");
    change(&mut sim, &key, &json!({ "spec": { "selector": { "matchLabels": { "app": "x" } } } }));
    last(&mut sim, "a spec that means nothing");
}

fn retention(told: &mut String) {
    let keep = |deleted: &str, scaled: &str| {
        json!({ "spec": { "persistentVolumeClaimRetentionPolicy": {
            "whenDeleted": deleted, "whenScaled": scaled,
        }}})
    };
    let mut set = web_with(2, &with_claims());
    merge(&mut set, &keep("Retain", "Retain"));
    let (mut sim, key) = settled(set);
    for (deleted, scaled, replicas) in [
        ("Delete", "Retain", 2),
        ("Delete", "Delete", 2),
        ("Delete", "Delete", 1),
        ("Retain", "Retain", 1),
    ] {
        change(&mut sim, &key, &keep(deleted, scaled));
        change(&mut sim, &key, &json!({ "spec": { "replicas": replicas } }));
        let from = sim.writes.len();
        sim.settle(&key, TURNS).unwrap();
        let text = since(&sim, from, references);
        writeln!(
            told,
            "# retention: whenDeleted {deleted}, whenScaled {scaled}, {replicas} replicas\n{text}"
        )
        .unwrap();
    }
}

/// What is told of every action of the plan, if it is done and if it is refused, and of the plan itself.
fn tell(told: &mut String, sim: &Sim, key: &ObjectKey) {
    let snapshot = sim.observe(key).unwrap();
    let plan = sim.plan(key).unwrap();
    let line = |note: &Note| {
        let kind = if note.warning { "Warning" } else { "Normal" };
        let about =
            note.about.as_ref().map(|about| format!(" about {} {}", about.kind.kind, about.key));
        format!("    {kind} {}{}: {}", note.reason, about.unwrap_or_default(), note.message)
    };
    for note in &plan.notes {
        writeln!(told, "the plan\n{}", line(note)).unwrap();
    }
    for action in plan.actions() {
        let error = WriteError::new(Category::Invalid, "spec.x: Invalid value: 7: must be 8");
        let write = StatefulSetController::apply(&snapshot, action, sim.world.now).pop().unwrap();
        for outcome in [Outcome::Done, Outcome::Failed(error.of(&write))] {
            let done = outcome == Outcome::Done;
            writeln!(told, "{action}: {}", if done { "done" } else { "refused" }).unwrap();
            for note in StatefulSetController::event(&snapshot, action, &outcome) {
                writeln!(told, "{}", line(&note)).unwrap();
            }
        }
    }
}

/// Turns until a plan has actions, and tells of them.
fn next(told: &mut String, sim: &mut Sim, key: &ObjectKey, what: &str) {
    sim.relist();
    writeln!(told, "# events: {what}").unwrap();
    tell(told, sim, key);
    writeln!(told).unwrap();
}

fn events(told: &mut String) {
    let mut set = web_with(1, &in_place());
    merge(&mut set, &with_claims());
    let (mut sim, key) = drive(set);
    next(told, &mut sim, &key, "a new set");
    sim.settle(&key, TURNS).unwrap();
    set_image(&mut sim, &key, "example.com/app:2");
    next(told, &mut sim, &key, "another image, in place");
    sim.settle(&key, TURNS).unwrap();
    let labels = json!({ "statefulset.kubernetes.io/pod-name": "x" });
    sim.world.edit(&POD, &pod(0), |pod| merge(pod, &json!({ "metadata": { "labels": labels } })));
    next(told, &mut sim, &key, "a pod without its identity");
    sim.settle(&key, TURNS).unwrap();
    let alone = json!({ "metadata": { "ownerReferences": null } });
    sim.world.edit(&POD, &pod(0), |pod| merge(pod, &alone));
    next(told, &mut sim, &key, "an orphan");
    sim.settle(&key, TURNS).unwrap();
    change(&mut sim, &key, &json!({ "spec": { "replicas": 0 } }));
    next(told, &mut sim, &key, "no replicas");
    let bad = json!({ "spec": { "reserveOrdinals": ["5-x"] } });
    change(&mut sim, &key, &bad);
    next(told, &mut sim, &key, "a spec that means nothing");
}

#[test]
fn bodies_of_ownership_status_and_events_are_as_reviewed() {
    let mut told = String::new();
    adoption(&mut told);
    retention(&mut told);
    status(&mut told);
    events(&mut told);
    crate::transcripts::golden("bodies", &told);
}
