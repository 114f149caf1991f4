//! The form in which OpenKruise stores a spec: its webhook writes back what its Go types made of it. Zero values go,
//! structs come, quantities get their canonical spelling. Members that those types do not know stay (W-30).

use kruise_common::history::schema::Kind;
use kruise_common::history::{Form, TemplateError, encode_value};
use serde_json::Value;

use crate::schema::SPEC;

/// Brings a spec into that form; fails where Go could not read it.
pub fn stored(spec: &Value) -> Result<Value, TemplateError> {
    let text = encode_value(&Kind::Struct(SPEC), spec, Form::Declared)?;
    serde_json::from_str(&text)
        .map_err(|error| TemplateError { path: String::new(), problem: error.to_string() })
}
