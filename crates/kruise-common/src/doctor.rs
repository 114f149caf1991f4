//! Is an installation well? What `kruise-doctor` looks at, and what it makes of it: pure, but for [`read`].
//!
//! Each check takes what the API server answered and says what is right, what is odd and what is wrong, with what to
//! do about it. A check that could not be made is said too: silence means nothing.

use std::fmt;

use serde_json::Value;

use kruise_api::keys;

use crate::kind::{BROADCAST_JOB, Kind, SIDECAR_SET, STATEFUL_SET};

pub mod admission;
pub mod definition;
pub mod lease;
pub mod read;
pub mod workload;

/// A controller that can be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its binary, which is also the name of its Lease, of its webhook configurations and of its chart.
    pub binary: &'static str,
    /// The kind it cares for.
    pub kind: &'static Kind,
    /// Names of the hooks by which OpenKruise's manager asks about the same kind.
    pub openkruise_hooks: &'static [&'static str],
}

/// All controllers of this project.
pub static SUBJECTS: [Subject; 3] = [
    Subject {
        binary: keys::STATEFULSET_BINARY,
        kind: &STATEFUL_SET,
        openkruise_hooks: &["mstatefulset.kb.io", "vstatefulset.kb.io"],
    },
    Subject {
        binary: keys::BROADCASTJOB_BINARY,
        kind: &BROADCAST_JOB,
        openkruise_hooks: &["mbroadcastjob.kb.io", "vbroadcastjob.kb.io"],
    },
    Subject {
        binary: keys::SIDECARSET_BINARY,
        kind: &SIDECAR_SET,
        openkruise_hooks: &["msidecarset.kb.io", "vsidecarset.kb.io", "mpod.kb.io", "vpod.kb.io"],
    },
];

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Right,
    /// Odd, or could not be looked at; may be wanted.
    Odd,
    /// Something does not work, or soon will not.
    Wrong,
}

impl Level {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Right => "ok",
            Self::Odd => "warning",
            Self::Wrong => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which object.
    pub about: String,
    /// How bad it is.
    pub level: Level,
    /// What was seen.
    pub what: String,
    /// What to do about it; empty if nothing.
    pub advice: String,
}

impl Finding {
    /// All is well with `about`.
    pub fn right(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self { about: about.into(), level: Level::Right, what: what.into(), advice: String::new() }
    }

    /// It may be meant so.
    pub fn odd(about: impl Into<String>, what: impl Into<String>, advice: &str) -> Self {
        let (about, what) = (about.into(), what.into());
        Self { about, level: Level::Odd, what, advice: advice.to_owned() }
    }

    /// It does not work so.
    pub fn wrong(about: impl Into<String>, what: impl Into<String>, advice: &str) -> Self {
        let (about, what) = (about.into(), what.into());
        Self { about, level: Level::Wrong, what, advice: advice.to_owned() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {}: {}", self.level.as_str(), self.about, self.what)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "\n         → {}", self.advice) }
    }
}

/// What became of the wish to read something.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is there.
    There(Value),
    /// It is not.
    Absent,
    /// Nobody knows.
    Unknown(String),
}

impl Answer {
    /// The object, or the finding that stands for its absence.
    fn object(&self, about: &str, absent: impl FnOnce() -> Finding) -> Result<&Value, Finding> {
        match self {
            Self::There(object) => Ok(object),
            Self::Absent => Err(absent()),
            Self::Unknown(why) => Err(unread(about, why)),
        }
    }
}

/// Something that could not be read.
fn unread(about: &str, why: &str) -> Finding {
    Finding::odd(about, format!("could not be read: {why}"), "give the doctor the right to read it")
}

/// A member as text, empty if it is absent or something else.
fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A member as a list, empty if it is absent or something else.
fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
