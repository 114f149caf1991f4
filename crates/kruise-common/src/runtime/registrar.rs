#![expect(
    clippy::disallowed_methods,
    reason = "writes the Secret and the webhook configurations on the process's own behalf, and owns the time of certificates"
)]
//! Keeps certificate and registration right: one writer (the leader), all replicas read.
//!
//! # Flow
//! Every replica watches the Secret (or the mounted files) and serves what it holds. The leader takes the steps that
//! `admission/rotation.rs` decides, each a write bound to the version it was decided upon, and applies the webhook
//! configurations whenever they do not say what they must: after an upgrade, after somebody broke the CA, after the
//! hooks themselves changed. Nothing is registered before this replica can answer (platform P5).
//!
//! # Guarantees
//! A failure here ends nothing: controllers work without webhooks. It is logged once, counted, and tried again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind, ObjectMeta};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::certs::{self, BadPair, Stored, Usable, member};
use super::leader::Leadership;
use super::recorder::Recorder;
use super::webhook::{Certificate, Desk};
use crate::admission::registration::{Phase, Terms, configuration, says, trusts};
use crate::admission::rotation::{Facts, Schedule, Step, next_step};
use crate::key::ObjectKey;
use crate::kind::LEASE;
use kruise_api::keys;

pub(crate) mod board;
mod follow;
mod insistence;
pub(crate) mod trouble;

use board::Board;
use follow::{Seen, follow};
use insistence::Insistence;
use trouble::Trouble;

/// For how long after the start it is no problem that the Secret or a configuration was not read yet.
const FIRST_LOOK: Duration = Duration::from_secs(30);
/// How often mounted files are read again.
const FILES_EVERY: Duration = Duration::from_secs(10);
/// Least and longest wait after a failed write.
const RETRY: Backoff = Backoff { base: Duration::from_millis(200), max: Duration::from_secs(30) };

/// For how long after a failed round at most nothing that happens causes another one: what is refused stays refused for a while,
/// and hooks may change many times a second.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a round may take: an answer that stops in its middle must not end the renewal of certificates.
const ROUND: Duration = Duration::from_secs(30);

/// Where certificates come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Made by the leader, kept in a Secret.
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// When they change.
        schedule: Schedule,
    },
    /// Mounted files: `tls.crt`, `tls.key`, `ca.crt`.
    Files(PathBuf),
}

/// Keeps certificate and registration right.
pub struct Registrar {
    /// To read and write.
    pub client: Client,
    /// Whether to write.
    pub leadership: Leadership,
    /// What is registered, and whether this replica can answer.
    pub desk: Arc<Desk>,
    /// Told when the hooks may have changed.
    pub changed: Arc<Notify>,
    /// What all hooks share.
    pub terms: Terms,
    /// Whether to write configurations at all.
    pub register: bool,
    /// Where certificates come from.
    pub source: Source,
    /// What is served.
    pub certificate: Arc<Certificate>,
    /// Namespace and name of our Lease: who wrote a configuration, and what events are about.
    pub lease: ObjectKey,
    /// Where events leave.
    pub recorder: Recorder,
}

