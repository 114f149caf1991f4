//! A namespace for one test and a controller process for it. Waiting is on conditions, with deadlines.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use kube::api::{Api, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// Longest time anything may take.
const DEADLINE: Duration = Duration::from_secs(90);

/// A set with one container.
pub fn set(name: &str, replicas: i32) -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1beta1",
        "kind": "StatefulSet",
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{ "name": "app", "image": "registry.k8s.io/pause:3.1" }],
                },
            },
        },
    })
}

/// Tries until there is an answer; after the deadline `tell` says what was seen instead.
pub async fn wait<T, F: Future<Output = Option<T>>>(
    what: &str,
    tell: impl Fn() -> String,
    ask: impl Fn() -> F,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}\n{}", tell());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A namespace.
pub struct Space {
    client: Client,
    name: String,
}

impl Space {
    /// A fresh one.
    pub async fn new(purpose: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_default().await.expect("KUBECONFIG names a cluster");
        let name = format!("test-{purpose}-{}", std::process::id());
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        let namespace = k8s_openapi::api::core::v1::Namespace { metadata, ..Default::default() };
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        let space = Self { client, name };
        // Pods need it, and it is made a moment later.
        let accounts = space.api("", "v1", "ServiceAccount");
        wait("the default ServiceAccount", String::new, || async {
            accounts.get_opt("default").await.ok()?
        })
        .await;
        space
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Objects of a kind in it.
    pub fn api(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), &self.name, &resource)
    }

    /// Objects of a kind that belongs to no namespace.
    pub fn cluster(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::all_with(self.client.clone(), &resource)
    }
    /// The sets.
    pub fn sets(&self) -> Api<DynamicObject> {
        self.api("apps.kruise.io", "v1beta1", "StatefulSet")
    }

    /// A set as it is stored.
    pub async fn api_set(&self, name: &str) -> Option<Value> {
        serde_json::to_value(self.sets().get(name).await.ok()?).ok()
    }

    /// Creates a set.
    pub async fn create(&self, set: Value) {
        let set: DynamicObject = serde_json::from_value(set).unwrap();
        self.sets().create(&PostParams::default(), &set).await.unwrap();
    }

    /// Patches a set.
    pub async fn patch(&self, name: &str, operations: Value) {
        let patch = Patch::Json::<()>(serde_json::from_value(operations).unwrap());
        self.sets().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until the set has arrived at its spec.
    pub async fn rolled_out(&self, name: &str) {
        wait("the rollout", String::new, || async {
            let set = self.sets().get(name).await.ok()?;
            let (spec, status) = (&set.data["spec"], &set.data["status"]);
            let done = status["observedGeneration"] == json!(set.metadata.generation)
                && status["currentRevision"] == status["updateRevision"]
                && ["replicas", "readyReplicas", "updatedReplicas"]
                    .iter()
                    .all(|count| status[*count] == spec["replicas"]);
            done.then_some(())
        })
        .await;
    }

    /// All pods, by name.
    pub async fn pods(&self) -> Vec<Value> {
        let list = self.api("", "v1", "Pod").list(&ListParams::default()).await.unwrap();
        let mut pods: Vec<DynamicObject> = list.items;
        pods.sort_by_key(ResourceExt::name_any);
        pods.iter().map(|pod| serde_json::to_value(pod).unwrap()).collect()
    }

    /// Waits until there are that many pods.
    pub async fn seen_pods(&self, many: usize) {
        wait("pods", String::new, || async { (self.pods().await.len() >= many).then_some(()) })
            .await;
    }

    /// Message of a condition, once it is true.
    pub async fn condition(&self, name: &str, kind: &str) -> String {
        wait(&format!("{kind} of {name}"), String::new, || async {
            let set = self.sets().get(name).await.ok()?;
            let conditions = set.data["status"]["conditions"].as_array()?.clone();
            let found = conditions.iter().find(|c| c["type"] == kind && c["status"] == "True")?;
            Some(found["message"].as_str()?.to_owned())
        })
        .await
    }

    /// Message of a Warning event about the set.
    pub async fn warning(&self, name: &str) -> String {
        let events = self.api("", "v1", "Event");
        let params =
            ListParams::default().fields(&format!("involvedObject.name={name},type=Warning"));
        wait(&format!("a warning about {name}"), String::new, || async {
            let list = events.list(&params).await.ok()?;
            Some(list.items.first()?.data["message"].as_str()?.to_owned())
        })
        .await
    }

    /// Watches how many pods are available from now on; there are `many` now.
    pub fn watch_available(&self, many: usize) -> Available {
        let least = Arc::new(AtomicUsize::new(many));
        let (api, seen) = (self.api("", "v1", "Pod"), least.clone());
        let task = tokio::spawn(async move {
            let mut up = std::collections::BTreeSet::new();
            let mut full = false;
            let events = watcher(api, watcher::Config::default()).default_backoff();
            let mut events = std::pin::pin!(events);
            while let Ok(Some(event)) = events.try_next().await {
                let (pod, gone) = match event {
                    watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => (pod, false),
                    watcher::Event::Delete(pod) => (pod, true),
                    watcher::Event::Init | watcher::Event::InitDone => continue,
                };
                let conditions = pod.data["status"]["conditions"].as_array().cloned();
                let ready = conditions
                    .into_iter()
                    .flatten()
                    .any(|c| c["type"] == "Ready" && c["status"] == "True");
                if ready && !gone && pod.metadata.deletion_timestamp.is_none() {
                    up.insert(pod.name_any());
                } else {
                    up.remove(&pod.name_any());
                }
                full |= up.len() == many;
                if full {
                    seen.fetch_min(up.len(), Ordering::SeqCst);
                }
            }
        });
        Available { least, task }
    }
}

