//! One contestant on a cluster of its own: scale up, update, and what each took.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::audit::{self, Writes};
use crate::broadcast;
use crate::cluster::{Cluster, Process};
use crate::contestant::{Bench, Contestant};
use crate::floor::Rates;
use crate::measure::{cpu_seconds, peak_rss_mib};
use crate::report::Record;
use crate::requests::{Body, send};
use crate::watch::{Pods, Seen};

/// Milliseconds that a simulated pod takes to stop.
pub const STOP_DELAY_MS: u64 = 50;
/// Simulated nodes.
pub const NODES: usize = 10;
/// Namespace of the measured set.
const NAMESPACE: &str = "bench";
/// Condition that a pod updated in place is gated by.
const GATE: &str = "InPlaceUpdateReady";

/// What is to be measured.
pub struct Sample<'a> {
    /// Who.
    pub contestant: &'a Contestant,
    /// Pods.
    pub size: usize,
    /// How long a container takes to start.
    pub start_delay_ms: u64,
}

/// A cluster with nodes and a contestant that has proven to work.
struct Stage<'a> {
    sample: &'a Sample<'a>,
    rates: &'a Rates,
    cluster: Cluster,
    nodes: Process,
    controller: Process,
    pods: Pods,
    size: usize,
    gated: bool,
}

impl Sample<'_> {
    /// Measures the benches that the contestant takes part in: P1 and P4 on one set, P3 on a fresh cluster.
    pub async fn run(&self, benches: &[Bench], rates: &Rates) -> anyhow::Result<Vec<Record>> {
        let size = |bench| {
            let size = self.contestant.size(bench, self.size);
            size.filter(|_| benches.contains(&bench))
        };
        let mut records = Vec::new();
        if let Some(nodes) = size(Bench::P7) {
            records.extend(broadcast::run(self, nodes, rates).await.context("P7")?);
        }
        if let Some(pods) = size(Bench::P1).or(size(Bench::P4)) {
            // One that updates in place has the gate from the beginning.
            let gated = self.contestant.benches.contains_key(&Bench::P4);
            let mut stage = Stage::set_up(self, rates, pods, gated).await?;
            let record = stage.scale_up().await.context("P1")?;
            records.extend(size(Bench::P1).map(|_| record));
            if size(Bench::P4).is_some() {
                let image = ("/spec/template/spec/containers/0/image", json!("bench/app:2"));
                let mark = "bench/app:2 1";
                records.push(stage.update(Bench::P4, image, mark).await.context("P4")?);
            }
            stage.tear_down().await?;
        }
        if let Some(pods) = size(Bench::P3) {
            let mut stage = Stage::set_up(self, rates, pods, false).await?;
            stage.scale_up().await.context("scale-up before P3")?;
            let variable = ("/spec/template/spec/containers/0/env/0/value", json!("2"));
            records.push(stage.update(Bench::P3, variable, "bench/app:1 2").await.context("P3")?);
            stage.tear_down().await?;
        }
        Ok(records)
    }

    /// The command line of the simulated nodes.
    pub fn simnode(&self, nodes: usize) -> Vec<String> {
        let delay = self.start_delay_ms;
        let command = format!(
            "target/release/simnode --nodes {nodes} --schedule --start-delay-ms {delay} --stop-delay-ms {STOP_DELAY_MS}"
        );
        command.split(' ').map(str::to_owned).collect()
    }

    /// A parallel set with one container.
    fn set(&self, name: &str, replicas: usize, gated: bool) -> Value {
        let mut spec = pod_spec("bench/app:1");
        if gated && let Some(spec) = spec.as_object_mut() {
            spec.insert("readinessGates".to_owned(), json!([{ "conditionType": GATE }]));
        }
        json!({
            "apiVersion": self.contestant.api_version,
            "kind": "StatefulSet",
            "metadata": { "name": name },
            "spec": {
                "replicas": replicas,
                "serviceName": name,
                "podManagementPolicy": "Parallel",
                "selector": { "matchLabels": { "app": name } },
                "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": self.contestant.rolling },
                "template": { "metadata": { "labels": { "app": name } }, "spec": spec },
            },
        })
    }

    fn sets(&self, namespace: &str) -> String {
        format!("/apis/{}/namespaces/{namespace}/statefulsets", self.contestant.api_version)
    }
}

/// A pod of one container, without anything that needs another controller.
pub fn pod_spec(image: &str) -> Value {
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "app",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "env": [{ "name": "V", "value": "1" }],
            "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
        }],
    })
}

impl<'a> Stage<'a> {
    /// Everything is up, and the contestant has brought a first pod to life.
    async fn set_up(
        sample: &'a Sample<'a>,
        rates: &'a Rates,
        size: usize,
        gated: bool,
    ) -> anyhow::Result<Self> {
        let cluster = Cluster::start().await?;
        for manifest in &sample.contestant.manifests {
            cluster.apply(manifest).await?;
        }
        for namespace in [NAMESPACE, "warm-up"] {
            let body = json!({ "metadata": { "name": namespace } });
            send(&cluster.client, "POST", "/api/v1/namespaces", Body::Json, &body).await?;
        }
        let nodes = cluster.spawn(&sample.simnode(NODES))?;
        let command = sample.contestant.command(cluster.kubeconfig(), &cluster.bin()?);
        let controller = cluster.spawn(&command)?;
        let mut first = Pods::watch(cluster.client.clone(), "warm-up");
        first.expect("bench/app:1 1");
        let set = sample.set("first", 1, gated);
        send(&cluster.client, "POST", &sample.sets("warm-up"), Body::Json, &set).await?;
        first.done(1).await.with_context(|| {
            format!("the first pod of {}; see target/bench/*.log", sample.contestant.title())
        })?;
        let pods = Pods::watch(cluster.client.clone(), NAMESPACE);
        Ok(Self { sample, rates, cluster, nodes, controller, pods, size, gated })
    }

