//! The invariants over generated sets, changes and faults (statefulset §22, AC-1…AC-8; style 3.11). The rules of single
//! writes are in `rules.rs`; that the same snapshot gives the same plan, every turn of every test checks.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use kruise_common::gates::FeatureGates;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{CLAIM, CONTROLLER_REVISION, POD, STATEFUL_SET};
use kruise_common::plan::Applied;
use kruise_common::testing::drive::Fate;
use kruise_common::testing::property;
use kruise_common::testing::world::World;
use kruise_common::write::Write;
use serde_json::{Value, json};

use crate::builders::{Sim, change, drive, drive_with, is_true, merge, text, web};
use crate::foreign;
use crate::rules::{self, key, made_of, name, pods};
use crate::story::{End, Step, Story, story};
use crate::trouble::{self, Refused, Trouble};

const TURNS: usize = 900;
/// Stories of each property.
const CASES: u32 = 50;

fn gates() -> FeatureGates {
    let gates = [
        "StatefulSetStartOrdinal=true",
        "InPlaceWorkloadVerticalScaling=true",
        "StatefulSetAutoResizePVCGate=true",
    ];
    gates.join(",").parse().unwrap()
}

fn converged(sim: &Sim, story: &Story, step: &Step) {
    let plan = sim.plan(&key()).unwrap();
    let told = sim.transcript.join("\n");
    assert!(plan.steps.is_empty(), "{:?}\n{told}", plan.steps);
    let missing = rules::missing(&sim.world, story, step);
    assert_eq!(missing, None, "{story:?}\n{told}");
    let names: BTreeSet<String> = pods(&sim.world).iter().map(|pod| name(pod).to_owned()).collect();
    assert_eq!(names, step.wanted(), "{told}");
    // Every pod is made of, and runs with, what its revision says.
    for pod in pods(&sim.world) {
        let revision = text(pod, "/metadata/labels/controller-revision-hash");
        let stored = sim.world.get(&CONTROLLER_REVISION, &key().sibling(revision)).unwrap();
        let template = made_of(&stored["data"]["spec"]["template"]["spec"]);
        assert_eq!(made_of(&pod["spec"]), template, "{told}");
        let images = |containers: &Value| -> Vec<String> {
            let containers = containers.as_array().unwrap().iter();
            containers.map(|container| text(container, "/image").to_owned()).collect()
        };
        let runs = &pod["status"]["containerStatuses"];
        let wanted = images(&stored["data"]["spec"]["template"]["spec"]["containers"]);
        assert_eq!(
            (images(&pod["spec"]["containers"]), images(runs)),
            (wanted.clone(), wanted),
            "{told}"
        );
        assert_eq!(text(runs, "/0/resources/requests/cpu"), template.1, "{told}");
        assert!(is_true(pod, "Ready"), "{told}");
    }
    let set = sim.world.get(&STATEFUL_SET, &key()).unwrap();
    let status = &set["status"];
    for count in ["replicas", "readyReplicas", "availableReplicas"] {
        assert_eq!(status[count], step.replicas, "{count}: {told}");
    }
    assert_eq!(status["observedGeneration"], set["metadata"]["generation"], "{told}");
    rules::owners(&sim.world, story, step);
}

/// What the controller may believe of the set, the last one last.
type Believed = Rc<RefCell<Vec<Step>>>;

/// Every write and every plan is looked at.
fn look(sim: &mut Sim, story: &Story, trouble: Trouble, believed: &Believed) {
    let ordered = story.ordered.then_some(story.at_once);
    let (seen, told) = (believed.clone(), story.clone());
    sim.inspect = Box::new(move |world: &World, write: &Write| {
        let steps = seen.borrow();
        rules::any_write(world, write, &steps, ordered);
        if !trouble.lag {
            rules::informed_write(world, write, &told, steps.last().unwrap());
        }
    });
    let (seen, told) = (believed.clone(), story.clone());
    sim.witness = Box::new(move |world, _, plan| {
        if plan.steps.is_empty() && plan.holds.is_empty() && !trouble.lag {
            let missing = rules::missing(world, &told, seen.borrow().last().unwrap());
            assert_eq!(missing, None, "nothing is done, and no hold says why");
        }
    });
}

