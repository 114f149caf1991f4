//! Strategic merge, as far as our writes use it: objects merge, `null` removes, and the lists with a merge key merge
//! by it, with `$patch: delete`. All other lists are replaced.

use serde_json::{Map, Value};

/// Merge keys of lists by the name of their member.
const KEYS: [(&str, &str); 4] = [
    ("ownerReferences", "uid"),
    ("conditions", "type"),
    ("containers", "name"),
    ("initContainers", "name"),
];

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
        let merge_key = KEYS.iter().find(|(list, _)| list == name).map(|(_, key)| *key);
        match (change, merge_key) {
            (Value::Null, _) => {
                object.remove(name);
            }
            (Value::Array(items), Some(key)) => {
                let list = object.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                by_key(list, items, key);
            }
            _ => strategic(object.entry(name.clone()).or_insert(Value::Null), change),
        }
    }
}

fn by_key(list: &mut Value, items: &[Value], key: &str) {
    let Some(list) = list.as_array_mut() else { return };
    for item in items {
        let at = list.iter().position(|known| known.get(key) == item.get(key));
        let delete = item.get("$patch").and_then(Value::as_str) == Some("delete");
        match (at, delete) {
            (Some(at), true) => {
                list.remove(at);
            }
            (Some(at), false) => {
                if let Some(known) = list.get_mut(at) {
                    strategic(known, item);
                }
            }
            (None, true) => {}
            (None, false) => list.push(item.clone()),
        }
    }
}
