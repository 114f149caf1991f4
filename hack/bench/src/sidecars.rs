//! P9 and P11: SidecarSets. The pods are created as admission would have injected them.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kruise_sidecarset::hash::{Hashes, hashes};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::audit;
use crate::cluster::{Cluster, Process};
use crate::contestant::Bench;
use crate::floor::{Rates, WRITERS};
use crate::measure::{cpu_seconds, peak_rss_mib};
use crate::report::{self, Record};
use crate::requests::{Body, many, send};
use crate::sample::{NODES, STOP_DELAY_MS, minimum, pod_spec};
use crate::watch::Pods;

const NAMESPACE: &str = "bench";
const AGENT: &str = "kruise-sidecarset";
pub const SETS: &str = "/apis/apps.kruise.io/v1beta1/sidecarsets";
/// The most that a process may take in P11, with 1,000 sets and 10,000 pods.
const MOST_MIB: f64 = 64.0;
/// Pods of each set in P11.
const PODS_PER_SET: usize = 10;

/// What is to be measured.
pub struct Sample {
    /// Pods.
    pub size: usize,
    /// How long a container takes to start.
    pub start_delay_ms: u64,
}

/// A set `name` for the pods of that label.
fn set(name: &str, image: &str, max_unavailable: &str) -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1beta1",
        "kind": "SidecarSet",
        "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "updateStrategy": { "type": "RollingUpdate", "maxUnavailable": max_unavailable },
            "containers": pod_spec(image).get("containers"),
        },
    })
}

/// A pod of an application with the sidecar of the set.
fn pod(name: &str, set: &str, hashes: &Hashes) -> Value {
    let record = |hash: &str| {
        let record = json!({ "updateTimestamp": "2026-01-01T00:00:00Z", "hash": hash, "sidecarSetName": set, "sidecarList": ["app"] });
        json!({ set: record }).to_string()
    };
    let mut spec = pod_spec("bench/app:1");
    let own = json!({ "name": "main", "image": "bench/main:1", "resources": {} });
    if let Some(containers) = spec.get_mut("containers").and_then(Value::as_array_mut) {
        containers.push(own);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": { "app": set },
            "annotations": {
                "kruise.io/sidecarset-hash": record(&hashes.full),
                "kruise.io/sidecarset-hash-without-image": record(&hashes.without_image),
                "kruise.io/sidecarset-injected-list": set,
            },
        },
        "spec": spec,
    })
}

impl Sample {
    async fn stage(&self) -> anyhow::Result<(Cluster, Process)> {
        let cluster = Cluster::start().await?;
        for manifest in ["target/bench/crds.yaml", "hack/bench/kruise-system.yaml"] {
            cluster.apply(manifest.as_ref()).await?;
        }
        let body = json!({ "metadata": { "name": NAMESPACE } });
        send(&cluster.client, "POST", "/api/v1/namespaces", Body::Json, &body).await?;
        let nodes = format!(
            "target/release/simnode --nodes {NODES} --schedule --start-delay-ms {} --stop-delay-ms {STOP_DELAY_MS}",
            self.start_delay_ms
        );
        let nodes = cluster.spawn(&nodes.split(' ').map(str::to_owned).collect::<Vec<_>>())?;
        Ok((cluster, nodes))
    }

    /// Sets with their pods, all ready.
    async fn fill(&self, client: &Client, sets: usize) -> anyhow::Result<()> {
        let mut pods = Pods::watch(client.clone(), NAMESPACE);
        pods.expect("bench/app:1 1");
        let name = |index: usize| format!("set-{index}");
        many(sets, WRITERS, |index| async move {
            send(client, "POST", SETS, Body::Json, &set(&name(index), "bench/app:1", "10%")).await
        })
        .await?;
        let spec = set("set-0", "bench/app:1", "10%").get("spec").cloned().unwrap_or_default();
        let hashes = hashes(&serde_json::from_value(spec)?)?;
        let hashes = &hashes;
        many(self.size, WRITERS, |index| async move {
            let body = pod(&format!("pod-{index}"), &name(index % sets), hashes);
            let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
            send(client, "POST", &path, Body::Json, &body).await
        })
        .await?;
        pods.done(self.size).await?;
        Ok(())
    }

