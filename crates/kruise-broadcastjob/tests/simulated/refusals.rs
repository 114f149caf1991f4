//! Pods that the API server refuses: by a policy that dislikes one node's, by a quota that is spent.

use std::cell::Cell;
use std::rc::Rc;

use kruise_common::key::ObjectKey;
use kruise_common::kind::{BROADCAST_JOB, POD};
use kruise_common::plan::Hold as _;
use kruise_common::testing::drive::Fate;
use kruise_common::write::{Request, Write};
use serde_json::{Value, json};

use crate::builders::{
    Sim, begin, change, change_node, clean_with, condition, counts, drive, pods_on, status,
};

const TURNS: usize = 400;

/// The node for which a write creates the pod.
fn node_of(write: &Write) -> Option<String> {
    let Request::Create { body } = &write.request else { return None };
    let pin = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";
    body.pointer(pin).and_then(Value::as_str).map(str::to_owned)
}

/// Creations for nodes that `refused` names get this fate as long as the switch is on. Counts them.
fn refuse(
    sim: &mut Sim,
    fate: Fate,
    refused: fn(&str) -> bool,
) -> (Rc<Cell<bool>>, Rc<Cell<usize>>) {
    let (on, tried) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0)));
    let (switch, count) = (on.clone(), tried.clone());
    sim.fate = Box::new(move |_, write| match node_of(write) {
        Some(node) if switch.get() && refused(&node) => {
            count.set(count.get() + 1);
            fate
        }
        _ => Fate::Done,
    });
    (on, tried)
}

/// Turns for so many seconds, whatever is waited for.
fn pass(sim: &mut Sim, key: &ObjectKey, seconds: i64) {
    for _ in 0..seconds {
        begin(sim, key, 3);
        sim.world.now = sim.world.now.checked_add(jiff::SignedDuration::from_secs(1)).unwrap();
    }
}

/// A5: what is refused for the first node holds up nobody else, is tried again with growing delays, and is told.
#[test]
fn a_refused_pod_holds_up_no_other_node() {
    for fate in [Fate::Denied, Fate::Refused] {
        let change = json!({ "spec": { "parallelism": 2 } });
        let (mut sim, key) = drive(6, clean_with(&change));
        let (on, tried) = refuse(&mut sim, fate, |node| node == "n0");
        pass(&mut sim, &key, 60);
        assert_eq!(counts(&sim, &key), ("running".to_owned(), [0, 5, 0, 6]), "{fate:?}");
        assert!((5..=7).contains(&tried.get()), "{fate:?}: after 1, 2, 4, 8, 16, 32 s: {tried:?}");
        let unfinished = &status(&sim, &key)["unfinished"][0];
        assert_eq!(
            (&unfinished["node"], &unfinished["reason"]),
            (&json!("n0"), &json!("CreationRefused"))
        );
        let holds = sim.plan(&key).unwrap().holds;
        let hold = holds.iter().find(|hold| hold.reason() == "CreationRefused").unwrap();
        assert!(hold.to_string().starts_with("CreationRefused{node: n0, until: "), "{hold}");
        assert!(hold.until().is_some_and(|until| until > sim.world.now));
        let (reason, why) = match fate {
            Fate::Denied => ("forbidden", "denied by a policy"),
            _ => ("server", "injected"),
        };
        let told = condition(&sim, &key, "FailedCreatePod").unwrap();
        assert_eq!(told, (reason.to_owned(), format!("pod of node n0: {why}")));
        on.set(false);
        sim.settle(&key, TURNS).unwrap();
        assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 6, 0, 6]), "{fate:?}");
        assert_eq!(condition(&sim, &key, "FailedCreatePod"), None, "{fate:?}");
    }
}

/// A spent quota refuses everybody: few are asked in a turn, and all are served once there is room.
#[test]
fn what_everybody_is_refused_is_not_asked_for_everybody_at_once() {
    let (mut sim, key) = drive(200, clean_with(&json!({})));
    let (on, tried) = refuse(&mut sim, Fate::Denied, |_| true);
    sim.turn(&key).unwrap();
    assert_eq!(tried.get(), 11);
    sim.turn(&key).unwrap();
    assert_eq!(tried.get(), 22, "others, for those have to wait");
    let (_, message) = condition(&sim, &key, "FailedCreatePod").unwrap();
    let text = "pod of node n0: denied by a policy (and the pods of 21 more nodes)";
    assert_eq!(message, text);
    pass(&mut sim, &key, 20);
    assert_eq!(counts(&sim, &key), ("running".to_owned(), [0, 0, 0, 200]));
    on.set(false);
    sim.settle(&key, TURNS).unwrap();
    assert_eq!(counts(&sim, &key), ("completed".to_owned(), [0, 200, 0, 200]));
}

/// Many that are refused, and first in line, starve nobody.
#[test]
fn a_whole_zone_that_is_refused_starves_no_other() {
    let (mut sim, key) = drive(60, clean_with(&json!({ "spec": { "parallelism": 5 } })));
    // n0, n1, n10…n19, n2, n20…n29.
    let (_, tried) = refuse(&mut sim, Fate::Denied, |node| node < "n3");
    pass(&mut sim, &key, 25);
    assert_eq!(counts(&sim, &key), ("running".to_owned(), [0, 37, 0, 60]));
    assert!(tried.get() <= 23 * 5, "after 1, 2, 4, 8 and 16 s: {tried:?}");
}

/// The order of a rollout is a promise: a canary that cannot be made is not replaced by somebody else.
#[test]
fn a_refused_canary_keeps_the_later_waves_waiting() {
    let rollout = json!({ "first": { "matchLabels": { "canary": "true" } }, "waves": [1] });
    let (mut sim, key) = drive(4, clean_with(&json!({ "spec": { "rollout": rollout } })));
    change_node(&mut sim, "n2", &json!({ "metadata": { "labels": { "canary": "true" } } }));
    let (on, _) = refuse(&mut sim, Fate::Denied, |node| node == "n2");
    pass(&mut sim, &key, 30);
    assert_eq!(sim.world.list(&POD).count(), 0, "{}", sim.transcript.join("\n"));
    on.set(false);
    sim.settle(&key, TURNS).unwrap();
    let created: Vec<String> = sim.writes.iter().filter_map(node_of).collect();
    assert_eq!(created, ["n2", "n0", "n1", "n3"]);
}

/// Whoever mends the job need not wait for the end of a delay.
#[test]
fn a_changed_spec_is_tried_at_once() {
    let (mut sim, key) = drive(1, clean_with(&json!({})));
    let (on, tried) = refuse(&mut sim, Fate::Denied, |_| true);
    pass(&mut sim, &key, 40);
    let before = tried.get();
    on.set(false);
    begin(&mut sim, &key, 1);
    assert_eq!((tried.get(), pods_on(&sim, "n0").len()), (before, 0), "its delay is not over");
    change(&mut sim, &key, &json!({ "spec": { "parallelism": 7 } }));
    begin(&mut sim, &key, 1);
    assert_eq!(pods_on(&sim, "n0").len(), 1);
    assert!(sim.world.get(&BROADCAST_JOB, &key).is_some());
}
