//! The record of a job's pod: what tells whether and how it ended, and whose fault that was.
//!
//! Slimmer and other than `kruise_common::pod::Pod`: a workload's pod is asked whether it serves, this one how it ended.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod as TypedPod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kruise_api::keys;
use kruise_common::intern::Interner;
use kruise_common::kind::{BROADCAST_JOB, Kind, POD};
use kruise_common::meta::{Meta, lean_meta};
use kruise_common::moment::Moment;
use kruise_common::pod::Phase;
use kruise_common::table::{Record, Wire};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How far the clocks of a node and of the API server may differ.
const SKEW: SignedDuration = SignedDuration::from_secs(2);

/// A pod of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPod {
    /// Metadata.
    pub meta: Meta,
    /// When its deletion was asked for: its deletion time without the grace period.
    pub asked_to_go: Option<Moment>,
    /// Phase.
    pub phase: Phase,
    /// `status.reason`, empty if absent.
    pub reason: Arc<str>,
    /// The node it is bound to.
    pub bound: Option<Arc<str>>,
    /// The node its affinity names, if exactly one (§11.3).
    pub pinned: Option<Arc<str>>,
    /// Whether its containers are restarted when they fail.
    pub restarted_on_failure: bool,
    /// Restarts of all containers but sidecars (§12, W21).
    pub restarts: i32,
    /// Its own deadline.
    pub deadline: Option<i64>,
    /// Containers that ended for good.
    pub exits: Box<[Exit]>,
    /// Why a container waits, empty if none does.
    pub waiting: Arc<str>,
    /// Conditions.
    pub conditions: Box<[Condition]>,
    /// Whether `KruisePodReady` is among its readiness gates.
    pub gated: bool,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its name.
    pub container: Arc<str>,
    /// Exit code.
    pub code: i32,
    /// When.
    pub at: Option<Moment>,
}

/// A condition of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Type.
    pub kind: Arc<str>,
    /// Status.
    pub status: Arc<str>,
    /// Reason.
    pub reason: Arc<str>,
    /// Last change of the status.
    pub since: Option<Moment>,
}

impl Record for JobPod {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    /// A success counts even if its pod is gone before the status says so (W16).
    fn outlives_its_object(&self) -> bool {
        let owner = self.meta.controller();
        let ours =
            owner.is_some_and(|o| *o.group == *keys::GROUP && *o.kind == *BROADCAST_JOB.kind);
        ours && self.phase == Phase::Succeeded
    }
}

impl JobPod {
    /// Name.
    pub fn name(&self) -> &str {
        &self.meta.key.name
    }

    /// The node that it is meant for (§11.3).
    pub fn node(&self) -> Option<&str> {
        self.bound.as_deref().or(self.pinned.as_deref())
    }

    /// A condition that is true.
    pub fn is_true(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| *c.kind == *kind && *c.status == *"True")
    }

    /// Whether somebody else ended it: it was being removed, or marked as the target of a disruption, before any of its
    /// containers failed (W9). Exit codes do not tell: a container that is asked to stop may end with any.
    pub fn disrupted(&self) -> bool {
        let target = self.is_true(keys::DISRUPTION_TARGET);
        let began = match (self.asked_to_go, target) {
            (None, None) => return false,
            (asked, target) => [asked, target.and_then(|t| t.since)].into_iter().flatten().min(),
        };
        let failed =
            self.exits.iter().filter(|exit| exit.code != 0).filter_map(|exit| exit.at).min();
        match (failed, began) {
            // Two clocks, the node's and the API server's, and whole seconds.
            (Some(failed), Some(began)) => {
                began.timestamp().duration_since(failed.timestamp()) <= SKEW
            }
            _ => true,
        }
    }

    /// When it ended, if it did and anybody says so.
    pub fn ended_at(&self) -> Option<Timestamp> {
        let exits = self.exits.iter().filter_map(|exit| exit.at).max();
        let ready = self.conditions.iter().find(|c| *c.kind == *"Ready").and_then(|c| c.since);
        exits.or(ready).map(Moment::timestamp)
    }

    /// Whether its kubelet was told to end it at once.
    pub fn told_to_stop(&self) -> bool {
        self.deadline.is_some_and(|seconds| seconds <= 1)
    }

    /// Whether it waits for somebody to say that `KruisePodReady` is true for the first time (platform §18.7).
    pub fn waits_for_gate(&self) -> bool {
        let told = self.conditions.iter().any(|c| *c.kind == *keys::KRUISE_POD_READY);
        self.gated && !told && !self.ended() && !self.meta.terminating()
    }

    /// Whether it ended.
    pub fn ended(&self) -> bool {
        matches!(self.phase, Phase::Failed | Phase::Succeeded)
    }
}

