//! Rollouts that change nothing but amounts of CPU and memory: pods serve throughout, so readiness does not tell when they
//! are done (`inplace.md` §10.2.3, §18; S-4).

use jiff::SignedDuration;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{POD, STATEFUL_SET};
use kruise_common::testing::drive::Fate;
use serde_json::{Value, json};

use crate::builders::{Sim, change, drive_with, in_place, is_true, merge, text, web_with};

/// The template's amount of CPU.
fn cpu(amount: &str) -> Value {
    let resources = json!({ "requests": { "cpu": amount } });
    let container = json!({ "name": "app", "image": "example.com/app:1", "resources": resources });
    json!({ "spec": { "template": { "spec": { "containers": [container] } } } })
}

/// Three pods with one CPU, whose kubelets put off every change until they are told otherwise.
fn deferring(more: &Value) -> (Sim, ObjectKey) {
    let mut set = web_with(3, &in_place());
    merge(&mut set, &cpu("1"));
    let deferred = json!({ "sim.kruise.dev/resize": "Deferred" });
    merge(
        &mut set,
        &json!({ "spec": { "template": { "metadata": { "annotations": deferred } } } }),
    );
    merge(&mut set, more);
    let gates = "InPlaceWorkloadVerticalScaling=true".parse().unwrap();
    let (mut sim, key) = drive_with(set, gates);
    settle(&mut sim, &key);
    (sim, key)
}

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, 400).unwrap();
}

/// Lets the kubelets of these pods act.
fn room(sim: &mut Sim, key: &ObjectKey, ordinals: &[i32]) {
    for ordinal in ordinals {
        sim.world.edit(&POD, &key.sibling(format!("web-{ordinal}")), |pod| {
            pod["metadata"]["annotations"]["sim.kruise.dev/resize"] = json!("");
        });
    }
    settle(sim, key);
}

/// CPU asked for and given, pod by pod.
fn amounts(sim: &Sim) -> Vec<(String, String)> {
    let of =
        |pod: &Value, path: &str| text(pod, &format!("{path}/0/resources/requests/cpu")).to_owned();
    let pods = sim.world.list(&POD);
    pods.map(|pod| (of(pod, "/spec/containers"), of(pod, "/status/containerStatuses"))).collect()
}

/// Whether the rollout counts as done, and how many pods are updated, ready, available.
fn counted(sim: &Sim, key: &ObjectKey) -> (bool, [Value; 3]) {
    let status = &sim.world.get(&STATEFUL_SET, key).unwrap()["status"];
    let numbers = ["updatedReplicas", "readyReplicas", "availableReplicas"];
    (
        status["currentRevision"] == status["updateRevision"],
        numbers.map(|name| status[name].clone()),
    )
}

fn holds(sim: &Sim, key: &ObjectKey) -> Vec<String> {
    sim.plan(key).unwrap().holds.iter().map(ToString::to_string).collect()
}

fn pair(asked: &str, given: &str) -> (String, String) {
    (asked.to_owned(), given.to_owned())
}

#[test]
fn a_rollout_of_amounts_ends_when_the_kubelets_have_reported_them() {
    let all =
        json!({ "spec": { "updateStrategy": { "rollingUpdate": { "maxUnavailable": "100%" } } } });
    let (mut sim, key) = deferring(&all);
    let from = sim.writes.len();
    change(&mut sim, &key, &cpu("2"));
    settle(&mut sim, &key);
    assert_eq!(amounts(&sim), [pair("2", "1"), pair("2", "1"), pair("2", "1")]);
    assert_eq!(counted(&sim, &key), (false, [json!(3), json!(3), json!(0)]));
    let missing = "InPlaceInProgress{pod: web-0, missing: resize of container app (Deferred)}";
    assert!(holds(&sim, &key).contains(&missing.to_owned()), "{:?}", holds(&sim, &key));
    room(&mut sim, &key, &[0, 1]);
    assert_eq!(counted(&sim, &key), (false, [json!(3), json!(3), json!(2)]));
    room(&mut sim, &key, &[2]);
    assert_eq!(counted(&sim, &key), (true, [json!(3), json!(3), json!(3)]));
    assert_eq!(holds(&sim, &key), [""; 0]);
    let pods = sim.writes[from..].iter().filter(|write| *write.kind == POD);
    assert_eq!(pods.count(), 2 * 3, "the wait costs nothing");
    assert!(sim.world.list(&POD).all(|pod| is_true(pod, "Ready")));
}

