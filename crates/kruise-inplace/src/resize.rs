//! CPU and memory of containers: what differs between templates, from the live pod, and from what runs (§4.2d, §10.2.3,
//! §18).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kruise_api::keys;
use kruise_api::shared::inplace::{UpdateState, rfc3339};
use kruise_api::shared::quantity::Quantity;
use kruise_common::pod::{Container, Pod, Resources};
use kruise_common::write::Operations;
use serde_json::{Map, Value, json};

use crate::diff::NotInPlace;
use crate::progress::Missing;

/// What a running pod can change.
const ENTRIES: [Entry; 4] =
    [("limits", "cpu"), ("limits", "memory"), ("requests", "cpu"), ("requests", "memory")];

/// `limits` or `requests`, `cpu` or `memory`.
type Entry = (&'static str, &'static str);

/// New quantities of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resize(BTreeMap<Entry, String>);

impl Resize {
    /// The change from one `resources` of a template to another, or `None` if a running pod cannot make it: entries that
    /// come or go, other resources, or what is no quantity. Requests that the template leaves out follow the limits, as
    /// they did when the pod was created.
    pub(crate) fn between(old: &Value, new: &Value) -> Option<Self> {
        let rest = |resources: &Value| {
            let mut rest = resources.as_object().cloned().unwrap_or_default();
            for (part, name) in ENTRIES {
                if let Some(amounts) = rest.get_mut(part).and_then(Value::as_object_mut) {
                    amounts.remove(name);
                }
            }
            rest
        };
        if rest(old) != rest(new) {
            return None;
        }
        let mut change = BTreeMap::new();
        for (part, name) in ENTRIES {
            match (amount(old, part, name), amount(new, part, name)) {
                (None, None) => {}
                (Some(before), Some(after)) => {
                    Quantity::parse(before).ok()?;
                    Quantity::parse(after).ok()?;
                    if before == after {
                        continue;
                    }
                    change.insert((part, name), after.to_owned());
                    if part == "limits" && amount(new, "requests", name).is_none() {
                        change.insert(("requests", name), after.to_owned());
                    }
                }
                _ => return None,
            }
        }
        Some(Self(change))
    }

    /// Reads what an annotation holds; what is no quantity in it is ignored.
    pub(crate) fn read(value: &Value) -> Self {
        let entries = ENTRIES.into_iter();
        let texts =
            entries.filter_map(|(part, name)| Some(((part, name), amount(value, part, name)?)));
        let valid = texts.filter(|(_, text)| Quantity::parse(text).is_ok());
        Self(valid.map(|(entry, text)| (entry, text.to_owned())).collect())
    }

    /// As an annotation holds it.
    pub(crate) fn value(&self) -> Value {
        let mut parts: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for ((part, name), text) in &self.0 {
            parts.entry(part).or_default().insert((*name).to_owned(), json!(text));
        }
        json!(parts)
    }

    /// Takes over newer quantities.
    pub(crate) fn extend(&mut self, newer: &Self) {
        self.0.extend(newer.0.iter().map(|(entry, text)| (*entry, text.clone())));
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Without what the container has.
    pub(crate) fn not_set(mut self, container: &Container) -> Self {
        self.0.retain(|(part, name), text| !same(container.resources.get(part, name), Some(text)));
        self
    }

    /// Whether the change restarts the container.
    pub(crate) fn restarts(&self, container: &Container) -> bool {
        self.0.keys().any(|(_, name)| container.restarts_for.iter().any(|known| **known == **name))
    }

    /// Sets the quantities of the container at `index`, each tested to be what was seen.
    pub(crate) fn apply(
        &self,
        container: &Container,
        index: usize,
        mut operations: Operations,
    ) -> Operations {
        let index = index.to_string();
        operations = operations.test(&["spec", "containers", &index, "name"], &*container.name);
        for ((part, name), text) in &self.0 {
            let path = ["spec", "containers", &index, "resources", part, name];
            operations = operations
                .test(&path, container.resources.get(part, name))
                .replace(&path, text.as_str());
        }
        operations
    }
}

fn amount<'a>(resources: &'a Value, part: &str, name: &str) -> Option<&'a str> {
    resources.get(part)?.get(name)?.as_str()
}

/// Whether two quantities are equal; absent ones are.
fn same(a: Option<&str>, b: Option<&str>) -> bool {
    let value = |text: &str| Quantity::parse(text).map(|quantity| quantity.plain());
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a == b || matches!((value(a), value(b)), (Ok(a), Ok(b)) if a == b),
        _ => false,
    }
}

/// Classes of service, which no resize may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

