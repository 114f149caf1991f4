//! Writes that are refused for good: by a policy, a quota, or the API server itself. One pod's refusal keeps nothing else
//! from going on, is not asked for over and over, and is over as soon as the owner wants something else.

use std::cell::Cell;
use std::rc::Rc;

use jiff::SignedDuration;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{POD, STATEFUL_SET};
use kruise_common::testing::drive::Fate;
use kruise_common::write::{Patch, Request, Write};
use serde_json::{Value, json};

use crate::builders::{
    Sim, change, drive, drive_with, in_place, is_true, merge, set_image, web_with,
};

const BAD: &str = "example.com/app:forbidden";

/// From now on writes of this kind are refused; counts them.
fn refuse(sim: &mut Sim, which: impl Fn(&Write) -> bool + 'static) -> Rc<Cell<usize>> {
    answer(sim, Fate::Denied, which)
}

/// From now on writes of this kind get this answer; counts them.
fn answer(sim: &mut Sim, fate: Fate, which: impl Fn(&Write) -> bool + 'static) -> Rc<Cell<usize>> {
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    sim.fate = Box::new(move |_, write| {
        if !which(write) {
            return Fate::Done;
        }
        counted.set(counted.get() + 1);
        fate
    });
    count
}

/// Whether a write puts the text into the spec of a pod.
fn of_pod(write: &Write, text: &str) -> bool {
    let Request::Patch { patch: Patch::Json(operations), .. } = &write.request else {
        return false;
    };
    *write.kind == POD
        && operations.as_array().into_iter().flatten().any(|operation| {
            operation["op"] != "test"
                && operation["path"].as_str().unwrap().starts_with("/spec/")
                && operation["value"].to_string().contains(text)
        })
}

fn parallel(more: &Value) -> Value {
    let mut set = web_with(3, &in_place());
    merge(&mut set, &json!({ "spec": { "podManagementPolicy": "Parallel" } }));
    merge(&mut set, more);
    set
}

fn uids(sim: &Sim) -> Vec<String> {
    sim.world.list(&POD).map(|pod| pod["metadata"]["uid"].to_string()).collect()
}

fn serving(sim: &Sim) -> usize {
    sim.world.list(&POD).filter(|pod| is_true(pod, "Ready")).count()
}

/// Turns until so much time has passed.
fn live(sim: &mut Sim, key: &ObjectKey, time: SignedDuration) {
    let end = sim.world.now + time;
    let mut turns = 0;
    while sim.world.now < end {
        // It never settles: what was refused is tried again.
        let _ = sim.settle(key, 1);
        turns += 1;
        assert!(turns < 2000, "turns without end:\n{}", sim.transcript.join("\n"));
    }
}

/// A turn each second.
fn tick(sim: &mut Sim, key: &ObjectKey, seconds: u32) {
    for _ in 0..seconds {
        sim.relist();
        sim.turn(key);
        sim.world.nodes();
        sim.world.now += SignedDuration::from_secs(1);
    }
}

