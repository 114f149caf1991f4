//! Two revisions → what to change in place, or the reason why that is impossible (§4).
//!
//! Revision is compared with revision, never with the live pod. Containers are matched by index, so a renamed,
//! added, removed or reordered container is no in-place change. Absent, null and Go's empty forms are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kruise_api::keys;
use kruise_api::raw::RawJson;
use kruise_common::history::{encode, template_of};
use serde_json::{Map, Value};

use crate::resize::{self, Resize};

/// What differs between two revisions, all of it changeable in place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// New images by container.
    pub images: BTreeMap<String, String>,
    /// Changed template metadata.
    pub metadata: MetadataChange,
    /// By container, new labels and annotations that its env reads: it must be restarted by the node daemon. They are not
    /// in `metadata`.
    pub env: BTreeMap<String, EnvMetadata>,
    /// New CPU and memory by container.
    pub resources: BTreeMap<String, Resize>,
}

/// Labels and annotations that env of a container reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvMetadata {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

impl EnvMetadata {
    /// Whether nothing is read.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// Changed template metadata; `None` removes a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataChange {
    /// Labels.
    pub labels: BTreeMap<String, Option<String>>,
    /// Annotations.
    pub annotations: BTreeMap<String, Option<String>>,
    /// Finalizers that came.
    pub finalizers_added: Vec<String>,
    /// Finalizers that went.
    pub finalizers_removed: Vec<String>,
}

/// Which changes are allowed in place.
#[derive(Clone, Copy, Debug)]
pub struct DiffOptions {
    /// Metadata that env reads may change; the daemon restarts the readers.
    pub env_from_metadata: bool,
    /// CPU and memory of containers that have both versions of an entry.
    pub vertical_scaling: bool,
}

/// Why a change cannot be applied in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotInPlace {
    /// A part of the template that a running pod cannot change.
    Changed {
        /// Path inside the template.
        path: String,
    },
    /// Revision data that cannot be read.
    Unreadable {
        /// Why.
        problem: String,
    },
    /// Env reads changed metadata, but no daemon reports from the pod's node that could restart the readers (W5).
    NoDaemon {
        /// The containers.
        containers: String,
    },
    /// The same, and the daemon of the node may report in a moment.
    DaemonLate {
        /// The containers.
        containers: String,
    },
    /// The kubelet does not say what a container runs with, so it cannot resize.
    NoResize {
        /// The container.
        container: String,
    },
    /// The class of service would change, which no resize may do.
    Qos,
    /// The pod lacks what the update needs.
    Pod {
        /// What.
        problem: String,
    },
}

impl fmt::Display for NotInPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { path } => write!(f, "{path} changed"),
            Self::Unreadable { problem } => write!(f, "revision data cannot be read: {problem}"),
            Self::NoDaemon { containers } => write!(
                f,
                "env of {containers} reads changed metadata, and no kruise-daemon reports on this node"
            ),
            Self::DaemonLate { containers } => {
                write!(f, "report of kruise-daemon on {containers}, which was started a moment ago")
            }
            Self::NoResize { container } => {
                write!(f, "the kubelet cannot resize: it reports no resources of {container}")
            }
            Self::Qos => f.write_str("the QoS class of the pod would change"),
            Self::Pod { problem } => f.write_str(problem),
        }
    }
}

impl std::error::Error for NotInPlace {}

impl Change {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether no container is touched: one write, nobody is drained (§22.1).
    pub fn is_metadata_only(&self) -> bool {
        self.images.is_empty() && self.env.is_empty() && self.resources.is_empty()
    }
}

