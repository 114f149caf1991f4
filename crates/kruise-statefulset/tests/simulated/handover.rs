//! What we leave behind, after any single write: objects that OpenKruise v1.9 can go on with.
//!
//! It is not at hand in tests, so this checks what it relies on: revisions by name and hash, states and annotations that
//! it knows, a status that its CRD accepts (R-4…R-9, IP-12, L-3, X-8); that records are written as in the objects that
//! were captured of it; and that nothing of what it would drop from them is needed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::rc::Rc;

use kruise_api::shared::inplace::{GraceState, UpdateState};
use kruise_common::history::{encode, hash, revision_name, template_of};
use kruise_common::key::ObjectKey;
use kruise_common::kind::{CONTROLLER_REVISION, POD, STATEFUL_SET};
use kruise_common::testing::world::World;
use serde_json::{Value, json};

use crate::builders::{
    Sim, change, drive, drive_with, in_place, is_true, merge, set_image, text, web_with,
    with_claims,
};
use crate::story::Story;
use crate::takeover;
use crate::transcripts::golden;
use crate::trouble;

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

const UPDATE_STATE: &str = "/metadata/annotations/apps.kruise.io~1inplace-update-state";
const GRACE: &str = "/metadata/annotations/apps.kruise.io~1inplace-update-grace";

/// The text with what differs from cluster to cluster blanked, and without what is ours alone.
fn comparable(record: &str) -> String {
    let mut text = record.to_owned();
    for (name, ours) in [
        ("imageID", false),
        ("updateTimestamp", false),
        ("timestamp", false),
        ("containerID", true),
        ("madeFrom", true),
    ] {
        let begin = format!("\"{name}\":\"");
        let mut rest = text.as_str();
        let mut blanked = String::new();
        while let Some((before, after)) = rest.split_once(&begin) {
            let (_, after) = after.split_once('"').unwrap();
            let before = if ours { before.trim_end_matches(',') } else { before };
            let kept = if ours { String::new() } else { format!("{begin}…\"") };
            let _ = write!(blanked, "{before}{kept}");
            rest = after;
        }
        blanked.push_str(rest);
        text = blanked;
    }
    text
}

/// The same change of the same objects: the records of our update are those of OpenKruise's, byte for byte, but for
/// what we add: the container ID, and what the container was made from.
#[test]
fn the_record_of_an_update_is_written_as_openkruise_writes_it() {
    for (folder, gates) in takeover::captured() {
        let mut world = takeover::cluster(folder, "1-created");
        let theirs = takeover::cluster(folder, "3-image-updated");
        for set in theirs.list(&STATEFUL_SET) {
            let key = takeover::key(text(set, "/metadata/name"));
            world.edit(&STATEFUL_SET, &key, |ours| ours["spec"] = set["spec"].clone());
        }
        let mut sim = takeover::drive(world, gates);
        for name in ["old", "web"] {
            sim.settle(&takeover::key(name), 300).unwrap();
        }
        let mut compared = 0;
        for pod in theirs.list(&POD) {
            let record = text(pod, UPDATE_STATE);
            let name = text(pod, "/metadata/name");
            if record.is_empty() {
                continue;
            }
            let ours = text(sim.world.get(&POD, &takeover::key(name)).unwrap(), UPDATE_STATE);
            assert_eq!(comparable(ours), comparable(record), "{folder}: {name}");
            assert!(ours.contains("containerID"), "{ours}");
            compared += 1;
        }
        assert_eq!(compared, 4, "{folder}");
    }
}

/// A container with CPU, at a launch priority if there is one.
fn container(name: &str, version: u8, cpu: u8, priority: Option<u8>) -> Value {
    let barrier = priority.map(|priority| {
        json!([{ "name": "KRUISE_CONTAINER_BARRIER", "valueFrom": { "configMapKeyRef": {
            "name": "web-0-barrier", "key": format!("p_{priority}"),
        } } }])
    });
    json!({
        "name": name, "image": format!("example.com/{name}:{version}"), "env": barrier,
        "resources": { "requests": { "cpu": cpu.to_string() } },
    })
}

fn containers(list: &[Value]) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": list } } } })
}

/// An update in place.
struct Case {
    what: &'static str,
    set: Value,
    change: Value,
}

/// Every kind of record: hooks, a grace period, amounts, batches, and what goes together.
fn cases() -> Vec<Case> {
    let case = |what, more: &[&Value], change: Value| {
        let mut set = web_with(1, &in_place());
        merge(&mut set, &containers(&[container("app", 1, 1, None)]));
        for more in more {
            merge(&mut set, more);
        }
        Case { what, set, change }
    };
    let hook = json!({ "spec": {
        "lifecycle": { "inPlaceUpdate": {
            "labelsHandler": { "block": "yes" }, "markPodNotReady": true,
        } },
        "template": { "metadata": { "labels": { "block": "yes" } } },
    } });
    let grace = json!({ "spec": { "updateStrategy": { "rollingUpdate": {
        "inPlaceUpdateStrategy": { "gracePeriodSeconds": 5 },
    } } } });
    let two = containers(&[container("app", 1, 1, Some(2)), container("side", 1, 1, Some(1))]);
    let image = || containers(&[container("app", 2, 1, None)]);
    let batches =
        || containers(&[container("app", 2, 2, Some(2)), container("side", 2, 1, Some(1))]);
    let mut labelled = image();
    merge(
        &mut labelled,
        &json!({ "spec": { "template": { "metadata": { "labels": { "tier": "b" } } } } }),
    );
    vec![
        case("an image", &[], image()),
        case("a label with an image", &[], labelled.clone()),
        case("an image behind a hook", &[&hook], image()),
        case("an image after a grace period", &[&grace], image()),
        case("a label with an image after a grace period", &[&grace], labelled),
        case("CPU", &[], containers(&[container("app", 1, 2, None)])),
        case("CPU with an image", &[], containers(&[container("app", 2, 2, None)])),
        case("batches", &[&two], batches()),
        case("batches after a grace period", &[&two, &grace], batches()),
        case("batches behind a hook", &[&two, &hook], batches()),
    ]
}

