//! What is wrong with a member of an object, in the words of the API server.

use std::fmt;

use serde_json::Value;

/// Rule of a number.
pub const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
/// Rule of a percentage.
pub const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%', or '93%', \
                           regex used for validation is '[0-9]+%')";

/// One problem at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Path of the member, as `spec.replicas`.
    pub path: String,
    /// What kind of problem.
    pub problem: Problem,
    /// The rule, for people; scripts look for it.
    pub detail: String,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// The member is missing.
    Required,
    /// The value breaks a rule.
    Invalid(Value),
    /// The value is none of the known ones.
    NotSupported(Value, &'static [&'static str]),
    /// The member must not be set or changed here.
    Forbidden,
    /// Another member has the value already.
    Duplicate(Value),
    /// The value names something that is not there.
    NotFound(Value),
}

impl FieldError {
    /// The member at `path` is missing.
    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { path: path.into(), problem: Problem::Required, detail: detail.into() }
    }

    /// `value` at `path` breaks the rule `detail`.
    pub fn invalid(
        path: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        let problem = Problem::Invalid(value.into());
        Self { path: path.into(), problem, detail: detail.into() }
    }

    /// `value` at `path` is none of `known`.
    pub fn not_supported(
        path: impl Into<String>,
        value: impl Into<Value>,
        known: &'static [&'static str],
    ) -> Self {
        let problem = Problem::NotSupported(value.into(), known);
        Self { path: path.into(), problem, detail: String::new() }
    }

    /// `value` at `path` is there already.
    pub fn duplicate(path: impl Into<String>, value: impl Into<Value>) -> Self {
        let problem = Problem::Duplicate(value.into());
        Self { path: path.into(), problem, detail: String::new() }
    }

    /// `value` at `path` names nothing that is there.
    pub fn not_found(path: impl Into<String>, value: impl Into<Value>) -> Self {
        let problem = Problem::NotFound(value.into());
        Self { path: path.into(), problem, detail: String::new() }
    }

    /// What stands at `path` must not be set or changed.
    pub fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { path: path.into(), problem: Problem::Forbidden, detail: detail.into() }
    }
}

/// As Kubernetes prints field errors: `spec.x: Invalid value: "y": rule`.
impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        match &self.problem {
            Problem::Required => f.write_str("Required value")?,
            Problem::Invalid(value) => write!(f, "Invalid value: {value}")?,
            Problem::NotSupported(value, known) => {
                let known: Vec<String> = known.iter().map(|value| format!("{value:?}")).collect();
                write!(f, "Unsupported value: {value}: supported values: {}", known.join(", "))?;
            }
            Problem::Forbidden => f.write_str("Forbidden")?,
            Problem::Duplicate(value) => write!(f, "Duplicate value: {value}")?,
            Problem::NotFound(value) => write!(f, "Not found: {value}")?,
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}
