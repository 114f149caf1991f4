//! Whole injections: captured pods, and what every injection has in common. One file below for each part.

mod containers;
mod env;
mod fuzz;
mod hot_upgrade;
mod metadata;
mod resources;
mod volumes;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kruise_common::admission::patch::Patch;
use serde_json::{Value, json};

use super::captured;
use crate::choose::{Chosen, Newcomer, Offer, Refusal, choose};
use crate::incoming::Incoming;
use crate::inject::{Injection, Settings};
use crate::object::SidecarSet;
use crate::recorded::Library;

pub fn now() -> Timestamp {
    "2026-11-23T00:04:32Z".parse().unwrap()
}

pub fn settings(sorted: bool) -> Settings {
    Settings { now: now(), sorted, strict: false }
}

/// A set with a spec, as the webhook of sets leaves it.
pub fn set(name: &str, spec: &Value) -> Arc<SidecarSet> {
    let mut object = json!({ "metadata": { "name": name, "generation": 1 }, "spec": spec });
    if object["spec"].get("selector").is_none() {
        object["spec"]["selector"] = json!({ "matchLabels": { "app": "web" } });
    }
    kruise_api::sidecarset::default::default_object(&mut object);
    Arc::new(captured::set(&object))
}

/// The same set with an annotation that says `true`.
pub fn asking(set: &Arc<SidecarSet>, key: &str) -> Arc<SidecarSet> {
    let mut set = SidecarSet::clone(set);
    set.annotations.insert(key.to_owned(), "true".to_owned());
    Arc::new(set)
}

/// Injects sets into a pod, as an API server writes it: Go escapes some characters of strings, and there are none elsewhere.
pub fn inject(pod: &Value, chosen: &[Chosen], settings: Settings) -> Result<Injection, Refusal> {
    let text = pod.to_string();
    let text = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let incoming =
        Incoming::read(&text).map_err(|error| Refusal::Other(format!("pod: {error}")))?;
    crate::inject::inject(&incoming, chosen, settings)
}

/// Labels or annotations of a pod.
fn pairs(pod: &Value, member: &str) -> BTreeMap<String, String> {
    let pairs = pod["metadata"][member].as_object().into_iter().flatten();
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    pairs.filter_map(text).collect()
}

/// The sets that a pod in namespace `cap` gets.
pub fn chosen(pod: &Value, sets: &[Arc<SidecarSet>]) -> Vec<Chosen> {
    let (labels, annotations) = (pairs(pod, "labels"), pairs(pod, "annotations"));
    let pod = Newcomer {
        labels: &labels,
        annotations: &annotations,
        namespace: "cap",
        namespace_labels: None,
    };
    choose(
        &pod,
        &Offer {
            sets,
            revisions: &|_| Vec::new(),
            library: &Library::default(),
            opt_out: false,
            chance: &|_, _| 0.5,
            now: now(),
        },
    )
    .unwrap()
}

/// The pod after its injection and what is said about it; injecting again, within the same request, changes nothing.
pub fn outcome(pod: &Value, sets: &[Arc<SidecarSet>]) -> Result<(Value, Vec<String>), Refusal> {
    let injection = inject(pod, &chosen(pod, sets), settings(false))?;
    let after = patched(pod, &injection.patch);
    let later = Settings { now: "2026-11-23T00:05:32Z".parse().unwrap(), ..settings(false) };
    let again = inject(&after, &chosen(&after, sets), later)?;
    assert_eq!(again.patch, Patch::default(), "injected twice: {after}");
    Ok((after, injection.warnings))
}

pub fn patched(pod: &Value, patch: &Patch) -> Value {
    let patch: json_patch::Patch = serde_json::from_slice(patch.text()).unwrap();
    let mut after = pod.clone();
    json_patch::patch(&mut after, &patch).unwrap();
    after
}

pub fn injected(pod: &Value, sets: &[Arc<SidecarSet>]) -> Value {
    outcome(pod, sets).unwrap().0
}

