//! Every label, annotation, finalizer, condition type, event reason and component name that travels on the wire, once.
//!
//! Names and verbs of kinds are in `kruise-common/src/kind.rs`; texts of events are where the events are made.

/// API group of all OpenKruise workloads.
pub const GROUP: &str = "apps.kruise.io";

/// Annotation of the Secret with the webhook certificates: when the stage of their rotation changed last.
pub const CERTS_SINCE: &str = "kruise.io/webhook-certs-since";
/// Annotation of a webhook configuration: the namespace and name of the Lease of the installation that wrote it.
pub const INSTALLED_BY: &str = "kruise.io/installed-by";
/// Annotation of the Lease of a controller: the conditions of the controller itself, as a JSON list.
pub const CONTROLLER_CONDITIONS: &str = "kruise.io/conditions";
/// Condition, ours, of a controller: it works, but without something that it should have.
pub const CONDITION_DEGRADED: &str = "Degraded";
/// Reason of a condition [`CONDITION_DEGRADED`] that is False.
pub const AS_EXPECTED: &str = "AsExpected";
/// Reason of a condition [`CONDITION_DEGRADED`]: the controller was started without webhooks.
pub const ADMISSION_NOT_INSTALLED: &str = "AdmissionNotInstalled";
/// Beginning of annotations of a webhook configuration, one for each replica: what it has accepted and not seen stored.
pub const ANNOUNCED: &str = "kruise.io/announced";

// Pods and revisions of a set (statefulset §1.5).

/// Label: full name of the ControllerRevision a pod was made from.
pub const CONTROLLER_REVISION_HASH: &str = "controller-revision-hash";
/// Label of a ControllerRevision: the short hash of its data.
pub const CONTROLLER_HASH: &str = "controller.kubernetes.io/hash";
/// Label: name of the pod.
pub const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Label: ordinal of the pod (gate `PodIndexLabel`).
pub const POD_INDEX: &str = "apps.kubernetes.io/pod-index";
/// Label: the pod is to be deleted and re-created; any value, also an empty one.
pub const SPECIFIED_DELETE: &str = "apps.kruise.io/specified-delete";
/// Annotation of a claim: name of the set that resized it.
pub const CLAIM_OWNER: &str = "apps.kruise.io/owned-by-asts";
/// Annotation of a StorageClass: `true` marks the default class.
pub const DEFAULT_STORAGE_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

// Deletion protection (U-13).

/// Label of a set: guards it against deletion.
pub const DELETE_PROTECTION: &str = "policy.kruise.io/delete-protection";
/// Value of [`DELETE_PROTECTION`]: never delete.
pub const DELETE_PROTECTION_ALWAYS: &str = "Always";
/// Value of [`DELETE_PROTECTION`]: delete only without replicas.
pub const DELETE_PROTECTION_CASCADING: &str = "Cascading";

// Pods of a broadcast job (broadcastjob §11).

/// Label: name of the job.
pub const BROADCASTJOB_NAME: &str = "broadcastjob-name";
/// Label: UID of the job.
pub const BROADCASTJOB_UID: &str = "broadcastjob-controller-uid";
/// Condition of a pod: somebody else ends it (drain, preemption, node shutdown).
pub const DISRUPTION_TARGET: &str = "DisruptionTarget";
/// Taint and toleration key of a cordoned node.
pub const TAINT_UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Taint that every pod tolerates for a while without asking for it.
pub const TAINT_NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Taint that every pod tolerates for a while without asking for it.
pub const TAINT_UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Env of a container that is ended when the job of its pod has ended: a sidecar.
pub const TERMINATE_SIDECAR_ENV: &str = "KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT";
/// Env of a container that a SidecarSet put into the pod.
pub const INJECTED_ENV: &str = "IS_INJECTED";

// Lifecycle (inplace §13); which state follows which is decided in `kruise-inplace/src/lifecycle.rs`.

/// Label: lifecycle state.
pub const LIFECYCLE_STATE: &str = "lifecycle.apps.kruise.io/state";
/// Annotation: time of the last change of the lifecycle state.
pub const LIFECYCLE_TIMESTAMP: &str = "lifecycle.apps.kruise.io/timestamp";

// In-place update (inplace §2); the annotations' content is in `shared::inplace`.

