//! Claims that grow with their templates (section 17, AC-22).

use jiff::SignedDuration;
use kruise_common::gates::FeatureGates;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{CLAIM, NODE, POD, STATEFUL_SET, STORAGE_CLASS};
use kruise_common::testing::drive::Fate;
use kruise_common::testing::world::{Growth, World};
use kruise_common::write::Write;
use serde_json::{Value, json};

use crate::builders::{
    Sim, change, drive_with, in_place, is_true, merge, set_image, text, web_with,
};

fn gates() -> FeatureGates {
    "StatefulSetAutoResizePVCGate=true".parse().unwrap()
}

/// A claim template of a class.
fn template(name: &str, class: &str, size: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": { "requests": { "storage": size } },
        },
    })
}

fn templates(data: &str, logs: &str) -> Value {
    json!({ "spec": { "volumeClaimTemplates": [template("data", "grows", data), template("logs", "fixed", logs)] } })
}

/// A set with claims `data`, which can grow, and `logs`, which cannot.
fn set(replicas: i32, changes: &[Value]) -> (Sim, ObjectKey) {
    set_on(replicas, changes, |_| {})
}

/// The same in a cluster that is prepared.
fn set_on(replicas: i32, changes: &[Value], prepare: fn(&mut World)) -> (Sim, ObjectKey) {
    let mut set = web_with(replicas, &templates("1Gi", "1Gi"));
    merge(
        &mut set,
        &json!({ "spec": {
        "podManagementPolicy": "Parallel", "volumeClaimUpdateStrategy": { "type": "OnPodRollingUpdate" },
    } }),
    );
    for change in changes {
        merge(&mut set, change);
    }
    let (mut sim, key) = drive_with(set, gates());
    prepare(&mut sim.world);
    for (name, grows) in [("grows", json!(true)), ("fixed", json!(false)), ("unset", Value::Null)] {
        let meta = json!({ "name": name, "namespace": "" });
        sim.world
            .insert(&STORAGE_CLASS, json!({ "metadata": meta, "allowVolumeExpansion": grows }));
    }
    settle(&mut sim, &key);
    (sim, key)
}

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, 600).unwrap();
}

fn claim<'a>(sim: &'a Sim, key: &ObjectKey, name: &str) -> &'a Value {
    sim.world.get(&CLAIM, &key.sibling(name)).unwrap()
}

/// Requested storage of the claims `data`.
fn sizes(sim: &Sim, key: &ObjectKey, replicas: i32) -> Vec<String> {
    let size = |at| {
        text(claim(sim, key, &format!("data-web-{at}")), "/spec/resources/requests/storage")
            .to_owned()
    };
    (0..replicas).map(size).collect()
}

fn uids(sim: &Sim) -> Vec<String> {
    sim.world.list(&POD).map(|pod| text(pod, "/metadata/uid").to_owned()).collect()
}

fn holds(sim: &Sim, key: &ObjectKey) -> Vec<String> {
    sim.plan(key).unwrap().holds.iter().map(ToString::to_string).collect()
}

fn counted(sim: &Sim, key: &ObjectKey) -> Value {
    sim.world.get(&STATEFUL_SET, key).unwrap()["status"]["volumeClaims"][0].clone()
}

fn claim_writes(sim: &Sim, from: usize) -> Vec<&Write> {
    sim.writes[from..].iter().filter(|write| *write.kind == CLAIM).collect()
}

/// RS-9, W-12: a change of the size alone touches no pod where volumes grow online.
#[test]
fn claims_grow_from_the_top_and_pods_stay() {
    let (mut sim, key) = set(3, &[]);
    let before = uids(&sim);
    let from = sim.writes.len();
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    settle(&mut sim, &key);
    assert_eq!(sizes(&sim, &key, 3), ["2Gi"; 3]);
    assert_eq!(uids(&sim), before);
    let order: Vec<&str> = claim_writes(&sim, from).iter().map(|write| &*write.key.name).collect();
    assert_eq!(order, ["data-web-2", "data-web-1", "data-web-0"]);
    let annotation = "/metadata/annotations/apps.kruise.io~1owned-by-asts";
    assert_eq!(text(claim(&sim, &key, "data-web-0"), annotation), "web", "RS-6");
    assert_eq!(
        counted(&sim, &key),
        json!({ "volumeClaimName": "data", "compatibleReplicas": 3, "compatibleReadyReplicas": 3 })
    );
    assert_eq!(holds(&sim, &key), [""; 0]);
}

