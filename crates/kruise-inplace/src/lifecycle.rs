//! The state machine of lifecycle hooks (§13): where a pod stands, and what may be done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use kruise_api::keys;
use kruise_api::raw::RawJson;
use kruise_api::shared::inplace::rfc3339;
use kruise_api::shared::readiness::{PRE_DELETE, PRE_UPDATE};
use kruise_api::statefulset::v1beta1::{Lifecycle, LifecycleHook};
use kruise_common::kind::POD;
use kruise_common::pod::Pod;
use kruise_common::write::{Operations, Write};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::conditions;
use crate::diff::{Change, MetadataChange};
use crate::metadata;
use crate::progress::{Missing, Progress, progress};
use crate::state::update_state;

/// Where a pod stands at its hooks.
///
/// ```text
///              created, or adopted without a state: none is ever given
///                 │                                  │
///                 ▼                                  ▼
///  ┌──── PreparingNormal ──(all preNormal markers)─► Normal ◄──────────────────────┐
///  │              │                                  │  ▲ ▲                        │
///  │              └───────────────┬──────────────────┘  │ └───(no hook, or all     │
///  │   in-place update wanted:    │                     │      markers: finished)──┤
///  │                              │                     │                          │
///  │      inPlaceUpdate markers   │   no markers        │ not wanted any more      │ all markers
///  │            on the pod ┌──────┴──────┐              │ (rolled back, cancelled) │ are back
///  │                       ▼             ▼              │                          │
///  │              PreparingUpdate ──► Updating ──(finished, markers missing)──► Updated
///  │                  ▲   │  (markers    ▲                                         │
///  │                  │   │   gone)      └───────── (newer update, no hook) ───────┤
///  │                  │   └─► Normal, Updated: already at the update revision      │
///  │                  └───────────────── (newer update: markers are put back) ─────┘
///  ▼
///  any state ──(to be deleted, preDelete markers on the pod)──► PreparingDelete ──(markers gone)──► deleted
///                   (not wanted any more)──► Normal, or what it waits for: Updating, Updated, PreparingNormal
/// ```
///
/// An update that is not wanted any more leads back to `PreparingNormal` where it had been announced from there. What
/// restarts nothing (metadata, a resize in place) leaves `Normal` and `PreparingNormal` as they are. The table of
/// every state with every set of markers is `tests/golden/lifecycle.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No state, or an empty one: not given one ever (IP-19), and otherwise like `Normal`.
    None,
    /// The `preNormal` hook has not let it go.
    PreparingNormal,
    /// At nobody's disposal but its users'.
    Normal,
    /// An update is announced to the `inPlaceUpdate` hook.
    PreparingUpdate,
    /// It is updated.
    Updating,
    /// It was updated; the hook has not let it go.
    Updated,
    /// Its deletion is announced to the `preDelete` hook.
    PreparingDelete,
    /// A state that we do not know.
    Unknown,
}

/// A hook that holds a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookPending {
    /// Name of the hook.
    pub hook: &'static str,
    /// Markers that hold it.
    pub markers: String,
}

impl fmt::Display for HookPending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.hook, self.markers)
    }
}

/// May the pod be updated now?
#[derive(Clone, Debug, PartialEq)]
pub enum UpdateGate {
    /// Yes.
    Proceed,
    /// A hook holds it, and knows.
    Wait(HookPending),
    /// A hook holds it and is to be told with these writes.
    Mark(Vec<Write>),
    /// Not in this state.
    NotAllowed(Missing),
}

/// May the pod be deleted now?
#[derive(Clone, Debug, PartialEq)]
pub enum DeleteGate {
    /// Yes.
    Delete,
    /// A hook holds it, and knows.
    Wait(HookPending),
    /// A hook holds it and is to be told with these writes.
    Mark(Vec<Write>),
}

impl State {
    /// Where a pod stands.
    pub fn of(pod: &Pod) -> Self {
        match state(pod) {
            "" => Self::None,
            "PreparingNormal" => Self::PreparingNormal,
            "Normal" => Self::Normal,
            "PreparingUpdate" => Self::PreparingUpdate,
            "Updating" => Self::Updating,
            "Updated" => Self::Updated,
            "PreparingDelete" => Self::PreparingDelete,
            _ => Self::Unknown,
        }
    }
}

