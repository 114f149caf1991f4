//! How Go encodes a SidecarSet (sidecarset HSH-6): its members in the order of the structs.

use kruise_common::history::schema::{
    CONTAINER, Kind as K, LABEL_SELECTOR, LOCAL_OBJECT_REFERENCE, Members, OBJECT_FIELD_SELECTOR,
    Omit as O, VOLUME,
};

/// A container of a set.
pub(crate) const SIDECAR_CONTAINER: K = K::Extended(CONTAINER, EXTENSIONS);

const EXTENSIONS: Members = &[
    ("podInjectPolicy", K::String, O::Empty),
    ("upgradeStrategy", K::Struct(UPGRADE_STRATEGY), O::Never),
    ("shareVolumePolicy", K::Struct(SHARE_POLICY), O::Never),
    ("shareVolumeDevicePolicy", K::Struct(SHARE_POLICY), O::Nil),
    ("transferEnv", K::List(&K::Struct(TRANSFER_ENV)), O::Empty),
    ("resourcesPolicy", K::Struct(RESOURCES_POLICY), O::Nil),
];

const UPGRADE_STRATEGY: Members =
    &[("upgradeType", K::String, O::Empty), ("hotUpgradeEmptyImage", K::String, O::Empty)];

const SHARE_POLICY: Members = &[("type", K::String, O::Empty)];

const TRANSFER_ENV: Members = &[
    ("sourceContainerName", K::String, O::Empty),
    ("sourceContainerNameFrom", K::Struct(SOURCE_CONTAINER_NAME), O::Nil),
    ("envName", K::String, O::Empty),
    ("envNames", K::List(&K::String), O::Empty),
];

const SOURCE_CONTAINER_NAME: Members = &[("fieldRef", K::Struct(OBJECT_FIELD_SELECTOR), O::Nil)];

const RESOURCES_POLICY: Members = &[
    ("targetContainersMode", K::String, O::Never),
    ("targetContainersNameRegex", K::String, O::Empty),
    ("resourcesExpr", K::Struct(RESOURCES_EXPR), O::Never),
];

const RESOURCES_EXPR: Members = &[
    ("limits", K::Struct(RESOURCE_EXPRS), O::Nil),
    ("requests", K::Struct(RESOURCE_EXPRS), O::Nil),
];

const RESOURCE_EXPRS: Members = &[("cpu", K::String, O::Empty), ("memory", K::String, O::Empty)];

/// What is hashed of a set without native sidecars (HSH-2).
pub(crate) const HASHED: Members = &[("containers", K::List(&SIDECAR_CONTAINER), O::Never)];

/// What is hashed of a set with native sidecars (HSH-2).
pub(crate) const HASHED_WITH_INIT: Members = &[
    ("containers", K::List(&SIDECAR_CONTAINER), O::Never),
    ("initContainers", K::List(&SIDECAR_CONTAINER), O::Empty),
];

/// The data of a revision (HIS-2).
pub(crate) const REVISION: Members = &[("spec", K::Struct(REVISION_SPEC), O::Never)];

const REVISION_SPEC: Members = &[
    ("$patch", K::String, O::Never),
    ("containers", K::List(&SIDECAR_CONTAINER), O::Never),
    ("imagePullSecrets", K::List(&K::Struct(LOCAL_OBJECT_REFERENCE)), O::Never),
    ("initContainers", K::List(&SIDECAR_CONTAINER), O::Never),
    ("patchPodMetadata", K::List(&K::Struct(PATCH_POD_METADATA)), O::Never),
    ("volumes", K::List(&K::Struct(VOLUME)), O::Never),
];

const PATCH_POD_METADATA: Members =
    &[("annotations", K::Map(&K::String), O::Empty), ("patchPolicy", K::String, O::Empty)];

/// A whole spec as OpenKruise stores it.
pub(crate) const SPEC: Members = &[
    ("selector", K::Struct(LABEL_SELECTOR), O::Nil),
    ("namespace", K::String, O::Empty),
    ("namespaceSelector", K::Struct(LABEL_SELECTOR), O::Nil),
    ("initContainers", K::List(&SIDECAR_CONTAINER), O::Empty),
    ("containers", K::List(&SIDECAR_CONTAINER), O::Empty),
    ("volumes", K::List(&K::Struct(VOLUME)), O::Empty),
    ("updateStrategy", K::Struct(UPDATE_STRATEGY), O::Never),
    ("injectionStrategy", K::Struct(INJECTION_STRATEGY), O::Never),
    ("imagePullSecrets", K::List(&K::Struct(LOCAL_OBJECT_REFERENCE)), O::Empty),
    ("revisionHistoryLimit", K::Int32, O::Nil),
    ("patchPodMetadata", K::List(&K::Struct(PATCH_POD_METADATA)), O::Empty),
    ("customVersion", K::String, O::Empty),
];

const UPDATE_STRATEGY: Members = &[
    ("type", K::String, O::Empty),
    ("paused", K::Bool, O::Empty),
    ("selector", K::Struct(LABEL_SELECTOR), O::Nil),
    ("partition", K::IntOrString, O::Nil),
    ("maxUnavailable", K::IntOrString, O::Nil),
    ("priorityStrategy", K::Struct(PRIORITY_STRATEGY), O::Nil),
    ("scatterStrategy", K::List(&K::Struct(SCATTER_TERM)), O::Empty),
];

const PRIORITY_STRATEGY: Members = &[
    ("orderPriority", K::List(&K::Struct(ORDER_PRIORITY)), O::Empty),
    ("weightPriority", K::List(&K::Struct(WEIGHT_PRIORITY)), O::Empty),
];

const ORDER_PRIORITY: Members = &[("orderedKey", K::String, O::Never)];

const WEIGHT_PRIORITY: Members =
    &[("weight", K::Int32, O::Never), ("matchSelector", K::Struct(LABEL_SELECTOR), O::Never)];

const SCATTER_TERM: Members = &[("key", K::String, O::Never), ("value", K::String, O::Never)];

const INJECTION_STRATEGY: Members =
    &[("paused", K::Bool, O::Empty), ("revision", K::Struct(INJECTED_REVISION), O::Nil)];

const INJECTED_REVISION: Members = &[
    ("revisionName", K::String, O::Nil),
    ("customVersion", K::String, O::Nil),
    ("policy", K::String, O::Empty),
];
