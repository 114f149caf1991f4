//! Random pods, sets and annotations. In CI bounded by the number of cases; longer on demand:
//! `FUZZ_CASES=1000000 cargo test -p kruise-sidecarset fuzz`.

use std::sync::Arc;

use kruise_common::admission::patch::Patch;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{chosen, inject, patched, settings};
use crate::containers::{Entries, Entry, injected_sets, working};
use crate::object::SidecarSet;
use crate::prepared::Sidecar;

fn config() -> ProptestConfig {
    let cases = std::env::var_os("FUZZ_CASES").and_then(|text| text.to_str()?.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(256),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Any JSON, some of it deep or of members that mean something.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
        "[a-z\"\\\\{}$():/é]{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        "[a-z]{1,3}",
        prop::sample::select(vec![
            "name",
            "env",
            "value",
            "valueFrom",
            "volumeMounts",
            "mountPath",
            "subPathExpr",
            "volumeDevices",
            "devicePath",
            "resources",
            "limits",
            "requests",
            "cpu",
            "memory",
            "image",
            "restartPolicy",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(key.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

const METADATA: [&str; 4] = ["name", "labels", "annotations", "namespace"];
const LISTS: [&str; 4] = ["containers", "initContainers", "volumes", "imagePullSecrets"];

/// An object that has some members, each of them nearly anything.
fn shape(members: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let object = btree_map("[a-z]{1,5}", "[a-z]{0,3}", 0..2).prop_map(|map| json!(map));
    let named = vec(container("[a-f]"), 0..3).prop_map(Value::from);
    let value = prop_oneof![anything(), object, named];
    let member = prop::sample::select(members).prop_map(str::to_owned);
    btree_map(member, value, 0..4).prop_map(|map| json!(map))
}

/// A container: mostly right, with anything beside or instead.
fn container(names: &'static str) -> impl Strategy<Value = Value> {
    let env = vec(("[A-C]", "[x<&\"\\\\é]{0,2}"), 0..3).prop_map(|env| {
        env.into_iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect::<Vec<_>>()
    });
    let mounts = vec(("[vw]", "/[a&<]", "(\\$\\([A-C]\\))?"), 0..3).prop_map(|mounts| {
        let mount = |(name, path, sub): (String, String, String)| json!({ "name": name, "mountPath": path, "subPathExpr": sub });
        mounts.into_iter().map(mount).collect::<Vec<_>>()
    });
    (
        names,
        "[a-z]{1,5}:[12]",
        env,
        mounts,
        proptest::option::weighted(0.2, ("[a-z]{1,13}", anything())),
    )
        .prop_map(|(name, image, env, mounts, more)| {
            let mut container =
                json!({ "name": name, "image": image, "env": env, "volumeMounts": mounts });
            if let Some((member, value)) = more {
                container[member] = value;
            }
            container
        })
}

fn annotations() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z,{}\"]{0,12}",
        anything().prop_map(|value| value.to_string()),
        Just(r#"{"a":"legacy"}"#.to_owned()),
    ];
    let key = prop::sample::select(vec![
        "kruise.io/sidecarset-hash",
        "kruise.io/sidecarset-hash-without-image",
        "kruise.io/sidecarset-injected-list",
        "kruise.io/sidecarset-working-hotupgrade-container",
        "kruise.io/sidecarset-inplace-update-state",
        "k",
        "main",
    ]);
    btree_map(key, text, 0..3).prop_map(|map| json!(map))
}

fn pod() -> impl Strategy<Value = Value> {
    let containers = vec(container("[a-f]"), 0..4);
    (
        annotations(),
        containers,
        vec(container("[g-k]"), 0..2),
        proptest::option::weighted(0.3, anything()),
    )
        .prop_map(|(annotations, containers, init, more)| {
            let mut pod = json!({
                "metadata": { "labels": { "app": "web" }, "annotations": annotations },
                "spec": { "containers": containers, "initContainers": init, "unknown": more },
            });
            if pod["spec"]["unknown"].is_null() {
                pod["metadata"]["annotations"] = Value::Null;
            }
            pod
        })
}

fn spec() -> impl Strategy<Value = Value> {
    let extension = prop_oneof![
        Just(json!({})),
        Just(
            json!({ "podInjectPolicy": "AfterAppContainer", "shareVolumePolicy": { "type": "enabled" } })
        ),
        Just(
            json!({ "shareVolumePolicy": { "type": "enabled" }, "shareVolumeDevicePolicy": { "type": "enabled" } })
        ),
        Just(
            json!({ "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e" } })
        ),
        Just(json!({ "transferEnv": [{ "sourceContainerName": "a", "envNames": ["A", "B"] }] })),
        Just(json!({ "resourcesPolicy": {
            "targetContainersMode": "sum", "targetContainersNameRegex": ".*", "resourcesExpr": { "requests": { "cpu": "cpu+1" } },
        } })),
    ];
    let sidecar = |names| {
        (container(names), extension.clone()).prop_map(|(mut container, extension)| {
            json_patch::merge(&mut container, &extension);
            container
        })
    };
    let policy = prop::sample::select(vec!["Retain", "Overwrite", "MergePatchJson", "?"]);
    (vec(sidecar("[e-m]"), 0..3), vec(sidecar("[n-q]"), 0..2), policy, "[{}a:1\"]{0,6}").prop_map(
        |(containers, init, policy, value)| {
            json!({
                "containers": containers, "initContainers": init,
                "volumes": [{ "name": "v", "emptyDir": {} }], "imagePullSecrets": [{ "name": "s" }],
                "patchPodMetadata": [{ "annotations": { "k": value }, "patchPolicy": policy }],
            })
        },
    )
}

/// Patches of one annotation by two sets.
fn merged() -> impl Strategy<Value = Option<[Value; 2]>> {
    let members = |names: &'static str| {
        btree_map(names, anything(), 0..3).prop_map(|members| {
            json!({ "annotations": { "k": json!(members).to_string() }, "patchPolicy": "MergePatchJson" })
        })
    };
    proptest::option::of((members("[a-d]"), members("[c-f]")).prop_map(|(one, two)| [one, two]))
}

/// The set, if the API server would store it: wrong types of what the schema describes never arrive.
fn stored(name: &str, spec: &Value) -> Option<Arc<SidecarSet>> {
    let set = super::set(name, spec);
    set.content.is_ok().then_some(set)
}

fn strip(pod: &mut Value, names: &[String]) {
    for list in ["containers", "initContainers"] {
        if let Some(items) = pod["spec"][list].as_array_mut() {
            items.retain(|item| !names.iter().any(|name| item["name"] == **name));
        }
    }
    pod["metadata"].as_object_mut().unwrap().remove("annotations");
    for list in ["volumes", "imagePullSecrets"] {
        pod["spec"].as_object_mut().unwrap().remove(list);
    }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever arrives: an answer; a patch that applies; a second one that is empty; nothing lost that was there.
    #[test]
    fn fuzz_injection(pod in pod(), mut first in spec(), mut second in spec(), merged in merged()) {
        // Two sets that patch one annotation in ways that exclude each other are never admitted (VAL-74); merges are.
        if let Some([one, two]) = merged {
            first["patchPodMetadata"][0] = one;
            second["patchPodMetadata"][0] = two;
        } else {
            second["patchPodMetadata"][0]["annotations"] = json!({ "main": "{}" });
        }
        let sets: Vec<_> = [stored("a", &first), stored("b", &second)].into_iter().flatten().collect();
        let set = chosen(&pod, &sets);
        let Ok(injection) = inject(&pod, &set, settings(false)) else { return Ok(()) };
        let after = patched(&pod, &injection.patch);
        let again = inject(&after, &chosen(&after, &sets), settings(false)).unwrap();
        prop_assert_eq!(again.patch, Patch::default());
        let sidecars = set.iter().flat_map(|set| set.prepared.sidecars());
        let names = |sidecar: &Sidecar| sidecar.form.names().map(str::to_owned).collect::<Vec<_>>();
        let names: Vec<String> = sidecars.flat_map(names).collect();
        let (mut before, mut later) = (pod, after);
        strip(&mut before, &names);
        strip(&mut later, &names);
        for list in ["containers", "initContainers"] {
            if before["spec"][list].as_array().is_none_or(Vec::is_empty) {
                before["spec"].as_object_mut().unwrap().remove(list);
                later["spec"].as_object_mut().unwrap().remove(list);
            }
        }
        prop_assert_eq!(before, later);
    }

    /// A pod of any shape at all is injected or refused.
    #[test]
    fn fuzz_shapes(pod in anything(), metadata in shape(&METADATA), lists in shape(&LISTS), spec in spec()) {
        let mut pod = pod;
        if let Some(object) = pod.as_object_mut() {
            object.insert("metadata".to_owned(), metadata);
            object.insert("spec".to_owned(), lists);
        }
        let Some(set) = stored("a", &spec) else { return Ok(()) };
        let labelled = super::pod(&json!({}));
        let chosen = chosen(&labelled, &[set]);
        if let Ok(injection) = inject(&pod, &chosen, settings(true)) && pod["spec"].is_object() {
            patched(&pod, &injection.patch);
        }
    }

    /// A new record is written as one that was read.
    #[test]
    fn records_are_written_alike(hash in "\\PC{0,9}", set in "\\PC{0,9}", names in vec("\\PC{0,9}", 0..3), revision in "\\PC{0,9}", time in 0..4_000_000_000_i64) {
        let updated = jiff::Timestamp::new(time, 700_000_000).unwrap();
        let mut entries = Entries::default();
        entries.set(Entry { updated, hash, set, sidecars: names.into(), revision });
        let text = entries.encode().unwrap();
        prop_assert_eq!(Entries::parse(Some(&text)).unwrap().encode().unwrap(), text);
    }

    /// Every decoder of annotations answers, and what it accepts it can write.
    #[test]
    fn fuzz_annotations(text in "\\PC{0,40}", value in anything()) {
        for text in [text, value.to_string(), json!({ "a": value }).to_string()] {
            if let Ok(entries) = Entries::parse(Some(&text)) {
                let written = entries.encode().unwrap();
                prop_assert_eq!(Entries::parse(Some(&written)).unwrap().encode().unwrap(), written);
            }
            let annotations = [
                ("kruise.io/sidecarset-injected-list".to_owned(), text.clone()),
                ("kruise.io/sidecarset-working-hotupgrade-container".to_owned(), text.clone()),
            ];
            let annotations = annotations.into_iter().collect();
            let _: &std::collections::BTreeMap<String, String> = &annotations;
            for set in injected_sets(&annotations) {
                prop_assert!(!set.is_empty());
            }
            let _ = working(&annotations);
        }
    }

    /// Specs of any shape are read or refused, prepared or refused, hashed or refused.
    #[test]
    fn fuzz_sets(spec in anything(), mut rich in spec(), odd in anything()) {
        super::set("a", &json!({ "containers": [spec], "volumes": [odd] }));
        rich["updateStrategy"] = odd;
        super::set("a", &rich);
    }
}

/// JSON that is as deep as a parser goes.
#[test]
fn deep_pods_are_no_danger() {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let pod = super::pod(&json!({ "spec": { "deep": deep } }));
    let set =
        super::set("a", &json!({ "containers": [{ "name": "s", "image": "i", "deep": deep }] }));
    assert_eq!(super::injected(&pod, &[set])["spec"]["deep"], deep);
}
