//! Single rules over the simulated cluster: who is matched, when nothing is done, and what a pod looks like afterwards.

use kruise_common::kind::{NAMESPACE, POD, SIDECAR_SET};
use kruise_common::plan::{Applied, Hold as _, Outcome};
use kruise_common::reconciler::Reconciler;
use kruise_common::testing::drive::Fate;
use kruise_common::write::{Category, Patch, Request, WriteError};
use kruise_sidecarset::controller::SidecarSetController as C;
use kruise_sidecarset::plan::hold::Hold;
use kruise_sidecarset::snapshot::Options;
use serde_json::{Value, json};

use crate::builders::{
    Sim, annotation, change, cluster, condition, counts, drive, drive_with, image, injected, log,
    merge, mesh, pod, pod_key, run, set_image, settle, status, strategy, text, with,
};

fn holds(sim: &Sim, key: &kruise_common::key::ObjectKey) -> Vec<String> {
    sim.plan(key).unwrap().holds.iter().map(ToString::to_string).collect()
}

/// CNF-18, EVT-13.
#[test]
fn a_set_that_updates_nothing_keeps_the_counts_of_the_moment_when_its_pods_were_made() {
    let set = with(log(), &strategy(&json!({ "type": "NotUpdate" })));
    let (mut sim, key) = drive(&set, 0);
    settle(&mut sim, &key);
    for at in 0..3 {
        sim.world.insert(&POD, injected(&format!("web-{at}"), &[&set]));
    }
    sim.relist();
    sim.turn(&key).unwrap();
    assert_eq!(counts(&sim, &key), [3, 3, 0, 0]);
    run(&mut sim.world);
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [3, 3, 0, 0], "although all are ready now");
    sim.restart();
    assert_eq!(sim.turn(&key).unwrap().writes, 0, "a restart changes nothing");
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [3, 0, 3, 0], "the spec changed: counted anew");
    assert_eq!(image(&pod(&sim, 0), "agent"), "example.com/agent:1");
    assert_eq!(holds(&sim, &key), ["NotUpdate{outdated: 3}"]);
}

/// Pods may be ready by the time of the first look: they were not when the last one was made.
#[test]
fn a_late_look_counts_as_at_the_creation_of_the_newest_pod() {
    let set = with(log(), &strategy(&json!({ "type": "NotUpdate" })));
    let (mut sim, key) = drive(&set, 0);
    settle(&mut sim, &key);
    for at in 0..3 {
        sim.world.insert(&POD, injected(&format!("web-{at}"), &[&set]));
    }
    run(&mut sim.world);
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [3, 3, 0, 0]);
    let options = Options { refresh_not_update: true, ..Options::default() };
    let (mut sim, key) = drive_with(sim.world.clone(), &set, options);
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [3, 3, 3, 3], "with the flag");
}

/// STA-1…STA-4.
#[test]
fn pods_are_matched_by_record_labels_namespace_and_containers() {
    let (mut sim, key) = drive(&log(), 5);
    let edit = |sim: &mut Sim, at: usize, change: Value| {
        sim.world.edit(&POD, &pod_key(&format!("web-{at}")), |pod| merge(pod, &change));
    };
    edit(&mut sim, 0, json!({ "metadata": { "labels": { "app": "other" } } }));
    edit(
        &mut sim,
        1,
        json!({ "metadata": { "annotations": { "kruise.io/sidecarset-injected-list": "x" } } }),
    );
    edit(&mut sim, 2, json!({ "status": { "phase": "Failed" } }));
    sim.world.edit(&POD, &pod_key("web-3"), |pod| {
        pod["spec"]["containers"][1]["name"] = json!("another");
    });
    sim.relist();
    sim.turn(&key).unwrap();
    assert_eq!(counts(&sim, &key), [1, 1, 1, 1]);
    let conditions = status(&sim, &key)["conditions"].clone();
    assert!(text(&conditions, "/0/message").starts_with("MissingContainer: 1"), "{conditions}");
    // W-16: a namespace that does not match any more.
    change(
        &mut sim,
        &key,
        &json!({ "spec": { "namespaceSelector": { "matchLabels": { "env": "prod", "kubernetes.io/metadata.name": null } } } }),
    );
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [0, 0, 0, 0]);
    let namespace = kruise_common::key::ObjectKey::new("", "default");
    sim.world.edit(&NAMESPACE, &namespace, |it| it["metadata"]["labels"]["env"] = json!("prod"));
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [1, 1, 1, 1]);
}

