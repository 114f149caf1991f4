//! The facts a decision about one set may depend on, with defaults resolved and percentages counted.
//!
//! [`Settings::new`] is the only reader of the raw spec; what it refuses is data ([`Invalid`]), not an error.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_api::raw::RawJson;
use kruise_api::shared::scatter::ScatterTerm;
use kruise_api::shared::selector::Selector;
use kruise_api::statefulset::v1beta1::{
    Lifecycle, PriorityStrategy, RollingUpdate, StatefulSetSpec,
};
use kruise_common::budget;
use kruise_common::claim::Claim;
use kruise_common::gates::FeatureGates;
use kruise_common::pod::Pod;
use kruise_common::refusal::Refusal;
use kruise_common::revision::Revision;
use kruise_common::storage_class::StorageClass;
use kruise_inplace::progress::{Missing, Progress, progress};
use kruise_inplace::refresh::Context;

use crate::claims::ClaimTemplate;
use crate::object::Set;
use crate::options::{Options, Prefetch};
use crate::ordinals::Ordinals;
use crate::pull_job::PullJob;
use crate::revision::Revisions;

/// Everything a decision about one set may depend on.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The set.
    pub set: Arc<Set>,
    /// What its spec means, or why it means nothing.
    pub settings: Result<Settings, Invalid>,
    /// Feature gates.
    pub gates: FeatureGates,
    /// Claimed pods by ordinal.
    pub pods: BTreeMap<i32, Arc<Pod>>,
    /// Pods controlled by the set that do not belong to it (any more).
    pub strangers: Vec<Arc<Pod>>,
    /// Pods without controller that belong to the set.
    pub orphans: Vec<Arc<Pod>>,
    /// Pods of somebody else that hold the name of an ordinal.
    pub taken: BTreeMap<i32, Arc<Pod>>,
    /// Revisions controlled by the set, or by nobody and matching, by (revision, creation, name).
    pub revisions: Vec<Arc<Revision>>,
    /// Other revisions whose name starts like ours; their names are taken.
    pub foreign_revisions: Vec<Arc<Revision>>,
    /// Claims that exist under a name the set would give, by name.
    pub claims: BTreeMap<Arc<str>, Arc<Claim>>,
    /// Storage classes that claim templates or claims name, by name; empty unless claims follow their templates.
    pub classes: BTreeMap<Arc<str>, Arc<StorageClass>>,
    /// Pull jobs whose name starts like ours; `None` where that kind is not served or not wanted.
    pub pull_jobs: Option<Vec<Arc<PullJob>>>,
    /// Worked out by [`Snapshot::chosen`].
    pub(crate) revised: OnceLock<Result<Revisions, Invalid>>,
    /// Pods whose update was refused a moment ago, and towards which revision.
    pub refused: BTreeMap<Move, Refusal>,
    /// Worked out by [`Snapshot::unfinished`].
    pub(crate) in_place: OnceLock<BTreeMap<i32, Missing>>,
}

/// A pod, by ordinal, and the revision to which it is moved where it is, or one of the words below.
pub type Move = (i32, Arc<str>);

/// Stands in a [`Move`] for that the pod goes; no revision is named so.
pub const DELETION: &str = "";
/// For that its claims grow.
pub const GROWTH: &str = "+claims";
/// For that it is kept as it is to be, by a patch of the pod itself.
pub const UPKEEP: &str = "+upkeep";
/// For that it gets its labels of identity back, which a policy may refuse that has nothing against other upkeep.
pub const IDENTITY: &str = "+identity";
/// For that it changes its owner.
pub const OWNER: &str = "+owner";

/// Stands in a [`Move`] for that a pod is made at the revision.
pub fn creation(revision: &str) -> Arc<str> {
    format!("new {revision}").into()
}

/// A spec that cannot be acted upon.
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
    /// Number of pods.
    pub replicas: i32,
    /// Their ordinals.
    pub ordinals: Ordinals,
    /// Which pods and revisions belong to the set.
    pub selector: Selector,
    /// The pod template.
    pub template: RawJson,
    /// The claim templates, in order.
    pub claims: Vec<ClaimTemplate>,
    /// Subdomain of the pods.
    pub service: String,
    /// One at a time, each after the one before is available.
    pub ordered: bool,
    /// How pods move to a new revision.
    pub update: Update,
    /// How many pods scaling may leave unavailable; `None` for any number.
    pub scale_budget: Option<usize>,
    /// Old revisions that are kept.
    pub history_limit: usize,
    /// Whether claims go with their set or their pod.
    pub retention: Retention,
    /// Hooks.
    pub lifecycle: Option<Lifecycle>,
    /// Seconds a pod must be ready to count as available.
    pub min_ready_seconds: i32,
    /// Whether existing claims grow with their templates (17).
    pub resize_claims: bool,
    /// Whether an ordered update replaces broken pods of an old revision by itself (W-4).
    pub recover_stuck: bool,
    /// Seconds without progress after which a rollout counts as failed.
    pub progress_deadline: Option<i64>,
    /// How images are pulled ahead.
    pub prefetch: Prefetch,
}

