//! BroadcastJob v1beta1: types only (broadcastjob.md §2–§4).
//!
//! Every member is optional, `null` is absent, and no type is narrower than the schema, so any stored object can be read.
//! What OpenKruise does not know is marked "not in OpenKruise": absent, it changes nothing.
#![expect(clippy::duplicated_attributes, reason = "printer columns repeat their types")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::go;
use crate::raw::RawJson;

/// What the user wants to run on every node.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kruise.io",
    version = "v1beta1",
    doc = "A BroadcastJob: one pod on every node that fits, run to its end.",
    kind = "BroadcastJob",
    namespaced,
    status = "BroadcastJobStatus",
    derive = "PartialEq",
    shortname = "bcj",
    printcolumn(
        name = "Desired",
        type_ = "integer",
        json_path = ".status.desired",
        description = "The number of nodes that the job runs on."
    ),
    printcolumn(
        name = "Active",
        type_ = "integer",
        json_path = ".status.active",
        description = "The number of pods at work."
    ),
    printcolumn(
        name = "Succeeded",
        type_ = "integer",
        json_path = ".status.succeeded",
        description = "The number of pods that succeeded."
    ),
    printcolumn(
        name = "Failed",
        type_ = "integer",
        json_path = ".status.failed",
        description = "The number of pods that failed."
    ),
    printcolumn(
        name = "AGE",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since creation."
    )
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["template"]))]
pub struct BroadcastJobSpec {
    /// Pods at work at the same time: a number, or a percentage of the nodes; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<IntOrString>,
    /// The pod template, carried as it is.
    pub template: RawJson,
    /// When the job is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_policy: Option<CompletionPolicy>,
    /// No pod is created or removed; pods at work go on.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub paused: bool,
    /// What a failed pod means for the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_policy: Option<FailurePolicy>,
    /// In which order nodes get their pods; not in OpenKruise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// `Keep` (the default) or `Delete`: what becomes of a pod at work on a node that no new pod would fit any more. A
    /// pod that may not stay there is deleted either way; not in OpenKruise, which always deletes.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub unfit_pods: Option<String>,
}

/// When the job is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CompletionPolicy {
    /// `Always` (the default): when every node is done; `Never`: it stays open for future nodes.
    #[serde(rename = "type", skip_serializing_if = "go::is_absent_or_zero")]
    pub type_: Option<String>,
    /// Seconds from the start until the job fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,
    /// Seconds from the end until the job is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<i32>,
    /// Time spent paused does not count for the deadline; not in OpenKruise.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub stop_clock_while_paused: bool,
    /// A job that fits no node completes at once instead of waiting for one; not in OpenKruise.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub complete_without_nodes: bool,
}

/// What a failed pod means for the job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailurePolicy {
    /// `FailFast` (the default), `Continue` or `Pause`.
    #[serde(rename = "type", skip_serializing_if = "go::is_absent_or_zero")]
    pub type_: Option<String>,
    /// Restarts of a pod's containers that are tolerated, if its restart policy is `OnFailure`.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub restart_limit: i32,
    /// Failed nodes, a number or a percentage of all, that `FailFast` and `Pause` tolerate; 0 if absent; not in
    /// OpenKruise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failed_nodes: Option<IntOrString>,
    /// Failed nodes get another pod; not in OpenKruise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What certain failures mean, the first rule that matches; not in OpenKruise.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub rules: Vec<FailureRule>,
}

/// How often and when a failed node gets another pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Retry {
    /// How often, for each node.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub limit: i32,
    /// Seconds before the first retry, doubled with each; 10 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_seconds: Option<i32>,
    /// Most seconds before a retry; 600 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_backoff_seconds: Option<i32>,
}

/// What a failure of a certain kind means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailureRule {
    /// `Ignore` (run again, not counted), `FailNode` (no retry) or `FailJob` (whatever the policy).
    #[serde(deserialize_with = "go::or_zero")]
    pub action: String,
    /// Matches exit codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_exit_codes: Option<ExitCodes>,
    /// Matches if one of these conditions is on the pod.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub on_pod_conditions: Vec<PodConditionPattern>,
}

/// Which exit codes a rule is about; 0 never matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExitCodes {
    /// Only this container; any if absent.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub container_name: Option<String>,
    /// `In` or `NotIn`.
    #[serde(deserialize_with = "go::or_zero")]
    pub operator: String,
    /// Exit codes.
    #[serde(deserialize_with = "go::or_zero")]
    pub values: Vec<i32>,
}

