//! Reads a Pod off the wire into its record: only the members that controllers look at are parsed. Whatever is absent
//! or null may be so, and no time fails, so nothing that Go writes of a stored Pod can poison a watch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod as TypedPod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kruise_api::keys;
use serde::{Deserialize, Serialize};

use super::{Amounts, Condition, Container, ContainerStatus, MetadataEnv, Phase, Pod, Resources};
use crate::intern::Interner;
use crate::kind::{Kind, POD};
use crate::meta::{Meta, Pairs, lean_meta};
use crate::moment::time_or_none;
use crate::table::Wire;

/// A Pod as it comes from the API server, read only as far as [`Pod`] needs it.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = TypedPod)]
pub struct WirePod {
    /// Metadata without managedFields.
    #[serde(deserialize_with = "lean_meta", default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: WireSpec,
    #[serde(default)]
    status: WireStatus,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec {
    node_name: Option<String>,
    containers: Option<Vec<WireContainer>>,
    init_containers: Option<Vec<WireContainer>>,
    readiness_gates: Option<Vec<WireGate>>,
    volumes: Option<Vec<WireVolume>>,
    termination_grace_period_seconds: Option<i64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContainer {
    name: String,
    image: String,
    restart_policy: Option<String>,
    env: Option<Vec<WireEnv>>,
    resources: Option<WireResources>,
    resize_policy: Option<Vec<WireResizePolicy>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireResources {
    limits: Option<WireAmounts>,
    requests: Option<WireAmounts>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireAmounts {
    cpu: Option<String>,
    memory: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireResizePolicy {
    resource_name: String,
    restart_policy: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireEnv {
    name: String,
    value: Option<String>,
    value_from: Option<WireEnvSource>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireEnvSource {
    config_map_key_ref: Option<WireKeyRef>,
    field_ref: Option<WireFieldRef>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireFieldRef {
    field_path: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireKeyRef {
    key: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireGate {
    condition_type: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireVolume {
    name: String,
    persistent_volume_claim: Option<WireClaimSource>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireClaimSource {
    claim_name: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus {
    phase: Option<String>,
    reason: Option<String>,
    conditions: Option<Vec<WireCondition>>,
    container_statuses: Option<Vec<WireContainerStatus>>,
    observed_generation: Option<i64>,
    init_container_statuses: Option<Vec<WireContainerStatus>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(deserialize_with = "time_or_none")]
    last_transition_time: Option<Time>,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContainerStatus {
    name: String,
    image: String,
    #[serde(rename = "imageID")]
    image_id: String,
    #[serde(rename = "containerID")]
    container_id: Option<String>,
    ready: bool,
    restart_count: Option<i64>,
    state: Option<WireState>,
    resources: Option<WireResources>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireState {
    running: Option<WireRunning>,
    waiting: Option<WireWaiting>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireRunning {
    #[serde(deserialize_with = "time_or_none")]
    started_at: Option<Time>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireWaiting {
    reason: Option<String>,
}

impl Wire for WirePod {
    type Record = Pod;
    const KIND: &'static Kind = &POD;

    fn into_record(self, interner: &Interner) -> Pod {
        let none = BTreeMap::new();
        let annotations = self.metadata.annotations.as_ref().unwrap_or(&none);
        let annotated = !annotations.is_empty();
        let spec = self.spec;
        let status = self.status;
        let claims = spec.volumes.into_iter().flatten().filter_map(|volume| {
            let claim = volume.persistent_volume_claim?;
            Some((interner.get(&volume.name), interner.get(&claim.claim_name)))
        });
        let gates = spec.readiness_gates.unwrap_or_default();
        let containers = each(spec.containers, |container| container.record(interner));
        let read_by_env = |key: &str| {
            containers.iter().flat_map(|c| &c.env).any(|env| env.annotation && *env.key == *key)
        };
        let injected = injected(annotations, interner);
        // Init containers only matter where a SidecarSet put some of them.
        let init = spec.init_containers.filter(|_| !injected.is_empty());
        let init_containers = each(init, |container| container.record(interner));
        let native = |name: &str| {
            init_containers.iter().any(|container| container.native && *container.name == *name)
        };
        let any_native = init_containers.iter().any(|container| container.native);
        let statuses = status.init_container_statuses.filter(|_| any_native).unwrap_or_default();
        let natives = statuses.iter().filter(|status| native(&status.name));
        let restarts = (most(status.container_statuses.iter().flatten()), most(natives));
        let meta = Meta::new(&self.metadata, interner);
        let annotations = if injected.is_empty() {
            Pairs::kept(annotations, interner, |key| is_read(key) || read_by_env(key))
        } else {
            Pairs::kept(annotations, interner, |key| key != keys::LAST_APPLIED)
        };
        Pod {
            meta,
            annotations,
            annotated,
            phase: Phase::read(status.phase.as_deref()),
            reason: status.reason.map(|reason| interner.get(&reason)),
            node: spec.node_name.map(|node| interner.get(&node)),
            containers: interner.containers(&containers),
            init_containers: interner.containers(&init_containers),
            gates: interner.list(gates.iter().map(|gate| gate.condition_type.as_str())),
            claims: claims.collect(),
            conditions: each(status.conditions, |condition| condition.record(interner)),
            statuses: each(status.container_statuses, |status| status.record(interner)),
            observed_generation: status.observed_generation.unwrap_or(0),
            grace_seconds: grace(spec.termination_grace_period_seconds),
            init_statuses: each(Some(statuses), |status| status.record(interner)),
            restarts,
            injected,
        }
    }
}

/// The API server fills it in; what is not there takes no time.
fn grace(seconds: Option<i64>) -> u32 {
    seconds.map_or(0, |seconds| u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
}

fn each<W, R>(wire: Option<Vec<W>>, record: impl Fn(W) -> R) -> Box<[R]> {
    wire.into_iter().flatten().map(record).collect()
}

/// The SidecarSets that injected into a pod: the list on the pod, each once.
fn injected(annotations: &BTreeMap<String, String>, interner: &Interner) -> Arc<[Arc<str>]> {
    let list = annotations.get(keys::SIDECARSET_INJECTED_LIST).map(String::as_str);
    let names: BTreeSet<&str> = list
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    interner.list(names)
}

/// The highest restart count, as far as anybody cares.
fn most<'a>(statuses: impl IntoIterator<Item = &'a WireContainerStatus>) -> u16 {
    let counts = statuses.into_iter().filter_map(|status| status.restart_count);
    counts.max().map_or(0, |count| u16::try_from(count.max(0)).unwrap_or(u16::MAX))
}

/// Annotations that some kruise controller reads off a Pod without sidecars; of others all are kept, since a set may
/// patch any.
fn is_read(key: &str) -> bool {
    [
        keys::INPLACE_UPDATE_STATE,
        keys::INPLACE_UPDATE_STATE_LEGACY,
        keys::INPLACE_UPDATE_GRACE,
        keys::INPLACE_UPDATE_GRACE_LEGACY,
        keys::INPLACE_UPDATE_ANNOUNCED,
        keys::RUNTIME_CONTAINERS_META,
        keys::LIFECYCLE_TIMESTAMP,
        keys::MIRROR_POD,
        keys::SIDECARSET_SKIP,
    ]
    .contains(&key)
}

impl WireContainer {
    fn record(self, interner: &Interner) -> Container {
        let env = self.env.unwrap_or_default();
        let barrier = env.iter().find(|env| env.name == keys::BARRIER_ENV);
        let key = barrier.and_then(|env| env.value_from.as_ref()?.config_map_key_ref.as_ref());
        let priority = key.map(|key| key.key.get(2..).and_then(|n| n.parse().ok()).unwrap_or(0));
        let policies = self.resize_policy.into_iter().flatten();
        let restarts = policies.filter(|policy| policy.restart_policy == "RestartContainer");
        Container {
            name: interner.get(&self.name),
            image: interner.get(&self.image),
            // A key that is not `p_<int>` counts as priority 0, as in OpenKruise (§6.3), but never panics (W19).
            priority,
            resources: self.resources.unwrap_or_default().record(interner),
            restarts_for: restarts.map(|policy| interner.get(&policy.resource_name)).collect(),
            env: env.iter().filter_map(|env| env.read_of_metadata(interner)).collect(),
            native: self.restart_policy.as_deref() == Some("Always"),
        }
    }
}

impl WireEnv {
    /// §11.3: no value, a subscripted path, and none of the names that SidecarSet gives.
    fn read_of_metadata(&self, interner: &Interner) -> Option<MetadataEnv> {
        let excluded = [keys::SIDECARSET_VERSION_ENV, keys::SIDECARSET_VERSION_ALT_ENV];
        let named = self.value.as_deref().unwrap_or_default().is_empty();
        if !named || excluded.contains(&self.name.as_str()) {
            return None;
        }
        let path = &self.value_from.as_ref()?.field_ref.as_ref()?.field_path;
        let (map, key) = path.strip_suffix("']")?.split_once("['")?;
        let annotation = match map {
            "metadata.labels" => false,
            "metadata.annotations" => true,
            _ => return None,
        };
        Some(MetadataEnv { name: interner.get(&self.name), annotation, key: interner.get(key) })
    }
}

impl WireResources {
    fn record(self, interner: &Interner) -> Resources {
        let amounts = |amounts: Option<WireAmounts>| {
            let WireAmounts { cpu, memory } = amounts.unwrap_or_default();
            let text = |text: Option<String>| text.map(|text| interner.get(&text));
            Amounts { cpu: text(cpu), memory: text(memory) }
        };
        Resources { limits: amounts(self.limits), requests: amounts(self.requests) }
    }
}

impl WireCondition {
    fn record(self, interner: &Interner) -> Condition {
        let ours =
            [keys::INPLACE_UPDATE_READY, keys::KRUISE_POD_READY, keys::SIDECARSET_UPGRADABLE]
                .contains(&&*self.kind);
        Condition {
            kind: interner.get(&self.kind),
            status: self.status == "True",
            since: self.last_transition_time.map(|time| time.0.into()),
            reason: interner.get(self.reason.as_deref().unwrap_or_default()),
            message: self.message.filter(|_| ours).map(String::into_boxed_str),
        }
    }
}

impl WireContainerStatus {
    fn record(self, interner: &Interner) -> ContainerStatus {
        let state = self.state.unwrap_or_default();
        let waiting = state.waiting.and_then(|waiting| waiting.reason).unwrap_or_default();
        ContainerStatus {
            name: interner.get(&self.name),
            image: interner.get(&self.image),
            image_id: interner.get(&self.image_id),
            container_id: self.container_id.unwrap_or_default().into(),
            ready: self.ready,
            started_at: state
                .running
                .and_then(|running| running.started_at)
                .map(|time| time.0.into()),
            waiting: interner.get(&waiting),
            resources: self
                .resources
                .map(|resources| interner.resources(&resources.record(interner))),
        }
    }
}