/// Annotation: state of the last in-place update.
pub const INPLACE_UPDATE_STATE: &str = "apps.kruise.io/inplace-update-state";
/// The state's key before OpenKruise 1.0: read if the new one is absent, removed when the new one is written.
pub const INPLACE_UPDATE_STATE_LEGACY: &str = "inplace-update-state";
/// Annotation: an in-place update that waits for its grace period.
pub const INPLACE_UPDATE_GRACE: &str = "apps.kruise.io/inplace-update-grace";
/// Annotation, ours: target revision and containers of the update that was last announced to an `inPlaceUpdate` hook.
pub const INPLACE_UPDATE_ANNOUNCED: &str = "apps.kruise.io/inplace-update-announced";
/// The grace record's key before OpenKruise 1.0, treated like the state's.
pub const INPLACE_UPDATE_GRACE_LEGACY: &str = "inplace-update-grace";
/// Annotation: what the node daemon reports of the containers; read only.
pub const RUNTIME_CONTAINERS_META: &str = "apps.kruise.io/runtime-containers-meta";
/// Annotation of the SidecarSet controller: its own states of in-place updates, by set.
pub const SIDECARSET_INPLACE_UPDATE_STATE: &str = "kruise.io/sidecarset-inplace-update-state";
/// Annotation: `Ordered` starts containers in the order of the list.
pub const LAUNCH_PRIORITY: &str = "apps.kruise.io/container-launch-priority";
/// Annotation: `true` once all containers have been let go.
pub const LAUNCH_PRIORITY_COMPLETED: &str = "apps.kruise.io/container-launch-priority-completed";
/// Env of a container: its launch priority, written by the user.
pub const PRIORITY_ENV: &str = "KRUISE_CONTAINER_PRIORITY";
/// Env of a container that names its launch priority, injected at admission.
pub const BARRIER_ENV: &str = "KRUISE_CONTAINER_BARRIER";
/// Env of a sidecar; never counts as env from metadata.
pub const SIDECARSET_VERSION_ENV: &str = "SIDECARSET_VERSION";
/// Env of a sidecar; never counts as env from metadata.
pub const SIDECARSET_VERSION_ALT_ENV: &str = "SIDECARSET_VERSION_ALT";

// Image pre-download (statefulset §18).

/// Annotation of a set: how many nodes pull at the same time.
pub const PREDOWNLOAD_PARALLELISM: &str = "apps.kruise.io/image-predownload-parallelism";
/// Annotation of a set: how long pulling may take, in seconds.
pub const PREDOWNLOAD_TIMEOUT: &str = "apps.kruise.io/image-predownload-timeout-seconds";
/// Annotation of a set: pods that must be updated and ready before anything is pulled.
pub const PREDOWNLOAD_MIN_READY: &str = "apps.kruise.io/image-predownload-min-updated-ready-pods";
/// Label of a revision: `true` once pull jobs were created.
pub const PREDOWNLOAD_CREATED: &str = "apps.kruise.io/pre-predownload-created";
/// Label of a revision: `true` if no pull jobs will be created.
pub const PREDOWNLOAD_IGNORED: &str = "apps.kruise.io/image-predownload-ignored";

// Options of a set beyond OpenKruise: annotations, so that an object that uses them stays valid for OpenKruise and for
// every client with its types.

/// Annotation of a set: percentage of the replicas that stay on the old revision, instead of `partition`.
pub const PARTITION_PERCENT: &str = "apps.kruise.io/partition-percent";
/// Annotation of a set: pods that an ordered update may leave unavailable, a number or a percentage (K-1).
pub const ORDERED_MAX_UNAVAILABLE: &str = "apps.kruise.io/ordered-max-unavailable";
/// Annotation of a set: `true` lets an ordered update replace a broken pod of an old revision by itself (W-4).
pub const RECOVER_STUCK_ROLLOUT: &str = "apps.kruise.io/recover-stuck-rollout";
/// Annotation of a set: seconds without progress after which a rollout counts as failed.
pub const PROGRESS_DEADLINE: &str = "apps.kruise.io/progress-deadline-seconds";
/// Annotation of a set: JSON list of `{"key","value"}`; an unordered update spreads pods with these labels.
pub const SCATTER_STRATEGY: &str = "apps.kruise.io/scatter-strategy";

// Pod conditions and readiness gates (inplace §3.4).

