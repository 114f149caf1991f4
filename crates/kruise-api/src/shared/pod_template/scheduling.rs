//! Problems of what decides about nodes: selector, required affinity, tolerations.

use serde_json::Value;

use super::{Object, list, member, strings, text};
use crate::shared::field::FieldError;
use crate::shared::labels::{check_labels, key_problem};

/// Checks a pod spec.
pub fn check(at: &str, spec: &Object, errors: &mut Vec<FieldError>) {
    let selector = strings(spec.get("nodeSelector"));
    errors.extend(check_labels(&format!("{at}.nodeSelector"), &selector));
    let required = member(spec, "affinity")
        .and_then(|affinity| member(affinity, "nodeAffinity"))
        .and_then(|affinity| member(affinity, "requiredDuringSchedulingIgnoredDuringExecution"));
    if let Some(required) = required {
        let path = format!(
            "{at}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        );
        let terms = list(required, "nodeSelectorTerms");
        if terms.is_empty() {
            let rule = "must have at least one node selector term";
            errors.push(FieldError::required(path.clone(), rule));
        }
        for (index, term) in terms.into_iter().enumerate() {
            check_term(&format!("{path}[{index}]"), term, errors);
        }
    }
    for (index, toleration) in list(spec, "tolerations").into_iter().enumerate() {
        check_toleration(&format!("{at}.tolerations[{index}]"), toleration, errors);
    }
}

fn check_term(at: &str, term: &Object, errors: &mut Vec<FieldError>) {
    for (index, expression) in list(term, "matchExpressions").into_iter().enumerate() {
        let path = format!("{at}.matchExpressions[{index}]");
        check_expression(&path, expression, errors);
        let key = text(expression, "key");
        if let Some(problem) = key_problem(key) {
            errors.push(FieldError::invalid(format!("{path}.key"), key, problem));
        }
    }
    for (index, field) in list(term, "matchFields").into_iter().enumerate() {
        let path = format!("{at}.matchFields[{index}]");
        let values = field.get("values").and_then(Value::as_array).map_or(0, Vec::len);
        match text(field, "operator") {
            "In" | "NotIn" if values != 1 => {
                let rule = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(FieldError::required(format!("{path}.values"), rule));
            }
            "In" | "NotIn" => {}
            other => {
                let rule = "not a valid selector operator";
                errors.push(FieldError::invalid(format!("{path}.operator"), other, rule));
            }
        }
        let key = text(field, "key");
        if key != "metadata.name" {
            let rule = "not a valid field selector key";
            errors.push(FieldError::invalid(format!("{path}.key"), key, rule));
        }
    }
}

fn check_expression(at: &str, expression: &Object, errors: &mut Vec<FieldError>) {
    let values = expression.get("values").and_then(Value::as_array).map_or(0, Vec::len);
    let (values_at, operator_at) = (format!("{at}.values"), format!("{at}.operator"));
    match (text(expression, "operator"), values) {
        ("In" | "NotIn", 0) => {
            let rule = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(values_at, rule));
        }
        ("Exists" | "DoesNotExist", 1..) => {
            let rule = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(values_at, rule));
        }
        ("Gt" | "Lt", count) if count != 1 => {
            let rule = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(FieldError::required(values_at, rule));
        }
        ("In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt", _) => {}
        (other, _) => {
            errors.push(FieldError::invalid(operator_at, other, "not a valid selector operator"));
        }
    }
}

fn check_toleration(at: &str, toleration: &Object, errors: &mut Vec<FieldError>) {
    const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let [key, operator, value, effect] =
        ["key", "operator", "value", "effect"].map(|member| text(toleration, member));
    if let Some(problem) = (!key.is_empty()).then(|| key_problem(key)).flatten() {
        errors.push(FieldError::invalid(format!("{at}.key"), key, problem));
    }
    if key.is_empty() && operator != "Exists" {
        let rule = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(FieldError::invalid(format!("{at}.operator"), operator, rule));
    }
    match operator {
        "Exists" if !value.is_empty() => {
            let rule = "value must be empty when `operator` is 'Exists'";
            errors.push(FieldError::invalid(format!("{at}.operator"), value, rule));
        }
        "" | "Equal" | "Exists" => {}
        other => {
            let known = &["Equal", "Exists"];
            errors.push(FieldError::not_supported(format!("{at}.operator"), other, known));
        }
    }
    if toleration.get("tolerationSeconds").is_some_and(|seconds| !seconds.is_null())
        && effect != "NoExecute"
    {
        let rule = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(FieldError::invalid(format!("{at}.effect"), effect, rule));
    }
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        errors.push(FieldError::not_supported(format!("{at}.effect"), effect, EFFECTS));
    }
}