/// One write per pod, and one more only for the condition; only what must be is touched.
#[test]
fn an_update_is_one_patch_with_tests_of_what_it_replaces() {
    let (mut sim, key) = drive(&with(log(), &strategy(&json!({ "maxUnavailable": "100%" }))), 3);
    settle(&mut sim, &key);
    for (round, writes) in [("2", 6), ("3", 3)] {
        let before = sim.writes.len();
        set_image(&mut sim, &key, &format!("example.com/agent:{round}"));
        settle(&mut sim, &key);
        let pods: Vec<_> = sim.writes[before..].iter().filter(|write| *write.kind == POD).collect();
        assert_eq!(pods.len(), writes, "image {round}: the condition is written once");
    }
    let update = sim.writes.iter().rev().find(|it| *it.kind == POD && it.subresource().is_empty());
    let Request::Patch { patch: Patch::Json(operations), .. } = &update.unwrap().request else {
        panic!("a JSON patch")
    };
    let lines: Vec<String> = operations
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| format!("{} {}", text(operation, "/op"), text(operation, "/path")))
        .collect();
    assert_eq!(
        lines,
        [
            "test /metadata/uid",
            "test /spec/containers/1/name",
            "test /spec/containers/1/image",
            "test /status/containerStatuses/1/containerID",
            "test /metadata/annotations/kruise.io~1sidecarset-hash",
            "test /metadata/annotations/kruise.io~1sidecarset-inplace-update-state",
            "replace /spec/containers/1/image",
            "add /metadata/annotations/kruise.io~1sidecarset-hash",
            "add /metadata/annotations/kruise.io~1sidecarset-inplace-update-state",
        ]
    );
    let state: Value = serde_json::from_str(annotation(
        &pod(&sim, 0),
        "kruise.io/sidecarset-inplace-update-state",
    ))
    .unwrap();
    assert!(text(&state, "/log/lastContainerStatuses/agent/imageID").contains("agent@sha256:"));
}