/// What went wrong in a round.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{what}: {source}")]
    Write { what: String, source: kube::Error },
    #[error("the API server did not answer within {ROUND:?}")]
    Slow,
    #[error("the {0} cannot be read: may it be listed and watched?")]
    Unread(&'static str),
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error("the certificate {0}")]
    Pair(#[from] BadPair),
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error(
        "{kind} {name} was written by another installation, {by}: only one may be in a cluster"
    )]
    Foreign { kind: &'static str, name: String, by: String },
    #[error("{kind} {name} is changed back by somebody each time that it was written")]
    ChangedBack { kind: &'static str, name: String },
}

struct Views {
    began: Instant,
    secret: watch::Receiver<Seen<Secret>>,
    configurations: [watch::Receiver<Seen<DynamicObject>>; 2],
    insistence: [Insistence; 2],
    /// Whether both said what they must when they were looked at last.
    registered: bool,
    /// What replicas tell each other.
    board: Board,
    /// The bundle that all configurations are seen with, and since when.
    trusted: Option<(String, Timestamp)>,
}

impl Views {
    /// How long until what was not read yet is a problem.
    fn first_look_ends(&self) -> Option<Duration> {
        let [mutating, validating] = &self.configurations;
        let unread = matches!(*self.secret.borrow(), Seen::Unknown)
            || [mutating, validating].iter().any(|view| matches!(*view.borrow(), Seen::Unknown));
        FIRST_LOOK.checked_sub(self.began.elapsed()).filter(|_| unread)
    }
}

/// Whether it is still early to wonder why something was not read yet.
fn first_look(began: Instant, what: &'static str) -> Result<(), Problem> {
    if began.elapsed() < FIRST_LOOK { Ok(()) } else { Err(Problem::Unread(what)) }
}

impl Registrar {
    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut watches = JoinSet::new();
        let mut views = self.watch(&mut watches);
        let mut leads = self.leadership.changed();
        let mut trouble = Trouble::default();
        loop {
            let round = timeout(ROUND, self.round(&mut views)).await;
            let round = round.unwrap_or(Err(Problem::Slow));
            if let Some(note) = trouble.after(round.as_ref().err()) {
                self.recorder.record(&LEASE, &self.lease, "", note);
            }
            if let Some(verdict) = trouble.verdict(views.registered || !self.register) {
                self.leadership.report(verdict);
            }
            let wait = if let Ok(wait) = round {
                wait
            } else {
                let delay = RETRY.delay(trouble.rounds, rand::random());
                let pause = delay.min(PAUSE);
                if timeout(pause, stop.cancelled()).await.is_ok() {
                    return;
                }
                Some(delay.saturating_sub(pause))
            };
            let due = self.desk.admission.due().map(|due| until_then(due, Timestamp::now()));
            let wait = wait.into_iter().chain(due).chain(views.first_look_ends()).min();
            let [mutating, validating] = &mut views.configurations;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                // A view that has ended tells nothing more; asked again it would answer at once, for ever.
                Ok(()) = leads.changed() => {}
                Ok(()) = views.secret.changed() => {}
                Ok(()) = mutating.changed() => {}
                Ok(()) = validating.changed() => {}
                () = wait_for(wait) => {}
            }
        }
    }

    fn watch(&self, tasks: &mut JoinSet<()>) -> Views {
        let secret = match &self.source {
            Source::Secret { namespace, name, .. } => {
                follow(Api::namespaced(self.client.clone(), namespace), name.clone(), tasks)
            }
            Source::Files(_) => watch::channel(Seen::Absent).1,
        };
        let configurations = Phase::ALL
            .map(|phase| follow(self.configurations(phase), phase.name(self.terms.binary), tasks));
        Views {
            began: Instant::now(),
            secret,
            configurations,
            insistence: Default::default(),
            registered: false,
            board: Board::default(),
            trusted: None,
        }
    }

    fn configurations(&self, phase: Phase) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", phase.kind());
        Api::all_with(
            self.client.clone(),
            &ApiResource::from_gvk_with_plural(&kind, phase.plural()),
        )
    }

    /// Does what is to be done now; for how long nothing is, `None` for until something changes.
    async fn round(&self, views: &mut Views) -> Result<Option<Duration>, Problem> {
        let now = Timestamp::now();
        match &self.source {
            Source::Files(directory) => {
                let bundle = self.load_files(directory)?;
                self.register(views, &bundle).await?;
                Ok(Some(FILES_EVERY))
            }
            Source::Secret { namespace, name, schedule } => {
                let seen = views.secret.borrow_and_update().clone();
                let (stored, secret) = match &seen {
                    Seen::Unknown => return first_look(views.began, "Secret").map(|()| None),
                    Seen::Absent => (Stored::default(), None),
                    Seen::There(secret) => (Stored::of(secret), Some(secret)),
                };
                let serving = stored.pair(member::CERT, member::KEY, &self.terms.endpoint.host());
                if let Ok(usable) = &serving {
                    self.serve(usable);
                }
                let bundle = stored.get(member::BUNDLE).to_owned();
                // A configuration that cannot be written must not keep certificates from being renewed: it is told of once
                // that is done.
                let registered = match &serving {
                    Ok(_) => self.register(views, &bundle).await,
                    Err(_) => Ok(false),
                };
                if !self.leadership.is_leader() {
                    return registered.map(|_| None);
                }
                let next =
                    stored.pair(member::NEXT_CERT, member::NEXT_KEY, &self.terms.endpoint.host());
                let facts = Facts {
                    serving: serving.as_ref().ok().map(|usable| usable.pair),
                    next: next.as_ref().ok().map(|usable| usable.pair),
                    trusted: certs::count(&bundle),
                    since: stored.since,
                    registered: if self.register {
                        // Whatever else somebody changes in the configurations, it is the CAs that matter here.
                        views.trusted.as_ref().map(|(_, since)| *since)
                    } else {
                        // Somebody else sees to it.
                        Some(Timestamp::UNIX_EPOCH)
                    },
                };
                let step = next_step(&facts, schedule, now);
                let Some(data) = self.advance(step, &stored, schedule, now)? else {
                    return registered.map(|_| match step {
                        Step::Wait(until) => Some(until_then(until, now)),
                        _ => None,
                    });
                };
                tracing::info!(?step, "webhook certificate");
                let api = Api::namespaced(self.client.clone(), namespace);
                store(&api, name, secret.map(|secret| &secret.metadata), &data).await?;
                // The watch tells of what was written.
                registered.map(|_| None)
            }
        }
    }

    /// The Secret as it is after `step`, if that changes it.
    fn advance(
        &self,
        step: Step,
        stored: &Stored,
        schedule: &Schedule,
        now: Timestamp,
    ) -> Result<Option<Stored>, Problem> {
        let mut after = stored.clone();
        after.since = Some(now);
        let mut set = |name: &str, text: String| {
            if text.is_empty() {
                after.data.remove(name);
            } else {
                after.data.insert(name.to_owned(), text);
            }
        };
        let made =
            || certs::make(self.terms.binary, &self.terms.endpoint.hosts(), schedule.validity, now);
        let bundle = stored.get(member::BUNDLE);
        let (mut cert, mut key) = (String::new(), String::new());
        match step {
            Step::Wait(_) | Step::Register => return Ok(None),
            Step::Replace => {
                let made = made()?;
                set(member::BUNDLE, made.ca + &certs::newest(bundle, 1));
                set(member::CERT, made.cert);
                set(member::KEY, made.key);
            }
            Step::Prepare => {
                let made = made()?;
                set(member::BUNDLE, made.ca + bundle);
                (cert, key) = (made.cert, made.key);
            }
            Step::Promote => {
                set(member::CERT, stored.get(member::NEXT_CERT).to_owned());
                set(member::KEY, stored.get(member::NEXT_KEY).to_owned());
            }
            Step::Retire => {
                let (cert, key) = (stored.get(member::CERT), stored.get(member::KEY));
                let kept = certs::signers(
                    cert.as_bytes(),
                    key.as_bytes(),
                    bundle,
                    &self.terms.endpoint.host(),
                );
                set(member::BUNDLE, kept);
            }
        }
        set(member::NEXT_CERT, cert);
        set(member::NEXT_KEY, key);
        Ok(Some(after))
    }

    fn serve(&self, usable: &Usable) {
        self.certificate.set(usable.key.clone());
        self.desk.metrics.certificate(usable.pair.to.as_second());
    }

    /// Serves what the mounted files hold; their bundle.
    fn load_files(&self, directory: &Path) -> Result<String, Problem> {
        let read = |name: &str| {
            let path = directory.join(name);
            std::fs::read(&path)
                .map_err(|source| Problem::File { path: path.display().to_string(), source })
        };
        let (cert, key) = (read(member::CERT)?, read(member::KEY)?);
        // Without a bundle somebody else tells the API server whom to trust.
        let bundle = read(member::BUNDLE).unwrap_or_default();
        let trusted = Some(bundle.as_slice()).filter(|bundle| !bundle.is_empty());
        self.serve(&certs::read(&cert, &key, trusted, &self.terms.endpoint.host())?);
        Ok(String::from_utf8_lossy(&bundle).into_owned())
    }

    /// Makes the configurations say what they must, if we lead; whether they do.
    async fn register(&self, views: &mut Views, bundle: &str) -> Result<bool, Problem> {
        let mut right = true;
        if !self.register {
            return Ok(false);
        }
        // Whatever arrives from here on asks for another round: what is announced in it was not heard in this one.
        for view in &mut views.configurations {
            view.mark_unchanged();
        }
        // What cannot be announced keeps nobody from being registered.
        let mut problem = self.exchange(views).await.err();
        let hooks = self.desk.admission.hooks();
        let mut trusted = true;
        let known = views.configurations.iter().zip(&mut views.insistence);
        for (phase, (view, insistence)) in Phase::ALL.into_iter().zip(known) {
            let seen = view.borrow().clone();
            let stored = match &seen {
                Seen::Unknown => return first_look(views.began, phase.kind()).map(|()| false),
                Seen::Absent => None,
                Seen::There(stored) => Some(stored),
            };
            let mut wanted = configuration(&self.terms, phase, &hooks, bundle);
            self.sign(wanted.as_mut());
            let value = stored.and_then(|stored| serde_json::to_value(stored).ok());
            let value = value.map(|value| typed(value, phase));
            let is_right = is_as_wanted(value.as_ref(), wanted.as_ref());
            right &= is_right;
            trusted &= value.as_ref().is_none_or(|stored| trusts(stored, bundle));
            views.trusted = views.trusted.take().filter(|(known, _)| trusted && known == bundle);
            if is_right {
                insistence.is_right();
            } else {
                insistence.is_wrong(wanted.as_ref());
            }
            let able = self.desk.ready.load(Ordering::Acquire) && self.certificate.is_set();
            if is_right || !able || !self.leadership.is_leader() {
                continue;
            }
            self.refuse_foreign(phase, value.as_ref())?;
            if insistence.waits() {
                let name = phase.name(self.terms.binary);
                problem = Some(Problem::ChangedBack { kind: phase.kind(), name });
                continue;
            }
            let written = wanted.clone();
            self.write_configuration(phase, wanted, stored.map(|stored| &stored.metadata)).await?;
            insistence.wrote(written);
        }
        if trusted {
            views.trusted.get_or_insert_with(|| (bundle.to_owned(), Timestamp::now()));
        }
        self.desk.metrics.registered(right);
        views.registered = right;
        if let Some(problem) = problem {
            return Err(problem);
        }
        if right {
            self.desk.admission.registered();
        }
        Ok(right)
    }

    /// Hears what other replicas announce, and announces what we have to. It stands in the configuration that all watch.
    async fn exchange(&self, views: &mut Views) -> Result<(), Problem> {
        let [configuration, _] = &views.configurations;
        let Seen::There(stored) = configuration.borrow().clone() else {
            views.board = Board::default();
            return Ok(());
        };
        let admission = &self.desk.admission;
        let over = views.board.read(&stored.metadata, Instant::now(), |text| admission.hears(text));
        let over = if self.leadership.is_leader() { over } else { Vec::new() };
        let wanted = admission.announces();
        let Some(body) = views.board.post(&stored.metadata, wanted.as_deref(), over) else {
            return Ok(());
        };
        let phase = Phase::Mutating;
        let name = phase.name(self.terms.binary);
        let params = PatchParams {
            field_manager: Some(format!("{}-announcer", self.terms.binary)),
            ..PatchParams::default()
        };
        match self.configurations(phase).patch(&name, &params, &Patch::Merge(body)).await {
            Ok(patched) => views.board.posted(wanted, &patched.metadata),
            // What was read is old: the watch brings what is there now.
            Err(kube::Error::Api(status)) if status.is_conflict() => {}
            Err(source) => {
                let what = format!("{} {name}", phase.kind());
                return Err(Problem::Write { what, source });
            }
        }
        Ok(())
    }

    /// Says in the configuration whose it is.
    fn sign(&self, configuration: Option<&mut Value>) {
        let meta = configuration.and_then(|value| value.get_mut("metadata"));
        if let Some(meta) = meta.and_then(Value::as_object_mut) {
            let annotations = json!({ keys::INSTALLED_BY: self.lease.to_string() });
            meta.insert("annotations".to_owned(), annotations);
        }
    }

    /// Two installations would take the hooks from each other for ever (platform §18.5).
    fn refuse_foreign(&self, phase: Phase, stored: Option<&Value>) -> Result<(), Problem> {
        let annotation = |stored: &Value| {
            let annotations = stored.get("metadata")?.get("annotations")?;
            Some(annotations.get(keys::INSTALLED_BY)?.as_str()?.to_owned())
        };
        match stored.and_then(annotation) {
            Some(by) if by != self.lease.to_string() => Err(Problem::Foreign {
                kind: phase.kind(),
                name: phase.name(self.terms.binary),
                by,
            }),
            _ => Ok(()),
        }
    }

    async fn write_configuration(
        &self,
        phase: Phase,
        wanted: Option<Value>,
        stored: Option<&ObjectMeta>,
    ) -> Result<(), Problem> {
        let api = self.configurations(phase);
        let name = phase.name(self.terms.binary);
        let what = format!("{} {name}", phase.kind());
        let done = if let Some(wanted) = wanted {
            let manager = format!("{}-webhook", self.terms.binary);
            let params = PatchParams::apply(&manager).force();
            api.patch(&name, &params, &Patch::Apply(wanted)).await.map(|_| ())
        } else {
            let uid = stored.and_then(|meta| meta.uid.clone());
            let preconditions = Some(Preconditions { uid, resource_version: None });
            let params = DeleteParams { preconditions, ..DeleteParams::default() };
            api.delete(&name, &params).await.map(|_| ())
        };
        done.map_err(|source| Problem::Write { what: what.clone(), source })?;
        tracing::info!(configuration = what, "registered webhooks");
        Ok(())
    }
}

