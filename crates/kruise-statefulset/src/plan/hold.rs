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
    /// The update of a pod was refused; it is tried again later, or when the template changes.
    UpdateRefused {
        /// Name of the pod.
        pod: String,
        /// When it is tried again.
        until: Timestamp,
    },
    /// The deletion of a pod was refused; it is tried again later, or when the set changes.
    DeletionRefused {
        /// Name of the pod.
        pod: String,
        /// When it is tried again.
        until: Timestamp,
    },
    /// The pod of a replica was refused; it is tried again later, or when the template changes.
    CreationRefused {
        /// Name of the pod.
        pod: String,
        /// When it is tried again.
        until: Timestamp,
    },
    /// That a pod changes its owner was refused; it is tried again later, or when the set changes.
    OwnerRefused {
        /// Name of the pod.
        pod: String,
        /// When it is tried again.
        until: Timestamp,
    },
    /// A claim asks for more than its volume has yet.
    ClaimResizing {
        /// Name of the claim.
        claim: String,
        /// When its pod is re-created so that the file system can grow, if it does not by itself.
        until: Option<Timestamp>,
    },
    /// A claim differs from its template in more than its size: nobody can change that.
    ClaimMismatch {
        /// Name of the claim.
        claim: String,
    },
    /// A claim cannot grow with its template.
    NotExpandable {
        /// Name of the claim.
        claim: String,
        /// Why.
        why: String,
    },
    /// Another controller manages a claim, so the retention policy does not reach it.
    ClaimTaken {
        /// Name of the claim.
        claim: String,
    },
    /// A broken pod of an old revision stops an ordered rollout.
    StuckRollout {
        /// Name of the pod.
        pod: String,
        /// What the kubelet says.
        why: String,
    },
    /// The revision from which the rollout came is lost.
    HistoryLost {
        /// Name of the revision.
        revision: String,
    },
    /// The rollout has a deadline, which is ahead.
    ProgressDeadline {
        /// When it is, if nothing happens until then.
        until: Timestamp,
    },
    /// Nothing has happened for as long as the owner allows.
    ProgressDeadlineExceeded {
        /// How long that is, in seconds.
        seconds: i64,
    },
}

/// What a hold asks of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Nothing: it passes by itself.
    Passing,
    /// Nothing: somebody asked for it.
    Wanted,
    /// A hook or a component has to act.
    Outside,
    /// The owner of the set has to act.
    Owner,
}

impl Hold {
    /// What it asks of people.
    pub fn weight(&self) -> Weight {
        match self {
            Self::SetDeleting
            | Self::ChangingOwner
            | Self::StaleClaim { .. }
            | Self::ClaimTerminating { .. }
            | Self::PodTerminating { .. }
            | Self::NotAvailableYet { .. }
            | Self::InPlaceInProgress { .. }
            | Self::GracePeriod { .. }
            | Self::ScaleBudgetSpent { .. }
            | Self::BudgetSpent { .. }
            | Self::ClaimResizing { .. }
            | Self::ProgressDeadline { .. } => Weight::Passing,
            Self::Paused { .. } | Self::OnDelete { .. } | Self::BelowPartition { .. } => {
                Weight::Wanted
            }
            Self::HookPending { .. } => Weight::Outside,
            Self::InvalidSpec { .. }
            | Self::NameTaken { .. }
            | Self::NotInPlacePossible { .. }
            | Self::UpdateRefused { .. }
            | Self::DeletionRefused { .. }
            | Self::CreationRefused { .. }
            | Self::OwnerRefused { .. }
            | Self::ClaimMismatch { .. }
            | Self::NotExpandable { .. }
            | Self::ClaimTaken { .. }
            | Self::StuckRollout { .. }
            | Self::HistoryLost { .. }
            | Self::ProgressDeadlineExceeded { .. } => Weight::Owner,
        }
    }
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
            Self::UpdateRefused { .. } => "UpdateRefused",
            Self::DeletionRefused { .. } => "DeletionRefused",
            Self::CreationRefused { .. } => "CreationRefused",
            Self::OwnerRefused { .. } => "OwnerRefused",
            Self::ClaimResizing { .. } => "ClaimResizing",
            Self::ClaimMismatch { .. } => "ClaimMismatch",
            Self::NotExpandable { .. } => "NotExpandable",
            Self::ClaimTaken { .. } => "ClaimTaken",
            Self::StuckRollout { .. } => "StuckRollout",
            Self::HistoryLost { .. } => "HistoryLost",
            Self::ProgressDeadline { .. } => "ProgressDeadline",
            Self::ProgressDeadlineExceeded { .. } => "ProgressDeadlineExceeded",
        }
    }

    fn until(&self) -> Option<Timestamp> {
        match self {
            Self::NotAvailableYet { until, .. } | Self::ClaimResizing { until, .. } => *until,
            Self::GracePeriod { until, .. }
            | Self::UpdateRefused { until, .. }
            | Self::DeletionRefused { until, .. }
            | Self::CreationRefused { until, .. }
            | Self::OwnerRefused { until, .. }
            | Self::ProgressDeadline { until } => Some(*until),
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
            | Self::NotInPlacePossible { .. }
            | Self::ClaimMismatch { .. }
            | Self::NotExpandable { .. }
            | Self::ClaimTaken { .. }
            | Self::StuckRollout { .. }
            | Self::HistoryLost { .. }
            | Self::ProgressDeadlineExceeded { .. } => None,
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
            Self::StaleClaim { claim }
            | Self::ClaimTerminating { claim }
            | Self::ClaimResizing { claim, until: None }
            | Self::ClaimMismatch { claim }
            | Self::ClaimTaken { claim } => write!(f, "{reason}{{claim: {claim}}}"),
            Self::ClaimResizing { claim, until: Some(until) } => {
                write!(f, "{reason}{{claim: {claim}, until: {until}}}")
            }
            Self::NotExpandable { claim, why } => {
                write!(f, "{reason}{{claim: {claim}, why: {why}}}")
            }
            Self::HistoryLost { revision } => write!(f, "{reason}{{revision: {revision}}}"),
            Self::ProgressDeadline { until } => write!(f, "{reason}{{until: {until}}}"),
            Self::ProgressDeadlineExceeded { seconds } => {
                write!(f, "{reason}{{seconds: {seconds}}}")
            }
            Self::NotAvailableYet { pod, until: None } => write!(f, "{reason}{{pod: {pod}}}"),
            Self::NotAvailableYet { pod, until: Some(until) }
            | Self::UpdateRefused { pod, until }
            | Self::DeletionRefused { pod, until }
            | Self::CreationRefused { pod, until }
            | Self::OwnerRefused { pod, until }
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
            Self::NotInPlacePossible { pod, why } | Self::StuckRollout { pod, why } => {
                write!(f, "{reason}{{pod: {pod}, why: {why}}}")
            }
        }
    }
}
