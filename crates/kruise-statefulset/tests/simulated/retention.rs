//! Claims and who takes them along (section 16).

use jiff::SignedDuration;
use kruise_common::gates::FeatureGates;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{CLAIM, POD, STATEFUL_SET};
use kruise_common::testing::drive::Fate;
use kruise_common::write::Write;
use serde_json::{Value, json};

use crate::builders::{
    Sim, change, drive, drive_with, is_true, merge, set_image, text, web_with, with_claims,
};

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, 400).unwrap();
}

fn policy(deleted: &str, scaled: &str) -> Value {
    let policy = json!({ "whenDeleted": deleted, "whenScaled": scaled });
    json!({ "spec": { "persistentVolumeClaimRetentionPolicy": policy } })
}

fn replicas(count: i32) -> Value {
    json!({ "spec": { "replicas": count } })
}

fn set(order: &str, more: &[Value]) -> Value {
    let mut set = web_with(3, &with_claims());
    merge(&mut set, &json!({ "spec": { "podManagementPolicy": order } }));
    for more in more {
        merge(&mut set, more);
    }
    set
}

fn claim(ordinal: i32) -> ObjectKey {
    ObjectKey { namespace: "default".into(), name: format!("data-web-{ordinal}").into() }
}

/// Kinds of the owners of a claim.
fn owners(sim: &Sim, ordinal: i32) -> Vec<&str> {
    let owners =
        sim.world.get(&CLAIM, &claim(ordinal)).unwrap().pointer("/metadata/ownerReferences");
    let owners = owners.and_then(Value::as_array).into_iter().flatten();
    owners.map(|owner| text(owner, "/kind")).collect()
}

/// PV-16: with the gate off references are neither added nor removed, whatever the policy; claims outlive set and pod.
#[test]
fn without_the_gate_no_claim_changes_its_owners() {
    let off: FeatureGates = "StatefulSetAutoDeletePVC=false".parse().unwrap();
    for order in ["OrderedReady", "Parallel"] {
        let (mut sim, key) = drive_with(set(order, &[policy("Delete", "Delete")]), off);
        settle(&mut sim, &key);
        let uid = text(sim.world.get(&POD, &key.sibling("web-1")).unwrap(), "/metadata/uid");
        let pod = json!([{ "apiVersion": "v1", "kind": "Pod", "name": "web-1", "uid": uid }]);
        sim.world.edit(&CLAIM, &claim(1), |claim| claim["metadata"]["ownerReferences"] = pod);
        change(&mut sim, &key, &replicas(2));
        settle(&mut sim, &key);
        assert_eq!(
            [owners(&sim, 0), owners(&sim, 1), owners(&sim, 2)],
            [vec![], vec!["Pod"], vec![]]
        );
        assert!(sim.world.get(&POD, &key.sibling("web-2")).is_none(), "{order}: the pod goes");
        change(&mut sim, &key, &policy("Retain", "Retain"));
        settle(&mut sim, &key);
        assert_eq!(owners(&sim, 1), ["Pod"], "{order}: not taken away either");
        let claims =
            sim.writes.iter().filter(|write| *write.kind == CLAIM && write.verb() != "create");
        assert_eq!(claims.count(), 0, "{order}");
    }
}

/// PV-13: what was scaled away under another policy stays as it is.
#[test]
fn a_later_policy_does_not_reach_claims_without_a_pod() {
    let (mut sim, key) = drive(set("Parallel", &[policy("Retain", "Retain")]));
    settle(&mut sim, &key);
    change(&mut sim, &key, &replicas(2));
    settle(&mut sim, &key);
    change(&mut sim, &key, &policy("Delete", "Delete"));
    settle(&mut sim, &key);
    assert_eq!(owners(&sim, 0), ["StatefulSet"]);
    assert_eq!(owners(&sim, 2), [""; 0]);
}

fn refuse(sim: &mut Sim, which: impl Fn(&Write) -> bool + 'static) {
    sim.fate = Box::new(move |_, write| if which(write) { Fate::Denied } else { Fate::Done });
}

fn turns(sim: &mut Sim, key: &ObjectKey, count: usize) {
    // It does not settle, and time would stand still: what is refused is tried again.
    for _ in 0..count {
        let _ = sim.settle(key, 1);
        sim.world.now += SignedDuration::from_secs(1);
    }
}

/// A policy on claims stops neither scaling nor an update; who is condemned stays until its claim has learnt who keeps it.
#[test]
fn a_claim_that_cannot_learn_its_owner_concerns_its_own_pod_only() {
    let (mut sim, key) = drive(set("Parallel", &[policy("Retain", "Retain")]));
    settle(&mut sim, &key);
    refuse(&mut sim, |write| *write.kind == CLAIM && *write.key.name == *"data-web-2");
    change(&mut sim, &key, &policy("Delete", "Delete"));
    change(&mut sim, &key, &replicas(4));
    set_image(&mut sim, &key, "example.com/app:2");
    turns(&mut sim, &key, 100);
    let images: Vec<&str> =
        sim.world.list(&POD).map(|pod| text(pod, "/spec/containers/0/image")).collect();
    assert_eq!(images, ["example.com/app:2"; 4], "scaled up and updated");
    change(&mut sim, &key, &replicas(1));
    turns(&mut sim, &key, 100);
    let left: Vec<&str> = sim.world.list(&POD).map(|pod| text(pod, "/metadata/name")).collect();
    assert_eq!(left, ["web-0", "web-2"], "web-2 has not been able to say so");
    sim.fate = Box::new(|_, _| Fate::Done);
    settle(&mut sim, &key);
    assert_eq!(sim.world.list(&CLAIM).count(), 1, "all others went with their pods");
}

