#![expect(clippy::disallowed_methods, reason = "waits before it opens a broken watch again")]
//! Keeps the table of one kind like the API server's, and tells which objects a change concerns.
//!
//! # Guarantees
//! Lists are consistent reads (never from a lagging cache), paged. A broken watch backs off alone and
//! without end; one that is dead is noticed within a minute. Whatever vanished while it was down is found
//! when it is back (mark and sweep).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::api::ListParams;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::queue::Queue;
use super::writer::Sink;
use crate::intern::Interner;
use crate::key::ObjectKey;
use crate::meta::Meta;
use crate::table::{Change, Record, Table, Wire};

mod failures;
mod streak;

use failures::Failures;
pub use streak::Streak;

/// Objects per list page: bounds the memory of a relist.
const PAGE: u32 = 250;
/// How long a page may take: a connection that went silent in the middle of a list must not freeze the cache (D.1).
const PAGE_PATIENCE: Duration = Duration::from_mins(1);
/// How long it may take to find out whether a kind can be listed.
const PROBE: Duration = Duration::from_secs(5);
/// How often an object is asked for that only a reply told of.
const LOOK_UPS: u32 = 5;
/// How often objects are read of which the watch does not tell.
const STRANGERS_EVERY: Duration = Duration::from_mins(1);
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
    /// The label that all that is watched has, if not everything is.
    label: OnceLock<&'static str>,
    /// What replies told of though it has not that label: the watch will never tell of it.
    strangers: Mutex<HashMap<ObjectKey, Arc<str>>>,
}

/// Which objects are watched of those that are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All.
    All,
    /// Those that have a label, whatever its value.
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
            label: OnceLock::new(),
            strangers: Mutex::default(),
        })
    }

    /// Watches what `api` reaches and `selection` names until `stop`.
    pub async fn run(self: Arc<Self>, api: Api<W>, selection: Selection, stop: CancellationToken) {
        let config = watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS);
        let config = match selection {
            Selection::All => config,
            Selection::Labels(label) => {
                self.label.get_or_init(|| label);
                config.labels(label)
            }
            // The right to list and watch one object by its name asks for exactly this.
            Selection::Name(name) => config.fields(&format!("metadata.name={name}")),
        };
        let mut failures = Failures::default();
        let whole = selection == Selection::All;
        let follow = async {
            loop {
                let Some(problem) = self.follow(&api, &config, whole, &mut failures).await else {
                    return;
                };
                failures.another(now(), false);
                self.failed((&api, &config), &problem, (&failures, None)).await;
            }
        };
        let client = api.clone().into_client();
        let both = async { tokio::join!(follow, self.look_after_strangers(client)) };
        stop.run_until_cancelled(both).await;
    }

    /// Reads live, now and then, what the watch is not about: somebody waits for it to go, or to end.
    async fn look_after_strangers(&self, client: Client) {
        if self.label.get().is_none() {
            return;
        }
        loop {
            tokio::time::sleep(STRANGERS_EVERY).await;
            let known = self.strangers().clone();
            for (key, uid) in known {
                if let Err(problem) = self.look_up(client.clone(), &key, &uid).await {
                    tracing::warn!(resource = W::KIND.plural, object = %key, problem, "cannot look it up");
                }
            }
        }
    }

    fn strangers(&self) -> MutexGuard<'_, HashMap<ObjectKey, Arc<str>>> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers whether the watch will tell of an object that a reply told of.
    fn acquaint(&self, meta: &Meta) {
        let Some(label) = self.label.get() else { return };
        if meta.labels.get(label).is_some() {
            self.strangers().remove(&meta.key);
        } else {
            self.strangers().insert(meta.key.clone(), meta.uid.clone());
        }
    }

    /// Lists and watches until something happens after which only a new list helps: then says what.
    async fn follow(
        &self,
        api: &Api<W>,
        config: &watcher::Config,
        whole: bool,
        failures: &mut Failures,
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
                        Event::InitDone => {
                            listing = false;
                            failures.listed();
                        }
                        Event::Apply(_) | Event::Delete(_) => failures.heard(),
                        Event::InitApply(_) => {}
                    }
                    if !listing {
                        self.streak.works();
                    }
                    for (key, uid) in self.take(event, whole) {
                        if let Err(problem) = self.find_out((api, config), (&key, &uid)).await {
                            return Some(problem);
                        }
                    }
                }
                Err(error) => {
                    let unopened = matches!(error, watcher::Error::WatchStartFailed(_));
                    failures.another(now(), unopened);
                    let asked = asked_for(&error);
                    self.failed((api, config), &error.to_string(), (failures, asked)).await;
                    if failures.must_list(now()) {
                        return Some("no watch could be opened for long: listing anew".to_owned());
                    }
                }
            }
        }
    }

    /// Reads live what only a reply told of while a list was read; more than once, for the list need not be read again because
    /// of one answer that did not come.
    async fn find_out(
        &self,
        (api, config): (&Api<W>, &watcher::Config),
        (key, uid): (&ObjectKey, &str),
    ) -> Result<(), String> {
        let mut failures = Failures::default();
        while let Err(error) = self.look_up(api.clone().into_client(), key, uid).await {
            let problem = format!("{key}: {error}");
            failures.another(now(), false);
            if failures.many >= LOOK_UPS {
                return Err(problem);
            }
            self.failed((api, config), &problem, (&failures, None)).await;
        }
        Ok(())
    }

    async fn look_up(&self, client: Client, key: &ObjectKey, uid: &str) -> Result<(), String> {
        let path = format!("{}/{}", W::KIND.path(&key.namespace), key.name);
        let request =
            http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
        let answer = tokio::time::timeout(PAGE_PATIENCE, client.request::<W>(request)).await;
        match answer.map_err(|_| format!("no answer in {PAGE_PATIENCE:?}"))? {
            Ok(object) => self.told(object),
            Err(kube::Error::Api(status)) if status.code == 404 => self.removed(key, uid),
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    async fn failed(
        &self,
        (api, config): (&Api<W>, &watcher::Config),
        problem: &str,
        (failures, asked): (&Failures, Option<Duration>),
    ) {
        self.metrics.watch_error(W::KIND.plural);
        tracing::warn!(
            resource = W::KIND.plural,
            failures = failures.many,
            problem,
            "watch failed"
        );
        self.note_failure(api, config).await;
        tokio::time::sleep(failures.delay(asked, rand::random())).await;
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

    /// Takes in what was not watched but answered.
    fn told(&self, object: W) {
        self.acquaint(&Meta::new(object.meta(), &self.interner));
        self.upsert(object);
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

/// How long the server asks to be left alone.
fn asked_for(error: &watcher::Error) -> Option<Duration> {
    use watcher::Error;
    let (Error::InitialListFailed(source)
    | Error::WatchStartFailed(source)
    | Error::WatchFailed(source)) = error
    else {
        return None;
    };
    let kube::Error::Api(status) = source else { return None };
    let seconds = status.details.as_ref()?.retry_after_seconds;
    Some(Duration::from_secs(u64::from(seconds)))
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
            Ok(object) => self.told(object),
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
        self.strangers().remove(key);
        if let Some(change) = self.table.forget(key, uid) {
            self.concern(&change);
        }
    }
}