fn holds(sim: &Sim, key: &ObjectKey) -> String {
    let plan = sim.plan(key).unwrap();
    plan.holds.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[test]
fn an_image_that_a_policy_refuses_is_tried_less_and_less_and_rolled_back() {
    for order in ["Parallel", "OrderedReady"] {
        let mut set = parallel(&json!({}));
        set["spec"]["podManagementPolicy"] = json!(order);
        let (mut sim, key) = drive(set);
        sim.settle(&key, 400).unwrap();
        let before = uids(&sim);
        let tries = refuse(&mut sim, |write| of_pod(write, BAD));
        set_image(&mut sim, &key, BAD);
        live(&mut sim, &key, SignedDuration::from_mins(10));
        assert!((2..=14).contains(&tries.get()), "{order}: {} tries in ten minutes", tries.get());
        assert!(serving(&sim) >= 2, "{order}: one at a time");
        let said = sim.transcript.join("\n");
        assert!(said.contains("hold UpdateRefused{pod: web-2, until: "), "{said}");
        set_image(&mut sim, &key, "example.com/app:1");
        sim.settle(&key, 400).unwrap();
        assert_eq!((serving(&sim), uids(&sim)), (3, before), "{order}");
    }
}

/// A pod that is out of traffic anyway, at its hook for instance, is no exception: it is said, and tried again in time.
#[test]
fn a_refused_update_of_a_pod_that_is_not_available_is_said_and_tried_again() {
    for order in ["Parallel", "OrderedReady"] {
        let mut set = parallel(&json!({ "spec": {
            "lifecycle": { "inPlaceUpdate": { "labelsHandler": { "hold": "on" } } },
            "template": { "metadata": { "labels": { "hold": "on" } } },
        } }));
        set["spec"]["podManagementPolicy"] = json!(order);
        let (mut sim, key) = drive(set);
        sim.settle(&key, 400).unwrap();
        set_image(&mut sim, &key, BAD);
        sim.settle(&key, 400).unwrap();
        let free = json!({ "metadata": { "labels": { "hold": null } } });
        sim.world.edit(&POD, &key.sibling("web-2"), |pod| merge(pod, &free));
        let refused = Rc::new(Cell::new(true));
        let still = refused.clone();
        refuse(&mut sim, move |write| still.get() && of_pod(write, BAD));
        live(&mut sim, &key, SignedDuration::from_mins(2));
        let said = sim.transcript.join("\n");
        assert!(said.contains("hold UpdateRefused{pod: web-2, until: "), "{order}: {said}");
        refused.set(false);
        sim.settle(&key, 400).unwrap();
        let pod = sim.world.get(&POD, &key.sibling("web-2")).unwrap();
        assert_eq!(pod["spec"]["containers"][0]["image"], BAD, "{order}");
    }
}

#[test]
fn another_template_does_not_wait_for_the_rest_of_a_refused_one() {
    let (mut sim, key) = drive(parallel(&json!({})));
    sim.settle(&key, 400).unwrap();
    refuse(&mut sim, |write| of_pod(write, BAD));
    set_image(&mut sim, &key, BAD);
    live(&mut sim, &key, SignedDuration::from_mins(10));
    let asked = sim.world.now;
    set_image(&mut sim, &key, "example.com/app:2");
    sim.settle(&key, 400).unwrap();
    let took = sim.world.now.duration_since(asked);
    assert!(took < SignedDuration::from_mins(1), "{took:#}");
    let new = |pod: &Value| pod["spec"]["containers"][0]["image"] == "example.com/app:2";
    assert!(sim.world.list(&POD).all(new));
}

/// The end of a grace period is a write like any other: refused, it stays one pod's trouble.
#[test]
fn an_image_refused_at_the_end_of_a_grace_period_is_rolled_back() {
    let grace = json!({ "spec": { "updateStrategy": { "rollingUpdate": {
        "inPlaceUpdateStrategy": { "gracePeriodSeconds": 10 } } } } });
    let (mut sim, key) = drive(parallel(&grace));
    sim.settle(&key, 400).unwrap();
    let before = uids(&sim);
    // The patch that begins the grace period names the image in an annotation, the one at its end in the spec.
    let tries = refuse(&mut sim, |write| of_pod(write, BAD));
    set_image(&mut sim, &key, BAD);
    live(&mut sim, &key, SignedDuration::from_mins(10));
    assert!((2..=14).contains(&tries.get()), "{} tries", tries.get());
    assert_eq!(serving(&sim), 2);
    // Others are kept up meanwhile.
    let gone = ObjectKey { namespace: "default".into(), name: "web-0".into() };
    sim.world.delete(&POD, &gone);
    live(&mut sim, &key, SignedDuration::from_mins(6));
    assert_eq!(serving(&sim), 2, "web-0 is back");
    set_image(&mut sim, &key, "example.com/app:1");
    sim.settle(&key, 400).unwrap();
    assert_eq!(serving(&sim), 3);
    assert_eq!(uids(&sim)[1..], before[1..], "nobody else was re-created");
}

/// Three pods whose CPU may change in place.
fn amounts(policy: &str) -> (Sim, ObjectKey) {
    let mut set = parallel(&cpu("100m"));
    merge(
        &mut set,
        &json!({ "spec": { "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": policy } } } }),
    );
    let (mut sim, key) = drive_with(set, "InPlaceWorkloadVerticalScaling=true".parse().unwrap());
    sim.settle(&key, 400).unwrap();
    (sim, key)
}

