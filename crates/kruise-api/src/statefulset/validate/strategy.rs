//! Rules of the update strategy (V-7…V-22).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::PodTemplate;
use crate::keys;
use crate::shared::field::{FieldError, NOT_NEGATIVE, PERCENT};
use crate::shared::priority::check_priorities;
use crate::statefulset::v1beta1::{RollingUpdate, StatefulSetSpec};

const PATH: &str = "spec.updateStrategy.rollingUpdate";

/// Problems of `spec.updateStrategy`.
pub fn strategy(spec: &StatefulSetSpec, policy: &str, template: &PodTemplate) -> Vec<FieldError> {
    let strategy = spec.update_strategy.clone().unwrap_or_default();
    match strategy.type_.as_deref().unwrap_or_default() {
        "" => vec![FieldError::required("spec.updateStrategy", "")],
        "OnDelete" => match strategy.rolling_update {
            Some(rolling) => {
                let rule = "only allowed for updateStrategy 'RollingUpdate'";
                let value = serde_json::to_value(rolling).unwrap_or_default();
                vec![FieldError::invalid(PATH, value, rule)]
            }
            None => Vec::new(),
        },
        "RollingUpdate" => {
            let rolling = strategy.rolling_update.as_ref();
            rolling.map(|rolling| rolling_update(rolling, policy, template)).unwrap_or_default()
        }
        other => {
            let rule = "must be 'RollingUpdate' or 'OnDelete'";
            vec![FieldError::invalid("spec.updateStrategy", other, rule)]
        }
    }
}

fn rolling_update(
    rolling: &RollingUpdate,
    policy: &str,
    template: &PodTemplate,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(partition) = rolling.partition.filter(|partition| *partition < 0) {
        errors.push(FieldError::invalid(format!("{PATH}.partition"), partition, NOT_NEGATIVE));
    }
    match &rolling.max_unavailable {
        Some(most) => errors.extend(amount(&format!("{PATH}.maxUnavailable"), most, policy)),
        None => errors.push(FieldError::required(format!("{PATH}.maxUnavailable"), "")),
    }
    if let Some(seconds) = rolling.min_ready_seconds {
        let path = format!("{PATH}.minReadySeconds");
        match seconds {
            ..0 => errors.push(FieldError::invalid(path, seconds, NOT_NEGATIVE)),
            301.. => {
                errors.push(FieldError::invalid(path, seconds, "must be no more than 300 seconds"));
            }
            _ => {}
        }
    }
    errors.extend(update_policy(rolling, template));
    if let Some(unordered) = &rolling.unordered_update {
        let path = format!("{PATH}.unorderedUpdate");
        if policy != "Parallel" {
            let rule = "unorderedUpdate can only work with Parallel PodManagementPolicyType";
            errors.push(FieldError::required(path.clone(), rule));
        }
        if let Some(priority) = &unordered.priority_strategy {
            errors.extend(check_priorities(&format!("{path}.priorityStrategy"), priority));
        }
    }
    errors
}

/// V-16, V-17.
fn update_policy(rolling: &RollingUpdate, template: &PodTemplate) -> Vec<FieldError> {
    let path = format!("{PATH}.podUpdatePolicy");
    match rolling.pod_update_policy.as_deref().unwrap_or_default() {
        "" => vec![FieldError::required(path, "")],
        "ReCreate" => Vec::new(),
        policy @ ("InPlaceIfPossible" | "InPlaceOnly") => {
            if template.gated_by(keys::INPLACE_UPDATE_READY) {
                return Vec::new();
            }
            let gate = keys::INPLACE_UPDATE_READY;
            let rule = format!("must contains {gate} when podUpdatePolicy is {policy}");
            vec![FieldError::invalid("spec.template.spec.readinessGates", Value::Null, rule)]
        }
        other => {
            let rule = "must be 'ReCreate', InPlaceIfPossible or 'InPlaceOnly'";
            vec![FieldError::invalid(path, other, rule)]
        }
    }
}

/// Problems of a `maxUnavailable` (V-7, V-8, V-9).
pub fn amount(path: &str, amount: &IntOrString, policy: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut refuse = |value: Value, rule: &str| errors.push(FieldError::invalid(path, value, rule));
    match amount {
        IntOrString::Int(count) => {
            if *count < 0 {
                refuse((*count).into(), NOT_NEGATIVE);
            }
            if *count < 1 {
                refuse((*count).into(), "should not be less than 1");
            }
        }
        IntOrString::String(text) => {
            let digits = text.strip_suffix('%').filter(|digits| {
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
            });
            match digits {
                None => {
                    refuse(text.clone().into(), PERCENT);
                    let why =
                        "invalid value for IntOrString: invalid type: string is not a percentage";
                    let rule = format!("getValueFromIntOrPercent error: {why}");
                    refuse(text.clone().into(), &rule);
                }
                // Of one pod, rounded up: anything but zero is at least one.
                Some(digits) if digits.bytes().all(|byte| byte == b'0') => {
                    refuse(text.clone().into(), "should not be less than 1");
                }
                Some(_) => {}
            }
        }
    }
    if *amount != IntOrString::Int(1) && policy != "Parallel" {
        let value = serde_json::to_value(amount).unwrap_or_default();
        refuse(value, "can only work with Parallel PodManagementPolicyType");
    }
    errors
}
