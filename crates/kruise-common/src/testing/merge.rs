//! Strategic merge, as far as our writes use it: objects merge, `null` removes, and lists with a merge key merge by it,
//! with `$patch: delete`; finalizers merge as a set. All other lists are replaced.

use serde_json::{Map, Value};

/// Merge keys of lists by the name of their member.
const KEYS: [(&str, &str); 6] = [
    ("ownerReferences", "uid"),
    ("conditions", "type"),
    ("containers", "name"),
    ("initContainers", "name"),
    ("podIPs", "ip"),
    ("hostIPs", "ip"),
];
/// Lists of strings that merge.
const SETS: [&str; 1] = ["finalizers"];
/// Directive that takes strings out of such a list.
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Merges `patch` into `target`.
pub fn strategic(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(object) = target.as_object_mut() else { return };
    for (name, change) in members {
        if let (Some(list), Value::Array(gone)) = (name.strip_prefix(DELETE), change) {
            if let Some(list) = object.get_mut(list).and_then(Value::as_array_mut) {
                list.retain(|item| !gone.contains(item));
            }
            continue;
        }
        let key = KEYS.iter().find(|(list, _)| list == name).map(|(_, key)| Some(*key));
        let key = key.or_else(|| SETS.contains(&name.as_str()).then_some(None));
        match (change, key) {
            (Value::Null, _) => {
                object.remove(name);
            }
            (Value::Array(items), Some(key)) => {
                let list = object.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                if let Some(list) = list.as_array_mut() {
                    *list = merged(list, items, key);
                }
            }
            _ => strategic(object.entry(name.clone()).or_insert(Value::Null), change),
        }
    }
}

/// `live` with the items of a patch, which are the same if their `key` is the same; without a key, if they are equal.
fn merged(live: &[Value], items: &[Value], key: Option<&str>) -> Vec<Value> {
    let same = |a: &Value, b: &Value| match key {
        Some(key) => a.get(key) == b.get(key),
        None => a == b,
    };
    let at = |item: &Value| live.iter().position(|known| same(known, item));
    let delete = |item: &&Value| item.get("$patch").and_then(Value::as_str) == Some("delete");
    let patched = items.iter().filter(|item| !delete(item)).map(|item| {
        let mut new = at(item).and_then(|at| live.get(at)).cloned().unwrap_or_default();
        strategic(&mut new, item);
        new
    });
    let mut rest =
        live.iter().filter(|known| !items.iter().any(|item| same(known, item))).peekable();
    // The patch gives its items their order. What it does not name stays in front of what it followed on the server,
    // and comes after items that are new.
    let mut list = Vec::new();
    for item in patched {
        let place = at(&item);
        while let Some(known) = rest.next_if(|known| place.is_some() && at(known) < place) {
            list.push(known.clone());
        }
        list.push(item);
    }
    list.extend(rest.cloned());
    list
}
