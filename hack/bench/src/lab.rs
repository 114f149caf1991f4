//! What all samples share: the cluster, the audit log, the simulated nodes, and how a contestant is started.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::api::{self, Call};
use crate::audit::AuditLog;
use crate::benchmark::{NAMESPACE, START_DELAY_MS, STOP_DELAY_MS};
use crate::contestant::{Contestant, Places, Writer};
use crate::options::Options;
use crate::process::{self, Managed};
use crate::raw;

/// Simulated nodes.
const NODES: u32 = 20;
/// The log is complete when nothing was added for this long.
const QUIET: Duration = Duration::from_millis(1200);

/// The place where samples are taken.
#[derive(Debug)]
pub struct Lab {
    /// The cluster, as its administrator.
    pub client: Client,
    /// The API server's audit log.
    pub audit: AuditLog,
    /// Flags.
    pub options: Options,
}

impl Lab {
    /// Connects to the cluster of KUBECONFIG and makes the namespaces.
    pub async fn open(options: Options) -> anyhow::Result<Self> {
        for folder in ["logs", "pids"] {
            std::fs::create_dir_all(options.state.join(folder))?;
        }
        let audit = AuditLog::open(&options.audit_log)
            .with_context(|| format!("audit log {}", options.audit_log.display()))?;
        let client = Client::try_default().await.context("no cluster")?;
        for name in [NAMESPACE, raw::NAMESPACE] {
            let namespace =
                json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
            Call::create("/api/v1/namespaces", namespace).send_if_needed(&client).await?;
        }
        Ok(Self { client, audit, options })
    }

    /// How writes of the simulated nodes are recognised.
    pub fn nodes_writer() -> Writer {
        Writer::User("bench-nodes".to_owned())
    }

    /// Longest time for one step.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.options.timeout_seconds())
    }

    /// Starts the simulated nodes; they also bind pods.
    pub async fn start_nodes(&self) -> anyhow::Result<Managed> {
        let command = [
            self.options.release.join("simnode").display().to_string(),
            "--schedule".to_owned(),
            format!("--nodes={NODES}"),
            format!("--start-delay-ms={START_DELAY_MS}"),
            format!("--stop-delay-ms={STOP_DELAY_MS}"),
        ];
        let mut nodes =
            Managed::start("nodes", &command, &self.kubeconfig("nodes"), &self.options.state)?;
        let deadline = Instant::now() + self.timeout();
        loop {
            nodes.check().context("simulated nodes")?;
            let list = api::get(&self.client, "/api/v1/nodes").await?;
            if list.pointer("/items").and_then(Value::as_array).map_or(0, Vec::len)
                >= usize::try_from(NODES)?
            {
                return Ok(nodes);
            }
            if Instant::now() > deadline {
                bail!("the simulated nodes did not register");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Runs what a contestant wants to be done before it starts.
    pub async fn prepare(&self, contestant: &Contestant) -> anyhow::Result<()> {
        let places = self.places(contestant);
        let admin = self.options.kubeconfigs.join("admin.kubeconfig");
        for command in &contestant.prepare {
            let command: Vec<String> = command.iter().map(|part| places.fill(part)).collect();
            process::run(&command, &admin).await?;
        }
        for manifest in &contestant.manifests {
            let file = contestant.dir.join(manifest).display().to_string();
            let kubectl = self.options.assets.join("kubectl").display().to_string();
            let apply = [kubectl, "apply".into(), "--server-side".into(), "--force-conflicts".into()];
            let command: Vec<String> = apply.into_iter().chain(["-f".into(), file]).collect();
            process::run(&command, &admin).await?;
        }
        Ok(())
    }

    /// Starts a contestant; `tag` names its log.
    pub fn start(&self, contestant: &Contestant, tag: &str) -> anyhow::Result<Managed> {
        let places = self.places(contestant);
        let command: Vec<String> = contestant.command.iter().map(|part| places.fill(part)).collect();
        Managed::start(tag, &command, &places.kubeconfig, &self.options.state)
    }

    /// Removes the set of a contestant, which must not run any more, and all that is left of it.
    pub async fn clear(&self, contestant: &Contestant) -> anyhow::Result<()> {
        let client = &self.client;
        let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        Call::delete(&contestant.set_path()).send_if_needed(client).await?;
        Call::delete(&pods).send(client).await?;
        for collection in ["apis/apps/v1/namespaces/bench/controllerrevisions", "api/v1/namespaces/bench/events"] {
            Call::delete(&format!("/{collection}")).send(client).await?;
        }
        let deadline = Instant::now() + self.timeout();
        loop {
            let list = api::get(client, &format!("{pods}?limit=1")).await?;
            if list.pointer("/items").and_then(Value::as_array).is_none_or(Vec::is_empty) {
                return self.quiet().await.map(|_| ());
            }
            if Instant::now() > deadline {
                bail!("pods of an earlier sample do not go away");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until nobody writes any more; returns the length of the audit log.
    pub async fn quiet(&self) -> anyhow::Result<u64> {
        let deadline = Instant::now() + self.timeout();
        let (mut len, mut since) = (self.audit.len()?, Instant::now());
        while since.elapsed() < QUIET {
            if Instant::now() > deadline {
                bail!("writes do not end although everything has arrived");
            }
            sleep(Duration::from_millis(100)).await;
            let now = self.audit.len()?;
            if now != len {
                (len, since) = (now, Instant::now());
            }
        }
        Ok(len)
    }

    fn kubeconfig(&self, stem: &str) -> PathBuf {
        self.options.kubeconfigs.join(format!("{stem}.kubeconfig"))
    }

    fn places(&self, contestant: &Contestant) -> Places {
        Places {
            kubeconfig: self.kubeconfig(&contestant.stem),
            release: self.options.release.clone(),
            assets: self.options.assets.clone(),
            dir: contestant.dir.clone(),
        }
    }
}