/// The lifecycle state of a pod as it is written, empty if it has none.
pub fn state(pod: &Pod) -> &str {
    pod.meta.labels.get(keys::LIFECYCLE_STATE).unwrap_or_default()
}

/// The time of a state change as it is written.
pub fn timestamp(now: Timestamp) -> String {
    rfc3339(now)
}

/// Markers of `hook` that are on the pod (P-11: any of them holds it).
fn markers_on(hook: &LifecycleHook, pod: &Pod) -> Vec<String> {
    let labels = hook.labels_handler.iter();
    let labels = labels.filter(|(k, v)| pod.meta.labels.get(k) == Some(v.as_str()));
    let finalizers = hook.finalizers_handler.iter();
    let finalizers = finalizers.filter(|f| pod.meta.finalizers.iter().any(|on| **on == ***f));
    labels
        .map(|(k, v)| format!("label {k}={v}"))
        .chain(finalizers.map(|f| format!("finalizer {f}")))
        .collect()
}

/// Whether every marker of `hook` is on the pod (P-12).
pub(crate) fn all_on(hook: &LifecycleHook, pod: &Pod) -> bool {
    markers_on(hook, pod).len() == hook.labels_handler.len() + hook.finalizers_handler.len()
}

fn holding(hook: Option<&LifecycleHook>, name: &'static str, pod: &Pod) -> Option<HookPending> {
    let markers = markers_on(hook?, pod);
    (!markers.is_empty()).then(|| HookPending { hook: name, markers: markers.join(", ") })
}

/// The update that is announced to a hook, for whoever has to let the pod go (W-23 of the set).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced<'a> {
    /// Name of the target revision.
    pub revision: &'a str,
    /// Containers that will be restarted or resized.
    pub containers: Vec<&'a str>,
}

impl<'a> Announced<'a> {
    /// What `change` means for the containers of a pod.
    pub fn new(revision: &'a str, change: &'a Change) -> Self {
        let names = change.images.keys().chain(change.env.keys()).chain(change.resources.keys());
        let containers: BTreeSet<&str> = names.map(String::as_str).collect();
        Self { revision, containers: containers.into_iter().collect() }
    }

    fn text(&self, from: Option<&str>) -> String {
        let Self { revision, ref containers } = *self;
        serde_json::to_string(&Told { revision, containers, from }).unwrap_or_default()
    }
}

/// What a hook is told.
#[derive(Serialize)]
struct Told<'a> {
    revision: &'a str,
    containers: &'a [&'a str],
    /// The state to which the pod goes back if nothing comes of the update, unless that is the ordinary one.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
}

/// The state that a pod left when its update was announced, if it had not been let in. Pods that OpenKruise announced say
/// nothing.
fn left(pod: &Pod) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Known {
        from: Option<String>,
    }
    let told = pod.annotations.get(keys::INPLACE_UPDATE_ANNOUNCED)?;
    let known: Known = serde_json::from_str(told).ok()?;
    (known.from? == PREPARING_NORMAL).then_some(PREPARING_NORMAL)
}

const PREPARING_NORMAL: &str = "PreparingNormal";

/// May the pod be updated in place now (13.3)? A hook that is told of it is told what is announced.
pub fn before_update(
    pod: &Pod,
    lifecycle: Option<&Lifecycle>,
    announced: &Announced<'_>,
    now: Timestamp,
) -> UpdateGate {
    let hook = lifecycle.and_then(|lifecycle| lifecycle.in_place_update.as_ref());
    let pending = holding(hook, "inPlaceUpdate", pod);
    match State::of(pod) {
        State::None | State::PreparingNormal | State::Normal => match (pending, hook) {
            (Some(_), Some(hook)) => {
                UpdateGate::Mark(prepare_update(pod, (hook, false), announced, now))
            }
            _ => UpdateGate::Proceed,
        },
        State::PreparingUpdate => match pending {
            None => UpdateGate::Proceed,
            Some(_) if told_otherwise(pod, announced) => UpdateGate::Mark(tell(pod, announced)),
            Some(pending) => UpdateGate::Wait(pending),
        },
        State::Updating => UpdateGate::Proceed,
        State::Updated => match hook {
            Some(hook) => UpdateGate::Mark(prepare_update(pod, (hook, true), announced, now)),
            None => UpdateGate::Proceed,
        },
        State::PreparingDelete | State::Unknown => {
            UpdateGate::NotAllowed(Missing::Lifecycle { state: state(pod).to_owned() })
        }
    }
}

