//! The facts a decision about one set may depend on, with defaults resolved and percentages counted.
//!
//! [`Settings::new`] is the only reader of the spec; what it refuses is data ([`Invalid`]), not an error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_api::keys;
use kruise_api::shared::scatter::ScatterTerm;
use kruise_api::shared::selector::{InvalidSelector, Selector};
use kruise_api::sidecarset::v1beta1::{PatchPodMetadata, PriorityStrategy, SidecarSetSpec};
use kruise_common::budget;
use kruise_common::key::ObjectKey;
use kruise_common::pod::Pod;
use kruise_common::revision::Revision;

use crate::evicted::{Absence, Workload};
use crate::hash::Hashes;
use crate::member::Member;
use crate::object::SidecarSet;
use crate::registered::Registered;
use crate::revision::Unusable;

/// Everything a decision about one set may depend on.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The set.
    pub set: Arc<SidecarSet>,
    /// What its spec means, or why it means nothing.
    pub settings: Result<Settings, Invalid>,
    /// Matched pods (STA-1) in key order.
    pub members: Vec<Member>,
    /// Pods that match, were made after the set, and were not injected by it, in key order.
    pub missed: Vec<Arc<Pod>>,
    /// Whether the API server is known to ask about its pods.
    pub asked: bool,
    /// What injected pods are that do not count as matched.
    pub strays: Strays,
    /// Sets that are gone or never update: what conditions of members still say of them means nothing (W-12). Only those
    /// of which something bad is said.
    pub silent: BTreeSet<Arc<str>>,
    /// Revisions of the set in its namespace of revisions, the newest last (HIS-5).
    pub revisions: Vec<Arc<Revision>>,
    /// Why the recorded revision that the set names for injection cannot be used (REV-2); `None` if it can, or names none.
    pub unusable: Option<Unusable>,
    /// Names of revisions that somebody else holds and whose beginning is ours.
    pub taken: Vec<Arc<str>>,
    /// Where revisions are.
    pub revision_namespace: Arc<str>,
    /// Pods whose last write was refused, and when they may be tried again.
    pub resting: BTreeMap<ObjectKey, Timestamp>,
    /// What workloads lack since pods of them were evicted, by their UIDs.
    pub absences: BTreeMap<Arc<str>, Absence>,
    /// Workloads whose pods may be evicted, by their UIDs.
    pub workloads: BTreeMap<Arc<str>, Arc<Workload>>,
    /// Worked out by [`Snapshot::registered`].
    pub(crate) registered: OnceLock<Result<Registered, Invalid>>,
}

/// Pods that bear the set's name but are not matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// They are being removed.
    pub leaving: usize,
    /// They lack a container of the set (STA-2).
    pub incomplete: usize,
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

/// What flags say of all sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Images of native sidecars are changed in running pods (30.9).
    pub native_updates: bool,
    /// The status of `NotUpdate` sets follows the readiness of pods (W-2).
    pub refresh_not_update: bool,
}

/// A container of the set as the roll-out sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// Name in the set.
    pub name: String,
    /// Wanted image.
    pub image: String,
    /// How it is updated.
    pub upgrade: Upgrade,
}

/// How a container is updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Its image changes.
    Cold,
    /// The image of a native sidecar changes.
    Native,
    /// One of two twins gets the image, the other one this empty one (section 15).
    Hot(String),
}

