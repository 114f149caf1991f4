//! Reads a Pod off the wire into its record: only the members that controllers look at are parsed. Whatever is absent
//! or null may be so, and no time fails, so nothing that Go writes of a stored Pod can poison a watch.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod as TypedPod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kruise_api::keys;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Condition, Container, ContainerStatus, Phase, Pod};
use crate::intern::Interner;
use crate::kind::{Kind, POD};
use crate::meta::{Meta, Pairs, lean_meta};
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
    readiness_gates: Option<Vec<WireGate>>,
    volumes: Option<Vec<WireVolume>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireContainer {
    name: String,
    image: String,
    env: Option<Vec<WireEnv>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireEnv {
    name: String,
    value_from: Option<WireEnvSource>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireEnvSource {
    config_map_key_ref: Option<WireKeyRef>,
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
    state: Option<WireState>,
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

/// Go accepts the last hours of the year 9999 in any zone, and then writes five digits of year in UTC.
fn time_or_none<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Time>, D::Error> {
    let text = Option::<String>::deserialize(source)?;
    Ok(text.and_then(|text| text.parse().ok()).map(Time))
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
        let spec = self.spec;
        let status = self.status;
        let claims = spec.volumes.into_iter().flatten().filter_map(|volume| {
            let claim = volume.persistent_volume_claim?;
            Some((interner.get(&volume.name), interner.get(&claim.claim_name)))
        });
        let gates = spec.readiness_gates.unwrap_or_default();
        let containers = each(spec.containers, |container| container.record(interner));
        Pod {
            meta: Meta::new(&self.metadata, interner),
            annotations: Pairs::kept(annotations, interner, is_read),
            annotated: !annotations.is_empty(),
            phase: Phase::read(status.phase.as_deref()),
            reason: status.reason.map(|reason| interner.get(&reason)),
            node: spec.node_name.map(|node| interner.get(&node)),
            containers: interner.containers(&containers),
            gates: interner.list(gates.iter().map(|gate| gate.condition_type.as_str())),
            claims: claims.collect(),
            conditions: each(status.conditions, |condition| condition.record(interner)),
            statuses: each(status.container_statuses, |status| status.record(interner)),
        }
    }
}

fn each<W, R>(wire: Option<Vec<W>>, record: impl Fn(W) -> R) -> Box<[R]> {
    wire.into_iter().flatten().map(record).collect()
}

/// Annotations that some kruise controller reads off a Pod.
fn is_read(key: &str) -> bool {
    [
        keys::INPLACE_UPDATE_STATE,
        keys::INPLACE_UPDATE_STATE_LEGACY,
        keys::INPLACE_UPDATE_GRACE,
        keys::INPLACE_UPDATE_GRACE_LEGACY,
        keys::RUNTIME_CONTAINERS_META,
        keys::LIFECYCLE_TIMESTAMP,
    ]
    .contains(&key)
}

impl WireContainer {
    fn record(self, interner: &Interner) -> Container {
        let barrier = self.env.into_iter().flatten().find(|env| env.name == keys::BARRIER_ENV);
        let key = barrier.and_then(|env| env.value_from?.config_map_key_ref).map(|key| key.key);
        Container {
            name: interner.get(&self.name),
            image: interner.get(&self.image),
            // A key that is not `p_<int>` counts as priority 0, as in OpenKruise (§6.3), but never panics (W19).
            priority: key.map(|key| key.get(2..).and_then(|n| n.parse().ok()).unwrap_or(0)),
        }
    }
}

impl WireCondition {
    fn record(self, interner: &Interner) -> Condition {
        let ours = [keys::INPLACE_UPDATE_READY, keys::KRUISE_POD_READY].contains(&&*self.kind);
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
        }
    }
}
