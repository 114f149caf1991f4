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
use kruise_common::admission::patch::Patch;
use serde_json::Value;

use crate::choose::{Chosen, Refusal};
use crate::containers::Entries;
use crate::incoming::{Container, Incoming, Spec};

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
    /// Empty if nothing changes.
    pub patch: Patch,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// The sets and the revision of each, as the audit log tells them.
    pub sets: Vec<String>,
    /// Whether one of them was chosen in a recorded revision.
    pub recorded: bool,
}

/// A pod before injection.
pub(crate) struct Pod<'a> {
    incoming: &'a Incoming<'a>,
    spec: &'a Spec<'a>,
    /// Its own containers: no SidecarSet has put them there, and none replaces them (INJ-30).
    own: Vec<&'a Container<'a>>,
    /// Its own init containers.
    own_init: Vec<&'a Container<'a>>,
    /// As they are after the sets have patched them.
    annotations: BTreeMap<String, String>,
    /// The sets that are injected.
    chosen: &'a [Chosen],
    /// Those that this very request has injected: the webhook is asked again (`reinvocationPolicy`).
    seen: BTreeSet<&'a str>,
}

/// A list of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Init,
    Plain,
}

impl List {
    /// The member of the spec.
    fn member(self) -> &'static str {
        match self {
            Self::Init => "initContainers",
            Self::Plain => "containers",
        }
    }
}

impl<'a> Pod<'a> {
    /// The containers of a list, if there is one.
    fn stated(&self, list: List) -> Option<&'a [Container<'a>]> {
        match list {
            List::Init => self.spec.init_containers.as_deref(),
            List::Plain => self.spec.containers.as_deref(),
        }
    }

    /// The containers of a list.
    fn list(&self, list: List) -> &'a [Container<'a>] {
        self.stated(list).unwrap_or_default()
    }

    /// The pod's own containers, with its own init containers behind them if a set asks for that (INJ-30, W-19).
    fn sources(&self, init: bool) -> impl Iterator<Item = &'a Container<'a>> + use<'_, 'a> {
        let init = if init { &*self.own_init } else { &[] };
        self.own.iter().chain(init).copied()
    }

    /// Where env is transferred from: all containers as they came along, a placeholder with the name of a sidecar included
    /// (INJ-40), and the pod's own init containers behind them if a set asks for that (W-19).
    fn givers(&self, init: bool) -> impl Iterator<Item = &'a Container<'a>> + use<'_, 'a> {
        let init = if init { &*self.own_init } else { &[] };
        self.list(List::Plain).iter().chain(init.iter().copied())
    }
}

/// Those that no SidecarSet has put there, and that none replaces.
fn own<'a>(containers: &'a [Container<'a>], placed: &BTreeSet<&str>) -> Vec<&'a Container<'a>> {
    let own = |it: &&Container<'_>| !placed.contains(it.name()) && !it.is_injected();
    containers.iter().filter(own).collect()
}

/// Injects the chosen sets, which are in the order of their names, into a pod.
pub fn inject<'a>(
    incoming: &'a Incoming<'a>,
    chosen: &'a [Chosen],
    settings: Settings,
) -> Result<Injection, Refusal> {
    if chosen.is_empty() {
        return Ok(Injection::default());
    }
    let spec = incoming.spec().map_err(Refusal::unreadable)?;
    let none = BTreeMap::new();
    let before = incoming.metadata().annotations.as_ref().unwrap_or(&none);
    let mut annotations = before.clone();
    // A pod that was copied from another one brings its history along, which is not this pod's (W-18).
    annotations.remove(keys::SIDECARSET_INPLACE_UPDATE_STATE);
    metadata::patch(&mut annotations, chosen)?;
    let seen = seen(before, chosen, settings.now);
    let placed: BTreeSet<&str> = chosen.iter().flat_map(|set| set.prepared.placed()).collect();
    let of =
        |list: &'a Option<Vec<Container<'a>>>| own(list.as_deref().unwrap_or_default(), &placed);
    let (own, own_init) = (of(&spec.containers), of(&spec.init_containers));
    let mut pod = Pod { incoming, spec, own, own_init, annotations, chosen, seen };
    let built = containers::build(&pod, settings.sorted)?;
    let told = |set: &Chosen| format!("{}@{}", set.set, set.revision);
    let mut injection = Injection {
        sets: chosen.iter().map(told).collect(),
        recorded: chosen.iter().any(|set| set.recorded),
        ..Injection::default()
    };
    containers::place(&pod, &built, settings.strict, &mut injection)?;
    volumes::place(&pod, &mut injection.patch)?;
    hot_upgrade::record(&mut pod.annotations, chosen);
    metadata::record(&mut pod, settings.now)?;
    annotate(incoming, &pod.annotations, &mut injection.patch);
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

/// Makes the pod's annotations what they are `after`.
fn annotate(incoming: &Incoming<'_>, after: &BTreeMap<String, String>, patch: &mut Patch) {
    let Some(metadata) = incoming.stated_metadata() else {
        patch.add("/metadata", "{}");
        return patch.add_strings("/metadata/annotations", after);
    };
    let Some(before) = &metadata.annotations else {
        return patch.add_strings("/metadata/annotations", after);
    };
    let place = |key: &str| format!("/metadata/annotations/{}", escaped(key));
    for (key, value) in after {
        if before.get(key) != Some(value) {
            patch.add_string(&place(key), value);
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.remove(&place(key));
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Appends JSON to a list of the spec: there may be none yet.
fn append(there: bool, list: &str, items: &[&str], patch: &mut Patch) {
    if items.is_empty() {
        return;
    }
    if there {
        let end = format!("/spec/{list}/-");
        for item in items {
            patch.add(&end, item);
        }
    } else {
        patch.add(&format!("/spec/{list}"), &format!("[{}]", items.join(",")));
    }
}

fn name_of(object: &Value) -> &str {
    text_of(object, "name")
}

fn text_of<'a>(object: &'a Value, member: &str) -> &'a str {
    object.get(member).and_then(Value::as_str).unwrap_or_default()
}
