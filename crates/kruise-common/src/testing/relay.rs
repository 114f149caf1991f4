#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    reason = "test code: what goes wrong ends the test"
)]
//! Stands between a controller process and the API server, and falls silent at a write of the test's choice: so a process
//! can be killed at exactly that point, once with the write done and unanswered, once with the write never sent.
//!
//! Reads and watches pass. Of the writes those count that decide something: Events and Leases pass uncounted.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cluster::Controller;

/// What becomes of the write at which the relay falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The API server never hears of it.
    Before,
    /// It is done, and nobody hears the answer.
    After,
}

/// A write that the API server has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Status of the answer.
    pub status: u16,
}

impl Sent {
    /// Whether it created an object of this kind, by its plural.
    pub fn created(&self, plural: &str) -> bool {
        self.method == "POST" && self.status == 201 && self.path.ends_with(&format!("/{plural}"))
    }

    /// Whether it deleted an object of this kind.
    pub fn deleted(&self, plural: &str) -> bool {
        let named = self.path.contains(&format!("/{plural}/"));
        self.method == "DELETE" && self.status < 300 && named
    }
}

/// A relay on a free local port.
pub struct Relay {
    line: Arc<Line>,
    kubeconfig: PathBuf,
    server: JoinHandle<()>,
}

struct Line {
    client: Client,
    /// At which write it falls silent, the first being 1, and what becomes of that one.
    cut: Mutex<Option<(usize, Cut)>>,
    writes: AtomicUsize,
    silent: watch::Sender<bool>,
    sent: Mutex<Vec<Sent>>,
}

impl Relay {
    /// One through which everything passes.
    pub async fn start(client: Client) -> Self {
        static RELAYS: AtomicUsize = AtomicUsize::new(0);
        let line = Arc::new(Line {
            client,
            cut: Mutex::default(),
            writes: AtomicUsize::new(0),
            silent: watch::Sender::new(false),
            sent: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(forward).with_state(line.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let number = RELAYS.fetch_add(1, Ordering::SeqCst);
        let name = format!("kruise-relay-{}-{number}", std::process::id());
        let kubeconfig = std::env::temp_dir().join(name);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: relay\n\
             clusters: [{{ name: relay, cluster: {{ server: 'http://{address}' }} }}]\n\
             users: [{{ name: relay, user: {{}} }}]\n\
             contexts: [{{ name: relay, context: {{ cluster: relay, user: relay }} }}]\n"
        );
        std::fs::write(&kubeconfig, text).unwrap();
        Self { line, kubeconfig, server }
    }

    /// One that falls silent at its write with this number, the first being 1.
    pub async fn silent_at(client: Client, write: usize, cut: Cut) -> Self {
        let relay = Self::start(client).await;
        *relay.line.cut.lock().unwrap() = Some((write, cut));
        relay
    }

    /// A flag for the controller that is to go through it.
    pub fn flag(&self) -> String {
        format!("--kubeconfig={}", self.kubeconfig.display())
    }

    /// Waits until it has fallen silent.
    pub async fn silent(&self) {
        let mut silent = self.line.silent.subscribe();
        silent.wait_for(|silent| *silent).await.unwrap();
    }

    /// From now on everything passes again, for another process.
    pub fn open(&self) {
        *self.line.cut.lock().unwrap() = None;
        self.line.silent.send_replace(false);
    }

    /// Every write that was answered by the API server so far, in the order of the answers.
    pub fn sent(&self) -> Vec<Sent> {
        self.line.sent.lock().unwrap().clone()
    }

    /// Plays a story with a controller behind the relay. Once the relay falls silent, the controller is killed with
    /// SIGKILL and another one takes over. Says whether it came to that; the last controller ends cleanly.
    pub async fn killed(
        &self,
        start: impl AsyncFn() -> Controller,
        story: impl Future<Output = ()>,
    ) -> bool {
        let controller = start().await;
        let mut story = std::pin::pin!(story);
        tokio::select! {
            () = &mut story => {
                controller.stop().await;
                return false;
            }
            () = self.silent() => {}
        }
        controller.kill().await;
        self.open();
        let controller = start().await;
        story.await;
        controller.stop().await;
        true
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.server.abort();
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

async fn forward(State(line): State<Arc<Line>>, request: Request) -> Response {
    if !decides(&request) {
        return line.pass(request).await.unwrap_or_else(unreachable);
    }
    let number = line.writes.fetch_add(1, Ordering::SeqCst) + 1;
    let cut = *line.cut.lock().unwrap();
    let beyond = cut.filter(|(at, _)| number >= *at);
    let done = beyond.is_none_or(|(at, cut)| number == at && cut == Cut::After);
    // A process that is killed takes its connection along, but not what it has sent.
    let answer = done.then(|| {
        let line = line.clone();
        tokio::spawn(async move { line.write(request).await })
    });
    let answer = match answer {
        Some(answer) => Some(answer.await.unwrap()),
        None => None,
    };
    if beyond.is_some() {
        line.silent.send_replace(true);
        std::future::pending::<()>().await;
    }
    answer.unwrap_or_else(|| StatusCode::BAD_GATEWAY.into_response())
}

/// Whether it is a write that a controller decided upon.
fn decides(request: &Request) -> bool {
    let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let mut path = request.uri().path().split('/');
    writes.contains(request.method()) && !path.any(|part| ["events", "leases"].contains(&part))
}

impl Line {
    async fn write(&self, request: Request) -> Response {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        match self.pass(request).await {
            Ok(response) => {
                let status = response.status().as_u16();
                self.sent.lock().unwrap().push(Sent { method, path, status });
                response
            }
            Err(error) => unreachable(error),
        }
    }

    async fn pass(&self, request: Request) -> Result<Response, String> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|e| e.to_string())?;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut onward = http::Request::builder().method(parts.method).uri(path);
        let kept = [header::CONTENT_TYPE, header::ACCEPT, header::USER_AGENT];
        for (name, value) in parts.headers.iter().filter(|(name, _)| kept.contains(name)) {
            onward = onward.header(name, value);
        }
        let onward = onward.body(Body::from(body.to_vec())).map_err(|e| e.to_string())?;
        let answer = self.client.send(onward).await.map_err(|e| e.to_string())?;
        let (parts, body) = answer.into_parts();
        let mut headers = HeaderMap::new();
        let kept = [header::CONTENT_TYPE, header::RETRY_AFTER, header::WARNING];
        for (name, value) in parts.headers.iter().filter(|(name, _)| kept.contains(name)) {
            headers.append(name, value.clone());
        }
        Ok((parts.status, headers, axum::body::Body::new(body)).into_response())
    }
}

fn unreachable(error: String) -> Response {
    (StatusCode::BAD_GATEWAY, error).into_response()
}
