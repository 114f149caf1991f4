//! Which sets a new pod gets, and which revision of each (sidecarset §11, §12).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_api::keys;
use kruise_api::shared::selector::{InvalidSelector, Labels, Selector};
use kruise_api::sidecarset::v1beta1::{InjectedRevision, PARTIAL, SidecarSetSpec};
use kruise_common::meta::Pairs;
use kruise_common::revision::Revision;

use crate::containers::Entries;
use crate::hash::Hashes;
use crate::matching::{Reach, replaced};
use crate::object::{Content, SidecarSet};
use crate::prepared::Prepared;
use crate::recorded::Library;
use crate::revision::{self, Unusable};

/// A pod that is about to be created, as far as sets ask.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer<'a> {
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: &'a BTreeMap<String, String>,
    /// Its namespace.
    pub namespace: &'a str,
    /// The labels of that namespace, if they are known.
    pub namespace_labels: Option<&'a Pairs>,
}

/// A number from 0 to 1 for a set and one of its revisions.
pub type Chance<'a> = &'a dyn Fn(&str, &str) -> f64;

/// What the cluster holds, and the draw of lots.
#[derive(Clone, Copy)]
pub struct Offer<'a> {
    /// The sets that may be about the pod, by name; others among them do no harm.
    pub sets: &'a [Arc<SidecarSet>],
    /// The revisions of the named set; others among them do no harm.
    pub revisions: &'a dyn Fn(&str) -> Vec<Arc<Revision>>,
    /// Revisions that were read before.
    pub library: &'a Library,
    /// Pods may say which sets they do without (W-47).
    pub opt_out: bool,
    /// A number from 0 to 1 for the named set and revision (REV-7).
    pub chance: Chance<'a>,
    /// Now, for records of the same request.
    pub now: Timestamp,
}

/// A set that is injected, in the revision that was chosen.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Name of the set.
    pub set: Arc<str>,
    /// What is injected.
    pub prepared: Arc<Prepared>,
    /// The hashes of that revision (INJ-61).
    pub hashes: Hashes,
    /// Name of that revision (REV-10).
    pub revision: String,
    /// Whether it is a recorded one that the set names.
    pub recorded: bool,
    /// What the set asks for besides its spec.
    pub asks: Asks,
}

/// What annotations of a set ask for at injection (W-19).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Its containers may mount volumes that only the pod has.
    pub pod_volumes: bool,
    /// Its containers share with the pod's init containers too.
    pub from_init: bool,
}

impl Asks {
    fn of(set: &SidecarSet) -> Self {
        let asked = |key: &str| set.annotations.get(key).is_some_and(|value| value == "true");
        Self {
            pod_volumes: asked(keys::SIDECARSET_POD_VOLUMES),
            from_init: asked(keys::SIDECARSET_SHARES_FROM_INIT),
        }
    }
}

/// Whether a pod does without the set by its own wish (W-47), which counts where the controller allows it.
pub fn skips(annotations: &impl Labels, set: &str) -> bool {
    let said = annotations.label(keys::SIDECARSET_SKIP).unwrap_or_default();
    said.split(',').map(str::trim).any(|name| name == "*" || name == set)
}

/// Why a pod cannot be created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Whether a set is about the pod depends on labels of its namespace that have not arrived yet (W-5).
    #[error("sidecarset {set}: the labels of namespace {namespace} are not known yet; try again")]
    UnknownNamespace {
        /// The set.
        set: String,
        /// The namespace.
        namespace: String,
    },
    /// The revision that a set names cannot be used (REV-2).
    #[error("sidecarset {set}: {why}")]
    Revision {
        /// The set.
        set: String,
        /// What is wrong.
        why: String,
    },
    /// It is no pod (WHK-10).
    #[error("pod: {0}")]
    Unreadable(String),
    /// Anything else that makes injection impossible.
    #[error("{0}")]
    Other(String),
}

impl Refusal {
    /// The word for the metric.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::UnknownNamespace { .. } => "refused-namespace",
            Self::Revision { .. } => "refused-revision",
            Self::Unreadable(_) => "unreadable",
            Self::Other(_) => "refused",
        }
    }

    /// The pod cannot be read as one.
    pub fn unreadable(error: &serde_json::Error) -> Self {
        Self::Unreadable(error.to_string())
    }

    fn revision(set: &str, why: &dyn fmt::Display) -> Self {
        Self::Revision { set: set.to_owned(), why: why.to_string() }
    }
}

