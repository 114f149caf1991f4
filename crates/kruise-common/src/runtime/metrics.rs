//! Metrics every controller has. Names that OpenKruise dashboards know keep their name and labels
//! (platform §7.2); our own start with `kruise_`. No label ever carries an object's name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use super::queue::Load;
use super::requests;
use crate::plan::{Measure, Sample};

mod workqueue;

use workqueue::WorkQueue;

/// The metric families of one controller process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    controller: &'static str,
    reconcile_total: IntCounterVec,
    reconcile_errors: IntCounterVec,
    reconcile_seconds: HistogramVec,
    work_queue: WorkQueue,
    requests: IntCounterVec,
    writes_total: IntCounterVec,
    write_seconds: HistogramVec,
    write_window: Gauge,
    holds: GaugeVec,
    longest_waits: GaugeVec,
    cache_objects: IntGaugeVec,
    watch_errors: IntCounterVec,
    unresolved_writes: IntCounter,
    leader: IntGaugeVec,
    conflict: IntGauge,
    events_dropped: IntCounter,
    reviews_total: IntCounterVec,
    review_seconds: HistogramVec,
    reviews_in_flight: IntGaugeVec,
    review_outcomes: IntCounterVec,
    certificate_expiry: IntGauge,
    registered: IntGauge,
    measures: Arc<Mutex<BTreeMap<&'static str, GaugeVec>>>,
    samples: Arc<Mutex<BTreeMap<&'static str, HistogramVec>>>,
}

/// A review that is being answered.
#[derive(Debug)]
pub struct ReviewInFlight(IntGauge);

impl Drop for ReviewInFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// How a turn ended; the values of `result` in `controller_runtime_reconcile_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnResult {
    /// Nothing is left to do.
    Success,
    /// A write failed; the object gets another turn.
    Error,
    /// Another turn is due at a known time.
    RequeueAfter,
}

impl TurnResult {
    const ALL: [Self; 3] = [Self::Success, Self::Error, Self::RequeueAfter];

    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::RequeueAfter => "requeue_after",
        }
    }
}

/// `kruise_statefulset_holds` of `statefulset-controller`, for example.
fn name_of(controller: &str, what: &str) -> String {
    let kind = controller.strip_suffix("-controller").unwrap_or(controller);
    format!("kruise_{}_{what}", kind.replace('-', "_"))
}

