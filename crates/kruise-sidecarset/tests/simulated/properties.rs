//! The invariants over generated sets, changes and faults: the budget is never exceeded, and every story ends well.

use std::cell::RefCell;
use std::rc::Rc;

use kruise_common::key::ObjectKey;
use kruise_common::kind::POD;
use kruise_common::plan::Plan;
use kruise_common::reconciler::Reconciler;
use kruise_common::testing::drive::Fate;
use kruise_common::testing::property;
use kruise_common::testing::world::World;
use kruise_common::write::{Request, Write};
use kruise_sidecarset::plan::action::Action;
use kruise_sidecarset::plan::hold::Hold;
use kruise_sidecarset::snapshot::{Options, Snapshot};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::builders::{
    Sim, annotation, change, condition, counts, drive, image, log, mesh, process, strategy, text,
};

/// One generated story: a set with pods, then its spec again and again.
#[derive(Clone, Debug)]
pub struct Story {
    pub hot: bool,
    pub pods: usize,
    pub steps: Vec<Step>,
    pub fates: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Step {
    /// 0 cannot be pulled.
    pub tag: u8,
    pub max_unavailable: usize,
    pub partition: usize,
}

impl Step {
    fn tag(&self) -> String {
        if self.tag == 0 { "fail-pull".to_owned() } else { self.tag.to_string() }
    }
}

fn story() -> impl Strategy<Value = Story> {
    let step = (0..4_u8, 0..4_usize, 0..4_usize)
        .prop_map(|(tag, max_unavailable, partition)| Step { tag, max_unavailable, partition });
    let steps = prop::collection::vec(step, 1..5);
    let fates = prop::collection::vec(0..24_u8, 40);
    (any::<bool>(), 0..6_usize, steps, fates).prop_map(|(hot, pods, steps, fates)| Story {
        hot,
        pods,
        steps,
        fates,
    })
}

/// The last step of every story: everything gets a good image.
pub fn last() -> Step {
    Step { tag: 9, max_unavailable: 2, partition: 0 }
}

/// Whether the pod serves, by what it shows and not by our own rules: ready, and every container runs its image.
fn serves(pod: &Value) -> bool {
    let ready = condition(pod, "Ready").is_some_and(|(status, _)| status == "True");
    let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
    let running =
        statuses.iter().all(|status| image(pod, text(status, "/name")) == status["image"]);
    ready && running
}

/// Whether a hot upgrade of the pod is in the middle.
fn switching(pod: &Value) -> bool {
    let idle = |twin: &str| image(pod, twin) == "example.com/mesh:empty";
    !image(pod, "mesh-1").is_empty() && !idle("mesh-1") && !idle("mesh-2")
}

fn hash(pod: &Value, set: &str) -> String {
    let value: Value = serde_json::from_str(annotation(pod, "kruise.io/sidecarset-hash")).unwrap();
    value[set]["hash"].as_str().unwrap_or_default().to_owned()
}

/// A pod that serves is taken down only while less than the budget is down among those that have the new hash (UPD-21).
pub fn inspect(world: &World, write: &Write, allowed: usize) {
    let Request::Patch { patch, .. } = &write.request else { return };
    let patch = format!("{patch:?}");
    assert!(patch.contains("uid"), "{write}");
    if *write.kind != POD
        || !patch.contains("sidecarset-hash\"") && !patch.contains("sidecarset-hash")
    {
        return;
    }
    let set = if patch.contains("mesh") { "mesh" } else { "log" };
    let target = world.get(&POD, &write.key).unwrap();
    if !patch.contains("replace") || !serves(target) || switching(target) {
        return;
    }
    // The patch tells the hash that the pod will have.
    let fresh =
        |pod: &&Value| patch.contains(&hash(pod, set)) && hash(pod, set) != hash(target, set);
    let down = world.list(&POD).filter(fresh).filter(|pod| !serves(pod) || switching(pod)).count();
    assert!(down < allowed, "{write}: {down} of {allowed} are down already");
}

/// What is known of the members from before is what somebody sees who knows nothing (W-21).
fn known_as_new(world: &World, snapshot: &Snapshot, _: &Plan<Action, Hold>) {
    let (fresh, mirrors) = process(Options::default());
    for mirror in &mirrors {
        mirror.relist(world);
    }
    let fresh = fresh.observe(&snapshot.set.meta.key).expect("the set is there");
    assert_eq!(format!("{:?}", snapshot.members), format!("{:?}", fresh.members));
}

/// Plays the story and checks every write and every end.
pub fn play(story: &Story, fate: impl FnMut(usize) -> Fate + 'static) -> Sim {
    let set = if story.hot { mesh() } else { log() };
    go(drive(&set, story.pods), story, fate)
}

fn go(
    (mut sim, key): (Sim, ObjectKey),
    story: &Story,
    mut fate: impl FnMut(usize) -> Fate + 'static,
) -> Sim {
    let allowed = Rc::new(RefCell::new(1));
    let seen = allowed.clone();
    sim.inspect = Box::new(move |world, write| inspect(world, write, *seen.borrow()));
    sim.fate = Box::new(move |done, _| fate(done));
    let end = last();
    for step in story.steps.iter().chain([&end]) {
        *allowed.borrow_mut() = step.max_unavailable;
        let name = if story.hot { "mesh" } else { "agent" };
        change(
            &mut sim,
            &key,
            &strategy(&json!({
                "maxUnavailable": step.max_unavailable, "partition": step.partition,
            })),
        );
        crate::builders::set_image(&mut sim, &key, &format!("example.com/{name}:{}", step.tag()));
        sim.settle(&key, 600).unwrap();
        let story = sim.transcript.join("\n");
        assert!(sim.plan(&key).unwrap().steps.is_empty(), "{story}");
        let before = sim.writes.len();
        sim.restart();
        sim.turn(&key).unwrap();
        assert_eq!(sim.writes.len(), before, "a steady set causes no writes\n{story}");
        assert_eq!(sim.plan(&key), sim.plan(&key), "the same snapshot gives the same plan");
    }
    converged(&sim, &key, story);
    sim
}

/// After the last step every pod runs the good image, and the status says so.
fn converged(sim: &Sim, key: &ObjectKey, story: &Story) {
    let many = i64::try_from(story.pods).unwrap();
    let told = sim.transcript.join("\n");
    assert_eq!(counts(sim, key), [many; 4], "{told}");
    for pod in sim.world.list(&POD) {
        assert!(serves(pod) && !switching(pod), "{told}");
        let works = if story.hot {
            let map: Value = serde_json::from_str(annotation(
                pod,
                "kruise.io/sidecarset-working-hotupgrade-container",
            ))
            .unwrap();
            image(pod, text(&map, "/mesh"))
        } else {
            image(pod, "agent")
        };
        assert!(works.ends_with(":9"), "{works}\n{told}");
    }
}

/// Whatever happens to pods and set, members that are kept from the turn before are no other than those read anew.
#[test]
fn what_is_known_of_members_is_what_would_be_read_anew() {
    let step = |tag, partition| Step { tag, max_unavailable: 2, partition };
    for hot in [false, true] {
        let steps = vec![step(2, 1), step(0, 0), step(3, 2)];
        let story = Story { hot, pods: 4, steps, fates: Vec::new() };
        let set = if hot { mesh() } else { log() };
        let (mut sim, key) = drive(&set, story.pods);
        sim.witness = Box::new(known_as_new);
        let fate = |done| if done % 5 == 3 { Fate::NoAnswer } else { Fate::Done };
        go((sim, key), &story, fate);
    }
}

const CASES: u32 = 64;

#[test]
fn every_story_ends_well_and_no_write_breaks_a_rule() {
    property::check("sidecars", CASES, &story(), |story| {
        play(&story, |_| Fate::Done);
    });
}

#[test]
fn faults_and_crashes_change_nothing_of_that() {
    property::check("sidecars with faults", CASES, &story(), |story| {
        let fates = story.fates.clone();
        let mut asked = 0;
        play(&story, move |_| {
            asked += 1;
            match fates.get(asked) {
                Some(0) => Fate::NoAnswer,
                Some(1 | 2) => Fate::Refused,
                Some(3 | 4) => Fate::DoneThenCrash,
                _ => Fate::Done,
            }
        });
    });
}