/// The pod after another look at it an hour later: it was copied from one that was injected then.
pub fn copied(pod: &Value, sets: &[Arc<SidecarSet>]) -> Value {
    let later = Settings { now: "2026-11-23T01:04:32Z".parse().unwrap(), ..settings(false) };
    patched(pod, &inject(pod, &chosen(pod, sets), later).unwrap().patch)
}

pub fn refused(pod: &Value, sets: &[Arc<SidecarSet>]) -> String {
    outcome(pod, sets).unwrap_err().to_string()
}

/// A pod of an application with one container, with changes.
pub fn pod(change: &Value) -> Value {
    let mut pod = json!({
        "metadata": { "name": "web-0", "namespace": "cap", "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "app", "image": "app:1" }] },
    });
    json_patch::merge(&mut pod, change);
    pod
}

pub fn names(pod: &Value, list: &str) -> Vec<String> {
    let items = pod["spec"][list].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

/// A member of the pod's list, by name.
pub fn item<'a>(pod: &'a Value, list: &str, name: &str) -> &'a Value {
    pod["spec"][list].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap()
}

/// The pod as it was when the webhook was asked: without what OpenKruise added.
fn before(captured: &Value, sets: &[Arc<SidecarSet>]) -> Value {
    let mut pod = captured.clone();
    pod.as_object_mut().unwrap().remove("status");
    let last = "kubectl.kubernetes.io/last-applied-configuration";
    let manifest: Value =
        serde_json::from_str(captured["metadata"]["annotations"][last].as_str().unwrap()).unwrap();
    let mut annotations = manifest["metadata"]["annotations"].clone();
    annotations[last] = captured["metadata"]["annotations"][last].clone();
    pod["metadata"]["annotations"] = annotations;
    let own: BTreeMap<&str, Vec<String>> = ["initContainers", "containers", "volumes"]
        .into_iter()
        .map(|list| (list, names(&json!({ "spec": manifest["spec"] }), list)))
        .collect();
    let volumes: Vec<String> = sets
        .iter()
        .flat_map(|set| set.content.as_ref().unwrap().prepared.volumes.keys().cloned())
        .collect();
    for (list, own) in own {
        if let Some(items) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) {
            items.retain(|item| {
                let name = item["name"].as_str().unwrap().to_owned();
                own.contains(&name) || (list == "volumes" && !volumes.contains(&name))
            });
            if items.is_empty() {
                pod["spec"].as_object_mut().unwrap().remove(list);
            }
        }
    }
    pod["spec"].as_object_mut().unwrap().remove("imagePullSecrets");
    pod
}

/// What the API server adds to injected containers after the webhook.
fn admitted(mut pod: Value) -> Value {
    let all = pod["spec"]["containers"].as_array().unwrap();
    let token = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mut mount = all.iter().flat_map(|c| c["volumeMounts"].as_array().unwrap_or(&EMPTY));
    let mount = mount.find(|mount| mount["mountPath"] == token).cloned().unwrap();
    for list in ["initContainers", "containers"] {
        let Some(items) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else { continue };
        for container in items {
            let mounts =
                container.as_object_mut().unwrap().entry("volumeMounts").or_insert(json!([]));
            let mounts = mounts.as_array_mut().unwrap();
            if mounts.iter().all(|mount| mount["mountPath"] != token) {
                mounts.push(mount.clone());
            }
            let variables = container.get_mut("env").and_then(Value::as_array_mut);
            for variable in variables.into_iter().flatten() {
                if let Some(reference) = variable.pointer_mut("/valueFrom/fieldRef") {
                    reference["apiVersion"] = json!("v1");
                }
            }
        }
    }
    pod
}

static EMPTY: Vec<Value> = Vec::new();

