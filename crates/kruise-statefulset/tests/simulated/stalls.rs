//! Situations in which a rollout used to wait for ever, go too far, or lose a claim; each ends well now.

use kruise_common::key::ObjectKey;
use kruise_common::kind::{CLAIM, POD, STATEFUL_SET};
use serde_json::{Value, json};

use crate::builders::{
    Sim, change, drive, in_place, is_true, merge, set_image, text, web, web_with, with_claims,
};

fn pod(ordinal: i32) -> ObjectKey {
    ObjectKey { namespace: "default".into(), name: format!("web-{ordinal}").into() }
}

fn get(sim: &Sim, ordinal: i32) -> &Value {
    sim.world.get(&POD, &pod(ordinal)).unwrap()
}

fn state(sim: &Sim, ordinal: i32) -> &str {
    text(get(sim, ordinal), "/metadata/labels/lifecycle.apps.kruise.io~1state")
}

fn edit(sim: &mut Sim, ordinal: i32, meta: &Value) {
    sim.world.edit(&POD, &pod(ordinal), |pod| merge(pod, &json!({ "metadata": meta })));
}

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, 400).unwrap();
}

fn replicas(count: i32) -> Value {
    json!({ "spec": { "replicas": count } })
}

/// Images of all pods by name.
fn images(sim: &Sim) -> Vec<String> {
    sim.world.list(&POD).map(|pod| text(pod, "/spec/containers/0/image").to_owned()).collect()
}

fn reasons(sim: &Sim, key: &ObjectKey) -> Vec<String> {
    sim.plan(key).unwrap().holds.iter().map(ToString::to_string).collect()
}

/// A hook that a label of the template puts on every pod.
fn hook(set: &mut Value, name: &str) {
    merge(
        set,
        &json!({ "spec": {
            "lifecycle": { name: { "labelsHandler": { "hold": "on" } } },
            "template": { "metadata": { "labels": { "hold": "on" } } },
        } }),
    );
}

#[test]
fn a_pod_that_is_wanted_again_while_it_terminates_leaves_its_claim() {
    for ordered in [true, false] {
        let mut set = web_with(3, &with_claims());
        merge(
            &mut set,
            &json!({ "spec": {
                "podManagementPolicy": if ordered { "OrderedReady" } else { "Parallel" },
                "persistentVolumeClaimRetentionPolicy": { "whenScaled": "Delete", "whenDeleted": "Retain" },
                "template": { "metadata": { "finalizers": ["test/slow"] } },
            } }),
        );
        let (mut sim, key) = drive(set);
        settle(&mut sim, &key);
        let claim = ObjectKey { namespace: "default".into(), name: "data-web-2".into() };
        let uid =
            |sim: &Sim| text(sim.world.get(&CLAIM, &claim).unwrap(), "/metadata/uid").to_owned();
        let owned = |sim: &Sim| {
            sim.world.get(&CLAIM, &claim).unwrap()["metadata"].get("ownerReferences").is_some()
        };
        let before = uid(&sim);
        change(&mut sim, &key, &replicas(2));
        settle(&mut sim, &key);
        assert!(owned(&sim), "the pod goes, and its claim with it");
        change(&mut sim, &key, &replicas(3));
        settle(&mut sim, &key);
        assert!(!owned(&sim), "ordered: {ordered}: wanted again: the claim stays");
        edit(&mut sim, 2, &json!({ "finalizers": null }));
        settle(&mut sim, &key);
        assert_eq!(uid(&sim), before, "the new pod has the old data");
        assert!(is_true(get(&sim, 2), "Ready"));
    }
}

#[test]
fn a_missing_pod_does_not_let_an_unordered_update_beyond_its_partition() {
    let mut set = web_with(4, &in_place());
    merge(
        &mut set,
        &json!({ "spec": { "updateStrategy": { "rollingUpdate": {
            "partition": 2, "maxUnavailable": 2, "unorderedUpdate": {},
        } } } }),
    );
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    for ordinal in [3, 2, 0] {
        sim.world.delete(&POD, &pod(ordinal));
        settle(&mut sim, &key);
        let old = images(&sim).iter().filter(|image| *image == "example.com/app:1").count();
        assert_eq!(old, 2, "after web-{ordinal} was deleted: {:?}", images(&sim));
    }
}

