//! What the API server has logged of our controller's writes. On a cluster whose log is not at hand (any but that of
//! `hack/with-cluster`) there is nothing to look at.

use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Value;

use crate::harness::Space;

/// A write, as the server logged it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Verb and resource, as `patch pods/status`.
    pub what: String,
    /// Whether our controller made it.
    pub ours: bool,
    /// Whether it was done.
    pub done: bool,
    /// When it arrived.
    pub at: Timestamp,
}

fn log() -> Option<PathBuf> {
    let log = PathBuf::from(std::env::var_os("KUBECONFIG")?).with_file_name("audit.log");
    log.exists().then_some(log)
}

/// The writes about objects of this resource, subresources included, in the namespace: those of our controller and of
/// others.
pub fn writes(space: &Space, resource: &str) -> Option<Vec<Call>> {
    let text = std::fs::read_to_string(log()?).unwrap();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let calls = events.filter_map(|event| {
        let object = &event["objectRef"];
        let verb = event["verb"].as_str()?;
        let writes = ["create", "patch", "update", "delete", "deletecollection"].contains(&verb);
        let here = object["namespace"] == space.name() && object["resource"] == resource;
        if !writes || !here {
            return None;
        }
        let subresource = object["subresource"].as_str().map(|name| format!("/{name}"));
        Some(Call {
            what: format!("{verb} {resource}{}", subresource.unwrap_or_default()),
            ours: event["userAgent"].as_str()?.starts_with("kruise-statefulset"),
            done: event["responseStatus"]["code"].as_u64()? < 300,
            at: event["requestReceivedTimestamp"].as_str()?.parse().unwrap(),
        })
    });
    Some(calls.collect())
}