/// So much CPU for each pod.
fn cpu(cpu: &str) -> Value {
    let resources = json!({ "requests": { "cpu": cpu, "memory": "64Mi" } });
    let container = json!({ "name": "app", "image": "example.com/app:1", "resources": resources });
    json!({ "spec": { "template": { "spec": { "containers": [container] } } } })
}

#[test]
fn a_resize_that_a_quota_refuses_holds_up_no_other_pod_and_is_rolled_back() {
    let (mut sim, key) = amounts("InPlaceIfPossible");
    let before = uids(&sim);
    let tries = refuse(&mut sim, |write| of_pod(write, "200m"));
    change(&mut sim, &key, &cpu("200m"));
    live(&mut sim, &key, SignedDuration::from_mins(10));
    assert!((2..=14).contains(&tries.get()), "{} tries", tries.get());
    let gone = ObjectKey { namespace: "default".into(), name: "web-0".into() };
    sim.world.delete(&POD, &gone);
    live(&mut sim, &key, SignedDuration::from_mins(6));
    assert!(sim.world.get(&POD, &gone).is_some_and(|pod| is_true(pod, "Ready")), "it came back");
    change(&mut sim, &key, &cpu("100m"));
    sim.settle(&key, 400).unwrap();
    assert_eq!(serving(&sim), 3);
    assert_eq!(uids(&sim)[1..], before[1..], "nobody else was re-created");
}

/// §5.4d: an image that comes with amounts which a quota refuses is there, and its pod serves.
#[test]
fn a_resize_that_a_quota_refuses_keeps_no_pod_out_of_traffic_that_has_its_new_image() {
    let (mut sim, key) = amounts("InPlaceIfPossible");
    refuse(&mut sim, |write| of_pod(write, "200m"));
    let mut release = cpu("200m");
    release["spec"]["template"]["spec"]["containers"][0]["image"] = json!("example.com/app:2");
    change(&mut sim, &key, &release);
    live(&mut sim, &key, SignedDuration::from_mins(5));
    let image =
        |at: usize| &sim.world.list(&POD).nth(at).unwrap()["spec"]["containers"][0]["image"];
    assert_eq!((image(2), serving(&sim)), (&json!("example.com/app:2"), 3));
    sim.fate = Box::new(|_, _| Fate::Done);
    sim.settle(&key, 400).unwrap();
    let status = &sim.world.get(&STATEFUL_SET, &key).unwrap()["status"];
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    assert_eq!((serving(&sim), status["availableReplicas"].clone()), (3, json!(3)));
}

/// W17: on some servers less memory is no change that a living container may see.
#[test]
fn a_resize_that_no_living_pod_may_see_re_creates_pods_within_the_budget() {
    let (mut sim, key) = amounts("InPlaceIfPossible");
    let before = uids(&sim);
    let tries = answer(&mut sim, Fate::Fixed, |write| of_pod(write, "200m"));
    sim.inspect = Box::new(|world, _| {
        assert!(world.list(&POD).filter(|pod| is_true(pod, "Ready")).count() >= 2);
    });
    change(&mut sim, &key, &cpu("200m"));
    sim.settle(&key, 400).unwrap();
    assert_eq!(serving(&sim), 3);
    assert!(uids(&sim).iter().zip(&before).all(|(new, old)| new != old), "all are new");
    assert!(
        sim.world
            .list(&POD)
            .all(|pod| { pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "200m" })
    );
    assert!((3..=4).contains(&tries.get()), "{} tries", tries.get());
}

/// What no pod may be is no reason to delete one that serves, nor is anything where pods are never re-created.
#[test]
fn a_resize_that_is_refused_for_another_reason_leaves_the_pod() {
    for (policy, fate) in [("InPlaceIfPossible", Fate::Unfit), ("InPlaceOnly", Fate::Fixed)] {
        let (mut sim, key) = amounts(policy);
        let before = uids(&sim);
        answer(&mut sim, fate, |write| of_pod(write, "200m"));
        change(&mut sim, &key, &cpu("200m"));
        live(&mut sim, &key, SignedDuration::from_mins(10));
        assert_eq!(uids(&sim), before, "{policy}");
        assert_eq!(serving(&sim), 3, "{policy}");
        let said = sim.transcript.join("\n");
        assert!(said.contains("hold UpdateRefused{pod: web-2, until: "), "{policy}: {said}");
    }
}

