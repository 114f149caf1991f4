#![expect(clippy::needless_pass_by_value, reason = "literals read better without &")]

use std::collections::BTreeMap;
use std::sync::Arc;

use kruise_common::intern::Interner;
use kruise_common::meta::Pairs;
use kruise_common::revision::Revision;
use serde_json::{Value, json};

use super::captured;
use super::inject::{now, set};
use crate::choose::{Chosen, Newcomer, Offer, choose};
use crate::object::SidecarSet;
use crate::recorded::Library;

const V1: &str = "log-v1";

/// A revision of the set `log` with one container of the image `log:1`.
fn recorded() -> Vec<Arc<Revision>> {
    let containers = json!([{ "name": "log", "image": "log:1" }]);
    recorded_as(&json!({ "spec": { "$patch": "replace", "containers": containers } }))
}

fn recorded_as(data: &Value) -> Vec<Arc<Revision>> {
    let object = json!({
        "metadata": {
            "name": V1, "labels": { "kruise.io/sidecarset-name": "log", "apps.kruise.io/sidecarset-custom-version": "v1" },
            "annotations": { "kruise.io/sidecarset-hash": "old", "kruise.io/sidecarset-hash-without-image": "old-blank" },
        },
        "revision": 1,
        "data": data,
    });
    vec![Arc::new(captured::revision(&object.to_string()))]
}

fn log(strategy: &Value, revision: &Value) -> Arc<SidecarSet> {
    let mut spec = json!({
        "containers": [{ "name": "log", "image": "log:2" }], "updateStrategy": strategy,
        "injectionStrategy": { "revision": revision },
    });
    if revision.is_null() {
        spec.as_object_mut().unwrap().remove("injectionStrategy");
    }
    set("log", &spec)
}

fn pairs(value: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(value.clone()).unwrap()
}

fn asked(
    sets: &[Arc<SidecarSet>],
    annotations: &Value,
    namespace: Option<&Value>,
    chance: f64,
) -> Result<Vec<Chosen>, String> {
    asked_of(sets, &recorded(), annotations, namespace, chance)
}

fn asked_of(
    sets: &[Arc<SidecarSet>],
    revisions: &[Arc<Revision>],
    annotations: &Value,
    namespace: Option<&Value>,
    chance: f64,
) -> Result<Vec<Chosen>, String> {
    let (labels, annotations) = (pairs(&json!({ "app": "web" })), pairs(annotations));
    let known = namespace.map(|labels| Pairs::interned(&pairs(labels), &Interner::default()));
    let pod = Newcomer {
        labels: &labels,
        annotations: &annotations,
        namespace: "shop",
        namespace_labels: known.as_ref(),
    };
    let offer = Offer {
        sets,
        revisions: &|_| revisions.to_vec(),
        library: &Library::default(),
        opt_out: true,
        chance: &|_, _| chance,
        now: now(),
    };
    choose(&pod, &offer).map_err(|error| error.to_string())
}

fn names(sets: &[Arc<SidecarSet>]) -> Vec<String> {
    asked(sets, &json!({}), None, 0.5).unwrap().iter().map(|set| set.set.to_string()).collect()
}

