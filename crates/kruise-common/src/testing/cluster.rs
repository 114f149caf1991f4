#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "test code: what goes wrong ends the test"
)]
//! API tests of all controllers: a namespace for one test, and a controller process for it, on the cluster that
//! KUBECONFIG names. Waiting is on conditions, with deadlines.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kruise_api::keys;
use kube::api::{Api, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// Longest time anything may take.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// Tries until there is an answer.
pub async fn wait<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    wait_or(what, String::new, ask).await
}

/// Tries until there is an answer; after the deadline `tell` says what was seen instead.
pub async fn wait_or<T, F: Future<Output = Option<T>>>(
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

/// A client of the cluster.
pub async fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::try_default().await.expect("KUBECONFIG names a cluster")
}

/// A namespace.
#[derive(Clone)]
pub struct Space {
    /// The cluster.
    pub client: Client,
    /// Its name.
    pub name: String,
}

impl Space {
    /// A fresh one, in which pods can be created.
    pub async fn new(purpose: &str) -> Self {
        let client = client().await;
        let name = format!("test-{purpose}-{}", std::process::id());
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        let namespace = k8s_openapi::api::core::v1::Namespace { metadata, ..Default::default() };
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        let space = Self { client, name };
        // Pods need it, and it is made a moment later.
        let accounts = space.api("", "v1", "ServiceAccount");
        let account = || async { accounts.get_opt("default").await.ok()? };
        wait("the default ServiceAccount", account).await;
        space
    }

    /// Objects of a kind in the namespace.
    pub fn api(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), &self.name, &resource)
    }

    /// Objects of a kind that belongs to no namespace.
    pub fn cluster(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::all_with(self.client.clone(), &resource)
    }

    /// Objects of a kind of ours.
    pub fn workloads(&self, version: &str, kind: &str) -> Api<DynamicObject> {
        self.api(kruise_api::keys::GROUP, version, kind)
    }

    /// All pods, by name.
    pub async fn pods(&self) -> Vec<Value> {
        let list = self.api("", "v1", "Pod").list(&ListParams::default()).await.unwrap();
        let mut pods: Vec<DynamicObject> = list.items;
        pods.sort_by_key(ResourceExt::name_any);
        pods.iter().map(|pod| serde_json::to_value(pod).unwrap()).collect()
    }
}

/// Creates the object.
pub async fn create(api: &Api<DynamicObject>, object: Value) -> kube::Result<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await
}

/// Applies JSON Patch operations.
pub async fn patch(
    api: &Api<DynamicObject>,
    name: &str,
    operations: Value,
) -> kube::Result<DynamicObject> {
    let patch = Patch::Json::<()>(serde_json::from_value(operations).unwrap());
    api.patch(name, &PatchParams::default(), &patch).await
}

/// The condition of that type, whatever its status.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array)?;
    conditions.iter().find(|condition| condition.get("type").is_some_and(|known| known == kind))
}

/// Message of a Warning event about an object, once there is one.
pub async fn warning(space: &Space, about: &str) -> String {
    let events = space.api("", "v1", "Event");
    let fields = format!("involvedObject.name={about},type=Warning");
    let params = ListParams::default().fields(&fields);
    wait(&format!("a warning about {about}"), || async {
        let list = events.list(&params).await.ok()?;
        Some(list.items.first()?.data.get("message")?.as_str()?.to_owned())
    })
    .await
}

/// What the leader of `binary` says of itself, once it says so: reason and message of the condition `Degraded`.
pub async fn degraded(space: &Space, binary: &str, status: &str) -> (String, String) {
    let leases = space.api("coordination.k8s.io", "v1", "Lease");
    wait(&format!("{binary} to be degraded: {status}"), || async {
        let lease = leases.get(binary).await.ok()?;
        let conditions = lease.metadata.annotations?.remove(keys::CONTROLLER_CONDITIONS)?;
        let conditions: Vec<Condition> = serde_json::from_str(&conditions).ok()?;
        let is = |c: &Condition| c.type_ == keys::CONDITION_DEGRADED && c.status == status;
        let found = conditions.into_iter().find(is)?;
        Some((found.reason, found.message))
    })
    .await
}

/// The kubeconfig of a controller that has rights of its own: `BINARY.kubeconfig` in the directory that KRUISE_TEST_AS
/// names. Without it a controller may do what the test may.
fn rights(binary: &Path) -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os("KRUISE_TEST_AS")?);
    Some(directory.join(binary.file_name()?).with_extension("kubeconfig"))
}

