//! What goes on whatever else is so: updates that are under way end, and pods on their way out are left alone.

use std::cell::Cell;
use std::rc::Rc;

use jiff::SignedDuration;
use kruise_common::key::ObjectKey;
use kruise_common::kind::POD;
use kruise_common::testing::drive::Fate;
use kruise_common::write::{Request, Write};
use serde_json::{Value, json};

use crate::builders::{Sim, change, drive, in_place, is_true, merge, set_image, text, web_with};

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, 400).unwrap();
}

fn edit(sim: &mut Sim, key: &ObjectKey, ordinal: i32, meta: &Value) {
    let meta = json!({ "metadata": meta });
    sim.world.edit(&POD, &key.sibling(format!("web-{ordinal}")), |pod| merge(pod, &meta));
}

fn pod<'a>(sim: &'a Sim, key: &ObjectKey, ordinal: i32) -> &'a Value {
    sim.world.get(&POD, &key.sibling(format!("web-{ordinal}"))).unwrap()
}

/// Turns until the highest pod is in the midst of an update.
fn updating(set: Value, ordinal: i32) -> (Sim, ObjectKey) {
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/app:2");
    for _ in 0..20 {
        sim.relist();
        sim.turn(&key);
        if !is_true(pod(&sim, &key, ordinal), "InPlaceUpdateReady") {
            break;
        }
    }
    assert!(!is_true(pod(&sim, &key, ordinal), "InPlaceUpdateReady"), "under way");
    (sim, key)
}

/// Inplace §12.1 (whatever the policy) and §14.4 (paused).
#[test]
fn an_update_that_is_under_way_ends_whatever_the_strategy_says_now() {
    let rolling = |more: Value| json!({ "spec": { "updateStrategy": { "rollingUpdate": more } } });
    for strategy in [
        rolling(json!({ "paused": true })),
        rolling(json!({ "podUpdatePolicy": "ReCreate", "partition": 2 })),
        rolling(json!({ "partition": 2 })),
        json!({ "spec": { "updateStrategy": { "type": "OnDelete", "rollingUpdate": null } } }),
    ] {
        let (mut sim, key) = updating(web_with(2, &in_place()), 1);
        let uid = text(pod(&sim, &key, 1), "/metadata/uid").to_owned();
        change(&mut sim, &key, &strategy);
        settle(&mut sim, &key);
        let after = pod(&sim, &key, 1);
        assert_eq!(text(after, "/metadata/uid"), uid, "{strategy}");
        assert_eq!(text(after, "/spec/containers/0/image"), "example.com/app:2", "{strategy}");
        assert!(is_true(after, "InPlaceUpdateReady") && is_true(after, "Ready"), "{strategy}");
        assert_eq!(text(pod(&sim, &key, 0), "/spec/containers/0/image"), "example.com/app:1");
    }
}

/// RU-2: pods that are not wanted any more are kept up as long as they are there.
#[test]
fn a_condemned_pod_at_its_hook_ends_its_update() {
    let mut set = web_with(2, &in_place());
    merge(
        &mut set,
        &json!({ "spec": {
            "lifecycle": { "preDelete": { "labelsHandler": { "hold": "on" } } },
            "template": { "metadata": { "labels": { "hold": "on" } } },
        } }),
    );
    let (mut sim, key) = updating(set, 1);
    change(&mut sim, &key, &json!({ "spec": { "replicas": 1 } }));
    settle(&mut sim, &key);
    let condemned = pod(&sim, &key, 1);
    assert_eq!(
        text(condemned, "/metadata/labels/lifecycle.apps.kruise.io~1state"),
        "PreparingDelete"
    );
    assert!(is_true(condemned, "InPlaceUpdateReady"), "its gate is up again");
}

