//! Caches and snapshots from JSON, as the watches would fill them.

use std::sync::Arc;

use jiff::Timestamp;
use kruise_common::claim::WireClaim;
use kruise_common::gates::FeatureGates;
use kruise_common::intern::Interner;
use kruise_common::key::ObjectKey;
use kruise_common::pod::{Pod, WirePod};
use kruise_common::revision::WireRevision;
use kruise_common::storage_class::StorageClass;
use kruise_common::table::{Table, Wire};
use serde_json::{Value, json};

use crate::object::{Set, WireSet};
use crate::observe::{Caches, observe};
use crate::pull_job::{PullJob, WirePullJob};
use crate::snapshot::Snapshot;

/// UID of [`set`].
pub const UID: &str = "11111111-2222-3333-4444-555555555555";

/// The moment at which tests take place.
pub fn now() -> Timestamp {
    "2026-01-01T00:10:00Z".parse().unwrap()
}

/// An object as its watch reads it.
pub fn read<W: Wire>(object: &Value) -> W::Record {
    let wire: W = serde_json::from_str(&object.to_string()).unwrap();
    wire.into_record(&Interner::default())
}

/// A set `web` with these changes to its spec.
pub fn set(change: &Value) -> Value {
    let mut set = json!({
        "metadata": { "name": "web", "namespace": "default", "uid": UID, "resourceVersion": "7", "generation": 3 },
        "spec": {
            "replicas": 2,
            "serviceName": "web",
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "app", "image": "app:1" }] },
            },
        },
    });
    json_patch::merge(&mut set["spec"], change);
    set
}

/// A pod of the set that has been ready since five minutes before [`now`].
pub fn pod(ordinal: i32, change: &Value) -> Value {
    let name = format!("web-{ordinal}");
    let since = "2026-01-01T00:05:00Z";
    let mut pod = json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-{ordinal}"), "resourceVersion": "9",
            "labels": { "app": "web", "statefulset.kubernetes.io/pod-name": name },
            "ownerReferences": [{
                "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": UID,
                "controller": true,
            }],
        },
        "spec": { "containers": [{ "name": "app", "image": "app:1" }] },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": since }],
        },
    });
    json_patch::merge(&mut pod, change);
    pod
}

/// A claim `data` of an ordinal.
pub fn claim(ordinal: i32, owners: &Value) -> Value {
    json!({
        "metadata": {
            "name": format!("data-web-{ordinal}"), "namespace": "default", "uid": format!("claim-{ordinal}"),
            "resourceVersion": "5", "ownerReferences": owners,
        },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        "status": { "capacity": { "storage": "1Gi" } },
    })
}

/// A claim template `data`.
pub fn claim_template(request: &str) -> Value {
    json!({
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": request } } },
    })
}

/// Caches that hold these objects.
#[derive(Default)]
pub struct Facts {
    sets: Arc<Table<Set>>,
    pods: Arc<Table<Pod>>,
    claims: Arc<Table<kruise_common::claim::Claim>>,
    revisions: Arc<Table<kruise_common::revision::Revision>>,
    classes: Arc<Table<StorageClass>>,
    pull_jobs: Option<Arc<Table<PullJob>>>,
}

impl Facts {
    /// Caches with a set and pods.
    pub fn new(set: &Value, pods: impl IntoIterator<Item = Value>) -> Self {
        let facts = Self::default();
        facts.sets.apply(read::<WireSet>(set));
        for pod in pods {
            facts.pods.apply(read::<WirePod>(&pod));
        }
        facts
    }

    /// Adds a claim.
    pub fn with_claim(self, claim: &Value) -> Self {
        self.claims.apply(read::<WireClaim>(claim));
        self
    }

    /// Adds a revision.
    pub fn with_revision(self, revision: &Value) -> Self {
        self.revisions.apply(read::<WireRevision>(revision));
        self
    }

    /// Lets pull jobs be served, and adds these.
    pub fn with_pull_jobs(self, jobs: &[Value]) -> Self {
        let table: Arc<Table<PullJob>> = Arc::default();
        for job in jobs {
            table.apply(read::<WirePullJob>(job));
        }
        Self { pull_jobs: Some(table), ..self }
    }

    /// What the controller sees, with these gates on top of the defaults.
    pub fn snapshot(self, gates: &str) -> Snapshot {
        let Self { sets, pods, claims, revisions, classes, pull_jobs } = self;
        let classes = Some(classes);
        let caches = Caches { sets, pods, claims, revisions, classes, pull_jobs };
        let gates: FeatureGates = gates.parse().unwrap();
        observe(&caches, gates, &ObjectKey::new("default", "web")).unwrap()
    }
}

/// What the controller sees of a set without pods.
pub fn alone(change: &Value) -> Snapshot {
    Facts::new(&set(change), []).snapshot("")
}
