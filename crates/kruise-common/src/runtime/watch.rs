#![expect(clippy::disallowed_methods, reason = "waits before it opens a broken watch again")]
//! Keeps the table of one kind like the API server's, and tells which objects a change concerns.
//!
//! # Guarantees
//! Lists are consistent reads (never from a lagging cache), paged. A broken watch backs off alone and
//! without end. Whatever vanished while it was down is found when it is back (mark and sweep).

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::metrics::Metrics;
use super::queue::Queue;
use super::writer::Sink;
use crate::intern::Interner;
use crate::key::ObjectKey;
use crate::meta::Meta;
use crate::table::{Change, Record, Table, Wire};

/// Objects per list page: bounds the memory of a relist.
const PAGE: u32 = 250;

/// Which objects a change concerns; reads tables at most.
pub type Mapper<R> = Box<dyn Fn(&Change<R>) -> Vec<ObjectKey> + Send + Sync>;

/// A cache of one kind and the requests for turns that its changes cause.
pub struct Cache<W: Wire> {
    /// The rows.
    pub table: Arc<Table<W::Record>>,
    interner: Arc<Interner>,
    mapper: Mapper<W::Record>,
    queue: Arc<Queue>,
    metrics: Metrics,
    synced: watch::Sender<bool>,
    /// Told of every change but those of a status alone, if somebody wants to know.
    changed: Option<Arc<Notify>>,
}

impl<W: Wire> Cache<W> {
    /// An empty cache.
    pub fn new(
        interner: Arc<Interner>,
        queue: Arc<Queue>,
        metrics: Metrics,
        mapper: impl Fn(&Change<W::Record>) -> Vec<ObjectKey> + Send + Sync + 'static,
        changed: Option<Arc<Notify>>,
    ) -> Arc<Self> {
        metrics.watches(W::KIND.plural);
        Arc::new(Self {
            table: Arc::default(),
            interner,
            mapper: Box::new(mapper),
            queue,
            metrics,
            synced: watch::Sender::new(false),
            changed,
        })
    }

    /// Watches what `api` reaches and `labels` selects (all if empty) until `stop`.
    pub async fn run(self: Arc<Self>, api: Api<W>, labels: &'static str, stop: CancellationToken) {
        let mut config = watcher::Config::default().page_size(PAGE);
        if !labels.is_empty() {
            config = config.labels(labels);
        }
        let events = watcher(api, config);
        pin_mut!(events);
        let backoff = Backoff { base: Duration::from_millis(200), max: Duration::from_secs(15) };
        let mut failures = 0;
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => {
                    if !matches!(event, Event::Init) {
                        failures = 0;
                    }
                    self.take(event);
                }
                Some(Err(error)) => {
                    failures += 1;
                    self.metrics.watch_error(W::KIND.plural);
                    tracing::warn!(resource = W::KIND.plural, failures, %error, "watch failed");
                    let delay = backoff.delay(failures, rand::random());
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(delay) => {}
                    }
                }
                None => return,
            }
        }
    }

    /// Waits until the first list is complete.
    pub async fn synced(&self) {
        let mut synced = self.synced.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    fn take(&self, event: Event<W>) {
        match event {
            Event::Init => self.table.begin_sync(),
            Event::InitApply(object) | Event::Apply(object) => self.upsert(object),
            Event::InitDone => {
                for change in self.table.end_sync() {
                    self.concern(&change);
                }
                self.synced.send_replace(true);
            }
            Event::Delete(object) => {
                let meta = Meta::new(object.meta(), &self.interner);
                if let Some(change) = self.table.remove(&meta) {
                    self.concern(&change);
                }
            }
        }
        self.metrics.cache(W::KIND.plural, self.table.len());
    }

    fn upsert(&self, object: W) {
        if let Some(change) = self.table.apply(object.into_record(&self.interner)) {
            self.concern(&change);
        }
    }

    fn concern(&self, change: &Change<W::Record>) {
        for key in (self.mapper)(change) {
            self.queue.add(key);
        }
        if let Some(changed) = &self.changed
            && respecified(change)
        {
            changed.notify_one();
        }
    }
}

/// Whether more than a status may have changed; kinds without a generation do not say.
fn respecified<R: Record>(change: &Change<R>) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return true };
    let (old, new) = (old.meta(), new.meta());
    new.generation == 0 || old.uid != new.uid || old.generation != new.generation
}

impl<W: Wire> Sink for Cache<W> {
    fn stored(&self, body: &[u8]) {
        match serde_json::from_slice::<W>(body) {
            Ok(object) => self.upsert(object),
            Err(error) => {
                tracing::warn!(resource = W::KIND.plural, %error, "reply to a write cannot be read");
            }
        }
    }

    fn removed(&self, key: &ObjectKey, uid: Option<&str>) {
        let change = match uid {
            Some(uid) => self.table.forget(key, uid),
            None => self.table.get(key).and_then(|row| self.table.forget(key, &row.meta().uid)),
        };
        if let Some(change) = change {
            self.concern(&change);
        }
    }
}