/// The sets that a pod gets, by name (SEL-1…SEL-9).
pub fn choose(pod: &Newcomer<'_>, offer: &Offer<'_>) -> Result<Vec<Chosen>, Refusal> {
    let mut matched: Vec<(&Arc<SidecarSet>, &Content)> = Vec::new();
    for set in offer.sets {
        // A set that cannot be read must not stop every pod of the cluster; its own status says what is wrong.
        let Ok(content) = &set.content else { continue };
        if content.spec.injection_strategy.paused || !content.matcher.selects(pod.labels) {
            continue;
        }
        if offer.opt_out && skips(pod.annotations, set.name()) {
            continue;
        }
        match content.matcher.reach(pod.namespace, pod.namespace_labels) {
            Reach::Inside => matched.push((set, content)),
            Reach::Outside => {}
            Reach::Unknown => {
                let (set, namespace) = (set.name().to_owned(), pod.namespace.to_owned());
                return Err(Refusal::UnknownNamespace { set, namespace });
            }
        }
    }
    let bases = replaced(matched.iter().map(|(set, _)| &***set));
    let mut chosen = Vec::new();
    for (set, content) in matched.iter().filter(|(set, _)| !bases.contains(set.name())) {
        chosen.push(revision_for(set, content, pod, offer)?);
    }
    chosen.sort_by(|a, b| a.set.cmp(&b.set));
    Ok(chosen)
}

/// REV-1…REV-10.
fn revision_for(
    set: &SidecarSet,
    content: &Content,
    pod: &Newcomer<'_>,
    offer: &Offer<'_>,
) -> Result<Chosen, Refusal> {
    let name = set.meta.key.name.clone();
    let uid = &set.meta.uid;
    let latest = || Chosen {
        set: name.clone(),
        prepared: content.prepared.clone(),
        hashes: content.hashes(uid, || (offer.revisions)(set.name()), offer.library),
        revision: latest_revision(set, &content.spec),
        recorded: false,
        asks: Asks::of(set),
    };
    let Some(wanted) = named(&content.spec) else { return Ok(latest()) };
    let revisions = (offer.revisions)(set.name());
    let found = revision::find(
        set.name(),
        wanted.revision_name.as_deref(),
        wanted.custom_version.as_deref(),
        &revisions,
    );
    let found = found.map_err(|why: Unusable| Refusal::revision(set.name(), &why))?;
    // Read in any case: of the pods of a set none is to depend on its lot for being created (REV-2).
    let recorded = offer.library.recorded(found);
    let recorded = recorded.map_err(|why| Refusal::revision(set.name(), &why))?;
    if !gets_recorded(set, (content, wanted), pod, &recorded.name, offer)? {
        return Ok(latest());
    }
    Ok(Chosen {
        set: name,
        prepared: recorded.prepared.clone(),
        hashes: recorded.hashes.clone(),
        revision: recorded.name.to_string(),
        recorded: true,
        asks: Asks::of(set),
    })
}

/// The recorded revision that a set names; it may name none.
pub fn named(spec: &SidecarSetSpec) -> Option<&InjectedRevision> {
    let revision = spec.injection_strategy.revision.as_ref()?;
    (revision.revision_name.is_some() || revision.custom_version.is_some()).then_some(revision)
}

/// The name of the revision that equals the spec. The status lags behind a change; the name follows from the spec.
fn latest_revision(set: &SidecarSet, spec: &SidecarSetSpec) -> String {
    let known = set.status.latest_revision.clone().unwrap_or_default();
    let current = set.status.observed_generation == Some(set.meta.generation);
    if current && !known.is_empty() {
        return known;
    }
    let count = set.status.collision_count.unwrap_or(0);
    revision::data(spec).map(|data| revision::name(set.name(), &data, count)).unwrap_or(known)
}

/// Whether a pod gets the recorded revision (REV-4…REV-7).
fn gets_recorded(
    set: &SidecarSet,
    (content, wanted): (&Content, &InjectedRevision),
    pod: &Newcomer<'_>,
    recorded: &str,
    offer: &Offer<'_>,
) -> Result<bool, Refusal> {
    let strategy = &content.spec.update_strategy;
    if strategy.paused || wanted.policy.as_deref() != Some(PARTIAL) {
        return Ok(true);
    }
    if let Some(selector) = &strategy.selector {
        let matches = match Selector::new(selector) {
            Ok(selector) => selector.matches(pod.labels),
            Err(InvalidSelector::Empty) => true,
            Err(error) => return Err(Refusal::revision(set.name(), &error)),
        };
        if !matches {
            return Ok(true);
        }
    }
    let Some(IntOrString::String(text)) = &strategy.partition else { return Ok(false) };
    // More than a number holds is all of them, too.
    let digits = text.strip_suffix('%').filter(|it| it.bytes().all(|digit| digit.is_ascii_digit()));
    let percent = digits.and_then(|digits| digits.parse::<f64>().ok());
    let Some(percent) = percent else {
        let why = format!("updateStrategy.partition: {text:?} is not a percentage");
        return Err(Refusal::revision(set.name(), &why));
    };
    // A second look at the same pod (re-invocation) must not throw the dice again; what a copied pod had decides nothing.
    let entries = Entries::just_now(pod.annotations, offer.now);
    if let Some(before) = entries.revision(set.name()) {
        if before == recorded {
            return Ok(true);
        }
        if before == latest_revision(set, &content.spec) {
            return Ok(false);
        }
    }
    Ok((offer.chance)(set.name(), recorded) < percent / 100.0)
}