fn begun(case: &Case) -> (Sim, ObjectKey) {
    let gates = "InPlaceWorkloadVerticalScaling=true".parse().unwrap();
    let (mut sim, key) = drive_with(case.set.clone(), gates);
    trouble::play_hooks(&mut sim, &Story::plain(false, Vec::new()));
    sim.settle(&key, 400).unwrap();
    (sim, key)
}

/// What OpenKruise would store of the text that it has read: without what it does not know.
fn as_openkruise_stores(world: &mut World) {
    let pods: Vec<String> =
        world.list(&POD).map(|pod| text(pod, "/metadata/name").to_owned()).collect();
    for name in pods {
        let key = ObjectKey { namespace: "default".into(), name: name.into() };
        world.edit(&POD, &key, |pod| {
            let Some(record) = pod.pointer_mut(UPDATE_STATE) else { return };
            let mut state: Value = serde_json::from_str(record.as_str().unwrap()).unwrap();
            for ours in ["containerResources", "envContainers"] {
                state.as_object_mut().unwrap().remove(ours);
            }
            for last in state["lastContainerStatuses"].as_object_mut().into_iter().flatten() {
                last.1.as_object_mut().unwrap().retain(|member, _| member == "imageID");
            }
            *record = json!(state.to_string());
        });
    }
}

fn finished(sim: &Sim, before: &str, case: &Case) {
    let pod = sim.world.list(&POD).next().unwrap();
    let told = sim.transcript.join("\n");
    assert_eq!(text(pod, "/metadata/uid"), before, "{}: {told}", case.what);
    assert!(is_true(pod, "Ready"), "{}: {told}", case.what);
    let wanted = case.change["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    for (index, wanted) in wanted.iter().enumerate() {
        let (spec, runs) =
            (&pod["spec"]["containers"][index], &pod["status"]["containerStatuses"][index]);
        assert_eq!((&spec["image"], &runs["image"]), (&wanted["image"], &wanted["image"]));
        assert_eq!(runs["resources"], wanted["resources"], "{}", case.what);
    }
}

/// Whatever turn we come to: OpenKruise takes over, drops what it does not know, gives back; the update ends as it should.
#[test]
fn nothing_that_openkruise_would_drop_is_needed() {
    for case in cases() {
        let mut turns = 0;
        loop {
            let (mut sim, key) = begun(&case);
            let before = text(sim.world.list(&POD).next().unwrap(), "/metadata/uid").to_owned();
            change(&mut sim, &key, &case.change);
            turns += 1;
            let ended = sim.settle(&key, turns).is_ok();
            as_openkruise_stores(&mut sim.world);
            sim.restart();
            sim.settle(&key, 400).unwrap();
            finished(&sim, &before, &case);
            if ended {
                break;
            }
        }
        assert!(turns > 2, "{}: {turns} turns", case.what);
    }
}

/// All records, in the order in which they come, as they are written: with OpenKruise's names in OpenKruise's order, ours
/// behind them.
#[test]
fn every_record_is_as_documented() {
    let mut told = String::new();
    for case in cases() {
        let (mut sim, key) = begun(&case);
        let seen: Rc<RefCell<Vec<String>>> = Rc::default();
        let records = seen.clone();
        let look = move |world: &World| {
            let pod = world.list(&POD).next().unwrap();
            let state = text(pod, "/metadata/labels/lifecycle.apps.kruise.io~1state");
            let (update, grace) = (text(pod, UPDATE_STATE), text(pod, GRACE));
            if !update.is_empty() {
                let read: UpdateState = serde_json::from_str(update).unwrap();
                assert_eq!(serde_json::to_string(&read).unwrap(), update);
            }
            if !grace.is_empty() {
                let read: GraceState = serde_json::from_str(grace).unwrap();
                assert_eq!(serde_json::to_string(&read).unwrap(), grace);
            }
            let line = format!("{state}\n  {update}\n  {grace}");
            let mut records = records.borrow_mut();
            if records.last() != Some(&line) {
                records.push(line);
            }
        };
        let before_write = look.clone();
        sim.inspect = Box::new(move |world, _| before_write(world));
        change(&mut sim, &key, &case.change);
        sim.settle(&key, 400).unwrap();
        look(&sim.world);
        let records: Vec<String> =
            seen.borrow().iter().map(|record| record.trim_end().to_owned()).collect();
        writeln!(told, "# {}\n{}\n", case.what, records.join("\n")).unwrap();
    }
    golden("records", &told);
}
