//! Every label, annotation, condition type and event reason that travels on the wire, once.

/// API group of all OpenKruise workloads.
pub const GROUP: &str = "apps.kruise.io";

/// Label: full name of the ControllerRevision a pod was made from.
pub const CONTROLLER_REVISION_HASH: &str = "controller-revision-hash";
/// Label of a ControllerRevision: the short hash of its data.
pub const CONTROLLER_HASH: &str = "controller.kubernetes.io/hash";
/// Label: name of the pod.
pub const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Label: ordinal of the pod.
pub const POD_INDEX: &str = "apps.kubernetes.io/pod-index";
/// Label: lifecycle state.
pub const LIFECYCLE_STATE: &str = "lifecycle.apps.kruise.io/state";
/// Annotation: time of the last change of the lifecycle state.
pub const LIFECYCLE_TIMESTAMP: &str = "lifecycle.apps.kruise.io/timestamp";
/// Label: the pod is to be deleted and re-created.
pub const SPECIFIED_DELETE: &str = "apps.kruise.io/specified-delete";
/// Label of a set: guards it against deletion.
pub const DELETE_PROTECTION: &str = "policy.kruise.io/delete-protection";

/// Annotation: state of the last in-place update.
pub const INPLACE_UPDATE_STATE: &str = "apps.kruise.io/inplace-update-state";
/// The state's key before OpenKruise 1.0.
pub const INPLACE_UPDATE_STATE_LEGACY: &str = "inplace-update-state";
/// Annotation: an in-place update that waits for its grace period.
pub const INPLACE_UPDATE_GRACE: &str = "apps.kruise.io/inplace-update-grace";
/// The grace record's key before OpenKruise 1.0.
pub const INPLACE_UPDATE_GRACE_LEGACY: &str = "inplace-update-grace";
/// Annotation: what the node daemon reports of the containers.
pub const RUNTIME_CONTAINERS_META: &str = "apps.kruise.io/runtime-containers-meta";
/// Env of a container that names its launch priority.
pub const BARRIER_ENV: &str = "KRUISE_CONTAINER_BARRIER";

/// Condition and readiness gate: false while a pod is updated in place.
pub const INPLACE_UPDATE_READY: &str = "InPlaceUpdateReady";
/// Condition and readiness gate: false while a lifecycle hook keeps a pod out of traffic.
pub const KRUISE_POD_READY: &str = "KruisePodReady";
/// Reason of `InPlaceUpdateReady` false.
pub const START_INPLACE_UPDATE: &str = "StartInPlaceUpdate";
/// Reason of `Ready` false when a gate is not true.
pub const READINESS_GATES_NOT_READY: &str = "ReadinessGatesNotReady";

/// Condition of a set: a pod could not be created.
pub const CONDITION_FAILED_CREATE_POD: &str = "FailedCreatePod";
/// Condition of a set: a pod could not be changed.
pub const CONDITION_FAILED_UPDATE_POD: &str = "FailedUpdatePod";
/// Condition of a set: its spec cannot be acted upon (ours).
pub const CONDITION_INVALID_SPEC: &str = "InvalidSpec";

/// Event: created.
pub const EVENT_SUCCESSFUL_CREATE: &str = "SuccessfulCreate";
/// Event: not created.
pub const EVENT_FAILED_CREATE: &str = "FailedCreate";
/// Event: deleted.
pub const EVENT_SUCCESSFUL_DELETE: &str = "SuccessfulDelete";
/// Event: not deleted.
pub const EVENT_FAILED_DELETE: &str = "FailedDelete";
/// Event: changed.
pub const EVENT_SUCCESSFUL_UPDATE: &str = "SuccessfulUpdate";
/// Event: not changed.
pub const EVENT_FAILED_UPDATE: &str = "FailedUpdate";
/// Event: an in-place update began.
pub const EVENT_SUCCESSFUL_UPDATE_IN_PLACE: &str = "SuccessfulUpdatePodInPlace";
/// Event: an in-place update could not begin.
pub const EVENT_FAILED_UPDATE_IN_PLACE: &str = "FailedUpdatePodInPlace";
/// Event: the spec cannot be acted upon (ours).
pub const EVENT_INVALID_SPEC: &str = "InvalidSpec";
