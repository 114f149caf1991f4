#![expect(clippy::disallowed_methods, reason = "this is the file through which all writes leave")]
//! The only file that sends a controller's writes: leadership, guard, precondition, time-out, window, metrics.
//!
//! # Guarantees
//! Nothing is sent without leadership at that moment. The reply goes into the cache before the
//! caller sees it, so the next turn of the owner knows its own write. A write without an answer, or whose answer
//! a list overtook, is remembered and looked up live before the owner's next turn ([`Writer::resolve`]): bounded, never a silent stall.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use http::{Method, header};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::leader::Leadership;
use super::limiter::{Limiter, Patience, Slot};
use super::metrics::Metrics;
use crate::key::ObjectKey;
use crate::kind::Kind;
use crate::write::{Category, Guard, Patch, Request, Write, WriteError};

/// How many targets of unanswered writes are looked up at once.
const LOOK_UPS: usize = 16;
/// How long more of them are begun: what takes longer must not look like a turn that hangs.
const RESOLVE: Duration = Duration::from_secs(1);

/// Where replies go: the cache of a kind.
pub trait Sink: Send + Sync {
    /// An object as the server returned it.
    fn stored(&self, body: &[u8]);
    /// How many lists it has read. A reply that a list overtook may be older than it.
    fn lists(&self) -> u64;
    /// UID of the object that is known under this name.
    fn uid(&self, key: &ObjectKey) -> Option<Arc<str>>;
    /// An object that the server has removed.
    fn removed(&self, key: &ObjectKey, uid: &str);
}

/// Sends writes.
pub struct Writer {
    client: Client,
    leadership: Leadership,
    limiter: Limiter,
    metrics: Metrics,
    sinks: HashMap<&'static str, Arc<dyn Sink>>,
    /// Targets of writes without an answer, by owner.
    unresolved: Mutex<HashMap<ObjectKey, HashSet<Target>>>,
    timeout: Duration,
}

