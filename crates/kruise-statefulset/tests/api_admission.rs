#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code"
)]
//! Admission on a real API server: the binary's webhook over TLS, registered by URL. One test at a time: a cluster has
//! one set of webhook configurations (`hack/test api` sees to it).

#[path = "api_admission/balancer.rs"]
mod balancer;
#[path = "api_admission/doctor.rs"]
mod doctor;
#[path = "api_admission/rotation.rs"]
mod rotation;
#[path = "api_admission/stored.rs"]
mod stored;

use kruise_common::testing::cluster::{Controller, Space, wait};
use kube::api::{Api, DeleteParams, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_kruise-statefulset");

/// Starts a controller with webhooks behind `url`; `more` says where it listens.
async fn admitted(space: &Space, url: &str, more: &[&str]) -> Controller {
    let flags = [&["--webhook-url", url, "--webhook-drain", "1s"], more].concat();
    Controller::start(BINARY, space, &flags).await
}

/// The same, alone, on a free port; waits until the API server asks it.
async fn alone(space: &Space, more: &[&str]) -> Controller {
    // A test before this one may have failed.
    unregister(space).await;
    let port = free_port();
    let (url, address) = (format!("https://127.0.0.1:{port}"), format!("127.0.0.1:{port}"));
    let controller = admitted(space, &url, &[&["--webhook-addr", &address], more].concat()).await;
    controller.leads().await;
    controller.until("kruise_webhook_registered", "", |registered| registered > 0.0).await;
    asked(space).await;
    controller
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until what is registered has reached the API server: a set without defaults is filled.
async fn asked(space: &Space) {
    let sets = space.workloads("v1beta1", "StatefulSet");
    let params = kube::api::PostParams { dry_run: true, ..Default::default() };
    wait("the webhook to be asked", || async {
        let set: DynamicObject = serde_json::from_value(set("probe")).unwrap();
        let filled = sets.create(&params, &set).await.ok()?;
        filled.data["spec"].get("revisionHistoryLimit").map(|_| ())
    })
    .await;
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

fn configurations(space: &Space, phase: &str) -> Api<DynamicObject> {
    let kind = format!("{phase}WebhookConfiguration");
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", &kind);
    Api::all_with(space.client.clone(), &ApiResource::from_gvk(&kind))
}

/// Takes the registration away: nobody answers for it any more.
async fn unregister(space: &Space) {
    for (phase, name) in [
        ("Mutating", "kruise-statefulset-mutating"),
        ("Validating", "kruise-statefulset-validating"),
    ] {
        let gone = configurations(space, phase).delete(name, &DeleteParams::default()).await;
        assert!(gone.is_ok() || gone.is_err_and(|error| error.to_string().contains("NotFound")));
    }
}
