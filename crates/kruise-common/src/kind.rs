//! The API kinds that controllers read and write: how their URLs and references are spelled.

/// One kind of the Kubernetes API.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// API group, empty for core.
    pub group: &'static str,
    /// API version without the group.
    pub version: &'static str,
    /// Kind as in an object's `kind`.
    pub kind: &'static str,
    /// Plural as in URLs.
    pub plural: &'static str,
}

/// A pod.
pub static POD: Kind = Kind { group: "", version: "v1", kind: "Pod", plural: "pods" };
/// A persistent volume claim.
pub static CLAIM: Kind = Kind {
    group: "",
    version: "v1",
    kind: "PersistentVolumeClaim",
    plural: "persistentvolumeclaims",
};
/// A stored revision of a workload's template.
pub static CONTROLLER_REVISION: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "ControllerRevision",
    plural: "controllerrevisions",
};
/// The Advanced StatefulSet.
pub static STATEFUL_SET: Kind = Kind {
    group: "apps.kruise.io",
    version: "v1beta1",
    kind: "StatefulSet",
    plural: "statefulsets",
};
/// A ConfigMap.
pub static CONFIG_MAP: Kind =
    Kind { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps" };
/// The SidecarSet.
pub static SIDECAR_SET: Kind =
    Kind { group: "apps.kruise.io", version: "v1beta1", kind: "SidecarSet", plural: "sidecarsets" };
/// A namespace.
pub static NAMESPACE: Kind =
    Kind { group: "", version: "v1", kind: "Namespace", plural: "namespaces" };

/// A storage class; cluster-scoped.
pub static STORAGE_CLASS: Kind =
    Kind { group: "storage.k8s.io", version: "v1", kind: "StorageClass", plural: "storageclasses" };
/// An order to pull an image ahead; served only where OpenKruise's daemon is installed.
pub static IMAGE_PULL_JOB: Kind = Kind {
    group: "apps.kruise.io",
    version: "v1beta1",
    kind: "ImagePullJob",
    plural: "imagepulljobs",
};
/// The BroadcastJob.
pub static BROADCAST_JOB: Kind = Kind {
    group: "apps.kruise.io",
    version: "v1beta1",
    kind: "BroadcastJob",
    plural: "broadcastjobs",
};
/// A node; cluster-scoped.
pub static NODE: Kind = Kind { group: "", version: "v1", kind: "Node", plural: "nodes" };

/// The object by which replicas agree who leads.
pub static LEASE: Kind =
    Kind { group: "coordination.k8s.io", version: "v1", kind: "Lease", plural: "leases" };

impl Kind {
    /// `group/version`, or just the version for core kinds.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The URL path of this kind's objects in `namespace` (cluster-scoped if empty).
    pub fn path(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis/" };
        let group = if self.group.is_empty() { "" } else { self.group };
        if namespace.is_empty() {
            format!("{root}{group}/{}/{}", self.version, self.plural)
        } else {
            format!("{root}{group}/{}/namespaces/{namespace}/{}", self.version, self.plural)
        }
    }
}
