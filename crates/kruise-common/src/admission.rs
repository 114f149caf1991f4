//! Admission as values: what is asked, what is answered, and where the API server has to ask. Pure.
//!
//! A controller implements [`Admission`]; how reviews are spelled is in `admission/review.rs`, changes in
//! `admission/patch.rs`, how hooks are registered in `admission/registration.rs`, when certificates change in
//! `admission/rotation.rs`. The server is `runtime/webhook.rs`.

pub mod patch;
pub mod registration;
pub mod review;
pub mod rotation;

use std::collections::BTreeMap;

use jiff::Timestamp;
use kruise_api::raw::RawJson;
use kruise_api::shared::field::FieldError;
use serde::Deserialize;
use serde_json::Value;

use patch::Patch;
use registration::Hook;

/// Answers admission requests of one controller; asked by many threads at once, on every replica.
pub trait Admission: Send + Sync + 'static {
    /// All paths at which it may be asked.
    fn paths(&self) -> &'static [&'static str];

    /// Where the API server has to ask, as of now. Asked again when a kind changes that the process was told of.
    fn hooks(&self) -> Vec<Hook>;

    /// The hooks as they were handed out last are known to be registered.
    fn registered(&self) {}

    /// When the hooks may be others without any change, if ever.
    fn due(&self) -> Option<Timestamp> {
        None
    }

    /// What hooks are to be made with, and what reviews are to wait for, beyond what is stored: for all other replicas.
    fn announces(&self) -> Option<String> {
        None
    }

    /// What another replica announces.
    fn hears(&self, _text: &str) {}

    /// The answer to a request that came to `path`; `None` if no hook has this path.
    fn answer(&self, path: &str, request: &Request) -> Option<Answer>;
}

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// A new object.
    Create,
    /// A change.
    Update,
    /// A removal.
    Delete,
    /// A connection (exec, proxy).
    Connect,
}

/// What the API server asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Name of this review; the answer repeats it.
    pub uid: String,
    /// Subresource, empty for the object itself.
    pub subresource: String,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name; empty while the server has yet to generate it.
    pub name: String,
    /// What is done.
    pub operation: Operation,
    /// The object as it would be stored; absent on deletion.
    pub object: Option<RawJson>,
    /// The object as it is stored; absent on creation.
    pub old: Option<RawJson>,
    /// Whether nothing will be stored.
    pub dry_run: bool,
}

/// What the API server is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Yes, yes with changes, or no.
    pub verdict: Verdict,
    /// Shown to the user as `Warning:`, whatever the verdict.
    pub warnings: Vec<String>,
    /// What became of the request in one word, where the verdict says too little ([`Answer::outcome`]).
    pub outcome: Option<&'static str>,
    /// Whether caches that lag a moment are the reason: the same question is asked again for a while before this counts.
    pub transient: bool,
    /// Written beside the request in the audit log of the API server.
    pub audit: BTreeMap<&'static str, String>,
}

/// Whether a request may go on.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Verdict {
    /// As it is.
    #[default]
    Allowed,
    /// After these JSON Patch operations.
    Patched(Patch),
    /// Not at all.
    Denied(Denial),
}

/// Why a request may not go on, as the user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// HTTP status.
    pub code: u16,
    /// Kubernetes' word for it.
    pub reason: &'static str,
    /// The rule that was broken.
    pub message: String,
}

impl Answer {
    /// The request may go on as it is.
    pub fn allowed() -> Self {
        Self::default()
    }

    /// The request may go on as `after`: the operations that make it of `before`, or nothing if they are equal.
    pub fn changed(before: &Value, after: &Value) -> Self {
        let patch = Patch::between(before, after);
        let verdict = if patch.is_empty() { Verdict::Allowed } else { Verdict::Patched(patch) };
        Self { verdict, ..Self::default() }
    }

    /// The object cannot be read as what it says it is (H-2: 400).
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self::denied(400, "BadRequest", message)
    }

    /// Fields break rules (H-2: 422, all of them in one message); allowed if there is none.
    pub fn checked(errors: &[FieldError]) -> Self {
        if errors.is_empty() {
            return Self::allowed();
        }
        let mut texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        // As Kubernetes joins errors: one stands alone, several in brackets, none twice.
        let mut seen = std::collections::BTreeSet::new();
        texts.retain(|text| seen.insert(text.clone()));
        let message = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        Self::denied(422, "Invalid", message)
    }

    /// A rule that is not about a field forbids it (403).
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::denied(403, "Forbidden", message)
    }

    fn denied(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        let verdict = Verdict::Denied(Denial { code, reason, message: message.into() });
        Self { verdict, ..Self::default() }
    }

    /// The same answer with a word of its own for the metric.
    pub fn with_outcome(mut self, outcome: &'static str) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// The same answer, for lack of what is about to arrive.
    pub fn for_now(mut self) -> Self {
        self.transient = true;
        self
    }

    /// What became of the request in one word, as the metric counts it.
    pub fn outcome(&self) -> &'static str {
        self.outcome.unwrap_or(match &self.verdict {
            Verdict::Allowed => "allowed",
            Verdict::Patched(_) => "patched",
            Verdict::Denied(_) => "denied",
        })
    }

    /// The same answer with warnings.
    pub fn with_warnings(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        !matches!(self.verdict, Verdict::Denied(_))
    }
}
