//! The two hashes of a set (sidecarset §8), byte for byte as OpenKruise v1.9 computes them: running pods carry them.
//!
//! Members that Kubernetes 1.32 does not know are hashed too if they are present (HSH-5.8): their change would go
//! unnoticed otherwise, and objects that OpenKruise stored never have any.

use kruise_api::keys;
use kruise_api::shared::selector::Labels;
use kruise_api::sidecarset::container::SidecarContainer;
use kruise_api::sidecarset::v1beta1::SidecarSetSpec;
use kruise_common::history::schema::Kind;
use kruise_common::history::{Form, TemplateError, encode_value, safe};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use crate::schema::{HASHED, HASHED_WITH_INIT};

/// The hashes of a set, as they stand in its annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes {
    /// Of everything that is hashed.
    pub full: String,
    /// The same with the images taken out: what differs here cannot be updated in place.
    pub without_image: String,
}

impl Hashes {
    /// Those that stand in annotations, if both do.
    pub fn recorded(annotations: &impl Labels) -> Option<Self> {
        let hash = |key| annotations.label(key).filter(|hash| !hash.is_empty());
        Some(Self {
            full: hash(keys::SIDECARSET_HASH)?.to_owned(),
            without_image: hash(keys::SIDECARSET_HASH_WITHOUT_IMAGE)?.to_owned(),
        })
    }

    /// The annotations that say them.
    pub fn annotations(&self) -> [(&'static str, &str); 2] {
        [
            (keys::SIDECARSET_HASH, &self.full),
            (keys::SIDECARSET_HASH_WITHOUT_IMAGE, &self.without_image),
        ]
    }
}

/// The hashes of a spec.
pub fn hashes(spec: &SidecarSetSpec) -> Result<Hashes, TemplateError> {
    let list = |containers: &[SidecarContainer]| {
        let items: Result<Vec<Value>, _> =
            containers.iter().map(|container| container.raw().parse()).collect();
        items.map_err(|error| TemplateError {
            path: "containers".to_owned(),
            problem: error.to_string(),
        })
    };
    let mut raw = Map::new();
    if !spec.containers.is_empty() {
        raw.insert("containers".to_owned(), Value::Array(list(&spec.containers)?));
    }
    raw.insert("initContainers".to_owned(), Value::Array(list(&spec.init_containers)?));
    raw_hashes(&raw)
}

/// The hashes of a spec as it was sent: an empty list of containers is not the same as none (HSH-7).
pub fn raw_hashes(spec: &Map<String, Value>) -> Result<Hashes, TemplateError> {
    Ok(Hashes { full: hash(spec)?, without_image: hash(&without_images(spec))? })
}

fn hash(spec: &Map<String, Value>) -> Result<String, TemplateError> {
    let native = |container: &Value| container.get("restartPolicy") == Some(&"Always".into());
    let inits = spec.get("initContainers").and_then(Value::as_array);
    let members = if inits.into_iter().flatten().any(native) { HASHED_WITH_INIT } else { HASHED };
    let chosen = members.iter().filter_map(|(name, ..)| spec.get_key_value(*name));
    let hashed = chosen.map(|(name, value)| (name.clone(), value.clone())).collect();
    let text = encode_value(&Kind::Struct(members), &Value::Object(hashed), Form::Declared)?;
    Ok(safe_sha256(text.as_bytes()))
}

/// HSH-2, HSH-3.
fn safe_sha256(text: &[u8]) -> String {
    let bytes = digest(&SHA256, text);
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    let hex: String =
        bytes.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    safe(&hex)
}

fn without_images(spec: &Map<String, Value>) -> Map<String, Value> {
    let mut spec = spec.clone();
    for list in ["containers", "initContainers"] {
        let items = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in items.into_iter().flatten().filter_map(Value::as_object_mut) {
            container.remove("image");
        }
    }
    spec
}
