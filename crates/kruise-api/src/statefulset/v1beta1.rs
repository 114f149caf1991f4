//! Advanced StatefulSet v1beta1: types only (statefulset.md §1.2, §1.3).
//!
//! Every member is optional, `null` is absent, and no type is narrower than the schema, so any stored object can be read.
//! Policies are plain strings: an unknown value must survive; what it means is decided where it is used.
#![expect(clippy::duplicated_attributes, reason = "printer columns repeat their types")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::go;
use crate::raw::RawJson;

/// What the user wants of a set of pods with stable identities.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kruise.io",
    version = "v1beta1",
    doc = "An Advanced StatefulSet: pods with stable identities that can be updated in place.",
    kind = "StatefulSet",
    namespaced,
    status = "StatefulSetStatus",
    derive = "PartialEq",
    shortname = "sts",
    shortname = "asts",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.labelSelector"
    ),
    printcolumn(
        name = "DESIRED",
        type_ = "integer",
        json_path = ".spec.replicas",
        description = "The desired number of pods."
    ),
    printcolumn(
        name = "CURRENT",
        type_ = "integer",
        json_path = ".status.replicas",
        description = "The number of currently all pods."
    ),
    printcolumn(
        name = "UPDATED",
        type_ = "integer",
        json_path = ".status.updatedReplicas",
        description = "The number of pods updated."
    ),
    printcolumn(
        name = "READY",
        type_ = "integer",
        json_path = ".status.readyReplicas",
        description = "The number of pods ready."
    ),
    printcolumn(
        name = "AGE",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since creation."
    ),
    printcolumn(
        name = "CONTAINERS",
        type_ = "string",
        priority = 1,
        json_path = ".spec.template.spec.containers[*].name",
        description = "The containers of the pods."
    ),
    printcolumn(
        name = "IMAGES",
        type_ = "string",
        priority = 1,
        json_path = ".spec.template.spec.containers[*].image",
        description = "The images of the containers."
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
    /// When existing claims follow a changed claim template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_claim_update_strategy: Option<VolumeClaimUpdateStrategy>,
    /// `OrderedReady` or `Parallel`. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_management_policy: Option<String>,
    /// How pods move to a changed template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<UpdateStrategy>,
    /// Old revisions that are kept; 10 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
    /// Ordinals that no pod gets: numbers or ranges `a-b`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub reserve_ordinals: Vec<IntOrString>,
    /// Hooks before deletion and around in-place updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// How many pods scaling may leave unavailable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_strategy: Option<ScaleStrategy>,
    /// Whether claims go with their set or their pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim_retention_policy: Option<RetentionPolicy>,
    /// Where ordinals start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordinals: Option<Ordinals>,
    /// Seconds a pod must be ready to count as available, as in apps/v1; `updateStrategy.rollingUpdate.minReadySeconds`
    /// wins if it is set. OpenKruise does not know this member (K-2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<i32>,
}

/// When existing claims follow a changed claim template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VolumeClaimUpdateStrategy {
    /// `OnDelete` or `OnPodRollingUpdate`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
}

/// How pods move to a changed template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateStrategy {
    /// `RollingUpdate` or `OnDelete`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Settings of a rolling update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolling_update: Option<RollingUpdate>,
}

/// Settings of a rolling update.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RollingUpdate {
    /// Number of pods that stay on the old revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Pods that may be unavailable: a number or a percentage of the replicas, rounded down, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// `ReCreate`, `InPlaceIfPossible` or `InPlaceOnly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_update_policy: Option<String>,
    /// No pod is updated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Update without regard to ordinals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unordered_update: Option<UnorderedUpdate>,
    /// How an in-place update is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_place_update_strategy: Option<InPlaceUpdateStrategy>,
    /// Seconds a pod must be ready to count as available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<i32>,
}

/// Update without regard to ordinals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UnorderedUpdate {
    /// Who goes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_strategy: Option<PriorityStrategy>,
}

/// Who is updated first; only one of the lists may be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PriorityStrategy {
    /// By number at the end of a label's value.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub order_priority: Vec<OrderPriority>,
    /// By sum of weights.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub weight_priority: Vec<WeightPriority>,
}

/// A label whose value ends in a number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["orderedKey"]))]
pub struct OrderPriority {
    /// Label key.
    #[serde(deserialize_with = "go::or_zero")]
    pub ordered_key: String,
}

/// A weight for pods with certain labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["matchSelector", "weight"]))]
pub struct WeightPriority {
    /// Weight, 0 to 100.
    #[serde(deserialize_with = "go::or_zero")]
    pub weight: i32,
    /// Which pods.
    #[serde(deserialize_with = "go::or_zero")]
    pub match_selector: LabelSelector,
}

/// How an in-place update is done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InPlaceUpdateStrategy {
    /// Seconds between unready and the image change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<i32>,
    /// How many nodes pull a new image ahead at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pre_download_parallelism: Option<IntOrString>,
    /// How long pulling ahead may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pre_download_timeout_seconds: Option<i32>,
    /// How many pods must be updated and ready before images are pulled ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pre_download_min_updated_ready_pods: Option<i32>,
}

/// Hooks of a pod's life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Lifecycle {
    /// Before a pod is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_delete: Option<LifecycleHook>,
    /// Before and after an in-place update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_place_update: Option<LifecycleHook>,
    /// Before a new pod counts as normal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_normal: Option<LifecycleHook>,
}

/// Labels and finalizers that hold a pod at a hook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LifecycleHook {
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "go::or_zero")]
    pub labels_handler: BTreeMap<String, String>,
    /// Finalizers.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub finalizers_handler: Vec<String>,
    /// Whether the pod is also taken out of traffic.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub mark_pod_not_ready: bool,
}

/// Limits of scaling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleStrategy {
    /// Pods that scaling may leave unavailable: a number or a percentage of the replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
}

/// Whether claims go with their set or their pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RetentionPolicy {
    /// `Retain` or `Delete`, when the set is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_deleted: Option<String>,
    /// `Retain` or `Delete`, when the pod is scaled away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_scaled: Option<String>,
}

/// Where ordinals start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Ordinals {
    /// The first ordinal.
    #[serde(deserialize_with = "go::or_zero")]
    pub start: i32,
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
    /// Ready pods at the update revision.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub updated_ready_replicas: i32,
    /// Available pods at the update revision.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub updated_available_replicas: i32,
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
    /// How the claims stand to their templates.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub volume_claims: Vec<VolumeClaimStatus>,
}

/// A condition of a set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["status", "type"]))]
pub struct StatefulSetCondition {
    /// Type.
    #[serde(rename = "type", deserialize_with = "go::or_zero")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    #[serde(deserialize_with = "go::or_zero")]
    pub status: String,
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

/// How the claims of one template stand to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["compatibleReadyReplicas", "compatibleReplicas", "volumeClaimName"]))]
pub struct VolumeClaimStatus {
    /// Name of the template.
    #[serde(deserialize_with = "go::or_zero")]
    pub volume_claim_name: String,
    /// Replicas whose claim has at least the template's size.
    #[serde(deserialize_with = "go::or_zero")]
    pub compatible_replicas: i32,
    /// Of these, replicas whose size has arrived.
    #[serde(deserialize_with = "go::or_zero")]
    pub compatible_ready_replicas: i32,
}
