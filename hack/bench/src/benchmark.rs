//! The benches: what the set looks like before, what is changed, and what has to be true afterwards.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::pods::Identity;

/// Delay of a container start on the simulated nodes, in milliseconds.
pub const START_DELAY_MS: u64 = 200;
/// Delay of a pod's end on the simulated nodes, in milliseconds.
pub const STOP_DELAY_MS: u64 = 50;
/// Namespace of everything that is made here.
pub const NAMESPACE: &str = "bench";
/// Name of the set, and value of its pods' label `app`.
pub const SET: &str = "web";

const IMAGE: &str = "registry.k8s.io/pause:3.9";
const NEXT_IMAGE: &str = "registry.k8s.io/pause:3.10";

/// One bench.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum,
)]
pub enum Bench {
    /// Parallel scale-up from nothing.
    #[value(name = "P1")]
    P1,
    /// Rolling re-creation, everything may be unavailable.
    #[value(name = "P3")]
    P3,
    /// Image update in place.
    #[value(name = "P4")]
    P4,
}

impl Bench {
    /// Name as in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::P1 => "P1",
            Self::P3 => "P3",
            Self::P4 => "P4",
        }
    }

    /// What it is, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::P1 => "parallel scale-up",
            Self::P3 => "rolling re-create, maxUnavailable 100 %",
            Self::P4 => "image update in place, maxUnavailable 100 %",
        }
    }

    /// Replicas before the change.
    pub fn replicas_before(self, size: u32) -> u32 {
        if self == Self::P1 { 0 } else { size }
    }

    /// The change that the clock starts with: a JSON merge patch of the set.
    pub fn change(self, size: u32) -> Value {
        let containers = |image: &str, env: &Value| {
            json!({ "spec": { "template": { "spec": { "containers": containers(image, env) } } } })
        };
        match self {
            Self::P1 => json!({ "spec": { "replicas": size } }),
            Self::P3 => containers(IMAGE, &json!([{ "name": "GREETING", "value": "hello" }])),
            Self::P4 => containers(NEXT_IMAGE, &json!([])),
        }
    }

    /// What has to become of the pods that were there.
    pub fn identity(self) -> Identity {
        match self {
            Self::P1 => Identity::Any,
            Self::P3 => Identity::New,
            Self::P4 => Identity::Kept,
        }
    }

    /// Time that the simulated node lets pass for every pod, whoever the contestant is.
    pub fn node_delay(self) -> Duration {
        let stop = if self == Self::P3 { STOP_DELAY_MS } else { 0 };
        Duration::from_millis(START_DELAY_MS + stop)
    }
}

fn containers(image: &str, env: &Value) -> Value {
    json!([{ "name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "env": env }])
}

/// Spec of a pod as every contestant makes it.
pub fn pod_spec() -> Value {
    json!({ "terminationGracePeriodSeconds": 5, "containers": containers(IMAGE, &json!([])) })
}

/// Spec of the set that every contestant gets; a contestant's file may merge more into it.
pub fn set_spec(replicas: u32) -> Value {
    json!({
        "replicas": replicas,
        "serviceName": SET,
        "podManagementPolicy": "Parallel",
        "revisionHistoryLimit": 10,
        "selector": { "matchLabels": { "app": SET } },
        "template": { "metadata": { "labels": { "app": SET } }, "spec": pod_spec() },
        "updateStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": { "maxUnavailable": "100%" },
        },
    })
}