fn qos<'a>(containers: impl Iterator<Item = impl Fn(&str, &str) -> Option<&'a str>>) -> Qos {
    let positive = |text: Option<&str>| {
        text.and_then(|text| Quantity::parse(text).ok())
            .map(|quantity| quantity.plain())
            .filter(|plain| plain != "0")
    };
    let (mut any, mut full) = (false, true);
    for get in containers {
        let amounts = ENTRIES.map(|(part, name)| positive(get(part, name)));
        any |= amounts.iter().any(Option::is_some);
        let [limit_cpu, limit_memory, cpu, memory] = amounts;
        // Requests that are left out follow the limits.
        let guaranteed = |limit: &Option<String>, request: &Option<String>| {
            limit.is_some() && (request.is_none() || request == limit)
        };
        full &= guaranteed(&limit_cpu, &cpu) && guaranteed(&limit_memory, &memory);
    }
    match (any, full) {
        (false, _) => Qos::BestEffort,
        (true, true) => Qos::Guaranteed,
        (true, false) => Qos::Burstable,
    }
}

/// Whether two lists of template containers are of one class (§4.2.4).
pub(crate) fn same_qos(old: &[&Value], new: &[&Value]) -> bool {
    fn class(containers: &[&Value]) -> Qos {
        let none = &Value::Null;
        qos(containers.iter().map(|container| {
            let resources = container.get("resources").unwrap_or(none);
            move |part: &str, name: &str| amount(resources, part, name)
        }))
    }
    class(old) == class(new)
}

/// Whether the pod can take these changes where it runs.
pub(crate) fn check(pod: &Pod, resources: &BTreeMap<String, Resize>) -> Result<(), NotInPlace> {
    let set = |container: &Container| -> Option<Resize> {
        let resize = resources.get(&*container.name)?.clone().not_set(container);
        (!resize.is_empty()).then_some(resize)
    };
    for container in pod.containers.iter() {
        let Some(resize) = set(container) else { continue };
        if pod.meta.generation == 0 {
            let problem = "has no generation: the API server is too old".to_owned();
            return Err(NotInPlace::Pod { problem });
        }
        let name = || container.name.to_string();
        let missing = |(part, name): &&Entry| container.resources.get(part, name).is_none();
        if let Some((part, entry)) = resize.0.keys().find(missing) {
            let problem = format!("container {} has no {part}.{entry} to resize", name());
            return Err(NotInPlace::Pod { problem });
        }
        let running = pod.status(&container.name).filter(|(_, status)| status.started_at.is_some());
        if running.is_some_and(|(_, status)| status.resources.is_none()) {
            return Err(NotInPlace::NoResize { container: name() });
        }
    }
    let before =
        qos(pod.containers.iter().map(|c| |part: &str, name: &str| c.resources.get(part, name)));
    let resizes: Vec<(&Container, Resize)> =
        pod.containers.iter().map(|c| (c, set(c).unwrap_or_default())).collect();
    let after = qos(resizes.iter().map(|(container, resize)| {
        move |part: &str, name: &str| {
            let new = resize.0.iter().find(|((p, n), _)| *p == part && *n == name);
            new.map(|(_, text)| text.as_str()).or_else(|| container.resources.get(part, name))
        }
    }));
    if before == after { Ok(()) } else { Err(NotInPlace::Qos) }
}

/// What was asked for, as the state holds it, with the generation that the pod has before the resize is sent: that is
/// how one that was never sent is told from one that somebody else has overtaken.
pub(crate) fn asked(resize: &Resize, generation: i64) -> Value {
    let mut value = resize.value();
    if let Some(members) = value.as_object_mut() {
        members.insert(GENERATION.to_owned(), json!(generation));
    }
    value
}

const GENERATION: &str = "generation";

/// [`asked`] of a container that has it already: nothing is sent.
pub(crate) fn there(resize: &Resize, generation: i64, now: Timestamp) -> Value {
    let mut value = asked(resize, generation);
    if let Some(members) = value.as_object_mut() {
        members.insert(THERE.to_owned(), json!(rfc3339(now)));
    }
    value
}

const THERE: &str = "there";

/// How long a resize of before, which was not answered, may yet arrive and undo what was there.
const LATE: SignedDuration = SignedDuration::from_secs(60);

/// What was asked for of a container and not sent: the controller died, or the write was refused. Had it been sent, and
/// undone by somebody else, the pod would be two generations on. Of what was there one generation is enough for that, but
/// for a while, as long as the time is known.
pub(crate) fn unsent(
    pod: &Pod,
    name: &str,
    asked: &Value,
    now: Option<Timestamp>,
) -> Option<Resize> {
    let (_, container) = pod.container(name)?;
    let differs = Resize::read(asked).not_set(container);
    let generation = asked.get(GENERATION).and_then(Value::as_i64)?;
    if let Some(there) = asked.get(THERE) {
        let there: Timestamp = there.as_str()?.parse().ok()?;
        now.filter(|now| now.duration_since(there).abs() < LATE)?;
    }
    (!differs.is_empty() && pod.meta.generation <= generation.saturating_add(1)).then_some(differs)
}

