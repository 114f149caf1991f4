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
    /// The set is being deleted.
    SetDeleting,
    /// Pods or revisions change owner first.
    ChangingOwner,
    /// A pod with this name belongs to somebody else.
    NameTaken {
        /// Name of the pod.
        pod: String,
    },
    /// A claim still belongs to an earlier pod and is about to be deleted.
    StaleClaim {
        /// Name of the claim.
        claim: String,
    },
    /// A claim is being deleted.
    ClaimTerminating {
        /// Name of the claim.
        claim: String,
    },
    /// A pod is being removed.
    PodTerminating {
        /// Name of the pod.
        pod: String,
    },
    /// A pod is not ready, or not for long enough.
    NotAvailableYet {
        /// Name of the pod.
        pod: String,
        /// When it will be, if it stays ready.
        until: Option<Timestamp>,
    },
    /// An in-place update is not finished.
    InPlaceInProgress {
        /// Name of the pod.
        pod: String,
        /// What is missing.
        missing: String,
    },
    /// A grace period runs before the image changes.
    GracePeriod {
        /// Name of the pod.
        pod: String,
        /// Its end.
        until: Timestamp,
    },
    /// A lifecycle hook has not let go of the pod.
    HookPending {
        /// Name of the pod.
        pod: String,
        /// Name of the hook and what it waits for.
        hook: String,
    },
    /// No more pods may become unavailable by scaling.
    ScaleBudgetSpent {
        /// How many may be.
        allowed: usize,
    },
    /// No more pods may become unavailable by updates.
    BudgetSpent {
        /// How many are.
        unavailable: usize,
        /// How many may be.
        allowed: usize,
    },
    /// Updates are paused.
    Paused {
        /// Pods that are not at the update revision.
        outdated: usize,
    },
    /// Pods are updated only when somebody deletes them.
    OnDelete {
        /// Pods that are not at the update revision.
        outdated: usize,
    },
    /// The partition keeps pods on the old revision.
    BelowPartition {
        /// How many.
        kept: usize,
    },
    /// The change cannot be applied in place, and the policy allows nothing else.
    NotInPlacePossible {
        /// Name of the pod.
        pod: String,
        /// Why.
        why: String,
    },
}

impl plan::Hold for Hold {
    fn reason(&self) -> &'static str {
        match self {
            Self::InvalidSpec { .. } => "InvalidSpec",
            Self::SetDeleting => "SetDeleting",
            Self::ChangingOwner => "ChangingOwner",
            Self::NameTaken { .. } => "NameTaken",
            Self::StaleClaim { .. } => "StaleClaim",
            Self::ClaimTerminating { .. } => "ClaimTerminating",
            Self::PodTerminating { .. } => "PodTerminating",
            Self::NotAvailableYet { .. } => "NotAvailableYet",
            Self::InPlaceInProgress { .. } => "InPlaceInProgress",
            Self::GracePeriod { .. } => "GracePeriod",
            Self::HookPending { .. } => "HookPending",
            Self::ScaleBudgetSpent { .. } => "ScaleBudgetSpent",
            Self::BudgetSpent { .. } => "BudgetSpent",
            Self::Paused { .. } => "Paused",
            Self::OnDelete { .. } => "OnDelete",
            Self::BelowPartition { .. } => "BelowPartition",
            Self::NotInPlacePossible { .. } => "NotInPlacePossible",
        }
    }

    fn until(&self) -> Option<Timestamp> {
        match self {
            Self::NotAvailableYet { until, .. } => *until,
            Self::GracePeriod { until, .. } => Some(*until),
            Self::InvalidSpec { .. }
            | Self::SetDeleting
            | Self::ChangingOwner
            | Self::NameTaken { .. }
            | Self::StaleClaim { .. }
            | Self::ClaimTerminating { .. }
            | Self::PodTerminating { .. }
            | Self::InPlaceInProgress { .. }
            | Self::HookPending { .. }
            | Self::ScaleBudgetSpent { .. }
            | Self::BudgetSpent { .. }
            | Self::Paused { .. }
            | Self::OnDelete { .. }
            | Self::BelowPartition { .. }
            | Self::NotInPlacePossible { .. } => None,
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use kruise_common::plan::Hold as _;
        let reason = self.reason();
        match self {
            Self::InvalidSpec { field, problem } => write!(f, "{reason}{{{field}: {problem}}}"),
            Self::SetDeleting | Self::ChangingOwner => f.write_str(reason),
            Self::NameTaken { pod } | Self::PodTerminating { pod } => {
                write!(f, "{reason}{{pod: {pod}}}")
            }
            Self::StaleClaim { claim } | Self::ClaimTerminating { claim } => {
                write!(f, "{reason}{{claim: {claim}}}")
            }
            Self::NotAvailableYet { pod, until: None } => write!(f, "{reason}{{pod: {pod}}}"),
            Self::NotAvailableYet { pod, until: Some(until) }
            | Self::GracePeriod { pod, until } => {
                write!(f, "{reason}{{pod: {pod}, until: {until}}}")
            }
            Self::InPlaceInProgress { pod, missing } => {
                write!(f, "{reason}{{pod: {pod}, missing: {missing}}}")
            }
            Self::HookPending { pod, hook } => write!(f, "{reason}{{pod: {pod}, hook: {hook}}}"),
            Self::ScaleBudgetSpent { allowed } => write!(f, "{reason}{{allowed: {allowed}}}"),
            Self::BudgetSpent { unavailable, allowed } => {
                write!(f, "{reason}{{unavailable: {unavailable}, allowed: {allowed}}}")
            }
            Self::Paused { outdated } | Self::OnDelete { outdated } => {
                write!(f, "{reason}{{outdated: {outdated}}}")
            }
            Self::BelowPartition { kept } => write!(f, "{reason}{{kept: {kept}}}"),
            Self::NotInPlacePossible { pod, why } => {
                write!(f, "{reason}{{pod: {pod}, why: {why}}}")
            }
        }
    }
}
