//! What the API server has logged of our controller's requests. On a cluster whose log is not at hand (any but that of
//! `hack/with-cluster`) there is nothing to look at.

use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Value;

use crate::harness::Space;

/// A request, as the server logged it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Verb and resource, as `patch pods/status`.
    pub what: String,
    /// The object, if one was named.
    pub name: String,
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

const WRITES: [&str; 5] = ["create", "patch", "update", "delete", "deletecollection"];

/// The writes about objects of this resource, subresources included, in the namespace: those of our controller and of
/// others.
pub fn writes(space: &Space, resource: &str) -> Option<Vec<Call>> {
    requests(space, |verb, about| WRITES.contains(&verb) && about == resource)
}

/// All that our controller asked of the namespace since a moment, the Lease and its reads included.
pub fn ours_since(space: &Space, since: Timestamp) -> Option<Vec<String>> {
    let calls = requests(space, |_, _| true)?.into_iter();
    let calls = calls.filter(|call| call.ours && call.at >= since);
    Some(calls.map(|call| call.what).collect())
}

/// The requests in the namespace whose verb and resource are wanted.
fn requests(space: &Space, wanted: impl Fn(&str, &str) -> bool) -> Option<Vec<Call>> {
    let text = std::fs::read_to_string(log()?).unwrap();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let calls = events.filter_map(|event| {
        let object = &event["objectRef"];
        let verb = event["verb"].as_str()?;
        let resource = object["resource"].as_str()?;
        if object["namespace"] != space.name() || !wanted(verb, resource) {
            return None;
        }
        let subresource = object["subresource"].as_str().map(|name| format!("/{name}"));
        Some(Call {
            what: format!("{verb} {resource}{}", subresource.unwrap_or_default()),
            name: object["name"].as_str().unwrap_or_default().to_owned(),
            ours: event["userAgent"].as_str()?.starts_with("kruise-statefulset"),
            done: event["responseStatus"]["code"].as_u64()? < 300,
            at: event["requestReceivedTimestamp"].as_str()?.parse().unwrap(),
        })
    });
    Some(calls.collect())
}