/// The spec with every default in place.
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the spec")]
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the set.
    pub name: Arc<str>,
    /// Hashes of the spec.
    pub hashes: Hashes,
    /// Containers that are updated, in spec order.
    pub sidecars: Vec<Sidecar>,
    /// Native sidecars that are not updated: name and image.
    pub fixed_natives: Vec<(String, String)>,
    /// Names that a pod's record lists (INJ-50).
    pub listed: Arc<[String]>,
    /// Whether running pods are never touched.
    pub not_update: bool,
    /// Whether updates are paused.
    pub paused: bool,
    /// The pods that are updated; `None` for all.
    pub selector: Option<Selector>,
    /// How many stay old.
    pub partition: IntOrString,
    /// How many may be unavailable.
    pub max_unavailable: IntOrString,
    /// Who goes first.
    pub priority: Option<PriorityStrategy>,
    /// Who is spread.
    pub scatter: Vec<ScatterTerm>,
    /// Revisions that are kept.
    pub history_limit: usize,
    /// Annotations that pods get.
    pub patches: Vec<PatchPodMetadata>,
    /// The revision that new pods get instead of the latest: its name, or the user's name of it.
    pub pinned: Option<Pin>,
    /// Whether new pods are not injected.
    pub injection_paused: bool,
    /// Whether pods that cannot be updated in place are evicted (ours, opt-in).
    pub evicts: bool,
    /// Whether pods that are not ready wait for the budget too (ours, opt-in).
    pub cautious: bool,
    /// Whether pods that were not injected are evicted (ours, opt-in).
    pub repairs: bool,
    /// After which time without progress the roll-out counts as stalled (ours, opt-in).
    pub deadline: Option<SignedDuration>,
    /// What flags say.
    pub options: Options,
}

/// A recorded revision that new pods get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pin {
    /// By name.
    pub name: Option<String>,
    /// By the user's name.
    pub version: Option<String>,
}

impl Snapshot {
    /// A member by the key of its pod.
    pub fn member(&self, pod: &ObjectKey) -> Option<&Member> {
        let at = self.members.binary_search_by(|member| member.pod.meta.key.cmp(pod)).ok()?;
        self.members.get(at)
    }

    /// A pod that was not injected, by its key.
    pub fn missed(&self, pod: &ObjectKey) -> Option<&Arc<Pod>> {
        let at = self.missed.binary_search_by(|missed| missed.meta.key.cmp(pod)).ok()?;
        self.missed.get(at)
    }

    /// A revision by name.
    pub fn revision(&self, name: &str) -> Option<&Arc<Revision>> {
        self.revisions.iter().find(|revision| **revision.name() == *name)
    }

    /// The settings and the revision that the spec is; why not, if there are none.
    pub fn registered(&self) -> Result<(&Settings, &Registered), &Invalid> {
        let settings = self.settings.as_ref()?;
        let registered = self.registered.get_or_init(|| Registered::choose(self));
        registered.as_ref().map(|registered| (settings, registered))
    }
}

impl Settings {
    /// Reads the spec of a set; `hashes` are those that count for it.
    pub fn new(set: &SidecarSet, hashes: Hashes, options: Options) -> Result<Self, Invalid> {
        let content = set.content.as_ref().map_err(|problem| invalid("spec", problem))?;
        let spec = &*content.spec;
        let strategy = &spec.update_strategy;
        let not_update = spec.is_not_update();
        let amount = |given: &Option<IntOrString>, default: i32, field: &str| {
            let amount = given.clone().unwrap_or(IntOrString::Int(default));
            if not_update {
                // Nobody asks for it, and nothing of it was validated (VAL-26).
                return Ok(amount);
            }
            let field = format!("spec.updateStrategy.{field}");
            budget::rounded_up(&amount, 100).map_err(|error| invalid(&field, &error))?;
            Ok(amount)
        };
        let asked = |key: &str| set.annotations.get(key).is_some_and(|value| value == "true");
        let limit = spec.revision_history_limit.unwrap_or(10).max(1);
        Ok(Self {
            name: set.meta.key.name.clone(),
            hashes,
            sidecars: sidecars(spec, options),
            fixed_natives: fixed_natives(spec, options),
            listed: content.prepared.listed.clone(),
            not_update,
            paused: strategy.paused,
            selector: selector(spec)?,
            partition: amount(&strategy.partition, 0, "partition")?,
            max_unavailable: amount(&strategy.max_unavailable, 1, "maxUnavailable")?,
            priority: strategy.priority_strategy.clone(),
            scatter: scatter(spec),
            history_limit: usize::try_from(limit).unwrap_or(1),
            patches: spec.patch_pod_metadata.clone(),
            pinned: pinned(spec),
            injection_paused: spec.injection_strategy.paused,
            cautious: asked(keys::SIDECARSET_CAUTIOUS),
            repairs: asked(keys::SIDECARSET_REPAIRS),
            evicts: asked(keys::SIDECARSET_EVICTS),
            deadline: deadline(set)?,
            options,
        })
    }

