//! Env that a sidecar gets from containers of the pod: from named ones (INJ-40…INJ-44), and from the pod's own what shared
//! mounts need (INJ-32).

use std::collections::{BTreeMap, BTreeSet};

use kruise_api::sidecarset::container::{Source, TransferEnv};
use serde_json::Value;

use super::{Pod, items, name_of, text_of};

/// What names all variables of a source (W-46); none has such a name.
const ALL: &str = "*";

/// The variables that a sidecar asks for, in the order in which they are added.
pub(super) fn transferred(pod: &Pod<'_>, wanted: &[TransferEnv], from_init: bool) -> Vec<Value> {
    let mut found = Vec::new();
    for transfer in wanted {
        let Some(source) = source(pod, transfer) else { continue };
        let names: BTreeSet<&str> = [transfer.env_name.as_str()]
            .into_iter()
            .chain(transfer.env_names.iter().map(String::as_str))
            .filter(|name| !name.is_empty())
            .collect();
        let containers: Vec<&Value> =
            pod.givers(from_init).filter(|container| name_of(container) == source).collect();
        let variables = || containers.iter().flat_map(|container| items(container, "env"));
        // Of variables with one name the last one counts, as it does in the container.
        let last: BTreeMap<&str, &Value> = variables().map(|one| (name_of(one), one)).collect();
        // All of them as they stand there: one may be made of those before it.
        let all = variables().map(name_of).filter(|_| names.contains(ALL));
        let wanted = names.iter().copied().filter(|name| *name != ALL).chain(all);
        let mut taken = BTreeSet::new();
        let wanted = wanted.filter(|name| taken.insert(*name));
        found.extend(wanted.filter_map(|name| last.get(name).copied().cloned()));
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
        Source::Label(key) => pod.labels.get(key),
        Source::Annotation(key) => pod.annotations.get(key),
    };
    value.map(String::as_str)
}

/// The variables of a container that the paths of its mounts name as `$(NAME)`, but for those whose name is `taken`; takes
/// their names.
pub(super) fn of_sub_paths(container: &Value, taken: &mut BTreeSet<String>) -> Vec<Value> {
    let paths = items(container, "volumeMounts").iter().map(|mount| text_of(mount, "subPathExpr"));
    let mut wanted = paths.flat_map(references).peekable();
    if wanted.peek().is_none() {
        return Vec::new();
    }
    // Of variables with one name the first one counts.
    let variables = items(container, "env").iter().rev();
    let first: BTreeMap<&str, &Value> = variables.map(|one| (name_of(one), one)).collect();
    let mut found = Vec::new();
    for name in wanted {
        if let Some(variable) = first.get(name).filter(|_| !taken.contains(name)) {
            taken.insert(name.to_owned());
            found.push((*variable).clone());
        }
    }
    found
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
