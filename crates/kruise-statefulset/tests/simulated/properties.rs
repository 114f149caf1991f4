//! The invariants over generated sets, changes and faults (statefulset §22, AC-1…AC-8; style 3.11).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use kruise_common::key::ObjectKey;
use kruise_common::kind::{CONTROLLER_REVISION, POD, STATEFUL_SET};
use kruise_common::testing::drive::Fate;
use kruise_common::testing::property;
use kruise_common::testing::world::World;
use kruise_common::write::{Patch, Request, Write};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::builders::{Sim, change, drive, drive_with, is_true, merge, text, web, with_claims};

const TURNS: usize = 900;
/// Stories of each property.
const CASES: u32 = 100;

/// One generated story: a set, then its spec again and again.
#[derive(Clone, Debug)]
struct Story {
    ordered: bool,
    /// Updates go by priority instead of ordinals; only without order.
    unordered: bool,
    claims: bool,
    steps: Vec<Step>,
    fates: Vec<u8>,
    /// Pods that an ordered update may take down (K-1).
    at_once: usize,
    /// Which kinds' caches stay behind, turn by turn.
    lags: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Step {
    replicas: i32,
    image: u8,
    /// CPU that containers ask for; nothing restarts for it.
    cpu: u8,
    policy: &'static str,
    partition: i32,
    max_unavailable: i32,
    reserved: Vec<i32>,
    delete: Option<u8>,
    /// A pod that a user labels for deletion.
    replace: Option<u8>,
    /// First ordinal.
    start: i32,
    scale_budget: Option<i32>,
}

fn step() -> impl Strategy<Value = Step> {
    let policy = prop_oneof![Just("ReCreate"), Just("InPlaceIfPossible"), Just("InPlaceOnly")];
    let reserved = prop::collection::vec(0..5, 0..2);
    let user = (prop::option::of(0..5_u8), prop::option::weighted(0.2, 0..5_u8));
    let numbers = (prop_oneof![4 => Just(0), 1 => 0..4], prop::option::weighted(0.2, 1..3));
    let template = (1..4_u8, prop_oneof![2 => Just(1_u8), 1 => 2..4_u8]);
    let all = (0..6, template, policy, 0..4, 1..4, reserved, user, numbers);
    all.prop_map(
        |(replicas, (image, cpu), policy, partition, max_unavailable, reserved, user, numbers)| {
            Step {
                replicas,
                image,
                cpu,
                policy,
                partition,
                max_unavailable,
                reserved,
                delete: user.0,
                replace: user.1,
                start: numbers.0,
                scale_budget: numbers.1,
            }
        },
    )
}

fn story() -> impl Strategy<Value = Story> {
    let steps = prop::collection::vec(step(), 1..4);
    let fates = prop::collection::vec(0..20_u8, 40);
    let lags = prop::collection::vec(any::<u8>(), 60);
    let at_once = prop_oneof![3 => Just(1), 1 => 2..4_usize];
    let kind = (any::<bool>(), any::<bool>(), any::<bool>(), at_once);
    (kind, steps, fates, lags).prop_map(
        |((ordered, unordered, claims, at_once), steps, fates, lags)| Story {
            ordered,
            unordered: unordered && !ordered,
            claims,
            steps,
            fates,
            at_once,
            lags,
        },
    )
}

fn spec(story: &Story, step: &Step) -> Value {
    let annotations =
        json!({ "apps.kruise.io/ordered-max-unavailable": story.at_once.to_string() });
    json!({ "metadata": { "annotations": annotations }, "spec": {
        "ordinals": { "start": step.start },
        "scaleStrategy": step.scale_budget.map(|most| json!({ "maxUnavailable": most })),
        "replicas": step.replicas,
        "podManagementPolicy": if story.ordered { "OrderedReady" } else { "Parallel" },
        "reserveOrdinals": step.reserved,
        "updateStrategy": { "rollingUpdate": {
            "podUpdatePolicy": step.policy,
            "partition": step.partition,
            "maxUnavailable": if story.ordered { 1 } else { step.max_unavailable },
            "unorderedUpdate": story.unordered.then(|| json!({})),
        }},
        "template": { "spec": {
            "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }],
            "containers": [{
                "name": "app", "image": format!("example.com/app:{}", step.image),
                "resources": { "requests": { "cpu": step.cpu.to_string() } },
            }],
        }},
    }})
}

fn wanted(step: &Step) -> BTreeSet<String> {
    let ordinals = (step.start..).filter(|ordinal| !step.reserved.contains(ordinal));
    ordinals.take(usize::try_from(step.replicas).unwrap()).map(|at| format!("web-{at}")).collect()
}

fn key() -> ObjectKey {
    ObjectKey { namespace: "default".into(), name: "web".into() }
}

/// Image and CPU of the first container of a template or a pod.
fn made_of(spec: &Value) -> (&str, &str) {
    (text(spec, "/containers/0/image"), text(spec, "/containers/0/resources/requests/cpu"))
}

/// Without order the partition is a number of pods: whoever leaves the old revision leaves enough behind (AC-4). A pod
/// is at the revision that its label says, whatever is not done yet.
fn inspect_partition(world: &World, write: &Write, step: &Step) {
    let (image, cpu) = (format!("example.com/app:{}", step.image), step.cpu.to_string());
    let key = |name: &str| ObjectKey { namespace: "default".into(), name: name.into() };
    let wanted = wanted(step);
    let old = |pod: &&Value| {
        let revision = text(pod, "/metadata/labels/controller-revision-hash");
        let stored = world.get(&CONTROLLER_REVISION, &key(revision));
        let template = stored.and_then(|stored| stored.pointer("/data/spec/template/spec"));
        wanted.contains(text(pod, "/metadata/name"))
            && template.is_none_or(|template| made_of(template) != (&*image, &*cpu))
    };
    let label = "/metadata/labels/controller-revision-hash";
    let moves = *write.kind == POD
        && match &write.request {
            Request::Delete { .. } => true,
            Request::Patch { patch: Patch::Json(operations), .. } => {
                let mut all = operations.as_array().into_iter().flatten();
                all.any(|one| one["op"] == "add" && one["path"] == label)
            }
            Request::Patch { .. } | Request::Create { .. } | Request::Evict { .. } => false,
        };
    let target = world.list(&POD).find(|pod| text(pod, "/metadata/name") == &*write.key.name);
    // Who is labelled for deletion goes whatever the partition says, and comes back old (SD-2).
    let asked =
        |pod: &&Value| pod["metadata"]["labels"].get("apps.kruise.io/specified-delete").is_some();
    if moves && target.as_ref().is_some_and(|pod| old(pod) && !asked(pod)) {
        let (old, kept) = (world.list(&POD).filter(old).count(), step.partition.min(step.replicas));
        assert!(
            old > usize::try_from(kept).unwrap(),
            "{write}: only {old} old pods, partition {kept}"
        );
    }
}

/// Checks a write against the cluster as it is right before it.
/// `steps` are those that the controller may believe in: its cache of the set may lag behind.
fn inspect(world: &World, write: &Write, steps: &[Step], ordered: Option<usize>) {
    // Everything is bound to what was seen; creation is bound by its name (AC-1).
    match &write.request {
        Request::Delete { uid } | Request::Evict { uid } => assert!(!uid.is_empty()),
        Request::Patch { patch, .. } => assert!(format!("{patch:?}").contains("uid"), "{write}"),
        Request::Create { body } if *write.kind == POD => {
            let wanted = steps.iter().any(|step| wanted(step).contains(&*write.key.name));
            assert!(wanted, "{write}: not wanted");
            assert!(!text(body, "/metadata/ownerReferences/0/uid").is_empty(), "{write}");
        }
        Request::Create { .. } => {}
    }
    assert!(
        !(write.verb() == "delete" && write.kind.plural == "persistentvolumeclaims"),
        "claims are never deleted by the controller (AC-6)"
    );
    let pods: Vec<&Value> = world.list(&POD).collect();
    let available =
        |pod: &Value| is_true(pod, "Ready") && pod["metadata"]["deletionTimestamp"].is_null();
    let target = pods.iter().find(|pod| text(pod, "/metadata/name") == &*write.key.name);
    // Whoever takes down an available, wanted pod must find room in the budget (AC-2, AC-3).
    let takes_down = match &write.request {
        Request::Delete { .. } => *write.kind == POD,
        Request::Patch { patch, .. } => {
            let text = format!("{patch:?}");
            *write.kind == POD && text.contains("InPlaceUpdateReady") && text.contains("False")
        }
        Request::Create { .. } | Request::Evict { .. } => false,
    };
    let Some(pod) = target.filter(|pod| takes_down && available(pod)) else { return };
    let fits = |step: &Step| {
        if !wanted(step).contains(text(pod, "/metadata/name")) {
            return Ok(());
        }
        let up =
            |name: &String| pods.iter().any(|p| text(p, "/metadata/name") == name && available(p));
        let down = wanted(step).iter().filter(|name| !up(name)).count();
        let allowed = ordered.unwrap_or(usize::try_from(step.max_unavailable).unwrap());
        if down < allowed { Ok(()) } else { Err(format!("{down} of {allowed} are down already")) }
    };
    let problems: Vec<String> = steps.iter().filter_map(|step| fits(step).err()).collect();
    assert!(problems.len() < steps.len(), "{write}: {problems:?}");
}

fn converged(sim: &Sim, step: &Step, ordered: bool) {
    let plan = sim.plan(&key()).unwrap();
    let story = sim.transcript.join("\n");
    assert!(plan.steps.is_empty(), "{:?}\n{story}", plan.steps);
    let names: BTreeSet<String> =
        sim.world.list(&POD).map(|pod| text(pod, "/metadata/name").to_owned()).collect();
    assert_eq!(names, wanted(step), "{story}");
    let update = text(sim.world.get(&STATEFUL_SET, &key()).unwrap(), "/status/updateRevision");
    let old = sim
        .world
        .list(&POD)
        .filter(|pod| pod["metadata"]["labels"]["controller-revision-hash"] != update);
    let old = old.count();
    let partition = usize::try_from(step.partition.min(step.replicas)).unwrap();
    assert!(old <= partition, "{old} old pods, partition {partition}\n{story}");
    // Every pod is made of, and runs with, what its revision says.
    for pod in sim.world.list(&POD) {
        let revision = text(pod, "/metadata/labels/controller-revision-hash");
        let stored = sim.world.get(&CONTROLLER_REVISION, &key().sibling(revision)).unwrap();
        let template = made_of(&stored["data"]["spec"]["template"]["spec"]);
        assert_eq!(made_of(&pod["spec"]), template, "{story}");
        let runs = &pod["status"]["containerStatuses"];
        assert_eq!(text(runs, "/0/image"), template.0, "{story}");
        assert_eq!(text(runs, "/0/resources/requests/cpu"), template.1, "{story}");
    }
    assert!(sim.world.list(&POD).all(|pod| is_true(pod, "Ready")), "ordered: {ordered}\n{story}");
    let status = &sim.world.get(&STATEFUL_SET, &key()).unwrap()["status"];
    assert_eq!(status["replicas"], step.replicas, "{story}");
    assert_eq!(status["readyReplicas"], step.replicas, "{story}");
}

/// What goes wrong in a story.
#[derive(Clone, Copy, Default)]
struct Trouble {
    /// Writes fail, answers are lost, the controller crashes.
    faults: bool,
    /// Each kind's cache lags by itself.
    lag: bool,
}

/// Lets caches lag as the story says, and no more than some turns in a row.
fn lag(sim: &mut Sim, story: &Story) {
    let lags = story.lags.clone();
    let mut asked = 0;
    sim.lag = Some(Box::new(move |kind| {
        asked += 1;
        let bits = lags.get(asked / 4).copied().unwrap_or_default();
        // Sets lag less than pods, for a turn without news of the set is the rarer case.
        bits & (1 << (asked % 8)) != 0 && (kind != &STATEFUL_SET || bits & 1 == 0)
    }));
}

/// Lets writes fail as the story says.
fn fail(sim: &mut Sim, story: &Story) {
    let fates = story.fates.clone();
    let mut asked = 0;
    sim.fate = Box::new(move |_, _| {
        asked += 1;
        match fates.get(asked) {
            Some(0) => Fate::NoAnswer,
            Some(1 | 2) => Fate::Refused,
            Some(3 | 4) => Fate::DoneThenCrash,
            _ => Fate::Done,
        }
    });
}

/// Plays the story and checks every write and every end.
fn play(story: &Story, trouble: Trouble) {
    let believed = Rc::new(RefCell::new(vec![story.steps[0].clone()]));
    let mut set = web(0);
    merge(&mut set, &spec(story, &story.steps[0]));
    if story.claims {
        merge(&mut set, &with_claims());
    }
    let gates = "StatefulSetStartOrdinal=true,InPlaceWorkloadVerticalScaling=true";
    let (mut sim, key) = drive_with(set, gates.parse().unwrap());
    let (seen, unordered) = (believed.clone(), story.unordered);
    let ordered = story.ordered.then_some(story.at_once);
    sim.inspect = Box::new(move |world, write| {
        let steps = seen.borrow();
        inspect(world, write, &steps, ordered);
        if unordered && !trouble.lag {
            inspect_partition(world, write, steps.last().unwrap());
        }
    });
    if trouble.faults {
        fail(&mut sim, story);
    }
    if trouble.lag {
        lag(&mut sim, story);
    }
    for step in &story.steps {
        believed.borrow_mut().push(step.clone());
        let known = if trouble.lag { 2 } else { 1 };
        let old = believed.borrow().len().saturating_sub(known);
        believed.borrow_mut().drain(..old);
        change(&mut sim, &key, &spec(story, step));
        user(&mut sim, step, trouble);
        sim.settle(&key, TURNS).unwrap();
        converged(&sim, step, story.ordered);
        let before = sim.writes.len();
        sim.restart();
        sim.turn(&key).unwrap();
        assert_eq!(sim.writes.len(), before, "a steady set causes no writes (AC-7)");
        assert_eq!(sim.plan(&key), sim.plan(&key), "the same snapshot gives the same plan");
    }
}

/// What somebody does to the pods meanwhile. A pod that goes behind the back of a cache that lags can be one too many
/// that is down, whoever decides.
fn user(sim: &mut Sim, step: &Step, trouble: Trouble) {
    let pod = |at: u8| ObjectKey { namespace: "default".into(), name: format!("web-{at}").into() };
    if let Some(at) = step.delete.filter(|_| !trouble.lag) {
        sim.world.delete(&POD, &pod(at));
    }
    if let Some(at) = step.replace {
        let label = json!({ "metadata": { "labels": { "apps.kruise.io/specified-delete": "" } } });
        sim.world.edit(&POD, &pod(at), |pod| merge(pod, &label));
    }
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
            partition: 0,
            max_unavailable: 2,
            reserved: Vec::new(),
            delete: None,
            replace: None,
            start: 0,
            scale_budget: None,
        };
        let story = Story {
            ordered,
            unordered: false,
            claims: true,
            steps: vec![step(1), step(2)],
            fates: Vec::new(),
            at_once: 1,
            lags: Vec::new(),
        };
        for crash in 0.. {
            let mut set = web(0);
            merge(&mut set, &spec(&story, &story.steps[0]));
            merge(&mut set, &with_claims());
            let (mut sim, key) = drive(set);
            sim.fate = Box::new(
                move |done, _| {
                    if done == crash { Fate::DoneThenCrash } else { Fate::Done }
                },
            );
            for step in &story.steps {
                change(&mut sim, &key, &spec(&story, step));
                sim.settle(&key, TURNS).unwrap();
                converged(&sim, step, ordered);
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
}
