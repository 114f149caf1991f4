//! What injection needs of a spec, made once for each version of a set: the text of containers as they enter a pod, volumes
//! by name, expressions of names compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use kruise_api::raw::RawJson;
use kruise_api::sidecarset::container::{EXTENSIONS, SidecarContainer};
use kruise_api::sidecarset::v1beta1::SidecarSetSpec;
use kruise_api::sidecarset::validate::bounded_regex;
use regex::bytes::Regex;
use serde_json::{Map, Value, json};

use crate::containers::listed;

mod form;

pub use form::{Form, More};

/// A spec, ready for injection.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The spec; of a recorded revision only the recorded parts.
    pub spec: Arc<SidecarSetSpec>,
    /// Init containers in spec order.
    pub init_containers: Vec<Sidecar>,
    /// Containers in spec order.
    pub containers: Vec<Sidecar>,
    /// The JSON of volumes, by name.
    pub volumes: BTreeMap<String, String>,
    /// The JSON of pull secrets as they enter a pod, by name, in spec order.
    pub pull_secrets: Vec<(String, String)>,
    /// Names that a record lists (INJ-50).
    pub listed: Arc<[String]>,
}

/// A container, ready for injection.
#[derive(Clone, Debug)]
pub struct Sidecar {
    /// What rules ask for.
    pub typed: SidecarContainer,
    /// The container as it enters a pod (INJ-16): an object.
    pub core: Value,
    /// Which containers its resources follow, or why that cannot be said; `None` without such a policy.
    pub targets: Option<Result<Regex, String>>,
    /// What it is in a pod: one container, or the twins of a hot upgrade.
    pub form: Form,
}

impl Prepared {
    /// Prepares a spec; fails if a container or volume is no object.
    pub fn new(spec: Arc<SidecarSetSpec>) -> Result<Self, String> {
        let list = |containers: &[SidecarContainer], init: bool| -> Result<Vec<Sidecar>, String> {
            containers.iter().map(|container| Sidecar::new(container, init)).collect()
        };
        let mut volumes = BTreeMap::new();
        for volume in &spec.volumes {
            let volume = Value::Object(object(volume)?);
            let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
            volumes.entry(name.to_owned()).or_insert_with(|| volume.to_string());
        }
        let secrets = spec.image_pull_secrets.iter().map(|secret| {
            let text = json!({ "name": secret.name }).to_string();
            (secret.name.clone(), text)
        });
        Ok(Self {
            init_containers: list(&spec.init_containers, true)?,
            containers: list(&spec.containers, false)?,
            volumes,
            pull_secrets: secrets.collect(),
            listed: listed(&spec),
            spec,
        })
    }

    /// All containers: init containers first.
    pub fn sidecars(&self) -> impl Iterator<Item = &Sidecar> {
        self.init_containers.iter().chain(&self.containers)
    }

    /// Every name that one of its containers has in the set or in a pod.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let own = self.sidecars().map(|sidecar| &*sidecar.typed.name);
        own.chain(self.placed())
    }

    /// Every name that one of its containers has in a pod.
    pub fn placed(&self) -> impl Iterator<Item = &str> {
        self.sidecars().flat_map(|sidecar| sidecar.form.names())
    }
}

impl Sidecar {
    fn new(typed: &SidecarContainer, init: bool) -> Result<Self, String> {
        let mut core = object(typed.raw())?;
        core.retain(|member, _| !EXTENSIONS.contains(&member.as_str()));
        let policy = typed.extensions.resources_policy.as_ref();
        let targets = policy.map(|policy| bounded_regex(&policy.target_containers_name_regex));
        let form = Form::new(typed, &core, init);
        Ok(Self { typed: typed.clone(), core: Value::Object(core), targets, form })
    }

    /// Its own mounts.
    pub fn mounts(&self) -> &[Value] {
        items(self.core.get("volumeMounts"))
    }

    /// Its own devices.
    pub fn devices(&self) -> &[Value] {
        items(self.core.get("volumeDevices"))
    }

    /// Its own variables.
    pub fn env(&self) -> &[Value] {
        items(self.core.get("env"))
    }
}

fn object(raw: &RawJson) -> Result<Map<String, Value>, String> {
    raw.parse().map_err(|error| error.to_string())
}

/// The items of a list; none if it is something else.
fn items(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
