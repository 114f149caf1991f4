//! An API server made of one closure, and the virtual clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::runtime::leader::{LeaderConfig, Leadership, campaign};
use crate::runtime::metrics::Metrics;

/// What a service of a client may fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request as the server sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The content type, empty if there is none.
    pub content: String,
    /// The body, null if it is empty.
    pub body: Value,
    /// When it came.
    pub at: Instant,
}

impl Seen {
    /// Method and path.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What the server does with a request.
pub enum Answer {
    /// Answers with JSON.
    Json(u16, Value),
    /// Answers with text, as proxies do, and a Retry-After header unless it is zero.
    Text(u16, &'static str, u32),
    /// Closes the connection.
    Broken,
    /// Never answers.
    Silent,
    /// Answers later.
    After(Duration, Box<Answer>),
}

/// All requests that came so far.
pub type Log = Arc<Mutex<Vec<Seen>>>;

/// Lines of all requests that came so far.
pub fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().iter().map(Seen::line).collect()
}

/// The body of a failure.
pub fn status(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("{reason} for a test"), "reason": reason, "code": code,
    })
}

/// A failure with its body.
pub fn failure(code: u16, reason: &str) -> Answer {
    Answer::Json(code, status(code, reason))
}

/// A client of a server that answers as `answer` says.
pub fn api(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> (Client, Log) {
    let log = Log::default();
    let seen = log.clone();
    let answer = Arc::new(answer);
    let serve = move |request: http::Request<Body>| {
        let (answer, seen) = (answer.clone(), seen.clone());
        async move {
            let request = read(request).await?;
            seen.lock().unwrap().push(request.clone());
            respond(answer(&request)).await
        }
    };
    (Client::new(tower::service_fn(serve), "default"), log)
}

/// Takes a request apart.
pub async fn read(request: http::Request<Body>) -> Result<Seen, BoxError> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect_bytes().await?;
    let content = parts.headers.get(http::header::CONTENT_TYPE);
    Ok(Seen {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        content: content.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default(),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        at: now(),
    })
}

/// Makes the response.
pub async fn respond(mut answer: Answer) -> Result<http::Response<Body>, BoxError> {
    loop {
        let (code, wait, body) = match answer {
            Answer::Json(code, body) => (code, 0, body.to_string()),
            Answer::Text(code, text, wait) => (code, wait, text.to_owned()),
            Answer::Broken => return Err("connection reset".into()),
            Answer::Silent => std::future::pending().await,
            Answer::After(delay, then) => {
                pass(delay).await;
                answer = *then;
                continue;
            }
        };
        let mut response = http::Response::builder().status(code);
        if wait > 0 {
            response = response.header(http::header::RETRY_AFTER, wait);
        }
        return Ok(response.body(Body::from(body.into_bytes()))?);
    }
}

/// A leader until `stop`.
pub async fn leader_until(stop: CancellationToken) -> Leadership {
    let (client, _) = api(|request| match request.method.as_str() {
        "POST" => Answer::Json(201, request.body.clone()),
        _ => failure(404, "NotFound"),
    });
    let config = LeaderConfig {
        namespace: "ns".into(),
        name: "lease".into(),
        identity: "a".into(),
        lease_duration: s(15),
        renew_deadline: s(10),
        retry_period: s(2),
        conflict: None,
        allow_coexistence: false,
    };
    let (leadership, run) = campaign(client, config, stop, CancellationToken::new());
    tokio::spawn(run);
    until(s(1), "leadership", || leadership.is_leader()).await;
    leadership
}

/// The value of a metric with its labels, 0 if it is not there.
pub fn value(metrics: &Metrics, name: &str) -> f64 {
    let text = metrics.render().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// The virtual clock.
#[expect(clippy::disallowed_methods, reason = "the clock is virtual")]
pub fn now() -> Instant {
    Instant::now()
}

/// Lets virtual time pass.
pub async fn pass(time: Duration) {
    tokio::time::sleep_until(now() + time).await;
}

/// Lets virtual time pass until `holds`; panics after `most`.
pub async fn until(most: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let began = now();
    while !holds() {
        assert!(now() - began < most, "not within {most:?}: {what}");
        pass(Duration::from_millis(1)).await;
    }
    now() - began
}

/// Seconds.
pub const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
