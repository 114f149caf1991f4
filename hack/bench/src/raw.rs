//! Raw rates: how many writes of a kind the API server takes from writers that do nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use anyhow::Context;
use futures::future::join_all;
use kube::Client;
use serde_json::json;
use tokio::task::JoinSet;

use crate::api::{self, Call};
use crate::benchmark::pod_spec;
use crate::floor::Rates;

/// Writers at the same time.
pub const WRITERS: u32 = 32;
/// Namespace of the pods that are written.
pub const NAMESPACE: &str = "bench-raw";

/// Measures all rates with `pods` pods; nothing is left.
pub async fn measure(client: &Client, pods: u32) -> anyhow::Result<Rates> {
    let list = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    Call::delete(&list).send(client).await?;
    // Every writer needs its connection before the clock starts.
    join_all((0..WRITERS).map(|_| api::get(client, &list))).await;
    let rates = Rates {
        create: rate(client, pods, create).await?,
        bind: rate(client, pods, bind).await?,
        status: rate(client, pods, status).await?,
        patch: rate(client, pods, patch).await?,
        delete: rate(client, pods, |index| Call::delete(&path(index))).await?,
    };
    Call::delete(&list).send(client).await?;
    Ok(rates)
}

async fn rate(client: &Client, calls: u32, call: fn(u32) -> Call) -> anyhow::Result<f64> {
    let next = Arc::new(AtomicU32::new(0));
    let mut writers = JoinSet::new();
    let began = Instant::now();
    for _ in 0..WRITERS {
        let (client, next) = (client.clone(), Arc::clone(&next));
        writers.spawn(async move {
            let mut result = Ok(());
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= calls {
                    return result;
                }
                if let Err(error) = call(index).send(&client).await {
                    result = Err(error);
                }
            }
        });
    }
    while let Some(result) = writers.join_next().await {
        result?.context("measuring the raw rates")?;
    }
    Ok(f64::from(calls) / began.elapsed().as_secs_f64())
}

fn path(index: u32) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods/raw-{index}")
}

fn create(index: u32) -> Call {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("raw-{index}"),
            // As many as a pod of a set has.
            "labels": {
                "app": "raw",
                "controller-revision-hash": "web-6f5b8c9d7",
                "statefulset.kubernetes.io/pod-name": format!("raw-{index}"),
                "apps.kubernetes.io/pod-index": index.to_string(),
            },
        },
        "spec": pod_spec(),
    });
    Call::create(&format!("/api/v1/namespaces/{NAMESPACE}/pods"), pod)
}

fn bind(index: u32) -> Call {
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": format!("raw-{index}") },
        "target": { "apiVersion": "v1", "kind": "Node", "name": "nowhere" },
    });
    Call::create(&format!("{}/binding", path(index)), binding)
}

fn status(index: u32) -> Call {
    let time = "2026-01-01T00:00:00Z";
    let on = |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": time });
    let status = json!({ "status": {
        "phase": "Running",
        "podIP": "10.1.2.3",
        "podIPs": [{ "ip": "10.1.2.3" }],
        "startTime": time,
        "conditions": [on("Initialized"), on("Ready"), on("ContainersReady"), on("InPlaceUpdateReady")],
        "containerStatuses": [{
            "name": "main", "ready": true, "started": true, "restartCount": 0,
            "image": "registry.k8s.io/pause:3.9", "imageID": "registry.k8s.io/pause@sha256:0",
            "containerID": format!("containerd://{index}"),
            "state": { "running": { "startedAt": time } },
        }],
    }});
    Call::strategic(&format!("{}/status", path(index)), status)
}

fn patch(index: u32) -> Call {
    let change = json!({
        "metadata": { "labels": { "controller-revision-hash": "web-5d4c7b6f8" } },
        "spec": { "containers": [{ "name": "main", "image": "registry.k8s.io/pause:3.10" }] },
    });
    Call::strategic(&path(index), change)
}
