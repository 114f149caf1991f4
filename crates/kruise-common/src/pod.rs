//! Facts about one Pod: the slim record every controller keeps, and the questions asked of it.
//!
//! How it is read off the wire is in `pod/wire.rs`. A record is never written back: writes are patches.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kruise_api::keys;

use crate::meta::{Meta, Pairs};
use crate::moment::Moment;
use crate::table::Record;

mod wire;

pub use wire::WirePod;

/// A Pod as far as controllers look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Metadata.
    pub meta: Meta,
    /// The annotations that kruise controllers read (`wire.rs` lists them).
    pub annotations: Pairs,
    /// Whether the object has any annotation at all; decides how a JSON patch may add one.
    pub annotated: bool,
    /// Phase; `None` before the API server set one.
    pub phase: Phase,
    /// `status.reason` (for example `Evicted`).
    pub reason: Option<Arc<str>>,
    /// The node it is bound to.
    pub node: Option<Arc<str>>,
    /// Containers in spec order.
    pub containers: Arc<[Container]>,
    /// Init containers in spec order, of pods that a SidecarSet injected; of others nothing is kept.
    pub init_containers: Arc<[Container]>,
    /// Condition types of the readiness gates, in spec order.
    pub gates: Arc<[Arc<str>]>,
    /// Volumes backed by a claim: (volume name, claim name), in spec order.
    pub claims: Box<[(Arc<str>, Arc<str>)]>,
    /// Conditions in stored order.
    pub conditions: Box<[Condition]>,
    /// Container statuses in stored order.
    pub statuses: Box<[ContainerStatus]>,
    /// Generation that the kubelet's status goes by; 0 if it does not say.
    pub observed_generation: i64,
    /// How long each of its containers may take to end, in seconds.
    pub grace_seconds: u32,
    /// Statuses of init containers in stored order, of pods that a SidecarSet injected and in which some go on running.
    pub init_statuses: Box<[ContainerStatus]>,
    /// The highest restart count of a container: of the ordinary ones, and of init containers that go on running.
    pub restarts: (u16, u16),
    /// Names of the SidecarSets that injected into it, sorted.
    pub injected: Arc<[Arc<str>]>,
}

/// The phase of a Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No phase yet (never stored by an API server).
    #[default]
    None,
    /// Not all containers have started.
    Pending,
    /// Bound and started.
    Running,
    /// All containers ended well.
    Succeeded,
    /// A container failed, or the node refused or evicted the Pod.
    Failed,
    /// The node does not answer.
    Unknown,
}

impl Phase {
    /// The phase as it is stored.
    pub fn read(phase: Option<&str>) -> Self {
        match phase {
            Some("Pending") => Self::Pending,
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            None | Some("") => Self::None,
            Some(_) => Self::Unknown,
        }
    }
}

/// A container of the spec.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Container {
    /// Name.
    pub name: Arc<str>,
    /// Image as written in the spec.
    pub image: Arc<str>,
    /// Launch priority, if a barrier env names one (`inplace.md` §6.3).
    pub priority: Option<i32>,
    /// CPU and memory as written in the spec.
    pub resources: Resources,
    /// Resources (`cpu`, `memory`) whose change restarts the container.
    pub restarts_for: Box<[Arc<str>]>,
    /// Env that is read from the Pod's own labels and annotations, in spec order.
    pub env: Box<[MetadataEnv]>,
    /// Whether it is an init container that goes on running (`restartPolicy: Always`).
    pub native: bool,
}

/// CPU and memory of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// Limits.
    pub limits: Amounts,
    /// Requests.
    pub requests: Amounts,
}

/// Quantities as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Amounts {
    /// CPU.
    pub cpu: Option<Arc<str>>,
    /// Memory.
    pub memory: Option<Arc<str>>,
}

impl Resources {
    /// What `limits` or `requests` say of `cpu` or `memory`.
    pub fn get(&self, part: &str, resource: &str) -> Option<&str> {
        let amounts = match part {
            "limits" => &self.limits,
            "requests" => &self.requests,
            _ => return None,
        };
        match resource {
            "cpu" => amounts.cpu.as_deref(),
            "memory" => amounts.memory.as_deref(),
            _ => None,
        }
    }
}

