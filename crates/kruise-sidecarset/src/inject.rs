//! Injection: from a pod that is about to be created and the sets chosen for it to JSON Patch operations (sidecarset §13).
//!
//! The pod stays raw JSON: a member that nobody here knows survives, and what injection does not concern is not in the
//! patch. The same pod, sets and time give the same patch; the patch of an injected pod is empty.

mod containers;
mod env;
mod hot_upgrade;
mod merge;
pub mod metadata;
mod resources;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kruise_api::keys;
use serde_json::{Map, Value, json};

use crate::choose::{Chosen, Refusal};
use crate::containers::{Entries, names};

/// What injection may know besides the pod and the sets.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Now, for the records.
    pub now: Timestamp,
    /// Containers are sorted by name over all sets (gate `EnableSortSidecarContainerByName`).
    pub sorted: bool,
    /// A pod is refused if a container of its own has the name of a sidecar (W-15).
    pub strict: bool,
}

/// What an injection does to a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Injection {
    /// JSON Patch operations; none if nothing changes.
    pub operations: Vec<Value>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// The sets and the revision of each, as the audit log tells them.
    pub sets: Vec<String>,
    /// Whether one of them was chosen in a recorded revision.
    pub recorded: bool,
}

/// A pod before injection.
pub(crate) struct Pod<'a> {
    raw: &'a Value,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    /// Every name that an injected container has, in a set or in a pod: resources do not follow those (RES-2).
    injected: BTreeSet<String>,
    /// Sets that this very request has injected: the webhook is asked again (`reinvocationPolicy`).
    seen: BTreeSet<&'a str>,
    /// Every name that an injected container has in the pod. What the pod has under such a name is about to be replaced.
    placed: BTreeSet<String>,
}

impl<'a> Pod<'a> {
    /// The containers of a list.
    fn list(&self, list: &str) -> &'a [Value] {
        let items = self.raw.get("spec").and_then(|spec| spec.get(list));
        items.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The pod's own containers: no SidecarSet has put them there, and none replaces them (INJ-30).
    fn own_containers(&self) -> impl Iterator<Item = &'a Value> + use<'_, 'a> {
        self.sources(false)
    }

    /// The same, with its own init containers behind them if a set asks for that (W-19).
    fn sources(&self, init: bool) -> impl Iterator<Item = &'a Value> + use<'_, 'a> {
        let init = if init { self.list("initContainers") } else { &[] };
        self.list("containers").iter().chain(init).filter(|it| self.is_own(it))
    }

    /// Where env is transferred from: all containers as they came along, a placeholder with the name of a sidecar included
    /// (INJ-40), and the pod's own init containers behind them if a set asks for that (W-19).
    fn givers(&self, init: bool) -> impl Iterator<Item = &'a Value> + use<'_, 'a> {
        let init = if init { self.list("initContainers") } else { &[] };
        self.list("containers").iter().chain(init.iter().filter(|it| self.is_own(it)))
    }

    fn is_own(&self, container: &Value) -> bool {
        !is_injected(container) && !self.placed.contains(name_of(container))
    }
}

/// Whether a SidecarSet has put the container into the pod.
pub(crate) fn is_injected(container: &Value) -> bool {
    items(container, "env").iter().any(|variable| {
        name_of(variable) == keys::IS_INJECTED_ENV && text_of(variable, "value") == "true"
    })
}

pub(crate) fn items<'a>(object: &'a Value, list: &str) -> &'a [Value] {
    object.get(list).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn text_of<'a>(object: &'a Value, member: &str) -> &'a str {
    object.get(member).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn name_of(object: &Value) -> &str {
    text_of(object, "name")
}

/// Labels or annotations of a pod.
pub fn pairs(pod: &Value, member: &str) -> BTreeMap<String, String> {
    let pairs = pod.get("metadata").and_then(|meta| meta.get(member)).and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    pairs.into_iter().flatten().filter_map(text).collect()
}

/// Injects the chosen sets, which are in the order of their names, into a pod.
pub fn inject<'a>(
    raw: &'a Value,
    chosen: &'a [Chosen],
    settings: Settings,
) -> Result<Injection, Refusal> {
    if chosen.is_empty() {
        return Ok(Injection::default());
    }
    let before = pairs(raw, "annotations");
    let mut annotations = before.clone();
    // A pod that was copied from another one brings its history along, which is not this pod's (W-18).
    annotations.remove(keys::SIDECARSET_INPLACE_UPDATE_STATE);
    metadata::patch(&mut annotations, chosen)?;
    let mut pod = Pod {
        raw,
        annotations,
        labels: pairs(raw, "labels"),
        seen: seen(&before, chosen, settings.now),
        injected: chosen.iter().flat_map(|set| set.prepared.names()).collect(),
        placed: chosen
            .iter()
            .flat_map(|set| set.prepared.sidecars())
            .flat_map(|sidecar| names(&sidecar.typed))
            .collect(),
    };
    let built = containers::build(&pod, chosen, settings.sorted)?;
    let told = |set: &Chosen| format!("{}@{}", set.set, set.revision);
    let mut injection = Injection {
        sets: chosen.iter().map(told).collect(),
        recorded: chosen.iter().any(|set| set.recorded),
        ..Injection::default()
    };
    containers::place(&pod, built, settings.strict, &mut injection)?;
    volumes::place(&pod, chosen, &mut injection.operations)?;
    hot_upgrade::record(&mut pod.annotations, chosen);
    metadata::record(&mut pod, chosen, settings.now)?;
    annotate(raw, &before, &pod.annotations, &mut injection.operations);
    Ok(injection)
}

/// The sets that were injected in this revision just now; other containers are of another time (INJ-54).
fn seen<'a>(
    annotations: &BTreeMap<String, String>,
    chosen: &'a [Chosen],
    now: Timestamp,
) -> BTreeSet<&'a str> {
    let records = Entries::just_now(annotations, now);
    let sets = chosen.iter();
    let sets = sets.filter(|set| records.since(&set.set, &set.hashes.full).is_some());
    sets.map(|set| &*set.set).collect()
}

/// The operations that make one set of annotations of another.
fn annotate(
    raw: &Value,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    operations: &mut Vec<Value>,
) {
    if raw.get("metadata").is_none_or(|meta| !meta.is_object()) {
        operations.push(add("/metadata", json!({ "annotations": after })));
        return;
    }
    let there = raw.get("metadata").and_then(|meta| meta.get("annotations"));
    if there.is_none_or(|there| !there.is_object()) {
        operations.push(add("/metadata/annotations", json!(after)));
        return;
    }
    let path = |key: &str| format!("/metadata/annotations/{}", escaped(key));
    for (key, value) in after {
        if before.get(key) != Some(value) {
            operations.push(add(&path(key), json!(value)));
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        operations.push(json!({ "op": "remove", "path": path(key) }));
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

pub(crate) fn add(path: &str, value: Value) -> Value {
    let mut operation = Map::new();
    operation.insert("op".to_owned(), json!("add"));
    operation.insert("path".to_owned(), json!(path));
    operation.insert("value".to_owned(), value);
    Value::Object(operation)
}