/// RU-5: the budget is taken up until the kubelet has reported; in order nobody overtakes.
#[test]
fn amounts_change_one_pod_after_the_other() {
    for policy in ["OrderedReady", "Parallel"] {
        let one = json!({ "spec": { "podManagementPolicy": policy } });
        let (mut sim, key) = deferring(&one);
        change(&mut sim, &key, &cpu("2"));
        settle(&mut sim, &key);
        assert_eq!(amounts(&sim), [pair("1", "1"), pair("1", "1"), pair("2", "1")], "{policy}");
        room(&mut sim, &key, &[2]);
        assert_eq!(amounts(&sim), [pair("1", "1"), pair("2", "1"), pair("2", "2")], "{policy}");
        assert!(!counted(&sim, &key).0);
        room(&mut sim, &key, &[1, 0]);
        assert_eq!(amounts(&sim), [pair("2", "2"), pair("2", "2"), pair("2", "2")], "{policy}");
        assert!(counted(&sim, &key).0);
    }
}

/// AC-13: what a node has no room for is taken back, and nothing was restarted.
#[test]
fn amounts_that_are_taken_back_end_the_rollout() {
    let (mut sim, key) = deferring(&json!({}));
    let before: Vec<Value> =
        sim.world.list(&POD).map(|pod| pod["metadata"]["uid"].clone()).collect();
    let first = sim.world.get(&STATEFUL_SET, &key).unwrap()["status"]["updateRevision"].clone();
    change(&mut sim, &key, &cpu("2"));
    settle(&mut sim, &key);
    assert!(!counted(&sim, &key).0);
    change(&mut sim, &key, &cpu("1"));
    settle(&mut sim, &key);
    assert_eq!(amounts(&sim), [pair("1", "1"), pair("1", "1"), pair("1", "1")]);
    assert_eq!(counted(&sim, &key), (true, [json!(3), json!(3), json!(3)]));
    assert_eq!(sim.world.get(&STATEFUL_SET, &key).unwrap()["status"]["updateRevision"], first);
    for (pod, uid) in sim.world.list(&POD).zip(before) {
        assert_eq!(pod["metadata"]["uid"], uid);
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
    }
}

/// AC-3: who serves is counted when it is taken down, whatever its last update lacks.
#[test]
fn pods_whose_amounts_are_put_off_go_within_the_budget() {
    let budget = |most: Value| json!({ "spec": { "updateStrategy": { "rollingUpdate": { "maxUnavailable": most } } } });
    for policy in ["InPlaceIfPossible", "ReCreate"] {
        let (mut sim, key) = deferring(&budget(json!("100%")));
        change(&mut sim, &key, &cpu("2"));
        settle(&mut sim, &key);
        assert_eq!(amounts(&sim), [pair("2", "1"), pair("2", "1"), pair("2", "1")]);
        sim.inspect = Box::new(|world, write| {
            let ready = world.list(&POD).filter(|pod| is_true(pod, "Ready")).count();
            assert!(ready >= 2, "{write}");
        });
        let mut next = cpu("2");
        next["spec"]["template"]["spec"]["containers"][0]["image"] = json!("example.com/app:2");
        merge(&mut next, &budget(json!(1)));
        next["spec"]["updateStrategy"]["rollingUpdate"]["podUpdatePolicy"] = json!(policy);
        change(&mut sim, &key, &next);
        settle(&mut sim, &key);
        let new = |pod: &Value| pod["spec"]["containers"][0]["image"] == "example.com/app:2";
        assert!(sim.world.list(&POD).any(new), "{policy}: {}", sim.transcript.join("\n"));
        // Its amounts are put off still; nothing is restarted for them, so it serves.
        let serving = sim.world.list(&POD).filter(|pod| is_true(pod, "Ready")).count();
        assert_eq!(serving, 3, "{policy}: {}", sim.transcript.join("\n"));
    }
}

/// `db` with so much CPU, and `app` with an image, each a batch of its own, `db` first.
fn release(amount: &str, version: u8) -> Value {
    let container = |name: &str, version: u8, priority: u8| {
        let barrier = json!({ "name": "KRUISE_CONTAINER_BARRIER", "valueFrom": { "configMapKeyRef": {
            "name": "barrier", "key": format!("p_{priority}"),
        }}});
        json!({ "name": name, "image": format!("example.com/{name}:{version}"), "env": [barrier] })
    };
    let mut first = container("db", 1, 1);
    first["resources"] = json!({ "requests": { "cpu": amount } });
    json!({ "spec": { "template": { "spec": { "containers": [first, container("app", version, 0)] } } } })
}

