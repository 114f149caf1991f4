//! The facts a decision about one job may depend on, with defaults resolved.
//!
//! [`Settings::new`] is the only reader of the raw spec; what it refuses is data ([`Invalid`]), not an error: deadline, time
//! to live, failure policy and status go on without it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_api::broadcastjob::amount;
use kruise_api::broadcastjob::v1beta1::{BroadcastJobSpec, FailurePolicy, FailureRule};
use kruise_api::raw::RawJson;
use kruise_api::shared::selector::Selector;
use kruise_common::node::Node;
use kruise_common::refusal::Refusal;
use serde_json::Value;

use crate::census::Census;
use crate::failures::Failures;
use crate::job_pod::JobPod;
use crate::mark::Mark;
use crate::nodes::Requirements;
use crate::object::Job;

/// Everything a decision about one job may depend on.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The job.
    pub job: Arc<Job>,
    /// What its spec means.
    pub settings: Settings,
    /// What its status says of nodes that failed and are not given up.
    pub failures: Failures,
    /// Pods that the job controls, by name.
    pub pods: Vec<Arc<JobPod>>,
    /// Pods of it that succeeded and went before the status said so (W16).
    pub departed: Vec<Arc<JobPod>>,
    /// All nodes, by name.
    pub nodes: Vec<Arc<Node>>,
    /// Pods of somebody else that bear the name of one of ours.
    pub strangers: Vec<Arc<JobPod>>,
    /// Whether the scheduler binds pods to their nodes.
    pub by_scheduler: bool,
    /// Nodes whose pods were refused when they were to be created.
    pub refused: BTreeMap<Mark, Refusal>,
    /// Worked out by [`Snapshot::census`].
    pub(crate) counted: OnceLock<Census>,
}

/// A member of the spec that cannot be acted upon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// Path of the field.
    pub field: String,
    /// The value and the rule it breaks.
    pub problem: String,
}

/// The spec with every default in place.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The first member that means nothing. It counts as absent for everything but one: no pod is created.
    pub invalid: Option<Invalid>,
    /// Pods at work at the same time.
    pub parallelism: IntOrString,
    /// The pod template.
    pub template: RawJson,
    /// What it asks of a node.
    pub requirements: Requirements,
    /// When it is over.
    pub completion: Completion,
    /// Its owner has paused it.
    pub paused: bool,
    /// What a failed node means.
    pub on_failure: OnFailure,
    /// Failed nodes that are tolerated.
    pub max_failed: IntOrString,
    /// Restarts of a pod that are tolerated.
    pub restart_limit: i32,
    /// Whether failed nodes are tried again.
    pub retry: Option<Retry>,
    /// What certain failures mean.
    pub rules: Vec<FailureRule>,
    /// In which order nodes get their pods.
    pub order: Order,
    /// Pods at work go when a new one would not fit.
    pub delete_unfit: bool,
}

/// When a job is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Whether it is over when all nodes are done.
    pub ends: bool,
    /// How long it may take.
    pub deadline: Option<SignedDuration>,
    /// Time spent paused does not count for the deadline.
    pub stop_clock: bool,
    /// How long it is kept after its end.
    pub ttl: Option<SignedDuration>,
    /// Without any node that fits it is complete.
    pub without_nodes: bool,
}

/// What a failed node means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The job has failed.
    FailFast,
    /// The job is paused.
    Pause,
    /// The job goes on.
    Continue,
}

/// How often and when a failed node is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often.
    pub limit: i32,
    /// Delay of the first retry, doubled with each.
    pub base: SignedDuration,
    /// Longest delay.
    pub most: SignedDuration,
}

/// In which order nodes get their pods.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// These first.
    pub first: Option<Selector>,
    /// How many nodes may have begun after each wave.
    pub waves: Vec<IntOrString>,
    /// Time between waves.
    pub soak: SignedDuration,
    /// Label that tells domains apart, and how many pods may be at work in one.
    pub domain: Option<(String, usize)>,
}

impl Snapshot {
    /// Who is where, and how it stands with each node.
    pub fn census(&self) -> &Census {
        self.counted.get_or_init(|| Census::take(self, &self.settings))
    }

    /// When the job was first seen; now if that is not recorded yet.
    pub fn started(&self, now: Timestamp) -> Timestamp {
        self.job.status.start_time.as_ref().map_or(now, |time| time.0)
    }

    /// When the job has taken too long.
    pub fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let (status, completion) = (&self.job.status, &self.settings.completion);
        let mut given = completion.deadline.filter(|_| completion.ends)?;
        if completion.stop_clock {
            let paused = SignedDuration::from_secs(status.paused_seconds.max(0));
            let since = status.paused_since.as_ref().map(|since| now.duration_since(since.0));
            given = given.saturating_add(paused).saturating_add(since.unwrap_or_default());
        }
        Some(self.started(now).checked_add(given).unwrap_or(Timestamp::MAX))
    }

    /// A pod of the job by name.
    pub fn pod(&self, name: &str) -> Option<&Arc<JobPod>> {
        let at = self.pods.binary_search_by(|pod| pod.name().cmp(name)).ok()?;
        self.pods.get(at)
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> Option<&Arc<Node>> {
        let at = self.nodes.binary_search_by(|node| node.name().cmp(name)).ok()?;
        self.nodes.get(at)
    }
}