/// Writes the Secret: a new one, or exactly the one that was read.
async fn store(
    api: &Api<Secret>,
    name: &str,
    read: Option<&ObjectMeta>,
    stored: &Stored,
) -> Result<(), Problem> {
    let since = stored.since.map(|since| (certs::SINCE.to_owned(), since.to_string()));
    let mut metadata = read
        .cloned()
        .unwrap_or_else(|| ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() });
    metadata.managed_fields = None;
    metadata.annotations.get_or_insert_default().extend(since);
    let data = stored.data.iter();
    let data = data.map(|(name, text)| (name.clone(), ByteString(text.clone().into_bytes())));
    let secret = Secret { metadata, data: Some(data.collect()), ..Secret::default() };
    let written = if read.is_some() {
        api.replace(name, &PostParams::default(), &secret).await
    } else {
        api.create(&PostParams::default(), &secret).await
    };
    match written {
        // Somebody was faster: the watch brings what is there now.
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
            Ok(())
        }
        Err(source) => Err(Problem::Write { what: format!("Secret {name}"), source }),
        Ok(_) => Ok(()),
    }
}

fn is_as_wanted(stored: Option<&Value>, wanted: Option<&Value>) -> bool {
    match (stored, wanted) {
        (None, None) => true,
        (Some(stored), Some(wanted)) => says(stored, wanted),
        _ => false,
    }
}

/// An item of a list does not say of what kind it is; without that the first look would find it wrong, and the write that
/// changes nothing would cause no second one.
fn typed(mut stored: Value, phase: Phase) -> Value {
    if let Some(members) = stored.as_object_mut() {
        members.entry("apiVersion").or_insert_with(|| "admissionregistration.k8s.io/v1".into());
        members.entry("kind").or_insert_with(|| phase.kind().into());
    }
    stored
}

async fn wait_for(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

fn until_then(until: Timestamp, now: Timestamp) -> Duration {
    // Not less than a moment, so that a clock that jumps causes no loop; not more than an hour, for one that was set.
    let wait = until.duration_since(now).max(SignedDuration::from_millis(100));
    Duration::try_from(wait).unwrap_or_default().min(Duration::from_hours(1))
}