/// 16.3: a pod that would take its claim along, though it is wanted again, is not restarted before that is put right.
#[test]
fn no_data_is_lost_while_a_claim_cannot_be_taken_back() {
    let hooked = json!({ "spec": {
        "lifecycle": { "preDelete": { "labelsHandler": { "hold": "on" } } },
        "template": { "metadata": { "labels": { "hold": "on" } } },
    } });
    let (mut sim, key) = drive(set("Parallel", &[policy("Retain", "Delete"), hooked]));
    settle(&mut sim, &key);
    let uid =
        |sim: &Sim| sim.world.get(&CLAIM, &claim(2)).map(|c| text(c, "/metadata/uid").to_owned());
    let before = uid(&sim);
    change(&mut sim, &key, &replicas(2));
    settle(&mut sim, &key);
    assert_eq!(owners(&sim, 2), ["Pod"], "condemned, at its hook");
    refuse(&mut sim, |write| *write.kind == CLAIM);
    change(&mut sim, &key, &replicas(3));
    set_image(&mut sim, &key, "example.com/app:2");
    let free = json!({ "metadata": { "labels": { "hold": null } } });
    for ordinal in 0..3 {
        sim.world.edit(&POD, &key.sibling(format!("web-{ordinal}")), |pod| merge(pod, &free));
    }
    turns(&mut sim, &key, 100);
    let image = |sim: &Sim, at: i32| {
        let pod = sim.world.get(&POD, &key.sibling(format!("web-{at}"))).unwrap();
        text(pod, "/spec/containers/0/image").to_owned()
    };
    assert_eq!(image(&sim, 2), "example.com/app:1", "it would take its claim along");
    sim.fate = Box::new(|_, _| Fate::Done);
    // Pods that were re-created have their hook again.
    for _ in 0..3 {
        settle(&mut sim, &key);
        for ordinal in 0..3 {
            sim.world.edit(&POD, &key.sibling(format!("web-{ordinal}")), |pod| merge(pod, &free));
        }
    }
    settle(&mut sim, &key);
    assert_eq!((uid(&sim), image(&sim, 2)), (before, "example.com/app:2".to_owned()));
    assert!(sim.world.list(&POD).all(|pod| is_true(pod, "Ready")));
}

/// S7: the set is scaled back up, and its controller does not hear of it: no pod goes with its claims any more.
#[test]
fn claims_stay_when_the_set_is_scaled_back_up_behind_a_cache_that_lags() {
    for order in ["OrderedReady", "Parallel"] {
        let (mut sim, key) = drive(set(order, &[policy("Retain", "Delete")]));
        settle(&mut sim, &key);
        let uid = |sim: &Sim, kind, key: &ObjectKey| {
            sim.world.get(kind, key).map(|object| text(object, "/metadata/uid").to_owned())
        };
        let before = (uid(&sim, &CLAIM, &claim(1)), uid(&sim, &POD, &key.sibling("web-1")));
        change(&mut sim, &key, &replicas(1));
        sim.relist();
        change(&mut sim, &key, &replicas(3));
        sim.lag = Some(Box::new(|kind| kind == &STATEFUL_SET));
        // Nor of the version that a status would have to be of.
        sim.fate = Box::new(
            |_, write| {
                if *write.kind == STATEFUL_SET { Fate::Refused } else { Fate::Done }
            },
        );
        for _ in 0..50 {
            let _ = sim.settle(&key, 1);
            sim.world.now += SignedDuration::from_secs(1);
        }
        sim.lag = None;
        sim.fate = Box::new(|_, _| Fate::Done);
        settle(&mut sim, &key);
        assert_eq!(
            (uid(&sim, &CLAIM, &claim(1)), uid(&sim, &POD, &key.sibling("web-1"))),
            before,
            "{order}"
        );
        assert_eq!(owners(&sim, 1), [""; 0], "{order}");
    }
}

/// RU-11: a pod that has to wait for its claims is not overtaken.
#[test]
fn a_pod_that_waits_for_its_claims_is_not_overtaken_in_an_ordered_update() {
    let (mut sim, key) = drive(set("OrderedReady", &[policy("Retain", "Delete"), replicas(2)]));
    settle(&mut sim, &key);
    let denied = std::rc::Rc::new(std::cell::Cell::new(true));
    let now = denied.clone();
    sim.fate =
        Box::new(
            move |_, write| {
                if now.get() && write.verb() == "delete" { Fate::Denied } else { Fate::Done }
            },
        );
    change(&mut sim, &key, &replicas(1));
    for _ in 0..5 {
        let _ = sim.settle(&key, 1);
    }
    assert_eq!(owners(&sim, 1), ["Pod"], "it would take its claim along");
    denied.set(false);
    let from = sim.writes.len();
    change(&mut sim, &key, &replicas(2));
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    let deletes = sim.writes[from..].iter().filter(|write| write.verb() == "delete");
    let order: Vec<&str> = deletes.map(|write| &*write.key.name).collect();
    assert_eq!(order, ["web-1", "web-0"]);
}