impl Retry {
    /// The delay after the failure with this number.
    pub fn delay(&self, failures: i32) -> SignedDuration {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(0).min(30);
        self.base.saturating_mul(1_i32 << doublings).min(self.most)
    }
}

impl Settings {
    /// What `spec` means, of which something may be unreadable. Absent members have the defaults of §6 whether or not a
    /// webhook wrote them.
    pub fn new(spec: &BroadcastJobSpec, mut invalid: Option<Invalid>) -> Self {
        let requirements = requirements(spec, &mut invalid);
        let completion = spec.completion_policy.clone().unwrap_or_default();
        let failure = spec.failure_policy.clone().unwrap_or_default();
        let parallelism = spec.parallelism.clone().unwrap_or(IntOrString::Int(i32::MAX));
        let parallelism = known_amount("spec.parallelism", parallelism, &mut invalid);
        let max_failed = failure.max_failed_nodes.clone().unwrap_or(IntOrString::Int(0));
        let max_failed =
            known_amount("spec.failurePolicy.maxFailedNodes", max_failed, &mut invalid);
        let order = order(spec, &mut invalid);
        let seconds = |seconds: i64| SignedDuration::from_secs(seconds.clamp(0, LONGEST));
        Self {
            invalid,
            parallelism,
            template: spec.template.clone(),
            requirements,
            completion: Completion {
                // Whatever is not Never ends (§3).
                ends: completion.type_.as_deref() != Some("Never"),
                deadline: completion.active_deadline_seconds.map(seconds),
                stop_clock: completion.stop_clock_while_paused,
                ttl: completion.ttl_seconds_after_finished.map(i64::from).map(seconds),
                without_nodes: completion.complete_without_nodes,
            },
            paused: spec.paused,
            on_failure: match failure.type_.as_deref().unwrap_or_default() {
                "" | "FailFast" => OnFailure::FailFast,
                "Pause" => OnFailure::Pause,
                // Unknown ones too (§3).
                _ => OnFailure::Continue,
            },
            max_failed,
            restart_limit: failure.restart_limit,
            retry: retry(&failure),
            rules: failure.rules,
            order,
            delete_unfit: spec.unfit_pods.as_deref() == Some("Delete"),
        }
    }
}

/// A century: what is longer is as good as for ever, and times stay in range.
const LONGEST: i64 = 100 * 366 * 24 * 3600;

/// The first problem is the one that is told.
fn note(invalid: &mut Option<Invalid>, field: &str, problem: impl Into<String>) {
    let problem = || Invalid { field: field.to_owned(), problem: problem.into() };
    invalid.get_or_insert_with(problem);
}

/// What the template asks of a node. One that cannot be read keeps nobody out and drives nobody away.
fn requirements(spec: &BroadcastJobSpec, invalid: &mut Option<Invalid>) -> Requirements {
    let template = spec.template.parse::<Value>().map_err(|error| error.to_string());
    template.and_then(|template| Requirements::of(&template)).unwrap_or_else(|problem| {
        note(invalid, "spec.template", format!("cannot be read: {problem}"));
        Requirements::unknown()
    })
}

/// The amount; nothing if it means nothing.
fn known_amount(field: &str, value: IntOrString, invalid: &mut Option<Invalid>) -> IntOrString {
    let Err(error) = amount::of(&value, 100) else { return value };
    let text = match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => format!("{text:?}"),
    };
    note(invalid, field, format!("{text}: {error}"));
    IntOrString::Int(0)
}

fn retry(failure: &FailurePolicy) -> Option<Retry> {
    let retry = failure.retry.as_ref().filter(|retry| retry.limit > 0)?;
    let seconds = |seconds: Option<i32>, default: i32| {
        SignedDuration::from_secs(i64::from(seconds.unwrap_or(default).max(0)))
    };
    Some(Retry {
        limit: retry.limit,
        base: seconds(retry.backoff_seconds, 10),
        most: seconds(retry.max_backoff_seconds, 600),
    })
}

fn order(spec: &BroadcastJobSpec, invalid: &mut Option<Invalid>) -> Order {
    let Some(rollout) = &spec.rollout else { return Order::default() };
    let first = rollout.first.as_ref().map(Selector::new).transpose().unwrap_or_else(|error| {
        note(invalid, "spec.rollout.first", error.to_string());
        None
    });
    let waves = rollout.waves.iter().enumerate().map(|(index, wave)| {
        known_amount(&format!("spec.rollout.waves[{index}]"), wave.clone(), invalid)
    });
    let waves = waves.collect();
    let most = rollout.max_per_topology.map(|most| usize::try_from(most).unwrap_or(0).max(1));
    Order {
        first,
        waves,
        soak: SignedDuration::from_secs(i64::from(rollout.soak_seconds.max(0))),
        domain: rollout.topology_key.clone().zip(most),
    }
}