/// How many pods were available at the worst moment.
pub struct Available {
    least: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Available {
    /// Ends the watch.
    pub fn least(self) -> usize {
        self.task.abort();
        self.least.load(Ordering::SeqCst)
    }
}

/// A controller process.
pub struct Controller {
    child: Child,
    address: String,
}

impl Controller {
    /// Starts one for the namespace.
    pub async fn start(space: &Space, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kruise-statefulset"))
            .args(["--metrics-addr", "127.0.0.1:0", "--namespace", &space.name])
            .args(["--leader-election-namespace", &space.name])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = Vec::new();
        let address = loop {
            let Ok(Some(line)) = lines.next_line().await else {
                panic!("the controller did not start:\n{}", log.join("\n"));
            };
            let address =
                line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
            if let Some(address) = address {
                break address.to_owned();
            }
            log.push(line);
        };
        // The pipe is read on, or the process would block.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, address }
    }

    /// The sum of all samples of a metric family whose labels contain `having`.
    async fn metric(&self, family: &str, having: &str) -> Option<f64> {
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.ok()?;
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        let samples = text.lines().filter(|line| line.starts_with(family) && line.contains(having));
        Some(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    async fn count(&self, family: &str, having: &str) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "counters are small whole numbers")]
        let count = self.metric(family, having).await.unwrap_or_default() as i64;
        count
    }

    /// Writes to pods: done, and refused by a conflict.
    pub async fn pod_writes(&self) -> (i64, i64) {
        let done = self.count("kruise_writes_total", "outcome=\"ok\",resource=\"pods").await;
        let conflicts =
            self.count("kruise_writes_total", "outcome=\"conflict\",resource=\"pods").await;
        (done, conflicts)
    }

    /// All writes, whatever became of them.
    pub async fn all_writes(&self) -> i64 {
        self.count("kruise_writes_total", "").await
    }

    /// Turns in which a write failed.
    pub async fn failed_count(&self) -> i64 {
        self.count("controller_runtime_reconcile_errors_total", "").await
    }

    /// Waits until it has had that many turns in which a write failed.
    pub async fn failed_turns(&self, many: i64) {
        wait("failed turns", String::new, || async {
            let turns = self.failed_count().await;
            (turns >= many).then_some(())
        })
        .await;
    }

    /// How many sets wait for a reason.
    pub async fn holds(&self, reason: &str) -> i64 {
        let label = format!("reason=\"{reason}\"");
        self.count("kruise_statefulset_holds", &label).await
    }

    /// Waits until it has had a turn.
    pub async fn turned(&self) {
        wait("a turn", String::new, || async {
            let turns = self.metric("controller_runtime_reconcile_total", "").await?;
            (turns > 0.0).then_some(())
        })
        .await;
    }

    /// Waits until it leads.
    pub async fn leads(&self, within: Duration) {
        let began = Instant::now();
        wait("leadership", String::new, || async {
            let leads = self.metric("leader_election_master_status", "").await?;
            (leads > 0.0).then_some(())
        })
        .await;
        assert!(began.elapsed() < within, "it took {:?}", began.elapsed());
    }

    /// SIGTERM, and waits for its end.
    pub async fn stop(mut self) {
        let pid = self.child.id().unwrap().to_string();
        Command::new("kill").arg(pid).status().await.unwrap();
        let status = self.child.wait().await.unwrap();
        assert!(status.success(), "a clean end: {status}");
    }

    /// SIGKILL.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}