/// Condition and readiness gate: false while a pod is updated in place.
pub const INPLACE_UPDATE_READY: &str = "InPlaceUpdateReady";
/// Condition and readiness gate: false while a lifecycle hook keeps a pod out of traffic.
pub const KRUISE_POD_READY: &str = "KruisePodReady";
/// Condition, never a gate: false if a SidecarSet cannot update the pod in place.
pub const SIDECARSET_UPGRADABLE: &str = "SidecarSetUpgradable";
/// Condition of the kubelet: a resize waits, or will never be.
pub const POD_RESIZE_PENDING: &str = "PodResizePending";
/// Condition of the kubelet: a resize is being made.
pub const POD_RESIZE_IN_PROGRESS: &str = "PodResizeInProgress";
/// Reason of [`POD_RESIZE_PENDING`]: the node can never make it.
pub const INFEASIBLE: &str = "Infeasible";
/// Reason of `InPlaceUpdateReady` false.
pub const START_INPLACE_UPDATE: &str = "StartInPlaceUpdate";
/// Reason of `Ready` false when a gate is not true.
pub const READINESS_GATES_NOT_READY: &str = "ReadinessGatesNotReady";

// Conditions of a set (F-46).

/// Condition of a set: a pod could not be created.
pub const CONDITION_FAILED_CREATE_POD: &str = "FailedCreatePod";
/// Condition of a set: a pod could not be changed.
pub const CONDITION_FAILED_UPDATE_POD: &str = "FailedUpdatePod";
/// Condition of a set: its spec cannot be acted upon (ours).
pub const CONDITION_INVALID_SPEC: &str = "InvalidSpec";
/// Condition, not in OpenKruise: the API server refuses a write that everything else waits for, such as a revision.
pub const CONDITION_REFUSED_WRITE: &str = "RefusedWrite";

/// Condition, not in OpenKruise: how far a rollout is, what it waits for, and whether it exceeded its deadline.
pub const CONDITION_PROGRESSING: &str = "Progressing";

// Events on a set (statefulset §20).

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
/// Event: a claim was resized.
pub const EVENT_SUCCESSFUL_RESIZE: &str = "SuccessfulResize";
/// Event: a claim could not be resized.
pub const EVENT_FAILED_RESIZE: &str = "FailedResize";
/// Event: claims cannot follow their template (RS-5).
pub const EVENT_FAILED_UPDATE_CLAIM: &str = "FailedUpdatePVC";
/// Event: an in-place update began.
pub const EVENT_SUCCESSFUL_UPDATE_IN_PLACE: &str = "SuccessfulUpdatePodInPlace";
/// Event: an in-place update could not begin.
pub const EVENT_FAILED_UPDATE_IN_PLACE: &str = "FailedUpdatePodInPlace";
/// Event: images are pulled ahead (PD-7).
pub const EVENT_CREATED_PULL_JOB: &str = "CreatedImagePullJob";
/// Event: images cannot be pulled ahead (PD-7).
pub const EVENT_FAILED_CREATE_PULL_JOB: &str = "FailedCreateImagePullJob";
/// Event: the spec cannot be acted upon (ours).
pub const EVENT_INVALID_SPEC: &str = "InvalidSpec";
/// Event, not in OpenKruise: see [`CONDITION_REFUSED_WRITE`].
pub const EVENT_REFUSED_WRITE: &str = "RefusedWrite";

/// Event, not in OpenKruise: a rollout waits for something; the message begins with the reason.
pub const EVENT_WAITING: &str = "Waiting";

/// Annotation: the manifest that `kubectl apply` keeps.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

// SidecarSets (sidecarset §2); the annotations' content is in `kruise-sidecarset/src/containers.rs`.

