//! Everything the controller may do, one line of text each.

use std::fmt;
use std::sync::Arc;

use crate::mark::Mark;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create the pod of a node.
    CreatePod {
        /// Name of the node.
        node: Arc<str>,
        /// Its mark.
        mark: Mark,
    },
    /// Delete a pod.
    DeletePod {
        /// Name of the pod.
        pod: Arc<str>,
        /// Why.
        why: Why,
    },
    /// Tell a pod's kubelet to end it; object and logs stay (W1).
    StopPod {
        /// Name of the pod.
        pod: Arc<str>,
    },
    /// Say that nothing blocks a pod whose readiness gate nobody else answers for.
    OpenGate {
        /// Name of the pod.
        pod: Arc<str>,
    },
    /// Record that the job is over. Comes before what follows from it, so that a crash in between loses nothing.
    Finish(Ending),
    /// Delete the job, whose time is over.
    DeleteJob,
}

/// Why a pod is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The job has failed.
    JobFailed,
    /// It may not stay on its node.
    Unfit,
    /// Its node is gone.
    NodeGone,
    /// Another pod of the job is on its node.
    Duplicate,
    /// Somebody else ended it: it is run again.
    Disrupted,
    /// It failed, and the node is tried again.
    Retry,
    /// It was told to end and did not.
    NotStopped,
}

/// How a job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every node is done.
    Complete,
    /// Too many nodes failed.
    FailedPod,
    /// It took too long.
    Deadline,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JobFailed => "the job has failed",
            Self::Unfit => "it may not stay",
            Self::NodeGone => "its node is gone",
            Self::Duplicate => "it is one too many",
            Self::Disrupted => "run again",
            Self::Retry => "retry",
            Self::NotStopped => "it did not stop",
        })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete => "completed",
            Self::FailedPod => "failed: failed pods",
            Self::Deadline => "failed: deadline",
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreatePod { node, .. } => write!(f, "create on {node}"),
            Self::DeletePod { pod, why } => write!(f, "delete {pod} ({why})"),
            Self::StopPod { pod } => write!(f, "stop {pod}"),
            Self::OpenGate { pod } => write!(f, "open the gate of {pod}"),
            Self::Finish(ending) => write!(f, "finish ({ending})"),
            Self::DeleteJob => f.write_str("delete the job"),
        }
    }
}