/// W-40, M-32: nothing is written about a pod that terminates, however long that takes, and nobody forces it.
#[test]
fn a_pod_that_terminates_is_left_alone() {
    for order in ["OrderedReady", "Parallel"] {
        let mut set = web_with(2, &in_place());
        merge(&mut set, &json!({ "spec": { "podManagementPolicy": order } }));
        let (mut sim, key) = drive(set);
        settle(&mut sim, &key);
        edit(&mut sim, &key, 1, &json!({ "finalizers": ["test/slow"] }));
        sim.world.delete(&POD, &key.sibling("web-1"));
        // What would be repaired on a pod that stays.
        let name = "statefulset.kubernetes.io/pod-name";
        edit(&mut sim, &key, 1, &json!({ "labels": { name: "other" } }));
        set_image(&mut sim, &key, "example.com/app:2");
        change(
            &mut sim,
            &key,
            &json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 1 } } } }),
        );
        let from = sim.writes.len();
        settle(&mut sim, &key);
        let touched: Vec<&Write> =
            sim.writes[from..].iter().filter(|write| *write.key.name == *"web-1").collect();
        assert!(touched.is_empty(), "{order}: {touched:?}");
        let holds = sim.plan(&key).unwrap().holds;
        let waits = "PodTerminating{pod: web-1}";
        assert!(holds.iter().any(|hold| hold.to_string() == waits), "{order}: {holds:?}");
        edit(&mut sim, &key, 1, &json!({ "finalizers": null }));
        settle(&mut sim, &key);
        assert_eq!(text(pod(&sim, &key, 1), "/spec/containers/0/image"), "example.com/app:2");
    }
}

/// IP-18: with a grace period too an update goes as far as the partition says, and no image changes before its end.
#[test]
fn a_grace_period_and_a_partition_keep_to_each_other() {
    let mut set = web_with(4, &in_place());
    let rolling = |more: Value| json!({ "spec": { "updateStrategy": { "rollingUpdate": more } } });
    let grace = json!({ "gracePeriodSeconds": 10 });
    let first = json!({ "partition": 2, "maxUnavailable": 2, "inPlaceUpdateStrategy": grace });
    merge(&mut set, &rolling(first));
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    let before: Vec<String> =
        sim.world.list(&POD).map(|pod| text(pod, "/metadata/uid").to_owned()).collect();
    sim.inspect = Box::new(|world, write| {
        let Request::Patch { patch, .. } = &write.request else { return };
        if *write.kind != POD || !format!("{patch:?}").contains("/spec/containers/0/image") {
            return;
        }
        let pod = world.get(&POD, &write.key).unwrap();
        let conditions = pod["status"]["conditions"].as_array().unwrap();
        let gate = conditions.iter().find(|c| c["type"] == "InPlaceUpdateReady").unwrap();
        let since: jiff::Timestamp = gate["lastTransitionTime"].as_str().unwrap().parse().unwrap();
        assert_eq!(gate["status"], "False", "{write}");
        assert!(world.now.duration_since(since).as_secs() >= 10, "{write}: too early");
    });
    set_image(&mut sim, &key, "example.com/app:2");
    let versions = |sim: &Sim| -> Vec<String> {
        let images = sim.world.list(&POD).map(|pod| text(pod, "/spec/containers/0/image"));
        images.map(|image| image.rsplit(':').next().unwrap().to_owned()).collect()
    };
    for (partition, versions_) in
        [(2, ["1", "1", "2", "2"]), (1, ["1", "2", "2", "2"]), (0, ["2", "2", "2", "2"])]
    {
        change(&mut sim, &key, &rolling(json!({ "partition": partition })));
        settle(&mut sim, &key);
        assert_eq!(versions(&sim), versions_, "partition {partition}");
    }
    let after: Vec<String> =
        sim.world.list(&POD).map(|pod| text(pod, "/metadata/uid").to_owned()).collect();
    assert_eq!(after, before, "in place");
}

