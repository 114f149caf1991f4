//! The message of condition `KruisePodReady`: who keeps a pod out of traffic (`inplace.md` §12.3).
//!
//! Other components write there too; their entries survive. When the condition is written is decided in `kruise-inplace`.

use serde::{Deserialize, Serialize};

use crate::go;

/// Somebody who keeps a pod out of traffic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blocker {
    /// Component.
    #[serde(rename = "userAgent", default, deserialize_with = "go::or_zero")]
    pub user_agent: String,
    /// Its reason.
    #[serde(default, deserialize_with = "go::or_zero")]
    pub key: String,
}

/// Before deletion.
pub const PRE_DELETE: &str = "preDeleteHook";
/// Before an in-place update.
pub const PRE_UPDATE: &str = "preUpdateHook";

impl Blocker {
    /// A lifecycle hook.
    pub fn lifecycle(key: &str) -> Self {
        Self { user_agent: "Lifecycle".to_owned(), key: key.to_owned() }
    }
}

/// The blockers in a message; none if it cannot be read.
pub fn blockers(message: Option<&str>) -> Vec<Blocker> {
    message.and_then(|message| serde_json::from_str(message).ok()).unwrap_or_default()
}

/// The message for `blockers`: sorted, each once.
pub fn message(mut blockers: Vec<Blocker>) -> String {
    blockers.sort();
    blockers.dedup();
    serde_json::to_string(&blockers).unwrap_or_else(|_| "[]".to_owned())
}
