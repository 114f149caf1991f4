//! From a template as the API server stores it to the bytes that Go's typed round trip makes of it (R-4, R-5), and to a
//! second form in which templates of one meaning have one text (R-8). The rules per member are in `schema.rs`.

use std::fmt::{self, Write};

use jiff::Timestamp;
use kruise_api::shared::quantity::Quantity;
use serde_json::{Map, Number, Value};

use super::print;
use super::schema::{Kind, Members, Omit, TEMPLATE};

/// How much of a wrong value an error shows, in characters.
const SHOWN: usize = 60;
/// 2^63 and -2^63 as Go prints these doubles, which are the ends of the int64 range after rounding.
const ROUNDED_MAX: u64 = 9_223_372_036_854_776_000;
const ROUNDED_MIN: f64 = -9_223_372_036_854_776_000.0;

/// A template that Kubernetes' types cannot hold, or text that is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct TemplateError {
    /// Where: `template.spec.containers[0].name`.
    pub path: String,
    /// The value and what is expected instead.
    pub problem: String,
}

impl TemplateError {
    pub(super) fn new(path: &str, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }

    /// The same error seen from the enclosing value.
    fn inside(mut self, step: fmt::Arguments<'_>) -> Self {
        self.path.insert_str(0, &step.to_string());
        self
    }
}

/// The data of a ControllerRevision for a pod template, `{"spec":{"template":{"$patch":"replace",…}}}`: byte for
/// byte what OpenKruise v1.9 stores, except that members unknown to Kubernetes 1.32 are kept (R-29).
///
/// A `$patch` in the template is ignored. The template is text as an API server writes it: JSON numbers in
/// other spellings (`1.500`) count by value. Fails where Go could not read a value either.
pub fn encode(template: &str) -> Result<String, TemplateError> {
    write(template, Form::Stored)
}

/// Equal texts for templates that mean the same (R-8). Not to be stored.
pub(super) fn meaning(template: &str) -> Result<String, TemplateError> {
    write(template, Form::Meaning)
}

/// What text is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Go's bytes after its generic step: members sorted, numbers as doubles.
    Stored,
    /// Go's bytes without that step: members in the order of the struct, those it does not know behind them.
    Declared,
    /// For comparing. Quantities by value; null, absent and, where Go always writes a list, empty are one.
    Meaning,
}

/// What Go writes after reading `value` into `kind`; fails where Go could not read it.
pub fn encode_value(kind: &Kind, value: &Value, form: Form) -> Result<String, TemplateError> {
    let mut writer = Writer { out: String::new(), form };
    writer.value(kind, value)?;
    Ok(writer.out)
}

