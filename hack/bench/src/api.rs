//! Requests to the API server, without decoding what nobody looks at.

use anyhow::Context;
use kube::Client;
use serde_json::{Value, json};

/// A write.
#[derive(Clone, Debug)]
pub struct Call {
    method: &'static str,
    content_type: &'static str,
    path: String,
    body: Value,
}

impl Call {
    /// Creates an object in the collection at `path`.
    pub fn create(path: &str, body: Value) -> Self {
        Self::new("POST", "application/json", path, body)
    }

    /// A JSON merge patch.
    pub fn merge(path: &str, body: Value) -> Self {
        Self::new("PATCH", "application/merge-patch+json", path, body)
    }

    /// A strategic merge patch.
    pub fn strategic(path: &str, body: Value) -> Self {
        Self::new("PATCH", "application/strategic-merge-patch+json", path, body)
    }

    /// Deletes an object or a collection at once, without its dependents.
    pub fn delete(path: &str) -> Self {
        let body = json!({
            "kind": "DeleteOptions", "apiVersion": "v1",
            "gracePeriodSeconds": 0, "propagationPolicy": "Background",
        });
        Self::new("DELETE", "application/json", path, body)
    }

    fn new(method: &'static str, content_type: &'static str, path: &str, body: Value) -> Self {
        Self { method, content_type, path: path.to_owned(), body }
    }

    /// Sends it.
    pub async fn send(&self, client: &Client) -> anyhow::Result<()> {
        let what = || format!("{} {}", self.method, self.path);
        let request = http::Request::builder()
            .method(self.method)
            .uri(&self.path)
            .header("Content-Type", self.content_type)
            .body(serde_json::to_vec(&self.body)?)?;
        client.request_text(request).await.with_context(what).map(|_| ())
    }

    /// Sends it; that the object is there already, or not there, is fine.
    pub async fn send_if_needed(&self, client: &Client) -> anyhow::Result<()> {
        match self.send(client).await {
            Err(error) if matches!(code(&error), Some(404 | 409)) => Ok(()),
            other => other,
        }
    }
}

/// Reads the object or list at `path`.
pub async fn get(client: &Client, path: &str) -> anyhow::Result<Value> {
    let request = http::Request::get(path).body(Vec::new())?;
    client.request(request).await.with_context(|| format!("GET {path}"))
}

fn code(error: &anyhow::Error) -> Option<u16> {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}
