//! Facts about injected containers in a pod: their names, what the annotations of a pod record of them
//! (sidecarset INJ-50…INJ-63, HOT-1…HOT-4, HOT-10).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kruise_api::keys;
use kruise_api::shared::selector::Labels;
use kruise_api::sidecarset::container::SidecarContainer;
use kruise_api::sidecarset::v1beta1::SidecarSetSpec;
use kruise_common::history::schema::{Kind as K, Members, Omit as O};
use kruise_common::history::{Form, encode_value, print_string};
use serde_json::{Map, Value, json};

/// For how long a record can be one of the same request: as long as API servers wait for one, with room for clocks of replicas
/// that are apart.
const REQUEST: SignedDuration = SignedDuration::from_mins(5);

/// The two containers of a hot upgrade, in the order in which they stand in the pod (HOT-1).
pub fn twins(sidecar: &str) -> [String; 2] {
    [format!("{sidecar}-1"), format!("{sidecar}-2")]
}

/// Names in the pod of one container of a set.
pub fn names(container: &SidecarContainer) -> Vec<String> {
    if container.is_hot() { twins(&container.name).to_vec() } else { vec![container.name.clone()] }
}

/// Names that a record lists (INJ-50): native sidecars and containers by their names in the set, ascending.
pub fn listed(spec: &SidecarSetSpec) -> Arc<[String]> {
    let natives = spec.init_containers.iter().filter(|container| container.is_native());
    let mut names: Vec<String> =
        natives.chain(&spec.containers).map(|container| container.name.clone()).collect();
    names.sort();
    names.into()
}

/// Names of the sets that injected into a pod (INJ-63).
pub fn injected_sets(annotations: &impl Labels) -> BTreeSet<&str> {
    let list = annotations.label(keys::SIDECARSET_INJECTED_LIST).unwrap_or_default();
    list.split(',').filter(|name| !name.is_empty()).collect()
}

/// A record of a set's injection into a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was written.
    pub updated: Timestamp,
    /// Hash of the set at that time.
    pub hash: String,
    /// Name of the set.
    pub set: String,
    /// Names of the sidecars (INJ-50).
    pub sidecars: Arc<[String]>,
    /// Name of the revision; empty in the annotation without images.
    pub revision: String,
}

const ENTRY: Members = &[
    ("updateTimestamp", K::Time, O::Never),
    ("hash", K::String, O::Never),
    ("sidecarSetName", K::String, O::Never),
    ("sidecarList", K::List(&K::String), O::Never),
    ("controllerRevision", K::String, O::Empty),
];

/// The records of all sets in one annotation of a pod (INJ-50, INJ-60). Records of others are kept as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entries(BTreeMap<String, Record>);

#[derive(Clone, Debug, PartialEq)]
enum Record {
    /// As it was read; it can be written.
    Read(Value),
    /// A new one.
    New(Entry),
}

