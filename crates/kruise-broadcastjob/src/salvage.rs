//! What can be read of an object of which something cannot.
//!
//! The API server keeps to the schema, so this is about objects that were stored under another one. A member that means
//! nothing must not take the others with it: a job whose parallelism is nonsense still has a deadline, and results.

use kruise_api::raw::RawJson;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::snapshot::Invalid;

type Members = Map<String, Value>;

/// `raw` without the members that cannot be read, and the first of these with its path below `root`.
pub fn salvage<T: DeserializeOwned + Default>(raw: &RawJson, root: &str) -> (T, Option<Invalid>) {
    let whole = match raw.parse::<T>() {
        Ok(whole) => return (whole, None),
        Err(error) => Invalid { field: root.to_owned(), problem: plain(&error) },
    };
    let Ok(mut members) = raw.parse::<Members>() else { return (T::default(), Some(whole)) };
    let mut first = None;
    prune(&mut members, root, &|members| read::<T>(members).map(drop), &mut first);
    match read(&members) {
        Ok(rest) => (rest, first),
        Err(_) => (T::default(), Some(whole)),
    }
}

/// Removes members that cannot be read even alone, as deep inside as possible.
fn prune(
    members: &mut Members,
    path: &str,
    reads: &dyn Fn(&Members) -> Result<(), String>,
    first: &mut Option<Invalid>,
) {
    let names: Vec<String> = members.keys().cloned().collect();
    for name in names {
        let alone = |value: &Value| reads(&Members::from_iter([(name.clone(), value.clone())]));
        let Some(value) = members.get_mut(&name) else { continue };
        let Err(problem) = alone(value) else { continue };
        let field = format!("{path}.{name}");
        if let Value::Object(inside) = value {
            let of_inside = |inside: &Members| alone(&Value::Object(inside.clone()));
            prune(inside, &field, &of_inside, first);
        }
        if alone(value).is_err() {
            first.get_or_insert(Invalid { field, problem });
            members.remove(&name);
        }
    }
}

/// By way of text: raw members are read from nothing else.
fn read<T: DeserializeOwned>(members: &Members) -> Result<T, String> {
    let text = serde_json::to_string(members).map_err(|error| plain(&error))?;
    serde_json::from_str(&text).map_err(|error| plain(&error))
}

/// The message without a position, which is in a text that nobody has seen.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}
