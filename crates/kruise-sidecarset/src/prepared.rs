//! What injection needs of a spec, made once for each version of a set: containers as they enter a pod, volumes by
//! name, expressions of names compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kruise_api::raw::RawJson;
use kruise_api::sidecarset::container::{EXTENSIONS, SidecarContainer};
use kruise_api::sidecarset::v1beta1::SidecarSetSpec;
use kruise_api::sidecarset::validate::bounded_regex;
use regex::bytes::Regex;
use serde_json::{Map, Value};

use crate::containers::twins;

/// A spec, ready for injection.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The spec; of a recorded revision only the recorded parts.
    pub spec: Arc<SidecarSetSpec>,
    /// Init containers in spec order.
    pub init_containers: Vec<Sidecar>,
    /// Containers in spec order.
    pub containers: Vec<Sidecar>,
    /// Volumes by name.
    pub volumes: BTreeMap<String, Value>,
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
}

impl Prepared {
    /// Prepares a spec; fails if a container or volume is no object.
    pub fn new(spec: Arc<SidecarSetSpec>) -> Result<Self, String> {
        let list = |containers: &[SidecarContainer]| -> Result<Vec<Sidecar>, String> {
            containers.iter().map(Sidecar::new).collect()
        };
        let mut volumes = BTreeMap::new();
        for volume in &spec.volumes {
            let volume = Value::Object(object(volume)?);
            let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
            volumes.entry(name.to_owned()).or_insert(volume);
        }
        let init_containers = list(&spec.init_containers)?;
        let containers = list(&spec.containers)?;
        Ok(Self { spec, init_containers, containers, volumes })
    }

    /// All containers: init containers first.
    pub fn sidecars(&self) -> impl Iterator<Item = &Sidecar> {
        self.init_containers.iter().chain(&self.containers)
    }

    /// Every name that one of its containers has in the set or in a pod.
    pub fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for sidecar in self.sidecars() {
            names.insert(sidecar.typed.name.clone());
            if sidecar.typed.is_hot() {
                names.extend(twins(&sidecar.typed.name));
            }
        }
        names
    }
}

impl Sidecar {
    fn new(typed: &SidecarContainer) -> Result<Self, String> {
        let mut core = object(typed.raw())?;
        core.retain(|member, _| !EXTENSIONS.contains(&member.as_str()));
        let policy = typed.extensions.resources_policy.as_ref();
        let targets = policy.map(|policy| bounded_regex(&policy.target_containers_name_regex));
        Ok(Self { typed: typed.clone(), core: Value::Object(core), targets })
    }
}

fn object(raw: &RawJson) -> Result<Map<String, Value>, String> {
    raw.parse().map_err(|error| error.to_string())
}
