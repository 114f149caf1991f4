//! Objects whose rollout does not go on, and what they say about it themselves.

use serde_json::Value;

use kruise_api::keys;

use super::{Answer, Finding, Subject, list, text};

/// So many objects are named; of the rest only the number.
const NAMED: usize = 20;

/// Conditions that tell of trouble: type, and the status in which they do.
const TROUBLE: [(&str, &str); 10] = [
    (keys::CONDITION_PROGRESSING, "False"),
    (keys::CONDITION_FAILED_CREATE_POD, "True"),
    (keys::CONDITION_FAILED_UPDATE_POD, "True"),
    (keys::CONDITION_INVALID_SPEC, "True"),
    (keys::CONDITION_REFUSED_WRITE, "True"),
    (keys::CONDITION_NO_ELIGIBLE_NODES, "True"),
    (keys::CONDITION_NOT_UPGRADABLE, "True"),
    (keys::CONDITION_NOT_INJECTED, "True"),
    (keys::CONDITION_REVISION_UNUSABLE, "True"),
    (keys::CONDITION_STALLED, "True"),
];

/// Looks at all objects of a kind.
pub fn check(subject: &Subject, objects: &Answer) -> Vec<Finding> {
    let about = subject.kind.plural;
    let objects = match objects.object(about, || Finding::right(about, "none")) {
        Ok(objects) => list(objects, "/items"),
        Err(finding) => return vec![finding],
    };
    let all: Vec<Finding> = objects.iter().filter_map(|object| trouble(subject, object)).collect();
    let (count, found) = (objects.len(), all.len());
    if found == 0 {
        return vec![Finding::right(about, format!("{count}, none in trouble"))];
    }
    let mut findings: Vec<Finding> = all.into_iter().take(NAMED).collect();
    if found > NAMED {
        let what = format!("{} more of {count} are in trouble", found - NAMED);
        findings.push(Finding::odd(about, what, "kubectl get -A, and look at their conditions"));
    }
    findings
}

/// What an object says of its trouble.
fn trouble(subject: &Subject, object: &Value) -> Option<Finding> {
    let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    let slash = if namespace.is_empty() { "" } else { "/" };
    let about = format!("{} {namespace}{slash}{name}", subject.kind.kind);
    let said = list(object, "/status/conditions").iter().find(|condition| {
        TROUBLE.contains(&(text(condition, "/type"), text(condition, "/status")))
    });
    if let Some(condition) = said {
        let part = |member| text(condition, member);
        let what = format!("{} {}: {}", part("/type"), part("/reason"), part("/message"));
        return Some(Finding::odd(about, what, "docs/runbook.md, by the reason"));
    }
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let (wanted, seen) = (number("/metadata/generation"), number("/status/observedGeneration"));
    // BroadcastJobs do not say what they observed.
    let tells = object.pointer("/status/observedGeneration").is_some();
    (tells && seen < wanted).then(|| {
        let what = format!("generation {wanted} was not looked at yet (seen: {seen})");
        Finding::odd(about, what, "if that stays so, no controller works on it")
    })
}