/// The set as it is at first, in its cluster.
fn begin(story: &Story) -> (Sim, ObjectKey) {
    let mut set = web(0);
    merge(&mut set, &story.spec(&story.steps[0]));
    if !matches!(story.end, End::Stays) {
        merge(&mut set, &json!({ "metadata": { "finalizers": [KEPT] } }));
    }
    let (mut sim, key) = drive_with(set, gates());
    sim.world.growth = story.grows.unwrap_or_default();
    (sim, key)
}

/// Plays the story and checks every write and every end.
fn play(story: &Story, trouble: Trouble) {
    let believed: Believed = Rc::new(RefCell::new(vec![story.steps[0].clone()]));
    let (mut sim, key) = begin(story);
    let foreign = if story.foreign { foreign::insert(&mut sim.world) } else { Vec::new() };
    look(&mut sim, story, trouble, &believed);
    if story.hooks {
        trouble::play_hooks(&mut sim, story);
    }
    let refused = Refused::default();
    trouble::fail(&mut sim, story, trouble, &refused);
    if trouble.lag {
        trouble::lag(&mut sim, story);
    }
    let mut kept = None;
    for (index, step) in story.steps.iter().enumerate() {
        ask(&mut sim, story, step, (trouble, &believed));
        user(&mut sim, story, step, trouble);
        if let Some(refusal) = step.refused {
            refused.set(Some(refusal));
            trouble::endure(&mut sim);
            let next = story.steps.get(index + 1);
            if next.is_some_and(|next| trouble::gets_around(refusal, next)) {
                kept = None;
                continue;
            }
            refused.set(None);
        }
        sim.settle(&key, TURNS).unwrap();
        refused.set(None);
        converged(&sim, story, step);
        kept = Some(claims_stay(&sim, story, kept, step));
        steady(&mut sim);
        foreign::untouched(&sim.world, &foreign);
    }
    if !trouble.lag {
        let mut last = story.steps[0].quiet();
        last.image += 1;
        ask(&mut sim, story, &last, (trouble, &believed));
        end(&mut sim, story);
        // What refers to the set goes with it, wherever it is.
        let here: Vec<_> =
            foreign.into_iter().filter(|(pod, _)| &*pod.namespace == "default").collect();
        foreign::untouched(&sim.world, &here);
    }
}

/// Claims by the name of their pod.
type Claims = BTreeMap<String, String>;

/// AC-6: who is wanted all the time has the same data all the time; who is not wanted any more leaves them, if the policy
/// says so. Returns the claims of those that are wanted.
fn claims_stay(sim: &Sim, story: &Story, before: Option<Claims>, step: &Step) -> Claims {
    let uid = |name: &str| {
        let claim = sim.world.get(&CLAIM, &rules::claim_of(name));
        claim.map(|claim| text(claim, "/metadata/uid").to_owned())
    };
    let wanted = step.wanted();
    for (name, known) in before.into_iter().flatten() {
        if wanted.contains(&name) || !step.retention.1 {
            assert_eq!(uid(&name), Some(known), "{name}: {}", sim.transcript.join("\n"));
        }
    }
    let claims = wanted.into_iter().filter(|_| story.claims);
    claims.map(|name| (name.clone(), uid(&name).unwrap())).collect()
}

/// The owner asks for something else.
fn ask(sim: &mut Sim, story: &Story, step: &Step, (trouble, believed): (Trouble, &Believed)) {
    believed.borrow_mut().push(step.clone());
    let known = if trouble.lag { 2 } else { 1 };
    let old = believed.borrow().len().saturating_sub(known);
    believed.borrow_mut().drain(..old);
    change(sim, &key(), &story.spec(step));
}

