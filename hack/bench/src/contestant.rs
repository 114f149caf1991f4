//! Who is measured: a command line, the manifests it needs, and how to recognise its requests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Bench {
    /// Parallel scale-up from nothing.
    P1,
    /// Rolling update by re-creation.
    P3,
    /// Rolling update in place.
    P4,
    /// A broadcast job on every node.
    P7,
    /// Pods at admission.
    P8,
    /// Sidecars of running pods updated in place.
    P9,
    /// Start over many SidecarSets and their pods.
    P11,
}

impl FromStr for Bench {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text {
            "P1" => Ok(Self::P1),
            "P3" => Ok(Self::P3),
            "P4" => Ok(Self::P4),
            "P7" => Ok(Self::P7),
            "P8" => Ok(Self::P8),
            "P9" => Ok(Self::P9),
            "P11" => Ok(Self::P11),
            other => bail!("{other:?} is no bench; there are P1, P3, P4, P7, P8, P9 and P11"),
        }
    }
}

/// Somebody to measure; `contestants.yaml` explains the members.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contestant {
    /// Name.
    pub name: String,
    /// `shipped` or `uncapped`.
    pub mode: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Files to apply first.
    #[serde(default)]
    pub manifests: Vec<PathBuf>,
    /// Beginning of its user agent.
    pub user_agent: String,
    /// API version of its StatefulSets.
    pub api_version: String,
    /// What it takes part in.
    pub benches: BTreeMap<Bench, Limit>,
    /// `rollingUpdate` of its sets.
    #[serde(default)]
    pub rolling: Value,
}

/// How far a contestant takes part in a bench.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Most pods.
    #[serde(default)]
    pub at_most: Option<usize>,
}

impl Contestant {
    /// Name and mode.
    pub fn title(&self) -> String {
        format!("{} ({})", self.name, self.mode)
    }

    /// How many pods it gets in a bench, of `size`; `None` if it does not take part.
    pub fn size(&self, bench: Bench, size: usize) -> Option<usize> {
        let limit = self.benches.get(&bench)?;
        Some(limit.at_most.map_or(size, |most| most.min(size)))
    }

    /// The command line with its variables filled in.
    pub fn command(&self, kubeconfig: &Path, bin: &Path) -> Vec<String> {
        let fill = |text: &String| {
            text.replace("${KUBECONFIG}", &kubeconfig.to_string_lossy())
                .replace("${BIN}", &bin.to_string_lossy())
        };
        self.command.iter().map(fill).collect()
    }
}

/// Reads a file of contestants.
pub fn read(path: &Path) -> anyhow::Result<Vec<Contestant>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    parse(&text).with_context(|| path.display().to_string())
}

/// Reads contestants; what could only fail minutes later is refused here.
pub fn parse(text: &str) -> anyhow::Result<Vec<Contestant>> {
    let contestants: Vec<Contestant> = serde_saphyr::from_str(text)?;
    ensure!(!contestants.is_empty(), "there is no contestant");
    for contestant in &contestants {
        let name = contestant.title();
        ensure!(!contestant.command.is_empty(), "{name}: command is empty");
        ensure!(!contestant.user_agent.is_empty(), "{name}: user_agent is empty");
        ensure!(contestant.api_version.contains('/'), "{name}: api_version has no group");
    }
    Ok(contestants)
}