#[test]
fn pods_that_are_all_lost_come_back_at_the_revisions_of_the_partition() {
    let mut set = web_with(4, &json!({ "spec": { "podManagementPolicy": "Parallel" } }));
    merge(
        &mut set,
        &json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 2, "unorderedUpdate": {} } } } }),
    );
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    for ordinal in 0..4 {
        sim.world.delete(&POD, &pod(ordinal));
    }
    let before = sim.writes.len();
    settle(&mut sim, &key);
    let created = sim.writes[before..].iter().filter(|write| *write.kind == POD).count();
    assert_eq!(created, 4, "each is created once, none is restarted");
    assert_eq!(images(&sim).iter().filter(|image| *image == "example.com/app:1").count(), 2);
}

#[test]
fn an_ordered_rollout_goes_on_behind_its_hooks() {
    for (name, policy) in [("preDelete", "ReCreate"), ("inPlaceUpdate", "InPlaceIfPossible")] {
        let mut set = web_with(3, &in_place());
        hook(&mut set, name);
        merge(
            &mut set,
            &json!({ "spec": {
                "podManagementPolicy": "OrderedReady",
                "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": policy } },
            } }),
        );
        let (mut sim, key) = drive(set);
        settle(&mut sim, &key);
        set_image(&mut sim, &key, "example.com/app:2");
        for ordinal in [2, 1, 0] {
            settle(&mut sim, &key);
            let waiting = reasons(&sim, &key).join("; ");
            assert!(
                waiting.contains(&format!("HookPending{{pod: web-{ordinal}, hook: {name}")),
                "{waiting}"
            );
            edit(&mut sim, ordinal, &json!({ "labels": { "hold": null } }));
            settle(&mut sim, &key);
            if name == "inPlaceUpdate" {
                // Updated: the hook takes the pod back, and the next one may go.
                edit(&mut sim, ordinal, &json!({ "labels": { "hold": "on" } }));
            }
        }
        settle(&mut sim, &key);
        assert_eq!(images(&sim), ["example.com/app:2"; 3], "{name}");
    }
}

#[test]
fn what_a_hook_was_told_is_taken_back_when_it_is_not_wanted_any_more() {
    let mut set = web_with(3, &in_place());
    hook(&mut set, "preDelete");
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    let label = "apps.kruise.io/specified-delete";
    edit(&mut sim, 1, &json!({ "labels": { label: "true" } }));
    settle(&mut sim, &key);
    assert_eq!(state(&sim, 1), "PreparingDelete");
    edit(&mut sim, 1, &json!({ "labels": { label: null } }));
    settle(&mut sim, &key);
    assert_eq!(state(&sim, 1), "Normal", "the label is gone (W-2)");

    change(&mut sim, &key, &replicas(2));
    settle(&mut sim, &key);
    assert_eq!(state(&sim, 2), "PreparingDelete");
    change(&mut sim, &key, &replicas(3));
    settle(&mut sim, &key);
    assert_eq!(state(&sim, 2), "Normal", "scaled back up (W-2)");
}

/// W-2 beside RU-3: a pause puts off what is wanted, and keeps nobody out of traffic for what is not. In an ordered set
/// scaling would wait for whom it keeps, so it keeps nobody.
#[test]
fn a_pause_holds_no_pod_that_is_not_wanted_deleted_any_more() {
    let paused = json!({ "spec": { "updateStrategy": { "rollingUpdate": { "paused": true } } } });
    let label = "apps.kruise.io/specified-delete";
    for (order, outdated) in
        [("Parallel", false), ("Parallel", true), ("OrderedReady", false), ("OrderedReady", true)]
    {
        let kept = if order == "Parallel" { "PreparingDelete" } else { "Normal" };
        let mut set = web_with(2, &json!({ "spec": { "podManagementPolicy": order } }));
        hook(&mut set, "preDelete");
        let (mut sim, key) = drive(set);
        settle(&mut sim, &key);
        edit(&mut sim, 1, &json!({ "labels": { label: "true" } }));
        settle(&mut sim, &key);
        assert_eq!(state(&sim, 1), "PreparingDelete");
        change(&mut sim, &key, &paused);
        if outdated {
            set_image(&mut sim, &key, "example.com/app:2");
        }
        settle(&mut sim, &key);
        assert_eq!(state(&sim, 1), kept, "{order}");
        edit(&mut sim, 1, &json!({ "labels": { label: null } }));
        settle(&mut sim, &key);
        assert_eq!(state(&sim, 1), if outdated { kept } else { "Normal" }, "{order}");
    }
}

