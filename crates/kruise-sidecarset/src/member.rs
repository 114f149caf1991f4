//! A pod that a set injected, and what is true of its sidecars: matched, updated, carried out, ready (section 18).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use kruise_api::keys;
use kruise_api::shared::inplace::{LastStatus, UpdateState};
use kruise_common::pod::{Container, ContainerStatus, Phase, Pod};
use kruise_inplace::progress::{digest, lags, restarted, seen_by_kubelet, settles};
use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::pair::Pair;
use crate::snapshot::{Settings, Sidecar, Upgrade};

/// A matched pod.
#[expect(clippy::struct_excessive_bools, reason = "facts about one pod, independent of each other")]
#[derive(Clone, Debug)]
pub struct Member {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Whether the recorded hash is the set's (STA-30).
    pub updated: bool,
    /// Why the pod cannot be updated in place; `None` if only images differ (UPD-2).
    pub stuck: Option<Stuck>,
    /// Whether the kubelet has carried out the last change of an image (STA-20).
    pub consistent: bool,
    /// Whether it is ready in the sense of the set (STA-10).
    pub ready: bool,
    /// Whether an earlier update is under way in a container that is ready (UPD-2).
    pub in_flight: bool,
    /// Containers of the set that run an image overtaken, and when each is taken for what is wanted (inplace W27).
    pub overtaken: Vec<(Arc<str>, Timestamp)>,
    /// Whether it belongs to the pods that are updated (UPD-1).
    pub selected: bool,
    /// Twins of its hot sidecars, in the order of the set.
    pub pairs: Vec<Pair>,
    /// Name of the revision that is recorded, if one is.
    pub revision: Option<Arc<str>>,
    /// When it was injected or updated last, as recorded.
    pub changed: Option<Timestamp>,
    /// Whether this set ever updated it in place.
    pub touched: bool,
    /// What the condition of the pod says of this set (CND-1).
    pub said: Option<bool>,
}

/// Why a pod cannot be updated in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stuck {
    /// More than images differs (UPD-3).
    MoreThanImages,
    /// The image of a native sidecar differs, and those are not updated.
    NativeSidecar,
}

impl Stuck {
    /// Its name in the condition of the set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MoreThanImages => "MoreThanImages",
            Self::NativeSidecar => "NativeSidecar",
        }
    }
}

impl Member {
    /// The facts about `pod`, or `None` if it lacks a container of the set (STA-2).
    pub fn new(pod: &Arc<Pod>, settings: &Settings) -> Option<Self> {
        let set = &*settings.name;
        let working = working(pod);
        let state = state(pod, set);
        let done = |container: &Container, status: &ContainerStatus| {
            carried_out(pod, container, status, state.as_ref())
        };
        let mut pairs = Vec::new();
        for sidecar in &settings.sidecars {
            match &sidecar.upgrade {
                Upgrade::Cold => drop(pod.container(&sidecar.name)?),
                Upgrade::Native => drop(native(pod, &sidecar.name)?),
                Upgrade::Hot(empty) => {
                    let working = working.get(sidecar.name.as_str())?;
                    pairs.push(Pair::new(pod, sidecar, (empty, working), &done)?);
                }
            }
        }
        let hash = record(pod, keys::SIDECARSET_HASH, set);
        let recorded = hash.as_ref().map_or("", |record| &record.hash);
        let updated = recorded == settings.hashes.full;
        let running = checked(pod, &settings.sidecars);
        let complete = pod.containers.len() == pod.statuses.len();
        let consistent =
            complete && running.clone().all(|(container, status)| done(container, status));
        let in_flight = !updated
            && running.clone().any(|(container, status)| status.ready && !done(container, status));
        Some(Self {
            updated,
            stuck: if updated { None } else { stuck(pod, settings) },
            consistent,
            ready: ready(pod) && pairs.iter().all(Pair::rests),
            in_flight,
            overtaken: overtaken(pod, running, state.as_ref()),
            selected: settings.selects(&pod.meta.labels),
            changed: hash.as_ref().and_then(|record| record.updated.as_ref()?.parse().ok()),
            revision: hash.and_then(|record| record.revision).map(Arc::from),
            touched: state.is_some(),
            said: said(pod, set),
            pairs,
            pod: pod.clone(),
        })
    }

    /// Whether it counts as unavailable (UPD-21): old pods never do.
    pub fn unavailable(&self) -> bool {
        self.updated && !(self.consistent && self.ready)
    }