fn write(template: &str, form: Form) -> Result<String, TemplateError> {
    let broken = |problem: String| TemplateError::new("template", problem);
    let mut value: Value =
        serde_json::from_str(template).map_err(|error| broken(error.to_string()))?;
    if value.is_null() {
        value = Value::Object(Map::new());
    }
    if let Some(members) = value.as_object_mut() {
        members.insert("$patch".to_owned(), Value::from("replace"));
    }
    let mut out = String::with_capacity(template.len() + 256);
    out.push_str(r#"{"spec":{"template":"#);
    let mut writer = Writer { out, form };
    writer
        .value(&Kind::Struct(TEMPLATE), &value)
        .map_err(|error| error.inside(format_args!("template")))?;
    writer.out.push_str("}}");
    Ok(writer.out)
}

/// Where a member of a struct comes from.
enum Member<'a> {
    Known(&'a Kind, Omit, &'a Value),
    Unknown(&'a Value),
}

struct Writer {
    out: String,
    form: Form,
}

impl Writer {
    /// Writes what Go holds after reading `value` into `kind`.
    fn value(&mut self, kind: &Kind, value: &Value) -> Result<(), TemplateError> {
        match (kind, value) {
            (Kind::Struct(members), Value::Null) => self.structure(&[members], &Map::new()),
            (Kind::Struct(members), Value::Object(given)) => self.structure(&[members], given),
            (Kind::Extended(base, more), Value::Null) => self.structure(&[base, more], &Map::new()),
            (Kind::Extended(base, more), Value::Object(given)) => {
                self.structure(&[base, more], given)
            }
            (Kind::List(_) | Kind::Map(_) | Kind::Any | Kind::Time, Value::Null) => {
                self.out.push_str("null");
                Ok(())
            }
            (Kind::List(item), Value::Array(items)) => self.list(item, items),
            (Kind::Map(item), Value::Object(items)) => self.map(item, items),
            (Kind::Any, given) => {
                self.raw(given, print::number);
                Ok(())
            }
            _ => self.scalar(kind, value),
        }
    }

    fn scalar(&mut self, kind: &Kind, value: &Value) -> Result<(), TemplateError> {
        match (kind, value) {
            (Kind::String, Value::Null) => self.out.push_str("\"\""),
            (Kind::Bool, Value::Null) => self.out.push_str("false"),
            (Kind::Int32 | Kind::Int64 | Kind::IntOrString, Value::Null) => self.out.push('0'),
            (Kind::Quantity, Value::Null) => self.out.push_str("\"0\""),
            (Kind::String | Kind::IntOrString, Value::String(text)) => {
                print::string(&mut self.out, text);
            }
            (Kind::Bool, Value::Bool(on)) => self.out.push_str(if *on { "true" } else { "false" }),
            (Kind::Int32 | Kind::IntOrString, Value::Number(number)) => {
                let fits = |number: &i64| i32::try_from(*number).is_ok();
                self.integer(integer(number).filter(fits).ok_or_else(|| mismatch(kind, value))?);
            }
            (Kind::Int64, Value::Number(number)) => {
                self.integer(integer(number).ok_or_else(|| mismatch(kind, value))?);
            }
            (Kind::Quantity, Value::String(text)) => {
                // Go trims after JSON escapes are still in place, so an escaped tab is not a blank to it.
                let blank = |c: char| c.is_whitespace() && !c.is_ascii_control();
                return self.quantity(text.trim_matches(blank));
            }
            (Kind::Quantity, Value::Number(number)) => {
                let mut text = String::new();
                print::exact_number(&mut text, number);
                return self.quantity(&text);
            }
            (Kind::Time, Value::String(text)) => return self.time(text),
            _ => return Err(mismatch(kind, value)),
        }
        Ok(())
    }

    fn integer(&mut self, integer: i64) {
        let number = Number::from(integer);
        match self.form {
            Form::Declared => print::exact_number(&mut self.out, &number),
            Form::Stored | Form::Meaning => print::number(&mut self.out, &number),
        }
    }

    fn quantity(&mut self, text: &str) -> Result<(), TemplateError> {
        let quantity =
            Quantity::parse(text).map_err(|error| TemplateError::new("", error.to_string()))?;
        let _ = match self.form {
            Form::Stored | Form::Declared => write!(self.out, "\"{quantity}\""),
            Form::Meaning => write!(self.out, "\"{}\"", quantity.plain()),
        };
        Ok(())
    }

    fn time(&mut self, text: &str) -> Result<(), TemplateError> {
        let Some(time) = rfc3339(text) else {
            return Err(mismatch(&Kind::Time, &Value::from(text)));
        };
        let text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        if text == "0001-01-01T00:00:00Z" && time.subsec_nanosecond() == 0 {
            self.out.push_str("null");
        } else {
            print::string(&mut self.out, &text);
        }
        Ok(())
    }

    fn list(&mut self, kind: &Kind, items: &[Value]) -> Result<(), TemplateError> {
        if items.is_empty() && self.form == Form::Meaning {
            self.out.push_str("null");
            return Ok(());
        }
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.value(kind, item).map_err(|error| error.inside(format_args!("[{index}]")))?;
        }
        self.out.push(']');
        Ok(())
    }

    fn map(&mut self, kind: &Kind, items: &Map<String, Value>) -> Result<(), TemplateError> {
        let first = self.open();
        for (key, item) in sorted(items) {
            self.key(first, key);
            self.value(kind, item).map_err(|error| error.inside(format_args!("[{key}]")))?;
        }
        self.out.push('}');
        Ok(())
    }

    /// A struct: the members that Go knows by their rules, and those it does not know as they are.
    fn structure(
        &mut self,
        parts: &[Members],
        given: &Map<String, Value>,
    ) -> Result<(), TemplateError> {
        let first = self.open();
        for (name, member) in gather(parts, given, self.form) {
            let before = self.out.len();
            self.key(first, name);
            let start = self.out.len();
            match member {
                Member::Known(kind, omit, value) => {
                    self.value(kind, value)
                        .map_err(|error| error.inside(format_args!(".{name}")))?;
                    let written = self.out.get(start..).unwrap_or_default();
                    if omit == Omit::Empty && is_empty(written) {
                        self.out.truncate(before);
                    }
                }
                Member::Unknown(value) if self.form == Form::Meaning && value.is_null() => {
                    self.out.truncate(before);
                }
                Member::Unknown(value) => self.raw(value, print::exact_number),
            }
        }
        self.out.push('}');
        Ok(())
    }

    /// A value that no rule is known for.
    fn raw(&mut self, value: &Value, number: fn(&mut String, &Number)) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(on) => self.out.push_str(if *on { "true" } else { "false" }),
            Value::Number(given) => number(&mut self.out, given),
            Value::String(text) => print::string(&mut self.out, text),
            Value::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.raw(item, number);
                }
                self.out.push(']');
            }
            Value::Object(members) => {
                let first = self.open();
                for (key, member) in sorted(members) {
                    if self.form != Form::Meaning || !member.is_null() {
                        self.key(first, key);
                        self.raw(member, number);
                    }
                }
                self.out.push('}');
            }
        }
    }

    /// Opens an object and says where its first key goes.
    fn open(&mut self) -> usize {
        self.out.push('{');
        self.out.len()
    }

    fn key(&mut self, first: usize, key: &str) {
        if self.out.len() > first {
            self.out.push(',');
        }
        print::string(&mut self.out, key);
        self.out.push(':');
    }
}

