//! Containers as they enter a pod, and where they go (INJ-10…INJ-16, INJ-49…INJ-54).

use std::collections::{BTreeMap, BTreeSet};

use kruise_api::keys;
use kruise_api::sidecarset::container::ENABLED;
use serde_json::{Map, Value, json};

use super::{
    Injection, Pod, add, env, hot_upgrade, is_injected, name_of, resources, text_of, volumes,
};
use crate::choose::{Chosen, Refusal};
use crate::containers::twins;
use crate::prepared::Sidecar;

/// Lists of a container that are made anew for each pod.
const LISTS: [&str; 3] = ["env", "volumeMounts", "volumeDevices"];

/// A container that is to be injected.
pub(super) struct Built<'a> {
    set: &'a str,
    container: Value,
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

/// Builds the containers of all sets, in their order. Those that a first look has put there are as the set says, and no more:
/// what webhooks behind us have added to the pod since is not theirs, and what follows from it must not refuse the pod.
pub(super) fn build<'a>(
    pod: &Pod<'_>,
    chosen: &'a [Chosen],
    sorted: bool,
) -> Result<Lists<'a>, Refusal> {
    let mut lists = Lists { init: Vec::new(), plain: Vec::new() };
    for set in chosen {
        let again = pod.seen.contains(&*set.set);
        let built = |container: Value, first| Built { set: &set.set, container, first, again };
        for (list, sidecars, init) in [
            (&mut lists.init, &set.prepared.init_containers, true),
            (&mut lists.plain, &set.prepared.containers, false),
        ] {
            for sidecar in sidecars {
                let first = sidecar.typed.goes_first();
                let containers = if again && is_there(pod, sidecar, init) {
                    plain(sidecar, init)
                } else {
                    complete(pod, set, sidecar, init)?
                };
                list.extend(containers.into_iter().map(|container| built(container, first)));
            }
        }
    }
    let by_name = |a: &Built<'_>, b: &Built<'_>| name_of(&a.container).cmp(name_of(&b.container));
    lists.init.sort_by(by_name);
    if sorted {
        lists.plain.sort_by(by_name);
    }
    Ok(lists)
}

/// Whether the pod has all containers of a sidecar.
fn is_there(pod: &Pod<'_>, sidecar: &Sidecar, init: bool) -> bool {
    let list = pod.list(if init { "initContainers" } else { "containers" });
    let there = |name: &str| list.iter().any(|known| name_of(known) == name && is_injected(known));
    if hot_upgrade::is_pair(sidecar, init) {
        twins(&sidecar.typed.name).iter().all(|name| there(name))
    } else {
        there(&sidecar.typed.name)
    }
}

/// What the set itself says of a sidecar.
fn plain(sidecar: &Sidecar, init: bool) -> Vec<Value> {
    let mut container = sidecar.core.as_object().cloned().unwrap_or_default();
    container.insert("env".to_owned(), Value::Array(env_of(&sidecar.core, Vec::new())));
    if sidecar.typed.extensions.resources_policy.is_some() {
        container.remove("resources");
    }
    twinned(sidecar, init, container)
}

/// What a sidecar is in this pod.
fn complete(
    pod: &Pod<'_>,
    set: &Chosen,
    sidecar: &Sidecar,
    init: bool,
) -> Result<Vec<Value>, Refusal> {
    let extensions = &sidecar.typed.extensions;
    let core = &sidecar.core;
    let others = core.as_object().into_iter().flatten();
    let others = others.filter(|(member, _)| !LISTS.contains(&member.as_str()));
    let mut container: Map<String, Value> =
        others.map(|(member, value)| (member.clone(), value.clone())).collect();
    if let (Some(policy), Some(targets)) = (&extensions.resources_policy, &sidecar.targets) {
        let resources = resources::resources(pod, policy, targets).map_err(|why| {
            let (set, name) = (&set.set, &sidecar.typed.name);
            Refusal::Other(format!("sidecarset {set}: container {name}: {why}"))
        })?;
        container.insert("resources".to_owned(), resources);
    }
    let shares = extensions.share_volume_policy.type_ == ENABLED;
    let devices = extensions.share_volume_device_policy.as_ref();
    let shares_devices = devices.is_some_and(|policy| policy.type_ == ENABLED);
    let from_init = set.asks.from_init;
    let given = |on| volumes::Shared { on, from_init };
    let (mounts, path_variables) = volumes::mounts(pod, core, given(shares));
    let devices = volumes::devices(pod, core, &mounts, given(shares_devices));
    let mut variables = env::transferred(pod, &extensions.transfer_env, from_init);
    variables.extend(path_variables);
    for (list, items) in LISTS.into_iter().zip([env_of(core, variables), mounts, devices]) {
        if !items.is_empty() {
            container.insert(list.to_owned(), Value::Array(items));
        } else if let Some(empty) = core.get(list) {
            container.insert(list.to_owned(), empty.clone());
        }
    }
    Ok(twinned(sidecar, init, container))
}