/// CNF-11.
#[test]
fn two_sets_on_a_pod_share_the_condition_and_keep_each_others_records() {
    let (log, mesh) = (log(), mesh());
    let (mut sim, key) = drive_with(cluster(&[&log, &mesh], 2), &log, Options::default());
    let other = crate::builders::key_of(&mesh);
    let both = |sim: &mut Sim| {
        for _ in 0..3 {
            settle(sim, &key);
            settle(sim, &other);
        }
    };
    both(&mut sim);
    sim.world.edit(&SIDECAR_SET, &other, |set| {
        set["spec"]["containers"][0]["args"] = json!(["-v"]);
    });
    set_image(&mut sim, &key, "example.com/agent:2");
    both(&mut sim);
    let says = condition(&pod(&sim, 0), "SidecarSetUpgradable").unwrap();
    assert_eq!(says, ("False".into(), r#"{"log":true,"mesh":false}"#.into()));
    sim.world.edit(&SIDECAR_SET, &other, |set| {
        set["spec"]["containers"][0].as_object_mut().unwrap().remove("args");
    });
    both(&mut sim);
    let says = condition(&pod(&sim, 0), "SidecarSetUpgradable").unwrap();
    assert_eq!(says, ("True".into(), r#"{"log":true,"mesh":true}"#.into()), "taken back (W-12)");
    for set in [&key, &other] {
        assert_eq!(counts(&sim, set), [2, 2, 2, 2]);
    }
}

/// CND-5, W-12: what is said of a set that is gone, or never updates, does not outlive it.
#[test]
fn a_set_without_a_say_is_not_spoken_of() {
    for gone in [true, false] {
        let (log, mesh) = (log(), mesh());
        let (mut sim, key) = drive_with(cluster(&[&log, &mesh], 1), &log, Options::default());
        let other = crate::builders::key_of(&mesh);
        settle(&mut sim, &key);
        settle(&mut sim, &other);
        sim.world.edit(&SIDECAR_SET, &other, |set| {
            set["spec"]["containers"][0]["args"] = json!(["-v"]);
        });
        settle(&mut sim, &other);
        set_image(&mut sim, &key, "example.com/agent:2");
        settle(&mut sim, &key);
        let says = |sim: &Sim| condition(&pod(sim, 0), "SidecarSetUpgradable").unwrap();
        assert_eq!(says(&sim), ("False".into(), r#"{"log":true,"mesh":false}"#.into()));
        if gone {
            sim.world.delete(&SIDECAR_SET, &other);
        } else {
            let never = json!({ "spec": { "updateStrategy": { "type": "NotUpdate" } } });
            change(&mut sim, &other, &never);
            settle(&mut sim, &other);
        }
        settle(&mut sim, &key);
        assert_eq!(says(&sim), ("True".into(), r#"{"log":true}"#.into()), "gone: {gone}");
    }
}

/// INP-7, CNF-8.
#[test]
fn annotations_are_refreshed_together_with_the_image() {
    let (mut sim, key) = drive(&log(), 1);
    settle(&mut sim, &key);
    sim.world.edit(&POD, &pod_key("web-0"), |pod| {
        merge(pod, &json!({ "metadata": { "annotations": { "mine": "1", "json": r#"{"a":1}"#, "over": "x" } } }));
    });
    let patches = json!({ "spec": { "patchPodMetadata": [
        { "patchPolicy": "Retain", "annotations": { "mine": "2", "new": "2" } },
        { "patchPolicy": "MergePatchJson", "annotations": { "json": r#"{"b":"<"}"# } },
        { "patchPolicy": "Overwrite", "annotations": { "over": "y" } },
    ] } });
    change(&mut sim, &key, &patches);
    settle(&mut sim, &key);
    assert_eq!(annotation(&pod(&sim, 0), "over"), "x", "not hashed: no update");
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    let pod = pod(&sim, 0);
    let values = ["mine", "new", "json", "over"].map(|key| annotation(&pod, key));
    assert_eq!(values, ["1", "2", r#"{"a":1,"b":"\u003c"}"#, "y"]);
}

/// INJ-62: records in the oldest form are read, and rewritten by an update.
#[test]
fn records_in_the_older_form_are_read_and_converted() {
    let (mut sim, key) = drive(&log(), 1);
    sim.world.edit(&POD, &pod_key("web-0"), |pod| {
        for name in ["kruise.io/sidecarset-hash", "kruise.io/sidecarset-hash-without-image"] {
            let value: Value = serde_json::from_str(annotation(pod, name)).unwrap();
            let old = json!({ "log": value["log"]["hash"], "gone": "h" }).to_string();
            pod["metadata"]["annotations"][name] = json!(old);
        }
    });
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [1, 1, 1, 1]);
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [1, 1, 1, 1]);
    for name in ["kruise.io/sidecarset-hash", "kruise.io/sidecarset-hash-without-image"] {
        let value: Value = serde_json::from_str(annotation(&pod(&sim, 0), name)).unwrap();
        assert_eq!(text(&value, "/gone/hash"), "h", "{value}");
    }
}

/// W-11: one pod that is refused does not keep the others from being updated, even with a budget of one.
#[test]
fn a_pod_that_is_refused_does_not_hold_up_the_others() {
    let (mut sim, key) = drive(&log(), 3);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/agent:2");
    let refused = |sim: &mut Sim| {
        for _ in 0..200 {
            sim.relist();
            let snapshot = sim.observe(&key).unwrap();
            let now = sim.world.now;
            let plan = C::plan(&snapshot, now);
            let mut applied = Applied::default();
            for action in plan.actions() {
                let writes = C::apply(&snapshot, action, now);
                let forbidden = action.to_string() == "update default/web-0";
                let outcome = if forbidden {
                    Outcome::Failed(WriteError::new(
                        Category::Forbidden,
                        "a budget of pods says no",
                    ))
                } else {
                    for write in &writes {
                        let _ = sim.world.perform(write);
                    }
                    Outcome::Done
                };
                applied.outcomes.push((action.clone(), outcome));
            }
            if let Some(write) = C::status(&snapshot, &plan, &applied, now) {
                let _ = sim.world.perform(&write);
            }
            sim.attempted(&key, &applied, now);
            run(&mut sim.world);
            if plan.actions().next().is_none() {
                return plan.holds;
            }
        }
        panic!("no end")
    };
    let holds = refused(&mut sim);
    assert_eq!(counts(&sim, &key), [3, 2, 3, 2]);
    let hold = holds.iter().find(|hold| matches!(hold, Hold::Refused { .. })).unwrap();
    assert!(hold.until().is_some(), "it is tried again: {hold}");
    let conditions = status(&sim, &key)["conditions"].clone();
    assert!(text(&conditions, "/0/message").contains("a budget of pods says no"), "{conditions}");
}

/// A refusal by the server is not a refusal by the pod: the turn ends.
#[test]
fn a_failing_server_ends_the_turn_and_the_next_one_goes_on() {
    let (mut sim, key) = drive(&with(log(), &strategy(&json!({ "maxUnavailable": 3 }))), 3);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/agent:2");
    let begun = sim.writes.len();
    sim.fate = Box::new(move |done, _| if done == begun + 2 { Fate::NoAnswer } else { Fate::Done });
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [3, 3, 3, 3]);
}

/// 30.9: natives are updated only with the flag; without it a pod never claims to be updated.
#[test]
fn native_sidecars_are_never_recorded_as_updated_without_being_so() {
    let set = with(
        log(),
        &json!({ "spec": { "initContainers": [{ "name": "native", "image": "example.com/native:1", "restartPolicy": "Always" }] } }),
    );
    let (mut sim, key) = drive(&set, 1);
    settle(&mut sim, &key);
    sim.world.edit(&SIDECAR_SET, &key, |set| {
        set["spec"]["initContainers"][0]["image"] = json!("example.com/native:2");
    });
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [1, 0, 1, 0]);
    let conditions = status(&sim, &key)["conditions"].clone();
    assert!(text(&conditions, "/0/message").starts_with("NativeSidecar: 1"), "{conditions}");
    let options = Options { native_updates: true, ..Options::default() };
    let (mut sim, key) = drive_with(sim.world.clone(), &set, options);
    sim.turn(&key).unwrap();
    let pod = pod(&sim, 0);
    assert_eq!(text(&pod, "/spec/initContainers/0/image"), "example.com/native:2");
}

/// W-10: two tags of one image, and short names.
#[test]
fn another_tag_of_the_same_image_is_carried_out() {
    let mut set = log();
    set["spec"]["containers"][0]["image"] = json!("agent:same-1");
    let (mut sim, key) = drive(&set, 2);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "agent:same-2");
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [2, 2, 2, 2]);
}

/// A spec that cannot be acted upon is explained, and touches nothing.
#[test]
fn nonsense_is_explained() {
    let (mut sim, key) = drive(&log(), 1);
    settle(&mut sim, &key);
    change(&mut sim, &key, &strategy(&json!({ "maxUnavailable": "lots" })));
    set_image(&mut sim, &key, "example.com/agent:2");
    settle(&mut sim, &key);
    assert_eq!(image(&pod(&sim, 0), "agent"), "example.com/agent:1");
    let conditions = status(&sim, &key)["conditions"].clone();
    let message = text(&conditions, "/0/message");
    assert!(message.contains("spec.updateStrategy.maxUnavailable: \"lots\""), "{message}");
    change(&mut sim, &key, &strategy(&json!({ "maxUnavailable": 1 })));
    settle(&mut sim, &key);
    assert_eq!(counts(&sim, &key), [1, 1, 1, 1]);
    assert_eq!(text(&status(&sim, &key), "/conditions/0/status"), "False");
}

/// CNF-30, platform §18.6: a workload updates its own container between our decision and our write.
#[test]
fn a_workload_may_change_its_own_containers_at_the_same_time() {
    let (mut sim, key) = drive(&log(), 1);
    settle(&mut sim, &key);
    set_image(&mut sim, &key, "example.com/agent:2");
    sim.relist();
    let snapshot = sim.observe(&key).unwrap();
    let plan = C::plan(&snapshot, sim.world.now);
    sim.world.edit(&POD, &pod_key("web-0"), |pod| {
        pod["spec"]["containers"][0]["image"] = json!("example.com/app:2");
        merge(pod, &json!({ "metadata": { "annotations": { "apps.kruise.io/inplace-update-state": "{}" } } }));
    });
    for action in plan.actions() {
        for write in C::apply(&snapshot, action, sim.world.now) {
            sim.world.perform(&write).unwrap();
        }
    }
    let pod = pod(&sim, 0);
    assert_eq!(
        (image(&pod, "app"), image(&pod, "agent")),
        ("example.com/app:2".into(), "example.com/agent:2".into())
    );
    assert_eq!(annotation(&pod, "apps.kruise.io/inplace-update-state"), "{}");
}

/// UPD-24, W-42: pods that are not ready go all at once, unless the set asks for caution.
#[test]
fn pods_that_are_not_ready_wait_for_the_budget_on_request() {
    let broken = with(
        log(),
        &json!({ "spec": { "containers": [{ "name": "agent", "image": "example.com/agent:fail-pull" }] } }),
    );
    for (asked, wanted) in [("false", 4), ("true", 1)] {
        let (mut sim, key) = drive(&broken, 4);
        settle(&mut sim, &key);
        assert_eq!(counts(&sim, &key), [4, 4, 0, 0]);
        let caution = json!({ "kruise.io/sidecarset-update-not-ready-within-budget": asked });
        change(&mut sim, &key, &json!({ "metadata": { "annotations": caution } }));
        set_image(&mut sim, &key, "example.com/agent:2");
        sim.relist();
        let plan = sim.plan(&key).unwrap();
        let updates = plan.actions().filter(|it| it.to_string().starts_with("update ")).count();
        assert_eq!(updates, wanted, "{asked}");
        settle(&mut sim, &key);
        assert_eq!(counts(&sim, &key), [4, 4, 4, 4]);
    }
}

/// OPS-6.
#[test]
fn pods_are_counted_by_state() {
    let (mut sim, key) = drive(&log(), 3);
    settle(&mut sim, &key);
    let states = |sim: &Sim| -> Vec<String> {
        let measures = C::measures(&sim.observe(&key).unwrap(), sim.world.now);
        measures.iter().map(|it| format!("{} {}", it.value, it.amount)).collect()
    };
    assert_eq!(states(&sim), ["matched 3", "updated 3", "ready 3"]);
    change(
        &mut sim,
        &key,
        &json!({ "spec": { "containers": [{ "name": "agent", "image": "example.com/agent:1", "args": ["-v"] }] } }),
    );
    sim.relist();
    assert_eq!(states(&sim), ["matched 3", "ready 3", "not-upgradable 3"]);
}