impl Metrics {
    /// The families of `controller`, registered.
    #[expect(clippy::too_many_lines, reason = "the list of all families, one after the other")]
    pub fn new(controller: &'static str) -> Result<Self, prometheus::Error> {
        let seconds = |name: &str, help: &str, labels: &[&str]| {
            let buckets = prometheus::exponential_buckets(0.0005, 2.0, 17)?;
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels)
        };
        let registry = Registry::new();
        let metrics = Self {
            work_queue: WorkQueue::new(controller, &registry)?,
            requests: requests::family()?,
            registry,
            controller,
            reconcile_total: counter(
                "controller_runtime_reconcile_total",
                "Turns by controller and result.",
                &["controller", "result"],
            )?,
            reconcile_errors: counter(
                "controller_runtime_reconcile_errors_total",
                "Turns in which a write failed.",
                &["controller"],
            )?,
            reconcile_seconds: seconds(
                "controller_runtime_reconcile_time_seconds",
                "Duration of a turn.",
                &["controller"],
            )?,
            writes_total: counter(
                "kruise_writes_total",
                "Writes sent, by verb, resource (with subresource) and outcome.",
                &["verb", "resource", "outcome"],
            )?,
            write_seconds: seconds(
                "kruise_write_duration_seconds",
                "Duration of writes as seen by the controller.",
                &["verb", "resource"],
            )?,
            write_window: Gauge::new(
                "kruise_write_window",
                "How many writes may be under way at once.",
            )?,
            holds: GaugeVec::new(
                Opts::new(
                    name_of(controller, "holds"),
                    "Objects that wait, by reason (see the runbook).",
                ),
                &["reason"],
            )?,
            longest_waits: GaugeVec::new(
                Opts::new(
                    name_of(controller, "longest_wait_seconds"),
                    "How long an object has waited at most without that anything was done about it, by reason.",
                ),
                &["reason"],
            )?,
            cache_objects: IntGaugeVec::new(
                Opts::new("kruise_cache_objects", "Objects in the cache."),
                &["resource"],
            )?,
            watch_errors: counter(
                "kruise_watch_errors_total",
                "Failed or broken watches.",
                &["resource"],
            )?,
            unresolved_writes: IntCounter::new(
                "kruise_unresolved_writes_total",
                "Writes that were refused or got no answer, and whose target was looked up live.",
            )?,
            leader: IntGaugeVec::new(
                Opts::new("leader_election_master_status", "1 while this replica leads."),
                &["name"],
            )?,
            conflict: IntGauge::new(
                "kruise_conflict",
                "1 while an OpenKruise manager holds its Lease, so that this controller stands by.",
            )?,
            events_dropped: IntCounter::new(
                "kruise_events_dropped_total",
                "Kubernetes Events not posted because too many came at once.",
            )?,
            reviews_total: counter(
                "controller_runtime_webhook_requests_total",
                "Admission reviews answered, by path and HTTP status.",
                &["webhook", "code"],
            )?,
            // Answers take a tenth of a millisecond: finer than the others.
            review_seconds: HistogramVec::new(
                HistogramOpts::new(
                    "controller_runtime_webhook_latency_seconds",
                    "Time from the head of a review to its answer.",
                )
                .buckets(prometheus::exponential_buckets(0.000_05, 2.0, 19)?),
                &["webhook"],
            )?,
            reviews_in_flight: IntGaugeVec::new(
                Opts::new(
                    "controller_runtime_webhook_requests_in_flight",
                    "Admission reviews being answered.",
                ),
                &["webhook"],
            )?,
            review_outcomes: counter(
                "kruise_admission_outcomes_total",
                "Admission reviews by what became of them.",
                &["webhook", "outcome"],
            )?,
            certificate_expiry: IntGauge::new(
                "webhook_cert_expiry_timestamp_seconds",
                "End of validity of the certificate in use, as Unix time; 0 without webhooks.",
            )?,
            registered: IntGauge::new(
                "kruise_webhook_registered",
                "1 while the webhook configurations say what they must.",
            )?,
            measures: Arc::default(),
            samples: Arc::default(),
        };
        metrics.register()?;
        Ok(metrics)
    }

    /// Takes the struct apart, so that a family that is not registered does not compile.
    fn register(&self) -> Result<(), prometheus::Error> {
        let Self {
            registry,
            controller: _,
            reconcile_total,
            reconcile_errors,
            reconcile_seconds,
            // Registers itself.
            work_queue: _,
            requests,
            writes_total,
            write_seconds,
            write_window,
            holds,
            longest_waits,
            cache_objects,
            watch_errors,
            unresolved_writes,
            leader,
            conflict,
            events_dropped,
            reviews_total,
            review_seconds,
            reviews_in_flight,
            review_outcomes,
            certificate_expiry,
            registered,
            // Each is registered when it is first set.
            measures: _,
            samples: _,
        } = self.clone();
        let families: Vec<Box<dyn Collector>> = vec![
            Box::new(reconcile_total),
            Box::new(reconcile_errors),
            Box::new(reconcile_seconds),
            Box::new(requests),
            Box::new(writes_total),
            Box::new(write_seconds),
            Box::new(write_window),
            Box::new(holds),
            Box::new(longest_waits),
            Box::new(cache_objects),
            Box::new(watch_errors),
            Box::new(unresolved_writes),
            Box::new(leader),
            Box::new(conflict),
            Box::new(events_dropped),
            Box::new(reviews_total),
            Box::new(review_seconds),
            Box::new(reviews_in_flight),
            Box::new(review_outcomes),
            Box::new(certificate_expiry),
            Box::new(registered),
            Box::new(ProcessCollector::for_self()),
        ];
        families.into_iter().try_for_each(|family| registry.register(family))?;
        // Known from the start, or the first failure would tell no rate.
        self.reconcile_errors.with_label_values(&[self.controller]).inc_by(0);
        for result in TurnResult::ALL {
            self.reconcile_total.with_label_values(&[self.controller, result.as_str()]).inc_by(0);
        }
        Ok(())
    }

    /// A turn ended.
    pub fn turn(&self, result: TurnResult, took: Duration, waited: Duration) {
        let controller = self.controller;
        self.reconcile_total.with_label_values(&[controller, result.as_str()]).inc();
        if result == TurnResult::Error {
            self.reconcile_errors.with_label_values(&[controller]).inc();
        }
        self.reconcile_seconds.with_label_values(&[controller]).observe(took.as_secs_f64());
        self.work_queue.turn(result == TurnResult::Error, took, waited);
    }

    /// Turns that have ended.
    pub fn turns(&self) -> u64 {
        let count = |result: TurnResult| {
            self.reconcile_total.with_label_values(&[self.controller, result.as_str()]).get()
        };
        TurnResult::ALL.into_iter().map(count).sum()
    }

    /// How the queue is now.
    pub fn queue(&self, load: &Load) {
        self.work_queue.load(load);
    }

    /// How many turns may be under way at once.
    pub fn workers(&self, workers: usize) {
        self.work_queue.workers(workers);
    }

    /// Where the requests of the client are counted.
    pub fn requests(&self) -> IntCounterVec {
        self.requests.clone()
    }

    /// A write was answered, or not.
    pub fn write(&self, verb: &str, resource: &str, outcome: &str, took: Duration, window: f64) {
        self.writes_total.with_label_values(&[verb, resource, outcome]).inc();
        self.write_seconds.with_label_values(&[verb, resource]).observe(took.as_secs_f64());
        self.write_window.set(window);
    }

    /// One object more (`by` 1) or less (`by` -1) waits for `reason`.
    pub fn hold(&self, reason: &str, by: f64) {
        self.holds.with_label_values(&[reason]).add(by);
    }

    /// How long the object has waited that waits longest, by reason; for a reason that is not named nobody waits.
    pub fn longest_waits(&self, waits: &BTreeMap<&'static str, Duration>) {
        for family in self.longest_waits.collect() {
            for metric in family.get_metric() {
                let named = metric.get_label().iter().map(|label| label.value().to_owned());
                for reason in named.filter(|reason| !waits.contains_key(reason.as_str())) {
                    self.longest_waits.with_label_values(&[&reason]).set(0.0);
                }
            }
        }
        for (reason, waited) in waits {
            self.longest_waits.with_label_values(&[reason]).set(waited.as_secs_f64());
        }
    }

    /// Adds an object's number to its gauge, or takes it out (`sign` -1).
    pub fn measure(&self, measure: &Measure, sign: f64) {
        let mut known = self.measures.lock().unwrap_or_else(PoisonError::into_inner);
        let gauge = known.get(measure.name).cloned().or_else(|| {
            let options = Opts::new(measure.name, measure.help);
            let gauge = GaugeVec::new(options, &[measure.label]).ok()?;
            // A name that is taken is a mistake of the controller; its unit tests find it.
            self.registry.register(Box::new(gauge.clone())).ok()?;
            known.insert(measure.name, gauge.clone());
            Some(gauge)
        });
        if let Some(gauge) = gauge {
            gauge.with_label_values(&[measure.value]).add(sign * measure.amount);
        }
    }

    /// Adds how long something took: from a second to a day and a half.
    pub fn sample(&self, sample: &Sample) {
        let mut known = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = known.get(sample.name).cloned().or_else(|| {
            let buckets = prometheus::exponential_buckets(1.0, 2.0, 18).ok()?;
            let options = HistogramOpts::new(sample.name, sample.help).buckets(buckets);
            let histogram = HistogramVec::new(options, &[sample.label]).ok()?;
            // As with measures.
            self.registry.register(Box::new(histogram.clone())).ok()?;
            known.insert(sample.name, histogram.clone());
            Some(histogram)
        });
        if let Some(histogram) = histogram {
            histogram.with_label_values(&[sample.value]).observe(sample.seconds);
        }
    }

    /// Size of a cache.
    pub fn cache(&self, resource: &str, objects: usize) {
        let objects = i64::try_from(objects).unwrap_or(i64::MAX);
        self.cache_objects.with_label_values(&[resource]).set(objects);
    }

    /// A kind is watched: its errors are 0 until there is one. A counter that begins with its first error tells no rate.
    pub fn watches(&self, resource: &str) {
        self.watch_errors.with_label_values(&[resource]).inc_by(0);
    }

    /// A watch failed or broke.
    pub fn watch_error(&self, resource: &str) {
        self.watch_errors.with_label_values(&[resource]).inc();
    }

    /// A write without an answer was looked up live.
    pub fn unresolved_write(&self) {
        self.unresolved_writes.inc();
    }

    /// Whether this replica leads under the Lease `name`.
    pub fn leads(&self, name: &str, leads: bool) {
        self.leader.with_label_values(&[name]).set(i64::from(leads));
    }

    /// Whether a foreign manager keeps us from acting.
    pub fn conflicts(&self, conflicts: bool) {
        self.conflict.set(i64::from(conflicts));
    }

    /// An Event was not posted.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// A review begins; it is in flight until the result is dropped.
    pub fn review_begins(&self, path: &str) -> ReviewInFlight {
        let gauge = self.reviews_in_flight.with_label_values(&[path]);
        gauge.inc();
        ReviewInFlight(gauge)
    }

    /// A review was answered.
    pub fn review(&self, path: &str, code: u16, took: Duration) {
        self.reviews_total.with_label_values(&[path, &code.to_string()]).inc();
        self.review_seconds.with_label_values(&[path]).observe(took.as_secs_f64());
    }

    /// What became of a review.
    pub fn outcome(&self, path: &str, outcome: &str) {
        self.review_outcomes.with_label_values(&[path, outcome]).inc();
    }

    /// A certificate that is valid until `expiry` (Unix time) is in use.
    pub fn certificate(&self, expiry: i64) {
        self.certificate_expiry.set(expiry);
    }

    /// Whether the webhook configurations say what they must.
    pub fn registered(&self, registered: bool) {
        self.registered.set(i64::from(registered));
    }

    /// The text that Prometheus scrapes.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