    /// P9: all at once, then at most a tenth at a time.
    pub async fn roll_out(&self, rates: &Rates) -> anyhow::Result<Vec<Record>> {
        let (cluster, nodes) = self.stage().await?;
        let client = &cluster.client;
        self.fill(client, 1).await?;
        let controller = cluster.spawn(&command())?;
        settled(client, "set-0", self.size).await?;
        let mut records = Vec::new();
        for (at, budget) in ["100%", "100%", "10%"].into_iter().enumerate() {
            let record = self.update(&cluster, &controller, (at + 2, budget), rates).await?;
            // The first time the condition of every pod is written too.
            if at > 0 {
                report::say(&format!("  maxUnavailable {budget}: {record}"));
                records.push(record);
            }
        }
        controller.stop().await?;
        nodes.stop().await?;
        cluster.stop().await?;
        Ok(records)
    }

    async fn update(
        &self,
        cluster: &Cluster,
        controller: &Process,
        (version, budget): (usize, &str),
        rates: &Rates,
    ) -> anyhow::Result<Record> {
        let client = &cluster.client;
        let mut pods = Pods::watch(client.clone(), NAMESPACE);
        pods.expect(&format!("bench/app:{} 1", version - 1));
        pods.done(self.size).await?;
        let log = cluster.audit_log();
        let (from, pid) = (audit::mark(&log)?, controller.pid()?);
        let cpu = cpu_seconds(pid)?;
        pods.expect(&format!("bench/app:{version} 1"));
        let started = Instant::now();
        let body = json!([
            { "op": "replace", "path": "/spec/updateStrategy/maxUnavailable", "value": budget },
            { "op": "replace", "path": "/spec/containers/0/image", "value": format!("bench/app:{version}") },
        ]);
        send(client, "PATCH", &format!("{SETS}/set-0"), Body::Patch, &body).await?;
        let seen = pods.done(self.size).await?;
        settled(client, "set-0", self.size).await?;
        let cpu_seconds = cpu_seconds(pid)? - cpu;
        let writes = audit::since(&log, from, NAMESPACE)?;
        let mut all = writes.of_others(AGENT);
        for (verb, resource) in minimum(Bench::P9, false) {
            let size = u64::try_from(self.size).unwrap_or(u64::MAX);
            *all.entry(((*verb).to_owned(), (*resource).to_owned())).or_default() += size;
        }
        let of_pods = writes.of(AGENT, |resource| resource.starts_with("pods"));
        #[expect(clippy::cast_precision_loss, reason = "counts of pods and writes")]
        let (size, of_pods) = (self.size as f64, of_pods as f64);
        let allowed = if budget == "100%" { self.size } else { self.size.div_ceil(10) };
        let most = self.size.saturating_sub(seen.fewest);
        ensure!(most <= allowed, "{most} pods were down at once, and {allowed} may be");
        let seconds = (seen.at - started).as_secs_f64();
        if budget == "10%" {
            report::say(&format!(
                "  used of the budget: {:.0} %",
                seen.down * 1000.0 / (size * seconds)
            ));
        }
        Ok(Record {
            bench: Bench::P9,
            contestant: AGENT.to_owned(),
            mode: budget.to_owned(),
            size: self.size,
            seconds,
            pods_per_second: size / seconds,
            writes_per_pod: of_pods / size,
            status_writes: writes.of(AGENT, |resource| resource == "sidecarsets/status"),
            conflicts: writes.conflicts_of(AGENT),
            most_unavailable: Some(most),
            cpu_seconds,
            peak_rss_mib: peak_rss_mib(pid)?,
            floor_seconds: rates.seconds(&all),
            latencies: None,
        })
    }

