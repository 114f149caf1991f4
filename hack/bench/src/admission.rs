//! P8: what a pod costs at admission. Pods are created (dry run) at a fixed rate, whatever the answers take.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::cluster::{Cluster, Process};
use crate::contestant::Bench;
use crate::floor::WRITERS;
use crate::measure::{cpu_seconds, peak_rss_mib};
use crate::report::{self, Latencies, Quantiles, Record};
use crate::requests::{Body, many, send};
use crate::sample::pod_spec;
use crate::sidecars::{SETS, metrics};

const NAMESPACE: &str = "bench";
const APP: &str = "p8";
/// Pods a second.
const RATES: [u32; 3] = [1, 50, 200];
/// How many sets there are, and how many of them match.
const SETS_AND_MATCHES: [(usize, usize); 7] =
    [(1, 1), (10, 1), (100, 1), (1000, 1), (10, 10), (100, 10), (1000, 10)];

/// What is to be measured.
pub struct Sample {
    /// How long each rate is kept up; at one pod a second twice as long.
    pub seconds: u32,
}

/// Who stands between the client and its pods.
struct Door<'a> {
    who: &'static str,
    webhook: Option<&'a Webhook>,
    sets: usize,
    matches: usize,
}

/// Our process.
struct Webhook {
    process: Process,
    metrics: String,
}

impl Webhook {
    async fn start(cluster: &Cluster, more: &[&str]) -> anyhow::Result<Self> {
        let (metrics, address) = (free_address()?, free_address()?);
        let url = format!("https://{address}");
        let flags = ["--enable-leader-election=false", "--metrics-addr", &metrics];
        let webhook = ["--webhook-addr", &address, "--webhook-url", &url];
        let command =
            [&["target/release/kruise-sidecarset"], &flags[..], &webhook[..], more].concat();
        let command: Vec<String> = command.into_iter().map(str::to_owned).collect();
        let process = cluster.spawn(&command)?;
        let started = Self { process, metrics };
        started.until("kruise_webhook_registered", 1.0).await?;
        Ok(started)
    }

    async fn until(&self, family: &str, wanted: f64) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let text = metrics(&self.metrics).await.unwrap_or_default();
            let value =
                text.lines().find_map(|line| line.strip_prefix(family)?.trim().parse().ok());
            if value == Some(wanted) {
                return Ok(());
            }
            self.process.pid()?;
            ensure!(Instant::now() < deadline, "{family} is {value:?}, not {wanted}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until it does nothing any more: all sets have had their turns.
    async fn rests(&self) -> anyhow::Result<()> {
        let pid = self.process.pid()?;
        loop {
            let before = cpu_seconds(pid)?;
            sleep(Duration::from_secs(1)).await;
            if cpu_seconds(pid)? - before < 0.015 {
                return Ok(());
            }
        }
    }

    /// The histogram of reviews about pods: how many took at most so long.
    async fn reviews(&self) -> anyhow::Result<BTreeMap<u64, f64>> {
        Ok(buckets(&metrics(&self.metrics).await?))
    }
}

fn free_address() -> anyhow::Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

/// Microseconds at most, and how many.
pub fn buckets(text: &str) -> BTreeMap<u64, f64> {
    let of = |line: &str| {
        let rest = line.strip_prefix("controller_runtime_webhook_latency_seconds_bucket{")?;
        let (labels, count) = rest.rsplit_once(' ')?;
        let limit = labels.split("le=\"").nth(1)?.split('"').next()?;
        let seconds: f64 = if limit == "+Inf" { 1e6 } else { limit.parse().ok()? };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time")]
        let micros = (seconds * 1e6).round() as u64;
        labels.contains("/mutate-pod").then_some((micros, count.parse().ok()?))
    };
    text.lines().filter_map(of).collect()
}

/// Milliseconds below which a share of what came between two readings was answered; within a bucket evenly spread.
pub fn quantile(before: &BTreeMap<u64, f64>, after: &BTreeMap<u64, f64>, share: f64) -> f64 {
    let count = |limit: &u64, all: f64| all - before.get(limit).copied().unwrap_or(0.0);
    let total = after.last_key_value().map_or(0.0, |(limit, all)| count(limit, *all));
    let wanted = total * share;
    let (mut low, mut below) = (0.0, 0.0);
    for (limit, all) in after {
        #[expect(clippy::cast_precision_loss, reason = "microseconds")]
        let (high, upto) = (*limit as f64 / 1000.0, count(limit, *all));
        if upto >= wanted && upto > below {
            return low + (high - low) * (wanted - below) / (upto - below);
        }
        (low, below) = (high, upto);
    }
    f64::NAN
}

/// The value below which a share of `sorted` is.
pub fn ranked(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among some thousand"
    )]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

