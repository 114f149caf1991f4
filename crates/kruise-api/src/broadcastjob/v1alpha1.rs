//! BroadcastJob v1alpha1: types only. The same members as v1beta1 (broadcastjob.md §5), ours included, so that conversion
//! strategy `None` loses nothing.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::v1beta1::{BroadcastJobStatus, CompletionPolicy, FailurePolicy, Rollout};
use crate::go;
use crate::raw::RawJson;

/// What the user wants to run on every node.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kruise.io",
    version = "v1alpha1",
    doc = "A BroadcastJob in its older version: the same as v1beta1.",
    kind = "BroadcastJob",
    namespaced,
    status = "BroadcastJobStatus",
    derive = "PartialEq",
    storage = false,
    shortname = "bcj"
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