#[test]
fn a_pod_that_falls_out_of_the_candidates_serves_again() {
    let mut set = web_with(3, &in_place());
    hook(&mut set, "inPlaceUpdate");
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/app:2");
    settle(&mut sim, &key);
    assert_eq!(state(&sim, 2), "PreparingUpdate");
    edit(&mut sim, 2, &json!({ "labels": { "hold": null } }));
    change(
        &mut sim,
        &key,
        &json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 3 } } } }),
    );
    settle(&mut sim, &key);
    assert_eq!(state(&sim, 2), "Normal");
    assert_eq!(
        text(get(&sim, 2), "/metadata/labels/hold"),
        "on",
        "the hook has its marker back (W-34)"
    );
    assert_eq!(images(&sim), ["example.com/app:1"; 3]);
}

#[test]
fn a_spent_scale_budget_holds_up_creations_only() {
    let mut set = web_with(4, &json!({ "spec": { "podManagementPolicy": "Parallel" } }));
    merge(
        &mut set,
        &json!({ "spec": {
            "scaleStrategy": { "maxUnavailable": 1 },
            "template": { "metadata": { "finalizers": ["test/slow"] } },
        } }),
    );
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    // web-0 hangs in its deletion and uses the budget up; web-3 is evicted.
    sim.world.delete(&POD, &pod(0));
    edit(
        &mut sim,
        3,
        &json!({ "annotations": { "sim.kruise.dev/evict": "true" }, "finalizers": null }),
    );
    settle(&mut sim, &key);
    assert!(sim.world.get(&POD, &pod(3)).is_none(), "the evicted pod is gone (W-5)");
    assert!(reasons(&sim, &key).contains(&"ScaleBudgetSpent{allowed: 1}".to_owned()));
    edit(&mut sim, 0, &json!({ "finalizers": null }));
    settle(&mut sim, &key);
    assert_eq!(sim.world.list(&POD).filter(|pod| is_true(pod, "Ready")).count(), 4);
}

#[test]
fn a_slip_in_the_spec_leaves_no_pod_out_of_traffic() {
    let mut set = web_with(3, &in_place());
    merge(
        &mut set,
        &json!({ "spec": { "updateStrategy": { "rollingUpdate": { "maxUnavailable": "100%" } } } }),
    );
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/app:2");
    let updating = |sim: &Sim| sim.world.list(&POD).any(|pod| !is_true(pod, "InPlaceUpdateReady"));
    sim.relist();
    sim.turn(&key);
    assert!(updating(&sim), "the update is under way");
    change(
        &mut sim,
        &key,
        &json!({ "spec": { "updateStrategy": { "rollingUpdate": { "maxUnavailable": "lots" } } } }),
    );
    settle(&mut sim, &key);
    assert!(sim.world.list(&POD).all(|pod| is_true(pod, "Ready")), "the update came to its end");
    assert!(reasons(&sim, &key)[0].starts_with("InvalidSpec"));
}

#[test]
fn an_ignored_deletion_label_is_explained() {
    for (strategy, reason) in [
        (json!({ "type": "OnDelete" }), "OnDelete{outdated: 1}"),
        (json!({ "rollingUpdate": { "paused": true } }), "Paused{outdated: 1}"),
    ] {
        let (mut sim, key) = drive(web_with(2, &json!({ "spec": { "updateStrategy": strategy } })));
        settle(&mut sim, &key);
        edit(&mut sim, 1, &json!({ "labels": { "apps.kruise.io/specified-delete": "true" } }));
        settle(&mut sim, &key);
        assert_eq!(reasons(&sim, &key), [reason]);
    }
}

