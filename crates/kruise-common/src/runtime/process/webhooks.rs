//! The part of a process that answers admission reviews: server, certificate, registration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use kruise_api::keys;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{Process, ProcessError, io};
use crate::admission::Admission;
use crate::admission::registration::Terms;
use crate::admission::rotation::Schedule;
use crate::key::ObjectKey;
use crate::kind::Kind;
use crate::runtime::admin::Health;
use crate::runtime::condition::Verdict;
use crate::runtime::leader::Leadership;
use crate::runtime::recorder::Recorder;
use crate::runtime::registrar::{Registrar, Source};
use crate::runtime::webhook::{self, Certificate, Desk, Ending, Limits};

/// How long an answer waits at most for what is about to arrive.
const LAG: Duration = Duration::from_secs(3);
/// Shortest life of a certificate: below, the overlap would be shorter than a watch takes.
const SHORTEST: Duration = Duration::from_secs(30);

/// Webhooks that are served but answer nothing yet.
pub(super) struct Closed {
    desk: Arc<Desk>,
    certificate: Arc<Certificate>,
    changed: Arc<Notify>,
}

impl Closed {
    /// The caches are complete: reviews can be answered. Waits for a certificate for a while, so that a Service sends
    /// nobody here before; a replica that cannot get one becomes ready all the same, for it can lead (platform P9).
    pub(super) async fn open(self) {
        const PATIENCE: Duration = Duration::from_secs(15);
        self.desk.ready.store(true, Ordering::Release);
        self.changed.notify_one();
        let certified = tokio::time::timeout(PATIENCE, self.certificate.there()).await;
        if certified.is_err() {
            tracing::warn!("no webhook certificate yet; the controller works without admission");
        }
    }
}

impl Process {
    /// Answers admission reviews with `admission`, if the flags ask for it.
    pub fn answer_reviews(&mut self, admission: Arc<dyn Admission>) {
        self.admission = Some(admission);
    }

    /// The hooks are asked for again when an object of `kind` comes, goes, or changes in its spec. Before the kind is watched.
    pub fn hooks_depend_on(&mut self, kind: &'static Kind) {
        self.hooks_depend_on.push(kind);
    }

    /// Answers are wrong without up-to-date knowledge of these kinds: once a watch of one has been broken for long there are
    /// none. Before the kinds are watched.
    pub fn answers_depend_on(&mut self, kinds: &[&'static Kind]) {
        self.answers_depend_on.extend(kinds);
    }

    /// For how long webhooks are served after the signal to stop.
    pub(super) fn lame_duck(&self) -> Duration {
        let webhook = &self.args.webhook;
        let endpoint = webhook.endpoint().filter(|_| self.admission.is_some());
        endpoint.map(|_| webhook.webhook_drain).unwrap_or_default()
    }

    /// Starts server and registrar, if webhooks are wanted.
    pub(super) async fn webhooks(
        &mut self,
        leadership: &Leadership,
        (recorder, health): (Recorder, &Arc<Health>),
        tasks: &mut JoinSet<()>,
    ) -> Result<Option<Closed>, ProcessError> {
        let Some(admission) = self.admission.clone() else { return Ok(None) };
        let args = self.args.webhook.clone();
        let Some(endpoint) = args.endpoint().cloned() else {
            let why = "no webhooks: neither --webhook-service nor --webhook-url is given";
            tracing::info!("{why}");
            leadership.report(Verdict::degraded(keys::ADMISSION_NOT_INSTALLED, why));
            return Ok(None);
        };
        let terms = Terms {
            binary: self.name,
            endpoint,
            timeout_seconds: seconds(args.webhook_timeout)?,
            failure_policy: args.webhook_failure_policy,
            namespace: self.args.namespace.clone(),
        };
        let source = self.certificate_source()?;
        let certificate: Arc<Certificate> = Arc::default();
        let metrics = self.metrics.clone();
        // The API server must have the answer in time, and a client its patience.
        let lag = (args.webhook_timeout / 3).min(LAG);
        let changed = self.hooks_changed.clone();
        let ready = AtomicBool::new(false);
        let limits = Limits::default();
        let health = health.clone();
        let desk = Arc::new(Desk { admission, ready, health, metrics, changed, lag, limits });
        let ending = Ending { stop: self.stop.clone(), lame_duck: args.webhook_drain };
        let (address, pair) = (args.webhook_addr, certificate.clone());
        let listening = webhook::serve(address, pair, desk.clone(), ending).await;
        let (address, serving) = listening.map_err(|source| io("webhook server", source))?;
        tracing::info!(%address, "serving webhooks");
        // Reviews are answered for a while after the signal: out of caches that go on, with what others announce.
        let closed = self.closed.clone();
        tasks.spawn(async move {
            serving.await;
            closed.cancel();
        });
        let namespace = &self.args.leader_election_namespace;
        let registrar = Registrar {
            client: self.client.clone(),
            leadership: leadership.clone(),
            desk: desk.clone(),
            changed: self.hooks_changed.clone(),
            terms,
            register: args.webhook_register,
            source,
            certificate: certificate.clone(),
            lease: ObjectKey::new(namespace.as_str(), self.lease_name()),
            recorder,
        };
        tasks.spawn(registrar.run(self.closed.clone()));
        Ok(Some(Closed { desk, certificate, changed: self.hooks_changed.clone() }))
    }

    fn certificate_source(&self) -> Result<Source, ProcessError> {
        let args = &self.args.webhook;
        if let Some(directory) = &args.webhook_cert_dir {
            return Ok(Source::Files(directory.clone()));
        }
        let validity = args.webhook_cert_validity;
        if validity < SHORTEST {
            let problem = format!("{validity:?} must be at least {SHORTEST:?}");
            return Err(ProcessError::Flag { flag: "webhook-cert-validity", problem });
        }
        let own = || format!("{}-webhook-certs", self.name);
        let name = Some(&args.webhook_cert_secret).filter(|name| !name.is_empty());
        Ok(Source::Secret {
            namespace: self.args.leader_election_namespace.clone(),
            name: name.cloned().unwrap_or_else(own),
            schedule: Schedule::new(SignedDuration::try_from(validity).unwrap_or_default()),
        })
    }
}

/// What the API accepts as a time-out, and what does not hold up a user's request for long.
fn seconds(timeout: Duration) -> Result<u32, ProcessError> {
    let refuse = || {
        let problem = format!("{timeout:?} must be whole seconds from 1s to 10s");
        ProcessError::Flag { flag: "webhook-timeout", problem }
    };
    let whole = timeout.subsec_nanos() == 0;
    let seconds = u32::try_from(timeout.as_secs()).map_err(|_| refuse())?;
    if whole && (1..=10).contains(&seconds) { Ok(seconds) } else { Err(refuse()) }
}
