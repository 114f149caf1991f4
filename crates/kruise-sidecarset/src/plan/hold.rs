//! Every reason why something is not done (yet). The names are public: metric labels and runbook entries.
//!
//! Where many pods wait for the same, one hold names the first of them and how many they are.

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
    /// The type of the set's strategy is `NotUpdate`.
    NotUpdate {
        /// Pods that are outdated.
        outdated: usize,
    },
    /// Updates are paused.
    Paused {
        /// Pods that are outdated.
        outdated: usize,
    },
    /// The selector of the update strategy leaves pods out.
    NotSelected {
        /// How many outdated ones.
        outdated: usize,
    },
    /// The partition keeps pods on the old revision.
    BelowPartition {
        /// How many.
        kept: usize,
    },
    /// No more pods may become unavailable.
    BudgetSpent {
        /// How many are.
        unavailable: usize,
        /// How many may be.
        allowed: usize,
    },
    /// An earlier update is not carried out.
    InPlaceInProgress(Pods),
    /// Containers run an image that a later update has overtaken.
    Settling {
        /// Which pods.
        pods: Pods,
        /// When the first one that stays is taken for what is wanted.
        until: Timestamp,
    },
    /// Updated pods are not ready.
    NotReady(Pods),
    /// The new side of a hot upgrade is not ready.
    NewSideNotReady(Pods),
    /// The change cannot be applied in place.
    NotUpgradable {
        /// Which pods.
        pods: Pods,
        /// Why the first one cannot.
        why: &'static str,
    },
    /// A write to the pod was refused; it is tried again later, and other pods go first.
    Refused {
        /// Which pods.
        pods: Pods,
        /// When the next one is tried again.
        until: Timestamp,
    },
    /// An eviction would not help: the pods would come back as they are.
    EvictionUseless {
        /// Why.
        why: &'static str,
    },
    /// Pods are not evicted because nobody would make them again.
    NobodyRecreates(Pods),
    /// Pods were evicted, and none came in their place yet.
    EvictedNotBack {
        /// Which pods.
        pods: Pods,
        /// When one of them is not waited for any more if its workload has no other pods.
        until: Option<Timestamp>,
    },
    /// Pods are not evicted: an earlier one of their workload came back, but not as the set wants it.
    EvictionUnproven {
        /// Which pods.
        pods: Pods,
        /// When one is tried.
        until: Timestamp,
    },
    /// The recorded revision that the set names for injection cannot be used: pods are refused.
    RevisionUnusable {
        /// Why.
        why: String,
    },
    /// Matching pods run without the sidecars.
    NotInjected(Pods),
    /// Missed pods are not evicted while nothing shows that they would come back injected.
    RepairUnproven {
        /// When one is tried.
        until: Timestamp,
    },
    /// The roll-out waits for pods, and is to make progress by then.
    Progressing {
        /// By when.
        until: Timestamp,
    },
    /// The roll-out waits for pods, and has made no progress for longer than the set allows.
    Stalled {
        /// When it made some last.
        since: Timestamp,
    },
    /// The set is new, and the API server does not ask about its pods yet.
    NotRegistered {
        /// When it is looked again.
        until: Timestamp,
    },
}

/// Pods that wait for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pods {
    /// The first one.
    pub first: String,
    /// How many they are.
    pub count: usize,
}