/// W-1: however many may not be deleted, those behind them go, and what is asked again is bounded.
#[test]
fn pods_that_may_not_be_deleted_keep_no_other_from_going() {
    let (mut sim, key) = drive(parallel(&json!({ "spec": { "replicas": 20 } })));
    sim.settle(&key, 400).unwrap();
    let tries = refuse(&mut sim, |write| {
        let ordinal = write.key.name.strip_prefix("web-").and_then(|at| at.parse::<u32>().ok());
        let protected = ordinal.is_some_and(|at| at >= 5);
        protected && matches!(write.request, Request::Delete { .. })
    });
    change(&mut sim, &key, &json!({ "spec": { "replicas": 0 } }));
    live(&mut sim, &key, SignedDuration::from_mins(10));
    let left: Vec<String> =
        sim.world.list(&POD).map(|pod| pod["metadata"]["name"].to_string()).collect();
    assert_eq!(left.len(), 15, "{left:?}");
    assert!((15..=15 * 14).contains(&tries.get()), "{} tries", tries.get());
    let said = sim.transcript.join("\n");
    assert!(said.contains("hold DeletionRefused{pod: web-19, until: "), "{said}");
    // What the owner changes is tried at once.
    sim.fate = Box::new(|_, _| Fate::Done);
    let asked = sim.world.now;
    change(&mut sim, &key, &json!({ "spec": { "revisionHistoryLimit": 3 } }));
    sim.settle(&key, 400).unwrap();
    assert_eq!(sim.world.list(&POD).count(), 0);
    let took = sim.world.now.duration_since(asked);
    assert!(took < SignedDuration::from_mins(1), "{took:#}");
}

/// RU-11: nobody overtakes one whose deletion is refused.
#[test]
fn a_deletion_that_is_refused_is_not_overtaken_in_an_ordered_update() {
    let (mut sim, key) = drive(web_with(3, &json!({})));
    sim.settle(&key, 400).unwrap();
    let before = uids(&sim);
    let denied = Rc::new(Cell::new(true));
    let now = denied.clone();
    sim.fate = Box::new(move |_, write| {
        let deletes = matches!(write.request, Request::Delete { .. });
        if now.get() && deletes && &*write.key.name == "web-2" { Fate::Denied } else { Fate::Done }
    });
    set_image(&mut sim, &key, "example.com/app:2");
    live(&mut sim, &key, SignedDuration::from_mins(10));
    assert_eq!(uids(&sim), before);
    denied.set(false);
    sim.settle(&key, 400).unwrap();
    assert!(uids(&sim).iter().zip(&before).all(|(new, old)| new != old));
}

/// SD-1: a pod that serves on takes no budget.
#[test]
fn a_pod_that_may_not_be_replaced_on_request_holds_up_no_other() {
    let (mut sim, key) = drive(parallel(&json!({})));
    sim.settle(&key, 400).unwrap();
    let before = uids(&sim);
    refuse(&mut sim, |write| {
        matches!(write.request, Request::Delete { .. }) && &*write.key.name == "web-2"
    });
    for at in [1, 2] {
        sim.world.edit(&POD, &key.sibling(format!("web-{at}")), |pod| {
            pod["metadata"]["labels"]["apps.kruise.io/specified-delete"] = json!("true");
        });
    }
    live(&mut sim, &key, SignedDuration::from_mins(2));
    let after = uids(&sim);
    assert_eq!([&after[0], &after[2]], [&before[0], &before[2]]);
    assert_ne!(after[1], before[1]);
    set_image(&mut sim, &key, "example.com/app:2");
    live(&mut sim, &key, SignedDuration::from_mins(2));
    let new = |pod: &&Value| pod["spec"]["containers"][0]["image"] == "example.com/app:2";
    assert_eq!(sim.world.list(&POD).filter(new).count(), 2);
}