/// SEL-1…SEL-5, SEL-7, SEL-9, CNF-2, CNF-4, CNF-25.
#[test]
fn the_sets_of_a_pod() {
    let container = |more: &Value| {
        let mut spec = json!({ "containers": [{ "name": "c", "image": "i" }] });
        json_patch::merge(&mut spec, more);
        spec
    };
    let plain = |name: &str, more: Value| set(name, &container(&more));
    assert_eq!(names(&[plain("b", json!({})), plain("a", json!({}))]), ["a", "b"]);
    for other in [
        json!({ "injectionStrategy": { "paused": true } }),
        json!({ "selector": { "matchLabels": { "app": "db" } } }),
        json!({ "namespace": "other" }),
        json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "other" } } }),
    ] {
        assert_eq!(names(&[plain("a", other)]), [] as [&str; 0]);
    }
    for same in [
        json!({ "updateStrategy": { "type": "NotUpdate", "paused": true } }),
        json!({ "namespace": "shop" }),
        json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "shop" } } }),
    ] {
        assert_eq!(names(&[plain("a", same)]), ["a"]);
    }
    let canary = |more: Value| {
        let mut object = json!({
            "metadata": { "name": "canary", "annotations": {
                "apps.kruise.io/sidecarset-canary": "true", "apps.kruise.io/sidecarset-base": "base",
            } },
            "spec": container(&json!({ "selector": { "matchLabels": { "app": "web" } } })),
        });
        json_patch::merge(&mut object["spec"], &more);
        Arc::new(captured::set(&object))
    };
    let base = plain("base", json!({}));
    assert_eq!(names(&[base.clone(), canary(json!({}))]), ["canary"]);
    let paused = canary(json!({ "injectionStrategy": { "paused": true } }));
    assert_eq!(names(&[base.clone(), paused]), ["base"], "a paused canary replaces nothing");
    let elsewhere = canary(json!({ "selector": { "matchLabels": { "app": "db" } } }));
    assert_eq!(names(&[base, elsewhere]), ["base"]);
    let pinned = || {
        let mut set = log(&json!({}), &json!({ "revisionName": V1 })).as_ref().clone();
        let canary = [("canary", "true"), ("base", "base")];
        let key = |(what, value): (&str, &str)| {
            (format!("apps.kruise.io/sidecarset-{what}"), value.to_owned())
        };
        set.annotations.extend(canary.map(key));
        Arc::new(set)
    };
    let base = plain("base", json!({}));
    assert_eq!(names(&[base, pinned()]), ["log"], "SEL-5: what the set is now counts");
    let leaving = json!({
        "metadata": { "name": "leaving", "deletionTimestamp": "2026-11-23T00:04:32Z", "finalizers": ["a/b"] },
        "spec": container(&json!({ "selector": { "matchLabels": { "app": "web" } } })),
    });
    assert_eq!(names(&[Arc::new(captured::set(&leaving))]), ["leaving"], "SEL-9");
    // A set that cannot be read stops no pod.
    let broken = Arc::new(captured::set(
        &json!({ "metadata": { "name": "x" }, "spec": { "containers": 7 } }),
    ));
    assert_eq!(names(&[broken, plain("a", json!({}))]), ["a"]);
}

/// SEL-2, W-5.
#[test]
fn an_unknown_namespace_is_no_mismatch() {
    let selected = json!({
        "containers": [{ "name": "c", "image": "i" }], "namespaceSelector": { "matchLabels": { "env": "prod" } },
    });
    let sets = [set("a", &selected)];
    let of = |labels: Option<&Value>| asked(&sets, &json!({}), labels, 0.0).map(|sets| sets.len());
    assert_eq!(of(Some(&json!({ "env": "prod" }))), Ok(1));
    assert_eq!(of(Some(&json!({}))), Ok(0));
    let text = "sidecarset a: the labels of namespace shop are not known yet; try again";
    assert_eq!(of(None), Err(text.to_owned()));
}

fn revision(strategy: Value, revision: Value, chance: f64) -> String {
    let chosen = asked(&[log(&strategy, &revision)], &json!({}), None, chance).unwrap();
    chosen[0].revision.clone()
}

/// REV-1…REV-8, CNF-22, CNF-24.
#[test]
fn the_revision_of_a_set() {
    let of = |strategy: Value, policy: &str, chance: f64| {
        revision(strategy, json!({ "customVersion": "v1", "policy": policy }), chance) == V1
    };
    assert_ne!(revision(json!({}), Value::Null, 0.0), V1);
    assert_eq!(revision(json!({}), json!({ "revisionName": V1 }), 0.0), V1);
    assert_eq!(revision(json!({}), json!({ "revisionName": V1, "customVersion": "x" }), 0.0), V1);
    for policy in ["Always", "", "Unheard"] {
        assert!(of(json!({ "partition": "0%" }), policy, 0.5), "{policy}");
    }
    assert!(of(json!({ "paused": true }), "Partial", 0.5), "REV-4");
    let miss = json!({ "matchLabels": { "app": "db" } });
    let hit = json!({ "matchLabels": { "app": "web" } });
    assert!(of(json!({ "selector": miss }), "Partial", 0.5), "REV-6");
    assert!(!of(json!({ "selector": hit }), "Partial", 0.5));
    for (partition, chance, recorded) in [
        (json!(5), 0.0, false),
        (json!("0%"), 0.0, false),
        (json!("100%"), 0.999, true),
        (json!("90%"), 0.89, true),
        (json!("90%"), 0.9, false),
    ] {
        assert_eq!(
            of(json!({ "partition": partition }), "Partial", chance),
            recorded,
            "{partition} {chance}"
        );
        let never = json!({ "type": "NotUpdate", "partition": partition });
        assert_eq!(of(never, "Partial", chance), recorded, "REV-8: {partition} {chance}");
    }
}

