//! What applying a CRD would change on a live one, path by path.

use std::collections::BTreeSet;

use serde_json::Value;

/// Paths under `spec` at which `wanted` differs from `live`, with both values. Members that only the server sets
/// (defaults it fills in) are left out.
pub fn changes(live: &Value, wanted: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let spec = |crd: &Value| crd.get("spec").cloned().unwrap_or_default();
    compare(&spec(live), &spec(wanted), "spec", &mut found);
    found
}

fn compare(live: &Value, wanted: &Value, path: &str, found: &mut Vec<String>) {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let keys: BTreeSet<&String> = live.keys().chain(wanted.keys()).collect();
            for key in keys {
                let path = format!("{path}.{key}");
                match (live.get(key), wanted.get(key)) {
                    (Some(live), Some(wanted)) => compare(live, wanted, &path, found),
                    (Some(live), None) => found.push(format!("- {path}: {}", brief(live))),
                    (None, Some(wanted)) => found.push(format!("+ {path}: {}", brief(wanted))),
                    (None, None) => {}
                }
            }
        }
        (Value::Array(live), Value::Array(wanted)) if live.len() == wanted.len() => {
            for (index, (live, wanted)) in live.iter().zip(wanted).enumerate() {
                let name = wanted.get("name").and_then(Value::as_str);
                let step = name.map_or_else(|| index.to_string(), str::to_owned);
                compare(live, wanted, &format!("{path}[{step}]"), found);
            }
        }
        _ if live == wanted => {}
        _ => found.push(format!("~ {path}: {} → {}", brief(live), brief(wanted))),
    }
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
