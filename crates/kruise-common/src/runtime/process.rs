//! Puts a controller process together: client, caches, leadership, crank, admin server, shutdown.
//!
//! # Flow
//! connect → serve /metrics → fill the caches (every replica, leading or not) → campaign → work.
//! SIGTERM: stop taking turns, let writes end, release the Lease, exit 0. A lost Lease ends the process at once.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use kube::{Api, Client, Config};
use prometheus::IntCounterVec;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::admin::{self, Health};
use super::args::RuntimeArgs;
use super::backoff::Backoff;
use super::leader::{self, ForeignLease, LeaderConfig, Leadership};
use super::metrics::Metrics;
use super::queue::Queue;
use super::recorder::recorder;
use super::requests::Requests;
use super::run::Crank;
use super::telemetry;
use super::watch::{Cache, Selection, Streak, any_is_old};
use super::writer::{Sink, Writer, WriterConfig};
use crate::admission::Admission;
use crate::intern::Interner;
use crate::key::ObjectKey;
use crate::kind::Kind;
use crate::reconciler::Reconciler;
use crate::table::{Change, Table, Wire};

mod webhooks;

/// Why a controller process cannot start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The log.
    #[error(transparent)]
    Telemetry(#[from] telemetry::TelemetryError),
    /// The kubeconfig file.
    #[error("kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// No cluster is configured.
    #[error("no cluster: {0}")]
    Config(#[from] kube::config::InferConfigError),
    /// The client.
    #[error("client: {0}")]
    Client(#[from] kube::Error),
    /// The metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A part of the process ended that must not.
    #[error("a task of the process: {0}")]
    Task(tokio::task::JoinError),
    /// The admin server or the signals.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A flag.
    #[error("--{flag}: {problem}")]
    Flag {
        /// Name of the flag.
        flag: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// The Lease was lost: another replica may lead, so this one must not go on.
    #[error("leadership was lost")]
    LostLeadership,
}

/// Says which objects of the controller a change concerns.
pub trait Concerns<R>: Fn(&Change<R>) -> Vec<ObjectKey> + Send + Sync + 'static {}

impl<R, F: Fn(&Change<R>) -> Vec<ObjectKey> + Send + Sync + 'static> Concerns<R> for F {}

/// A process that is being put together.
pub struct Process {
    args: RuntimeArgs,
    name: &'static str,
    client: Client,
    interner: Arc<Interner>,
    queue: Arc<Queue>,
    metrics: Metrics,
    stop: CancellationToken,
    /// Nothing is answered any more: until then caches are kept up to date.
    closed: CancellationToken,
    sinks: HashMap<&'static str, Arc<dyn Sink>>,
    watches: Vec<BoxFuture<'static, ()>>,
    synced: Vec<BoxFuture<'static, ()>>,
    streaks: Vec<Arc<Streak>>,
    admission: Option<Arc<dyn Admission>>,
    hooks_depend_on: Vec<&'static Kind>,
    answers_depend_on: Vec<&'static Kind>,
    hooks_changed: Arc<Notify>,
}

impl Process {
    /// Connects; `name` is the binary's name (Lease, user agent), `controller` the metric label.
    pub async fn new(
        args: RuntimeArgs,
        name: &'static str,
        controller: &'static str,
    ) -> Result<Self, ProcessError> {
        telemetry::init(&args.log, args.logging_format)?;
        // Somebody else may have installed one in this process; either is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let metrics = Metrics::new(controller)?;
        let (file, timeout) = (args.kubeconfig.as_deref(), args.request_timeout);
        let client = client(file, name, timeout, metrics.requests()).await?;
        Ok(Self {
            args,
            name,
            client,
            interner: Arc::default(),
            queue: Arc::default(),
            metrics,
            stop: CancellationToken::new(),
            closed: CancellationToken::new(),
            sinks: HashMap::new(),
            watches: Vec::new(),
            synced: Vec::new(),
            streaks: Vec::new(),
            admission: None,
            hooks_depend_on: Vec::new(),
            answers_depend_on: Vec::new(),
            hooks_changed: Arc::default(),
        })
    }

    /// Watches a namespaced kind; `mapper` says which objects of the controller a change concerns.
    pub fn watch<W>(&mut self, mapper: impl Concerns<W::Record>) -> Arc<Table<W::Record>>
    where
        W: Wire + kube::Resource<Scope = NamespaceResourceScope>,
    {
        let namespace = self.args.namespace.clone();
        self.watch_in::<W>(&namespace, mapper)
    }

    /// Watches a namespaced kind in one namespace, or in all if it is empty, whatever `--namespace` says.
    pub fn watch_in<W>(
        &mut self,
        namespace: &str,
        mapper: impl Concerns<W::Record>,
    ) -> Arc<Table<W::Record>>
    where
        W: Wire + kube::Resource<Scope = NamespaceResourceScope>,
    {
        let api: Api<W> = if namespace.is_empty() {
            Api::all(self.client.clone())
        } else {
            Api::namespaced(self.client.clone(), namespace)
        };
        self.watch_api::<W>(api, Selection::All, Box::new(mapper))
    }

    /// Watches one object of a namespaced kind, by its name.
    pub fn watch_one<W>(
        &mut self,
        (namespace, name): (&str, &'static str),
        mapper: impl Concerns<W::Record>,
    ) -> Arc<Table<W::Record>>
    where
        W: Wire + kube::Resource<Scope = NamespaceResourceScope>,
    {
        let api: Api<W> = Api::namespaced(self.client.clone(), namespace);
        self.watch_api::<W>(api, Selection::Name(name), Box::new(mapper))
    }

    /// Like [`Process::watch`], but only objects that the label selector `labels` selects. Others are unknown here, but
    /// for the targets of our own writes.
    pub fn watch_selected<W>(
        &mut self,
        labels: &'static str,
        mapper: impl Concerns<W::Record>,
    ) -> Arc<Table<W::Record>>
    where
        W: Wire + kube::Resource<Scope = NamespaceResourceScope>,
    {
        let namespace = &self.args.namespace;
        let api: Api<W> = if namespace.is_empty() {
            Api::all(self.client.clone())
        } else {
            Api::namespaced(self.client.clone(), namespace)
        };
        self.watch_api::<W>(api, Selection::Labels(labels), Box::new(mapper))
    }

    /// The client, for what a binary looks up before it starts.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Watches a cluster-scoped kind, whatever `--namespace` says.
    pub fn watch_cluster<W>(&mut self, mapper: impl Concerns<W::Record>) -> Arc<Table<W::Record>>
    where
        W: Wire + kube::Resource<Scope = ClusterResourceScope>,
    {
        self.watch_api::<W>(Api::all(self.client.clone()), Selection::All, Box::new(mapper))
    }

    fn watch_api<W: Wire>(
        &mut self,
        api: Api<W>,
        selection: Selection,
        mapper: impl Fn(&Change<W::Record>) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Arc<Table<W::Record>> {
        let changed = self.hooks_depend_on.contains(&W::KIND).then(|| self.hooks_changed.clone());
        let cache: Arc<Cache<W>> = Cache::new(
            self.interner.clone(),
            self.queue.clone(),
            self.metrics.clone(),
            mapper,
            changed,
        );
        self.sinks.insert(W::KIND.plural, cache.clone());
        if self.answers_depend_on.contains(&W::KIND) {
            self.streaks.push(cache.streak.clone());
        }
        let run = cache.clone().run(api, selection, self.closed.clone());
        self.watches.push(Box::pin(run));
        let waiting = cache.clone();
        self.synced.push(Box::pin(async move { waiting.synced().await }));
        cache.table.clone()
    }

    /// Whether the API server serves a kind now. For kinds that may be missing: a watch on one would never fill its cache.
    pub async fn serves(&self, kind: &Kind) -> Result<bool, ProcessError> {
        match self.client.list_api_group_resources(&kind.api_version()).await {
            Ok(list) => Ok(list.resources.iter().any(|resource| resource.name == kind.plural)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs `reconciler` until a signal; `keys` lists all objects, for the first turn of a new leader.
    pub async fn run<R: Reconciler>(
        mut self,
        reconciler: R,
        keys: impl Fn() -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Result<(), ProcessError> {
        let health = Arc::new(Health::default());
        let admin = admin::serve(
            self.args.metrics_addr,
            self.metrics.clone(),
            health.clone(),
            self.stop.clone(),
        );
        let address = admin.await.map_err(|source| io("admin server", source))?;
        tracing::info!(name = self.name, %address, "serving /metrics, /healthz, /readyz");

        let mut tasks = JoinSet::new();
        for watch in std::mem::take(&mut self.watches) {
            tasks.spawn(watch);
        }
        let lost = CancellationToken::new();
        let campaign = CancellationToken::new();
        let filled = CancellationToken::new();
        let leadership = self.campaign(&lost, &campaign, &filled, &mut tasks)?;
        let (recorder, poster) =
            recorder(self.client.clone(), R::NAME, leadership.clone(), self.metrics.clone());
        let webhooks = self.webhooks(&leadership, (recorder.clone(), &health), &mut tasks).await?;
        tasks.spawn(poster.run(self.stop.clone()));
        let crank = Arc::new(self.crank(reconciler, leadership.clone(), recorder));

        let synced = std::mem::take(&mut self.synced);
        let ready = health.clone();
        let workers = self.args.workers.max(1);
        self.metrics.workers(workers);
        let start = async move {
            futures::future::join_all(synced).await;
            filled.cancel();
            if let Some(webhooks) = webhooks {
                webhooks.open().await;
            }
            ready.set_ready(true);
            tracing::info!("caches are complete");
        };
        let lead = lead(
            leadership.clone(),
            self.metrics.clone(),
            self.lease_name(),
            self.queue.clone(),
            keys,
        );
        let working = crank.clone();
        let stop = self.stop.clone();
        tasks.spawn(async move {
            // Turns end by themselves once the queue is closed; waiting for caches or leadership does not.
            if stop.run_until_cancelled(start).await.is_none() {
                return;
            }
            let work = (0..workers).map(|_| working.work());
            tokio::join!(stop.run_until_cancelled(lead), futures::future::join_all(work));
        });
        tasks.spawn(watch_progress(
            health,
            (self.queue.clone(), std::mem::take(&mut self.streaks)),
            (leadership, crank),
            self.stop.clone(),
        ));
        self.until_ended(&lost, &campaign, tasks).await
    }

    fn crank<R: Reconciler>(
        &mut self,
        reconciler: R,
        leadership: Leadership,
        recorder: super::recorder::Recorder,
    ) -> Crank<R> {
        let limits = WriterConfig {
            in_flight: self.args.max_writes_in_flight,
            timeout: self.args.request_timeout,
        };
        let sinks = std::mem::take(&mut self.sinks);
        let writer = Writer::new(
            self.client.clone(),
            leadership.clone(),
            self.metrics.clone(),
            limits,
            sinks,
        );
        Crank {
            reconciler,
            queue: self.queue.clone(),
            writer: Arc::new(writer),
            recorder,
            leadership,
            metrics: self.metrics.clone(),
            backoff: Backoff {
                base: self.args.rate_limiter_base_delay,
                max: self.args.rate_limiter_max_delay,
            },
            memory: Mutex::default(),
        }
    }

    fn lease_name(&self) -> String {
        let id = &self.args.leader_election_id;
        if id.is_empty() { self.name.to_owned() } else { id.clone() }
    }

    /// Nobody else may take over before we have stopped, and we must be able to try more than once until then.
    fn check_lease_times(&self) -> Result<(), ProcessError> {
        let lease = self.args.leader_election_lease_duration;
        let (renew, retry) =
            (self.args.leader_election_renew_deadline, self.args.leader_election_retry_period);
        let refuse = |flag: &'static str, value: Duration, rule: &str, limit: Duration| {
            let problem = format!("{value:?} must be {rule} ({limit:?})");
            Err(ProcessError::Flag { flag, problem })
        };
        if renew >= lease {
            let rule = "shorter than --leader-election-lease-duration";
            return refuse("leader-election-renew-deadline", renew, rule, lease);
        }
        if retry >= renew {
            let rule = "shorter than --leader-election-renew-deadline";
            return refuse("leader-election-retry-period", retry, rule, renew);
        }
        Ok(())
    }

    /// Starts the campaign once the caches are `filled`: a replica that knows nothing must not keep the Lease from one
    /// that could work. The handle leads as long as the Lease is ours.
    fn campaign(
        &self,
        lost: &CancellationToken,
        campaign: &CancellationToken,
        filled: &CancellationToken,
        tasks: &mut JoinSet<()>,
    ) -> Result<Leadership, ProcessError> {
        // Known before the caches are complete: alerts find the replicas of a controller by it, also those that hang there.
        self.metrics.leads(&self.lease_name(), false);
        if !self.args.enable_leader_election {
            return Ok(leader::disabled());
        }
        self.check_lease_times()?;
        let foreign = &self.args.openkruise_lease;
        let (namespace, name) = foreign.split_once('/').ok_or_else(|| ProcessError::Flag {
            flag: "openkruise-lease",
            problem: format!("{foreign:?} is not of the form namespace/name"),
        })?;
        let host = hostname();
        let config = LeaderConfig {
            namespace: self.args.leader_election_namespace.clone(),
            name: self.lease_name(),
            identity: format!("{host}_{}", uuid::Uuid::new_v4()),
            lease_duration: self.args.leader_election_lease_duration,
            renew_deadline: self.args.leader_election_renew_deadline,
            retry_period: self.args.leader_election_retry_period,
            conflict: Some(ForeignLease { namespace: namespace.to_owned(), name: name.to_owned() }),
            allow_coexistence: self.args.allow_coexistence,
        };
        let (leadership, run) =
            leader::campaign(self.client.clone(), config, campaign.clone(), lost.clone());
        let (campaign, filled) = (campaign.clone(), filled.clone());
        tasks.spawn(async move {
            if campaign.run_until_cancelled(filled.cancelled()).await.is_some() {
                run.await;
            }
        });
        Ok(leadership)
    }

    /// Waits for a signal or the loss of leadership, then ends everything in order.
    async fn until_ended(
        self,
        lost: &CancellationToken,
        campaign: &CancellationToken,
        mut tasks: JoinSet<()>,
    ) -> Result<(), ProcessError> {
        let mut term =
            signal(SignalKind::terminate()).map_err(|source| io("SIGTERM handler", source))?;
        let mut interrupt =
            signal(SignalKind::interrupt()).map_err(|source| io("SIGINT handler", source))?;
        tokio::select! {
            () = lost.cancelled() => return Err(ProcessError::LostLeadership),
            error = panicked(&mut tasks) => return Err(error),
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: finishing writes, releasing the Lease");
        self.queue.close();
        campaign.cancel();
        self.stop.cancel();
        if self.lame_duck().is_zero() {
            self.closed.cancel();
        }
        let patience = Duration::from_secs(8) + self.lame_duck();
        let ended =
            tokio::time::timeout(patience, async { while tasks.join_next().await.is_some() {} });
        if ended.await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
        Ok(())
    }
}

/// Waits for a task that panics. Without one of its tasks a process would go on and do nothing.
async fn panicked(tasks: &mut JoinSet<()>) -> ProcessError {
    loop {
        match tasks.join_next().await {
            Some(Err(error)) if error.is_panic() => return ProcessError::Task(error),
            Some(_) => {}
            None => return std::future::pending().await,
        }
    }
}

/// Asks for a turn of every object whenever this replica starts to lead.
async fn lead(
    leadership: Leadership,
    metrics: Metrics,
    lease: String,
    queue: Arc<Queue>,
    keys: impl Fn() -> Vec<ObjectKey>,
) {
    let mut changes = leadership.changed();
    loop {
        let leads = *changes.borrow_and_update();
        metrics.leads(&lease, leads);
        if leads {
            tracing::info!(%lease, "leading");
            for key in keys() {
                queue.add(key);
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Tells the probe that the process is alive: a turn ended, or nothing waits for one, or the caches are still being
/// filled (a restart would only begin that again). Tells the metrics whether a foreign manager keeps us from acting, and how
/// long objects have waited.
async fn watch_progress<R: Reconciler>(
    health: Arc<Health>,
    (queue, streaks): (Arc<Queue>, Vec<Arc<Streak>>),
    (leadership, crank): (Leadership, Arc<Crank<R>>),
    stop: CancellationToken,
) {
    let metrics = &crank.metrics;
    let mut every = tokio::time::interval(Duration::from_secs(5));
    let mut turns = metrics.turns();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        health.set_deaf(any_is_old(&streaks));
        metrics.conflicts(leadership.standby_reason().is_some());
        metrics.queue(&queue.load());
        metrics.longest_waits(&crank.longest_waits());
        let now = metrics.turns();
        if now != turns || !health.is_filled() || (queue.depth() == 0 && queue.running() == 0) {
            health.progressed();
        }
        turns = now;
    }
}

/// A client of the cluster of a kubeconfig, which calls itself `name`; without a file, of the cluster that the
/// environment names. Its requests are counted.
pub async fn client(
    kubeconfig: Option<&Path>,
    name: &'static str,
    timeout: Duration,
    counter: IntCounterVec,
) -> Result<Client, ProcessError> {
    let mut config = match kubeconfig {
        Some(path) => {
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?
        }
        None => Config::infer().await?,
    };
    // The queue retries, with the object's own backoff and a fresh decision; a retry below it would repeat an old one.
    config.default_retry = false;
    let agent = http::HeaderValue::from_static(name);
    config.headers.push((http::header::USER_AGENT, agent));
    let host = config.cluster_url.authority().map(ToString::to_string).unwrap_or_default();
    let client = ClientBuilder::try_from(config)?
        // Bounds the time to the head of a response, so a dead connection cannot hold a watch for ever.
        .with_layer(&tower::timeout::TimeoutLayer::new(timeout))
        .with_layer(&Requests::new(counter, host))
        .build();
    Ok(client)
}

fn io(what: &'static str, source: std::io::Error) -> ProcessError {
    ProcessError::Io { what, source }
}

/// The name of this host, as part of the Lease's holder.
fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}