impl Entries {
    /// Reads an annotation; absent or empty means none. The older form, a hash instead of a record, is brought into the
    /// newer one (INJ-62).
    pub fn parse(text: Option<&str>) -> Result<Self, String> {
        let text = text.unwrap_or_default();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut entries: Map<String, Value> = match serde_json::from_str(text) {
            Ok(Value::Object(entries)) => entries,
            Ok(Value::Null) => Map::new(),
            Ok(_) => return Err("not an object".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        for (set, entry) in &mut entries {
            if let Value::String(hash) = entry {
                *entry = json!({ "updateTimestamp": null, "hash": hash, "sidecarSetName": set, "sidecarList": null });
            }
        }
        let entries = Value::Object(entries);
        encode_value(&K::Map(&K::Struct(ENTRY)), &entries, Form::Declared)
            .map_err(|error| error.to_string())?;
        let Value::Object(entries) = entries else { return Ok(Self::default()) };
        Ok(Self(entries.into_iter().map(|(set, entry)| (set, Record::Read(entry))).collect()))
    }

    /// The records of a pod that is about to be created which this very request has made: the webhook is asked again
    /// (`reinvocationPolicy`). A pod that is copied from another one brings old records along, or the state of an update.
    pub fn just_now(annotations: &BTreeMap<String, String>, now: Timestamp) -> Self {
        if annotations.contains_key(keys::SIDECARSET_INPLACE_UPDATE_STATE) {
            return Self::default();
        }
        let text = annotations.get(keys::SIDECARSET_HASH).map(String::as_str);
        let Self(mut entries) = Self::parse(text).unwrap_or_default();
        let fresh = |since: Timestamp| now.duration_since(since).abs() <= REQUEST;
        entries.retain(|_, record| record.updated().is_some_and(fresh));
        Self(entries)
    }

    /// Replaces the record of the entry's set.
    pub fn set(&mut self, entry: Entry) {
        self.0.insert(entry.set.clone(), Record::New(entry));
    }

    /// The hash recorded for a set.
    pub fn hash(&self, set: &str) -> Option<&str> {
        match self.0.get(set)? {
            Record::New(entry) => Some(&entry.hash),
            Record::Read(entry) => entry.get("hash")?.as_str(),
        }
    }

    /// The revision recorded for a set.
    pub fn revision(&self, set: &str) -> Option<&str> {
        let revision = match self.0.get(set)? {
            Record::New(entry) => &entry.revision,
            Record::Read(entry) => entry.get("controllerRevision")?.as_str()?,
        };
        Some(revision).filter(|revision| !revision.is_empty())
    }

    /// Since when a set is recorded with that hash.
    pub fn since(&self, set: &str, hash: &str) -> Option<Timestamp> {
        let same = self.hash(set) == Some(hash);
        self.0.get(set).filter(|_| same)?.updated()
    }

    /// Whether there is no record at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a record of a set.
    pub fn contains(&self, set: &str) -> bool {
        self.0.contains_key(set)
    }

    /// The text of the annotation, in the order of OpenKruise.
    pub fn encode(&self) -> Result<String, String> {
        const USUAL: usize = 256;
        let mut text = String::with_capacity(USUAL * self.0.len());
        text.push('{');
        for (set, record) in &self.0 {
            if text.len() > 1 {
                text.push(',');
            }
            print_string(&mut text, set);
            text.push(':');
            match record {
                Record::New(entry) => entry.print(&mut text),
                Record::Read(entry) => {
                    let entry = encode_value(&K::Struct(ENTRY), entry, Form::Declared);
                    text.push_str(&entry.map_err(|error| format!("[{set}]{error}"))?);
                }
            }
        }
        text.push('}');
        Ok(text)
    }
}

impl Record {
    fn updated(&self) -> Option<Timestamp> {
        match self {
            Self::New(entry) => Some(entry.updated),
            Self::Read(entry) => entry.get("updateTimestamp")?.as_str()?.parse().ok(),
        }
    }
}

impl Entry {
    /// Writes the record as Go writes a struct with the members of [`ENTRY`].
    fn print(&self, text: &mut String) {
        let seconds = Timestamp::from_second(self.updated.as_second()).unwrap_or(self.updated);
        text.push_str(r#"{"updateTimestamp":""#);
        text.push_str(&seconds.to_string());
        text.push_str(r#"","hash":"#);
        print_string(text, &self.hash);
        text.push_str(r#","sidecarSetName":"#);
        print_string(text, &self.set);
        text.push_str(r#","sidecarList":["#);
        for (at, name) in self.sidecars.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            print_string(text, name);
        }
        text.push(']');
        if !self.revision.is_empty() {
            text.push_str(r#","controllerRevision":"#);
            print_string(text, &self.revision);
        }
        text.push('}');
    }
}

/// Which of two twins works, by sidecar (HOT-3, HOT-4); `None` if the annotation cannot be read.
pub fn working(annotations: &impl Labels) -> Option<BTreeMap<String, String>> {
    match annotations.label(keys::SIDECARSET_WORKING_CONTAINER).unwrap_or_default() {
        "" => Some(BTreeMap::new()),
        text => serde_json::from_str(text).ok(),
    }
}

/// The text of that annotation.
pub fn working_text(working: &BTreeMap<String, String>) -> String {
    let value = json!(working);
    encode_value(&K::Map(&K::String), &value, Form::Declared).unwrap_or_default()
}

/// The twin that works and the other one (HOT-10): whatever the map does not say to be the first is the second.
pub fn working_and_other(sidecar: &str, working: Option<&str>) -> [String; 2] {
    let [first, second] = twins(sidecar);
    if working == Some(&*first) { [first, second] } else { [second, first] }
}

/// Annotation with the version of a twin.
pub fn version_key(container: &str) -> String {
    format!("{}{container}", keys::SIDECARSET_VERSION_PREFIX)
}

/// Annotation with the version of a twin's twin.
pub fn version_alt_key(container: &str) -> String {
    format!("{}{container}", keys::SIDECARSET_VERSION_ALT_PREFIX)
}
