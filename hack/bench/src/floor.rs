//! What the API server can take at all: raw rates of every kind of write, and the time that a mix of them needs at least.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use serde_json::{Value, json};

use crate::audit::Write;
use crate::cluster::Cluster;
use crate::report;
use crate::requests::{Body, many, send};
use crate::watch::Pods;

/// Requests under way at once while rates are measured.
pub const WRITERS: usize = 32;
/// Requests of each kind.
const COUNT: usize = 600;

/// Writes per second, by kind.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// POST of pods.
    pub create: f64,
    /// POST of pods/binding.
    pub bind: f64,
    /// PATCH of pods/status.
    pub status: f64,
    /// PATCH of pods.
    pub patch: f64,
    /// DELETE of pods.
    pub delete: f64,
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { create, bind, status, patch, delete } = self;
        write!(
            f,
            "create {create:.0}, bind {bind:.0}, status {status:.0}, patch {patch:.0}, delete {delete:.0}"
        )
    }
}

impl Rates {
    /// Rate of a kind of write. What is not measured by itself goes by its nearest kin.
    fn of(&self, verb: &str, resource: &str) -> f64 {
        match (verb, resource) {
            ("create", "pods/binding") => self.bind,
            ("create", _) => self.create,
            ("delete" | "deletecollection", _) => self.delete,
            (_, resource) if resource.ends_with("/status") => self.status,
            _ => self.patch,
        }
    }

    /// Seconds that these writes take at least: all writers share the API server.
    pub fn seconds(&self, writes: &BTreeMap<Write, u64>) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let times = writes.iter().map(|((verb, of), n)| *n as f64 / self.of(verb, of));
        times.sum()
    }
}

/// The middle of several measurements, kind by kind.
pub fn median(all: &[Rates]) -> Rates {
    let of = |kind: fn(&Rates) -> f64| report::median(all.iter().map(kind));
    Rates {
        create: of(|rates| rates.create),
        bind: of(|rates| rates.bind),
        status: of(|rates| rates.status),
        patch: of(|rates| rates.patch),
        delete: of(|rates| rates.delete),
    }
}

/// Measures on a cluster of its own, with nobody else writing. The pods are watched as often as in a sample, for every
/// write is also told to whoever watches: by the nodes, by the benchmark and by a controller.
pub async fn measure() -> anyhow::Result<Rates> {
    let cluster = Cluster::start().await?;
    let client = &cluster.client;
    let nodes = cluster.spawn(&["target/release/simnode", "--nodes", "1"].map(str::to_owned))?;
    let watches = [(); 2].map(|()| Pods::watch(client.clone(), "default"));
    let pods = "/api/v1/namespaces/default/pods";
    let object = |index: usize| format!("{pods}/raw-{index}");
    let create = |index: usize| async move {
        send(client, "POST", pods, Body::Json, &pod(&format!("raw-{index}"))).await
    };
    let bind = |index: usize| async move {
        let target = json!({ "apiVersion": "v1", "kind": "Node", "name": "raw" });
        let body = json!({ "apiVersion": "v1", "kind": "Binding", "target": target,
            "metadata": { "name": format!("raw-{index}") } });
        send(client, "POST", &format!("{}/binding", object(index)), Body::Json, &body).await
    };
    let tell = |index: usize, who: &'static str, body: Value| async move {
        let path = format!("{}/status?fieldManager={who}", object(index));
        send(client, "PATCH", &path, Body::Strategic, &body).await
    };
    let status = |index: usize| tell(index, "kubelet", kubelet_status(false));
    let patch = |index: usize| async move {
        let body = json!([{ "op": "replace", "path": "/spec/containers/0/image", "value": "b" }]);
        send(client, "PATCH", &object(index), Body::Patch, &body).await
    };
    let delete = |index: usize| async move {
        let body = json!({ "gracePeriodSeconds": 0 });
        send(client, "DELETE", &object(index), Body::Json, &body).await
    };
    // The first requests open connections and warm the server up.
    many(WRITERS * 2, WRITERS, |index| create(COUNT + index)).await?;
    let rates = Rates {
        create: rate(many(COUNT, WRITERS, create)).await?,
        bind: rate(many(COUNT, WRITERS, bind)).await?,
        status: {
            // Written to are pods that live: what a write costs grows with what is known of a pod, and by whom.
            many(COUNT, WRITERS, |index| tell(index, "kubelet", kubelet_status(true))).await?;
            many(COUNT, WRITERS, |index| tell(index, "controller", gate())).await?;
            rate(many(COUNT, WRITERS, status)).await?
        },
        patch: rate(many(COUNT, WRITERS, patch)).await?,
        delete: rate(many(COUNT, WRITERS, delete)).await?,
    };
    drop(watches);
    nodes.stop().await?;
    cluster.stop().await?;
    Ok(rates)
}

async fn rate(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<f64> {
    let started = Instant::now();
    work.await?;
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let count = COUNT as f64;
    Ok(count / started.elapsed().as_secs_f64())
}

/// What a kubelet says of a pod.
fn kubelet_status(ready: bool) -> Value {
    let on = if ready { "True" } else { "False" };
    let at = "2026-01-01T00:00:00Z";
    let condition = |kind: &str| json!({ "type": kind, "status": on, "lastProbeTime": null, "lastTransitionTime": at });
    let conditions = ["PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"];
    json!({ "status": {
        "phase": "Running", "hostIP": "10.0.0.1", "podIP": "10.0.0.2", "podIPs": [{ "ip": "10.0.0.2" }], "startTime": at,
        "conditions": conditions.map(condition),
        "containerStatuses": [{
            "name": "app", "image": "docker.io/bench/app:1", "ready": ready, "started": ready, "restartCount": 0,
            "imageID": format!("docker.io/bench/app@sha256:{:064}", 1),
            "containerID": format!("containerd://{:032}", 1),
            "state": { "running": { "startedAt": at } }, "lastState": {},
        }],
    } })
}

/// What a controller says of a pod that it updates in place.
fn gate() -> Value {
    let state = json!({ "revision": "web-6d9f8b7c5d", "updateTimestamp": "2026-01-01T00:00:00Z",
        "lastContainerStatuses": { "app": { "imageID": format!("docker.io/bench/app@sha256:{:064}", 1) } } });
    json!({
        "metadata": {
            "annotations": { "apps.kruise.io/inplace-update-state": state.to_string() },
            "labels": { "controller-revision-hash": "web-6d9f8b7c5d" },
        },
        "status": { "conditions": [{
            "type": "InPlaceUpdateReady", "status": "False", "reason": "StartInPlaceUpdate",
            "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:00Z",
        }] },
    })
}

/// A pod of the size that the measured sets make.
fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": { "app": "web", "statefulset.kubernetes.io/pod-name": name },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "controller": true,
                "uid": "00000000-0000-0000-0000-000000000000",
            }],
        },
        "spec": crate::sample::pod_spec("a"),
    })
}
