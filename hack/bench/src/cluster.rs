//! An embedded control plane for one sample, and the processes that live as long.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A running control plane: etcd and kube-apiserver, nothing else.
pub struct Cluster {
    name: String,
    kubeconfig: PathBuf,
    /// A client of the benchmark itself.
    pub client: Client,
}

/// A process that is ended with its value.
pub struct Process {
    child: Child,
    what: String,
}

impl Cluster {
    /// Starts one with an empty data directory; all writes are audited.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// One whose API server mounts tokens into pods, as real ones do; somebody must make the ServiceAccounts.
    pub async fn with_tokens() -> anyhow::Result<Self> {
        Self::start_with(&[("SERVICE_ACCOUNTS", "1")]).await
    }

    async fn start_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let name = format!("bench-{}", std::process::id());
        let output = Command::new("hack/cluster/up")
            .args([&name, "--no-controllers", "--audit", "--parent"])
            .arg(std::process::id().to_string())
            .env("AUDIT_POLICY", "hack/bench/audit-policy.yaml")
            .envs(settings.iter().copied())
            // For the native contestant; absent fields cost nobody anything.
            .env("APISERVER_ARGS", "--feature-gates=MaxUnavailableStatefulSet=true")
            .stderr(Stdio::inherit())
            .output()
            .await
            .context("hack/cluster/up")?;
        ensure!(output.status.success(), "hack/cluster/up: {}", output.status);
        let kubeconfig = PathBuf::from(String::from_utf8(output.stdout)?.trim());
        let read = Kubeconfig::read_from(&kubeconfig)?;
        let mut config =
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
        config
            .headers
            .push((http::header::USER_AGENT, http::HeaderValue::from_static("kruise-bench")));
        let client = Client::try_from(config)?;
        Ok(Self { name, kubeconfig, client })
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Where every write is recorded.
    pub fn audit_log(&self) -> PathBuf {
        self.kubeconfig.with_file_name("audit.log")
    }

    /// The folder of the binaries it was started from.
    pub fn bin(&self) -> anyhow::Result<PathBuf> {
        let file = self.kubeconfig.with_file_name("bin");
        Ok(PathBuf::from(std::fs::read_to_string(file)?.trim()))
    }

    /// Applies a manifest.
    pub async fn apply(&self, manifest: &Path) -> anyhow::Result<()> {
        let output = Command::new(self.bin()?.join("kubectl"))
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["apply", "--server-side", "-f"])
            .arg(manifest)
            .output()
            .await?;
        let problem = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {problem}", manifest.display());
        Ok(())
    }

    /// Starts a program with KUBECONFIG of this cluster; what it prints goes to `target/bench`.
    pub fn spawn(&self, command: &[String]) -> anyhow::Result<Process> {
        let [program, arguments @ ..] = command else { bail!("an empty command") };
        let base = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        let log = std::fs::File::create(format!("target/bench/{base}.log"))?;
        let child = Command::new(program)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| program.clone())?;
        Ok(Process { child, what: program.clone() })
    }

    /// Ends it and removes its data.
    pub async fn stop(self) -> anyhow::Result<()> {
        let status = Command::new("hack/cluster/down")
            .arg(&self.name)
            .stderr(Stdio::null())
            .status()
            .await?;
        ensure!(status.success(), "hack/cluster/down: {status}");
        Ok(())
    }
}

impl Process {
    /// Its process ID.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().with_context(|| format!("{} has ended", self.what))
    }

    /// Kills it and waits for its end.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.child.start_kill()?;
        timeout(Duration::from_secs(10), self.child.wait()).await??;
        Ok(())
    }
}