fn pod(app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "generateName": "p8-", "labels": { "app": app, "tier": "web", "pod-template-hash": "5d4f" } },
        "spec": pod_spec("bench/main:1"),
    })
}

fn set(at: usize, app: &str) -> Value {
    let container = json!({
        "name": format!("agent-{at}"), "image": "bench/agent:1", "args": ["--level", "info"],
        "env": [{ "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }],
        "resources": { "limits": { "cpu": "100m", "memory": "64Mi" } },
        "volumeMounts": [{ "name": "agent", "mountPath": "/var/agent" }],
        "shareVolumePolicy": { "type": if at.is_multiple_of(2) { "disabled" } else { "enabled" } },
    });
    json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": { "name": format!("set-{at}") },
        "spec": {
            "selector": { "matchLabels": { "app": app } }, "containers": [container],
            "volumes": [{ "name": "agent", "emptyDir": {} }],
        },
    })
}

async fn create(client: &Client, app: &str) -> kube::Result<Value> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All");
    send(client, "POST", &path, Body::Json, &pod(app)).await
}

/// Waits until a pod would get so many containers.
async fn injected(client: &Client, sidecars: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let pod = create(client, APP).await?;
        let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
        let count = containers.map_or(0, Vec::len);
        if count == sidecars + 1 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "a pod has {count} containers, not {}", sidecars + 1);
        sleep(Duration::from_millis(5)).await;
    }
}

impl Sample {
    /// No webhook, one that patches nothing, and ours with more and more sets.
    pub async fn run(&self) -> anyhow::Result<Vec<Record>> {
        let cluster = Cluster::with_tokens().await?;
        for manifest in ["target/bench/crds.yaml", "hack/bench/kruise-system.yaml"] {
            cluster.apply(manifest.as_ref()).await?;
        }
        let client = &cluster.client;
        let body = json!({ "metadata": { "name": NAMESPACE } });
        send(client, "POST", "/api/v1/namespaces", Body::Json, &body).await?;
        let account = json!({ "metadata": { "name": "default" } });
        let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts");
        send(client, "POST", &path, Body::Json, &account).await?;
        let mut records = Vec::new();
        let none = Door { who: "no webhook", webhook: None, sets: 0, matches: 0 };
        self.measure(client, &none, &mut records).await?;

        // Asked about every pod, without a set: decodes, and patches nothing.
        let echo = Webhook::start(&cluster, &["--narrow-pod-webhook=false"]).await?;
        sleep(Duration::from_secs(1)).await;
        let door = Door { who: "echo", webhook: Some(&echo), sets: 0, matches: 0 };
        self.measure(client, &door, &mut records).await?;
        echo.process.stop().await?;

        let ours = Webhook::start(&cluster, &[]).await?;
        let mut there = (0, 0);
        for (sets, matches) in SETS_AND_MATCHES {
            if matches != there.1 {
                send(client, "DELETE", SETS, Body::Json, &json!({})).await?;
                there = (0, matches);
            }
            many(sets - there.0, WRITERS, |more| {
                let at = there.0 + more;
                let app = if at < matches { APP.to_owned() } else { format!("other-{at}") };
                async move { send(client, "POST", SETS, Body::Json, &set(at, &app)).await }
            })
            .await?;
            there = (sets, matches);
            let created = Instant::now();
            injected(client, matches).await?;
            let took = created.elapsed().as_secs_f64() * 1000.0;
            report::say(&format!(
                "  {sets} sets: pods are injected {took:.0} ms after the last one was created"
            ));
            ours.rests().await?;
            let door = Door { who: "kruise-sidecarset", webhook: Some(&ours), sets, matches };
            self.measure(client, &door, &mut records).await?;
        }
        let asked = ours.reviews().await?;
        for _ in 0..20 {
            create(client, "of-nobody").await?;
        }
        let extra = quantile(&asked, &ours.reviews().await?, 1.0);
        ensure!(extra.is_nan(), "pods that no set can match are sent to us: {extra} ms");
        report::say("  20 pods that no set can match: not one was sent to the webhook");
        ours.process.stop().await?;
        cluster.stop().await?;
        Ok(records)
    }

