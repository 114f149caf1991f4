//! JSON merge patches on texts (INJ-2). What a patch does not enter stays as somebody wrote it: numbers for which a double
//! has no room, and the order of members.

use std::collections::BTreeMap;
use std::fmt::Write;

use kruise_common::history::schema::Kind;
use kruise_common::history::{Form, encode_value};
use serde_json::Value;
use serde_json::value::RawValue;

/// How deep a patch may be.
const DEPTH: usize = 128;

const NO_DOCUMENT: &str = "Invalid JSON Document";
const NO_PATCH: &str = "Invalid JSON Patch";

/// RFC 7386. As in OpenKruise lists of the patch lose the null members of their objects, too.
pub(super) fn merge(before: &str, patch: &str) -> Result<String, String> {
    let before: &RawValue = read(before, NO_DOCUMENT)?;
    let mut out = String::new();
    merge_value(&mut out, Some(before), read(patch, NO_PATCH)?, DEPTH)?;
    Ok(out)
}

fn read<'a, T: serde::Deserialize<'a>>(text: &'a str, broken: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|_| broken.to_owned())
}

/// Writes what a patch makes of a value. Its members are sorted where the patch enters it, as Go's maps are.
fn merge_value(
    out: &mut String,
    before: Option<&RawValue>,
    patch: &RawValue,
    left: usize,
) -> Result<(), String> {
    let left = left.checked_sub(1).ok_or(NO_PATCH)?;
    let given = patch.get();
    if given.starts_with('{') {
        let known = before.map(RawValue::get).filter(|text| text.starts_with('{'));
        let known: BTreeMap<String, &RawValue> = read(known.unwrap_or("{}"), NO_DOCUMENT)?;
        let given: BTreeMap<String, &RawValue> = read(given, NO_PATCH)?;
        let mut members: BTreeMap<&str, (Option<&RawValue>, Option<&RawValue>)> =
            known.iter().map(|(name, value)| (&**name, (Some(*value), None))).collect();
        for (name, value) in &given {
            if value.get() == "null" {
                members.remove(&**name);
            } else {
                members.entry(name).or_default().1 = Some(*value);
            }
        }
        list(out, ['{', '}'], members, |out, (name, (before, patch))| {
            out.push_str(
                &encode_value(&Kind::String, &Value::from(name), Form::Declared)
                    .map_err(|error| error.to_string())?,
            );
            out.push(':');
            match (before, patch) {
                (before, Some(patch)) => merge_value(out, before, patch, left)?,
                (Some(before), None) => compact(out, before.get()),
                (None, None) => {}
            }
            Ok(())
        })
    } else if given.starts_with('[') {
        let items: Vec<&RawValue> = read(given, NO_PATCH)?;
        list(out, ['[', ']'], items, |out, item| merge_value(out, None, item, left))
    } else {
        compact(out, given);
        Ok(())
    }
}

fn list<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T) -> Result<(), String>,
) -> Result<(), String> {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item)?;
    }
    out.push(close);
    Ok(())
}

/// JSON without blanks, and with the characters escaped that Go escapes.
fn compact(out: &mut String, json: &str) {
    let (mut quoted, mut escaped) = (false, false);
    for character in json.chars() {
        match character {
            ' ' | '\t' | '\n' | '\r' if !quoted => {}
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
    }
}
