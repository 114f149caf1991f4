//! Rules of the update and injection strategies (VAL-23…VAL-30).

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::label_selector;
use crate::shared::field::{FieldError, NOT_NEGATIVE, PERCENT};
use crate::shared::labels::value_problem;
use crate::shared::priority::check_priorities;
use crate::sidecarset::v1beta1::{
    ALWAYS, NOT_UPDATE, PARTIAL, ROLLING_UPDATE, SidecarSetSpec, UpdateStrategy,
};

const PATH: &str = "spec.updateStrategy";

/// VAL-23…VAL-25.
pub(super) fn injection(spec: &SidecarSetSpec, unusable: Option<&str>) -> Vec<FieldError> {
    let Some(revision) = &spec.injection_strategy.revision else { return Vec::new() };
    let mut errors = Vec::new();
    if revision.revision_name.is_none() && revision.custom_version.is_none() {
        let rule = "revisionName and customVersion cannot be empty simultaneously";
        errors.push(FieldError::invalid("revision", serde_json::Value::Null, rule));
    } else if let Some(why) = unusable {
        let value = serde_json::to_value(revision).unwrap_or_default();
        let rule = format!("Cannot find specific ControllerRevision, err: {why}");
        errors.push(FieldError::invalid("revision", value, rule));
    }
    let policy = revision.policy.as_deref().unwrap_or_default();
    if !["", ALWAYS, PARTIAL].contains(&policy) {
        let rule = format!("Invalid policy {policy}, supported: [Always, Partial]");
        errors.push(FieldError::invalid("revision.policy", policy, rule));
    }
    errors
}

/// VAL-22, VAL-26…VAL-29.
pub(super) fn update(strategy: &UpdateStrategy) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(selector) = &strategy.selector {
        errors.extend(label_selector(&format!("{PATH}.selector"), selector));
        let zero = strategy.partition.as_ref().is_none_or(|p| *p == IntOrString::Int(0));
        if !zero {
            let rule = "Partition and Selector cannot be used together";
            let value = serde_json::to_value(&strategy.partition).unwrap_or_default();
            errors.push(FieldError::invalid(PATH, value, rule));
        }
    }
    let amounts =
        [("partition", &strategy.partition), ("maxUnavailable", &strategy.max_unavailable)];
    for (member, amount) in amounts {
        let path = format!("{PATH}.{member}");
        match amount {
            Some(IntOrString::Int(count)) if *count < 0 => {
                errors.push(FieldError::invalid(path, *count, NOT_NEGATIVE));
            }
            Some(IntOrString::String(text)) if !is_percentage(text) => {
                errors.push(FieldError::invalid(path, text.clone(), PERCENT));
            }
            Some(_) | None => {}
        }
    }
    if let Some(priority) = &strategy.priority_strategy {
        errors.extend(check_priorities(&format!("{PATH}.priorityStrategy"), priority));
    }
    let mut seen = BTreeSet::new();
    for term in &strategy.scatter_strategy {
        let path = format!("{PATH}.scatterStrategy");
        if term.key.is_empty() {
            errors.push(FieldError::required(path.clone(), "key should not be empty"));
        }
        if !seen.insert((&term.key, &term.value)) {
            let rule = format!("duplicated key={} value={}", term.key, term.value);
            errors.push(FieldError::invalid(path, term.key.clone(), rule));
        }
    }
    errors
}

/// `^[0-9]+%$`
fn is_percentage(text: &str) -> bool {
    text.strip_suffix('%').is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// OpenKruise takes a type that it does not know for a rolling update (W-33), and a version that cannot be a label for one,
/// though its revisions bear it as theirs.
pub(super) fn strict(spec: &SidecarSetSpec) -> Vec<FieldError> {
    const KNOWN: &[&str] = &[NOT_UPDATE, ROLLING_UPDATE];
    let mut errors = Vec::new();
    let kind = spec.update_strategy.type_.clone().unwrap_or_default();
    if !kind.is_empty() && !KNOWN.contains(&kind.as_str()) {
        errors.push(FieldError::not_supported(format!("{PATH}.type"), kind, KNOWN));
    }
    if let Some(version) = &spec.custom_version
        && let Some(problem) = value_problem(version)
    {
        errors.push(FieldError::invalid("spec.customVersion", json!(version), problem));
    }
    errors
}
