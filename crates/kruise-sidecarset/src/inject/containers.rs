//! Containers as they enter a pod, and where they go (INJ-10…INJ-16, INJ-49…INJ-54).

use std::collections::{BTreeMap, BTreeSet};

use kruise_api::keys;
use kruise_api::sidecarset::container::ENABLED;
use serde_json::Value;

use super::{Injection, List, Pod, append, env, name_of, resources, text_of, volumes};
use crate::choose::{Chosen, Refusal};
use crate::incoming::{Container, Item};
use crate::prepared::{More, Sidecar};

/// A container that is to be injected.
pub(super) struct Built<'a> {
    set: &'a str,
    name: &'a str,
    /// Its JSON.
    text: String,
    /// Before the pod's own containers.
    first: bool,
    /// The pod was just injected with this revision of the set: the webhook is asked again.
    again: bool,
}

/// What is to be injected, by list.
pub(super) struct Lists<'a> {
    init: Vec<Built<'a>>,
    plain: Vec<Built<'a>>,
}

impl<'a> Lists<'a> {
    fn of(&self, list: List) -> &[Built<'a>] {
        match list {
            List::Init => &self.init,
            List::Plain => &self.plain,
        }
    }
}

/// Builds the containers of all sets, in their order. Those that a first look has put there are as the set says, and no more:
/// what webhooks behind us have added to the pod since is not theirs, and what follows from it must not refuse the pod.
pub(super) fn build<'a>(pod: &Pod<'a>, sorted: bool) -> Result<Lists<'a>, Refusal> {
    let mut lists = Lists { init: Vec::new(), plain: Vec::new() };
    for set in pod.chosen {
        let again = pod.seen.contains(&*set.set);
        for (built, sidecars, list) in [
            (&mut lists.init, &set.prepared.init_containers, List::Init),
            (&mut lists.plain, &set.prepared.containers, List::Plain),
        ] {
            for sidecar in sidecars {
                let first = sidecar.typed.goes_first();
                let more = if again && is_there(pod, sidecar, list) {
                    More::default()
                } else {
                    more(pod, set, sidecar)?
                };
                let texts = sidecar.form.texts(&more);
                built.extend(texts.map(|(name, text)| Built {
                    set: &set.set,
                    name,
                    text,
                    first,
                    again,
                }));
            }
        }
    }
    lists.init.sort_by_key(|built| built.name);
    if sorted {
        lists.plain.sort_by_key(|built| built.name);
    }
    Ok(lists)
}

/// Whether the pod has all containers of a sidecar.
fn is_there(pod: &Pod<'_>, sidecar: &Sidecar, list: List) -> bool {
    let containers = pod.list(list);
    let there =
        |name: &str| containers.iter().any(|known| known.name() == name && known.is_injected());
    sidecar.form.names().all(there)
}

/// What a sidecar gets from this pod.
fn more<'a>(pod: &Pod<'a>, set: &Chosen, sidecar: &'a Sidecar) -> Result<More<'a>, Refusal> {
    let extensions = &sidecar.typed.extensions;
    let resources = match (&extensions.resources_policy, &sidecar.targets) {
        (Some(policy), Some(targets)) => Some(resources::resources(pod, policy, targets)),
        _ => None,
    };
    let resources = resources.transpose().map_err(|why| {
        let (set, name) = (&set.set, &sidecar.typed.name);
        Refusal::Other(format!("sidecarset {set}: container {name}: {why}"))
    })?;
    let shares = extensions.share_volume_policy.type_ == ENABLED;
    let devices = extensions.share_volume_device_policy.as_ref();
    let shares_devices = devices.is_some_and(|policy| policy.type_ == ENABLED);
    let from_init = set.asks.from_init;
    let given = |on| volumes::Shared { on, from_init };
    let (mounts, path_variables) = volumes::mounts(pod, sidecar, given(shares));
    let devices = volumes::devices(pod, sidecar, &mounts, given(shares_devices));
    let mut env = env::transferred(pod, &extensions.transfer_env, from_init);
    env.extend(path_variables);
    keep_new(&mut env, sidecar);
    let texts = |items: Vec<&'a Item<'a>>| items.into_iter().map(|item| item.text).collect();
    Ok(More { env: texts(env), mounts: texts(mounts), devices: texts(devices), resources })
}

/// INJ-13: beside the container's own variables and the mark others stand where there is none of their name.
fn keep_new(more: &mut Vec<&Item<'_>>, sidecar: &Sidecar) {
    if more.is_empty() {
        return;
    }
    let own = sidecar.env().iter().map(name_of);
    let mut names: BTreeSet<&str> = own.chain([keys::IS_INJECTED_ENV]).collect();
    more.retain(|variable| names.insert(variable.name()));
}

/// Puts the containers into the pod.
pub(super) fn place(
    pod: &Pod<'_>,
    lists: &Lists<'_>,
    strict: bool,
    injection: &mut Injection,
) -> Result<(), Refusal> {
    refuse_clashes(pod, lists)?;
    if strict {
        refuse_replacements(pod, lists)?;
    }
    place_list(pod, List::Init, lists, injection)?;
    place_list(pod, List::Plain, lists, injection)
}

