//! What dashboards know of a work queue and its workers, by the names of controller-runtime (platform §7.2).

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry};

use crate::runtime::queue::Load;

/// The families of the one queue of a process.
#[derive(Clone, Debug)]
pub struct WorkQueue {
    depth: IntGauge,
    adds: IntCounter,
    retries: IntCounter,
    waited: Histogram,
    worked: Histogram,
    unfinished: Gauge,
    longest: Gauge,
    active: IntGauge,
    workers: IntGauge,
}

impl WorkQueue {
    /// The families, registered; the queue is called like the controller.
    pub fn new(controller: &'static str, registry: &Registry) -> Result<Self, prometheus::Error> {
        let of_queue = |name: &str, help: &str| {
            Opts::new(name, help)
                .const_label("name", controller)
                .const_label("controller", controller)
        };
        let of_workers =
            |name: &str, help: &str| Opts::new(name, help).const_label("controller", controller);
        let seconds = |name: &str, help: &str| {
            let buckets = prometheus::exponential_buckets(0.0005, 2.0, 17)?;
            let common_opts = of_queue(name, help);
            Histogram::with_opts(HistogramOpts { common_opts, buckets })
        };
        let families = Self {
            depth: IntGauge::with_opts(of_queue(
                "workqueue_depth",
                "Objects that wait for a turn.",
            ))?,
            adds: IntCounter::with_opts(of_queue(
                "workqueue_adds_total",
                "Turns that were asked for; requests for an object that waits already are one.",
            ))?,
            retries: IntCounter::with_opts(of_queue(
                "workqueue_retries_total",
                "Turns that are repeated after a failure.",
            ))?,
            waited: seconds(
                "workqueue_queue_duration_seconds",
                "How long objects waited for a turn.",
            )?,
            worked: seconds("workqueue_work_duration_seconds", "How long turns took.")?,
            unfinished: Gauge::with_opts(of_queue(
                "workqueue_unfinished_work_seconds",
                "Sum of the ages of the turns under way.",
            ))?,
            longest: Gauge::with_opts(of_queue(
                "workqueue_longest_running_processor_seconds",
                "Age of the oldest turn under way.",
            ))?,
            active: IntGauge::with_opts(of_workers(
                "controller_runtime_active_workers",
                "Turns under way.",
            ))?,
            workers: IntGauge::with_opts(of_workers(
                "controller_runtime_max_concurrent_reconciles",
                "How many turns may be under way at once.",
            ))?,
        };
        families.register(registry)?;
        Ok(families)
    }

    /// Takes the struct apart, so that a family that is not registered does not compile.
    fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let Self { depth, adds, retries, waited, worked, unfinished, longest, active, workers } =
            self.clone();
        let families: [Box<dyn Collector>; 9] = [
            Box::new(depth),
            Box::new(adds),
            Box::new(retries),
            Box::new(waited),
            Box::new(worked),
            Box::new(unfinished),
            Box::new(longest),
            Box::new(active),
            Box::new(workers),
        ];
        families.into_iter().try_for_each(|family| registry.register(family))
    }

    /// A turn ended; it is repeated if it failed.
    pub fn turn(&self, failed: bool, took: Duration, waited: Duration) {
        self.waited.observe(waited.as_secs_f64());
        self.worked.observe(took.as_secs_f64());
        self.retries.inc_by(u64::from(failed));
    }

    /// How the queue is now.
    pub fn load(&self, load: &Load) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.depth.set(count(load.waiting));
        self.active.set(count(load.running));
        self.adds.inc_by(load.added.saturating_sub(self.adds.get()));
        self.unfinished.set(load.unfinished.as_secs_f64());
        self.longest.set(load.longest.as_secs_f64());
    }

    /// How many turns may be under way at once.
    pub fn workers(&self, workers: usize) {
        self.workers.set(i64::try_from(workers).unwrap_or(i64::MAX));
    }
}