impl plan::Hold for Hold {
    fn reason(&self) -> &'static str {
        match self {
            Self::InvalidSpec { .. } => "InvalidSpec",
            Self::NotUpdate { .. } => "NotUpdate",
            Self::Paused { .. } => "Paused",
            Self::NotSelected { .. } => "NotSelected",
            Self::BelowPartition { .. } => "BelowPartition",
            Self::BudgetSpent { .. } => "BudgetSpent",
            Self::InPlaceInProgress(_) => "InPlaceInProgress",
            Self::Settling { .. } => "Settling",
            Self::NotReady(_) => "NotReady",
            Self::NewSideNotReady(_) => "NewSideNotReady",
            Self::NotUpgradable { .. } => "NotUpgradable",
            Self::Refused { .. } => "Refused",
            Self::EvictionUseless { .. } => "EvictionUseless",
            Self::NobodyRecreates(_) => "NobodyRecreates",
            Self::EvictedNotBack { .. } => "EvictedNotBack",
            Self::EvictionUnproven { .. } => "EvictionUnproven",
            Self::RevisionUnusable { .. } => "RevisionUnusable",
            Self::NotInjected(_) => "NotInjected",
            Self::RepairUnproven { .. } => "RepairUnproven",
            Self::Progressing { .. } => "Progressing",
            Self::Stalled { .. } => "Stalled",
            Self::NotRegistered { .. } => "NotRegistered",
        }
    }

    fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Settling { until, .. }
            | Self::Refused { until, .. }
            | Self::EvictionUnproven { until, .. }
            | Self::RepairUnproven { until }
            | Self::Progressing { until }
            | Self::NotRegistered { until } => Some(*until),
            Self::EvictedNotBack { until, .. } => *until,
            Self::InvalidSpec { .. }
            | Self::NotUpdate { .. }
            | Self::Paused { .. }
            | Self::NotSelected { .. }
            | Self::BelowPartition { .. }
            | Self::BudgetSpent { .. }
            | Self::InPlaceInProgress(_)
            | Self::NotReady(_)
            | Self::NewSideNotReady(_)
            | Self::NotUpgradable { .. }
            | Self::EvictionUseless { .. }
            | Self::NobodyRecreates(_)
            | Self::RevisionUnusable { .. }
            | Self::Stalled { .. }
            | Self::NotInjected(_) => None,
        }
    }
}

impl Hold {
    /// The pods that wait, if it is about pods one by one.
    pub fn pods(&mut self) -> Option<&mut Pods> {
        match self {
            Self::InPlaceInProgress(pods)
            | Self::NotReady(pods)
            | Self::NewSideNotReady(pods)
            | Self::NotUpgradable { pods, .. }
            | Self::Settling { pods, .. }
            | Self::Refused { pods, .. }
            | Self::EvictedNotBack { pods, .. }
            | Self::EvictionUnproven { pods, .. }
            | Self::NobodyRecreates(pods)
            | Self::NotInjected(pods) => Some(pods),
            Self::InvalidSpec { .. }
            | Self::NotUpdate { .. }
            | Self::Paused { .. }
            | Self::NotSelected { .. }
            | Self::BelowPartition { .. }
            | Self::BudgetSpent { .. }
            | Self::EvictionUseless { .. }
            | Self::RevisionUnusable { .. }
            | Self::RepairUnproven { .. }
            | Self::Progressing { .. }
            | Self::Stalled { .. }
            | Self::NotRegistered { .. } => None,
        }
    }
}

impl fmt::Display for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            0 | 1 => write!(f, "pod: {}", self.first),
            count => write!(f, "pods: {count}, first: {}", self.first),
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use kruise_common::plan::Hold as _;
        let reason = self.reason();
        match self {
            Self::InvalidSpec { field, problem } => write!(f, "{reason}{{{field}: {problem}}}"),
            Self::NotUpdate { outdated }
            | Self::Paused { outdated }
            | Self::NotSelected { outdated } => write!(f, "{reason}{{outdated: {outdated}}}"),
            Self::BelowPartition { kept } => write!(f, "{reason}{{kept: {kept}}}"),
            Self::BudgetSpent { unavailable, allowed } => {
                write!(f, "{reason}{{unavailable: {unavailable}, allowed: {allowed}}}")
            }
            Self::InPlaceInProgress(pods)
            | Self::NotReady(pods)
            | Self::NewSideNotReady(pods)
            | Self::NobodyRecreates(pods)
            | Self::NotInjected(pods)
            | Self::EvictedNotBack { pods, until: None } => write!(f, "{reason}{{{pods}}}"),
            Self::NotUpgradable { pods, why } => write!(f, "{reason}{{{pods}, why: {why}}}"),
            Self::Settling { pods, until }
            | Self::Refused { pods, until }
            | Self::EvictionUnproven { pods, until }
            | Self::EvictedNotBack { pods, until: Some(until) } => {
                write!(f, "{reason}{{{pods}, until: {until}}}")
            }
            Self::EvictionUseless { why } => write!(f, "{reason}{{why: {why}}}"),
            Self::RevisionUnusable { why } => write!(f, "{reason}{{why: {why}}}"),
            Self::Stalled { since } => write!(f, "{reason}{{since: {since}}}"),
            Self::RepairUnproven { until }
            | Self::Progressing { until }
            | Self::NotRegistered { until } => {
                write!(f, "{reason}{{until: {until}}}")
            }
        }
    }
}