#[test]
fn a_deletion_label_in_the_template_does_not_churn() {
    let label = json!({ "apps.kruise.io/specified-delete": "true" });
    let (mut sim, key) =
        drive(web_with(2, &json!({ "spec": { "template": { "metadata": { "labels": label } } } })));
    settle(&mut sim, &key);
    let writes = sim.writes.iter().filter(|write| write.verb() == "delete").count();
    assert_eq!((writes, sim.world.list(&POD).count()), (0, 2));
}

#[test]
fn a_status_that_changes_with_time_alone_has_a_timer() {
    let ordered =
        json!({ "spec": { "updateStrategy": { "rollingUpdate": { "minReadySeconds": 30 } } } });
    let on_delete = json!({ "spec": { "podManagementPolicy": "Parallel", "minReadySeconds": 30, "updateStrategy": { "type": "OnDelete" } } });
    for change in [ordered, on_delete] {
        let (mut sim, key) = drive(web_with(2, &change));
        settle(&mut sim, &key);
        let set = sim.world.get(&STATEFUL_SET, &key).unwrap();
        assert_eq!(set["status"]["availableReplicas"], 2, "{change}");
        // Simulated time goes on only as far as somebody asks for it.
        assert!(sim.transcript.iter().any(|line| line.contains("until: ")), "{change}");
    }
}

#[test]
fn a_set_that_asks_for_a_negative_number_keeps_its_pods() {
    let (mut sim, key) = drive(web(3));
    settle(&mut sim, &key);
    change(&mut sim, &key, &replicas(-1));
    settle(&mut sim, &key);
    assert_eq!(sim.world.list(&POD).count(), 3);
    assert_eq!(
        reasons(&sim, &key),
        ["InvalidSpec{spec.replicas: -1: must be greater than or equal to 0}"]
    );
}

/// W-3: both are told, and each goes when its hook lets go, the highest first.
#[test]
fn an_ordered_scale_down_by_two_gets_past_their_hooks() {
    let mut set = web(3);
    hook(&mut set, "preDelete");
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    change(&mut sim, &key, &replicas(1));
    for ordinal in [2, 1] {
        settle(&mut sim, &key);
        assert_eq!(state(&sim, ordinal), "PreparingDelete");
        edit(&mut sim, ordinal, &json!({ "labels": { "hold": null } }));
    }
    settle(&mut sim, &key);
    assert_eq!(sim.world.list(&POD).count(), 1);
}

/// W-29, K-16: a pod that is ready, but not for long enough, goes at once when it is not wanted.
#[test]
fn a_ready_pod_that_goes_does_not_wait_to_be_available() {
    let patient =
        json!({ "spec": { "updateStrategy": { "rollingUpdate": { "minReadySeconds": 300 } } } });
    let (mut sim, key) = drive(web_with(2, &patient));
    settle(&mut sim, &key);
    change(&mut sim, &key, &replicas(3));
    let ready = |sim: &Sim| sim.world.get(&POD, &pod(2)).is_some_and(|pod| is_true(pod, "Ready"));
    while !ready(&sim) {
        sim.relist();
        sim.turn(&key);
        if !sim.world.nodes() {
            sim.world.now = sim.world.next_wake().unwrap_or(sim.world.now);
        }
    }
    let before = sim.world.now;
    change(&mut sim, &key, &replicas(2));
    settle(&mut sim, &key);
    assert!(sim.world.get(&POD, &pod(2)).is_none());
    let waited = sim.world.now.duration_since(before).as_secs();
    assert!(waited < 60, "not for minReadySeconds: {waited} s");
}

/// W-8: the update of pod 2 ends although pod 0 is broken and an ordered set touches nothing else.
#[test]
fn an_update_that_is_done_ends_behind_a_broken_pod() {
    let mut set = web_with(3, &in_place());
    merge(&mut set, &json!({ "spec": { "podManagementPolicy": "OrderedReady" } }));
    let (mut sim, key) = drive(set);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/app:2");
    while text(get(&sim, 2), "/spec/containers/0/image") != "example.com/app:2" {
        sim.relist();
        sim.turn(&key);
    }
    sim.world.edit(&POD, &pod(0), |pod| {
        pod["spec"]["containers"][0]["image"] = json!("example.com/app:fail-pull");
    });
    settle(&mut sim, &key);
    assert!(is_true(get(&sim, 2), "InPlaceUpdateReady") && is_true(get(&sim, 2), "Ready"));
    assert!(!is_true(get(&sim, 0), "Ready"));
    assert_eq!(images(&sim)[1], "example.com/app:1", "the rollout waits for pod 0");
}

