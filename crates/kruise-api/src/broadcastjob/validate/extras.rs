//! Rules that OpenKruise does not have: values that stall or end a job at once (W19), and our own members.

use super::super::v1beta1::{
    BroadcastJobSpec, CompletionPolicy, FailurePolicy, FailureRule, Rollout,
};
use super::{NOT_NEGATIVE, amount_problem};
use crate::shared::field::FieldError;
use crate::shared::labels::{check_selector, key_problem, selects_all};

/// Problems of a spec.
pub fn check(spec: &BroadcastJobSpec, completion: &CompletionPolicy) -> Vec<FieldError> {
    let parallelism = spec.parallelism.as_ref();
    let mut errors: Vec<FieldError> = parallelism
        .and_then(|value| amount_problem("spec.parallelism", value))
        .into_iter()
        .collect();
    let at = |member: &str| format!("spec.completionPolicy.{member}");
    if let Some(seconds) = completion.active_deadline_seconds.filter(|seconds| *seconds < 1) {
        let rule = "must be greater than or equal to 1";
        errors.push(FieldError::invalid(at("activeDeadlineSeconds"), seconds, rule));
    }
    let ttl = completion.ttl_seconds_after_finished.unwrap_or_default();
    not_negative(at("ttlSecondsAfterFinished"), ttl, &mut errors);
    if let Some(policy) = &spec.failure_policy {
        failure(policy, &mut errors);
    }
    if let Some(rollout) = &spec.rollout {
        order(rollout, &mut errors);
    }
    let unfit = spec.unfit_pods.as_deref().unwrap_or_default();
    if !["", "Keep", "Delete"].contains(&unfit) {
        errors.push(FieldError::not_supported("spec.unfitPods", unfit, &["Keep", "Delete"]));
    }
    errors
}

fn not_negative(path: String, number: i32, errors: &mut Vec<FieldError>) {
    if number < 0 {
        errors.push(FieldError::invalid(path, number, NOT_NEGATIVE));
    }
}

fn failure(policy: &FailurePolicy, errors: &mut Vec<FieldError>) {
    let at = |member: &str| format!("spec.failurePolicy.{member}");
    not_negative(at("restartLimit"), policy.restart_limit, errors);
    if let Some(most) = &policy.max_failed_nodes {
        errors.extend(amount_problem(&at("maxFailedNodes"), most));
        if policy.type_.as_deref() == Some("Continue") {
            let rule = "only with type 'FailFast' or 'Pause'";
            errors.push(FieldError::forbidden(at("maxFailedNodes"), rule));
        }
    }
    if let Some(retry) = &policy.retry {
        not_negative(at("retry.limit"), retry.limit, errors);
        not_negative(at("retry.backoffSeconds"), retry.backoff_seconds.unwrap_or_default(), errors);
        let most = retry.max_backoff_seconds.unwrap_or_default();
        not_negative(at("retry.maxBackoffSeconds"), most, errors);
    }
    for (index, one) in policy.rules.iter().enumerate() {
        rule(&at(&format!("rules[{index}]")), one, errors);
    }
}

fn rule(at: &str, rule: &FailureRule, errors: &mut Vec<FieldError>) {
    const ACTIONS: &[&str] = &["Ignore", "FailNode", "FailJob"];
    if !ACTIONS.contains(&rule.action.as_str()) {
        let action = rule.action.clone();
        errors.push(FieldError::not_supported(format!("{at}.action"), action, ACTIONS));
    }
    match (&rule.on_exit_codes, rule.on_pod_conditions.is_empty()) {
        (None, true) => {
            let text = "specifying one of 'onExitCodes' and 'onPodConditions' is required";
            errors.push(FieldError::required(at, text));
        }
        (Some(_), false) => {
            let text = "only one of 'onExitCodes' and 'onPodConditions' may be specified";
            errors.push(FieldError::forbidden(at, text));
        }
        (Some(codes), true) => {
            let path = format!("{at}.onExitCodes");
            if !["In", "NotIn"].contains(&codes.operator.as_str()) {
                let operator = codes.operator.clone();
                let known = &["In", "NotIn"];
                errors.push(FieldError::not_supported(format!("{path}.operator"), operator, known));
            }
            if codes.values.is_empty() {
                let text = "at least one value is required";
                errors.push(FieldError::required(format!("{path}.values"), text));
            }
            if codes.operator == "In" && codes.values.contains(&0) {
                let text = "must not be 0 for the In operator";
                errors.push(FieldError::invalid(format!("{path}.values"), 0, text));
            }
        }
        (None, false) => {
            for (index, pattern) in rule.on_pod_conditions.iter().enumerate() {
                if pattern.type_.is_empty() {
                    let path = format!("{at}.onPodConditions[{index}].type");
                    errors.push(FieldError::required(path, ""));
                }
            }
        }
    }
}

fn order(rollout: &Rollout, errors: &mut Vec<FieldError>) {
    if let Some(first) = &rollout.first {
        if selects_all(first) {
            let rule = "empty selector is invalid: it selects every node";
            errors.push(FieldError::invalid("spec.rollout.first", serde_json::json!({}), rule));
        }
        errors.extend(check_selector("spec.rollout.first", first));
    }
    for (index, wave) in rollout.waves.iter().enumerate() {
        errors.extend(amount_problem(&format!("spec.rollout.waves[{index}]"), wave));
    }
    not_negative("spec.rollout.soakSeconds".to_owned(), rollout.soak_seconds, errors);
    let key = rollout.topology_key.as_deref().unwrap_or_default();
    if let Some(problem) = (!key.is_empty()).then(|| key_problem(key)).flatten() {
        errors.push(FieldError::invalid("spec.rollout.topologyKey", key, problem));
    }
    match rollout.max_per_topology {
        Some(most) if most < 1 => {
            let rule = "must be greater than or equal to 1";
            errors.push(FieldError::invalid("spec.rollout.maxPerTopology", most, rule));
        }
        Some(_) if key.is_empty() => {
            let rule = "must be specified with maxPerTopology";
            errors.push(FieldError::required("spec.rollout.topologyKey", rule));
        }
        _ => {}
    }
}
