//! The invariants over generated clusters, jobs and faults (reliability B1…B10; style 3.11).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use kruise_common::key::ObjectKey;
use kruise_common::kind::{BROADCAST_JOB, NODE, POD};
use kruise_common::testing::drive::Fate;
use kruise_common::testing::property::check;
use kruise_common::testing::world::World;
use kruise_common::write::{Request, Write};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::builders::{
    Sim, change_node, clean_with, counts, drive, image, merge, node, node_key, pods_on, text,
};

const TURNS: usize = 600;
/// Stories of each property.
const CASES: u32 = 80;

/// One generated story: a job, and what happens to its nodes and pods meanwhile.
#[derive(Clone, Debug)]
struct Story {
    nodes: usize,
    parallelism: Value,
    tag: &'static str,
    policy: &'static str,
    retry: i32,
    wave: Option<i32>,
    acts: Vec<Act>,
    fates: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Act {
    Cordon(usize),
    Uncordon(usize),
    Lose(usize),
    Renew(usize),
    DeletePod(usize),
    Pass(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..6_usize).prop_map(Act::Cordon),
        (0..6_usize).prop_map(Act::Uncordon),
        (0..6_usize).prop_map(Act::Lose),
        (0..6_usize).prop_map(Act::Renew),
        (0..6_usize).prop_map(Act::DeletePod),
        (1..4_u8).prop_map(Act::Pass),
    ]
}

fn story() -> impl Strategy<Value = Story> {
    let parallelism = prop_oneof![
        Just(json!(1)),
        Just(json!(2)),
        Just(json!("50%")),
        Just(json!(2_147_483_647)),
    ];
    let tag = prop_oneof![Just("exit-0"), Just("exit-1")];
    let policy = prop_oneof![Just("FailFast"), Just("Continue"), Just("Pause")];
    let rest = (
        prop::option::of(1..4_i32),
        prop::collection::vec(act(), 0..8),
        prop::collection::vec(0..20_u8, 40),
    );
    (1..6_usize, parallelism, tag, policy, 0..3_i32, rest).prop_map(
        |(nodes, parallelism, tag, policy, retry, (wave, acts, fates))| Story {
            nodes,
            parallelism,
            tag,
            policy,
            retry,
            wave,
            acts,
            fates,
        },
    )
}

fn job(story: &Story) -> Value {
    let mut job = clean_with(&image(story.tag));
    let rollout = story.wave.map(|wave| json!({ "waves": [wave], "soakSeconds": 5 }));
    let failure =
        json!({ "type": story.policy, "retry": { "limit": story.retry, "backoffSeconds": 1 } });
    merge(
        &mut job,
        &json!({ "spec": { "parallelism": story.parallelism, "failurePolicy": failure, "rollout": rollout } }),
    );
    job
}

/// What the whole run has to show beside the state at the end: successes by node UID.
type Seen = Rc<RefCell<BTreeMap<String, usize>>>;

fn node_uid(world: &World, name: &str) -> Option<String> {
    Some(text(world.get(&NODE, &node_key(name))?, "/metadata/uid").to_owned())
}

fn pin(pod: &Value) -> &str {
    text(
        pod,
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0",
    )
}