type Target = (&'static Kind, ObjectKey);

/// How a write is limited.
#[derive(Clone, Copy, Debug)]
pub struct WriterConfig {
    /// Most writes under way at once.
    pub in_flight: u32,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Writer {
    /// A writer that feeds `sinks` (by plural of the kind).
    pub fn new(
        client: Client,
        leadership: Leadership,
        metrics: Metrics,
        config: WriterConfig,
        sinks: HashMap<&'static str, Arc<dyn Sink>>,
    ) -> Self {
        let limiter = Limiter::new(config.in_flight);
        let unresolved = Mutex::default();
        Self { client, leadership, limiter, metrics, sinks, unresolved, timeout: config.timeout }
    }

    /// Sends `write` on behalf of `owner` once there is room for it. False if that took too long: then nothing was sent.
    pub async fn send(
        &self,
        owner: &ObjectKey,
        write: &Write,
        patience: &Patience,
    ) -> Result<bool, WriteError> {
        match self.limiter.enter_within(patience).await {
            Some(slot) => self.send_now(owner, write, slot).await.map(|()| true),
            None => Ok(false),
        }
    }

    async fn send_now(
        &self,
        owner: &ObjectKey,
        write: &Write,
        slot: Slot<'_>,
    ) -> Result<(), WriteError> {
        if let Some(guard) = &write.guard
            && let Err(error) = self.check(guard).await
        {
            slot.heed(&error);
            if error.category == Category::Guard {
                // The cache is behind: the next turn is to know what the guard has seen.
                self.remember(owner, (guard.kind, guard.key.clone()));
            }
            return Err(error);
        }
        let not_leader = || WriteError::new(Category::NotLeader, "this replica does not lead");
        let _leading = self.leadership.enter().ok_or_else(not_leader)?;
        let started = Instant::now();
        let lists = self.lists(write.kind);
        let result = self.request(build(write)?).await;
        let resource = resource(write);
        let outcome = result.as_ref().map_or_else(|error| error.category.as_str(), |_| "ok");
        self.metrics.write(
            write.verb(),
            &resource,
            outcome,
            started.elapsed(),
            self.limiter.window(),
        );
        match result {
            Ok(body) => {
                slot.succeeded();
                if self.lists(write.kind) != lists {
                    self.leave_unresolved(owner, write);
                } else if matches!(write.request, Request::Evict { .. }) {
                    self.follow(owner, write).await;
                } else {
                    self.store(write, &body);
                }
                Ok(())
            }
            Err(error) => {
                slot.heed(&error);
                self.settle(owner, write, error)
            }
        }
    }

    /// Looks up the targets of `owner`'s writes that got no answer. Until that has worked the owner must not act. False if it
    /// took too long: some are left.
    pub async fn resolve(&self, owner: &ObjectKey) -> Result<bool, WriteError> {
        let pending: Vec<Target> = {
            let unresolved = self.unresolved.lock().unwrap_or_else(PoisonError::into_inner);
            unresolved.get(owner).into_iter().flatten().cloned().collect()
        };
        let end = Instant::now() + RESOLVE;
        let mut waiting = pending.into_iter();
        let look_up = |target: Target| async move {
            self.look_up(target.0, &target.1).await.map(|()| target)
        };
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < LOOK_UPS && Instant::now() < end {
                let Some(target) = waiting.next() else { break };
                running.push(look_up(target));
            }
            let Some(found) = running.next().await else { return Ok(waiting.next().is_none()) };
            self.found(owner, &found?);
            self.metrics.unresolved_write();
        }
    }

    /// The target of a write was looked up.
    fn found(&self, owner: &ObjectKey, target: &Target) {
        let mut unresolved = self.unresolved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(targets) = unresolved.get_mut(owner) {
            targets.remove(target);
            if targets.is_empty() {
                unresolved.remove(owner);
            }
        }
    }

    /// Reads an object live into its cache.
    async fn look_up(&self, kind: &'static Kind, key: &ObjectKey) -> Result<(), WriteError> {
        let Some(sink) = self.sinks.get(kind.plural) else { return Ok(()) };
        // Only what was known before the question is gone if the answer is no: what comes meanwhile is younger.
        let (known, lists) = (sink.uid(key), sink.lists());
        match (self.get(kind, key).await, known) {
            (Ok(_), _) if sink.lists() != lists => {
                return Err(WriteError::new(Category::Unknown, "a list overtook the answer"));
            }
            (Ok(body), _) => sink.stored(&body),
            (Err(error), Some(uid)) if error.category == Category::NotFound => {
                sink.removed(key, &uid);
            }
            (Err(error), None) if error.category == Category::NotFound => {}
            (Err(error), _) => return Err(error),
        }
        Ok(())
    }

    /// The reply to an eviction does not show the pod, but the next turn must see that it goes.
    async fn follow(&self, owner: &ObjectKey, write: &Write) {
        if self.look_up(write.kind, &write.key).await.is_err() {
            self.leave_unresolved(owner, write);
        }
    }

    fn leave_unresolved(&self, owner: &ObjectKey, write: &Write) {
        self.remember(owner, (write.kind, write.key.clone()));
    }

    /// What is to be looked up before the next turn of the owner.
    fn remember(&self, owner: &ObjectKey, target: Target) {
        let mut unresolved = self.unresolved.lock().unwrap_or_else(PoisonError::into_inner);
        unresolved.entry(owner.clone()).or_default().insert(target);
    }

    /// The live read of a guard.
    async fn check(&self, guard: &Guard) -> Result<(), WriteError> {
        #[derive(serde::Deserialize)]
        struct Seen {
            metadata: kube::core::ObjectMeta,
        }
        let gone = |why: &str| {
            let name = &guard.key;
            WriteError::new(Category::Guard, format!("{} {name} {why}", guard.kind.kind))
        };
        let body = match self.get(guard.kind, &guard.key).await {
            Err(error) if error.category == Category::NotFound => return Err(gone("is gone")),
            other => other?,
        };
        let seen: Seen = serde_json::from_slice(&body).map_err(|_| gone("cannot be read"))?;
        if seen.metadata.uid.as_deref() != Some(&*guard.uid) {
            return Err(gone("is gone: another object has its name"));
        }
        if !guard.may_terminate && seen.metadata.deletion_timestamp.is_some() {
            return Err(gone("is being deleted"));
        }
        if guard.generation.is_some() && seen.metadata.generation != guard.generation {
            return Err(gone("asks for something else by now"));
        }
        Ok(())
    }

    fn lists(&self, kind: &Kind) -> Option<u64> {
        self.sinks.get(kind.plural).map(|sink| sink.lists())
    }

    async fn get(&self, kind: &Kind, key: &ObjectKey) -> Result<Vec<u8>, WriteError> {
        let path = format!("{}/{}", kind.path(&key.namespace), key.name);
        let request = http::Request::builder().method(Method::GET).uri(path).body(Vec::new());
        self.request(request.map_err(malformed)?).await
    }

    async fn request(&self, request: http::Request<Vec<u8>>) -> Result<Vec<u8>, WriteError> {
        timeout(self.timeout, self.exchange(request)).await.unwrap_or_else(|_| {
            let waited = self.timeout.as_secs();
            let text = format!("no answer from the API server within {waited} s");
            Err(WriteError::new(Category::Unknown, text))
        })
    }

    async fn exchange(&self, request: http::Request<Vec<u8>>) -> Result<Vec<u8>, WriteError> {
        let unknown = |error: kube::Error| WriteError::new(Category::Unknown, error.to_string());
        let response = self.client.send(request.map(Body::from)).await.map_err(unknown)?;
        let (head, body) = response.into_parts();
        let body = body.collect_bytes().await.map_err(unknown)?.to_vec();
        if !head.status.is_client_error() && !head.status.is_server_error() {
            return Ok(body);
        }
        let mut error = classify(&read_status(head.status, &body));
        // Priority and Fairness answers with text, and says only here how long to wait.
        let wait = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        error.retry_after = error.retry_after.or(wait.and_then(|seconds| seconds.parse().ok()));
        Err(error)
    }

    /// The reply goes into the cache.
    fn store(&self, write: &Write, body: &[u8]) {
        let Some(sink) = self.sinks.get(write.kind.plural) else { return };
        match &write.request {
            Request::Create { .. } | Request::Patch { .. } => sink.stored(body),
            // The reply is a Status, and the pod is looked up.
            Request::Evict { .. } => {}
            // A deletion with a grace period returns the object with its deletionTimestamp;
            // one that is complete returns the object or a Status without.
            Request::Delete { uid, .. } => {
                let left = Left::of(body);
                if left.object {
                    // Also of one that is gone: its last state may be news.
                    sink.stored(body);
                }
                if !left.waits {
                    sink.removed(&write.key, uid);
                }
            }
        }
    }

    /// What a failed write means for the caches; some failures are what we wanted.
    fn settle(
        &self,
        owner: &ObjectKey,
        write: &Write,
        error: WriteError,
    ) -> Result<(), WriteError> {
        match (error.category, &write.request) {
            (Category::NotFound, Request::Delete { uid, .. } | Request::Evict { uid, .. }) => {
                if let Some(sink) = self.sinks.get(write.kind.plural) {
                    sink.removed(&write.key, uid);
                }
                Ok(())
            }
            (
                Category::Unknown
                | Category::Server
                | Category::AlreadyExists
                | Category::Conflict
                | Category::NotFound,
                _,
            ) => {
                self.leave_unresolved(owner, write);
                Err(error)
            }
            _ => Err(error),
        }
    }
}

fn resource(write: &Write) -> String {
    match write.subresource() {
        "" => write.kind.plural.to_owned(),
        subresource => format!("{}/{subresource}", write.kind.plural),
    }
}

fn malformed(error: impl std::fmt::Display) -> WriteError {
    WriteError::new(Category::Invalid, format!("the request cannot be built: {error}"))
}

/// The HTTP request of a write.
fn build(write: &Write) -> Result<http::Request<Vec<u8>>, WriteError> {
    let collection = write.kind.path(&write.key.namespace);
    let object = format!("{collection}/{}", write.key.name);
    let (method, path, content, body) = match &write.request {
        Request::Create { body } => {
            (Method::POST, collection, "application/json", serde_json::to_vec(body))
        }
        Request::Patch { subresource, patch } => {
            let path = subresource.map_or(object.clone(), |sub| format!("{object}/{sub}"));
            let (content, body) = match patch {
                Patch::Json(body) => ("application/json-patch+json", body),
                Patch::Strategic(body) => ("application/strategic-merge-patch+json", body),
            };
            (Method::PATCH, path, content, serde_json::to_vec(body))
        }
        Request::Evict { uid, version } => {
            let body = json!({
                "kind": "Eviction",
                "apiVersion": "policy/v1",
                "metadata": { "name": &*write.key.name, "namespace": &*write.key.namespace },
                "deleteOptions": { "preconditions": preconditions(uid, version.as_deref()) },
            });
            let path = format!("{object}/eviction");
            (Method::POST, path, "application/json", serde_json::to_vec(&body))
        }
        Request::Delete { uid, version } => {
            let options = json!({
                "kind": "DeleteOptions",
                "apiVersion": "v1",
                "preconditions": preconditions(uid, version.as_deref()),
            });
            (Method::DELETE, object, "application/json", serde_json::to_vec(&options))
        }
    };
    let body = body.map_err(malformed)?;
    let request = http::Request::builder().method(method).uri(path);
    request.header(header::CONTENT_TYPE, content).body(body).map_err(malformed)
}

/// What must be so for an object to be deleted.
fn preconditions(uid: &str, version: Option<&str>) -> Value {
    match version {
        Some(version) => json!({ "uid": uid, "resourceVersion": version }),
        None => json!({ "uid": uid }),
    }
}

/// What the reply to a DELETE shows.
#[derive(Default)]
struct Left {
    /// An object, not only a Status.
    object: bool,
    /// It still has to terminate.
    waits: bool,
}

impl Left {
    fn of(body: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Reply {
            kind: Option<String>,
            metadata: Option<Meta>,
        }
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Meta {
            uid: Option<serde::de::IgnoredAny>,
            deletion_timestamp: Option<serde::de::IgnoredAny>,
            deletion_grace_period_seconds: Option<i64>,
            finalizers: Option<Vec<serde::de::IgnoredAny>>,
        }
        let Ok(reply) = serde_json::from_slice::<Reply>(body) else { return Self::default() };
        let Some(meta) = reply.metadata.filter(|_| reply.kind.as_deref() != Some("Status")) else {
            return Self::default();
        };
        let waits = meta.deletion_grace_period_seconds.is_some_and(|seconds| seconds > 0)
            || meta.finalizers.is_some_and(|finalizers| !finalizers.is_empty());
        let waits = meta.deletion_timestamp.is_some() && waits;
        Self { object: meta.uid.is_some(), waits }
    }
}

/// The reason of an answer that is none of the API server's.
const UNREADABLE: &str = "Unreadable";

/// The body of a failure; proxies send something else.
fn read_status(code: http::StatusCode, body: &[u8]) -> Status {
    let text = || Status::failure(String::from_utf8_lossy(body).trim(), UNREADABLE);
    let status: Status = serde_json::from_slice(body).unwrap_or_else(|_| text());
    if status.code == 0 { status.with_code(code.as_u16()) } else { status }
}

/// The category of an error answer. A JSON Patch whose `test` fails and a changed UID answer 422
/// (verified against a 1.34 API server): both mean that the object is not the one that was seen.
fn classify(status: &Status) -> WriteError {
    let details = status.details.as_ref();
    let causes = || details.into_iter().flat_map(|details| &details.causes);
    let about_uid = causes().any(|cause| cause.field == "metadata.uid");
    // A spent PodDisruptionBudget is no overload: others need not wait.
    let budget = causes().any(|cause| cause.reason == "DisruptionBudget");
    let terminating = causes().any(|cause| cause.reason == "NamespaceTerminating");
    let names_object = details.is_some_and(|details| !details.name.is_empty());
    let category = match (status.code, status.reason.as_str()) {
        (_, "AlreadyExists") => Category::AlreadyExists,
        (429, _) if budget => Category::Forbidden,
        (409, _) => Category::Conflict,
        (422, _) if about_uid || !names_object => Category::Conflict,
        (400 | 405 | 406 | 413 | 415 | 422, _) => Category::Invalid,
        (403, _) if terminating => Category::NamespaceTerminating,
        (401 | 403, _) => Category::Forbidden,
        (404, _) => Category::NotFound,
        // A gateway's, about a connection that broke: the write may have been done.
        (503, UNREADABLE) => Category::Unknown,
        (429 | 503, _) => Category::Throttled,
        (500.., _) => Category::Server,
        _ => Category::Unknown,
    };
    let retry_after = details.map(|details| details.retry_after_seconds).filter(|s| *s > 0);
    let error = WriteError::new(category, status.message.clone());
    let overload = error.overload || status.code == 503;
    WriteError { retry_after, overload, ..error }
}
