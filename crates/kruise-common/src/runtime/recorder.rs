#![expect(
    clippy::disallowed_methods,
    reason = "posts Kubernetes Events on the process's own behalf; needs the time of the event"
)]
//! Kubernetes Events: posted in the background from a bounded queue, repeats counted up on one
//! Event, and at most a burst of 25 per object with one more each five minutes, as Kubernetes' own
//! recorder does, so that a large rollout does not flood the API server. An object's limit counts before the queue: one
//! that has much to say takes 25 places of it, and leaves the others to the rest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::leader::Leadership;
use super::metrics::Metrics;
use crate::key::ObjectKey;
use crate::kind::Kind;
use crate::plan::Note;

/// Where Events about objects are that belong to no namespace, as Kubernetes has it.
const NOWHERE: &str = "default";
/// Events that wait to be posted.
const QUEUE: usize = 512;
/// Events at once per object.
const BURST: f64 = 25.0;
/// Seconds until an object may have one more.
const REFILL: f64 = 300.0;
/// How long an equal event counts up the first one.
const SERIES: Duration = Duration::from_mins(10);
/// How many objects are remembered before those are looked for that need not be.
const REMEMBERED: usize = 4096;
/// How much of an object's name is in that of its events, which have a dot and 32 digits more.
const LONGEST: usize = 253 - 33;

/// Takes notes and posts them as Events.
#[derive(Clone, Debug)]
pub struct Recorder {
    notes: mpsc::Sender<(ObjectReference, Note)>,
    limits: Arc<Mutex<Limits>>,
    metrics: Metrics,
}

/// What objects may still say.
#[derive(Debug, Default)]
struct Limits {
    buckets: HashMap<String, Bucket>,
    swept: Swept,
}

/// When a map is looked through for what need not be remembered: once it has doubled, so that many that must be do not cost
/// a look at all of them each time.
#[derive(Debug, Default)]
struct Swept(usize);

impl Swept {
    fn sweep<K, V>(&mut self, map: &mut HashMap<K, V>, alive: impl Fn(&V) -> bool) {
        if map.len() >= self.0.max(REMEMBERED) {
            map.retain(|_, value| alive(value));
            self.0 = map.len() * 2;
        }
    }
}

/// The task behind a [`Recorder`].
pub struct Poster {
    client: Client,
    component: &'static str,
    leadership: Leadership,
    notes: mpsc::Receiver<(ObjectReference, Note)>,
    series: HashMap<(String, &'static str, String), Series>,
    swept: Swept,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

#[derive(Debug)]
struct Series {
    name: String,
    count: i32,
    at: Instant,
}

/// A recorder whose events come from `component`, and the task that posts them.
pub fn recorder(
    client: Client,
    component: &'static str,
    leadership: Leadership,
    metrics: Metrics,
) -> (Recorder, Poster) {
    let (sender, notes) = mpsc::channel(QUEUE);
    let recorder = Recorder { notes: sender, limits: Arc::default(), metrics };
    (
        recorder,
        Poster {
            client,
            component,
            leadership,
            notes,
            series: HashMap::new(),
            swept: Swept::default(),
        },
    )
}

impl Recorder {
    /// Records `note` on an object; never waits.
    pub fn record(&self, kind: &Kind, key: &ObjectKey, uid: &str, note: Note) {
        let namespace = Some(key.namespace.to_string()).filter(|namespace| !namespace.is_empty());
        let reference = ObjectReference {
            api_version: Some(kind.api_version()),
            kind: Some(kind.kind.to_owned()),
            namespace,
            name: Some(key.name.to_string()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        };
        let allowed = {
            let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
            limits.allow(uid, Instant::now())
        };
        if !allowed || self.notes.try_send((reference, note)).is_err() {
            self.metrics.event_dropped();
        }
    }
}

impl Limits {
    /// Takes a token of the object's bucket.
    fn allow(&mut self, uid: &str, now: Instant) -> bool {
        let alive = |bucket: &Bucket| (now - bucket.at).as_secs_f64() < BURST * REFILL;
        self.swept.sweep(&mut self.buckets, alive);
        let full = || Bucket { tokens: BURST, at: now };
        let bucket = self.buckets.entry(uid.to_owned()).or_insert_with(full);
        let refill = (now - bucket.at).as_secs_f64() / REFILL;
        bucket.tokens = (bucket.tokens + refill).min(BURST);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

/// Name of a new event: an object's own name may be as long as any name.
pub(crate) fn name(object: &str, id: &uuid::Uuid) -> String {
    let id = id.simple();
    // Names are ASCII, and end with a letter or digit.
    let object = object.get(..LONGEST).unwrap_or(object).trim_end_matches(['.', '-']);
    format!("{object}.{id}")
}

impl Poster {
    /// Posts until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => return,
                next = self.notes.recv() => next,
            };
            let Some((reference, note)) = next else { return };
            if !self.leadership.is_leader() {
                continue;
            }
            let posted = timeout(Duration::from_secs(10), self.post(reference, note)).await;
            match posted {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "event not posted"),
                Err(_) => tracing::debug!("event not posted in time"),
            }
        }
    }

    async fn post(&mut self, reference: ObjectReference, note: Note) -> kube::Result<()> {
        let now = Instant::now();
        let uid = reference.uid.clone().unwrap_or_default();
        let namespace = reference.namespace.clone().unwrap_or_else(|| NOWHERE.to_owned());
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let time = Time(Timestamp::now());
        let id = (uid, note.reason, note.message.clone());
        if let Some(series) = self.series.get_mut(&id).filter(|s| now - s.at < SERIES) {
            series.count += 1;
            series.at = now;
            let change = json!({ "count": series.count, "lastTimestamp": time });
            let patched =
                api.patch(&series.name, &PatchParams::default(), &Patch::Merge(change)).await;
            match patched {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                other => return other.map(|_| ()),
            }
        }
        let object = reference.name.clone().unwrap_or_default();
        let name = name(&object, &uuid::Uuid::new_v4());
        let event = self.event((reference, namespace), note, &name, time);
        api.create(&PostParams::default(), &event).await?;
        self.swept.sweep(&mut self.series, |series| now - series.at < SERIES);
        self.series.insert(id, Series { name, count: 1, at: now });
        Ok(())
    }

    fn event(
        &self,
        (reference, namespace): (ObjectReference, String),
        note: Note,
        name: &str,
        time: Time,
    ) -> Event {
        Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace),
                ..ObjectMeta::default()
            },
            involved_object: reference,
            type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(note.reason.to_owned()),
            message: Some(note.message),
            source: Some(EventSource {
                component: Some(self.component.to_owned()),
                ..EventSource::default()
            }),
            reporting_component: Some(self.component.to_owned()),
            first_timestamp: Some(time.clone()),
            last_timestamp: Some(time),
            count: Some(1),
            ..Event::default()
        }
    }
}