/// RS-8, RS-9: partition and budget count; an outdated pod follows its claim.
#[test]
fn claims_follow_the_partition_and_the_pods_follow_them() {
    for policy in ["ReCreate", "InPlaceIfPossible"] {
        let rolling = |partition: i32| json!({ "spec": { "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": policy, "partition": partition } } } });
        let (mut sim, key) = set(3, &[in_place(), rolling(2)]);
        change(&mut sim, &key, &templates("2Gi", "1Gi"));
        set_image(&mut sim, &key, "example.com/app:2");
        settle(&mut sim, &key);
        assert_eq!(sizes(&sim, &key, 3), ["1Gi", "1Gi", "2Gi"], "{policy}");
        assert_eq!(
            text(sim.world.get(&POD, &key.sibling("web-2")).unwrap(), "/spec/containers/0/image"),
            "example.com/app:2"
        );
        assert_eq!(counted(&sim, &key)["compatibleReplicas"], 1);
        change(&mut sim, &key, &rolling(0));
        settle(&mut sim, &key);
        assert_eq!(sizes(&sim, &key, 3), ["2Gi"; 3]);
        assert!(
            sim.world
                .list(&POD)
                .all(|pod| text(pod, "/spec/containers/0/image") == "example.com/app:2")
        );
    }
}

/// RS-10: a claim that does not arrive holds its budget and says so; nobody else is touched.
#[test]
fn a_volume_that_does_not_grow_holds_the_others_up() {
    let (mut sim, key) = set(3, &[]);
    sim.world.growth = Growth::Never;
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    settle(&mut sim, &key);
    assert_eq!(sizes(&sim, &key, 3), ["1Gi", "1Gi", "2Gi"]);
    let holds = holds(&sim, &key);
    assert!(holds.contains(&"ClaimResizing{claim: data-web-2}".to_owned()), "{holds:?}");
    assert_eq!(counted(&sim, &key)["compatibleReplicas"], 1);
    assert_eq!(
        counted(&sim, &key)["compatibleReadyReplicas"],
        0,
        "it has asked, and has not got it"
    );
    sim.world.growth = Growth::Online;
    settle(&mut sim, &key);
    assert_eq!(sizes(&sim, &key, 3), ["2Gi"; 3]);
}

/// A set whose pods are older than what is asked of it next, on a driver whose file systems need a new mount.
fn offline(replicas: i32, policy: &str) -> (Sim, ObjectKey) {
    let rolling =
        json!({ "spec": { "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": policy } } } });
    let (mut sim, key) = set(replicas, &[in_place(), rolling]);
    sim.world.growth = Growth::Offline;
    sim.world.now += SignedDuration::from_secs(10);
    (sim, key)
}

/// Names of the pods that were deleted, in order.
fn deletions(sim: &Sim, from: usize) -> Vec<&str> {
    let deletes = sim.writes[from..].iter().filter(|write| write.verb() == "delete");
    deletes.map(|write| &*write.key.name).collect()
}

/// RS-4, W-12: where the file system needs a new mount the pod is restarted, once; not before the kubelet has had the
/// time to do without.
#[test]
fn a_file_system_that_waits_restarts_its_pod_once() {
    for policy in ["ReCreate", "InPlaceIfPossible"] {
        let (mut sim, key) = offline(3, policy);
        let (from, began) = (sim.writes.len(), sim.world.now);
        change(&mut sim, &key, &templates("2Gi", "1Gi"));
        settle(&mut sim, &key);
        assert_eq!(deletions(&sim, from), ["web-2", "web-1", "web-0"], "{policy}");
        assert_eq!(sizes(&sim, &key, 3), ["2Gi"; 3]);
        assert_eq!(counted(&sim, &key)["compatibleReadyReplicas"], 3);
        assert!(sim.world.list(&POD).all(|pod| is_true(pod, "Ready")));
        let took = sim.world.now.duration_since(began);
        assert!(
            took >= SignedDuration::from_mins(9),
            "{policy}: three times three minutes, {took:#}"
        );
        let said = sim.transcript.join("\n");
        assert!(said.contains("hold ClaimResizing{claim: data-web-2, until: "), "{said}");
    }
}