    /// P11: a new process over sets and pods that are all up to date.
    pub async fn start(&self) -> anyhow::Result<Record> {
        let (cluster, nodes) = self.stage().await?;
        let sets = (self.size / PODS_PER_SET).max(1);
        self.fill(&cluster.client, sets).await?;
        let first = cluster.spawn(&command())?;
        for index in 0..sets {
            let pods = self.size / sets + usize::from(index < self.size % sets);
            settled(&cluster.client, &format!("set-{index}"), pods).await?;
        }
        first.stop().await?;
        let log = cluster.audit_log();
        let from = audit::mark(&log)?;
        let started = Instant::now();
        let again = cluster.spawn(&command())?;
        let turns = turns(&again, sets).await?;
        let seconds = (turns - started).as_secs_f64();
        let pid = again.pid()?;
        let (cpu_seconds, peak_rss_mib) = (cpu_seconds(pid)?, peak_rss_mib(pid)?);
        let writes = audit::since(&log, from, NAMESPACE)?;
        let count = writes.of(AGENT, |_| true);
        report::say(&format!(
            "  {sets} sets, {} pods: {seconds:.2} s, {count} writes, {peak_rss_mib:.1} MiB, {cpu_seconds:.2} CPU s",
            self.size
        ));
        ensure!(count == 0, "{count} writes by a process that found everything as it must be");
        ensure!(peak_rss_mib <= MOST_MIB, "{peak_rss_mib:.1} MiB, and {MOST_MIB} are the goal");
        again.stop().await?;
        nodes.stop().await?;
        cluster.stop().await?;
        #[expect(clippy::cast_precision_loss, reason = "counts of pods and writes")]
        let (size, count) = (self.size as f64, count as f64);
        Ok(Record {
            bench: Bench::P11,
            contestant: AGENT.to_owned(),
            mode: "start".to_owned(),
            size: self.size,
            seconds,
            pods_per_second: size / seconds,
            writes_per_pod: count / size,
            status_writes: writes.of(AGENT, |resource| resource == "sidecarsets/status"),
            conflicts: writes.conflicts_of(AGENT),
            most_unavailable: None,
            cpu_seconds,
            peak_rss_mib,
            floor_seconds: 0.0,
            latencies: None,
        })
    }
}

fn command() -> Vec<String> {
    let command = "target/release/kruise-sidecarset --metrics-addr 127.0.0.1:0 --enable-leader-election=false";
    command.split(' ').map(str::to_owned).collect()
}

/// Waits until the set says that all its pods are updated and ready.
async fn settled(client: &Client, name: &str, size: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(3);
    loop {
        let request = http::Request::builder().uri(format!("{SETS}/{name}")).body(Vec::new())?;
        let set: Value = client.request(request).await?;
        let of = |path: &str| set.pointer(path).cloned();
        if of("/status/updatedReadyPods") == Some(json!(size))
            && of("/status/matchedPods") == Some(json!(size))
            && of("/status/observedGeneration") == of("/metadata/generation")
        {
            return Ok(());
        }
        let status = of("/status").unwrap_or_default();
        ensure!(Instant::now() < deadline, "the status of {name} did not arrive: {status}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a process has had so many turns, and says when that was.
async fn turns(process: &Process, many: usize) -> anyhow::Result<Instant> {
    let deadline = Instant::now() + Duration::from_mins(3);
    loop {
        ensure!(Instant::now() < deadline, "{many} turns did not come");
        process.pid()?;
        sleep(Duration::from_millis(20)).await;
        let log = std::fs::read_to_string("target/bench/kruise-sidecarset.log").unwrap_or_default();
        let address = log.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let Some(address) = address.map(str::to_owned) else { continue };
        let Ok(text) = metrics(&address).await else { continue };
        let family = "controller_runtime_reconcile_total";
        let values = text.lines().filter(|line| line.starts_with(family));
        let turns: f64 =
            values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        #[expect(clippy::cast_precision_loss, reason = "a number of sets")]
        if turns + 0.5 > many as f64 {
            return Ok(Instant::now());
        }
    }
}

/// What `/metrics` says.
pub async fn metrics(address: &str) -> anyhow::Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.context("metrics")?;
    Ok(text)
}
