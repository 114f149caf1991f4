//! SidecarSet v1beta1: types only (sidecarset.md §4, §5).
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

use super::container::SidecarContainer;
use crate::go;
use crate::raw::RawJson;
pub use crate::statefulset::v1beta1::{OrderPriority, PriorityStrategy, WeightPriority};

/// Name of the version.
pub const VERSION: &str = "v1beta1";
/// Value of `updateStrategy.type`: running pods are never touched.
pub const NOT_UPDATE: &str = "NotUpdate";
/// Value of `updateStrategy.type`.
pub const ROLLING_UPDATE: &str = "RollingUpdate";
/// Value of `patchPolicy`: only what the pod does not have.
pub const RETAIN: &str = "Retain";
/// Value of `patchPolicy`: whatever the pod has.
pub const OVERWRITE: &str = "Overwrite";
/// Value of `patchPolicy`: merged into what the pod has.
pub const MERGE_PATCH_JSON: &str = "MergePatchJson";
/// Value of `injectionStrategy.revision.policy`.
pub const ALWAYS: &str = "Always";
/// Value of `injectionStrategy.revision.policy`.
pub const PARTIAL: &str = "Partial";

/// What the user wants in every pod that matches.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kruise.io",
    version = "v1beta1",
    doc = "A SidecarSet: containers that are added to every matching pod and updated in place.",
    kind = "SidecarSet",
    status = "SidecarSetStatus",
    derive = "PartialEq",
    printcolumn(name = "MATCHED", type_ = "integer", json_path = ".status.matchedPods"),
    printcolumn(name = "UPDATED", type_ = "integer", json_path = ".status.updatedPods"),
    printcolumn(name = "READY", type_ = "integer", json_path = ".status.readyPods"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarSetSpec {
    /// The pods; must not be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// The only namespace; wins over `namespaceSelector`. The older spelling of a selector by name.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub namespace: Option<String>,
    /// The namespaces, by their labels; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Init containers, injected when a pod is created.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub init_containers: Vec<SidecarContainer>,
    /// Containers, injected when a pod is created; their images are updated in place.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub containers: Vec<SidecarContainer>,
    /// Volumes that the containers mount, carried as they are.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    #[schemars(with = "Option<RawJson>")]
    pub volumes: Vec<RawJson>,
    /// How running pods follow a changed image.
    #[serde(deserialize_with = "go::or_zero")]
    pub update_strategy: UpdateStrategy,
    /// How new pods are injected.
    #[serde(deserialize_with = "go::or_zero")]
    pub injection_strategy: InjectionStrategy,
    /// Pull secrets that the pods get.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub image_pull_secrets: Vec<SecretName>,
    /// Revisions that are kept; 10 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
    /// Annotations that the pods get.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub patch_pod_metadata: Vec<PatchPodMetadata>,
    /// The user's own name of the current revision.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub custom_version: Option<String>,
}

/// How running pods follow a changed image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateStrategy {
    /// `RollingUpdate` or `NotUpdate`.
    #[serde(rename = "type", skip_serializing_if = "go::is_absent_or_zero")]
    pub type_: Option<String>,
    /// No pod is updated.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub paused: bool,
    /// Only these pods are updated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Pods that stay on the old revision: a number or a percentage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<IntOrString>,
    /// Pods that may be unavailable: a number or a percentage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// Who goes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_strategy: Option<PriorityStrategy>,
    /// Labels whose pods are spread over the whole update.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub scatter_strategy: Vec<ScatterTerm>,
}

/// A label whose pods are spread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["key", "value"]))]
pub struct ScatterTerm {
    /// Label key.
    #[serde(deserialize_with = "go::or_zero")]
    pub key: String,
    /// Label value; `*` stands for every value there is.
    #[serde(deserialize_with = "go::or_zero")]
    pub value: String,
}

/// How new pods are injected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InjectionStrategy {
    /// New pods are not injected.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub paused: bool,
    /// A recorded revision instead of the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<InjectedRevision>,
}

/// The revision that new pods get.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InjectedRevision {
    /// Name of a ControllerRevision; wins over `customVersion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_name: Option<String>,
    /// The newest revision of that name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_version: Option<String>,
    /// `Always` or `Partial`.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub policy: Option<String>,
}

/// A pull secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SecretName {
    /// Its name.
    #[serde(deserialize_with = "go::or_zero")]
    pub name: String,
}

/// Annotations that the pods get.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PatchPodMetadata {
    /// The annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "go::or_zero")]
    pub annotations: BTreeMap<String, String>,
    /// `Retain`, `Overwrite` or `MergePatchJson`.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub patch_policy: Option<String>,
}

/// What is, as the controller sees it (STF-1…STF-7).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["matchedPods", "readyPods", "updatedPods"]))]
pub struct SidecarSetStatus {
    /// Generation of the spec that this status describes.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub observed_generation: Option<i64>,
    /// Pods that this set injected and that still match.
    #[serde(deserialize_with = "go::or_zero")]
    pub matched_pods: i32,
    /// Matched pods with the current hash.
    #[serde(deserialize_with = "go::or_zero")]
    pub updated_pods: i32,
    /// Matched pods that are ready.
    #[serde(deserialize_with = "go::or_zero")]
    pub ready_pods: i32,
    /// Both of the previous two.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::or_zero")]
    pub updated_ready_pods: i32,
    /// Name of the revision that equals the spec.
    #[serde(skip_serializing_if = "go::is_absent_or_zero")]
    pub latest_revision: Option<String>,
    /// How often a revision's name was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// What needs attention; not in OpenKruise.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "go::or_zero")]
    pub conditions: Vec<SidecarSetCondition>,
}

/// A condition of a set, in the form of other workloads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["status", "type"]))]
pub struct SidecarSetCondition {
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

/// The namespaces whose pods a set is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scope<'a> {
    /// All.
    All,
    /// This one.
    Namespace(&'a str),
    /// Those whose labels match.
    Selected(&'a LabelSelector),
}

impl SidecarSetSpec {
    /// The namespaces: `namespace`, else `namespaceSelector`, else all (platform §18.2).
    pub fn scope(&self) -> Scope<'_> {
        match (self.namespace.as_deref(), &self.namespace_selector) {
            (Some(name), _) if !name.is_empty() => Scope::Namespace(name),
            (_, Some(selector)) => Scope::Selected(selector),
            (_, None) => Scope::All,
        }
    }

    /// Whether running pods are never touched; every other type means a rolling update (VAL-30).
    pub fn is_not_update(&self) -> bool {
        self.update_strategy.type_.as_deref() == Some(NOT_UPDATE)
    }
}