/// Names that Kubernetes would refuse without saying where they come from (INJ-53, W-15).
fn refuse_clashes(pod: &Pod<'_>, lists: &Lists<'_>) -> Result<(), Refusal> {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (list, others) in [(List::Init, List::Plain), (List::Plain, List::Init)] {
        for Built { set, name, .. } in lists.of(list) {
            if let Some(other) = taken.insert(name, set) {
                let text = format!("container {name} of sidecarset {set} already exist in {other}");
                return Err(Refusal::Other(text));
            }
            if pod.list(others).iter().any(|other| other.name() == *name) {
                let text = format!(
                    "container {name} of sidecarset {set} has the name of another container of the pod"
                );
                return Err(Refusal::Other(text));
            }
        }
    }
    Ok(())
}

/// W-15: a container of the pod itself that would be replaced.
fn refuse_replacements(pod: &Pod<'_>, lists: &Lists<'_>) -> Result<(), Refusal> {
    for list in [List::Init, List::Plain] {
        for Built { set, name, .. } in lists.of(list) {
            let own = |other: &Container<'_>| other.name() == *name && !other.is_injected();
            if pod.list(list).iter().any(own) {
                let text =
                    format!("container {name} of the pod has the name of a sidecar of {set}");
                return Err(Refusal::Other(text));
            }
        }
    }
    Ok(())
}

/// INJ-51: a container of the name is replaced where it stands, others go to the front or to the back.
fn place_list(
    pod: &Pod<'_>,
    list: List,
    lists: &Lists<'_>,
    injection: &mut Injection,
) -> Result<(), Refusal> {
    let existing = pod.list(list);
    let member = list.member();
    let (mut front, mut back) = (Vec::new(), Vec::new());
    let mut texts: Option<Vec<&str>> = None;
    for built in lists.of(list) {
        let there = existing.iter().enumerate().find(|(_, other)| other.name() == built.name);
        match there {
            Some((at, other)) => {
                let injected = other.is_injected();
                let texts = match &mut texts {
                    Some(texts) => texts,
                    none => none.insert(written(pod, member)?),
                };
                let text = texts.get(at).copied().unwrap_or_default();
                if let Some(value) = replacement(text, built, injected)? {
                    injection.patch.replace(&format!("/spec/{member}/{at}"), &value);
                    if !injected {
                        let Built { set, name, .. } = built;
                        let text = format!(
                            "container {name} of the pod is replaced by that of SidecarSet {set}"
                        );
                        injection.warnings.push(text);
                    }
                }
            }
            None if built.first => front.push(&*built.text),
            None => back.push(&*built.text),
        }
    }
    if existing.is_empty() {
        front.append(&mut back);
    }
    let there = pod.stated(list).is_some();
    if existing.is_empty() {
        append(there, member, &front, &mut injection.patch);
        return Ok(());
    }
    for (at, container) in front.into_iter().enumerate() {
        injection.patch.add(&format!("/spec/{member}/{at}"), container);
    }
    append(there, member, &back, &mut injection.patch);
    Ok(())
}

/// The containers of a list, as they are written.
fn written<'a>(pod: &Pod<'a>, list: &str) -> Result<Vec<&'a str>, Refusal> {
    pod.incoming.texts(list).map_err(|error| Refusal::unreadable(&error))
}

/// What stands in place of a container of the pod; `None` if it stays as it is.
fn replacement(there: &str, built: &Built<'_>, injected: bool) -> Result<Option<String>, Refusal> {
    let there: Value = serde_json::from_str(there).map_err(|error| Refusal::unreadable(&error))?;
    let ours: Value = serde_json::from_str(&built.text).map_err(|error| {
        let Built { set, name, .. } = built;
        Refusal::Other(format!("sidecarset {set}: container {name}: {error}"))
    })?;
    let value = if built.again && injected { completed(&there, &ours) } else { ours };
    Ok((value != there).then(|| value.to_string()))
}

/// A container that we put there at the first look, with what the set says and it has not: others may have changed it since, such
/// as a plugin that has images always pulled, or a webhook that names a mirror. They would not be asked a third time.
fn completed(there: &Value, ours: &Value) -> Value {
    let mut merged = there.clone();
    let Some(members) = merged.as_object_mut() else { return merged };
    for (member, value) in ours.as_object().into_iter().flatten() {
        let Some(known) = members.get_mut(member) else {
            members.insert(member.clone(), value.clone());
            continue;
        };
        match (member.as_str(), known) {
            ("env", Value::Array(known)) => extend(known, value, "name"),
            ("volumeMounts", Value::Array(known)) => extend(known, value, "mountPath"),
            ("volumeDevices", Value::Array(known)) => extend(known, value, "devicePath"),
            _ => {}
        }
    }
    merged
}

fn extend(known: &mut Vec<Value>, ours: &Value, key: &str) {
    let names: BTreeSet<String> = known.iter().map(|item| text_of(item, key).to_owned()).collect();
    let ours = ours.as_array().into_iter().flatten();
    known.extend(ours.filter(|item| !names.contains(text_of(item, key))).cloned());
}
