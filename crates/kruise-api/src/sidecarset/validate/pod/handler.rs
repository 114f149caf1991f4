//! Rules of one container: probes, lifecycle hooks, restart policy, resizing, security.

use serde_json::Value;

use super::Check;
use crate::shared::field::{FieldError, NOT_NEGATIVE};

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

pub(super) fn rules(check: &Check<'_>, native: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let init = check.path.starts_with("spec.initContainers");
    let restart = check.text("restartPolicy");
    let path = format!("{}.restartPolicy", check.path);
    if init && !restart.is_empty() && !native {
        errors.push(FieldError::not_supported(path, restart, &["Always"]));
    } else if !init && !restart.is_empty() {
        errors.push(FieldError::forbidden(path, "may not be set for non-init containers"));
    }
    let plain = init && !native;
    for member in PROBES {
        let Some(probe) = check.member(member) else { continue };
        if plain {
            let rule = "may not be set for init containers without restartPolicy=Always";
            errors.push(FieldError::forbidden(&probe.path, rule));
        } else {
            errors.extend(probe_rules(&probe, member));
        }
    }
    if let Some(lifecycle) = check.member("lifecycle") {
        if plain {
            let rule = "may not be set for init containers without restartPolicy=Always";
            errors.push(FieldError::forbidden(&lifecycle.path, rule));
        } else {
            for member in ["postStart", "preStop"] {
                let handler = lifecycle.member(member);
                errors.extend(handler.iter().flat_map(|handler| handler_rules(handler, "sleep")));
            }
        }
    }
    for policy in check.items("resizePolicy") {
        errors.extend(policy.one_of("resourceName", &["cpu", "memory"]));
        errors.extend(policy.one_of("restartPolicy", &["NotRequired", "RestartContainer"]));
    }
    if let Some(security) = check.member("securityContext") {
        errors.extend(security_rules(&security));
    }
    errors
}

fn probe_rules(probe: &Check<'_>, member: &str) -> Vec<FieldError> {
    let mut errors = handler_rules(probe, "grpc");
    for (name, least) in [
        ("initialDelaySeconds", 0),
        ("timeoutSeconds", 0),
        ("periodSeconds", 0),
        ("successThreshold", 0),
        ("failureThreshold", 0),
        ("terminationGracePeriodSeconds", 1),
    ] {
        let Some(number) = probe.value.get(name).and_then(Value::as_i64) else { continue };
        let path = format!("{}.{name}", probe.path);
        if number < least && least == 0 {
            errors.push(FieldError::invalid(path, number, NOT_NEGATIVE));
        } else if number < least {
            errors.push(FieldError::invalid(path, number, "must be greater than 0"));
        }
    }
    let successes = probe.value.get("successThreshold").and_then(Value::as_i64);
    if member != "readinessProbe" && successes.is_some_and(|number| number > 1) {
        let path = format!("{}.successThreshold", probe.path);
        errors.push(FieldError::invalid(path, successes, "must be 1"));
    }
    errors
}

/// Exactly one way to ask; `special` is the one that only probes or only hooks have.
fn handler_rules(handler: &Check<'_>, special: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut given = 0;
    for kind in ["exec", "httpGet", "tcpSocket", special] {
        let Some(check) = handler.member(kind) else { continue };
        given += 1;
        if given > 1 {
            let rule = "may not specify more than 1 handler type";
            errors.push(FieldError::forbidden(&check.path, rule));
            continue;
        }
        match kind {
            "exec" if check.items("command").is_empty() => {
                errors.push(FieldError::required(format!("{}.command", check.path), ""));
            }
            "httpGet" | "tcpSocket" | "grpc" => errors.extend(port(&check)),
            _ => {}
        }
        if kind == "httpGet" {
            errors.extend(check.required("path"));
            errors.extend(check.one_of("scheme", &["HTTP", "HTTPS"]));
        }
    }
    if given == 0 {
        errors.push(FieldError::required(&handler.path, "must specify a handler type"));
    }
    errors
}

fn port(check: &Check<'_>) -> Option<FieldError> {
    let path = format!("{}.port", check.path);
    match check.value.get("port") {
        None | Some(Value::Null) => Some(FieldError::required(path, "")),
        Some(Value::Number(number))
            if !number.as_i64().is_some_and(|n| (1..=65535).contains(&n)) =>
        {
            let rule = "must be between 1 and 65535, inclusive";
            Some(FieldError::invalid(path, Value::Number(number.clone()), rule))
        }
        Some(Value::String(name)) if name.is_empty() => Some(FieldError::required(path, "")),
        Some(_) => None,
    }
}

fn security_rules(check: &Check<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for member in ["runAsUser", "runAsGroup"] {
        let number = check.value.get(member).and_then(Value::as_i64);
        if let Some(number) = number.filter(|number| !(0..=2_147_483_647).contains(number)) {
            let rule = "must be between 0 and 2147483647, inclusive";
            errors.push(FieldError::invalid(format!("{}.{member}", check.path), number, rule));
        }
    }
    let flag = |member: &str| check.value.get(member).and_then(Value::as_bool);
    if flag("privileged") == Some(true) && flag("allowPrivilegeEscalation") == Some(false) {
        let rule = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(FieldError::invalid(&check.path, check.value.clone(), rule));
    }
    errors.extend(check.one_of("procMount", &["Default", "Unmasked"]));
    errors
}
