#![expect(
    clippy::disallowed_methods,
    reason = "writes its own Lease on the process's behalf, and owns the clock of leadership"
)]
//! Leader election on a Lease of our own (platform §18.4).
//!
//! # Guarantees
//! Never two leaders: a rival's Lease counts as expired only after we have watched it unchanged (or deleted) for its
//! whole duration on our own monotonic clock; every write replaces exactly the record that was read; our own validity
//! starts when the request was *sent* and ends at the renew deadline, earlier than anybody else may take over.
//! [`Leadership::is_leader`] looks at the clock itself, so a process that was stopped for a while does not lead
//! when it continues, whatever its tasks have seen.
//!
//! # Flow
//! campaign → lead and renew → on stop: refuse new writes, wait for those under way, release the Lease.
//! A Lease that could not be renewed in time cancels `lost`: the process must end at once.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kruise_api::keys;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::condition::{self, Verdict};

/// How a campaign is run.
#[derive(Clone, Debug)]
pub struct LeaderConfig {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who we are; different for every process.
    pub identity: String,
    /// How long others wait for a silent leader.
    pub lease_duration: Duration,
    /// How long we lead without a successful renewal; shorter than `lease_duration`.
    pub renew_deadline: Duration,
    /// Time between tries.
    pub retry_period: Duration,
    /// A Lease whose holder must not be alive while we lead: OpenKruise's manager.
    pub conflict: Option<ForeignLease>,
    /// Lead even while that holder is alive.
    pub allow_coexistence: bool,
}

/// Somebody else's Lease.
#[derive(Clone, Debug)]
pub struct ForeignLease {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// Why a standby does not even campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyReason {
    /// Holder of the foreign Lease.
    pub holder: String,
}

/// Whether this process leads.
#[derive(Clone, Debug)]
pub struct Leadership {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    epoch: Instant,
    /// Milliseconds after `epoch` until which we lead; 0 for never, `u64::MAX` for always.
    valid_until: AtomicU64,
    changed: watch::Sender<bool>,
    writing: AtomicUsize,
    standby: Mutex<Option<StandbyReason>>,
    verdict: Mutex<Option<Verdict>>,
}

