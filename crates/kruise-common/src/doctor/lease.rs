//! Who leads, and whether an OpenKruise manager is alive beside us (platform §18.4).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kruise_api::keys;
use serde_json::Value;

use super::{Answer, Finding, Subject, text};

/// The Lease of a controller.
pub fn check(subject: &Subject, namespace: &str, lease: &Answer, now: Timestamp) -> Finding {
    let about = format!("Lease {namespace}/{}", subject.binary);
    let logs = format!("look at the log of the pods of {}", subject.binary);
    let absent = || Finding::wrong(&about, "nobody ever led: the controller does not run", &logs);
    let lease = match lease.object(&about, absent) {
        Ok(lease) => lease,
        Err(finding) => return finding,
    };
    let holder = text(lease, "/spec/holderIdentity");
    let Some(silent) = silence(lease, now) else {
        return Finding::wrong(&about, "was never renewed", &logs);
    };
    if holder.is_empty() {
        return Finding::wrong(&about, format!("nobody leads, for {silent:#}"), &logs);
    }
    if silent > life(lease) {
        let what = format!("{holder} led and has been silent for {silent:#}");
        return Finding::wrong(&about, what, &logs);
    }
    let leads = format!("{holder} leads, heard {silent:#} ago");
    match degraded(lease) {
        Some(why) => Finding::odd(&about, format!("{leads}, but degraded: {why}"), &logs),
        None => Finding::right(&about, leads),
    }
}

/// The Lease of an OpenKruise manager, which would write the same objects.
pub fn conflict(about: &str, lease: &Answer, now: Timestamp) -> Finding {
    let about = format!("Lease {about}");
    let absent = || Finding::right(&about, "no OpenKruise manager");
    let lease = match lease.object(&about, absent) {
        Ok(lease) => lease,
        Err(finding) => return finding,
    };
    let holder = text(lease, "/spec/holderIdentity");
    match silence(lease, now) {
        Some(silent) if !holder.is_empty() && silent <= life(lease) => Finding::wrong(
            &about,
            format!("an OpenKruise manager is alive ({holder}): our controllers stand by"),
            "scale kruise-controller-manager to zero; see docs/migration.md",
        ),
        _ => Finding::right(&about, "no OpenKruise manager is alive"),
    }
}

/// What the leader says that it has to do without.
fn degraded(lease: &Value) -> Option<String> {
    let annotations = lease.pointer("/metadata/annotations")?;
    let conditions = annotations.get(keys::CONTROLLER_CONDITIONS)?.as_str()?;
    let conditions: Vec<Condition> = serde_json::from_str(conditions).ok()?;
    let mut conditions = conditions.into_iter();
    let found = conditions.find(|c| c.type_ == keys::CONDITION_DEGRADED && c.status == "True")?;
    Some(found.message)
}

/// For how long nobody has renewed it.
fn silence(lease: &Value, now: Timestamp) -> Option<SignedDuration> {
    let renewed: Timestamp = text(lease, "/spec/renewTime").parse().ok()?;
    let silent = now.duration_since(renewed);
    Some(SignedDuration::from_secs(silent.as_secs().max(0)))
}

/// How long a holder may be silent.
fn life(lease: &Value) -> SignedDuration {
    let seconds = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_i64);
    SignedDuration::from_secs(seconds.unwrap_or(15))
}
