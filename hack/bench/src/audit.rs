//! The API server's audit log: who wrote what, and how it ended. Lines are parsed and counted here.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::benchmark::NAMESPACE;
use crate::contestant::Writer;
use crate::floor::Writes;

/// A finished request that may have written something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// User name.
    pub user: String,
    /// User agent.
    pub agent: String,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// Plural.
    pub resource: String,
    /// Subresource or empty.
    pub subresource: String,
    /// HTTP code.
    pub code: u16,
}

/// What a writer did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Successful writes to pods and their subresources.
    pub pods: Writes,
    /// Successful writes to the status of the workload.
    pub set_status: u32,
    /// Successful writes to anything else but events.
    pub other: u32,
    /// Events written.
    pub events: u32,
    /// Writes that were answered with 409.
    pub conflicts: u32,
    /// Writes that were answered with another error, by HTTP code.
    pub rejected: BTreeMap<u16, u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    stage: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

/// Parses a line; `None` for reads, unfinished requests, other namespaces and what is not an audit event.
pub fn parse(line: &str) -> Option<Request> {
    let line: Line = serde_json::from_str(line).ok()?;
    let object = line.object_ref.unwrap_or_default();
    let writes = ["create", "update", "patch", "delete", "deletecollection"];
    let counts = line.stage == "ResponseComplete"
        && object.namespace == NAMESPACE
        && writes.contains(&line.verb.as_str());
    counts.then(|| Request {
        user: line.user.username,
        agent: line.user_agent,
        verb: line.verb,
        resource: object.resource,
        subresource: object.subresource,
        code: line.response_status.map_or(0, |status| status.code),
    })
}

impl Request {
    /// Whether this writer sent it.
    pub fn is_by(&self, writer: &Writer) -> bool {
        match writer {
            Writer::User(user) => self.user == *user,
            Writer::UserAgentPrefix(prefix) => self.agent.starts_with(prefix),
        }
    }
}

impl Tally {
    /// Counts what `writer` sent; `workload` is the plural of the set's kind.
    pub fn of(requests: &[Request], writer: &Writer, workload: &str) -> Self {
        let mut tally = Self::default();
        for request in requests.iter().filter(|request| request.is_by(writer)) {
            tally.add(request, workload);
        }
        tally
    }

    fn add(&mut self, request: &Request, workload: &str) {
        let path = (request.resource.as_str(), request.subresource.as_str());
        match (request.code, path) {
            (_, ("events", _)) => self.events += 1,
            (200..300, ("pods", subresource)) => {
                let count = match (subresource, request.verb.as_str()) {
                    ("binding", _) => &mut self.pods.bind,
                    ("status", _) => &mut self.pods.status,
                    ("", "create") => &mut self.pods.create,
                    ("", "delete" | "deletecollection") => &mut self.pods.delete,
                    _ => &mut self.pods.patch,
                };
                *count += 1.0;
            }
            (200..300, (resource, "status")) if resource == workload => self.set_status += 1,
            (200..300, _) => self.other += 1,
            (409, _) => self.conflicts += 1,
            (code, _) => *self.rejected.entry(code).or_default() += 1,
        }
    }
}

/// The log file, from a certain place on.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
}

impl AuditLog {
    /// The log at `path`; it has to be there.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        std::fs::metadata(path)?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// Its length now, in bytes.
    pub fn len(&self) -> std::io::Result<u64> {
        std::fs::metadata(&self.path).map(|data| data.len())
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> std::io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// The writes from byte `start` to byte `end`.
    pub fn between(&self, start: u64, end: u64) -> std::io::Result<Vec<Request>> {
        let mut file = std::fs::File::open(&self.path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut text = Vec::new();
        file.take(end.saturating_sub(start)).read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().filter_map(parse).collect())
    }
}
