//! Everything the controller may do, one line of text each.

use std::fmt;
use std::sync::Arc;

use kruise_common::key::ObjectKey;

use crate::evicted::Workload;
use crate::registered::NewRevision;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Store the spec as a new revision.
    CreateRevision(NewRevision),
    /// Give an existing revision the highest number: a rollback.
    RaiseRevision {
        /// Name.
        name: Arc<str>,
        /// New number.
        number: i64,
    },
    /// Give a revision the user's name for it.
    LabelRevision {
        /// Name.
        name: Arc<str>,
        /// The user's name.
        version: String,
    },
    /// Drop a revision beyond the history limit.
    DeleteRevision {
        /// Name.
        name: Arc<str>,
    },
    /// Say in the condition of a pod whether this set can update it in place.
    Mark {
        /// The pod.
        pod: ObjectKey,
        /// Whether it can; `None` if the set has no say.
        upgradable: Option<bool>,
    },
    /// Give the sidecars of a pod the images of the set.
    UpdatePod {
        /// The pod.
        pod: ObjectKey,
    },
    /// Give the old sides of a finished hot upgrade the empty image.
    ResetTwins {
        /// The pod.
        pod: ObjectKey,
    },
    /// Let the old side of a hot upgrade work again, since the new one fails and the set wants the old image.
    TurnBack {
        /// The pod.
        pod: ObjectKey,
    },
    /// Take containers that stay at an image overtaken for what the set wants.
    Settle {
        /// The pod.
        pod: ObjectKey,
    },
    /// Evict a pod, so that it comes back as the set wants it.
    Evict {
        /// The pod.
        pod: ObjectKey,
        /// Its UID.
        uid: Arc<str>,
        /// The workload that is to make it again.
        of: Arc<Workload>,
        /// Why.
        why: Why,
    },
}

/// Why a pod is evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It cannot be updated in place.
    NotUpgradable,
    /// It was not injected.
    NotInjected,
}

impl Action {
    /// The pod that it is about.
    pub fn pod(&self) -> Option<&ObjectKey> {
        match self {
            Self::Mark { pod, .. }
            | Self::UpdatePod { pod }
            | Self::ResetTwins { pod }
            | Self::TurnBack { pod }
            | Self::Settle { pod }
            | Self::Evict { pod, .. } => Some(pod),
            Self::CreateRevision(_)
            | Self::RaiseRevision { .. }
            | Self::LabelRevision { .. }
            | Self::DeleteRevision { .. } => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateRevision(new) => write!(f, "create-revision {}", new.name),
            Self::RaiseRevision { name, number } => write!(f, "raise-revision {name} to {number}"),
            Self::LabelRevision { name, version } => write!(f, "label-revision {name} {version}"),
            Self::DeleteRevision { name } => write!(f, "delete-revision {name}"),
            Self::Mark { pod, upgradable: Some(true) } => write!(f, "mark {pod} upgradable"),
            Self::Mark { pod, upgradable: Some(false) } => write!(f, "mark {pod} not upgradable"),
            Self::Mark { pod, upgradable: None } => write!(f, "mark {pod} without a say"),
            Self::UpdatePod { pod } => write!(f, "update {pod}"),
            Self::ResetTwins { pod } => write!(f, "reset {pod}"),
            Self::TurnBack { pod } => write!(f, "turn-back {pod}"),
            Self::Settle { pod } => write!(f, "settle {pod}"),
            Self::Evict { pod, why: Why::NotUpgradable, .. } => {
                write!(f, "evict {pod} (not upgradable)")
            }
            Self::Evict { pod, why: Why::NotInjected, .. } => {
                write!(f, "evict {pod} (not injected)")
            }
        }
    }
}