/// Every captured pod of both gate sets: the injected pod is OpenKruise's, byte for byte in the annotations.
#[test]
fn captured_pods_are_injected_as_openkruise_did() {
    let mut seen = 0;
    for gates in captured::GATES {
        let folder = captured::folder().join(gates).join("1-created");
        let file = |name: &str| captured::json(&folder.join(name));
        let mut sets: Vec<Arc<SidecarSet>> = Vec::new();
        for name in ["full", "h-old", "h-rich", "hot", "mini", "native"] {
            let path = folder.join(format!("sidecarsets.v1beta1.{name}.json"));
            if path.exists() {
                sets.push(Arc::new(captured::set(&captured::json(&path))));
            }
        }
        for name in ["mini", "hot", "native", "target"] {
            let mut expected = file(&format!("pods.{name}.json"));
            let origin = before(&expected, &sets);
            let entries = expected["metadata"]["annotations"]["kruise.io/sidecarset-hash"].as_str();
            let time = entries.map(|text| {
                let entries: Value = serde_json::from_str(text).unwrap();
                let entry = entries.as_object().unwrap().values().next().unwrap();
                entry["updateTimestamp"].as_str().unwrap().parse().unwrap()
            });
            let settings =
                Settings { now: time.unwrap_or_else(now), ..settings(gates == "all-gates") };
            let injection = inject(&origin, &chosen(&origin, &sets), settings).unwrap();
            assert_eq!(injection.warnings, [] as [&str; 0]);
            expected.as_object_mut().unwrap().remove("status");
            assert_eq!(admitted(patched(&origin, &injection.patch)), expected, "{gates} {name}");
            // Two injectors at once: ours is asked behind OpenKruise's, and has nothing to add (platform §18.3).
            let again = inject(&expected, &chosen(&expected, &sets), settings).unwrap();
            assert_eq!(again.patch, Patch::default(), "{gates} {name}");
            seen += usize::from(!injection.patch.is_empty());
        }
    }
    assert_eq!(seen, 7, "target has no set under default gates");
}

/// CNF-1, SEL-6: containers of two sets in one creation, in the order of the sets' names.
#[test]
fn sets_are_injected_in_the_order_of_their_names() {
    let one = |name: &str| json!({ "containers": [{ "name": name, "image": "i:1" }] });
    let sets = [set("b", &one("y")), set("a", &one("z"))];
    let after = injected(&pod(&json!({})), &sets);
    assert_eq!(names(&after, "containers"), ["z", "y", "app"]);
    assert_eq!(after["metadata"]["annotations"]["kruise.io/sidecarset-injected-list"], "a,b");
    // INJ-49: by name over all sets with the gate.
    let pod = pod(&json!({}));
    let injection = inject(&pod, &chosen(&pod, &sets), settings(true)).unwrap();
    assert_eq!(names(&patched(&pod, &injection.patch), "containers"), ["y", "z", "app"]);
}

/// SEL-8.
#[test]
fn a_pod_that_no_set_matches_is_not_touched() {
    let stranger = pod(&json!({ "metadata": { "labels": { "app": "db" } } }));
    let none = inject(&stranger, &chosen(&stranger, &[set("a", &json!({}))]), settings(false));
    assert_eq!(none.unwrap(), crate::inject::Injection::default());
}

/// WHK-17: members that nobody here knows survive, in the pod and in the set, and the patch does not name them.
#[test]
fn unknown_members_survive() {
    let odd = pod(&json!({
        "newer": { "a": [1, null, 1.5] }, "spec": { "newer": "x", "containers": [{ "name": "app", "newer": { "y": 1 } }] },
    }));
    let set = set(
        "a",
        &json!({
            "containers": [{ "name": "s", "image": "i:1", "newer": [{}], "volumeMounts": [{ "name": "v", "mountPath": "/v", "newer": 1 }] }],
            "volumes": [{ "name": "v", "newer": { "z": 1 } }],
        }),
    );
    let after = injected(&odd, &[set]);
    assert_eq!(after["newer"], odd["newer"]);
    assert_eq!(after["spec"]["newer"], "x");
    assert_eq!(item(&after, "containers", "app"), &odd["spec"]["containers"][0]);
    let sidecar = item(&after, "containers", "s");
    assert_eq!(sidecar["newer"], json!([{}]));
    assert_eq!(sidecar["volumeMounts"][0]["newer"], 1);
    assert_eq!(after["spec"]["volumes"], json!([{ "name": "v", "newer": { "z": 1 } }]));
}
