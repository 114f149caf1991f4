//! Binds pods round-robin, for clusters without a kube-scheduler.

use std::collections::HashSet;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, pin_mut};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::options::Options;
use crate::wire::SimPod;

/// Binds every pod without a node until `stop`.
pub async fn run(client: Client, options: Options, stop: CancellationToken) {
    let names = options.names();
    let config = Config::default().fields("spec.nodeName=");
    let pods = watcher(Api::<SimPod>::all(client.clone()), config);
    pin_mut!(pods);
    let mut turn = 0_usize;
    let mut binding = FuturesUnordered::<BoxFuture<(String, bool)>>::new();
    // A pod that changes while its binding is under way is seen again without a node.
    let mut bound: HashSet<String> = HashSet::new();
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            Some((uid, took)) = binding.next(), if !binding.is_empty() => {
                if !took {
                    bound.remove(&uid);
                }
                continue;
            }
            event = pods.next(), if binding.len() < options.writers => event,
        };
        let pod = match event {
            Some(Ok(Event::Apply(pod) | Event::InitApply(pod))) => pod,
            Some(Ok(Event::Delete(pod))) => {
                bound.remove(pod.uid());
                continue;
            }
            Some(Ok(_)) => continue,
            Some(Err(error)) => {
                tracing::debug!(%error, "watch of unscheduled pods");
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                continue;
            }
            None => return,
        };
        if pod.metadata.deletion_timestamp.is_some() || !pod.spec.node_name.is_empty() {
            continue;
        }
        if !bound.insert(pod.uid().to_owned()) {
            continue;
        }
        let Some(next) = names.get(turn % names.len().max(1)).cloned() else { return };
        turn = turn.wrapping_add(1);
        let node = pod.pinned().map_or(next, str::to_owned);
        binding.push(bind(client.clone(), pod, node).boxed());
    }
}

/// UID of the pod, and whether it was bound.
async fn bind(client: Client, pod: SimPod, node: String) -> (String, bool) {
    let path = format!("/api/v1/namespaces/{}/pods/{}/binding", pod.namespace(), pod.name());
    let body = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": pod.name(), "uid": pod.uid() },
        "target": { "apiVersion": "v1", "kind": "Node", "name": node },
    });
    let result = crate::simulation::post(&client, &path, &body).await;
    if let Err(error) = &result {
        tracing::debug!(pod = pod.name(), %error, "not bound");
    }
    (pod.uid().to_owned(), result.is_ok())
}