/// The node has tried: there is nothing to wait for.
#[test]
fn a_file_system_that_the_node_cannot_grow_restarts_its_pod_at_once() {
    let (mut sim, key) = offline(2, "InPlaceIfPossible");
    let (from, began) = (sim.writes.len(), sim.world.now);
    sim.actor = Box::new(|world| {
        let claims: Vec<Value> = world.list(&CLAIM).cloned().collect();
        let told = |claim: &Value| {
            let conditions = claim.pointer("/status/conditions").and_then(Value::as_array);
            conditions.is_none_or(|all| all.len() > 1)
        };
        for claim in claims.iter().filter(|claim| !told(claim)) {
            let name = text(claim, "/metadata/name").to_owned();
            let key = ObjectKey { namespace: "default".into(), name: name.into() };
            world.edit(&CLAIM, &key, |claim| {
                let error = json!({ "type": "NodeResizeError", "status": "True" });
                claim["status"]["conditions"].as_array_mut().unwrap().push(error);
            });
        }
        claims.iter().any(|claim| !told(claim))
    });
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    settle(&mut sim, &key);
    assert_eq!(deletions(&sim, from), ["web-1", "web-0"]);
    assert_eq!(counted(&sim, &key)["compatibleReadyReplicas"], 2);
    let took = sim.world.now.duration_since(began);
    assert!(took < SignedDuration::from_mins(2), "{took:#}");
}

/// Who is re-created for the image has no reason to wait; who is updated in place is disturbed once.
#[test]
fn an_image_that_changes_with_the_size_disturbs_a_pod_once() {
    let (mut sim, key) = offline(2, "ReCreate");
    let (from, began) = (sim.writes.len(), sim.world.now);
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    assert_eq!(deletions(&sim, from), ["web-1", "web-0"]);
    assert!(sim.world.now.duration_since(began) < SignedDuration::from_mins(2));

    let (mut sim, key) = offline(2, "InPlaceIfPossible");
    let from = sim.writes.len();
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    assert_eq!(deletions(&sim, from), ["web-1", "web-0"], "the driver cannot do without");
    let created = sim.writes[from..].iter().filter(|w| *w.kind == POD && w.verb() == "create");
    assert_eq!(created.count(), 2);

    let (mut sim, key) = offline(2, "InPlaceIfPossible");
    sim.world.growth = Growth::Online;
    let before = uids(&sim);
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    let images: Vec<&str> =
        sim.world.list(&POD).map(|pod| text(pod, "/spec/containers/0/image")).collect();
    assert_eq!((uids(&sim), images), (before, vec!["example.com/app:2"; 2]));
}

/// `InPlaceOnly` allows no restart by re-creation: it is said, and the image changes all the same (RS-4, RS-8).
#[test]
fn in_place_only_does_not_restart_for_a_file_system() {
    let (mut sim, key) = offline(2, "InPlaceOnly");
    let before = uids(&sim);
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    settle(&mut sim, &key);
    assert_eq!(uids(&sim), before);
    let waits = "NotInPlacePossible{pod: web-1, why: its volume";
    let holds_ = holds(&sim, &key);
    assert!(holds_.iter().any(|hold| hold.starts_with(waits)), "{holds_:?}");
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    assert_eq!(uids(&sim), before);
    let pod = sim.world.get(&POD, &key.sibling("web-1")).unwrap();
    assert_eq!(text(pod, "/spec/containers/0/image"), "example.com/app:2");
    let holds_ = holds(&sim, &key);
    assert!(holds_.iter().any(|hold| hold.starts_with(waits)), "{holds_:?}");
    // It uses up no budget for ever.
    let other = sim.world.get(&POD, &key.sibling("web-0")).unwrap();
    assert_eq!(text(other, "/spec/containers/0/image"), "example.com/app:2");
    assert_eq!(sizes(&sim, &key, 2), ["2Gi"; 2]);
}

/// RS-5, RS-7, RS-12: what cannot grow is said; claims and pods stay as they are.
#[test]
fn a_class_that_does_not_expand_changes_nothing() {
    let (mut sim, key) = set(2, &[]);
    let from = sim.writes.len();
    change(&mut sim, &key, &templates("2Gi", "2Gi"));
    settle(&mut sim, &key);
    assert_eq!(claim_writes(&sim, from).len(), 0);
    let holds = holds(&sim, &key);
    let why = "NotExpandable{claim: logs-web-1, why: storage class fixed for web-1 does not support volume expansion}";
    assert!(holds.contains(&why.to_owned()), "{holds:?}");
    // Put right: only what differs is checked.
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    settle(&mut sim, &key);
    assert_eq!(sizes(&sim, &key, 2), ["2Gi"; 2]);
}

