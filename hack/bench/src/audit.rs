//! Who wrote how much: the API server's own audit log, read between two points.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

/// A kind of write: verb and resource, with its subresource.
pub type Write = (String, String);

/// Writes of one window.
#[derive(Debug, Default, PartialEq)]
pub struct Writes {
    /// By client, then by kind.
    pub by_agent: BTreeMap<String, BTreeMap<Write, u64>>,
    /// Writes that a client was refused for a conflict (409 or 422), by client.
    pub conflicts: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
}

#[derive(Deserialize)]
struct ObjectRef {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    subresource: String,
    #[serde(default)]
    namespace: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

/// How long the log is now: the start of a window.
pub fn mark(log: &Path) -> anyhow::Result<u64> {
    Ok(std::fs::metadata(log)?.len())
}

/// Writes since `from`, of pods in `namespace`. The log is written before a request is answered, so nothing is missing.
pub fn since(log: &Path, from: u64, namespace: &str) -> anyhow::Result<Writes> {
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(from))?;
    read(BufReader::new(file), namespace)
}

/// Counts audit events, one JSON object per line: those about pods in the namespace, and about workloads and revisions
/// anywhere, for SidecarSets are in no namespace and their revisions in another one.
pub fn read(lines: impl BufRead, namespace: &str) -> anyhow::Result<Writes> {
    let mut writes = Writes::default();
    for line in lines.lines() {
        let event: Event = serde_json::from_str(&line?)?;
        let counts =
            |object: &ObjectRef| object.namespace == namespace || object.resource != "pods";
        let Some(object) = event.object_ref.filter(counts) else { continue };
        let resource = match object.subresource.as_str() {
            "" => object.resource,
            subresource => format!("{}/{subresource}", object.resource),
        };
        if matches!(event.response_status.map(|status| status.code), Some(409 | 422)) {
            *writes.conflicts.entry(event.user_agent.clone()).or_default() += 1;
        }
        let kinds = writes.by_agent.entry(event.user_agent).or_default();
        *kinds.entry((event.verb, resource)).or_default() += 1;
    }
    Ok(writes)
}

impl Writes {
    /// Writes of clients whose user agent starts with `agent`, as far as `wanted` says.
    pub fn of(&self, agent: &str, wanted: impl Fn(&str) -> bool) -> u64 {
        let clients = self.by_agent.iter().filter(|(name, _)| name.starts_with(agent));
        let kinds = clients.flat_map(|(_, kinds)| kinds);
        kinds.filter(|((_, resource), _)| wanted(resource)).map(|(_, count)| count).sum()
    }

    /// Conflicts of clients whose user agent starts with `agent`.
    pub fn conflicts_of(&self, agent: &str) -> u64 {
        let clients = self.conflicts.iter().filter(|(name, _)| name.starts_with(agent));
        clients.map(|(_, count)| count).sum()
    }

    /// All writes by kind, of everybody but those that start with `agent`.
    pub fn of_others(&self, agent: &str) -> BTreeMap<Write, u64> {
        let mut all = BTreeMap::new();
        let others = self.by_agent.iter().filter(|(name, _)| !name.starts_with(agent));
        for (kind, count) in others.flat_map(|(_, kinds)| kinds) {
            *all.entry(kind.clone()).or_default() += count;
        }
        all
    }
}