/// The resizes that an update asked for and has not sent.
pub(crate) fn send(pod: &Pod, state: &UpdateState, now: Timestamp) -> Option<Operations> {
    let mut operations = Operations::default();
    for (name, asked) in &state.container_resources {
        let Some((index, container)) = pod.container(name) else { continue };
        if let Some(resize) = unsent(pod, name, asked, Some(now)) {
            operations = resize.apply(container, index, operations);
        }
    }
    (!operations.is_empty()).then_some(operations)
}

/// The state as it has to be before a resize is sent that was not sent so far, if others have changed the pod since: what
/// they did must not be taken for it.
pub(crate) fn renewed(pod: &Pod, state: &UpdateState, now: Timestamp) -> Option<UpdateState> {
    let mut renewed = state.clone();
    renew(pod, &mut renewed.container_resources, pod.meta.generation, now);
    (renewed.container_resources != state.container_resources).then_some(renewed)
}

/// Records of all that was asked for and not sent that the pod will have this generation before it is.
pub(crate) fn renew(
    pod: &Pod,
    resources: &mut BTreeMap<String, Value>,
    generation: i64,
    now: Timestamp,
) {
    for (name, asked) in resources {
        if unsent(pod, name, asked, Some(now)).is_some()
            && let Some(members) = asked.as_object_mut()
        {
            members.remove(THERE);
            members.insert(GENERATION.to_owned(), json!(generation));
        }
    }
}

/// What a container whose resize was asked for still needs. Whoever asked for something else since has taken over (W17).
pub(crate) fn missing(pod: &Pod, name: &str, asked: Option<&Value>) -> Option<Missing> {
    let (_, container) = pod.container(name)?;
    let differs = asked.is_some_and(|asked| !Resize::read(asked).not_set(container).is_empty());
    if differs {
        let unsent = asked.and_then(|asked| unsent(pod, name, asked, None));
        return unsent.map(|_| Missing::Unsent { container: name.to_owned() });
    }
    let runs_with = pod.status(name).and_then(|(_, status)| status.resources.as_deref());
    // Entries that were not asked for are somebody else's; OpenKruise does not say which were.
    let agrees = |runs_with: &Resources| match asked.map(Resize::read) {
        Some(asked) => asked.0.keys().all(|(part, name)| {
            same(container.resources.get(part, name), runs_with.get(part, name))
        }),
        None => agree(&container.resources, runs_with),
    };
    let runs = runs_with.is_some_and(agrees);
    if runs && seen_by_kubelet(pod, asked) {
        return None;
    }
    let container = name.to_owned();
    let pending = |kind: &str| pod.condition(kind).filter(|condition| condition.status);
    let waits = pending(keys::POD_RESIZE_PENDING).or_else(|| pending(keys::POD_RESIZE_IN_PROGRESS));
    let why = waits.map(|condition| condition.reason.to_string()).unwrap_or_default();
    // Where nobody says what was asked for it may be what somebody else has asked for since; and what the kubelet said
    // before it has seen that is about other amounts.
    if why == keys::INFEASIBLE && asked.is_some() && seen_by_kubelet(pod, asked) {
        return Some(Missing::Infeasible { container });
    }
    Some(Missing::Resize { container, why })
}

/// Whether what was asked for restarts the container; where nobody says what that was, anything may have been.
pub(crate) fn restarts(pod: &Pod, name: &str, asked: Option<&Value>) -> bool {
    pod.container(name).is_some_and(|(_, container)| match asked {
        Some(asked) => Resize::read(asked).restarts(container),
        None => !container.restarts_for.is_empty(),
    })
}

/// Whether the kubelet's status goes by a spec with what was asked for, if it says by which: amounts that are taken back at
/// once agree with those of before, while the kubelet may yet turn to those in between (W27). What others change later
/// does not count.
fn seen_by_kubelet(pod: &Pod, asked: Option<&Value>) -> bool {
    let before = asked.and_then(|asked| asked.get(GENERATION)?.as_i64());
    let due = before.map_or(0, |before| before.saturating_add(1).min(pod.meta.generation));
    pod.observed_generation == 0 || pod.observed_generation >= due
}

fn agree(a: &Resources, b: &Resources) -> bool {
    ENTRIES.iter().all(|(part, name)| same(a.get(part, name), b.get(part, name)))
}