/// The members to write, sorted by name as Go's maps are, or in the order of its structs.
fn gather<'a>(
    parts: &[Members],
    given: &'a Map<String, Value>,
    form: Form,
) -> Vec<(&'a str, Member<'a>)> {
    let mut found = Vec::with_capacity(given.len() + 2);
    let mut known = 0;
    for (name, kind, omit) in parts.iter().copied().flatten() {
        let value = given.get(*name);
        known += usize::from(value.is_some());
        let value = value.unwrap_or(&Value::Null);
        match omit {
            Omit::Empty | Omit::Nil if value.is_null() => {}
            Omit::NilIsNull if value.is_null() => {
                found.push((*name, Member::Known(&Kind::Any, *omit, value)));
            }
            _ => found.push((*name, Member::Known(kind, *omit, value))),
        }
    }
    if known < given.len() {
        let unknown = |key: &String| parts.iter().copied().flatten().all(|(name, ..)| name != key);
        let others = sorted(given).into_iter().filter(|(key, _)| unknown(key));
        found.extend(others.map(|(key, value)| (key.as_str(), Member::Unknown(value))));
    }
    if form != Form::Declared {
        found.sort_unstable_by_key(|(name, _)| *name);
    }
    found
}

fn sorted(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    sorted
}

/// Empty in the sense of Go's `omitempty`, seen from the text; there are no such members of struct type.
fn is_empty(written: &str) -> bool {
    matches!(written, "\"\"" | "false" | "0" | "null" | "[]" | "{}")
}

/// A number without fraction or exponent. `-0` is one too, although serde holds it as a double; so is what Go's
/// own double pass makes of the ends of the range, or stored data could not be read again.
fn integer(number: &Number) -> Option<i64> {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(integer), ..) => Some(integer),
        (None, Some(ROUNDED_MAX), _) => Some(i64::MAX),
        (None, None, Some(double)) if double == ROUNDED_MIN => Some(i64::MIN),
        (None, None, Some(double)) if double == 0.0 && double.is_sign_negative() => Some(0),
        _ => None,
    }
}

/// A time in the one spelling that Go reads; jiff reads many more.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let pattern = b"0000-00-00T00:00:00";
    let shaped = |(byte, shape): (&u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        shape => byte == shape,
    };
    let zone =
        text.get(pattern.len()..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let zone = zone.as_bytes();
    let offset = || {
        let signed = matches!(zone, [b'+' | b'-', ..]);
        signed && zone.len() == 6 && zone.iter().skip(1).zip(b"00:00").all(shaped)
    };
    let leap = text.get(17..19) == Some("60");
    if !leap && bytes.iter().zip(pattern).all(shaped) && (zone == b"Z" || offset()) {
        text.parse().ok()
    } else {
        None
    }
}

fn mismatch(kind: &Kind, value: &Value) -> TemplateError {
    let expected = match kind {
        Kind::Struct(_) | Kind::Extended(..) | Kind::Map(_) => "an object",
        Kind::List(_) => "a list",
        Kind::String => "a string",
        Kind::Bool => "true or false",
        Kind::Int32 => "a 32-bit integer",
        Kind::Int64 => "a 64-bit integer",
        Kind::Quantity => "a quantity",
        Kind::IntOrString => "a 32-bit integer or a string",
        Kind::Time => "a time such as 2026-07-01T10:20:30Z",
        Kind::Any => "any JSON",
    };
    let mut shown = value.to_string();
    if let Some((end, _)) = shown.char_indices().nth(SHOWN) {
        shown.truncate(end);
        shown.push('…');
    }
    TemplateError::new("", format!("{shown}: must be {expected}"))
}