/// Makes the empty webhook configurations that the chart makes, for it gives no right to create them.
async fn hooks(binary: &Path) {
    let binary = binary.file_name().unwrap().to_string_lossy();
    for phase in ["Mutating", "Validating"] {
        let kind = format!("{phase}WebhookConfiguration");
        let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", &kind);
        let api = Api::all_with(client().await, &ApiResource::from_gvk(&gvk));
        let name = format!("{binary}-{}", phase.to_lowercase());
        let object = serde_json::json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": name },
        });
        let made = create(&api, object).await;
        let there = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.is_already_exists());
        assert!(made.as_ref().err().is_none_or(there), "{made:?}");
    }
}

/// A controller process; a test that fails shows what it logged.
pub struct Controller {
    child: Child,
    /// Where /metrics is.
    address: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Drop for Controller {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the controller at {} logged:\n{}", self.address, self.log());
        }
    }
}

impl Controller {
    /// Starts `binary` for the namespace, and waits until it serves its metrics.
    pub async fn start(binary: impl AsRef<Path>, space: &Space, more: &[&str]) -> Self {
        let namespace = ["--namespace", &space.name, "--leader-election-namespace", &space.name];
        Self::start_with(binary, &[&namespace, more].concat()).await
    }

    /// Starts `binary` with these flags only, and waits until it serves its metrics.
    pub async fn start_with(binary: impl AsRef<Path>, flags: &[&str]) -> Self {
        let mut command = Command::new(binary.as_ref());
        if let Some(kubeconfig) = rights(binary.as_ref()) {
            command.env("KUBECONFIG", kubeconfig);
            hooks(binary.as_ref()).await;
        }
        let mut child = command
            .args(["--metrics-addr", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let keep = log.clone();
        // The pipe is read on, or the process would block.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                keep.lock().unwrap().push(line);
            }
        });
        let mut controller = Self { child, address: String::new(), log };
        controller.address = controller.said("serving /metrics", "address=").await;
        controller
    }

    /// The word after `before` in the first log line that contains `having`, once there is one.
    pub async fn said(&mut self, having: &str, before: &str) -> String {
        let began = Instant::now();
        loop {
            let log = self.log.lock().unwrap().clone();
            let line = log.iter().find(|line| line.contains(having));
            let word = line.and_then(|line| line.split(before).nth(1)?.split_whitespace().next());
            if let Some(word) = word {
                return word.to_owned();
            }
            let ended = self.child.try_wait().unwrap().is_some();
            assert!(!ended && began.elapsed() < DEADLINE, "no {having:?} in:\n{}", log.join("\n"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All that it logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// What its admin server answers, head and body.
    async fn get(&self, path: &str) -> Option<String> {
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.ok()?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        Some(text)
    }

    /// Waits until /readyz says yes.
    pub async fn ready(&self) {
        wait("/readyz", || async {
            self.get("/readyz").await?.starts_with("HTTP/1.1 200").then_some(())
        })
        .await;
    }

    /// The sum of all samples of a metric family whose labels contain `having`.
    pub async fn metric(&self, family: &str, having: &str) -> Option<f64> {
        let text = self.get("/metrics").await?;
        let samples = text.lines().filter(|line| line.starts_with(family) && line.contains(having));
        Some(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// That sum of a family of counters.
    pub async fn count(&self, family: &str, having: &str) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "counters are small whole numbers")]
        let count = self.metric(family, having).await.unwrap_or_default() as i64;
        count
    }

    /// Waits until it has had a turn.
    pub async fn turned(&self) {
        self.until("controller_runtime_reconcile_total", "", |turns| turns > 0.0).await;
    }

    /// Waits until the sum of a metric family satisfies `is`.
    pub async fn until(&self, family: &str, having: &str, is: impl Fn(f64) -> bool) -> f64 {
        wait(&format!("{family}{{{having}}}"), || async {
            self.metric(family, having).await.filter(|value| is(*value))
        })
        .await
    }

    /// Waits until it leads.
    pub async fn leads(&self) {
        self.until("leader_election_master_status", "", |leads| leads > 0.0).await;
    }

    /// Sends SIGTERM.
    pub async fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        Command::new("kill").arg(pid).status().await.unwrap();
    }

    /// SIGTERM, and waits for a clean end.
    pub async fn stop(mut self) {
        self.terminate().await;
        let status = self.child.wait().await.unwrap();
        assert!(status.success(), "a clean end: {status}\n{}", self.log());
    }

    /// SIGKILL.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}