/// Checks a write against the cluster as it is right before it.
fn inspect(world: &World, write: &Write, seen: &Seen) {
    let job = world.list(&BROADCAST_JOB).next().unwrap();
    match &write.request {
        Request::Delete { uid, .. } => {
            assert!(!uid.is_empty());
            let pod = world.list(&POD).find(|pod| text(pod, "/metadata/uid") == &**uid);
            if let Some(pod) = pod {
                assert_ne!(
                    text(pod, "/status/phase"),
                    "Succeeded",
                    "{write}: a result is deleted (W5)"
                );
            }
        }
        Request::Patch { patch, .. } => {
            let patch = format!("{patch:?}");
            assert!(patch.contains("metadata/uid"), "{write}");
        }
        Request::Evict { .. } => panic!("{write}: nobody is evicted"),
        Request::Create { body } => {
            assert_eq!(*write.kind, POD);
            let node = pin(body);
            let stored = world.get(&NODE, &node_key(node));
            // A job that its failures paused goes on when they are deleted, before its status says so.
            let failed = || world.list(&POD).any(|pod| text(pod, "/status/phase") == "Failed");
            let phase = text(job, "/status/phase");
            let over = ["completed", "failed"].contains(&phase) || phase == "paused" && failed();
            assert!(!over, "{write}: the job is {phase} (B4)");
            assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], job["metadata"]["uid"]);
            // B1: no other pod of the job is at work on the node. (A node that went since is nobody's.)
            let Some(stored) = stored else { return };
            let busy = world.list(&POD).filter(|pod| {
                let here = pin(pod) == node || text(pod, "/spec/nodeName") == node;
                let ended = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
                here && !ended && pod["metadata"]["deletionTimestamp"].is_null()
            });
            assert_eq!(busy.count(), 0, "{write}: {node} has a pod (B1)");
            // B2: what succeeded on this very node never runs there again.
            let uid = text(stored, "/metadata/uid");
            assert!(!seen.borrow().contains_key(uid), "{write}: {node} has succeeded (B2)");
        }
    }
}

/// Remembers which nodes succeeded, and recounts what the status says about pods at work.
fn look(sim: &Sim, seen: &Seen, done: &mut BTreeMap<String, String>) {
    for pod in sim.world.list(&POD) {
        let (uid, node) = (text(pod, "/metadata/uid"), text(pod, "/spec/nodeName"));
        if text(pod, "/status/phase") == "Succeeded" && !done.contains_key(uid) {
            done.insert(uid.to_owned(), node.to_owned());
            let older = |node: &Value| {
                text(node, "/metadata/creationTimestamp")
                    <= text(pod, "/metadata/creationTimestamp")
            };
            if let Some(stored) = sim.world.get(&NODE, &node_key(node)).filter(|n| older(n))
                && text(pod, "/metadata/name").ends_with(
                    kruise_broadcastjob::mark::Mark::of(
                        text(sim.world.list(&BROADCAST_JOB).next().unwrap(), "/metadata/uid"),
                        text(stored, "/metadata/uid"),
                    )
                    .as_str(),
                )
            {
                let uid = node_uid(&sim.world, node).unwrap();
                let times = { *seen.borrow().get(&uid).unwrap_or(&0) } + 1;
                assert_eq!(times, 1, "{node} succeeded twice:\n{}", sim.transcript.join("\n"));
                seen.borrow_mut().insert(uid, times);
            }
        }
    }
}

fn pods_at_work(world: &World) -> usize {
    let active = |pod: &&Value| {
        let ended = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
        !ended && pod["metadata"]["deletionTimestamp"].is_null()
    };
    world.list(&POD).filter(active).count()
}

fn perform(sim: &mut Sim, act: &Act) {
    let name = |index: &usize| format!("n{index}");
    match act {
        Act::Cordon(index) => {
            change_node(sim, &name(index), &json!({ "spec": { "unschedulable": true } }));
        }
        Act::Uncordon(index) => {
            change_node(sim, &name(index), &json!({ "spec": { "unschedulable": null } }));
        }
        Act::Lose(index) => sim.world.delete(&NODE, &node_key(&name(index))),
        Act::Renew(index) => {
            sim.world.delete(&NODE, &node_key(&name(index)));
            sim.world.insert(&NODE, node(&name(index), &json!({})));
        }
        Act::DeletePod(index) => {
            // A result that is gone before anybody could look at it cannot be known.
            let recorded =
                text(sim.world.list(&BROADCAST_JOB).next().unwrap(), "/status/results/succeeded")
                    .to_owned();
            for pod in pods_on(sim, &name(index)) {
                let key = ObjectKey::new("default", text(&pod, "/metadata/name"));
                let known = recorded.contains(key.name.rsplit('-').next().unwrap());
                if known || text(&pod, "/status/phase") != "Succeeded" {
                    sim.world.delete(&POD, &key);
                }
            }
        }
        Act::Pass(seconds) => {
            let by = jiff::SignedDuration::from_secs(i64::from(*seconds));
            sim.world.now = sim.world.now.checked_add(by).unwrap();
        }
    }
}