/// A policy that looks at whole pods refuses every patch of one that runs a forbidden image, and so its upkeep: the way to
/// another image stays open, and what is refused is asked for less and less.
#[test]
fn upkeep_that_is_refused_does_not_keep_an_update_away() {
    let set = web_with(3, &in_place());
    let warmed =
        json!({ "spec": { "lifecycle": { "preNormal": { "labelsHandler": { "warm": "on" } } } } });
    let warm = json!({ "metadata": { "labels": { "warm": "on" } } });
    let unnamed =
        json!({ "metadata": { "labels": { "statefulset.kubernetes.io/pod-name": null } } });
    for (hook, meta) in [(warmed, warm), (json!({}), unnamed)] {
        let mut set = set.clone();
        merge(&mut set, &hook);
        let (mut sim, key) = drive(set);
        sim.settle(&key, 400).unwrap();
        let tries = Rc::new(Cell::new(0));
        let counted = tries.clone();
        sim.fate = Box::new(move |_, write| {
            let patches = *write.kind == POD && write.verb() == "patch";
            let allowed = format!("{:?}", write.request).contains("example.com/app:2");
            if !patches || !write.subresource().is_empty() || allowed {
                return Fate::Done;
            }
            counted.set(counted.get() + 1);
            Fate::Denied
        });
        for ordinal in 0..3 {
            let name = key.sibling(format!("web-{ordinal}"));
            sim.world.edit(&POD, &name, |pod| merge(pod, &meta));
        }
        let pass = |sim: &mut Sim, seconds: u32| {
            for _ in 0..seconds {
                sim.relist();
                sim.turn(&key);
                while sim.world.nodes() {}
                sim.world.now += SignedDuration::from_secs(1);
            }
        };
        pass(&mut sim, 600);
        assert!((6..=3 * 14).contains(&tries.get()), "{} tries: {meta}", tries.get());
        let holds = sim.plan(&key).unwrap().holds;
        let told = holds.iter().any(|hold| hold.to_string().starts_with("UpdateRefused"));
        assert!(told, "{meta}: {holds:?}");
        set_image(&mut sim, &key, "example.com/app:2");
        pass(&mut sim, 60);
        let new = |pod: &Value| pod["spec"]["containers"][0]["image"] == "example.com/app:2";
        assert!(sim.world.list(&POD).all(new), "{meta}: {}", sim.transcript.join("\n"));
        sim.fate = Box::new(|_, _| Fate::Done);
        sim.settle(&key, 400).unwrap();
        assert!(sim.world.list(&POD).all(|pod| is_true(pod, "Ready")));
    }
}

/// A policy that refuses the labels of identity has nothing against the rest of the upkeep, which does not wait for them.
#[test]
fn labels_that_a_policy_refuses_hold_up_no_other_upkeep() {
    let (mut sim, key) = drive(web_with(1, &in_place()));
    settle(&mut sim, &key);
    let tries = Rc::new(Cell::new(0));
    let counted = tries.clone();
    sim.fate = Box::new(move |_, write| {
        let named = format!("{:?}", write.request).contains("pod-name");
        if *write.kind != POD || write.verb() != "patch" || !named {
            return Fate::Done;
        }
        counted.set(counted.get() + 1);
        Fate::Denied
    });
    edit(&mut sim, &key, 0, &json!({ "labels": { "statefulset.kubernetes.io/pod-name": null } }));
    let pass = |sim: &mut Sim, seconds: u32| {
        for _ in 0..seconds {
            sim.relist();
            sim.turn(&key);
            sim.world.now += SignedDuration::from_secs(1);
        }
    };
    pass(&mut sim, 300);
    let before = tries.get();
    assert!((2..=14).contains(&before), "{before} tries");
    edit(&mut sim, &key, 0, &json!({ "labels": { "lifecycle.apps.kruise.io/state": "Updated" } }));
    pass(&mut sim, 2);
    let state = "/metadata/labels/lifecycle.apps.kruise.io~1state";
    assert_eq!(text(pod(&sim, &key, 0), state), "Normal", "{}", sim.transcript.join("\n"));
    assert_eq!(tries.get(), before, "the refusal counts still");
}