/// May the pod be deleted now (M-30)?
pub fn before_delete(pod: &Pod, lifecycle: Option<&Lifecycle>, now: Timestamp) -> DeleteGate {
    let hook = lifecycle.and_then(|lifecycle| lifecycle.pre_delete.as_ref());
    let (Some(pending), Some(hook)) = (holding(hook, "preDelete", pod), hook) else {
        return DeleteGate::Delete;
    };
    if State::of(pod) == State::PreparingDelete {
        return DeleteGate::Wait(pending);
    }
    let falling = falling(pod, hook, PRE_DELETE, now);
    DeleteGate::Mark(vec![enter(pod, "PreparingDelete", falling, &untold(pod), now)])
}

/// Whether the hook was told of another update than this one. Pods that OpenKruise announced say nothing.
fn told_otherwise(pod: &Pod, announced: &Announced<'_>) -> bool {
    pod.annotations
        .get(keys::INPLACE_UPDATE_ANNOUNCED)
        .is_some_and(|told| told != announced.text(left(pod)))
}

/// Tells the hook of another update, while it holds the pod.
fn tell(pod: &Pod, announced: &Announced<'_>) -> Vec<Write> {
    let told = ["metadata", "annotations", keys::INPLACE_UPDATE_ANNOUNCED];
    let operations = Operations::default()
        .test(&["metadata", "labels", keys::LIFECYCLE_STATE], state(pod))
        .test(&told, pod.annotations.get(keys::INPLACE_UPDATE_ANNOUNCED))
        .add(&told, announced.text(left(pod)));
    vec![Write::json(&POD, &pod.meta, operations)]
}

/// Takes away what a hook was told of an update, which counts as long as the pod waits for the hook (W-23).
pub(crate) fn untold(pod: &Pod) -> MetadataChange {
    let key = keys::INPLACE_UPDATE_ANNOUNCED;
    let told = pod.annotations.get(key).map(|_| (key.to_owned(), None));
    MetadataChange { annotations: told.into_iter().collect(), ..MetadataChange::default() }
}

/// `PreparingUpdate`; with `handler` the hook's markers are put back in the same write, so that it can hold again.
fn prepare_update(
    pod: &Pod,
    (hook, handler): (&LifecycleHook, bool),
    announced: &Announced<'_>,
    now: Timestamp,
) -> Vec<Write> {
    let falling = falling(pod, hook, PRE_UPDATE, now);
    let mut markers = if handler { markers(hook) } else { MetadataChange::default() };
    let from = (State::of(pod) == State::PreparingNormal).then_some(PREPARING_NORMAL);
    let told = Some(announced.text(from));
    markers.annotations.insert(keys::INPLACE_UPDATE_ANNOUNCED.to_owned(), told);
    vec![enter(pod, "PreparingUpdate", falling, &markers, now)]
}

/// The markers of a hook as metadata.
fn markers(hook: &LifecycleHook) -> MetadataChange {
    let labels = hook.labels_handler.iter();
    MetadataChange {
        labels: labels.map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
        finalizers_added: hook.finalizers_handler.clone(),
        ..MetadataChange::default()
    }
}

/// The condition that takes the pod out of traffic, if the hook asks for that and it is not so already.
fn falling(pod: &Pod, hook: &LifecycleHook, key: &str, now: Timestamp) -> Option<Value> {
    hook.mark_pod_not_ready.then(|| conditions::block(pod, key, now)).flatten()
}

