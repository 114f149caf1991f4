//! Env that a sidecar gets from containers of the pod: from named ones (INJ-40…INJ-44), and from the pod's own what shared
//! mounts need (INJ-32).

use std::collections::{BTreeMap, BTreeSet};

use kruise_api::sidecarset::container::{Source, TransferEnv};

use super::Pod;
use crate::incoming::{Container, Item};

/// What names all variables of a source (W-46); none has such a name.
const ALL: &str = "*";

/// The variables that a sidecar asks for, in the order in which they are added.
pub(super) fn transferred<'a>(
    pod: &Pod<'a>,
    wanted: &[TransferEnv],
    from_init: bool,
) -> Vec<&'a Item<'a>> {
    let mut found = Vec::new();
    for transfer in wanted {
        let Some(source) = source(pod, transfer) else { continue };
        let names: BTreeSet<&str> = [transfer.env_name.as_str()]
            .into_iter()
            .chain(transfer.env_names.iter().map(String::as_str))
            .filter(|name| !name.is_empty())
            .collect();
        let containers: Vec<&'a Container<'a>> =
            pod.givers(from_init).filter(|container| container.name() == source).collect();
        let variables = || containers.iter().flat_map(|container| container.env());
        // Of variables with one name the last one counts, as it does in the container.
        let last: BTreeMap<&str, &'a Item<'a>> = variables().map(|one| (one.name(), one)).collect();
        // All of them as they stand there: one may be made of those before it.
        let all: Vec<&'a str> =
            if names.contains(ALL) { variables().map(Item::name).collect() } else { Vec::new() };
        let wanted = names.iter().copied().filter(|name| *name != ALL);
        let mut taken = BTreeSet::new();
        for name in wanted.chain(all.iter().copied()) {
            if taken.insert(name) {
                found.extend(last.get(name).copied());
            }
        }
    }
    found
}

/// The name of the container to copy from; a label or annotation that is not there names none.
fn source<'p>(pod: &'p Pod<'_>, transfer: &'p TransferEnv) -> Option<&'p str> {
    let from = transfer.source_container_name_from.as_ref();
    let Some(reference) = from.and_then(|from| from.field_ref.as_ref()) else {
        return Some(&transfer.source_container_name);
    };
    let value = match reference.source()? {
        Source::Label(key) => pod.incoming.metadata().labels.as_ref()?.get(key),
        Source::Annotation(key) => pod.annotations.get(key),
    };
    value.map(String::as_str)
}

/// The variables of a container that the paths of its mounts name as `$(NAME)`, but for those whose name is `taken`; takes
/// their names.
pub(super) fn of_sub_paths<'a>(
    container: &'a Container<'a>,
    taken: &mut BTreeSet<&'a str>,
) -> Vec<&'a Item<'a>> {
    let paths = container.mounts().iter().map(Item::sub_path_expr);
    let mut wanted = paths.flat_map(references).peekable();
    if wanted.peek().is_none() {
        return Vec::new();
    }
    // Of variables with one name the first one counts.
    let variables = container.env().iter().rev();
    let first: BTreeMap<&str, &Item<'_>> = variables.map(|one| (one.name(), one)).collect();
    wanted
        .filter_map(|name| first.get(name).copied())
        .filter(|variable| taken.insert(variable.name()))
        .collect()
}

/// Every `$(NAME)` of a text.
fn references(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("$(") {
        rest = rest.get(start + 2..).unwrap_or_default();
        let inside = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if after.starts_with(')') && name.starts_with(|c: char| !c.is_ascii_digit()) {
            found.push(name);
        }
    }
    found
}