/// How pods move to a new revision.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// Only when they are deleted by somebody.
    OnDelete,
    /// One after another.
    Rolling(Box<Rolling>),
}

/// Settings of a rolling update.
#[derive(Clone, Debug, PartialEq)]
pub struct Rolling {
    /// Pods that stay on the old revision, by rank.
    pub partition: usize,
    /// Pods that may be unavailable.
    pub max_unavailable: usize,
    /// In place or by re-creation.
    pub policy: Policy,
    /// No pod is updated.
    pub paused: bool,
    /// Update without regard to ordinals; `Some(None)` if no priority is given.
    pub unordered: Option<Option<PriorityStrategy>>,
    /// How an unordered update is spread over pods that have something in common.
    pub scatter: Vec<ScatterTerm>,
    /// Seconds between unready and the image change.
    pub grace_seconds: i32,
}

/// How a pod is updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Deleted and created anew.
    Recreate,
    /// In place where that is possible, else re-created.
    InPlaceIfPossible,
    /// In place or not at all.
    InPlaceOnly,
}

/// Who takes claims along (16.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Claims go when the set is deleted.
    pub delete_with_set: bool,
    /// Claims go when their pod is scaled away.
    pub delete_with_pod: bool,
}

impl Snapshot {
    /// Until when the pod is not to be moved towards the revision, for that was refused.
    pub fn rests(&self, ordinal: i32, revision: &str, now: Timestamp) -> Option<Timestamp> {
        self.refusal(ordinal, revision).map(|refusal| refusal.until).filter(|until| *until > now)
    }

    /// What was said when the pod was last moved towards the revision, if that was refused.
    pub fn refusal(&self, ordinal: i32, revision: &str) -> Option<&Refusal> {
        if self.refused.is_empty() {
            return None;
        }
        let refused = self.refused.range((ordinal, Arc::from(""))..);
        let mut refused = refused.take_while(|((at, _), _)| *at == ordinal);
        refused.find(|((_, towards), _)| **towards == *revision).map(|(_, refusal)| refusal)
    }

    /// The settings and the two revisions, or why there is nothing to act upon. The template is encoded once.
    pub fn chosen(&self) -> Result<(&Settings, &Revisions), Invalid> {
        let settings = self.settings.as_ref().map_err(Clone::clone)?;
        let revisions = self.revised.get_or_init(|| Revisions::choose(self, settings));
        Ok((settings, revisions.as_ref().map_err(Clone::clone)?))
    }

    /// Pods whose in-place update is not finished, with what it lacks. Readiness does not tell: a pod whose CPU and memory
    /// are changed serves all the time (IP-15). The annotations that tell are read once.
    pub fn unfinished(&self) -> &BTreeMap<i32, Missing> {
        self.in_place.get_or_init(|| {
            let missing = |(at, pod): (&i32, &Arc<Pod>)| match progress(pod) {
                Progress::Incomplete(missing) => Some((*at, missing)),
                Progress::Complete => None,
            };
            self.pods.iter().filter_map(missing).collect()
        })
    }

    /// What the upkeep of pods goes by; `None` if the spec cannot even be read, or no rollout has begun.
    pub fn upkeep(&self) -> Option<Context<'_>> {
        let lifecycle = self.set.spec.as_ref().ok()?.lifecycle.as_ref();
        let update_revision = match self.chosen() {
            Ok((_, revisions)) => &*revisions.update.name,
            Err(_) => self.set.status.update_revision.as_deref()?,
        };
        Some(Context { lifecycle, update_revision })
    }

    /// Whether the set is being deleted.
    pub fn deleting(&self) -> bool {
        self.set.meta.terminating()
    }

    /// A revision of the set by name.
    pub fn revision(&self, name: &str) -> Option<&Arc<Revision>> {
        self.revisions.iter().find(|revision| **revision.name() == *name)
    }

    /// The name of the pod with this ordinal (I-1).
    pub fn pod_name(&self, ordinal: i32) -> String {
        format!("{}-{ordinal}", self.set.name())
    }
}