fn faults(story: &Story) -> kruise_common::testing::drive::Fates {
    let fates = story.fates.clone();
    let mut asked = 0;
    Box::new(move |_, _| {
        asked += 1;
        match fates.get(asked) {
            Some(0) => Fate::NoAnswer,
            Some(1 | 2) => Fate::Refused,
            Some(3 | 4) => Fate::DoneThenCrash,
            _ => Fate::Done,
        }
    })
}

/// Plays the story and checks every write, every step and the end.
fn play(story: &Story, with_faults: bool) {
    let (mut sim, key) = drive(story.nodes, job(story));
    let seen = Seen::default();
    let mut done = BTreeMap::new();
    let inspecting = seen.clone();
    sim.inspect = Box::new(move |world, write| inspect(world, write, &inspecting));
    if with_faults {
        sim.fate = faults(story);
    }
    for act in &story.acts {
        sim.say(&format!("# {act:?}"));
        perform(&mut sim, act);
        sim.relist();
        if sim.turn(&key).is_some_and(|turned| turned.crashed) {
            sim.restart();
        }
        sim.world.nodes();
        look(&sim, &seen, &mut done);
        if story.parallelism == 1 {
            assert!(
                pods_at_work(&sim.world) <= 1 + lost_pods(&sim),
                "B3\n{}",
                sim.transcript.join("\n")
            );
        }
    }
    sim.settle(&key, TURNS).unwrap();
    look(&sim, &seen, &mut done);
    the_end(&mut sim, &key, story);
}

/// Pods at work on nodes that are gone: they hold no slot (W11).
fn lost_pods(sim: &Sim) -> usize {
    let lost = |pod: &&Value| {
        let node = if pin(pod).is_empty() { text(pod, "/spec/nodeName") } else { pin(pod) };
        sim.world.get(&NODE, &node_key(node)).is_none()
            || text(sim.world.get(&NODE, &node_key(node)).unwrap(), "/metadata/creationTimestamp")
                >= text(pod, "/metadata/creationTimestamp")
    };
    sim.world.list(&POD).filter(lost).count()
}

fn the_end(sim: &mut Sim, key: &ObjectKey, story: &Story) {
    let (phase, [active, succeeded, failed, desired]) = counts(sim, key);
    let told = sim.transcript.join("\n");
    let succeeds = story.tag == "exit-0";
    match (desired, succeeds, story.policy) {
        (0, _, _) if phase == "running" || phase == "paused" => {}
        (_, false, "FailFast") => assert_eq!(phase, "failed", "{told}"),
        (_, false, "Pause") => assert_eq!(phase, "paused", "{told}"),
        _ => assert_eq!(phase, "completed", "{told}"),
    }
    assert_eq!(active, 0, "{told}");
    if succeeds {
        assert_eq!(failed, 0, "{told}");
        assert!(succeeded >= desired || phase != "completed", "{told}");
    }
    let before = sim.writes.len();
    sim.restart();
    sim.turn(key).unwrap();
    assert_eq!(sim.writes[before..], [], "what is settled causes no writes\n{told}");
    assert_eq!(sim.plan(key), sim.plan(key), "the same snapshot gives the same plan");
    let plan = sim.plan(key).unwrap();
    let over = ["completed", "failed"].contains(&phase.as_str());
    assert!(over || !plan.holds.is_empty(), "it does not say what it waits for\n{told}");
}

#[test]
fn every_story_ends_well_and_no_write_breaks_a_rule() {
    check("jobs", CASES, &story(), |story| play(&story, false));
}

#[test]
fn faults_and_crashes_change_nothing_of_that() {
    check("jobs with faults", CASES, &story(), |story| play(&story, true));
}

/// A job on one node at first, which its pods' failures pause.
fn pausing(acts: Vec<Act>) -> Story {
    Story {
        nodes: 1,
        parallelism: json!(1),
        tag: "exit-1",
        policy: "Pause",
        retry: 0,
        wave: None,
        acts,
        fates: Vec::new(),
    }
}

