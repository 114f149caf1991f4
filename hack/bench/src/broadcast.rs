//! P7: a pod on every one of many nodes, all at once and fifty at a time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::audit::{self, Writes};
use crate::cluster::{Cluster, Process};
use crate::contestant::{Bench, Contestant};
use crate::floor::Rates;
use crate::measure::{cpu_seconds, peak_rss_mib};
use crate::report::Record;
use crate::requests::{Body, send};
use crate::sample::{Sample, pod_spec};

/// Pods at the same time.
const PARALLELISM: [&str; 2] = ["100%", "50"];
/// Longest time a job may take.
const DEADLINE: Duration = Duration::from_mins(20);

/// Measures both on a cluster each: nodes that have run thousands of pods are not those that have run none.
pub async fn run(sample: &Sample<'_>, nodes: usize, rates: &Rates) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for parallelism in PARALLELISM {
        records.push(one(sample, nodes, rates, parallelism).await.context(parallelism)?);
    }
    Ok(records)
}

async fn one(
    sample: &Sample<'_>,
    nodes: usize,
    rates: &Rates,
    parallelism: &str,
) -> anyhow::Result<Record> {
    let contestant = sample.contestant;
    let cluster = Cluster::start().await?;
    for manifest in &contestant.manifests {
        cluster.apply(manifest).await?;
    }
    for namespace in ["bench", "warm-up"] {
        let body = json!({ "metadata": { "name": namespace } });
        send(&cluster.client, "POST", "/api/v1/namespaces", Body::Json, &body).await?;
    }
    let simnode = sample.simnode(nodes);
    let kubelets = cluster.spawn(&simnode)?;
    registered(&cluster, nodes).await?;
    let controller = cluster.spawn(&contestant.command(cluster.kubeconfig(), &cluster.bin()?))?;
    create(&cluster, contestant, "warm-up", &json!("100%")).await?;
    completed(&cluster, contestant, "warm-up", nodes).await.context("the job before")?;
    let number = parallelism.parse::<i32>().map_or_else(|_| json!(parallelism), |n| json!(n));
    let measured = measure(&cluster, &controller, contestant, (nodes, &number)).await?;
    controller.stop().await?;
    kubelets.stop().await?;
    cluster.stop().await?;
    record(contestant, (nodes, parallelism), rates, &measured)
}

struct Measured {
    seconds: f64,
    cpu_seconds: f64,
    peak_rss_mib: f64,
    writes: Writes,
}

async fn measure(
    cluster: &Cluster,
    controller: &Process,
    contestant: &Contestant,
    (nodes, parallelism): (usize, &Value),
) -> anyhow::Result<Measured> {
    let pid = controller.pid()?;
    let log = cluster.audit_log();
    let from = audit::mark(&log)?;
    let cpu = cpu_seconds(pid)?;
    let started = Instant::now();
    create(cluster, contestant, "bench", parallelism).await?;
    completed(cluster, contestant, "bench", nodes).await?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu_seconds = cpu_seconds(pid)? - cpu;
    one_on_each(cluster, nodes).await?;
    let writes = audit::since(&log, from, "bench")?;
    Ok(Measured { seconds, cpu_seconds, peak_rss_mib: peak_rss_mib(pid)?, writes })
}

fn record(
    contestant: &Contestant,
    (nodes, parallelism): (usize, &str),
    rates: &Rates,
    measured: &Measured,
) -> anyhow::Result<Record> {
    let agent = &contestant.user_agent;
    let writes = &measured.writes;
    let of_pods = writes.of(agent, |resource| resource.starts_with("pods"));
    ensure!(of_pods > 0, "no write of {agent:?} in the audit log: is user_agent right?");
    let mut all = writes.of_others(agent);
    let creations = all.entry(("create".to_owned(), "pods".to_owned())).or_default();
    *creations += u64::try_from(nodes).unwrap_or(u64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "counts of pods and writes")]
    let (size, of_pods) = (nodes as f64, of_pods as f64);
    Ok(Record {
        bench: Bench::P7,
        contestant: contestant.name.clone(),
        mode: format!("parallelism {parallelism}"),
        size: nodes,
        seconds: measured.seconds,
        pods_per_second: size / measured.seconds,
        writes_per_pod: of_pods / size,
        status_writes: writes.of(agent, |resource| resource == "broadcastjobs/status"),
        conflicts: writes.conflicts_of(agent),
        most_unavailable: None,
        cpu_seconds: measured.cpu_seconds,
        peak_rss_mib: measured.peak_rss_mib,
        floor_seconds: rates.seconds(&all),
        latencies: None,
    })
}

async fn registered(cluster: &Cluster, nodes: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    let named = |item: &Value| item.pointer("/status/allocatable/pods").is_some();
    while items(cluster, "/api/v1/nodes").await?.iter().filter(|item| named(item)).count() < nodes {
        ensure!(Instant::now() < deadline, "not all nodes came");
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

async fn items(cluster: &Cluster, path: &str) -> anyhow::Result<Vec<Value>> {
    let request = http::Request::builder().uri(path).body(Vec::new())?;
    let list: Value = cluster.client.request(request).await?;
    Ok(list.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
}

fn jobs(contestant: &Contestant, namespace: &str) -> String {
    format!("/apis/{}/namespaces/{namespace}/broadcastjobs", contestant.api_version)
}

async fn create(
    cluster: &Cluster,
    contestant: &Contestant,
    namespace: &str,
    parallelism: &Value,
) -> anyhow::Result<()> {
    let mut spec = pod_spec("bench/app:exit-0");
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("restartPolicy".to_owned(), json!("Never"));
        // There is no controller that takes the first taint off a node.
        spec.insert("tolerations".to_owned(), json!([{ "operator": "Exists" }]));
    }
    let job = json!({
        "apiVersion": contestant.api_version,
        "kind": "BroadcastJob",
        "metadata": { "name": "job" },
        "spec": {
            "parallelism": parallelism,
            "completionPolicy": { "type": "Always" },
            "failurePolicy": { "type": "Continue" },
            "template": { "metadata": { "labels": { "app": "job" } }, "spec": spec },
        },
    });
    send(&cluster.client, "POST", &jobs(contestant, namespace), Body::Json, &job).await?;
    Ok(())
}

async fn completed(
    cluster: &Cluster,
    contestant: &Contestant,
    namespace: &str,
    nodes: usize,
) -> anyhow::Result<()> {
    let path = format!("{}/job", jobs(contestant, namespace));
    let deadline = Instant::now() + DEADLINE;
    loop {
        let request = http::Request::builder().uri(&path).body(Vec::new())?;
        let job: Value = cluster.client.request(request).await?;
        let of = |path: &str| job.pointer(path).cloned().unwrap_or_default();
        if of("/status/phase") == "completed" {
            let succeeded = of("/status/succeeded");
            ensure!(succeeded == json!(nodes), "{succeeded} of {nodes} nodes succeeded");
            return Ok(());
        }
        let counts =
            ["active", "succeeded", "failed", "desired"].map(|c| of(&format!("/status/{c}")));
        ensure!(Instant::now() < deadline, "it does not complete: {counts:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Exactly one pod on every node.
async fn one_on_each(cluster: &Cluster, nodes: usize) -> anyhow::Result<()> {
    let pods = items(cluster, "/api/v1/namespaces/bench/pods").await?;
    let node = |pod: &Value| {
        pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let used: BTreeSet<String> = pods.iter().map(node).collect();
    ensure!(
        pods.len() == nodes && used.len() == nodes,
        "{} pods on {} of {nodes} nodes",
        pods.len(),
        used.len()
    );
    Ok(())
}