/// A steady set causes no writes, however often it is looked at (AC-7).
fn steady(sim: &mut Sim) {
    let before = sim.writes.len();
    sim.turn(&key()).unwrap();
    sim.restart();
    for _ in 0..2 {
        sim.turn(&key()).unwrap();
    }
    assert_eq!(sim.writes.len(), before, "a steady set causes no writes (AC-7)");
}

/// What somebody does to the pods meanwhile. A pod that goes behind the back of a cache that lags can be one too many
/// that is down, whoever decides.
fn user(sim: &mut Sim, story: &Story, step: &Step, trouble: Trouble) {
    let pod = |at: u8| key().sibling(format!("web-{at}"));
    if let Some(at) = step.prefer.filter(|_| story.priorities) {
        let label = json!({ "metadata": { "labels": { "prefer": "yes" } } });
        sim.world.edit(&POD, &pod(at), |pod| merge(pod, &label));
    }
    if let Some(at) = step.enlarge {
        sim.world.edit(&CLAIM, &rules::claim_of(&format!("web-{at}")), |claim| {
            if claim["status"]["phase"] == "Bound" {
                claim["spec"]["resources"]["requests"]["storage"] = json!("5Gi");
            }
        });
    }
    if let Some(at) = step.crash {
        sim.world.crash(&pod(at), "app");
    }
    if let Some(at) = step.replace {
        let label = json!({ "metadata": { "labels": { "apps.kruise.io/specified-delete": "" } } });
        sim.world.edit(&POD, &pod(at), |pod| merge(pod, &label));
    }
    if trouble.lag {
        return;
    }
    if let Some(at) = step.delete {
        sim.world.delete(&POD, &pod(at));
    }
    if let Some(at) = step.evict {
        let evict = json!({ "metadata": { "annotations": { "sim.kruise.dev/evict": "true" } } });
        sim.world.edit(&POD, &pod(at), |pod| merge(pod, &evict));
    }
    if let Some(at) = step.disown {
        let alone = json!({ "metadata": { "ownerReferences": null } });
        sim.world.edit(&POD, &pod(at), |pod| merge(pod, &alone));
    }
}

/// Keeps a set that is being deleted there for a while.
const KEPT: &str = "example.com/kept";

/// AC-8: after its deletion the set's controller creates and deletes nothing more, in the middle of whatever it was about;
/// pods that are left behind run on.
fn end(sim: &mut Sim, story: &Story) {
    let (turns, orphans) = match story.end {
        End::Stays => return,
        End::Deleted { turns } => (turns, false),
        End::Orphaned { turns } => (turns, true),
    };
    for _ in 0..turns {
        sim.relist();
        if sim.turn(&key()).unwrap().crashed {
            sim.restart();
        }
        sim.world.nodes();
        (sim.actor)(&mut sim.world);
    }
    sim.world.delete(&STATEFUL_SET, &key());
    sim.relist();
    let before = sim.writes.len();
    let lives = |pod: &&&Value| pod["metadata"]["deletionTimestamp"].is_null();
    let uid = |pod: &&Value| text(pod, "/metadata/uid").to_owned();
    let running =
        |world: &World| -> BTreeSet<String> { pods(world).iter().filter(lives).map(uid).collect() };
    let there = running(&sim.world);
    if orphans {
        let keys: Vec<ObjectKey> =
            pods(&sim.world).iter().map(|pod| key().sibling(name(pod))).collect();
        for pod in keys {
            let alone = json!({ "metadata": { "ownerReferences": null } });
            sim.world.edit(&POD, &pod, |pod| merge(pod, &alone));
        }
    }
    sim.settle(&key(), TURNS).unwrap();
    assert_eq!(running(&sim.world), there, "while the set terminates");
    let free = json!({ "metadata": { "finalizers": null } });
    sim.world.edit(&STATEFUL_SET, &key(), |set| merge(set, &free));
    sim.settle(&key(), TURNS).unwrap();
    assert!(sim.world.get(&STATEFUL_SET, &key()).is_none());
    let left = if orphans { there } else { BTreeSet::new() };
    assert_eq!(running(&sim.world), left, "after the set is gone");
    let other = sim.writes[before..].iter().find(|write| *write.kind != STATEFUL_SET);
    assert!(other.is_none(), "{other:?} of a set that is being deleted (AC-8)");
}

