//! Every reason why something is not done (yet). The names are public: metric labels and runbook entries.

use std::fmt;

use jiff::Timestamp;
use kruise_common::plan;

/// Why something waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The spec cannot be acted upon.
    InvalidSpec {
        /// Path of the field.
        field: String,
        /// The value and the rule.
        problem: String,
    },
    /// The job is being deleted.
    JobDeleting,
    /// The job is paused.
    Paused {
        /// By whom.
        by: Pauser,
    },
    /// Pods are at work.
    PodsAtWork {
        /// How many.
        active: usize,
    },
    /// No more pods may be at work.
    ParallelismReached {
        /// How many are.
        active: usize,
        /// How many may be.
        allowed: usize,
    },
    /// A wave is under way.
    WaveInProgress {
        /// How many nodes may have begun.
        allowed: usize,
    },
    /// A wave is over; the next one begins later.
    Soaking {
        /// When.
        until: Timestamp,
    },
    /// No more pods may be at work in a domain.
    DomainFull {
        /// Value of the topology label.
        domain: String,
    },
    /// A pod is being removed.
    PodTerminating {
        /// Name of the pod.
        pod: String,
    },
    /// A pod with the name of one of ours belongs to somebody else.
    NameTaken {
        /// Name of the pod.
        pod: String,
    },
    /// The pod of a node was refused when it was to be created, and is tried again later. Others are not held up.
    CreationRefused {
        /// Name of the node.
        node: String,
        /// When.
        until: Timestamp,
    },
    /// A failed node is tried again later.
    RetryAt {
        /// Name of the node.
        node: String,
        /// When; `None` until its failure is recorded.
        until: Option<Timestamp>,
    },
    /// A pod was told to end.
    Stopping {
        /// Name of the pod.
        pod: String,
        /// When it is deleted if it has not.
        until: Option<Timestamp>,
    },
    /// The job must be over by then.
    DeadlineAt {
        /// When.
        until: Timestamp,
    },
    /// The job is over and is deleted then.
    TtlAt {
        /// When.
        until: Timestamp,
    },
    /// No node fits.
    NoNodeFits,
    /// Every node is done; the job stays open for future ones.
    NeverCompletes,
}

/// Who paused a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pauser {
    /// `spec.paused`.
    Spec,
    /// A failed pod.
    FailedPod,
}

impl plan::Hold for Hold {
    fn reason(&self) -> &'static str {
        match self {
            Self::InvalidSpec { .. } => "InvalidSpec",
            Self::JobDeleting => "JobDeleting",
            Self::Paused { by: Pauser::Spec } => "Paused",
            // Nobody asked for it: an alert tells it from a pause that somebody wanted.
            Self::Paused { by: Pauser::FailedPod } => "PausedByFailure",
            Self::PodsAtWork { .. } => "PodsAtWork",
            Self::ParallelismReached { .. } => "ParallelismReached",
            Self::WaveInProgress { .. } => "WaveInProgress",
            Self::Soaking { .. } => "Soaking",
            Self::DomainFull { .. } => "DomainFull",
            Self::PodTerminating { .. } => "PodTerminating",
            Self::NameTaken { .. } => "NameTaken",
            Self::CreationRefused { .. } => "CreationRefused",
            Self::RetryAt { .. } => "RetryAt",
            Self::Stopping { .. } => "Stopping",
            Self::DeadlineAt { .. } => "DeadlineAt",
            Self::TtlAt { .. } => "TtlAt",
            Self::NoNodeFits => "NoNodeFits",
            Self::NeverCompletes => "NeverCompletes",
        }
    }

    fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Soaking { until }
            | Self::CreationRefused { until, .. }
            | Self::DeadlineAt { until }
            | Self::TtlAt { until } => Some(*until),
            Self::RetryAt { until, .. } | Self::Stopping { until, .. } => *until,
            Self::InvalidSpec { .. }
            | Self::JobDeleting
            | Self::Paused { .. }
            | Self::PodsAtWork { .. }
            | Self::ParallelismReached { .. }
            | Self::WaveInProgress { .. }
            | Self::DomainFull { .. }
            | Self::PodTerminating { .. }
            | Self::NameTaken { .. }
            | Self::NoNodeFits
            | Self::NeverCompletes => None,
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use kruise_common::plan::Hold as _;
        let reason = self.reason();
        match self {
            Self::InvalidSpec { field, problem } => write!(f, "{reason}{{{field}: {problem}}}"),
            Self::JobDeleting | Self::Paused { .. } | Self::NoNodeFits | Self::NeverCompletes => {
                f.write_str(reason)
            }
            Self::PodsAtWork { active } => write!(f, "{reason}{{active: {active}}}"),
            Self::ParallelismReached { active, allowed } => {
                write!(f, "{reason}{{active: {active}, allowed: {allowed}}}")
            }
            Self::WaveInProgress { allowed } => write!(f, "{reason}{{allowed: {allowed}}}"),
            Self::Soaking { until } | Self::DeadlineAt { until } | Self::TtlAt { until } => {
                write!(f, "{reason}{{until: {until}}}")
            }
            Self::DomainFull { domain } => write!(f, "{reason}{{domain: {domain}}}"),
            Self::PodTerminating { pod }
            | Self::NameTaken { pod }
            | Self::Stopping { pod, until: None } => write!(f, "{reason}{{pod: {pod}}}"),
            Self::RetryAt { node, until: None } => write!(f, "{reason}{{node: {node}}}"),
            Self::CreationRefused { node, until } | Self::RetryAt { node, until: Some(until) } => {
                write!(f, "{reason}{{node: {node}, until: {until}}}")
            }
            Self::Stopping { pod, until: Some(until) } => {
                write!(f, "{reason}{{pod: {pod}, until: {until}}}")
            }
        }
    }
}