/// A pod as it comes from the API server, read only as far as [`JobPod`] needs it.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = TypedPod)]
pub struct WireJobPod {
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
    restart_policy: Option<String>,
    active_deadline_seconds: Option<i64>,
    affinity: Option<Value>,
    containers: Option<Vec<WireContainer>>,
    init_containers: Option<Vec<WireContainer>>,
    readiness_gates: Option<Vec<WireGate>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireGate {
    condition_type: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContainer {
    name: String,
    restart_policy: Option<String>,
    env: Option<Vec<WireEnv>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireEnv {
    name: String,
    value: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus {
    phase: Option<String>,
    reason: Option<String>,
    conditions: Option<Vec<WireCondition>>,
    container_statuses: Option<Vec<WireContainerStatus>>,
    init_container_statuses: Option<Vec<WireContainerStatus>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: Option<String>,
    last_transition_time: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContainerStatus {
    name: String,
    restart_count: i32,
    state: Option<WireState>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireState {
    waiting: Option<WireWaiting>,
    terminated: Option<WireTerminated>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WireWaiting {
    reason: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireTerminated {
    exit_code: i32,
    finished_at: Option<String>,
}

impl Wire for WireJobPod {
    type Record = JobPod;
    const KIND: &'static Kind = &POD;

    fn into_record(self, interner: &Interner) -> JobPod {
        let (spec, status) = (self.spec, self.status);
        let sidecars = spec.sidecars();
        let grace = self.metadata.deletion_grace_period_seconds.unwrap_or_default();
        let asked = self.metadata.deletion_timestamp.as_ref().map(|time| {
            time.0.checked_sub(SignedDuration::from_secs(grace)).unwrap_or(time.0).into()
        });
        let pinned = pin(spec.affinity.as_ref()).map(|node| interner.get(node));
        let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
        let counted = all.clone().filter(|status| !sidecars.contains(&status.name));
        let restarts = counted.fold(0_i32, |sum, s| sum.saturating_add(s.restart_count));
        let waiting =
            all.clone().find_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone());
        let exits = all.filter_map(|status| status.exit(interner)).collect();
        let text = |text: Option<String>| interner.get(text.as_deref().unwrap_or_default());
        JobPod {
            meta: Meta::new(&self.metadata, interner),
            asked_to_go: asked,
            phase: Phase::read(status.phase.as_deref()),
            bound: spec.node_name.filter(|name| !name.is_empty()).map(|node| interner.get(&node)),
            pinned,
            restarted_on_failure: spec.restart_policy.as_deref() == Some("OnFailure"),
            restarts,
            deadline: spec.active_deadline_seconds,
            exits,
            waiting: text(waiting),
            reason: text(status.reason),
            gated: spec
                .readiness_gates
                .iter()
                .flatten()
                .any(|gate| gate.condition_type == keys::KRUISE_POD_READY),
            conditions: status
                .conditions
                .into_iter()
                .flatten()
                .map(|condition| condition.record(interner))
                .collect(),
        }
    }
}

/// Sidecars that say so: the env by which OpenKruise knows them.
const SIDECAR_ENV: [&str; 2] = [keys::TERMINATE_SIDECAR_ENV, keys::INJECTED_ENV];

impl WireSpec {
    /// Names of containers that run beside the work: restartable init containers, and those that OpenKruise injects or
    /// ends with the job.
    fn sidecars(&self) -> Vec<String> {
        let native = self.init_containers.iter().flatten();
        let native = native.filter(|init| init.restart_policy.as_deref() == Some("Always"));
        let marked = self.containers.iter().flatten().filter(|container| {
            let mut env = container.env.iter().flatten();
            env.any(|env| SIDECAR_ENV.contains(&&*env.name) && env.value.as_deref() == Some("true"))
        });
        native.chain(marked).map(|container| container.name.clone()).collect()
    }
}

impl WireContainerStatus {
    fn exit(&self, interner: &Interner) -> Option<Exit> {
        let ended = self.state.as_ref()?.terminated.as_ref()?;
        Some(Exit {
            container: interner.get(&self.name),
            code: ended.exit_code,
            at: moment(ended.finished_at.as_deref()),
        })
    }
}

impl WireCondition {
    fn record(self, interner: &Interner) -> Condition {
        Condition {
            kind: interner.get(&self.kind),
            status: interner.get(&self.status),
            reason: interner.get(self.reason.as_deref().unwrap_or_default()),
            since: moment(self.last_transition_time.as_deref()),
        }
    }
}

/// A time that cannot be read is none: nothing that is stored may poison the watch.
fn moment(text: Option<&str>) -> Option<Moment> {
    let time: Time = text?.parse().ok().map(Time)?;
    Some(time.0.into())
}

/// The node of the first required term over `metadata.name` with one value.
fn pin(affinity: Option<&Value>) -> Option<&str> {
    let terms = affinity?.pointer(
        "/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms",
    )?;
    terms.as_array()?.iter().find_map(|term| {
        term.get("matchFields")?.as_array()?.iter().find_map(|field| {
            let by_name = field.get("key")? == "metadata.name" && field.get("operator")? == "In";
            match field.get("values")?.as_array()?.as_slice() {
                [node] if by_name => node.as_str(),
                _ => None,
            }
        })
    })
}