/// Annotation of a set and its revisions: hash of the containers. On pods: such hashes by set, as JSON.
pub const SIDECARSET_HASH: &str = "kruise.io/sidecarset-hash";
/// The same without images: what differs here cannot be updated in place.
pub const SIDECARSET_HASH_WITHOUT_IMAGE: &str = "kruise.io/sidecarset-hash-without-image";
/// Annotation of a pod: names of the sets that injected into it, separated by commas.
pub const SIDECARSET_INJECTED_LIST: &str = "kruise.io/sidecarset-injected-list";
/// Annotation of a pod: which of two twins works, by sidecar, as JSON.
pub const SIDECARSET_WORKING_CONTAINER: &str = "kruise.io/sidecarset-working-hotupgrade-container";
/// Prefix of an annotation of a pod, followed by a container's name: its hot upgrade version.
pub const SIDECARSET_VERSION_PREFIX: &str = "version.sidecarset.kruise.io/";
/// Prefix of an annotation of a pod, followed by a container's name: the hot upgrade version of its twin.
pub const SIDECARSET_VERSION_ALT_PREFIX: &str = "versionalt.sidecarset.kruise.io/";
/// Annotation of a set: `true` makes it a canary of the set that [`SIDECARSET_BASE`] names.
pub const SIDECARSET_CANARY: &str = "apps.kruise.io/sidecarset-canary";
/// Annotation of a set: the set that it replaces where both match.
pub const SIDECARSET_BASE: &str = "apps.kruise.io/sidecarset-base";
/// Label of a revision, and of a set in its older spelling: the user's own name of the revision.
pub const SIDECARSET_CUSTOM_VERSION: &str = "apps.kruise.io/sidecarset-custom-version";
/// Label of a revision: the set it belongs to.
pub const SIDECARSET_NAME: &str = "kruise.io/sidecarset-name";
/// Env of every injected container: `true`.
pub const IS_INJECTED_ENV: &str = "IS_INJECTED";
/// Annotation of the API copy of a static pod, which only a kubelet can change.
pub const MIRROR_POD: &str = "kubernetes.io/config.mirror";
/// Label that every namespace has: its name.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// ConfigMap in the manager's namespace with settings of OpenKruise.
pub const CONFIGURATION: &str = "kruise-configuration";
/// Key in [`CONFIGURATION`]: which annotations sets may patch (WL-1).
pub const PATCH_WHITELIST: &str = "SidecarSet_PatchPodMetadata_WhiteList";
/// Reason of `SidecarSetUpgradable` true.
pub const ALL_SIDECARSET_UPGRADABLE: &str = "AllSidecarsetUpgradable";
/// Reason of `SidecarSetUpgradable` false.
pub const UPDATE_IMMUTABLE_FIELD: &str = "UpdateImmutableField";
/// Event on a set: pods that cannot be updated in place.
pub const EVENT_NOT_UPGRADABLE_PODS: &str = "NotUpgradablePods";
/// Event on a pod: the old side of a hot upgrade got the empty image.
pub const EVENT_RESET_CONTAINER_SUCCEED: &str = "ResetContainerSucceed";
/// Event on a pod: the old side of a hot upgrade could not get the empty image.
pub const EVENT_RESET_CONTAINER_FAILED: &str = "ResetContainerFailed";

/// Annotation of a set, not in OpenKruise: `true` lets pods that cannot be updated in place be evicted, within budget and
/// PodDisruptionBudgets.
pub const SIDECARSET_EVICTS: &str = "kruise.io/sidecarset-evict-not-upgradable";
/// Annotation of a set, not in OpenKruise: `true` lets pods that were not injected be evicted, so that they come back
/// with their sidecars.
pub const SIDECARSET_REPAIRS: &str = "kruise.io/sidecarset-evict-not-injected";
/// Annotation of a set, not in OpenKruise: `true` lets pods that are not ready wait for the budget like all others.
pub const SIDECARSET_CAUTIOUS: &str = "kruise.io/sidecarset-update-not-ready-within-budget";
/// Annotation of a set, not in OpenKruise: after how many seconds without progress its roll-out counts as stalled (W-43).
pub const SIDECARSET_DEADLINE: &str = "kruise.io/sidecarset-progress-deadline-seconds";
/// Annotation of a set, not in OpenKruise: `true` lets its containers mount volumes that only the pods have (W-19).
pub const SIDECARSET_POD_VOLUMES: &str = "kruise.io/sidecarset-pod-volumes";
/// Annotation of a set, not in OpenKruise: `true` lets its containers share with the pod's init containers too (W-19).
pub const SIDECARSET_SHARES_FROM_INIT: &str = "kruise.io/sidecarset-share-from-init";
/// Annotation of a pod, not in OpenKruise: `*` or names of sets that it does without, if the controller allows it (W-47).
pub const SIDECARSET_SKIP: &str = "kruise.io/sidecarset-skip";
/// Condition and event of a set, not in OpenKruise: the recorded revision that it names for injection cannot be used, and
/// its pods are refused.
pub const CONDITION_REVISION_UNUSABLE: &str = "RevisionUnusable";
/// Event on a set, not in OpenKruise: its pods are to follow another revision.
pub const EVENT_ROLLOUT_STARTED: &str = "RolloutStarted";
/// Event on a set, not in OpenKruise: no pod is behind it any more.
pub const EVENT_ROLLOUT_COMPLETED: &str = "RolloutCompleted";
/// Condition of a set, not in OpenKruise: its roll-out makes no progress.
pub const CONDITION_STALLED: &str = "Stalled";
/// Condition of a set, not in OpenKruise: pods cannot be updated in place, with counts by reason.
pub const CONDITION_NOT_UPGRADABLE: &str = "NotUpgradablePods";
/// Condition of a set, not in OpenKruise: pods that match run without its sidecars.
pub const CONDITION_NOT_INJECTED: &str = "NotInjectedPods";

