//! Pods as far as a bench looks at them, and how many of them have arrived where they should be.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;
use serde::{Deserialize, Serialize};

const REVISION: &str = "controller-revision-hash";

/// A pod, read slim.
#[derive(kube::Resource, Clone, Debug, Default, Serialize, Deserialize)]
#[resource(inherit = Pod)]
pub struct SlimPod {
    /// Metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    containers: Vec<Container>,
    readiness_gates: Vec<Gate>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    image: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Gate {
    condition_type: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    conditions: Vec<Condition>,
    container_statuses: Vec<Container>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// What has to become of the pods that were there before a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// There were none.
    Any,
    /// All are replaced.
    New,
    /// All are the same, at another revision.
    Kept,
}

/// UIDs and revisions before a change.
#[derive(Clone, Debug, Default)]
struct Before {
    uids: BTreeSet<String>,
    revisions: BTreeSet<String>,
}

/// Pods of the set now, and which of them have arrived.
#[derive(Clone, Debug)]
pub struct Census {
    before: Before,
    identity: Identity,
    pods: BTreeMap<String, Seen>,
    relisted: BTreeMap<String, Seen>,
    strangers: BTreeSet<String>,
    listed: bool,
}

#[derive(Clone, Debug)]
struct Seen {
    uid: String,
    revision: String,
    arrived: bool,
}

impl SlimPod {
    /// Ready, every gate passed, running the images of its spec, and not on its way out.
    pub fn is_settled(&self) -> bool {
        let on = |kind: &str| {
            self.status.conditions.iter().any(|c| c.kind == kind && c.status == "True")
        };
        self.metadata.deletion_timestamp.is_none()
            && on("Ready")
            && self.spec.readiness_gates.iter().all(|gate| on(&gate.condition_type))
            && self.spec.containers.iter().all(|c| self.status.container_statuses.contains(c))
    }

    fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    fn revision(&self) -> &str {
        let labels = self.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(REVISION)).map_or("", String::as_str)
    }
}

impl Census {
    /// Counts pods that are settled, until [`Census::expect`] says more.
    pub fn new() -> Self {
        Self {
            before: Before::default(),
            identity: Identity::Any,
            pods: BTreeMap::new(),
            relisted: BTreeMap::new(),
            strangers: BTreeSet::new(),
            listed: false,
        }
    }

    /// Takes in what the watch tells.
    pub fn take(&mut self, event: Event<SlimPod>) {
        match event {
            Event::Init => self.relisted.clear(),
            Event::InitApply(pod) => {
                let seen = self.see(&pod);
                self.relisted.insert(name(&pod), seen);
            }
            Event::InitDone => {
                self.pods = std::mem::take(&mut self.relisted);
                self.listed = true;
            }
            Event::Apply(pod) => {
                let seen = self.see(&pod);
                self.pods.insert(name(&pod), seen);
            }
            Event::Delete(pod) => {
                let key = name(&pod);
                if self.pods.get(&key).is_some_and(|seen| seen.uid == pod.uid()) {
                    self.pods.remove(&key);
                }
            }
        }
    }

    /// From now on, pods have to become what `identity` says; what is here now is what was before.
    pub fn expect(&mut self, identity: Identity) {
        self.before = Before {
            uids: self.pods.values().map(|seen| seen.uid.clone()).collect(),
            revisions: self.pods.values().map(|seen| seen.revision.clone()).collect(),
        };
        self.identity = identity;
        if identity != Identity::Any {
            self.pods.values_mut().for_each(|seen| seen.arrived = false);
        }
    }

    /// Whether the watch has told of everything that was there when it began.
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// How many have arrived.
    pub fn arrived(&self) -> usize {
        self.pods.values().filter(|seen| seen.arrived).count()
    }

    /// How many are there.
    pub fn present(&self) -> usize {
        self.pods.len()
    }

    /// How many pods were made new although all should have been kept.
    pub fn strangers(&self) -> usize {
        self.strangers.len()
    }

    fn see(&mut self, pod: &SlimPod) -> Seen {
        let old = self.before.uids.contains(pod.uid());
        let moved = !self.before.revisions.contains(pod.revision());
        if self.identity == Identity::Kept && !old {
            self.strangers.insert(pod.uid().to_owned());
        }
        let right = match self.identity {
            Identity::Any => true,
            Identity::New => !old && moved,
            Identity::Kept => old && moved,
        };
        Seen {
            uid: pod.uid().to_owned(),
            revision: pod.revision().to_owned(),
            arrived: right && pod.is_settled(),
        }
    }
}

impl Default for Census {
    fn default() -> Self {
        Self::new()
    }
}

fn name(pod: &SlimPod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}