/// Takes back what was announced to a hook, since it is not wanted any more: the pod serves again (W-2, W-34). The hook
/// gets its markers back, so that it can hold the pod the next time.
pub fn cancel(pod: &Pod, lifecycle: Option<&Lifecycle>, now: Timestamp) -> Vec<Write> {
    let (next, blocker, markers) = match State::of(pod) {
        State::PreparingDelete => {
            let hook = lifecycle.and_then(|lifecycle| lifecycle.pre_delete.as_ref());
            let markers = hook.map(markers).unwrap_or_default();
            (resumed(pod, lifecycle, &markers), PRE_DELETE, markers)
        }
        State::PreparingUpdate => {
            let hook = lifecycle.and_then(|lifecycle| lifecycle.in_place_update.as_ref());
            let markers = hook.map(markers).unwrap_or_default();
            let markers = MetadataChange { annotations: untold(pod).annotations, ..markers };
            (restored(pod, lifecycle, &markers), PRE_UPDATE, markers)
        }
        _ => return Vec::new(),
    };
    let rising = conditions::unblock(pod, blocker, now);
    vec![enter(pod, next, rising, &markers, now)]
}

/// Where a pod goes on whose deletion is called off with these markers put back: an update that was under way has its end
/// yet, and a hook that has not let go of the pod is waited for (L-9).
fn resumed(pod: &Pod, lifecycle: Option<&Lifecycle>, markers: &MetadataChange) -> &'static str {
    let hook = lifecycle.and_then(|all| all.in_place_update.as_ref());
    let updated = matches!(update_state(pod), Ok(Some(_)));
    if updated && progress(pod) != Progress::Complete {
        "Updating"
    } else if updated && hook.is_some_and(|hook| !all_with(hook, pod, markers)) {
        "Updated"
    } else {
        let_in(pod, lifecycle, markers)
    }
}

/// Where a pod goes on whose update is called off with these markers put back: a `preNormal` hook that has not let it in is
/// waited for again.
fn restored(pod: &Pod, lifecycle: Option<&Lifecycle>, markers: &MetadataChange) -> &'static str {
    let hook = lifecycle.and_then(|all| all.pre_normal.as_ref());
    let waits = hook.is_some_and(|hook| !all_with(hook, pod, markers));
    left(pod).filter(|_| waits).unwrap_or("Normal")
}

/// `Normal`, unless the pod was never updated and its `preNormal` hook has not let it in yet.
fn let_in(pod: &Pod, lifecycle: Option<&Lifecycle>, markers: &MetadataChange) -> &'static str {
    let updated = matches!(update_state(pod), Ok(Some(_)));
    let hook = lifecycle.and_then(|all| all.pre_normal.as_ref());
    let waits = !updated && hook.is_some_and(|hook| !all_with(hook, pod, markers));
    if waits { "PreparingNormal" } else { "Normal" }
}

/// Whether every marker of `hook` is on the pod once these are.
fn all_with(hook: &LifecycleHook, pod: &Pod, markers: &MetadataChange) -> bool {
    let labelled = |(key, value): (&String, &String)| {
        let new = markers.labels.get(key).and_then(Option::as_deref);
        new.or_else(|| pod.meta.labels.get(key)) == Some(value.as_str())
    };
    let held = |finalizer: &String| {
        let known = pod.meta.finalizers.iter().any(|known| **known == **finalizer);
        known || markers.finalizers_added.contains(finalizer)
    };
    hook.labels_handler.iter().all(labelled) && hook.finalizers_handler.iter().all(held)
}

/// Whether the hook to which the pod was announced still holds it.
pub fn held(pod: &Pod, lifecycle: Option<&Lifecycle>) -> bool {
    let hook = match State::of(pod) {
        State::PreparingUpdate => lifecycle.and_then(|all| all.in_place_update.as_ref()),
        State::PreparingDelete => lifecycle.and_then(|all| all.pre_delete.as_ref()),
        _ => None,
    };
    holding(hook, "", pod).is_some()
}