/// What is planned and refused is no progress.
#[test]
fn the_progress_deadline_passes_while_a_quota_refuses_pods() {
    let deadline = json!({ "metadata": { "annotations": { "apps.kruise.io/progress-deadline-seconds": "60" } } });
    let (mut sim, key) = drive(parallel(&deadline));
    sim.settle(&key, 400).unwrap();
    refuse(&mut sim, |write| *write.kind == POD && matches!(write.request, Request::Create { .. }));
    change(&mut sim, &key, &json!({ "spec": { "replicas": 5 } }));
    for _ in 0..30 {
        let _ = sim.settle(&key, 1);
        sim.world.now += SignedDuration::from_secs(5);
    }
    let holds = holds(&sim, &key);
    assert!(holds.contains("ProgressDeadlineExceeded{seconds: 60}"), "{holds}");
}

/// What a quota refuses to a scale-up does not keep the update away that would make room.
#[test]
fn pods_that_a_quota_refuses_do_not_hold_up_an_update_that_makes_room() {
    for policy in ["ReCreate", "InPlaceIfPossible"] {
        let rolling = json!({ "maxUnavailable": 3, "podUpdatePolicy": policy });
        let set = parallel(&json!({ "spec": { "updateStrategy": { "rollingUpdate": rolling } } }));
        let (mut sim, key) = drive(set);
        sim.settle(&key, 400).unwrap();
        // Room for three of the first image, and for five of the second.
        let small = Rc::new(Cell::new(false));
        let enough = small.clone();
        let refused = refuse(&mut sim, move |write| {
            let new = matches!(write.request, Request::Create { .. }) && *write.kind == POD;
            new && !enough.get() && ["web-3", "web-4"].contains(&&*write.key.name)
        });
        change(&mut sim, &key, &json!({ "spec": { "replicas": 5 } }));
        set_image(&mut sim, &key, "example.com/app:2");
        for _ in 0..60 {
            let _ = sim.settle(&key, 1);
            sim.world.now += SignedDuration::from_secs(1);
        }
        let images: Vec<&Value> =
            sim.world.list(&POD).map(|pod| &pod["spec"]["containers"][0]["image"]).collect();
        assert_eq!(images, ["example.com/app:2"; 3], "{policy}");
        assert!(refused.get() > 0, "{policy}");
        small.set(true);
        sim.settle(&key, 400).unwrap();
        assert_eq!(serving(&sim), 5, "{policy}");
    }
}

/// A pod that a webhook does not let go is one pod's trouble as well.
#[test]
fn a_pod_that_must_not_be_deleted_holds_up_no_other() {
    let recreate = json!({ "maxUnavailable": 2, "podUpdatePolicy": "ReCreate" });
    let set = parallel(&json!({ "spec": { "updateStrategy": { "rollingUpdate": recreate } } }));
    let (mut sim, key) = drive(set);
    sim.settle(&key, 400).unwrap();
    refuse(&mut sim, |write| write.verb() == "delete" && *write.key.name == *"web-2");
    let turns = |sim: &mut Sim| {
        for _ in 0..60 {
            let _ = sim.settle(&key, 1);
            sim.world.now += SignedDuration::from_secs(1);
        }
    };
    set_image(&mut sim, &key, "example.com/app:2");
    turns(&mut sim);
    let images: Vec<&Value> =
        sim.world.list(&POD).map(|pod| &pod["spec"]["containers"][0]["image"]).collect();
    assert_eq!(images, ["example.com/app:2", "example.com/app:2", "example.com/app:1"]);
    change(&mut sim, &key, &json!({ "spec": { "replicas": 1 } }));
    turns(&mut sim);
    let left: Vec<&Value> = sim.world.list(&POD).map(|pod| &pod["metadata"]["name"]).collect();
    assert_eq!(left, ["web-0", "web-2"], "scaled down as far as that goes");
}