fn twinned(sidecar: &Sidecar, init: bool, container: Map<String, Value>) -> Vec<Value> {
    let containers = if hot_upgrade::is_pair(sidecar, init) {
        hot_upgrade::pair(sidecar, &container).to_vec()
    } else {
        vec![container]
    };
    containers.into_iter().map(Value::Object).collect()
}

/// INJ-13: the container's own variables, the mark, and the others where there is none of their name.
fn env_of(core: &Value, more: Vec<Value>) -> Vec<Value> {
    let mut env = super::items(core, "env").to_vec();
    env.push(json!({ "name": keys::IS_INJECTED_ENV, "value": "true" }));
    let mut names: BTreeSet<String> =
        env.iter().map(|variable| name_of(variable).to_owned()).collect();
    env.extend(more.into_iter().filter(|variable| names.insert(name_of(variable).to_owned())));
    env
}

/// Puts the containers into the pod.
pub(super) fn place(
    pod: &Pod<'_>,
    lists: Lists<'_>,
    strict: bool,
    injection: &mut Injection,
) -> Result<(), Refusal> {
    refuse_clashes(pod, &lists)?;
    if strict {
        refuse_replacements(pod, &lists)?;
    }
    place_list(pod, "initContainers", lists.init, injection);
    place_list(pod, "containers", lists.plain, injection);
    Ok(())
}

/// Names that Kubernetes would refuse without saying where they come from (INJ-53, W-15).
fn refuse_clashes(pod: &Pod<'_>, lists: &Lists<'_>) -> Result<(), Refusal> {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (built, others) in
        [(&lists.init, pod.list("containers")), (&lists.plain, pod.list("initContainers"))]
    {
        for Built { set, container, .. } in built {
            let name = name_of(container);
            if let Some(other) = taken.insert(name, set) {
                let text = format!("container {name} of sidecarset {set} already exist in {other}");
                return Err(Refusal::Other(text));
            }
            if others.iter().any(|other| name_of(other) == name) {
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
    for (list, built) in [("initContainers", &lists.init), ("containers", &lists.plain)] {
        for Built { set, container, .. } in built {
            let name = name_of(container);
            let own = |other: &Value| name_of(other) == name && !is_injected(other);
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
fn place_list(pod: &Pod<'_>, list: &str, built: Vec<Built<'_>>, injection: &mut Injection) {
    let existing = pod.list(list);
    let (mut front, mut back) = (Vec::new(), Vec::new());
    for Built { set, container, first, again } in built {
        let name = name_of(&container);
        let there = existing.iter().enumerate().find(|(_, other)| name_of(other) == name);
        match there {
            Some((index, other)) if again && is_injected(other) => {
                let value = completed(other, &container);
                if value != *other {
                    let path = format!("/spec/{list}/{index}");
                    let operation = json!({ "op": "replace", "path": path, "value": value });
                    injection.operations.push(operation);
                }
            }
            Some((_, other)) if *other == container => {}
            Some((index, other)) => {
                if !is_injected(other) {
                    let text = format!(
                        "container {name} of the pod is replaced by that of SidecarSet {set}"
                    );
                    injection.warnings.push(text);
                }
                let path = format!("/spec/{list}/{index}");
                let operation = json!({ "op": "replace", "path": path, "value": container });
                injection.operations.push(operation);
            }
            None if first => front.push(container),
            None => back.push(container),
        }
    }
    if existing.is_empty() {
        front.append(&mut back);
        append(pod, list, front, &mut injection.operations);
        return;
    }
    for (index, container) in front.into_iter().enumerate() {
        injection.operations.push(add(&format!("/spec/{list}/{index}"), container));
    }
    append(pod, list, back, &mut injection.operations);
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

/// Appends to a list of the pod's spec, which may not exist yet.
pub(super) fn append(pod: &Pod<'_>, list: &str, items: Vec<Value>, operations: &mut Vec<Value>) {
    if items.is_empty() {
        return;
    }
    let there = pod.raw.get("spec").and_then(|spec| spec.get(list));
    if there.is_some_and(Value::is_array) {
        operations.extend(items.into_iter().map(|item| add(&format!("/spec/{list}/-"), item)));
    } else {
        operations.push(add(&format!("/spec/{list}"), Value::Array(items)));
    }
}