/// The write that leaves the state that was seen for another; a condition rides along on the status subresource (§22.1).
fn enter(
    pod: &Pod,
    next: &str,
    condition: Option<Value>,
    markers: &MetadataChange,
    now: Timestamp,
) -> Write {
    let operations = metadata::with_labels(pod, Operations::default());
    let path = ["metadata", "labels", keys::LIFECYCLE_STATE];
    let operations = operations.test(&path, pod.meta.labels.get(keys::LIFECYCLE_STATE));
    let operations = metadata::with_annotations(pod, operations);
    let operations = metadata::apply(pod, operations, markers)
        .add(&path, next)
        .add(&["metadata", "annotations", keys::LIFECYCLE_TIMESTAMP], timestamp(now));
    let Some(condition) = condition else { return Write::json(&POD, &pod.meta, operations) };
    let falls = condition.get("status").and_then(Value::as_str) == Some("False");
    let operations = if falls {
        conditions::fall(pod, operations, condition, now)
    } else {
        conditions::put(pod, operations, vec![condition])
    };
    Write::json_status(&POD, &pod.meta, operations)
}

/// The state of a new pod (M-11b): `PreparingNormal` until every marker of the `preNormal` hook is on it.
pub fn initial_state(lifecycle: Option<&Lifecycle>, template: &RawJson) -> &'static str {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Template {
        metadata: Option<Marked>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Marked {
        labels: Option<BTreeMap<String, String>>,
        finalizers: Option<Vec<String>>,
    }
    let Some(hook) = lifecycle.and_then(|lifecycle| lifecycle.pre_normal.as_ref()) else {
        return "Normal";
    };
    let marked = template.parse::<Template>().unwrap_or_default().metadata.unwrap_or_default();
    let (labels, finalizers) =
        (marked.labels.unwrap_or_default(), marked.finalizers.unwrap_or_default());
    let labelled = hook.labels_handler.iter().all(|(k, v)| labels.get(k) == Some(v));
    let held = hook.finalizers_handler.iter().all(|finalizer| finalizers.contains(finalizer));
    if labelled && held { "Normal" } else { "PreparingNormal" }
}

/// The state that follows the pod's present one without anybody's doing, if any (L-9).
pub(crate) fn next(
    pod: &Pod,
    lifecycle: Option<&Lifecycle>,
    update_revision: &str,
    complete: bool,
) -> Option<&'static str> {
    let hook = lifecycle.and_then(|lifecycle| lifecycle.in_place_update.as_ref());
    let finished = match hook {
        Some(hook) if !all_on(hook, pod) => "Updated",
        _ => "Normal",
    };
    match State::of(pod) {
        State::PreparingNormal => {
            let hook = lifecycle.and_then(|lifecycle| lifecycle.pre_normal.as_ref());
            hook.is_none_or(|hook| all_on(hook, pod)).then_some("Normal")
        }
        // The user went back to the pod's own revision while it waited: nothing is to be updated any more.
        State::PreparingUpdate if pod.revision() == Some(update_revision) => match finished {
            "Normal" => Some(restored(pod, lifecycle, &MetadataChange::default())),
            updated => Some(updated),
        },
        State::Updating if complete => Some(finished),
        State::Updated if finished == "Normal" => Some("Normal"),
        _ => None,
    }
}

/// Why a pod stays in a state that a hook must end.
pub(crate) fn waits(pod: &Pod, lifecycle: Option<&Lifecycle>) -> Option<HookPending> {
    let (hook, name) = match State::of(pod) {
        State::PreparingNormal => (lifecycle?.pre_normal.as_ref()?, "preNormal"),
        State::Updated => (lifecycle?.in_place_update.as_ref()?, "inPlaceUpdate"),
        _ => return None,
    };
    let labels = hook.labels_handler.iter().map(|(k, v)| format!("label {k}={v}"));
    let wanted = labels.chain(hook.finalizers_handler.iter().map(|f| format!("finalizer {f}")));
    let on = markers_on(hook, pod);
    let missing: Vec<String> = wanted.filter(|marker| !on.contains(marker)).collect();
    let markers = format!("waits for {}", missing.join(", "));
    (!missing.is_empty()).then_some(HookPending { hook: name, markers })
}
