//! Everything the controller may do, one line of text each.

use std::fmt;
use std::sync::Arc;

use kruise_common::pod::parse_name;
use kruise_common::write::Write;
use kruise_inplace::diff::Change;
use kruise_inplace::refresh::Finished;

use crate::revision::NewRevision;
use crate::snapshot::{DELETION, GROWTH, IDENTITY, Move, OWNER, UPKEEP, creation};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Store the template as a new revision.
    CreateRevision(NewRevision),
    /// Give an existing revision the highest number: a rollback.
    RaiseRevision {
        /// Name.
        name: Arc<str>,
        /// New number.
        number: i64,
    },
    /// Take a revision without controller.
    AdoptRevision {
        /// Name.
        name: Arc<str>,
    },
    /// Drop a revision beyond the history limit.
    DeleteRevision {
        /// Name.
        name: Arc<str>,
    },
    /// Take a pod without controller.
    AdoptPod {
        /// Name.
        name: Arc<str>,
    },
    /// Let go of a pod that does not belong to the set.
    ReleasePod {
        /// Name.
        name: Arc<str>,
    },
    /// Upkeep of a pod as it is: gates, grace period, batches, lifecycle.
    Refresh {
        /// Ordinal.
        ordinal: i32,
        /// What is done.
        what: String,
        /// The update that ends with it.
        finished: Option<Finished>,
        /// What is asked for with it: the revision to which it moves the pod on, or [`UPKEEP`] if a policy that looks at
        /// whole pods may refuse it. What writes conditions alone goes past those.
        asks: Option<Arc<str>>,
    },
    /// Create the missing claims of an ordinal, then its pod.
    CreatePod {
        /// Ordinal.
        ordinal: i32,
        /// Name of the revision.
        revision: Arc<str>,
    },
    /// Create the missing claims of a pod that waits for them.
    CreateClaims {
        /// Ordinal.
        ordinal: i32,
    },
    /// Give a pod back its identity labels.
    RepairIdentity {
        /// Ordinal.
        ordinal: i32,
    },
    /// Give the claims of a pod the owners that the retention policy prescribes.
    RetainClaims {
        /// Ordinal.
        ordinal: i32,
        /// Whether the pod is to go.
        condemned: bool,
    },
    /// Let claims of a pod ask for what their templates ask for.
    ResizeClaims {
        /// Ordinal.
        ordinal: i32,
        /// Names of the claims.
        claims: Vec<Arc<str>>,
    },
    /// Pull an image ahead.
    CreatePullJob {
        /// Name of the update revision.
        revision: Arc<str>,
        /// The container that needs it.
        container: String,
        /// The image.
        image: String,
    },
    /// Drop a job that pulled an image ahead.
    DeletePullJob {
        /// Name.
        name: Arc<str>,
    },
    /// Note on the update revision what became of pulling ahead.
    MarkRevision {
        /// Name.
        name: Arc<str>,
        /// The label.
        label: &'static str,
    },
    /// Delete a pod.
    DeletePod {
        /// Ordinal.
        ordinal: i32,
        /// Why.
        why: Why,
        /// Whether the pod must be as it was seen: it goes only because it did not serve, or might have got a hook since.
        as_seen: bool,
    },
    /// Move a pod to the update revision in place.
    UpdateInPlace {
        /// Ordinal.
        ordinal: i32,
        /// Name of the revision.
        revision: Arc<str>,
        /// What changes; shared by all pods that come from the same revision.
        change: Arc<Change>,
    },
    /// Tell a lifecycle hook that a pod is about to be deleted or updated.
    Announce {
        /// Ordinal.
        ordinal: i32,
        /// The state announced.
        state: &'static str,
        /// The prepared writes.
        writes: Vec<Write>,
    },
}

impl Action {
    /// The ordinal and the revision, if the action moves a pod towards one where it is.
    pub fn moves(&self) -> Option<(i32, &Arc<str>)> {
        match self {
            Self::UpdateInPlace { ordinal, revision, .. } => Some((*ordinal, revision)),
            Self::Refresh { ordinal, asks: Some(asked), .. } if **asked != *UPKEEP => {
                Some((*ordinal, asked))
            }
            _ => None,
        }
    }

    /// What is not asked for again at once if it is refused.
    pub fn asks(&self) -> Option<Move> {
        match self {
            Self::DeletePod { ordinal, .. } => Some((*ordinal, Arc::from(DELETION))),
            Self::CreatePod { ordinal, revision } => Some((*ordinal, creation(revision))),
            Self::ResizeClaims { ordinal, .. } => Some((*ordinal, Arc::from(GROWTH))),
            Self::RepairIdentity { ordinal } => Some((*ordinal, Arc::from(IDENTITY))),
            Self::Refresh { ordinal, asks, .. } => Some((*ordinal, asks.clone()?)),
            Self::AdoptPod { name } | Self::ReleasePod { name } => {
                parse_name(name).map(|(_, ordinal)| (ordinal, Arc::from(OWNER)))
            }
            other => other.moves().map(|(ordinal, revision)| (ordinal, revision.clone())),
        }
    }
}

/// Why a pod is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It ended and must run.
    Ended,
    /// Its ordinal is not wanted any more.
    Condemned,
    /// A user labelled it.
    Specified,
    /// It is re-created at the update revision.
    Update,
    /// The file system of a grown volume grows when a pod mounts it anew.
    Resize,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "it ended",
            Self::Condemned => "scale down",
            Self::Specified => "asked for by label",
            Self::Update => "update",
            Self::Resize => "its volume has grown",
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateRevision(new) => write!(f, "create-revision {}", new.name),
            Self::RaiseRevision { name, number } => write!(f, "raise-revision {name} to {number}"),
            Self::AdoptRevision { name } => write!(f, "adopt-revision {name}"),
            Self::DeleteRevision { name } => write!(f, "delete-revision {name}"),
            Self::AdoptPod { name } => write!(f, "adopt {name}"),
            Self::ReleasePod { name } => write!(f, "release {name}"),
            Self::Refresh { ordinal, what, .. } => write!(f, "refresh {ordinal}: {what}"),
            Self::CreatePod { ordinal, revision } => write!(f, "create {ordinal} @ {revision}"),
            Self::CreateClaims { ordinal } => write!(f, "create-claims {ordinal}"),
            Self::RepairIdentity { ordinal } => write!(f, "repair-identity {ordinal}"),
            Self::RetainClaims { ordinal, condemned: false } => {
                write!(f, "retain-claims {ordinal}")
            }
            Self::RetainClaims { ordinal, condemned: true } => {
                write!(f, "retain-claims {ordinal} (condemned)")
            }
            Self::ResizeClaims { ordinal, claims } => {
                write!(f, "resize-claims {ordinal}: {}", claims.join(", "))
            }
            Self::CreatePullJob { revision, container, image } => {
                write!(f, "create-pull-job {revision}-{container}: {image}")
            }
            Self::DeletePullJob { name } => write!(f, "delete-pull-job {name}"),
            Self::MarkRevision { name, label } => write!(f, "mark-revision {name}: {label}"),
            Self::DeletePod { ordinal, why, .. } => write!(f, "delete {ordinal} ({why})"),
            Self::UpdateInPlace { ordinal, revision, .. } => {
                write!(f, "update-in-place {ordinal} → {revision}")
            }
            Self::Announce { ordinal, state, .. } => write!(f, "announce {ordinal}: {state}"),
        }
    }
}