/// What was refused before a pause is told no more: a new process knows nothing of it.
#[test]
fn a_refusal_before_a_pause_is_no_news_after_a_restart() {
    let fates =
        vec![0, 0, 0, 3, 0, 0, 3, 1, 5, 5, 5, 0, 3, 0, 3, 3, 3, 0, 3, 3, 0, 3, 3, 1, 5, 5, 1, 5, 5];
    let acts = vec![Act::Renew(3), Act::Renew(1)];
    play(&Story { retry: 2, fates, ..pausing(acts) }, true);
}

/// A failed pod that is deleted makes a paused job go on, before its status says so.
#[test]
fn a_paused_job_goes_on_when_its_failed_pod_is_deleted() {
    let acts = vec![Act::Cordon(1), Act::Pass(1), Act::Cordon(1), Act::DeletePod(0)];
    play(&pausing(acts), false);
}

/// A crash after any write: every node ran exactly once, and the status says so.
#[test]
fn a_crash_after_any_write_still_runs_every_node_once() {
    for (tag, end) in [("exit-0", [0, 10, 0, 10]), ("exit-1", [0, 0, 10, 10])] {
        for crash in 0.. {
            let mut job = clean_with(&image(tag));
            merge(
                &mut job,
                &json!({ "spec": { "parallelism": 4, "failurePolicy": { "type": "Continue" } } }),
            );
            let (mut sim, key) = drive(10, job);
            sim.fate = Box::new(
                move |done, _| {
                    if done == crash { Fate::DoneThenCrash } else { Fate::Done }
                },
            );
            sim.settle(&key, TURNS).unwrap();
            assert_eq!(
                counts(&sim, &key),
                ("completed".to_owned(), end),
                "crash after write {crash}"
            );
            let created = sim.writes.iter().filter(|write| write.verb() == "create").count();
            assert_eq!(
                (created, sim.world.list(&POD).count()),
                (10, 10),
                "crash after write {crash}"
            );
            if crash >= sim.writes.len() {
                assert!(crash > 10, "the job took some writes");
                break;
            }
        }
    }
}

/// The end is recorded before what is at work is ended, so the counts are right wherever the controller dies.
#[test]
fn a_crash_at_any_write_of_a_failing_job_counts_right() {
    for crash in 0.. {
        let (mut sim, key) = drive(5, clean_with(&image("never-ready")));
        sim.settle(&key, TURNS).unwrap();
        let begun = sim.writes.len();
        let pod = ObjectKey::new("default", text(&pods_on(&sim, "n2")[0], "/metadata/name"));
        sim.world.edit(&POD, &pod, |pod| pod["status"]["phase"] = json!("Failed"));
        sim.fate = Box::new(
            move |done, _| {
                if done == begun + crash { Fate::DoneThenCrash } else { Fate::Done }
            },
        );
        sim.settle(&key, TURNS).unwrap();
        assert_eq!(
            counts(&sim, &key),
            ("failed".to_owned(), [0, 0, 5, 5]),
            "crash after write {crash}"
        );
        assert_eq!(sim.world.list(&POD).count(), 1, "crash after write {crash}");
        if begun + crash >= sim.writes.len() {
            assert!(crash >= 5);
            break;
        }
    }
}

#[test]
fn writes_planned_on_an_older_state_do_no_harm() {
    let (mut sim, key) = drive(3, clean_with(&json!({ "spec": { "parallelism": 2 } })));
    sim.relist();
    let snapshot = sim.observe(&key).unwrap();
    let now = sim.world.now;
    let plan = kruise_broadcastjob::plan::plan(&snapshot, now);
    sim.settle(&key, TURNS).unwrap();
    let before: Vec<Value> = sim.world.list(&POD).cloned().collect();
    let actions = plan.actions();
    let mut writes: Vec<Write> = actions
        .flat_map(|action| kruise_broadcastjob::apply::apply(&snapshot, action, now))
        .collect();
    let applied = kruise_common::plan::Applied::default();
    writes.extend(kruise_broadcastjob::status::status(&snapshot, &plan, &applied, now));
    assert_eq!(writes.len(), 3, "two pods and a status");
    for write in &writes {
        assert!(sim.world.perform(write).is_err(), "{write} was late and must fail");
    }
    assert_eq!(before, sim.world.list(&POD).cloned().collect::<Vec<_>>());
    assert_eq!(counts(&sim, &key).0, "completed");
}
