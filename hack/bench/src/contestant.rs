//! A contestant: a file says how it is started, what it drives and how its writes are told from others'.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::benchmark::{Bench, NAMESPACE, SET, set_spec};
use crate::floor::Writes;

/// Somebody who takes part, as its file describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contestant {
    /// Name in the table.
    pub name: String,
    /// `shipped` or `uncapped`: which of its limits are in force.
    pub mode: String,
    /// The others' speed is printed as a multiple of this one's.
    #[serde(default)]
    pub baseline: bool,
    /// Commands that are run before it starts, each with KUBECONFIG of the administrator.
    #[serde(default)]
    pub prepare: Vec<Vec<String>>,
    /// Files that are applied before it starts (`kubectl apply --server-side`), relative to the contestant's file.
    #[serde(default)]
    pub manifests: Vec<PathBuf>,
    /// Command line; placeholders are `{kubeconfig}`, `{release}`, `{assets}` and `{dir}` (folder of its file).
    pub command: Vec<String>,
    /// How its writes are recognised.
    pub writer: Option<Writer>,
    /// What it drives.
    pub workload: Workload,
    /// Benches that it plays.
    pub benches: BTreeMap<Bench, Play>,
    /// Name of its file without the ending.
    #[serde(skip)]
    pub stem: String,
    /// Folder of its file.
    #[serde(skip)]
    pub dir: PathBuf,
}

/// How the writes of a contestant are recognised in the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Writer {
    /// By this user name.
    User(String),
    /// By the start of the user agent.
    UserAgentPrefix(String),
}

/// Kind that a contestant drives.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workload {
    /// For example `apps/v1`.
    pub api_version: String,
    /// For example `StatefulSet`.
    pub kind: String,
    /// For example `statefulsets`.
    pub plural: String,
}

/// How a contestant plays a bench.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Play {
    /// JSON merge patch of the set's spec.
    #[serde(default)]
    pub spec: Value,
    /// The least number of its own writes per pod: they make the floor.
    pub writes: Writes,
}

/// What stands for the placeholders of a command line.
#[derive(Clone, Debug)]
pub struct Places {
    /// `{kubeconfig}`.
    pub kubeconfig: PathBuf,
    /// `{release}`.
    pub release: PathBuf,
    /// `{assets}`.
    pub assets: PathBuf,
    /// `{dir}`.
    pub dir: PathBuf,
}

impl Places {
    /// The text with its placeholders filled.
    pub fn fill(&self, text: &str) -> String {
        let places = [
            ("{kubeconfig}", &self.kubeconfig),
            ("{release}", &self.release),
            ("{assets}", &self.assets),
            ("{dir}", &self.dir),
        ];
        places.iter().fold(text.to_owned(), |text, (place, path)| {
            text.replace(place, &path.display().to_string())
        })
    }
}

impl Contestant {
    /// Reads a contestant's file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let mut read = Self::parse(&text, stem).with_context(|| path.display().to_string())?;
        read.dir = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(read)
    }

    /// Parses the text of a contestant's file whose name without ending is `stem`.
    pub fn parse(text: &str, stem: &str) -> anyhow::Result<Self> {
        let mut parsed: Self = serde_saphyr::from_str(text)?;
        stem.clone_into(&mut parsed.stem);
        if parsed.command.is_empty() {
            bail!("command is empty");
        }
        if parsed.workload.api_version.split('/').count() != 2 {
            bail!("workload.apiVersion wants group/version: {}", parsed.workload.api_version);
        }
        Ok(parsed)
    }

    /// How its writes are recognised; the user `bench-STEM` unless its file says otherwise.
    pub fn writer(&self) -> Writer {
        let own = || Writer::User(format!("bench-{}", self.stem));
        self.writer.clone().unwrap_or_else(own)
    }

    /// Path of the collection that its set is in.
    pub fn sets_path(&self) -> String {
        let Workload { api_version, plural, .. } = &self.workload;
        format!("/apis/{api_version}/namespaces/{NAMESPACE}/{plural}")
    }

    /// Path of its set.
    pub fn set_path(&self) -> String {
        format!("{}/{SET}", self.sets_path())
    }

    /// The set before the change of `bench`, or `None` if it does not play that.
    pub fn set(&self, bench: Bench, size: u32) -> Option<Value> {
        let play = self.benches.get(&bench)?;
        let mut spec = set_spec(bench.replicas_before(size));
        if !play.spec.is_null() {
            json_patch::merge(&mut spec, &play.spec);
        }
        Some(json!({
            "apiVersion": self.workload.api_version,
            "kind": self.workload.kind,
            "metadata": { "name": SET, "namespace": NAMESPACE, "labels": { "app": SET } },
            "spec": spec,
        }))
    }
}