    async fn tear_down(self) -> anyhow::Result<()> {
        self.controller.stop().await?;
        self.nodes.stop().await?;
        drop(self.pods);
        self.cluster.stop().await
    }

    /// P1: from the creation of the set until all its pods are ready.
    async fn scale_up(&mut self) -> anyhow::Result<Record> {
        let (sample, client) = (self.sample, self.cluster.client.clone());
        let set = sample.set("web", self.size, self.gated);
        let start =
            async { send(&client, "POST", &sample.sets(NAMESPACE), Body::Json, &set).await };
        self.measure(Bench::P1, "bench/app:1 1", start).await
    }

    /// P3 and P4: from a change of the template until all pods have it and are ready.
    async fn update(
        &mut self,
        bench: Bench,
        (path, value): (&str, Value),
        mark: &str,
    ) -> anyhow::Result<Record> {
        let client = self.cluster.client.clone();
        let set = self.path();
        let body = json!([{ "op": "replace", "path": path, "value": value }]);
        let start = async { send(&client, "PATCH", &set, Body::Patch, &body).await };
        self.measure(bench, mark, start).await
    }

    fn path(&self) -> String {
        format!("{}/web", self.sample.sets(NAMESPACE))
    }

    async fn measure(
        &mut self,
        bench: Bench,
        mark: &str,
        start: impl Future<Output = kube::Result<Value>>,
    ) -> anyhow::Result<Record> {
        let pid = self.controller.pid()?;
        let log = self.cluster.audit_log();
        let from = audit::mark(&log)?;
        let cpu = cpu_seconds(pid)?;
        self.pods.expect(mark);
        let started = Instant::now();
        start.await?;
        let seen = self.pods.done(self.size).await?;
        settled(&self.cluster.client, &self.path(), self.size).await?;
        let cpu = cpu_seconds(pid)? - cpu;
        let writes = writes(&log, from)?;
        self.record(bench, seen, started, (&writes, cpu, peak_rss_mib(pid)?))
    }

    fn record(
        &self,
        bench: Bench,
        seen: Seen,
        started: Instant,
        (writes, cpu_seconds, peak_rss_mib): (&Writes, f64, f64),
    ) -> anyhow::Result<Record> {
        let contestant = self.sample.contestant;
        let agent = &contestant.user_agent;
        let of_pods = writes.of(agent, |resource| resource.starts_with("pods"));
        ensure!(of_pods > 0, "no write of {agent:?} in the audit log: is user_agent right?");
        #[expect(clippy::cast_precision_loss, reason = "counts of pods and writes")]
        let (size, of_pods) = (self.size as f64, of_pods as f64);
        let seconds = (seen.at - started).as_secs_f64();
        Ok(Record {
            bench,
            contestant: contestant.name.clone(),
            mode: contestant.mode.clone(),
            size: self.size,
            seconds,
            pods_per_second: size / seconds,
            writes_per_pod: of_pods / size,
            status_writes: writes.of(agent, |resource| resource == "statefulsets/status"),
            conflicts: writes.conflicts_of(agent),
            most_unavailable: (bench != Bench::P1).then(|| self.size.saturating_sub(seen.fewest)),
            cpu_seconds,
            peak_rss_mib,
            floor_seconds: self.floor(bench, writes),
            latencies: None,
        })
    }

    /// The writes of nodes and scheduler as they were, those of the controller as few as possible, at the raw rates.
    fn floor(&self, bench: Bench, writes: &Writes) -> f64 {
        let mut all = writes.of_others(&self.sample.contestant.user_agent);
        for (verb, resource) in minimum(bench, self.gated) {
            let size = u64::try_from(self.size).unwrap_or(u64::MAX);
            *all.entry(((*verb).to_owned(), (*resource).to_owned())).or_default() += size;
        }
        self.rates.seconds(&all)
    }
}

/// Writes that a controller needs for each pod.
pub fn minimum(bench: Bench, gated: bool) -> &'static [(&'static str, &'static str)] {
    match (bench, gated) {
        (Bench::P1, false) | (Bench::P7, _) => &[("create", "pods")],
        (Bench::P1, true) => &[("create", "pods"), ("patch", "pods/status")],
        (Bench::P3, _) => &[("delete", "pods"), ("create", "pods")],
        (Bench::P4, _) => &[("patch", "pods/status"), ("patch", "pods"), ("patch", "pods/status")],
        (Bench::P9, _) => &[("patch", "pods")],
        (Bench::P8 | Bench::P11, _) => &[],
    }
}

fn writes(log: &Path, from: u64) -> anyhow::Result<Writes> {
    audit::since(log, from, NAMESPACE)
}

/// Waits until the set says itself that it has arrived: its last status write belongs to the rollout.
async fn settled(client: &Client, path: &str, size: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let request = http::Request::builder().uri(path).body(Vec::new())?;
        let set: Value = client.request(request).await?;
        let of = |path: &str| set.pointer(path).cloned();
        let counts = ["/status/readyReplicas", "/status/updatedReplicas"];
        if counts.iter().all(|count| of(count) == Some(json!(size)))
            && of("/status/observedGeneration") == of("/metadata/generation")
            && of("/status/currentRevision") == of("/status/updateRevision")
        {
            return Ok(());
        }
        let status = of("/status").unwrap_or_default();
        ensure!(Instant::now() < deadline, "the set's status did not arrive: {status}");
        sleep(Duration::from_millis(50)).await;
    }
}
