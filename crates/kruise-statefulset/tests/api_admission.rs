#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! Admission on a real API server: the binary's webhook over TLS, registered by URL. One test at a time: a cluster has
//! one set of webhook configurations (`hack/test api` sees to it).

#[path = "api_admission/balancer.rs"]
mod balancer;
#[path = "api_admission/claims.rs"]
mod claims;
#[path = "api_admission/doctor.rs"]
mod doctor;
#[path = "api_admission/mounted.rs"]
mod mounted;
#[path = "api_admission/rotation.rs"]
mod rotation;
#[path = "api_admission/stored.rs"]
mod stored;

use kruise_common::testing::admission::Admitted;
use kruise_common::testing::cluster::Controller;
use serde_json::{Value, json};

/// The controller whose admission is tested.
fn admitted() -> Admitted {
    Admitted {
        binary: env!("CARGO_BIN_EXE_kruise-statefulset"),
        name: "kruise-statefulset",
        probe: set("probe"),
        filled: "/spec/revisionHistoryLimit",
    }
}

/// When the certificate in use ends.
async fn expiry(controller: &Controller) -> f64 {
    controller.metric("webhook_cert_expiry_timestamp_seconds", "").await.unwrap_or_default()
}

/// A set with nothing but what is required.
fn set(name: &str) -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1beta1",
        "kind": "StatefulSet",
        "metadata": { "name": name },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "app", "image": "registry.k8s.io/pause:3.1" }] },
            },
        },
    })
}
