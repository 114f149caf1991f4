//! A pod as far as a kubelet has to look at it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A pod, read slim.
#[derive(kube::Resource, Clone, Debug, Default, Serialize, Deserialize)]
#[resource(inherit = Pod)]
pub struct SimPod {
    /// Metadata; only what is used is read.
    #[serde(deserialize_with = "lean", default)]
    pub metadata: ObjectMeta,
    /// Spec.
    #[serde(default)]
    pub spec: Spec,
    /// Status.
    #[serde(default)]
    pub status: Status,
}

/// Spec of a pod.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Node it is bound to.
    pub node_name: String,
    /// `Always`, `OnFailure` or `Never`.
    pub restart_policy: String,
    /// Containers.
    pub containers: Vec<Container>,
    /// Readiness gates.
    pub readiness_gates: Vec<Gate>,
    /// Seconds that the pod may live.
    pub active_deadline_seconds: Option<i64>,
    /// Affinity, of which only the node that it names is looked at.
    pub affinity: Option<serde_json::Value>,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
}

/// A container of the spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Image.
    pub image: String,
    /// Limits and requests.
    pub resources: BTreeMap<String, Value>,
    /// What a change of resources does.
    pub resize_policy: Vec<ResizePolicy>,
}

/// What a change of a resource does to the container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResizePolicy {
    /// `cpu` or `memory`.
    pub resource_name: String,
    /// `NotRequired` or `RestartContainer`.
    pub restart_policy: String,
}

/// A readiness gate.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gate {
    /// Condition type.
    pub condition_type: String,
}

/// Status of a pod.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Phase.
    pub phase: String,
    /// IP.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// Container statuses.
    pub container_statuses: Vec<ContainerStatus>,
}

/// A condition.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When the status changed last.
    pub last_transition_time: Option<Time>,
}

/// A container status, as a simulated kubelet left it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Name.
    pub name: String,
    /// Image.
    pub image: String,
    /// Container ID.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// Restarts so far.
    pub restart_count: u32,
    /// State.
    pub state: State,
    /// What it runs with.
    pub resources: BTreeMap<String, Value>,
}

/// State of a container.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Set while it runs.
    pub running: Option<Running>,
}

/// A running container.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Running {
    /// Since when.
    pub started_at: Option<Time>,
}

impl SimPod {
    /// Namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// UID.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// An annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// The only node on which it may run, if its affinity names one.
    pub fn pinned(&self) -> Option<&str> {
        let terms =
            "/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
        let field = self.spec.affinity.as_ref()?.pointer(terms)?.pointer("/0/matchFields/0")?;
        let by_name = field.get("key")? == "metadata.name" && field.get("operator")? == "In";
        field.pointer("/values/0")?.as_str().filter(|_| by_name)
    }

    /// Whether a condition is true.
    pub fn is_true(&self, kind: &str) -> bool {
        self.status.conditions.iter().any(|c| c.kind == kind && c.status == "True")
    }
}

fn lean<'de, D: Deserializer<'de>>(source: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Lean {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        deletion_timestamp: Option<Time>,
        deletion_grace_period_seconds: Option<i64>,
        annotations: Option<BTreeMap<String, String>>,
        generation: Option<i64>,
    }
    let lean = Lean::deserialize(source)?;
    Ok(ObjectMeta {
        name: lean.name,
        namespace: lean.namespace,
        uid: lean.uid,
        resource_version: lean.resource_version,
        deletion_timestamp: lean.deletion_timestamp,
        deletion_grace_period_seconds: lean.deletion_grace_period_seconds,
        annotations: lean.annotations,
        generation: lean.generation,
        ..ObjectMeta::default()
    })
}