/// A write under way; leadership is not released before it has ended.
#[derive(Debug)]
pub struct WriteGuard {
    shared: Arc<Shared>,
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        self.shared.writing.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A process without election: it always leads.
pub fn disabled() -> Leadership {
    let leadership = Leadership::new();
    leadership.shared.valid_until.store(u64::MAX, Ordering::SeqCst);
    leadership.shared.changed.send_replace(true);
    leadership
}

/// Starts a campaign: the handle, and the task that has to be run.
///
/// `stop` ends it in order and releases the Lease; `lost` is cancelled when the Lease could not be kept.
pub fn campaign(
    client: Client,
    config: LeaderConfig,
    stop: CancellationToken,
    lost: CancellationToken,
) -> (Leadership, impl Future<Output = ()> + Send + 'static) {
    let leadership = Leadership::new();
    let candidate = Candidate {
        api: Api::namespaced(client.clone(), &config.namespace),
        client,
        leadership: leadership.clone(),
        seen: Observed::default(),
        foreign: Observed::default(),
        config,
    };
    (leadership, candidate.run(stop, lost))
}

impl Leadership {
    fn new() -> Self {
        let shared = Shared {
            epoch: Instant::now(),
            valid_until: AtomicU64::new(0),
            changed: watch::Sender::new(false),
            writing: AtomicUsize::new(0),
            standby: Mutex::new(None),
            verdict: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether we lead at this very moment.
    pub fn is_leader(&self) -> bool {
        let now = self.shared.millis(Instant::now());
        now < self.shared.valid_until.load(Ordering::SeqCst)
    }

    /// Permission for one write, if we lead.
    pub fn enter(&self) -> Option<WriteGuard> {
        self.shared.writing.fetch_add(1, Ordering::SeqCst);
        let guard = WriteGuard { shared: self.shared.clone() };
        self.is_leader().then_some(guard)
    }

    /// Tells of every change of leadership, and of the reason to stand by.
    pub fn changed(&self) -> watch::Receiver<bool> {
        self.shared.changed.subscribe()
    }

    /// Why we do not even campaign, if so.
    pub fn standby_reason(&self) -> Option<StandbyReason> {
        self.shared.standby.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the Lease is to say of us from its next renewal on, if it is ours.
    pub fn report(&self, verdict: Verdict) {
        *self.shared.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
    }

    fn verdict(&self) -> Option<Verdict> {
        self.shared.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lead_until(&self, until: Instant) {
        self.shared.valid_until.store(self.shared.millis(until), Ordering::SeqCst);
        self.shared.changed.send_if_modified(|leads| !std::mem::replace(leads, true));
    }

    fn step_down(&self) {
        self.shared.valid_until.store(0, Ordering::SeqCst);
        self.shared.changed.send_if_modified(|leads| std::mem::replace(leads, false));
    }

    fn set_standby(&self, reason: Option<StandbyReason>) {
        let mut standby = self.shared.standby.lock().unwrap_or_else(PoisonError::into_inner);
        if *standby != reason {
            *standby = reason;
            drop(standby);
            self.shared.changed.send_modify(|_| {});
        }
    }

    fn writing(&self) -> usize {
        self.shared.writing.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn millis(&self, at: Instant) -> u64 {
        // One more than the truth, so that 0 stays "never".
        u64::try_from((at - self.epoch).as_millis()).unwrap_or(u64::MAX - 1).saturating_add(1)
    }
}

/// A record and since when we have seen it unchanged.
#[derive(Default)]
struct Observed {
    /// The holder, and the resource version: no clock of a process can make two renewals look the same.
    record: Option<(Option<String>, Option<String>)>,
    since: Option<Instant>,
    /// Whether it changed while we looked.
    changed: bool,
}

impl Observed {
    /// What was read, or, of a Lease that is gone, what it said last: its leader may be writing all the same.
    fn spec(&self, lease: Option<&Lease>) -> LeaseSpec {
        let last = || {
            let holder_identity = self.record.clone().and_then(|(holder, _)| holder);
            Some(LeaseSpec { holder_identity, ..LeaseSpec::default() })
        };
        lease.map_or_else(last, |lease| lease.spec.clone()).unwrap_or_default()
    }

    /// Takes in what was read; how long it has been unchanged for us.
    fn unchanged_for(&mut self, lease: Option<&Lease>, now: Instant) -> Duration {
        let version = lease.and_then(|lease| lease.metadata.resource_version.clone());
        let record = (self.spec(lease).holder_identity, version);
        if self.record.as_ref() != Some(&record) {
            self.changed = self.record.replace(record).is_some();
            self.since = Some(now);
        }
        self.since.map_or(Duration::ZERO, |since| now - since)
    }
}

struct Candidate {
    api: Api<Lease>,
    client: Client,
    leadership: Leadership,
    config: LeaderConfig,
    seen: Observed,
    foreign: Observed,
}

impl Candidate {
    async fn run(mut self, stop: CancellationToken, lost: CancellationToken) {
        let mut valid_until: Option<Instant> = None;
        loop {
            let sent = Instant::now();
            let room = valid_until.map_or(self.config.renew_deadline, |until| until - sent);
            // One request that hangs on a dead connection must leave room for another one, on another connection.
            let attempt = timeout(room.min(self.config.renew_deadline / 3), self.attempt());
            let won = tokio::select! {
                () = stop.cancelled() => break,
                result = attempt => match result {
                    Ok(Ok(won)) => Some(won),
                    Ok(Err(error)) => {
                        tracing::warn!(%error, lease = self.config.name, "cannot reach the Lease");
                        None
                    }
                    Err(_) => {
                        tracing::warn!(lease = self.config.name, "no answer about the Lease in time");
                        None
                    }
                },
            };
            match won {
                Some(true) => {
                    let until = sent + self.config.renew_deadline;
                    valid_until = Some(until);
                    self.leadership.lead_until(until);
                }
                // Somebody else holds it: if it was ours until now, that is the end.
                Some(false) if valid_until.is_some() => return self.lose(&lost),
                Some(false) | None => {}
            }
            if valid_until.is_some_and(|until| Instant::now() >= until) {
                return self.lose(&lost);
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(self.pause(valid_until)) => {}
            }
        }
        if valid_until.is_some() {
            self.release(valid_until).await;
        }
    }

    fn lose(&self, lost: &CancellationToken) {
        self.leadership.step_down();
        tracing::error!(lease = self.config.name, "lost the Lease");
        lost.cancel();
    }

    /// A leader renews each retry period. A standby looks more often, so that a released Lease is taken within a
    /// second; jitter keeps candidates apart.
    fn pause(&self, valid_until: Option<Instant>) -> Duration {
        let jitter = 1.0 + rand::random::<f64>() / 5.0;
        match valid_until {
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                self.config.retry_period.min(left)
            }
            None => self.config.retry_period.min(Duration::from_millis(500)).mul_f64(jitter),
        }
    }

    /// One try to get or keep the Lease.
    async fn attempt(&mut self) -> kube::Result<bool> {
        if self.foreign_holder_lives().await? {
            return Ok(false);
        }
        let lease = self.api.get_opt(&self.config.name).await?;
        let spec = self.seen.spec(lease.as_ref());
        let unchanged = self.seen.unchanged_for(lease.as_ref(), Instant::now());
        let ours = spec.holder_identity.as_deref() == Some(&self.config.identity);
        let held = spec.holder_identity.as_deref().is_some_and(|holder| !holder.is_empty());
        let seconds = u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
        let duration = Duration::from_secs(seconds).max(self.config.lease_duration);
        if !ours && held && unchanged < duration {
            return Ok(false);
        }
        let claim = Some(self.claim(&spec, ours));
        let Some(mut lease) = lease else { return self.create(claim).await };
        lease.spec = claim;
        self.tell(&mut lease);
        match self.api.replace(&self.config.name, &PostParams::default(), &lease).await {
            Ok(_) => Ok(true),
            // Somebody was faster, or changed something else on it: the next try reads who holds it now.
            Err(error) => Err(error),
        }
    }

    /// Puts on the Lease what we have to say of ourselves. What a predecessor said stays until we know better.
    fn tell(&self, lease: &mut Lease) {
        let Some(verdict) = self.leadership.verdict() else { return };
        let annotations = lease.metadata.annotations.get_or_insert_default();
        let stored = annotations.get(keys::CONTROLLER_CONDITIONS).map(String::as_str);
        if let Some(text) = condition::annotation(stored, &verdict, Timestamp::now()) {
            annotations.insert(keys::CONTROLLER_CONDITIONS.to_owned(), text);
        }
    }

    async fn create(&self, spec: Option<LeaseSpec>) -> kube::Result<bool> {
        let name = self.config.name.clone();
        let lease =
            Lease { metadata: ObjectMeta { name: Some(name), ..ObjectMeta::default() }, spec };
        match self.api.create(&PostParams::default(), &lease).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn claim(&self, old: &LeaseSpec, ours: bool) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let seconds = self.config.lease_duration.as_secs().max(1);
        let transitions = old.lease_transitions.unwrap_or(0) + i32::from(!ours);
        LeaseSpec {
            holder_identity: Some(self.config.identity.clone()),
            lease_duration_seconds: i32::try_from(seconds).ok(),
            acquire_time: old.acquire_time.clone().filter(|_| ours).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    /// Whether an OpenKruise manager leads (18.4): its Lease is held and was renewed while we looked, or, at first
    /// sight, recently by the clock. What we may not read counts as absent; a look that failed tells nothing, neither
    /// that it died nor, later, that it came back.
    async fn foreign_holder_lives(&mut self) -> kube::Result<bool> {
        let Some(foreign) = self.config.conflict.clone().filter(|_| !self.config.allow_coexistence)
        else {
            return Ok(false);
        };
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &foreign.namespace);
        let lease = match api.get_opt(&foreign.name).await {
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                tracing::debug!(%status, lease = foreign.name, "may not read the foreign Lease");
                self.leadership.set_standby(None);
                return Ok(false);
            }
            looked => looked?,
        };
        let spec = lease.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let seconds = i64::from(spec.lease_duration_seconds.unwrap_or(15));
        let unchanged = self.foreign.unchanged_for(lease.as_ref(), Instant::now());
        let recent = spec.renew_time.as_ref().is_some_and(|renewed| {
            Timestamp::now().duration_since(renewed.0).as_secs().abs() <= seconds
        });
        let waited = unchanged.as_secs() >= seconds.unsigned_abs();
        let lives = !holder.is_empty() && !waited && (recent || self.foreign.changed);
        let reason = lives.then(|| StandbyReason { holder: holder.clone() });
        if reason.is_some() && self.leadership.standby_reason() != reason {
            tracing::warn!(
                lease = format!("{}/{}", foreign.namespace, foreign.name),
                holder,
                "an OpenKruise manager is alive: standing by (--allow-coexistence overrides)"
            );
        }
        self.leadership.set_standby(reason);
        Ok(lives)
    }

    /// Nothing is written any more; the successor may start at once.
    async fn release(&mut self, valid_until: Option<Instant>) {
        self.leadership.step_down();
        let until = valid_until.unwrap_or_else(Instant::now);
        while self.leadership.writing() > 0 && Instant::now() < until {
            sleep(Duration::from_millis(5)).await;
        }
        let left = until.saturating_duration_since(Instant::now());
        match timeout(left.min(Duration::from_secs(5)), self.clear()).await {
            Ok(Ok(())) => tracing::info!(lease = self.config.name, "released the Lease"),
            Ok(Err(error)) => tracing::warn!(%error, "Lease not released"),
            Err(_) => tracing::warn!("Lease not released in time"),
        }
    }

    /// Takes our name off the Lease.
    async fn clear(&self) -> kube::Result<()> {
        loop {
            let Some(mut lease) = self.api.get_opt(&self.config.name).await? else { return Ok(()) };
            let spec = lease.spec.clone().unwrap_or_default();
            if spec.holder_identity.as_deref() != Some(&self.config.identity) {
                return Ok(());
            }
            lease.spec = Some(LeaseSpec {
                holder_identity: Some(String::new()),
                lease_duration_seconds: Some(1),
                ..spec
            });
            match self.api.replace(&self.config.name, &PostParams::default(), &lease).await {
                // A renewal that was under way at the stop came in between.
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                other => return other.map(|_| ()),
            }
        }
    }
}