/// An env of a container that is read from the Pod's metadata (`inplace.md` §11.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetadataEnv {
    /// Name of the env.
    pub name: Arc<str>,
    /// Whether an annotation is read, and no label.
    pub annotation: bool,
    /// Key of the label or annotation.
    pub key: Arc<str>,
}

/// A Pod condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Type.
    pub kind: Arc<str>,
    /// Whether the status is `True`.
    pub status: bool,
    /// Last change of the status.
    pub since: Option<Moment>,
    /// Reason, empty if absent.
    pub reason: Arc<str>,
    /// Message, kept only for the conditions that kruise writes.
    pub message: Option<Box<str>>,
}

/// What the kubelet reports of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// Name.
    pub name: Arc<str>,
    /// Image as the runtime names it.
    pub image: Arc<str>,
    /// Image ID.
    pub image_id: Arc<str>,
    /// Container ID, empty before the first start.
    pub container_id: Box<str>,
    /// Whether it is ready.
    pub ready: bool,
    /// Start of the running container.
    pub started_at: Option<Moment>,
    /// Why it waits, empty if it does not.
    pub waiting: Arc<str>,
    /// CPU and memory that it runs with; `None` if the kubelet does not say.
    pub resources: Option<Arc<Resources>>,
}

/// Whether a Pod has been ready long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Ready for at least the asked time.
    Available,
    /// Ready, and long enough at this moment if it stays so.
    At(Timestamp),
    /// Not ready.
    NotReady,
}

impl Record for Pod {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The SidecarSets that injected into it.
    fn groups(&self) -> &[Arc<str>] {
        &self.injected
    }
}

impl Pod {
    /// Name.
    pub fn name(&self) -> &str {
        &self.meta.key.name
    }

    /// Whether the Pod is being removed (P-3).
    pub fn terminating(&self) -> bool {
        self.meta.terminating()
    }

    /// Whether it ended: it must be replaced, for a workload Pod always runs (P-2).
    pub fn ended(&self) -> bool {
        matches!(self.phase, Phase::Failed | Phase::Succeeded)
    }

    /// A condition by type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| *condition.kind == *kind)
    }

    /// Whether it runs and its `Ready` condition is true, terminating or not (P-4).
    pub fn ready(&self) -> bool {
        self.phase == Phase::Running && self.condition("Ready").is_some_and(|ready| ready.status)
    }

    /// Whether it has been ready for `min_ready_seconds` at `now` (P-7 without the lifecycle part).
    /// The wait is clamped to the asked time, whatever the clock of the node says.
    pub fn availability(&self, min_ready_seconds: i32, now: Timestamp) -> Availability {
        if !self.ready() {
            return Availability::NotReady;
        }
        if min_ready_seconds <= 0 {
            return Availability::Available;
        }
        let wait = SignedDuration::from_secs(i64::from(min_ready_seconds));
        let longest = now.checked_add(wait).unwrap_or(now);
        let Some(since) = self.condition("Ready").and_then(|ready| ready.since) else {
            return Availability::At(longest);
        };
        let at = since.timestamp().checked_add(wait).unwrap_or(longest).min(longest);
        if at <= now { Availability::Available } else { Availability::At(at) }
    }

    /// Name of the revision the Pod is labelled with (P-8).
    pub fn revision(&self) -> Option<&str> {
        self.meta.labels.get(keys::CONTROLLER_REVISION_HASH)
    }

    /// A spec container with its index.
    pub fn container(&self, name: &str) -> Option<(usize, &Container)> {
        self.containers.iter().enumerate().find(|(_, container)| *container.name == *name)
    }

    /// A container status with its index.
    pub fn status(&self, name: &str) -> Option<(usize, &ContainerStatus)> {
        self.statuses.iter().enumerate().find(|(_, status)| *status.name == *name)
    }

    /// Whether the spec has this readiness gate.
    pub fn gated_by(&self, gate: &str) -> bool {
        self.gates.iter().any(|known| **known == *gate)
    }
}

/// Name of the workload and ordinal in a Pod name: greedy `(.*)-([0-9]+)` (I-2).
/// `None` if the name has no ordinal or one that does not fit 32 bits.
pub fn parse_name(name: &str) -> Option<(&str, i32)> {
    let (parent, digits) = name.rsplit_once('-')?;
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some((parent, digits.parse().ok()?))
}
