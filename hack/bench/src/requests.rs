//! Plain requests with JSON bodies, and many of them at once.

use futures::StreamExt;
use kube::Client;
use serde_json::Value;

/// How a body is meant.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// An object.
    Json,
    /// A strategic merge patch.
    Strategic,
    /// JSON Patch operations.
    Patch,
}

impl Body {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Patch => "application/json-patch+json",
        }
    }
}

/// One request; the answer's object.
pub async fn send(
    client: &Client,
    method: &str,
    path: &str,
    kind: Body,
    body: &Value,
) -> kube::Result<Value> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, kind.content_type())
        .body(body.to_string().into_bytes())
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

/// Runs `count` requests, `writers` at once.
pub async fn many<F: Future<Output = kube::Result<Value>>>(
    count: usize,
    writers: usize,
    request: impl Fn(usize) -> F,
) -> anyhow::Result<()> {
    let mut answers = futures::stream::iter((0..count).map(request)).buffer_unordered(writers);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}