/// W-31: the class changes, and nobody has to touch the set.
#[test]
fn a_class_that_learns_to_expand_lets_claims_grow() {
    let (mut sim, key) = set(2, &[]);
    change(&mut sim, &key, &templates("1Gi", "2Gi"));
    settle(&mut sim, &key);
    let class = ObjectKey { namespace: "".into(), name: "fixed".into() };
    sim.world.edit(&STORAGE_CLASS, &class, |class| class["allowVolumeExpansion"] = json!(true));
    settle(&mut sim, &key);
    assert_eq!(text(claim(&sim, &key, "logs-web-0"), "/spec/resources/requests/storage"), "2Gi");
    sim.world.delete(&STORAGE_CLASS, &class);
    change(&mut sim, &key, &templates("1Gi", "3Gi"));
    settle(&mut sim, &key);
    let holds = holds(&sim, &key);
    assert!(holds.iter().any(|hold| hold.contains("there is no such class")), "{holds:?}");
}

/// W-12: another class is no matter of budget: images go on for pods whose claims fit.
#[test]
fn another_class_is_told_and_uses_no_budget() {
    let (mut sim, key) = set(2, &[]);
    let mut other = templates("1Gi", "1Gi");
    other["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!("unset");
    change(&mut sim, &key, &other);
    settle(&mut sim, &key);
    let plan = sim.plan(&key).unwrap();
    let text = "failed to update pvc data-web-1: contains diff other than spec resource, wait pvc to be deleted";
    assert!(plan.notes.iter().any(|note| note.reason == "FailedUpdatePVC" && note.message == text));
    let holds = holds(&sim, &key);
    assert!(holds.contains(&"ClaimMismatch{claim: data-web-1}".to_owned()), "{holds:?}");
    assert!(!holds.iter().any(|hold| hold.starts_with("BudgetSpent")), "{holds:?}");
}

/// RS-11, AC-6: going back shrinks nothing; switching the strategy stops the rest.
#[test]
fn going_back_midway_never_shrinks() {
    let (mut sim, key) = set(3, &[]);
    sim.world.growth = Growth::Never;
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    settle(&mut sim, &key);
    change(&mut sim, &key, &templates("1Gi", "1Gi"));
    settle(&mut sim, &key);
    assert_eq!(sizes(&sim, &key, 3), ["1Gi", "1Gi", "2Gi"]);
    assert_eq!(counted(&sim, &key)["compatibleReplicas"], 3, "a bigger claim fits");
    change(&mut sim, &key, &templates("3Gi", "1Gi"));
    change(
        &mut sim,
        &key,
        &json!({ "spec": { "volumeClaimUpdateStrategy": { "type": "OnDelete" } } }),
    );
    sim.world.growth = Growth::Online;
    settle(&mut sim, &key);
    assert_eq!(sizes(&sim, &key, 3), ["1Gi", "1Gi", "2Gi"], "RS-13");
}

/// A user who has enlarged a claim meanwhile must not see it shrink.
#[test]
fn a_late_resize_does_no_harm() {
    let (mut sim, key) = set(1, &[]);
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    sim.relist();
    let snapshot = sim.observe(&key).unwrap();
    let now = sim.world.now;
    let plan = kruise_statefulset::plan::plan(&snapshot, now);
    sim.world.edit(&CLAIM, &key.sibling("data-web-0"), |claim| {
        claim["spec"]["resources"]["requests"]["storage"] = json!("9Gi");
    });
    let writes =
        plan.actions().flat_map(|action| kruise_statefulset::apply::apply(&snapshot, action, now));
    let late: Vec<Write> = writes.filter(|write| *write.kind == CLAIM).collect();
    assert_eq!(late.len(), 1);
    assert!(sim.world.perform(&late[0]).is_err());
    settle(&mut sim, &key);
    assert_eq!(sizes(&sim, &key, 1), ["9Gi"]);
}

#[test]
fn nothing_is_resized_without_the_gate() {
    let mut set = web_with(1, &templates("1Gi", "1Gi"));
    merge(
        &mut set,
        &json!({ "spec": { "volumeClaimUpdateStrategy": { "type": "OnPodRollingUpdate" } } }),
    );
    let (mut sim, key) = drive_with(set, FeatureGates::default());
    settle(&mut sim, &key);
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    settle(&mut sim, &key);
    assert_eq!(sizes(&sim, &key, 1), ["1Gi"]);
    assert_eq!(counted(&sim, &key)["compatibleReplicas"], 0, "but it is counted");
}

/// AC-22, SD-7: a pod that a user wants replaced in the middle of it.
#[test]
fn specified_deletion_during_a_resize_completes_both() {
    let (mut sim, key) = set(3, &[]);
    let label = json!({ "metadata": { "labels": { "apps.kruise.io/specified-delete": "" } } });
    sim.world.edit(&POD, &key.sibling("web-1"), |pod| merge(pod, &label));
    let before = uids(&sim);
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    settle(&mut sim, &key);
    assert_eq!(sizes(&sim, &key, 3), ["2Gi"; 3]);
    let kept = uids(&sim).iter().filter(|uid| before.contains(uid)).count();
    assert_eq!(kept, 2, "web-1 alone was replaced");
}

/// Claims that somebody enlarges behind the set's back, all at once: their pods serve, so they are not free of charge
/// (AC-2, AC-3).
#[test]
fn claims_enlarged_by_hand_restart_no_more_pods_than_may_be_down() {
    for order in ["Parallel", "OrderedReady"] {
        let (mut sim, key) = set(4, &[json!({ "spec": { "podManagementPolicy": order } })]);
        sim.world.growth = Growth::Offline;
        sim.world.now += SignedDuration::from_secs(10);
        for ordinal in 0..4 {
            sim.world.edit(&CLAIM, &key.sibling(format!("data-web-{ordinal}")), |claim| {
                claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
            });
        }
        sim.inspect = Box::new(|world, write| {
            let serves = |pod: &&Value| {
                is_true(pod, "Ready") && pod["metadata"]["deletionTimestamp"].is_null()
            };
            if write.verb() == "delete" {
                assert_eq!(world.list(&POD).filter(serves).count(), 4, "{write}");
            }
        });
        settle(&mut sim, &key);
        let grown = |at| claim(&sim, &key, &format!("data-web-{at}"))["status"]["capacity"].clone();
        assert!((0..4).all(|at| grown(at)["storage"] == "2Gi"), "{order}: all have grown");
        assert!(sim.world.list(&POD).all(|pod| is_true(pod, "Ready")));
    }
}

/// A set whose pods find no node, and so have claims without volumes.
fn homeless(order: &str, more: &[Value]) -> (Sim, ObjectKey) {
    let nowhere = node("nowhere");
    let order = json!({ "spec": { "podManagementPolicy": order } });
    let changes: Vec<Value> = [nowhere, order].iter().chain(more).cloned().collect();
    let (mut sim, key) = set_on(2, &changes, |world| {
        world.insert(&NODE, json!({ "metadata": { "name": "node-0" } }));
    });
    settle(&mut sim, &key);
    assert!(sim.world.list(&POD).all(|pod| pod.pointer("/spec/nodeName").is_none()));
    (sim, key)
}

/// The only node for pods of the template.
fn node(name: &str) -> Value {
    let field = json!({ "key": "metadata.name", "operator": "In", "values": [name] });
    let terms = json!({ "nodeSelectorTerms": [{ "matchFields": [field] }] });
    let affinity =
        json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": terms } });
    json!({ "spec": { "template": { "spec": { "affinity": affinity } } } })
}

/// RU-9, AC-17: a claim gets its volume when its pod gets a node, and the pod gets that by its update.
#[test]
fn a_claim_without_volume_keeps_no_pod_from_its_update() {
    let recover = json!({ "metadata": { "annotations": { "apps.kruise.io/recover-stuck-rollout": "true" } } });
    for (order, size) in [("Parallel", "1Gi"), ("Parallel", "2Gi"), ("OrderedReady", "2Gi")] {
        let (mut sim, key) = homeless(order, std::slice::from_ref(&recover));
        change(&mut sim, &key, &node("node-0"));
        change(&mut sim, &key, &templates(size, "1Gi"));
        settle(&mut sim, &key);
        assert!(sim.world.list(&POD).all(|pod| is_true(pod, "Ready")), "{order} {size}");
        assert_eq!(sizes(&sim, &key, 2), [size; 2], "{order}: bound, they grow like any other");
    }
}

/// Two pods with a hook that never lets go of who is announced, and keeps it out of traffic.
fn hooked() -> (Sim, ObjectKey) {
    let hook = json!({ "spec": {
        "lifecycle": { "inPlaceUpdate": { "labelsHandler": { "hold": "on" }, "markPodNotReady": true } },
        "template": { "metadata": { "labels": { "hold": "on" } } },
    } });
    set(2, &[in_place(), hook])
}

fn states(sim: &Sim) -> Vec<&str> {
    let state = "/metadata/labels/lifecycle.apps.kruise.io~1state";
    sim.world.list(&POD).map(|pod| text(pod, state)).collect()
}

/// W-34: who waits at a hook for an update that cannot be any more serves again.
#[test]
fn a_pod_at_its_hook_whose_claims_cannot_grow_serves_again() {
    let (mut sim, key) = hooked();
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    assert_eq!(states(&sim), ["Normal", "PreparingUpdate"]);
    change(&mut sim, &key, &templates("1Gi", "2Gi"));
    settle(&mut sim, &key);
    assert_eq!(states(&sim), ["Normal", "Normal"]);
    assert!(sim.world.list(&POD).all(|pod| is_true(pod, "Ready")));
}

/// Nor does it wait out of traffic for a claim that grows: it is announced again when the claim is there.
#[test]
fn a_pod_at_its_hook_serves_while_its_claim_grows() {
    let (mut sim, key) = hooked();
    sim.world.growth = Growth::Never;
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    assert_eq!(states(&sim), ["Normal", "PreparingUpdate"]);
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    settle(&mut sim, &key);
    assert_eq!(sizes(&sim, &key, 2), ["1Gi", "2Gi"]);
    assert_eq!(states(&sim), ["Normal", "Normal"]);
    assert!(sim.world.list(&POD).all(|pod| is_true(pod, "Ready")));
    sim.world.growth = Growth::Online;
    settle(&mut sim, &key);
    assert_eq!(states(&sim), ["Normal", "PreparingUpdate"]);
}

/// Who is re-created for another reason does not wait for a file system, as with `ReCreate`.
#[test]
fn a_change_that_cannot_be_made_in_place_does_not_wait_for_the_file_system() {
    let (mut sim, key) = offline(2, "InPlaceIfPossible");
    let (from, began) = (sim.writes.len(), sim.world.now);
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    change(
        &mut sim,
        &key,
        &json!({ "spec": { "template": { "spec": { "terminationGracePeriodSeconds": 5 } } } }),
    );
    settle(&mut sim, &key);
    assert_eq!(deletions(&sim, from), ["web-1", "web-0"]);
    let took = sim.world.now.duration_since(began);
    assert!(took < SignedDuration::from_mins(2), "{took:#}");
}

/// What the API server refuses for a claim is not asked for over and over.
#[test]
fn a_claim_that_may_not_grow_is_asked_less_and_less() {
    let (mut sim, key) = set(2, &[]);
    let tries = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = tries.clone();
    sim.fate = Box::new(move |_, write| {
        if *write.kind != CLAIM {
            return Fate::Done;
        }
        counted.set(counted.get() + 1);
        Fate::Denied
    });
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    for _ in 0..600 {
        sim.relist();
        sim.turn(&key);
        sim.world.nodes();
        sim.world.now += SignedDuration::from_secs(1);
    }
    assert!((2..=14).contains(&tries.get()), "{} tries", tries.get());
    assert!(
        holds(&sim, &key).iter().any(|hold| hold.starts_with("UpdateRefused{pod: web-1, until: "))
    );
    sim.fate = Box::new(|_, _| Fate::Done);
    settle(&mut sim, &key);
    assert_eq!(sizes(&sim, &key, 2), ["2Gi"; 2]);
}

/// RU-11, RS-4: a volume that somebody enlarged further down, and that waits for another pod, is no reason to wait for: that
/// pod comes in its turn.
#[test]
fn a_file_system_that_waits_further_down_holds_up_no_ordered_update() {
    let ordered = json!({ "spec": { "podManagementPolicy": "OrderedReady" } });
    let (mut sim, key) = set(3, &[ordered]);
    sim.world.growth = Growth::Offline;
    sim.world.now += SignedDuration::from_secs(10);
    sim.world.edit(&CLAIM, &key.sibling("data-web-0"), |claim| {
        claim["spec"]["resources"]["requests"]["storage"] = json!("5Gi");
    });
    let from = sim.writes.len();
    change(&mut sim, &key, &templates("2Gi", "1Gi"));
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    assert_eq!(deletions(&sim, from), ["web-2", "web-1", "web-0"]);
    assert_eq!(sizes(&sim, &key, 3), ["5Gi", "2Gi", "2Gi"]);
}