/// A condition of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PodConditionPattern {
    /// Type.
    #[serde(rename = "type", deserialize_with = "go::or_zero")]
    pub type_: String,
    /// Status; `True` if absent.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub status: Option<String>,
}

/// In which order nodes get their pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// Nodes with these labels come first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<LabelSelector>,
    /// How many nodes, numbers or percentages of all, may have begun after each wave; the last wave is all.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub waves: Vec<IntOrString>,
    /// Seconds between the end of a wave and the beginning of the next.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub soak_seconds: i32,
    /// Node label that tells domains (zones, racks) apart.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub topology_key: Option<String>,
    /// Pods at work in one domain at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_topology: Option<i32>,
}

/// What is, as the controller sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BroadcastJobStatus {
    /// What the job has come to, the end last.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub conditions: Vec<BroadcastJobCondition>,
    /// When the controller first saw the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it completed or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Pods at work.
    #[serde(deserialize_with = "go::or_zero")]
    pub active: i32,
    /// Pods that succeeded.
    #[serde(deserialize_with = "go::or_zero")]
    pub succeeded: i32,
    /// Pods that failed, or were ended when the job failed.
    #[serde(deserialize_with = "go::or_zero")]
    pub failed: i32,
    /// Nodes that the job runs on.
    #[serde(deserialize_with = "go::or_zero")]
    pub desired: i32,
    /// `running`, `paused`, `completed` or `failed`.
    #[serde(deserialize_with = "go::or_zero")]
    pub phase: String,
    /// Generation of the spec that this status describes; not in OpenKruise.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub observed_generation: Option<i64>,
    /// Nodes that are not done, by what they wait for; not in OpenKruise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeCounts>,
    /// Some of the nodes that are not done or do not fit, and why; not in OpenKruise.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub unfinished: Vec<UnfinishedNode>,
    /// Some of the nodes on which the job failed; not in OpenKruise.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub failed_nodes: Vec<String>,
    /// Which nodes are done, also when their pods are gone; not in OpenKruise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<Results>,
    /// Nodes that failed and are tried again, or whose pod is being stopped: 32 characters for each, for the controller
    /// only; not in OpenKruise.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "go::or_zero")]
    pub failures: String,
    /// When a node was last done; not in OpenKruise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_finish_time: Option<Time>,
    /// Since when the job is paused, if its clock stops meanwhile; not in OpenKruise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_since: Option<Time>,
    /// Seconds that the job was paused before, if its clock stops meanwhile; not in OpenKruise.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub paused_seconds: i64,
}

/// A condition of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["status", "type"]))]
pub struct BroadcastJobCondition {
    /// Type.
    #[serde(rename = "type", deserialize_with = "go::or_zero")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    #[serde(deserialize_with = "go::or_zero")]
    pub status: String,
    /// When it was last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_probe_time: Option<Time>,
    /// Last change of the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Why, in one word.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub reason: Option<String>,
    /// Why, for people.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub message: Option<String>,
}

/// Nodes that are not done, by what they wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeCounts {
    /// They fit and have no pod yet.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub waiting: i32,
    /// They failed and get another pod later.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub retrying: i32,
    /// Their pod is not bound to them.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub unscheduled: i32,
    /// Their pod is being removed.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub terminating: i32,
    /// They do not fit.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub ineligible: i32,
}

/// A node that is not done or does not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UnfinishedNode {
    /// Name of the node.
    #[serde(deserialize_with = "go::or_zero")]
    pub node: String,
    /// Why, in one word.
    #[serde(deserialize_with = "go::or_zero")]
    pub reason: String,
    /// Why, for people.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub message: Option<String>,
}

/// Which nodes are done: lists of marks (ten characters each, nothing between them, sorted).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Results {
    /// Nodes that succeeded.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub succeeded: String,
    /// Nodes that failed.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub failed: String,
    /// Of these, nodes whose failure does not pause the job any more.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub acknowledged: String,
    /// Nodes that succeeded and are gone so long that they are only counted.
    #[serde(
        rename = "pastSucceeded",
        skip_serializing_if = "go::is_zero",
        deserialize_with = "go::or_zero"
    )]
    pub past_succeeded: i64,
    /// Nodes that failed, likewise.
    #[serde(
        rename = "pastFailed",
        skip_serializing_if = "go::is_zero",
        deserialize_with = "go::or_zero"
    )]
    pub past_failed: i64,
}
