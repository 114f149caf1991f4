//! What a controller says of itself: the condition `Degraded`, in an annotation of its Lease.
//!
//! A Lease has no status, so the condition stands in an annotation, in the form that conditions have everywhere. It is
//! written with the renewals that come anyway, by the one that leads: a fault costs no write, and no object of a user
//! bears the mark of what is wrong with the controller (platform P9).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kruise_api::keys;

/// Whether the controller works with all that it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Something is missing or broken; it works without.
    pub degraded: bool,
    /// One word for why.
    pub reason: &'static str,
    /// Why, for a human.
    pub message: String,
}

impl Verdict {
    /// All is as it should be.
    pub fn as_expected() -> Self {
        Self { degraded: false, reason: keys::AS_EXPECTED, message: String::new() }
    }

    /// The controller works, but without something.
    pub fn degraded(reason: &'static str, message: impl Into<String>) -> Self {
        Self { degraded: true, reason, message: message.into() }
    }
}

/// What the annotation must say, or `None` if `stored` says so already. Other conditions stay; what cannot be read is
/// replaced. The time of the transition stays while the status does.
pub(crate) fn annotation(
    stored: Option<&str>,
    verdict: &Verdict,
    now: Timestamp,
) -> Option<String> {
    let known = stored.and_then(|text| serde_json::from_str::<Vec<Condition>>(text).ok());
    let mut conditions = known.unwrap_or_default();
    let at = conditions.iter().position(|condition| condition.type_ == keys::CONDITION_DEGRADED);
    let before = at.map(|at| conditions.remove(at));
    let status = if verdict.degraded { "True" } else { "False" };
    let since = before.as_ref().filter(|before| before.status == status);
    let since = since.map(|before| before.last_transition_time.clone());
    let condition = Condition {
        type_: keys::CONDITION_DEGRADED.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.to_owned(),
        message: verdict.message.clone(),
        observed_generation: None,
        // Whole seconds, as conditions have them.
        last_transition_time: since
            .unwrap_or_else(|| Time(Timestamp::from_second(now.as_second()).unwrap_or(now))),
    };
    if before.as_ref() == Some(&condition) {
        return None;
    }
    conditions.push(condition);
    serde_json::to_string(&conditions).ok()
}