#[test]
fn a_recorded_revision_brings_its_own_hashes() {
    let set = log(&json!({}), &json!({ "revisionName": V1 }));
    let chosen = asked(&[set], &json!({}), None, 0.0).unwrap();
    assert_eq!((&*chosen[0].hashes.full, &*chosen[0].hashes.without_image), ("old", "old-blank"));
    assert_eq!(chosen[0].prepared.containers[0].core["image"], "log:1");
}

/// REV-2, REV-7.
#[test]
fn a_revision_that_cannot_be_used_refuses_the_pod() {
    let of = |strategy: Value, revision: Value| {
        asked(&[log(&strategy, &revision)], &json!({}), None, 0.0).unwrap_err()
    };
    let unreadable = |chance: f64| {
        let damaged = recorded_as(&json!({ "spec": { "containers": 7 } }));
        let partial = json!({ "customVersion": "v1", "policy": "Partial" });
        let set = log(&json!({ "partition": "50%" }), &partial);
        asked_of(&[set], &damaged, &json!({}), None, chance).unwrap_err()
    };
    assert_eq!(unreadable(0.9), unreadable(0.1), "whatever lot the pod draws");
    let missing = of(json!({}), json!({ "customVersion": "v9" }));
    assert_eq!(missing, "sidecarset log: ControllerRevision.apps \"log\" not found");
    let partition =
        of(json!({ "partition": "x%" }), json!({ "customVersion": "v1", "policy": "Partial" }));
    assert_eq!(partition, "sidecarset log: updateStrategy.partition: \"x%\" is not a percentage");
}

/// A pod that the API server shows twice gets what it got (INJ-70).
#[test]
fn a_second_look_does_not_throw_the_dice_again() {
    let set =
        log(&json!({ "partition": "50%" }), &json!({ "customVersion": "v1", "policy": "Partial" }));
    let latest =
        asked(std::slice::from_ref(&set), &json!({}), None, 0.9).unwrap()[0].revision.clone();
    for (before, chance) in [(V1, 0.9), (latest.as_str(), 0.1)] {
        let of = |time: &str, more: Value| {
            let record =
                json!({ "log": { "updateTimestamp": time, "controllerRevision": before } });
            let mut annotations = json!({ "kruise.io/sidecarset-hash": record.to_string() });
            json_patch::merge(&mut annotations, &more);
            let chosen = asked(std::slice::from_ref(&set), &annotations, None, chance).unwrap();
            chosen[0].revision.clone()
        };
        let just_now = "2026-11-23T00:03:32Z";
        assert_eq!(of(just_now, json!({})), before);
        // REV-7: a pod that was copied from an older one, or from one that was updated, draws its own lot.
        assert_ne!(of("2026-11-22T23:04:32Z", json!({})), before);
        let updated = json!({ "kruise.io/sidecarset-inplace-update-state": "{}" });
        assert_ne!(of(just_now, updated), before);
    }
}

/// REV-10: right after a change the status still names the revision before.
#[test]
fn the_latest_revision_follows_from_the_spec() {
    let container = json!({ "name": "c", "image": "i" });
    let object = |generation: i64| {
        json!({
            "metadata": { "name": "a", "generation": generation },
            "spec": { "containers": [container], "selector": { "matchLabels": { "app": "web" } } },
            "status": { "latestRevision": "a-known", "observedGeneration": 1, "collisionCount": 0 },
        })
    };
    let of = |generation| {
        asked(&[Arc::new(captured::set(&object(generation)))], &json!({}), None, 0.0).unwrap()[0]
            .revision
            .clone()
    };
    assert_eq!(of(1), "a-known");
    let data =
        crate::revision::data(&serde_json::from_str(&object(2)["spec"].to_string()).unwrap())
            .unwrap();
    assert_eq!(of(2), crate::revision::name("a", &data, 0));
}

/// W-47: a pod that says so does without some sets or all, where the controller allows it.
#[test]
fn a_pod_may_do_without_sets() {
    let sets: Vec<_> = ["a", "b"]
        .map(|name| set(name, &json!({ "containers": [{ "name": name, "image": "i" }] })))
        .into();
    let key = "kruise.io/sidecarset-skip";
    for (said, left) in [
        ("", vec!["a", "b"]),
        ("a", vec!["b"]),
        ("b, a", vec![]),
        ("*", vec![]),
        ("c,aa", vec!["a", "b"]),
    ] {
        let chosen = asked(&sets, &json!({ key: said }), None, 0.5).unwrap();
        let names: Vec<&str> = chosen.iter().map(|set| &*set.set).collect();
        assert_eq!(names, left, "{said}");
    }
}