/// What becomes of a resize of three pods whose `app` gets an image after it.
fn released(says: &str, fate: Fate) -> (Sim, ObjectKey, Vec<Value>) {
    let mut more = release("1", 1);
    merge(
        &mut more,
        &json!({ "spec": { "template": { "metadata": { "annotations": { "sim.kruise.dev/resize": says } } } } }),
    );
    let (mut sim, key) = deferring(&more);
    let before = uids(&sim);
    sim.fate = Box::new(move |_, write| {
        let resize = *write.kind == POD && write.subresource() == "resize";
        if resize { fate } else { Fate::Done }
    });
    sim.inspect = Box::new(|world, write| {
        let ready = world.list(&POD).filter(|pod| is_true(pod, "Ready")).count();
        assert!(ready >= 2, "{write}");
    });
    change(&mut sim, &key, &release("2", 2));
    let end = sim.world.now + SignedDuration::from_mins(20);
    while sim.world.now < end {
        // What is refused is tried again, so that it never settles.
        let _ = sim.settle(&key, 1);
        sim.world.now += SignedDuration::from_secs(1);
    }
    (sim, key, before)
}

fn uids(sim: &Sim) -> Vec<Value> {
    sim.world.list(&POD).map(|pod| pod["metadata"]["uid"].clone()).collect()
}

/// How many pods serve with the image that came after the amounts.
fn serving_the_next_image(sim: &Sim) -> usize {
    let new = |pod: &&Value| {
        is_true(pod, "Ready") && pod["spec"]["containers"][1]["image"] == "example.com/app:2"
    };
    sim.world.list(&POD).filter(new).count()
}

/// W17: that later batches wait is no reason to wait for amounts that never come.
#[test]
fn a_pod_that_never_gets_the_amounts_of_an_early_batch_is_made_anew() {
    for (says, fate) in [("Infeasible", Fate::Done), ("", Fate::Fixed)] {
        let (sim, key, before) = released(says, fate);
        let said = sim.transcript.join("\n");
        assert_eq!(serving_the_next_image(&sim), 3, "{says}: {said}");
        assert!(uids(&sim).iter().zip(&before).all(|(new, old)| new != old), "{says}: {said}");
        assert!(!said.contains("next batch"), "no container is restarted before: {said}");
        assert!(counted(&sim, &key).0, "{says}");
    }
}

/// §10.2.3: nothing is restarted for amounts that may come yet, so that later batches do not wait for them.
#[test]
fn amounts_of_an_early_batch_that_are_put_off_hold_up_no_later_one() {
    for (says, fate) in [("Deferred", Fate::Done), ("", Fate::Denied)] {
        let (mut sim, key, before) = released(says, fate);
        let new = |pod: &&Value| pod["spec"]["containers"][1]["image"] == "example.com/app:2";
        let updated: Vec<&Value> = sim.world.list(&POD).filter(new).collect();
        let said = sim.transcript.join("\n");
        assert!(updated.iter().all(|pod| is_true(pod, "Ready")), "{says}: {said}");
        assert!(!updated.is_empty() && !counted(&sim, &key).0, "{says}: {said}");
        sim.fate = Box::new(|_, _| Fate::Done);
        for _ in 0..3 {
            room(&mut sim, &key, &[0, 1, 2]);
        }
        assert_eq!(serving_the_next_image(&sim), 3, "{says}: {}", sim.transcript.join("\n"));
        assert_eq!(amounts(&sim), [pair("2", "2"), pair("2", "2"), pair("2", "2")], "{says}");
        assert_eq!((uids(&sim), counted(&sim, &key).0), (before, true), "{says}");
    }
}

/// W17: no pod above has to wait for one that never gets what it was to have.
#[test]
fn the_way_back_is_open_in_an_ordered_update_too() {
    let ordered = json!({ "spec": { "podManagementPolicy": "OrderedReady" } });
    let (mut sim, key) = deferring(&ordered);
    change(&mut sim, &key, &cpu("2"));
    settle(&mut sim, &key);
    room(&mut sim, &key, &[2]);
    room(&mut sim, &key, &[1]);
    assert_eq!(amounts(&sim), [pair("2", "1"), pair("2", "2"), pair("2", "2")]);
    change(&mut sim, &key, &cpu("1"));
    settle(&mut sim, &key);
    assert_eq!(amounts(&sim), [pair("1", "1"), pair("1", "1"), pair("1", "1")]);
    assert!(counted(&sim, &key).0);
}
