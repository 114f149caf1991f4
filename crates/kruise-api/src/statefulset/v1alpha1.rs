//! Advanced StatefulSet v1alpha1: types only. A strict subset of v1beta1 with the same names and types
//! (statefulset.md C-1…C-3), so that conversion strategy `None` carries everything it can express.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::v1beta1::{StatefulSetCondition, UpdateStrategy};
use crate::go;
use crate::raw::RawJson;

/// What the user wants of a set of pods with stable identities.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kruise.io",
    version = "v1alpha1",
    doc = "An Advanced StatefulSet in its older form: v1beta1 has more settings; use that.",
    kind = "StatefulSet",
    namespaced,
    status = "StatefulSetStatus",
    derive = "PartialEq",
    storage = false,
    shortname = "sts",
    shortname = "asts",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.labelSelector"
    )
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["selector", "template"]))]
pub struct StatefulSetSpec {
    /// Number of pods; 1 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Which pods belong to the set; must match the template's labels. Immutable.
    #[serde(deserialize_with = "go::or_zero")]
    pub selector: LabelSelector,
    /// The pod template, carried as it is.
    pub template: RawJson,
    /// Claims that each pod gets, carried as they are.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    #[schemars(with = "Option<RawJson>")]
    pub volume_claim_templates: Vec<RawJson>,
    /// Headless Service of the pods; becomes their subdomain. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// `OrderedReady` or `Parallel`. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_management_policy: Option<String>,
    /// How pods move to a changed template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<UpdateStrategy>,
    /// Old revisions that are kept; 10 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
}

/// What is, as the controller sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["availableReplicas", "currentReplicas", "readyReplicas", "replicas", "updatedReplicas"]))]
pub struct StatefulSetStatus {
    /// Generation of the spec that this status describes.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub observed_generation: Option<i64>,
    /// Pods that exist.
    #[serde(deserialize_with = "go::or_zero")]
    pub replicas: i32,
    /// Ready pods.
    #[serde(deserialize_with = "go::or_zero")]
    pub ready_replicas: i32,
    /// Pods ready long enough.
    #[serde(deserialize_with = "go::or_zero")]
    pub available_replicas: i32,
    /// Pods at the current revision.
    #[serde(deserialize_with = "go::or_zero")]
    pub current_replicas: i32,
    /// Pods at the update revision.
    #[serde(deserialize_with = "go::or_zero")]
    pub updated_replicas: i32,
    /// Name of the revision before the rollout.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub current_revision: Option<String>,
    /// Name of the revision after the rollout.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub update_revision: Option<String>,
    /// How often a revision's name was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// What could not be done.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub conditions: Vec<StatefulSetCondition>,
    /// The selector in text form, for the scale subresource.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub label_selector: Option<String>,
}
