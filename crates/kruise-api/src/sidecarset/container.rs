//! A container of a SidecarSet: any container of a pod, and what OpenKruise adds to it (sidecarset FLD-30…FLD-43).
//!
//! The container is carried as it was written, so that a field of a newer Kubernetes survives; beside it stand the
//! members that rules ask for.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::go;
use crate::raw::RawJson;

/// Value of `podInjectPolicy`: behind the pod's own containers.
pub const AFTER_APP_CONTAINER: &str = "AfterAppContainer";
/// Value of `podInjectPolicy`: before the pod's own containers.
pub const BEFORE_APP_CONTAINER: &str = "BeforeAppContainer";
/// Value of `upgradeType`: the container is restarted with the new image.
pub const COLD_UPGRADE: &str = "ColdUpgrade";
/// Value of `upgradeType`: two containers, of which one works.
pub const HOT_UPGRADE: &str = "HotUpgrade";
/// Value of a share policy.
pub const ENABLED: &str = "enabled";
/// Value of a share policy.
pub const DISABLED: &str = "disabled";

/// A container of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SidecarContainer {
    raw: RawJson,
    /// Name.
    pub name: String,
    /// Image, empty if absent.
    pub image: String,
    /// `restartPolicy`, empty if absent.
    pub restart_policy: String,
    /// What OpenKruise adds.
    pub extensions: Extensions,
}

/// Names of the members that OpenKruise adds; they never enter a pod (INJ-16).
pub const EXTENSIONS: [&str; 6] = [
    "podInjectPolicy",
    "upgradeStrategy",
    "shareVolumePolicy",
    "shareVolumeDevicePolicy",
    "transferEnv",
    "resourcesPolicy",
];

/// What OpenKruise adds to a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct Extensions {
    /// `BeforeAppContainer` or `AfterAppContainer`.
    #[serde(deserialize_with = "go::or_zero")]
    pub pod_inject_policy: String,
    /// How a new image arrives.
    #[serde(deserialize_with = "go::or_zero")]
    pub upgrade_strategy: UpgradeStrategy,
    /// Whether the pod's own volume mounts are shared.
    #[serde(deserialize_with = "go::or_zero")]
    pub share_volume_policy: SharePolicy,
    /// Whether the pod's own volume devices are shared; unlike the other members it has no default, for old hashes' sake.
    pub share_volume_device_policy: Option<SharePolicy>,
    /// Env copied from the pod's own containers.
    #[serde(deserialize_with = "go::or_zero")]
    pub transfer_env: Vec<TransferEnv>,
    /// How resources follow from those of the pod's own containers.
    pub resources_policy: Option<ResourcesPolicy>,
}

/// How a new image arrives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpgradeStrategy {
    /// `ColdUpgrade` or `HotUpgrade`; immutable.
    #[serde(deserialize_with = "go::or_zero")]
    pub upgrade_type: String,
    /// Image of the twin that does not work.
    #[serde(deserialize_with = "go::or_zero")]
    pub hot_upgrade_empty_image: String,
}

/// Whether something of the pod's own containers is shared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SharePolicy {
    /// `enabled` or `disabled`.
    #[serde(rename = "type", deserialize_with = "go::or_zero")]
    pub type_: String,
}

/// Env copied from one of the pod's own containers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TransferEnv {
    /// The container to copy from.
    #[serde(deserialize_with = "go::or_zero")]
    pub source_container_name: String,
    /// Where the name of the container to copy from is read; wins over the name itself.
    pub source_container_name_from: Option<SourceContainerName>,
    /// A variable to copy.
    #[serde(deserialize_with = "go::or_zero")]
    pub env_name: String,
    /// More variables to copy.
    #[serde(deserialize_with = "go::or_zero")]
    pub env_names: Vec<String>,
}

/// Where the name of a container is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceContainerName {
    /// A label or annotation of the pod.
    pub field_ref: Option<FieldRef>,
}

/// A member of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["fieldPath"], "x-kubernetes-map-type" = "atomic"))]
pub struct FieldRef {
    /// Version of the path's schema.
    #[serde(deserialize_with = "go::or_zero")]
    pub api_version: String,
    /// `metadata.labels['<key>']` or `metadata.annotations['<key>']`.
    #[serde(deserialize_with = "go::or_zero")]
    pub field_path: String,
}

/// How resources follow from those of the pod's own containers (sidecarset §14).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["resourcesExpr", "targetContainersMode"]))]
pub struct ResourcesPolicy {
    /// `sum` or `max` over the containers that the expression matches.
    #[serde(deserialize_with = "go::or_zero")]
    pub target_containers_mode: String,
    /// Which containers count.
    #[serde(deserialize_with = "go::or_zero")]
    pub target_containers_name_regex: String,
    /// Expressions.
    #[serde(deserialize_with = "go::or_zero")]
    pub resources_expr: ResourcesExpr,
}

/// Expressions over the resources of the pod's own containers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResourcesExpr {
    /// Of limits.
    pub limits: Option<ResourceExprs>,
    /// Of requests.
    pub requests: Option<ResourceExprs>,
}

/// One expression for each resource; empty means that it is not set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResourceExprs {
    /// Of processor time.
    #[serde(deserialize_with = "go::or_zero")]
    pub cpu: String,
    /// Of memory.
    #[serde(deserialize_with = "go::or_zero")]
    pub memory: String,
}

/// What a [`FieldRef`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// The label with this key.
    Label(&'a str),
    /// The annotation with this key.
    Annotation(&'a str),
}

impl FieldRef {
    /// The label or annotation of the pod, if it names one.
    pub fn source(&self) -> Option<Source<'_>> {
        let (base, key) = self.field_path.strip_suffix("']")?.split_once("['")?;
        match base {
            "metadata.labels" => Some(Source::Label(key)),
            "metadata.annotations" => Some(Source::Annotation(key)),
            _ => None,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Core {
    #[serde(deserialize_with = "go::or_zero")]
    name: String,
    #[serde(deserialize_with = "go::or_zero")]
    image: String,
    #[serde(deserialize_with = "go::or_zero")]
    restart_policy: String,
}

impl SidecarContainer {
    /// Reads the members that rules ask for out of `raw`.
    pub fn new(raw: RawJson) -> Result<Self, serde_json::Error> {
        let Core { name, image, restart_policy } = raw.parse()?;
        let extensions = raw.parse()?;
        Ok(Self { raw, name, image, restart_policy, extensions })
    }

    /// The whole container as it was written.
    pub fn raw(&self) -> &RawJson {
        &self.raw
    }

    /// Whether it is injected as a pair of twins (HOT-1).
    pub fn is_hot(&self) -> bool {
        self.extensions.upgrade_strategy.upgrade_type == HOT_UPGRADE
    }

    /// Whether, among init containers, it is a native sidecar: one that keeps running.
    pub fn is_native(&self) -> bool {
        self.restart_policy == "Always"
    }

    /// Whether it goes before the pod's own containers; everything else goes behind them (INJ-51).
    pub fn goes_first(&self) -> bool {
        self.extensions.pod_inject_policy == BEFORE_APP_CONTAINER
    }
}

impl Serialize for SidecarContainer {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(target)
    }
}

impl<'de> Deserialize<'de> for SidecarContainer {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Self::new(RawJson::deserialize(source)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for SidecarContainer {
    fn schema_name() -> Cow<'static, str> {
        "SidecarContainer".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Extensions::json_schema(generator)
    }
}
