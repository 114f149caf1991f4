//! From a template as users store it to the bytes that Go's typed round trip makes of it.

use serde_json::{Map, Number, Value, json};

use super::print::print;
use crate::quantity::canonical;

/// One line per Go struct: its name, then `member:kind:omission` in Go order. Kinds: s string, b bool, i int32,
/// I int64, f float, q quantity, t time, x int-or-string, r raw, `@Name` struct, `[kind` list, `{kind` map.
/// Omission: `-` always written, `o` omitted if empty, `p` pointer omitted if nil, `P` pointer written as null.
const SCHEMA: &str = include_str!("podschema.txt");

/// A template that Kubernetes' types cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct TemplateError {
    /// Path inside the template.
    pub path: String,
    /// The value and what was expected.
    pub problem: String,
}

impl TemplateError {
    pub(super) fn new(path: &str, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }
}

/// The data of a ControllerRevision for a pod template: `{"spec":{"template":{…,"$patch":"replace"}}}`.
pub fn encode(template: &str) -> Result<String, TemplateError> {
    let value: Value = serde_json::from_str(template)
        .map_err(|error| TemplateError::new("template", error.to_string()))?;
    let mut path = "template".to_owned();
    let mut template = shape("@PodTemplateSpec", &value, &mut path)?;
    if let Some(template) = template.as_object_mut() {
        template.insert("$patch".to_owned(), json!("replace"));
    }
    Ok(print(&json!({ "spec": { "template": template } })))
}

/// The value of `kind` that Go holds after reading `value`, as Go writes it.
fn shape(kind: &str, value: &Value, path: &mut String) -> Result<Value, TemplateError> {
    let mut chars = kind.chars();
    let head = chars.next().unwrap_or_default();
    let inner = chars.as_str();
    match (head, value) {
        ('@', Value::Null) => object(inner, &Map::new(), path),
        ('@', Value::Object(members)) => object(inner, members, path),
        ('[' | '{', Value::Null) => Ok(Value::Null),
        ('[', Value::Array(items)) => {
            let shaped = items.iter().enumerate().map(|(index, item)| {
                within(path, &format!("[{index}]"), |path| shape(inner, item, path))
            });
            shaped.collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        ('{', Value::Object(members)) => {
            let shaped = members.iter().map(|(key, member)| {
                let value = within(path, &format!(".{key}"), |path| shape(inner, member, path))?;
                Ok((key.clone(), value))
            });
            shaped.collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        ('s', Value::Null) => Ok(json!("")),
        ('b', Value::Null) => Ok(json!(false)),
        ('i' | 'I' | 'f' | 'x', Value::Null) => Ok(json!(0)),
        ('q', Value::Null) => Ok(json!("0")),
        ('t' | 'r', _) | ('s', Value::String(_)) | ('b', Value::Bool(_)) => Ok(value.clone()),
        ('x', Value::String(_)) => Ok(value.clone()),
        ('i' | 'x', Value::Number(number)) if fits(number, i64::from(i32::MAX)) => {
            Ok(value.clone())
        }
        ('I', Value::Number(number)) if number.is_i64() => Ok(value.clone()),
        ('f', Value::Number(_)) => Ok(value.clone()),
        ('q', Value::String(text)) => quantity(text, path),
        ('q', Value::Number(number)) => quantity(&number.to_string(), path),
        _ => Err(mismatch(head, value, path)),
    }
}

fn fits(number: &Number, most: i64) -> bool {
    number.as_i64().is_some_and(|number| (-most - 1..=most).contains(&number))
}

fn quantity(text: &str, path: &str) -> Result<Value, TemplateError> {
    let canonical =
        canonical(text.trim()).map_err(|error| TemplateError::new(path, error.to_string()))?;
    Ok(json!(canonical))
}

fn mismatch(kind: char, value: &Value, path: &str) -> TemplateError {
    let expected = match kind {
        '@' | '{' => "an object",
        '[' => "a list",
        's' => "a string",
        'b' => "true or false",
        'i' => "a 32-bit integer",
        'I' => "a 64-bit integer",
        'f' => "a number",
        'q' => "a quantity",
        'x' => "an integer or a string",
        _ => "something else",
    };
    let mut shown = value.to_string();
    if let Some((end, _)) = shown.char_indices().nth(60) {
        shown.truncate(end);
        shown.push('…');
    }
    TemplateError::new(path, format!("{shown}: must be {expected}"))
}

/// A struct: its known members by the table, then members the table does not know, as they are.
fn object(
    name: &str,
    members: &Map<String, Value>,
    path: &mut String,
) -> Result<Value, TemplateError> {
    let mut written = Map::new();
    let mut known = Vec::new();
    for row in rows(name) {
        let mut parts = row.split(':');
        let (Some(member), Some(kind), Some(omission)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        known.push(member);
        let given = members.get(member).unwrap_or(&Value::Null);
        if given.is_null() && omission != "-" {
            if omission == "P" {
                written.insert(member.to_owned(), Value::Null);
            }
            continue;
        }
        let value = within(path, &format!(".{member}"), |path| shape(kind, given, path))?;
        if omission != "o" || !is_empty(&value) {
            written.insert(member.to_owned(), value);
        }
    }
    for (member, value) in members {
        if !known.contains(&member.as_str()) {
            written.insert(member.clone(), value.clone());
        }
    }
    Ok(Value::Object(written))
}

/// The members of a Go struct.
fn rows(name: &str) -> impl Iterator<Item = &'static str> {
    let line = SCHEMA.lines().find(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    });
    line.into_iter().flat_map(|line| line.split(' ').skip(1)).filter(|row| !row.is_empty())
}

/// Empty in the sense of Go's `omitempty`.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

fn within<T>(path: &mut String, step: &str, inner: impl FnOnce(&mut String) -> T) -> T {
    let length = path.len();
    path.push_str(step);
    let result = inner(path);
    path.truncate(length);
    result
}
