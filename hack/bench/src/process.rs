//! Processes that a bench starts: the contestants and the simulated nodes. They end with it, whatever happens.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::usage::{self, Usage};

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// A running process.
#[derive(Debug)]
pub struct Managed {
    child: Child,
    pid: u32,
    log: PathBuf,
    pid_file: PathBuf,
}

impl Managed {
    /// Starts `command` with `kubeconfig` in its environment; output goes to `STATE/logs/NAME.log`.
    pub fn start(
        name: &str,
        command: &[String],
        kubeconfig: &Path,
        state: &Path,
    ) -> anyhow::Result<Self> {
        let Some((program, args)) = command.split_first() else { bail!("{name}: no command") };
        let log = state.join("logs").join(format!("{name}.log"));
        let pid_file = state.join("pids").join(name);
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        let child = Command::new(program)
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C is for the bench, which then ends its processes itself.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name}: {program}"))?;
        let pid = child.id().context("the process has ended")?;
        // For whoever cleans up after a bench that was killed.
        fs::write(&pid_file, pid.to_string())?;
        Ok(Self { child, pid, log, pid_file })
    }

    /// Fails with the end of its log if it has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it ended ({status}):\n{}", self.last_lines());
        }
        Ok(())
    }

    /// What it used.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage::read(self.pid)
    }

    /// Starts the peak of its memory anew.
    pub fn reset_peak(&self) -> anyhow::Result<()> {
        Ok(usage::reset_peak(self.pid)?)
    }

    /// Where its output is.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Asks it to end, and ends it if it does not.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_none() {
            // A signal needs a system call that safe Rust's library does not have.
            let pid = self.pid.to_string();
            Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status().await?;
            if timeout(GRACE, self.child.wait()).await.is_err() {
                self.child.kill().await?;
            }
        }
        Ok(fs::remove_file(&self.pid_file)?)
    }

    fn last_lines(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.get(lines.len().saturating_sub(8)..).unwrap_or_default();
        last.iter().map(|line| format!("    {}\n", line.chars().take(300).collect::<String>())).collect()
    }
}

/// Runs a command to its end; fails with what it said.
pub async fn run(command: &[String], kubeconfig: &Path) -> anyhow::Result<()> {
    let Some((program, args)) = command.split_first() else { bail!("an empty command") };
    let output = Command::new(program)
        .args(args)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| program.clone())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{} ({}): {said}", command.join(" "), output.status);
    }
    Ok(())
}
