//! A namespace for one test and a controller process for it. Waiting is on conditions, with deadlines.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use kruise_common::testing::cluster;
pub use kruise_common::testing::cluster::wait_or as wait;
use kruise_common::testing::relay::Relay;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};

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

/// A namespace.
pub struct Space(cluster::Space);

impl Space {
    /// A fresh one.
    pub async fn new(purpose: &str) -> Self {
        Self(cluster::Space::new(purpose).await)
    }

    /// The cluster.
    pub fn client(&self) -> kube::Client {
        self.0.client.clone()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Objects of a kind in it.
    pub fn api(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        self.0.api(group, version, kind)
    }

    /// Objects of a kind that belongs to no namespace.
    pub fn cluster(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        self.0.cluster(group, version, kind)
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
        let seen = std::cell::RefCell::new(serde_json::Value::Null);
        let tell = || seen.borrow().to_string();
        wait("the rollout", tell, || async {
            let set = self.sets().get(name).await.ok()?;
            seen.borrow_mut().clone_from(&set.data["status"]);
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
        let gone: Arc<Mutex<Vec<String>>> = Arc::default();
        let (api, seen, goes) = (self.api("", "v1", "Pod"), least.clone(), gone.clone());
        let task = tokio::spawn(async move {
            let mut going = std::collections::BTreeSet::new();
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
                let terminating = pod.metadata.deletion_timestamp.is_some();
                if terminating && going.insert(pod.metadata.uid.clone()) {
                    goes.lock().unwrap().push(pod.name_any());
                }
                if ready && !gone && !terminating {
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
        Available { least, gone, task }
    }
}

/// How many pods were available at the worst moment.
pub struct Available {
    least: Arc<AtomicUsize>,
    gone: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Available {
    /// Pods that were deleted so far, in that order.
    pub fn gone(&self) -> Vec<String> {
        self.gone.lock().unwrap().clone()
    }

    /// Ends the watch.
    pub fn least(self) -> usize {
        self.task.abort();
        self.least.load(Ordering::SeqCst)
    }
}

/// A controller process.
pub struct Controller(cluster::Controller);

impl Controller {
    /// Starts one for the namespace.
    pub async fn start(space: &Space, more: &[&str]) -> Self {
        let binary = env!("CARGO_BIN_EXE_kruise-statefulset");
        Self(cluster::Controller::start(binary, &space.0, more).await)
    }

    /// Starts one behind a relay, without an election: nobody waits for the Lease of one that was killed.
    pub async fn behind(space: &Space, relay: &Relay) -> cluster::Controller {
        let binary = env!("CARGO_BIN_EXE_kruise-statefulset");
        let flags = ["--enable-leader-election=false", &relay.flag()];
        cluster::Controller::start(binary, &space.0, &flags).await
    }

    async fn count(&self, family: &str, having: &str) -> i64 {
        self.0.count(family, having).await
    }

    /// Writes to pods, done and refused by a conflict, once at least so many were done: others may see what a write did before
    /// the answer has reached the controller, which counts it then.
    pub async fn pod_writes(&self, least: i64) -> (i64, i64) {
        let ok = "outcome=\"ok\",resource=\"pods";
        let counted = || async {
            let done = self.count("kruise_writes_total", ok).await;
            (done >= least).then_some(done)
        };
        let done = wait(&format!("{least} pod writes"), String::new, counted).await;
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

    /// Waits until the sum of a metric family satisfies `is`.
    pub async fn until(&self, family: &str, is: impl Fn(f64) -> bool) {
        self.0.until(family, "", is).await;
    }

    /// Waits until /readyz says yes.
    pub async fn ready(&self) {
        self.0.ready().await;
    }

    /// Waits until it has renewed its Lease from now on.
    pub async fn renewed(&self) {
        let before = self.requests("method=\"PUT\"").await;
        wait("a renewal", String::new, || async {
            (self.requests("method=\"PUT\"").await > before).then_some(())
        })
        .await;
    }

    /// Turns so far, whatever came of them.
    pub async fn turns(&self) -> i64 {
        self.count("controller_runtime_reconcile_total", "").await
    }

    /// Requests so far whose labels contain this.
    pub async fn requests(&self, having: &str) -> i64 {
        self.count("rest_client_requests_total", having).await
    }

    /// Waits until it has had a turn.
    pub async fn turned(&self) {
        self.0.turned().await;
    }

    /// Waits until it leads.
    pub async fn leads(&self) {
        self.0.leads().await;
    }

    /// SIGTERM, and waits for its end.
    pub async fn stop(self) {
        self.0.stop().await;
    }

    /// SIGKILL.
    pub async fn kill(self) {
        self.0.kill().await;
    }
}