/// Compares the data of two ControllerRevisions.
pub fn diff(old: &RawJson, new: &RawJson, options: &DiffOptions) -> Result<Change, NotInPlace> {
    let (mut old, mut new) = (template(old)?, template(new)?);
    let old_metadata = take(&mut old, "metadata");
    let metadata = metadata_change(&old_metadata, &take(&mut new, "metadata"))?;
    let (mut old, mut new) = (take(&mut old, "spec"), take(&mut new, "spec"));
    let (old_list, new_list) = (take_list(&mut old), take_list(&mut new));
    if let Some(path) = first_difference(&old, &new, "spec") {
        return Err(NotInPlace::Changed { path });
    }
    if old_list.len() != new_list.len() {
        return Err(NotInPlace::Changed { path: "spec.containers".to_owned() });
    }
    let mut change = Change { metadata, ..Change::default() };
    for (index, (old, new)) in old_list.iter().zip(&new_list).enumerate() {
        let path = format!("spec.containers[{index}]");
        compare_container(&mut change, (old.clone(), new), *options, &path)?;
    }
    if !change.resources.is_empty() {
        let init: Vec<&Value> =
            new.get("initContainers").and_then(Value::as_array).into_iter().flatten().collect();
        let all = |list| init.iter().copied().chain(list).collect::<Vec<&Value>>();
        if !resize::same_qos(&all(old_list.iter()), &all(new_list.iter())) {
            return Err(NotInPlace::Qos);
        }
    }
    if options.env_from_metadata {
        let env = new_list.iter().map(|container| reads(&change, &old_metadata, container));
        let env: BTreeMap<_, _> = env.filter(|(_, read)| !read.is_empty()).collect();
        for read in env.values() {
            change.metadata.labels.retain(|key, _| !read.labels.contains_key(key));
            change.metadata.annotations.retain(|key, _| !read.annotations.contains_key(key));
        }
        change.env = env;
    }
    Ok(change)
}

/// The template in one canonical form, whoever wrote the data.
fn template(data: &RawJson) -> Result<Map<String, Value>, NotInPlace> {
    let unreadable = |problem: String| NotInPlace::Unreadable { problem };
    let template = template_of(data.get()).map_err(|error| unreadable(error.to_string()))?;
    let encoded = encode(template.get()).map_err(|error| unreadable(error.to_string()))?;
    let mut data: Value =
        serde_json::from_str(&encoded).map_err(|error| unreadable(error.to_string()))?;
    match data.pointer_mut("/spec/template").map(Value::take) {
        Some(Value::Object(template)) => Ok(template),
        _ => Err(unreadable("has no object spec.template".to_owned())),
    }
}