    /// Whether the old sides of its hot upgrades may be reset: every other container of the set is carried out, and the
    /// pod is ready, or everything in it but the old sides is (HOT-20, HOT-23).
    pub fn settled(&self, settings: &Settings) -> bool {
        let old = |name: &str| self.pairs.iter().any(|pair| *pair.other.name == *name);
        let state = state(&self.pod, &settings.name);
        let mut others =
            checked(&self.pod, &settings.sidecars).filter(|(container, _)| !old(&container.name));
        let done = others
            .all(|(container, status)| carried_out(&self.pod, container, status, state.as_ref()));
        let complete = self.pod.containers.len() == self.pod.statuses.len();
        let mut rest = self.pod.statuses.iter().filter(|status| !old(&status.name));
        complete && done && (ready(&self.pod) || rest.all(|status| status.ready))
    }

    /// Containers whose last update is over and of which only its time tells: OpenKruise records no container ID.
    pub fn told_by_time<'a>(&'a self, settings: &'a Settings) -> BTreeSet<&'a str> {
        let state = state(&self.pod, &settings.name);
        let told = checked(&self.pod, &settings.sidecars).filter(|(container, status)| {
            let last = state.as_ref().and_then(|state| recorded(state, container));
            last.is_some_and(|last| last.container_id.is_empty())
                && carried_out(&self.pod, container, status, state.as_ref())
        });
        told.map(|(container, _)| &*container.name).collect()
    }
}

/// Running, ready and not being removed (STA-10b).
fn ready(pod: &Pod) -> bool {
    pod.ready() && !pod.terminating()
}

/// Whether the pod counts at all: not ended, not being removed (STA-1).
pub fn active(pod: &Pod) -> bool {
    !matches!(pod.phase, Phase::Succeeded | Phase::Failed) && !pod.terminating()
}

/// A native sidecar with its index.
pub fn native<'a>(pod: &'a Pod, name: &str) -> Option<(usize, &'a Container)> {
    let mut containers = pod.init_containers.iter().enumerate();
    containers.find(|(_, container)| container.native && *container.name == *name)
}

/// The status of a native sidecar with its index.
pub fn native_status<'a>(pod: &'a Pod, name: &str) -> Option<(usize, &'a ContainerStatus)> {
    pod.init_statuses.iter().enumerate().find(|(_, status)| *status.name == *name)
}

/// The set's containers in the pod with their statuses; of both twins, for hot ones.
fn checked<'a>(
    pod: &'a Pod,
    sidecars: &'a [Sidecar],
) -> impl Iterator<Item = (&'a Container, &'a ContainerStatus)> + Clone {
    sidecars.iter().flat_map(move |sidecar| {
        let names = match sidecar.upgrade {
            Upgrade::Hot(_) => crate::containers::twins(&sidecar.name).map(Some),
            Upgrade::Cold | Upgrade::Native => [Some(sidecar.name.clone()), None],
        };
        names.into_iter().flatten().filter_map(move |name| match sidecar.upgrade {
            Upgrade::Native => Some((native(pod, &name)?.1, native_status(pod, &name)?.1)),
            Upgrade::Cold | Upgrade::Hot(_) => {
                Some((pod.container(&name)?.1, pod.status(&name)?.1))
            }
        })
    })
}

/// Whether the kubelet runs what the last in-place update asked for. A digest in the spec that the runtime reports is
/// proof if it did not run before; otherwise the container must have been restarted since the update (STA-20, W-10).
fn carried_out(
    pod: &Pod,
    container: &Container,
    status: &ContainerStatus,
    state: Option<&UpdateState>,
) -> bool {
    let Some((state, last)) = state.and_then(|state| Some((state, recorded(state, container)?)))
    else {
        return true;
    };
    match (digest(&container.image), digest(&status.image_id)) {
        // A container that got its image back may yet be restarted twice (inplace W27).
        (Some(wanted), Some(running))
            if wanted == running && !last.may_stay && digest(&last.image_id) != Some(running) =>
        {
            true
        }
        _ => restarted(pod, (Some(container), status), last, state),
    }
}

fn recorded<'a>(state: &'a UpdateState, container: &Container) -> Option<&'a LastStatus> {
    state.last_container_statuses.as_ref()?.get(&*container.name)
}

