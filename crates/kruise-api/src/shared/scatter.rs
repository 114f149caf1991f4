//! Terms by which an update is spread over pods that have something in common (sidecarset.md FLD-14).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pods with this label must not all be updated one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ScatterTerm {
    /// Label key.
    pub key: String,
    /// Label value; [`EVERY_VALUE`] stands for every value that is present.
    pub value: String,
}

/// The value of a term that stands for every value.
pub const EVERY_VALUE: &str = "*";
