#![expect(clippy::disallowed_methods, reason = "waits before it opens a broken watch again")]
//! Keeps the table of one kind like the API server's, and tells which objects a change concerns.
//!
//! # Guarantees
//! Lists are consistent reads (never from a lagging cache), paged. A broken watch backs off alone and
//! without end; one that is dead is noticed within a minute. Whatever vanished while it was down is found
//! when it is back (mark and sweep).

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::api::ListParams;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
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

mod streak;

pub use streak::Streak;

/// Objects per list page: bounds the memory of a relist.
const PAGE: u32 = 250;
/// How long a page may take: a connection that went silent in the middle of a list must not freeze the cache (D.1).
const PAGE_PATIENCE: Duration = Duration::from_mins(1);
/// How long it may take to find out whether a kind can be listed.
const PROBE: Duration = Duration::from_secs(5);
/// How long a watch is open, in seconds: a dead connection is noticed when its end does not come.
const WATCH_SECONDS: u32 = 55;

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
    /// How long it has been failing.
    pub streak: Arc<Streak>,
    /// Told of every change but those of a status alone, if somebody wants to know.
    changed: Option<Arc<Notify>>,
}

/// Which objects are watched of those that are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All.
    All,
    /// Those that a label selector selects.
    Labels(&'static str),
    /// The one with this name.
    Name(&'static str),
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
            streak: Arc::default(),
            changed,
        })
    }

    /// Watches what `api` reaches and `selection` names until `stop`.
    pub async fn run(self: Arc<Self>, api: Api<W>, selection: Selection, stop: CancellationToken) {
        let config = watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS);
        let config = match selection {
            Selection::All => config,
            Selection::Labels(labels) => config.labels(labels),
            // The right to list and watch one object by its name asks for exactly this.
            Selection::Name(name) => config.fields(&format!("metadata.name={name}")),
        };
        let mut failures = 0;
        let whole = selection == Selection::All;
        let follow = async {
            loop {
                let Some(problem) = self.follow(&api, &config, whole, &mut failures).await else {
                    return;
                };
                self.failed((&api, &config), &problem, &mut failures).await;
            }
        };
        stop.run_until_cancelled(follow).await;
    }

    /// Lists and watches until something happens after which only a new list helps: then says what.
    async fn follow(
        &self,
        api: &Api<W>,
        config: &watcher::Config,
        whole: bool,
        failures: &mut u32,
    ) -> Option<String> {
        let events = watcher(api.clone(), config.clone());
        pin_mut!(events);
        let mut listing = true;
        loop {
            // A watch that is open may be silent for long, and its own time-out ends it. A page that was begun may not.
            let patience = if listing { PAGE_PATIENCE } else { Duration::MAX };
            let Ok(event) = tokio::time::timeout(patience, events.next()).await else {
                return Some(format!("a page of the list did not come in {PAGE_PATIENCE:?}"));
            };
            match event? {
                Ok(event) => {
                    match event {
                        Event::Init => listing = true,
                        Event::InitDone => listing = false,
                        _ => {}
                    }
                    if !matches!(event, Event::Init) {
                        *failures = 0;
                    }
                    if !listing {
                        self.streak.works();
                    }
                    for (key, uid) in self.take(event, whole) {
                        if let Err(problem) =
                            self.look_up(api.clone().into_client(), &key, &uid).await
                        {
                            return Some(format!("{key}: {problem}"));
                        }
                    }
                }
                Err(error) => self.failed((api, config), &error.to_string(), failures).await,
            }
        }
    }

    /// Reads live what only a reply told of while a list was read.
    async fn look_up(&self, client: Client, key: &ObjectKey, uid: &str) -> Result<(), String> {
        let path = format!("{}/{}", W::KIND.path(&key.namespace), key.name);
        let request =
            http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
        let answer = tokio::time::timeout(PAGE_PATIENCE, client.request::<W>(request)).await;
        match answer.map_err(|_| format!("no answer in {PAGE_PATIENCE:?}"))? {
            Ok(object) => self.upsert(object),
            Err(kube::Error::Api(status)) if status.code == 404 => self.removed(key, uid),
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    async fn failed(
        &self,
        (api, config): (&Api<W>, &watcher::Config),
        problem: &str,
        failures: &mut u32,
    ) {
        *failures += 1;
        self.metrics.watch_error(W::KIND.plural);
        tracing::warn!(resource = W::KIND.plural, failures, problem, "watch failed");
        let backoff = Backoff { base: Duration::from_millis(200), max: Duration::from_secs(15) };
        self.note_failure(api, config).await;
        tokio::time::sleep(backoff.delay(*failures, rand::random())).await;
        // A watch of a kind that does not change would not tell that it works again.
        if self.streak.is_long(now()) && reaches(api, config).await {
            self.streak.works();
        }
    }

    /// Of a kind that does not change nothing is heard between two failures, though the watch was open: what can be listed is
    /// not out of date for long.
    async fn note_failure(&self, api: &Api<W>, config: &watcher::Config) {
        let failed = now();
        if self.streak.would_be_long(failed) && reaches(api, config).await {
            self.streak.works();
        } else {
            self.streak.failed(failed);
        }
    }

    /// Waits until the first list is complete.
    pub async fn synced(&self) {
        let mut synced = self.synced.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Returns what has to be looked up.
    fn take(&self, event: Event<W>, whole: bool) -> Vec<(ObjectKey, Arc<str>)> {
        let mut doubtful = Vec::new();
        match event {
            Event::Init => self.table.begin_sync(),
            Event::InitApply(object) => {
                if let Some(change) = self.table.apply_listed(object.into_record(&self.interner)) {
                    self.concern(&change);
                }
            }
            Event::Apply(object) => self.upsert(object),
            Event::InitDone => {
                let swept = self.table.end_sync(whole);
                for change in swept.changes {
                    self.concern(&change);
                }
                doubtful = swept.doubtful;
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
        doubtful
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

/// Whether any of these caches is out of date.
pub fn any_is_old(streaks: &[Arc<Streak>]) -> bool {
    streaks.iter().any(|streak| streak.is_long(now()))
}

/// Whether the kind can be listed now.
async fn reaches<W: Wire>(api: &Api<W>, config: &watcher::Config) -> bool {
    let params = ListParams {
        label_selector: config.label_selector.clone(),
        field_selector: config.field_selector.clone(),
        ..ListParams::default().limit(1).match_any()
    };
    let listed = tokio::time::timeout(PROBE, api.list_metadata(&params)).await;
    listed.is_ok_and(|listed| listed.is_ok())
}

fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
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

    fn lists(&self) -> u64 {
        self.table.lists()
    }

    fn uid(&self, key: &ObjectKey) -> Option<Arc<str>> {
        self.table.get(key).map(|row| row.meta().uid.clone())
    }

    fn removed(&self, key: &ObjectKey, uid: &str) {
        if let Some(change) = self.table.forget(key, uid) {
            self.concern(&change);
        }
    }
}