/// A pod that may not be adopted keeps those of the set that are in the midst of an update out of traffic no longer.
#[test]
fn an_update_ends_beside_an_orphan_that_must_not_be_adopted() {
    let (mut sim, key) = drive(parallel(&json!({})));
    sim.settle(&key, 400).unwrap();
    set_image(&mut sim, &key, "example.com/app:2");
    while sim.world.list(&POD).all(|pod| is_true(pod, "InPlaceUpdateReady")) {
        sim.relist();
        sim.turn(&key);
    }
    sim.world.insert(
        &POD,
        json!({
            "metadata": { "name": "web-7", "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "app", "image": "x" }] },
        }),
    );
    refuse(&mut sim, |write| *write.kind == POD && *write.key.name == *"web-7");
    for _ in 0..60 {
        let _ = sim.settle(&key, 1);
        sim.world.now += SignedDuration::from_secs(1);
    }
    let ours = |pod: &&Value| pod["metadata"]["name"] != "web-7";
    let up = sim.world.list(&POD).filter(ours).filter(|pod| is_true(pod, "Ready")).count();
    assert_eq!(up, 3);
}

/// W7: however often others change the pod while the resize rests, it is not taken for theirs.
#[test]
fn a_resize_that_rests_is_not_forgotten_when_others_change_the_pod() {
    let (mut sim, key) = amounts("InPlaceOnly");
    refuse(&mut sim, |write| of_pod(write, "200m"));
    change(&mut sim, &key, &cpu("200m"));
    tick(&mut sim, &key, 140);
    for _ in 0..4 {
        sim.world.edit(&POD, &key.sibling("web-2"), |pod| {
            let generation = pod["metadata"]["generation"].as_i64().unwrap();
            pod["metadata"]["generation"] = json!(generation + 1);
        });
        tick(&mut sim, &key, 2);
    }
    sim.fate = Box::new(|_, _| Fate::Done);
    sim.settle(&key, 400).unwrap();
    for pod in sim.world.list(&POD) {
        assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"], "200m");
    }
}

/// O-6: however many pods are refused, what comes after them is done, and each is asked for less and less.
#[test]
fn many_pods_that_a_quota_refuses_hold_up_neither_update_nor_replacement() {
    let rolling = json!({ "maxUnavailable": 15 });
    let spec =
        json!({ "spec": { "replicas": 15, "updateStrategy": { "rollingUpdate": rolling } } });
    let (mut sim, key) = drive(parallel(&spec));
    sim.settle(&key, 400).unwrap();
    let low = |write: &Write| {
        let ordinal = write.key.name.strip_prefix("web-").and_then(|at| at.parse::<u32>().ok());
        ordinal.is_some_and(|at| at < 12)
    };
    let tries = refuse(&mut sim, move |write| {
        low(write) && *write.kind == POD && matches!(write.request, Request::Create { .. })
    });
    for ordinal in 0..12 {
        sim.world.delete(&POD, &key.sibling(format!("web-{ordinal}")));
    }
    let evict = json!({ "metadata": { "annotations": { "sim.kruise.dev/evict": "true" } } });
    sim.world.edit(&POD, &key.sibling("web-14"), |pod| merge(pod, &evict));
    set_image(&mut sim, &key, "example.com/app:2");
    live(&mut sim, &key, SignedDuration::from_mins(10));
    let images: Vec<&Value> =
        sim.world.list(&POD).map(|pod| &pod["spec"]["containers"][0]["image"]).collect();
    assert_eq!((images, serving(&sim)), (vec![&json!("example.com/app:2"); 3], 3));
    assert!((24..=12 * 14).contains(&tries.get()), "{} tries", tries.get());
    let said = sim.transcript.join("\n");
    assert!(said.contains("hold CreationRefused{pod: web-0, until: "), "{said}");
    let condition = |sim: &Sim| {
        let set = sim.world.get(&STATEFUL_SET, &key).unwrap();
        let all = set["status"]["conditions"].as_array().unwrap().iter();
        all.clone().find(|c| c["type"] == "FailedCreatePod").unwrap()["status"].clone()
    };
    assert_eq!(condition(&sim), "True", "also between two attempts");
    let told = sim.writes.iter().filter(|write| *write.kind == STATEFUL_SET).count();
    tick(&mut sim, &key, 600);
    let more = sim.writes.iter().filter(|write| *write.kind == STATEFUL_SET).count() - told;
    assert!(more <= 2, "{more} statuses in ten minutes in which nothing changed");
    // Another template is another pod.
    sim.fate = Box::new(|_, _| Fate::Done);
    let asked = sim.world.now;
    set_image(&mut sim, &key, "example.com/app:3");
    sim.settle(&key, 400).unwrap();
    assert_eq!((serving(&sim), condition(&sim)), (15, json!("False")));
    assert!(sim.world.now.duration_since(asked) < SignedDuration::from_mins(2));
}

/// An autoscaler that changes the number of replicas says nothing of what was refused.
#[test]
fn a_refused_update_is_not_tried_again_because_the_set_is_scaled() {
    let (mut sim, key) = drive(parallel(&json!({})));
    sim.settle(&key, 400).unwrap();
    let tries = refuse(&mut sim, |write| of_pod(write, BAD));
    set_image(&mut sim, &key, BAD);
    for round in 0..30 {
        change(&mut sim, &key, &json!({ "spec": { "replicas": 3 + round % 2 } }));
        tick(&mut sim, &key, 20);
    }
    assert!((2..=14).contains(&tries.get()), "{} tries in ten minutes", tries.get());
}

/// A refusal of an update in place is none of a new pod.
#[test]
fn another_strategy_does_not_wait_for_the_rest_of_a_refused_update() {
    let (mut sim, key) = drive(parallel(&json!({})));
    sim.settle(&key, 400).unwrap();
    refuse(&mut sim, |write| of_pod(write, BAD));
    set_image(&mut sim, &key, BAD);
    tick(&mut sim, &key, 200);
    let asked = sim.world.now;
    let recreate =
        json!({ "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "ReCreate" } } });
    change(&mut sim, &key, &json!({ "spec": recreate }));
    sim.settle(&key, 400).unwrap();
    assert!(sim.world.list(&POD).all(|pod| pod["spec"]["containers"][0]["image"] == BAD));
    assert!(sim.world.now.duration_since(asked) < SignedDuration::from_secs(30));
}

/// RU-11: nor is it overtaken if a user wants that pod replaced as well.
#[test]
fn a_labelled_pod_whose_deletion_is_refused_is_not_overtaken_in_an_ordered_update() {
    let (mut sim, key) = drive(web_with(3, &json!({})));
    sim.settle(&key, 400).unwrap();
    let before = uids(&sim);
    refuse(&mut sim, |write| write.verb() == "delete" && &*write.key.name == "web-2");
    sim.world.edit(&POD, &key.sibling("web-2"), |pod| {
        pod["metadata"]["labels"]["apps.kruise.io/specified-delete"] = json!("true");
    });
    set_image(&mut sim, &key, "example.com/app:2");
    live(&mut sim, &key, SignedDuration::from_mins(10));
    assert_eq!(uids(&sim), before);
}

/// One that may not be adopted keeps its own ordinal, and no other.
#[test]
fn an_orphan_that_must_not_be_adopted_holds_up_no_other_pod() {
    let rolling = json!({ "maxUnavailable": 2 });
    let spec = json!({ "replicas": 4, "updateStrategy": { "rollingUpdate": rolling } });
    let (mut sim, key) = drive(parallel(&json!({ "spec": spec })));
    sim.settle(&key, 400).unwrap();
    let alone = json!({ "metadata": { "ownerReferences": null } });
    sim.world.edit(&POD, &key.sibling("web-1"), |pod| merge(pod, &alone));
    let tries = refuse(&mut sim, |write| *write.kind == POD && *write.key.name == *"web-1");
    change(&mut sim, &key, &json!({ "spec": { "replicas": 5 } }));
    set_image(&mut sim, &key, "example.com/app:2");
    live(&mut sim, &key, SignedDuration::from_mins(10));
    let new = |pod: &&Value| pod["spec"]["containers"][0]["image"] == "example.com/app:2";
    assert_eq!(sim.world.list(&POD).filter(new).count(), 4, "all but that one");
    assert!((2..=14).contains(&tries.get()), "{} tries", tries.get());
    let said = sim.transcript.join("\n");
    assert!(said.contains("hold OwnerRefused{pod: web-1, until: "), "{said}");
    sim.fate = Box::new(|_, _| Fate::Done);
    sim.settle(&key, 400).unwrap();
    assert_eq!((sim.world.list(&POD).filter(new).count(), serving(&sim)), (5, 5));
}