impl Settings {
    /// What `spec` means. Absent members have the defaults of D-1…D-6 whether or not a webhook wrote them (W-28, W-38).
    pub fn new(
        spec: &StatefulSetSpec,
        annotations: &BTreeMap<String, String>,
        gates: &FeatureGates,
    ) -> Result<Self, Invalid> {
        let replicas = within("spec.replicas", spec.replicas.unwrap_or(1), MOST_REPLICAS)?;
        let strategy = spec.update_strategy.as_ref();
        let kind = strategy.and_then(|s| s.type_.as_deref()).unwrap_or_default();
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let options = Options::read(annotations, replicas)?;
        let ordered = match spec.pod_management_policy.as_deref().unwrap_or_default() {
            "" | "OrderedReady" => true,
            "Parallel" => false,
            other => {
                let problem = format!("{other:?}: must be 'OrderedReady' or 'Parallel'");
                return Err(invalid("spec.podManagementPolicy", problem));
            }
        };
        let update = match kind {
            "" | "RollingUpdate" => {
                Update::Rolling(Box::new(rolling_update(rolling, &options, (replicas, ordered))?))
            }
            "OnDelete" => Update::OnDelete,
            other => {
                let problem = format!("{other:?}: must be 'RollingUpdate' or 'OnDelete'");
                return Err(invalid("spec.updateStrategy.type", problem));
            }
        };
        let selector = Selector::new(&spec.selector)
            .map_err(|error| invalid("spec.selector", error.to_string()))?;
        match_template(&selector, &spec.template)?;
        let scale = spec.scale_strategy.as_ref().and_then(|scale| scale.max_unavailable.as_ref());
        // A negative limit would drop the whole history: it counts as absent (K-6).
        let limit = spec.revision_history_limit.filter(|limit| *limit >= 0).unwrap_or(10);
        Ok(Self {
            replicas,
            ordinals: ordinals(spec, replicas, gates)?,
            selector,
            template: spec.template.clone(),
            claims: claim_templates(spec)?,
            service: spec.service_name.clone().unwrap_or_default(),
            ordered,
            min_ready_seconds: min_ready_seconds(spec, &update, rolling),
            update,
            scale_budget: scale
                .map(|amount| count(amount, replicas, "spec.scaleStrategy.maxUnavailable"))
                .transpose()?,
            history_limit: usize::try_from(limit).unwrap_or_default(),
            retention: retention(spec),
            lifecycle: spec.lifecycle.clone(),
            resize_claims: gates.resize_claims && follows_templates(spec),
            recover_stuck: options.recover_stuck,
            progress_deadline: options.progress_deadline,
            prefetch: Prefetch::read(
                annotations,
                rolling.and_then(|rolling| rolling.in_place_update_strategy.as_ref()),
                replicas,
            ),
        })
    }

    /// The rolling update settings, unless pods are only updated on deletion.
    pub fn rolling(&self) -> Option<&Rolling> {
        match &self.update {
            Update::Rolling(rolling) => Some(rolling),
            Update::OnDelete => None,
        }
    }
}

/// More pods than any cluster has room for: a slip of the hand, which must not occupy the controller of all others.
const MOST_REPLICAS: i32 = 1_000_000;

/// A number that is not negative and not beyond `most`. Nothing is guessed: a negative number of replicas taken for
/// none would delete every pod.
fn within(field: &str, number: i32, most: i32) -> Result<i32, Invalid> {
    match number {
        ..0 => Err(invalid(field, format!("{number}: must be greater than or equal to 0"))),
        number if number > most => Err(invalid(field, format!("{number}: must be at most {most}"))),
        number => Ok(number),
    }
}

fn invalid(field: &str, problem: impl Into<String>) -> Invalid {
    Invalid { field: field.to_owned(), problem: problem.into() }
}

fn count(amount: &IntOrString, replicas: i32, field: &str) -> Result<usize, Invalid> {
    budget::at_least_one(amount, replicas).map_err(|error| invalid(field, error.to_string()))
}

/// Pods that do not match the selector would be released as soon as they are created, for ever (V-26).
fn match_template(selector: &Selector, template: &RawJson) -> Result<(), Invalid> {
    #[derive(serde::Deserialize, Default)]
    #[serde(default)]
    struct Labelled {
        metadata: Option<Labels>,
    }
    #[derive(serde::Deserialize, Default)]
    #[serde(default)]
    struct Labels {
        labels: Option<BTreeMap<String, String>>,
    }
    let labelled: Labelled = template
        .parse()
        .map_err(|error| invalid("spec.template", format!("cannot be read: {error}")))?;
    let labels = labelled.metadata.and_then(|meta| meta.labels).unwrap_or_default();
    if selector.matches(&labels) {
        return Ok(());
    }
    let have = labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    let problem = format!("{have:?}: `selector` \"{selector}\" does not match template `labels`");
    Err(invalid("spec.template.metadata.labels", problem))
}