// Conditions and events of a broadcast job (broadcastjob §4, §19).

/// Condition: the job is completed. Also its reason.
pub const CONDITION_COMPLETE: &str = "Complete";
/// Condition: the job has failed. Also its reason.
pub const CONDITION_FAILED: &str = "Failed";
/// Condition, not in OpenKruise: the job is paused.
pub const CONDITION_PAUSED: &str = "Paused";
/// Condition, not in OpenKruise: no node fits. Also an event.
pub const CONDITION_NO_ELIGIBLE_NODES: &str = "NoEligibleNodes";
/// Event: more pods are at work than may be.
pub const EVENT_TOO_MANY_ACTIVE: &str = "TooManyActivePods";
/// Event: two pods of a job are on one node.
pub const EVENT_DUPLICATE_POD: &str = "DuplicatePodCreatedOnSameNode";
/// Event: a paused job goes on.
pub const EVENT_CONTINUE: &str = "Continue";
/// Event: a failed pod pauses the job.
pub const EVENT_PAUSED: &str = "Paused";
/// Event: a failed pod ends the job.
pub const EVENT_FAILED_POD: &str = "failed pod is found";
/// Event: the job took too long.
pub const EVENT_DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
/// Event: the job is completed.
pub const EVENT_JOB_COMPLETE: &str = "JobComplete";
/// Event, not in OpenKruise: a pod over its restart limit is ended.
pub const EVENT_STOPPED_POD: &str = "StoppedPod";

// Components (G-4, platform §12, §18).

/// Source of events of the Advanced StatefulSet controller.
pub const STATEFULSET_COMPONENT: &str = "statefulset-controller";
/// Binary, Lease and user agent of the Advanced StatefulSet controller.
pub const STATEFULSET_BINARY: &str = "kruise-statefulset";
/// Source of events of the SidecarSet controller.
pub const SIDECARSET_COMPONENT: &str = "sidecarset-controller";
/// Binary, Lease and user agent of the SidecarSet controller and webhooks.
pub const SIDECARSET_BINARY: &str = "kruise-sidecarset";

/// Source of events of the BroadcastJob controller.
pub const BROADCASTJOB_COMPONENT: &str = "broadcastjob-controller";
/// Binary, Lease and user agent of the BroadcastJob controller.
pub const BROADCASTJOB_BINARY: &str = "kruise-broadcastjob";
/// Field manager of the CRDs.
pub const CRD_MANAGER: &str = "kruise-crds";
/// Namespace in which OpenKruise is installed by default, and which its CRDs name.
pub const OPENKRUISE_NAMESPACE: &str = "kruise-system";
/// Lease of OpenKruise's own manager.
pub const OPENKRUISE_LEASE: &str = "kruise-manager";

// Helm's marks on objects of a release (platform §18.1).

/// Label: who manages an object; [`MANAGED_BY_HELM`] for objects of a Helm release.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_HELM: &str = "Helm";
/// Annotation: the Helm release an object belongs to.
pub const HELM_RELEASE: &str = "meta.helm.sh/release-name";
/// Annotation: the namespace of that release.
pub const HELM_RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";
/// Event reason, ours, on a controller's Lease, and reason of its condition: admission is not as it should be; the
/// controller works without it.
pub const EVENT_ADMISSION_DEGRADED: &str = "AdmissionDegraded";
/// Event reason, ours, on a controller's Lease: admission is as it should be again.
pub const EVENT_ADMISSION_RESTORED: &str = "AdmissionRestored";