/// W-14: pods without the volume of a new template are outdated, and re-created within the budget.
#[test]
fn a_claim_template_that_is_added_recreates_the_pods() {
    let (mut sim, key) = drive(web_with(2, &in_place()));
    settle(&mut sim, &key);
    let uids = |sim: &Sim| -> Vec<String> {
        sim.world.list(&POD).map(|pod| text(pod, "/metadata/uid").to_owned()).collect()
    };
    let before = uids(&sim);
    change(&mut sim, &key, &with_claims());
    settle(&mut sim, &key);
    assert!(uids(&sim).iter().all(|uid| !before.contains(uid)));
    let claims: Vec<&str> =
        sim.world.list(&CLAIM).map(|claim| text(claim, "/metadata/name")).collect();
    assert_eq!(claims, ["data-web-0", "data-web-1"]);
    assert_eq!(text(get(&sim, 0), "/spec/volumes/0/name"), "data");
}

/// W-29: several broken pods that are not wanted: the highest goes first, and none waits for another to get well.
#[test]
fn an_ordered_scale_down_removes_several_broken_pods() {
    let (mut sim, key) = drive(web(5));
    settle(&mut sim, &key);
    for at in [3, 4] {
        sim.world.edit(&POD, &pod(at), |pod| {
            pod["spec"]["containers"][0]["image"] = json!("example.com/app:fail-pull");
        });
    }
    let _ = sim.settle(&key, 400);
    assert!(!is_true(get(&sim, 3), "Ready") && !is_true(get(&sim, 4), "Ready"));
    let before = sim.writes.len();
    change(&mut sim, &key, &replicas(2));
    settle(&mut sim, &key);
    assert_eq!(sim.world.list(&POD).count(), 2);
    let deletes = sim.writes[before..].iter().filter(|write| write.verb() == "delete");
    let order: Vec<&str> = deletes.map(|write| &*write.key.name).collect();
    assert_eq!(order, ["web-4", "web-3", "web-2"]);
}

/// However many pods are to be made: one that has ended further up is replaced in the same turn.
#[test]
fn a_pod_that_ended_is_replaced_beside_any_number_of_missing_ones() {
    let (mut sim, key) =
        drive(web_with(0, &json!({ "spec": { "podManagementPolicy": "Parallel" } })));
    settle(&mut sim, &key);
    let uid = text(sim.world.get(&STATEFUL_SET, &key).unwrap(), "/metadata/uid").to_owned();
    let owner = json!([{
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    }]);
    sim.world.insert(
        &POD,
        json!({
            "metadata": { "name": "web-2500", "labels": { "app": "web" }, "ownerReferences": owner },
            "spec": { "containers": [{ "name": "app", "image": "x" }] },
            "status": { "phase": "Failed" },
        }),
    );
    change(&mut sim, &key, &replicas(3000));
    // It did not end right away.
    sim.world.now += jiff::SignedDuration::from_secs(10);
    sim.relist();
    let plan = sim.plan(&key).unwrap();
    let actions: Vec<String> = plan.actions().map(ToString::to_string).collect();
    let created = actions.iter().filter(|action| action.starts_with("create ")).count();
    assert_eq!(created, 1000);
    assert!(actions.contains(&"delete 2500 (it ended)".to_owned()), "{:?}", actions.last());
}

/// Somebody deletes a pod and takes its owner away: it is nobody's while it ends, and those below it need not wait (M-25).
#[test]
fn a_pod_that_was_let_go_and_ends_holds_up_nobody() {
    let (mut sim, key) = drive(web(5));
    settle(&mut sim, &key);
    sim.world.delete(&POD, &pod(4));
    edit(&mut sim, 4, &json!({ "ownerReferences": null }));
    change(&mut sim, &key, &replicas(3));
    sim.relist();
    sim.turn(&key).unwrap();
    assert!(is_going(&sim, 4) && is_going(&sim, 3), "the rule of properties knows of it");
}

fn is_going(sim: &Sim, ordinal: i32) -> bool {
    !get(sim, ordinal)["metadata"]["deletionTimestamp"].is_null()
}