fn check(name: &str, trouble: Trouble) {
    property::check(name, CASES, &story(), |story| play(&story, trouble));
}

#[test]
fn every_story_ends_well_and_no_write_breaks_a_rule() {
    check("stories", Trouble::default());
}

#[test]
fn faults_and_crashes_change_nothing_of_that() {
    check("faults", Trouble { faults: true, ..Trouble::default() });
}

#[test]
fn caches_that_lag_by_kind_change_nothing_of_that() {
    check("lag", Trouble { lag: true, ..Trouble::default() });
}

#[test]
fn faults_beside_caches_that_lag_change_nothing_of_that() {
    check("faults and lag", Trouble { faults: true, lag: true });
}

#[test]
fn a_crash_after_any_write_of_a_rollout_still_converges() {
    let policies = ["ReCreate", "InPlaceIfPossible"];
    for (policy, ordered) in
        policies.into_iter().flat_map(|policy| [(policy, true), (policy, false)])
    {
        let step = |image| Step {
            replicas: 3,
            image,
            cpu: image,
            policy,
            max_unavailable: 2,
            ..Step::default()
        };
        let story = Story::plain(ordered, vec![step(1), step(2)]);
        for crash in 0.. {
            let (mut sim, key) = begin(&story);
            sim.fate = Box::new(
                move |done, _| {
                    if done == crash { Fate::DoneThenCrash } else { Fate::Done }
                },
            );
            for step in &story.steps {
                change(&mut sim, &key, &story.spec(step));
                sim.settle(&key, TURNS).unwrap();
                converged(&sim, &story, step);
            }
            if crash >= sim.writes.len() {
                assert!(crash > 10, "the rollout took some writes");
                break;
            }
        }
    }
}

#[test]
fn writes_planned_on_an_older_state_do_no_harm() {
    let mut set = web(3);
    merge(&mut set, &crate::builders::in_place());
    let (mut sim, key) = drive(set);
    sim.settle(&key, TURNS).unwrap();
    crate::builders::set_image(&mut sim, &key, "example.com/app:2");
    sim.relist();
    let snapshot = sim.observe(&key).unwrap();
    let now = sim.world.now;
    let plan = kruise_statefulset::plan::plan(&snapshot, now);
    let none = Applied::default();
    let status = kruise_statefulset::status::status(&snapshot, &plan, &none, now).unwrap();
    // The pods are replaced by others of the same name before the writes arrive.
    for pod in sim.world.list(&POD).cloned().collect::<Vec<_>>() {
        let name =
            ObjectKey { namespace: "default".into(), name: text(&pod, "/metadata/name").into() };
        sim.world.delete(&POD, &name);
    }
    sim.settle(&key, TURNS).unwrap();
    let before: Vec<Value> = sim.world.list(&POD).cloned().collect();
    let writes: Vec<Write> = plan
        .actions()
        .flat_map(|action| kruise_statefulset::apply::apply(&snapshot, action, now))
        .filter(|write| *write.kind == POD)
        .collect();
    assert!(!writes.is_empty());
    for write in &writes {
        assert!(sim.world.perform(write).is_err(), "{write} was late and must fail");
    }
    assert_eq!(before, sim.world.list(&POD).cloned().collect::<Vec<_>>());
    let before = sim.world.get(&STATEFUL_SET, &key).cloned();
    assert!(
        sim.world.perform(&status).is_err(),
        "a late status would set the current revision back"
    );
    assert_eq!(sim.world.get(&STATEFUL_SET, &key).cloned(), before);
}
