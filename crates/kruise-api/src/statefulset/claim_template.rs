//! A claim template: the parts that are compared, read in one place. The rest passes through raw.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::raw::RawJson;
use crate::shared::quantity::Quantity;

/// What a claim template says of class, access and size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimTemplate {
    /// Name; also the name of the pod's volume.
    pub name: String,
    /// Storage class; `None` for the default class.
    pub class: Option<String>,
    /// Access modes, in order.
    pub access_modes: Vec<String>,
    /// Requested storage as written.
    pub request: Option<String>,
    /// Limit of storage as written.
    pub limit: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Template {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    access_modes: Option<Vec<String>>,
    storage_class_name: Option<String>,
    resources: Option<Resources>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resources {
    requests: Option<Map<String, Value>>,
    limits: Option<Map<String, Value>>,
}

impl ClaimTemplate {
    /// Reads a template; the error names what is wrong with it.
    pub fn read(raw: &RawJson) -> Result<Self, String> {
        let Template { metadata, spec } =
            raw.parse().map_err(|error| format!("is not a claim template: {error}"))?;
        if metadata.name.is_empty() {
            return Err("metadata.name: must not be empty".to_owned());
        }
        let resources = spec.resources.unwrap_or_default();
        let storage = |list: Option<Map<String, Value>>| {
            let amount = list?.remove("storage")?;
            Some(amount.as_str().map_or_else(|| amount.to_string(), str::to_owned))
        };
        Ok(Self {
            name: metadata.name,
            class: spec.storage_class_name,
            access_modes: spec.access_modes.unwrap_or_default(),
            request: storage(resources.requests),
            limit: storage(resources.limits),
        })
    }

    /// U-10, RS-1: the same class where both name one, and the same access modes in the same order.
    pub fn same_kind<'a>(&self, class: Option<&str>, modes: impl Iterator<Item = &'a str>) -> bool {
        let same_class = match (self.class.as_deref(), class) {
            (Some(wanted), Some(class)) => wanted == class,
            _ => true,
        };
        same_class && self.access_modes.iter().map(String::as_str).eq(modes)
    }

    /// Requested and limited storage, by value.
    pub fn storage(&self) -> [Option<Quantity>; 2] {
        [&self.request, &self.limit].map(|text| Quantity::parse(text.as_deref()?).ok())
    }
}