fn ordinals(
    spec: &StatefulSetSpec,
    replicas: i32,
    gates: &FeatureGates,
) -> Result<Ordinals, Invalid> {
    use crate::ordinals::InvalidOrdinals;
    let start = spec.ordinals.as_ref().filter(|_| gates.start_ordinal).map_or(0, |o| o.start);
    Ordinals::new(start, &spec.reserve_ordinals, replicas).map_err(|error| {
        let field = match &error {
            InvalidOrdinals::Reserved { index, .. } => format!("spec.reserveOrdinals[{index}]"),
            InvalidOrdinals::Start(_) => "spec.ordinals.start".to_owned(),
            InvalidOrdinals::TooMany(_) => "spec.replicas".to_owned(),
        };
        invalid(&field, error.to_string())
    })
}

fn claim_templates(spec: &StatefulSetSpec) -> Result<Vec<ClaimTemplate>, Invalid> {
    let templates = spec.volume_claim_templates.iter().enumerate();
    let read = templates.map(|(index, raw)| {
        ClaimTemplate::new(raw)
            .map_err(|problem| invalid(&format!("spec.volumeClaimTemplates[{index}]"), problem))
    });
    read.collect()
}

/// F-6: anything else behaves as `OnDelete`.
fn follows_templates(spec: &StatefulSetSpec) -> bool {
    let strategy = spec.volume_claim_update_strategy.as_ref();
    strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnPodRollingUpdate")
}

fn rolling_update(
    rolling: Option<&RollingUpdate>,
    options: &Options,
    (replicas, ordered): (i32, bool),
) -> Result<Rolling, Invalid> {
    let none = RollingUpdate::default();
    let rolling = rolling.unwrap_or(&none);
    let field = "spec.updateStrategy.rollingUpdate";
    let policy = match rolling.pod_update_policy.as_deref() {
        None | Some("" | "ReCreate") => Policy::Recreate,
        Some("InPlaceIfPossible") => Policy::InPlaceIfPossible,
        Some("InPlaceOnly") => Policy::InPlaceOnly,
        Some(other) => {
            let problem =
                format!("{other:?}: must be 'ReCreate', 'InPlaceIfPossible' or 'InPlaceOnly'");
            return Err(invalid(&format!("{field}.podUpdatePolicy"), problem));
        }
    };
    let amount = rolling.max_unavailable.clone().unwrap_or(IntOrString::Int(1));
    let max_unavailable = count(&amount, replicas, &format!("{field}.maxUnavailable"))?;
    let partition =
        within(&format!("{field}.partition"), rolling.partition.unwrap_or(0), i32::MAX)?;
    let in_place = rolling.in_place_update_strategy.as_ref();
    let unordered = rolling.unordered_update.as_ref().filter(|_| !ordered);
    Ok(Rolling {
        partition: options.partition.unwrap_or(usize::try_from(partition).unwrap_or_default()),
        // An ordered update takes down one pod at a time, whatever was stored past validation (AC-2, V-9), unless the
        // owner asked for more in so many words (K-1).
        max_unavailable: if ordered {
            options.ordered_max_unavailable.unwrap_or(1)
        } else {
            max_unavailable
        },
        policy,
        paused: rolling.paused.unwrap_or(false),
        unordered: unordered.map(|unordered| unordered.priority_strategy.clone()),
        scatter: options.scatter.clone(),
        grace_seconds: in_place.and_then(|s| s.grace_period_seconds).unwrap_or(0).max(0),
    })
}

/// The member of `rollingUpdate`, which counts for nothing with OnDelete (section 9), else that of the spec (K-2).
fn min_ready_seconds(
    spec: &StatefulSetSpec,
    update: &Update,
    rolling: Option<&RollingUpdate>,
) -> i32 {
    let rolling = rolling.filter(|_| matches!(update, Update::Rolling(_)));
    let seconds = rolling.and_then(|rolling| rolling.min_ready_seconds);
    seconds.or(spec.min_ready_seconds).unwrap_or(0).max(0)
}

/// Unknown or empty values make the whole policy Retain (PV-9).
fn retention(spec: &StatefulSetSpec) -> Retention {
    let Some(policy) = &spec.persistent_volume_claim_retention_policy else {
        return Retention::default();
    };
    let deletes = |value: Option<&str>| match value {
        Some("Retain") => Some(false),
        Some("Delete") => Some(true),
        _ => None,
    };
    match (deletes(policy.when_deleted.as_deref()), deletes(policy.when_scaled.as_deref())) {
        (Some(delete_with_set), Some(delete_with_pod)) => {
            Retention { delete_with_set, delete_with_pod }
        }
        _ => Retention::default(),
    }
}