    async fn measure(
        &self,
        client: &Client,
        door: &Door<'_>,
        records: &mut Vec<Record>,
    ) -> anyhow::Result<()> {
        for rate in RATES {
            // The first ones open connections.
            for _ in 0..5 {
                create(client, APP).await?;
            }
            let record = self.at_rate(client, door, rate).await?;
            report::say(&format!("  {record}"));
            records.push(record);
        }
        Ok(())
    }

    async fn at_rate(&self, client: &Client, door: &Door<'_>, rate: u32) -> anyhow::Result<Record> {
        let calls = rate * self.seconds * if rate == 1 { 2 } else { 1 };
        let pid = door.webhook.map(|webhook| webhook.process.pid()).transpose()?;
        let cpu = |pid: Option<u32>| pid.map_or(Ok(0.0), cpu_seconds);
        let reviews = async || match door.webhook {
            Some(webhook) => webhook.reviews().await,
            None => Ok(BTreeMap::new()),
        };
        let (before, cpu_before) = (reviews().await?, cpu(pid)?);
        let started = Instant::now();
        let mut pace = interval(Duration::from_secs(1) / rate);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut tasks = Vec::new();
        for _ in 0..calls {
            pace.tick().await;
            let client = client.clone();
            tasks.push(tokio::spawn(async move {
                let sent = Instant::now();
                create(&client, APP).await.map(|_| sent.elapsed().as_secs_f64() * 1000.0)
            }));
        }
        let mut seen = Vec::new();
        for task in tasks {
            seen.push(task.await?.context("a pod was refused")?);
        }
        let seconds = started.elapsed().as_secs_f64();
        let (after, cpu_seconds) = (reviews().await?, cpu(pid)? - cpu_before);
        seen.sort_by(f64::total_cmp);
        let client = Quantiles::of(|share| ranked(&seen, share));
        let server = door.webhook.map(|_| Quantiles::of(|share| quantile(&before, &after, share)));
        let calls_made = f64::from(calls);
        let count = |buckets: &BTreeMap<u64, f64>| buckets.last_key_value().map_or(0.0, |it| *it.1);
        let reviews = (count(&after) - count(&before)) / calls_made;
        // Whoever changes a pod so that a plugin of the API server adds to it is asked again about each.
        ensure!(reviews < 1.01, "{reviews:.2} reviews for each pod");
        Ok(Record {
            bench: Bench::P8,
            contestant: door.who.to_owned(),
            mode: format!("{rate}/s, {} of {} match", door.matches, door.sets),
            size: door.sets,
            seconds,
            pods_per_second: calls_made / seconds,
            writes_per_pod: 0.0,
            status_writes: 0,
            conflicts: 0,
            most_unavailable: None,
            cpu_seconds,
            peak_rss_mib: pid.map_or(Ok(0.0), peak_rss_mib)?,
            floor_seconds: 0.0,
            latencies: Some(Latencies {
                calls,
                client,
                server,
                reviews,
                cpu_ms: cpu_seconds * 1000.0 / calls_made,
            }),
        })
    }
}