    /// Whether the labels are those of pods that are updated (UPD-1).
    pub fn selects(&self, labels: &kruise_common::meta::Pairs) -> bool {
        self.selector.as_ref().is_none_or(|selector| selector.matches(labels))
    }

    /// How many of `total` matched pods stay old (UPD-20).
    pub fn kept(&self, total: usize) -> usize {
        budget::partition(&self.partition, total).unwrap_or(total)
    }

    /// How many of `total` matched pods may be unavailable (UPD-21).
    pub fn allowed(&self, total: usize) -> usize {
        budget::rounded_up(&self.max_unavailable, total).unwrap_or(0)
    }
}

fn invalid(field: &str, problem: &impl ToString) -> Invalid {
    Invalid { field: field.to_owned(), problem: problem.to_string() }
}

/// Containers, and native sidecars of which the image is changed in running pods.
fn sidecars(spec: &SidecarSetSpec, options: Options) -> Vec<Sidecar> {
    let natives = spec.init_containers.iter().filter(|container| container.is_native());
    let natives = natives.filter(|_| options.native_updates).map(|container| Sidecar {
        name: container.name.clone(),
        image: container.image.clone(),
        upgrade: Upgrade::Native,
    });
    let ordinary = spec.containers.iter().map(|container| {
        let empty = &container.extensions.upgrade_strategy.hot_upgrade_empty_image;
        Sidecar {
            name: container.name.clone(),
            image: container.image.clone(),
            upgrade: if container.is_hot() { Upgrade::Hot(empty.clone()) } else { Upgrade::Cold },
        }
    });
    natives.chain(ordinary).collect()
}

/// Native sidecars whose images stay as they are in running pods.
fn fixed_natives(spec: &SidecarSetSpec, options: Options) -> Vec<(String, String)> {
    let natives = spec.init_containers.iter().filter(|container| container.is_native());
    let fixed = natives.filter(|_| !options.native_updates);
    fixed.map(|container| (container.name.clone(), container.image.clone())).collect()
}

fn scatter(spec: &SidecarSetSpec) -> Vec<ScatterTerm> {
    let terms = spec.update_strategy.scatter_strategy.iter();
    terms.map(|term| ScatterTerm { key: term.key.clone(), value: term.value.clone() }).collect()
}

/// An empty selector of pods to update selects all of them.
fn selector(spec: &SidecarSetSpec) -> Result<Option<Selector>, Invalid> {
    let Some(selector) = &spec.update_strategy.selector else { return Ok(None) };
    match Selector::new(selector) {
        Ok(selector) => Ok(Some(selector)),
        Err(InvalidSelector::Empty) => Ok(None),
        Err(error) => Err(invalid("spec.updateStrategy.selector", &error)),
    }
}

/// W-43.
fn deadline(set: &SidecarSet) -> Result<Option<SignedDuration>, Invalid> {
    let key = keys::SIDECARSET_DEADLINE;
    let Some(text) = set.annotations.get(key) else { return Ok(None) };
    match text.parse::<u32>() {
        Ok(seconds) if seconds > 0 => Ok(Some(SignedDuration::from_secs(i64::from(seconds)))),
        _ => {
            let problem = format!("{text:?} is no number of seconds above 0");
            Err(invalid(&format!("metadata.annotations[{key}]"), &problem))
        }
    }
}

fn pinned(spec: &SidecarSetSpec) -> Option<Pin> {
    let revision = spec.injection_strategy.revision.as_ref()?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let pin =
        Pin { name: given(&revision.revision_name), version: given(&revision.custom_version) };
    (pin != Pin::default()).then_some(pin)
}