fn take(map: &mut Map<String, Value>, member: &str) -> Map<String, Value> {
    match map.remove(member) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

fn take_list(spec: &mut Map<String, Value>) -> Vec<Value> {
    match spec.remove("containers") {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// Path of the first member in which two objects differ.
fn first_difference(a: &Map<String, Value>, b: &Map<String, Value>, path: &str) -> Option<String> {
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    keys.into_iter().find(|key| a.get(*key) != b.get(*key)).map(|key| format!("{path}.{key}"))
}

fn compare_container(
    change: &mut Change,
    (mut old, new): (Value, &Value),
    options: DiffOptions,
    path: &str,
) -> Result<(), NotInPlace> {
    let image =
        |container: &Value| container.get("image").and_then(Value::as_str).map(str::to_owned);
    let name = new.get("name").and_then(Value::as_str).unwrap_or_default();
    let (before, after) = (image(&old), image(new));
    if before != after {
        // An image that appears or disappears is no replacement of one by another.
        let (Some(_), Some(after)) = (before, after) else {
            return Err(NotInPlace::Changed { path: format!("{path}.image") });
        };
        if let (Some(old), Some(image)) = (old.as_object_mut(), new.get("image")) {
            old.insert("image".to_owned(), image.clone());
        }
        change.images.insert(name.to_owned(), after);
    }
    if options.vertical_scaling
        && let (Some(before), Some(after)) = (old.get_mut("resources"), new.get("resources"))
        && let Some(resize) = Resize::between(before, after)
        && !resize.is_empty()
    {
        before.clone_from(after);
        change.resources.insert(name.to_owned(), resize);
    }
    match (&old, new) {
        (Value::Object(old), Value::Object(new)) => match first_difference(old, new, path) {
            Some(path) => Err(NotInPlace::Changed { path }),
            None => Ok(()),
        },
        _ if old == *new => Ok(()),
        _ => Err(NotInPlace::Changed { path: path.to_owned() }),
    }
}

/// Labels, annotations and finalizers may change; any other template metadata never reaches a pod.
fn metadata_change(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<MetadataChange, NotInPlace> {
    let rest = |meta: &Map<String, Value>| {
        let mut meta = meta.clone();
        for known in ["labels", "annotations", "finalizers", "creationTimestamp"] {
            meta.remove(known);
        }
        meta
    };
    if let Some(path) = first_difference(&rest(old), &rest(new), "metadata") {
        return Err(NotInPlace::Changed { path });
    }
    let (before, after) = (finalizers(old), finalizers(new));
    Ok(MetadataChange {
        labels: pairs_change(old, new, "labels"),
        annotations: pairs_change(old, new, "annotations"),
        finalizers_added: after.iter().filter(|f| !before.contains(f)).cloned().collect(),
        finalizers_removed: before.iter().filter(|f| !after.contains(f)).cloned().collect(),
    })
}

fn finalizers(meta: &Map<String, Value>) -> Vec<String> {
    let list = meta.get("finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Labels and annotations that controllers keep on each pod: what somebody copies from a pod into a template, and takes out
/// of it again, says nothing about pods.
const OF_THE_POD: [&str; 17] = [
    keys::CONTROLLER_REVISION_HASH,
    keys::LIFECYCLE_STATE,
    keys::LIFECYCLE_TIMESTAMP,
    keys::POD_NAME,
    keys::POD_INDEX,
    keys::SPECIFIED_DELETE,
    keys::INPLACE_UPDATE_STATE,
    keys::INPLACE_UPDATE_STATE_LEGACY,
    keys::INPLACE_UPDATE_GRACE,
    keys::INPLACE_UPDATE_GRACE_LEGACY,
    keys::INPLACE_UPDATE_ANNOUNCED,
    keys::RUNTIME_CONTAINERS_META,
    keys::SIDECARSET_HASH,
    keys::SIDECARSET_HASH_WITHOUT_IMAGE,
    keys::SIDECARSET_INJECTED_LIST,
    keys::SIDECARSET_INPLACE_UPDATE_STATE,
    keys::SIDECARSET_WORKING_CONTAINER,
];

fn pairs_change(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    member: &str,
) -> BTreeMap<String, Option<String>> {
    let pairs = |meta: &Map<String, Value>| -> BTreeMap<String, String> {
        let map = meta.get(member).and_then(Value::as_object);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        map.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
    };
    let (old, new) = (pairs(old), pairs(new));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key) && !OF_THE_POD.contains(&key.as_str()))
        .map(|key| (key.clone(), new.get(key).cloned()))
        .collect()
}

/// What env of a container reads of labels and annotations that were added or changed; a removed key restarts nobody,
/// nor does a map that was absent altogether (§4.1).
fn reads(
    change: &Change,
    old_metadata: &Map<String, Value>,
    container: &Value,
) -> (String, EnvMetadata) {
    let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut read = EnvMetadata::default();
    let env = container.get("env").and_then(Value::as_array);
    for entry in env.into_iter().flatten() {
        let text = |member: &str| entry.get(member).and_then(Value::as_str).unwrap_or_default();
        let excluded = [keys::SIDECARSET_VERSION_ENV, keys::SIDECARSET_VERSION_ALT_ENV];
        let path = entry.pointer("/valueFrom/fieldRef/fieldPath").and_then(Value::as_str);
        let Some((map, key)) = path.and_then(subscript) else { continue };
        if excluded.contains(&text("name")) || !text("value").is_empty() {
            continue;
        }
        let (member, changed, into) = match map {
            "metadata.labels" => ("labels", &change.metadata.labels, &mut read.labels),
            "metadata.annotations" => {
                ("annotations", &change.metadata.annotations, &mut read.annotations)
            }
            _ => continue,
        };
        if let (true, Some(Some(value))) = (old_metadata.contains_key(member), changed.get(key)) {
            into.insert(key.to_owned(), value.clone());
        }
    }
    (name.to_owned(), read)
}

/// `path['key']` in its two parts.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['").filter(|(map, _)| !map.is_empty())
}