/// Containers that run an image overtaken, and when each is taken for what is wanted.
fn overtaken<'a>(
    pod: &Pod,
    running: impl Iterator<Item = (&'a Container, &'a ContainerStatus)>,
    state: Option<&UpdateState>,
) -> Vec<(Arc<str>, Timestamp)> {
    // A kubelet that has not seen the last change may yet act on it.
    let Some(state) = state.filter(|_| seen_by_kubelet(pod)) else { return Vec::new() };
    let overtaken = running.filter_map(|(container, status)| {
        let last = recorded(state, container)?;
        let runs = lags(Some(container), status, last, state);
        Some((container.name.clone(), settles(pod, status, last).filter(|_| runs)?))
    });
    overtaken.collect()
}

/// What this set recorded of its in-place updates; unreadable records count as none, the next update writes them anew.
pub fn state(pod: &Pod, set: &str) -> Option<UpdateState> {
    let text = pod.annotations.get(keys::SIDECARSET_INPLACE_UPDATE_STATE)?;
    serde_json::from_str(entry(text, set)?.get()).ok()
}

/// The member of a JSON object that bears this name. Nothing else is kept: pods are many, and so are sets in one.
fn entry<'a>(text: &'a str, name: &str) -> Option<&'a RawValue> {
    let mut source = serde_json::Deserializer::from_str(text);
    let found = source.deserialize_map(EntryOf(name)).ok()?;
    source.end().ok()?;
    found
}

struct EntryOf<'n>(&'n str);

impl<'de> Visitor<'de> for EntryOf<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Name(name)) = map.next_key()? {
            if name == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A name that is copied only if it is written with escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Which twins work, by sidecar.
fn working(pod: &Pod) -> BTreeMap<Cow<'_, str>, Cow<'_, str>> {
    let text = pod.annotations.get(keys::SIDECARSET_WORKING_CONTAINER);
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// What a pod records of its injection by a set.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    hash: Cow<'a, str>,
    #[serde(borrow, rename = "controllerRevision")]
    revision: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "updateTimestamp")]
    updated: Option<Cow<'a, str>>,
}

/// The record of `set` in an annotation, in the present or the older form (INJ-62).
fn record<'a>(pod: &'a Pod, key: &str, set: &str) -> Option<Record<'a>> {
    let text = pod.annotations.get(key)?;
    let entry = entry(text, set)?;
    if let Ok(record) = serde_json::from_str(entry.get()) {
        return Some(record);
    }
    let hash: String = serde_json::from_str(entry.get()).ok()?;
    Some(Record { hash: Cow::Owned(hash), ..Record::default() })
}

/// Whether the hash that a pod records of the set is the one that counts (STA-30).
pub fn is_updated(pod: &Pod, settings: &Settings) -> bool {
    let record = record(pod, keys::SIDECARSET_HASH, &settings.name);
    record.is_some_and(|record| record.hash == settings.hashes.full)
}

/// Why an outdated pod cannot follow in place.
fn stuck(pod: &Pod, settings: &Settings) -> Option<Stuck> {
    let without_image = record(pod, keys::SIDECARSET_HASH_WITHOUT_IMAGE, &settings.name);
    let recorded = without_image.as_ref().map_or("", |record| &record.hash);
    if recorded != settings.hashes.without_image {
        return Some(Stuck::MoreThanImages);
    }
    // Without this a pod would be recorded as updated while the old image runs on.
    let other = settings.fixed_natives.iter().any(|(name, image)| {
        native(pod, name).is_some_and(|(_, container)| *container.image != **image)
    });
    other.then_some(Stuck::NativeSidecar)
}

/// What the condition says of a set.
fn said(pod: &Pod, set: &str) -> Option<bool> {
    says(pod)?.get(set).copied()
}

/// What the condition says, by set (CND-1).
fn says(pod: &Pod) -> Option<BTreeMap<Cow<'_, str>, bool>> {
    let message = pod.condition(keys::SIDECARSET_UPGRADABLE)?.message.as_deref()?;
    serde_json::from_str(message).ok()
}

/// Sets of which the condition says that they cannot update the pod; none where it is true.
pub fn accused(pod: &Pod) -> Vec<Cow<'_, str>> {
    if pod.condition(keys::SIDECARSET_UPGRADABLE).is_none_or(|condition| condition.status) {
        return Vec::new();
    }
    let said = says(pod).unwrap_or_default().into_iter();
    said.filter_map(|(name, upgradable)| (!upgradable).then_some(name)).collect()
}

/// Whether the set injected into the pod.
pub fn injected(pod: &Pod, set: &str) -> bool {
    pod.injected.iter().any(|name| **name == *set)
}
