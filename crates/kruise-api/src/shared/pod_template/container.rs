//! Problems of containers and init containers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Object, list, member, not_negative, one_of, text, unique_name};
use crate::shared::field::{FieldError, NOT_NEGATIVE};
use crate::shared::quantity::Quantity;

const HANDLERS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];
const PORT: &str = "must be between 1 and 65535, inclusive";

/// Checks all containers; `volumes` are those that may be mounted.
pub fn check(at: &str, spec: &Object, volumes: &BTreeSet<&str>, errors: &mut Vec<FieldError>) {
    let containers = list(spec, "containers");
    if containers.is_empty() {
        errors.push(FieldError::required(format!("{at}.containers"), ""));
    }
    let mut names = BTreeSet::new();
    for (lists, items) in
        [("containers", containers), ("initContainers", list(spec, "initContainers"))]
    {
        for (index, container) in items.into_iter().enumerate() {
            let path = format!("{at}.{lists}[{index}]");
            unique_name(&path, container, &mut names, errors);
            check_one(&path, container, volumes, errors);
        }
    }
}

fn check_one(at: &str, container: &Object, volumes: &BTreeSet<&str>, errors: &mut Vec<FieldError>) {
    let image = text(container, "image");
    if image.is_empty() {
        errors.push(FieldError::required(format!("{at}.image"), ""));
    } else if image.trim() != image {
        let rule = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(format!("{at}.image"), image, rule));
    }
    one_of(at, container, ("imagePullPolicy", &["Always", "IfNotPresent", "Never"]), errors);
    check_ports(at, container, errors);
    check_env(at, container, errors);
    check_resources(at, container, errors);
    check_mounts(at, container, volumes, errors);
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = member(container, name) {
            check_probe(&format!("{at}.{name}"), probe, errors);
        }
    }
}

fn check_ports(at: &str, container: &Object, errors: &mut Vec<FieldError>) {
    let mut names = BTreeSet::new();
    for (index, port) in list(container, "ports").into_iter().enumerate() {
        let path = format!("{at}.ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() && !names.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        let within = |number: i64| (1..=65535).contains(&number);
        match port.get("containerPort").and_then(Value::as_i64).unwrap_or_default() {
            0 => errors.push(FieldError::required(format!("{path}.containerPort"), "")),
            number if !within(number) => {
                errors.push(FieldError::invalid(format!("{path}.containerPort"), number, PORT));
            }
            _ => {}
        }
        let host = port.get("hostPort").and_then(Value::as_i64).unwrap_or_default();
        if host != 0 && !within(host) {
            errors.push(FieldError::invalid(format!("{path}.hostPort"), host, PORT));
        }
        one_of(&path, port, ("protocol", &["SCTP", "TCP", "UDP"]), errors);
    }
}

fn check_env(at: &str, container: &Object, errors: &mut Vec<FieldError>) {
    for (index, env) in list(container, "env").into_iter().enumerate() {
        let path = format!("{at}.env[{index}]");
        let name = text(env, "name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if name.contains('=') || !name.bytes().all(|c| (b' '..=b'~').contains(&c)) {
            let rule = "a valid environment variable name must consist only of printable ASCII characters other than '='";
            errors.push(FieldError::invalid(format!("{path}.name"), name, rule));
        }
        let Some(source) = member(env, "valueFrom") else { continue };
        let path = format!("{path}.valueFrom");
        if !text(env, "value").is_empty() {
            let rule = "may not be specified when `value` is not empty";
            errors.push(FieldError::invalid(path, "", rule));
            continue;
        }
        match source.values().filter(|source| !source.is_null()).count() {
            0 => {
                let rule = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or \
                    `fileKeyRef`";
                errors.push(FieldError::invalid(path, "", rule));
            }
            1 => {}
            _ => {
                let rule = "may not have more than one field specified at a time";
                errors.push(FieldError::invalid(path, "", rule));
            }
        }
    }
}

fn check_resources(at: &str, container: &Object, errors: &mut Vec<FieldError>) {
    let Some(resources) = member(container, "resources") else { return };
    let zero = Quantity::parse("0").ok();
    for kind in ["limits", "requests"] {
        for (name, amount) in member(resources, kind).into_iter().flatten() {
            let path = format!("{at}.resources.{kind}[{name}]");
            match read(amount) {
                Ok(read) if zero.as_ref().is_some_and(|zero| read < *zero) => {
                    errors.push(FieldError::invalid(path, amount.clone(), NOT_NEGATIVE));
                }
                Ok(_) => {}
                Err(problem) => errors.push(FieldError::invalid(path, amount.clone(), problem)),
            }
        }
    }
    for (name, amount) in member(resources, "requests").into_iter().flatten() {
        let limit = member(resources, "limits").and_then(|limits| limits.get(name));
        let (Ok(request), Some(Ok(most))) = (read(amount), limit.map(read)) else { continue };
        if request > most {
            let rule = format!("must be less than or equal to {name} limit of {most}");
            let path = format!("{at}.resources.requests");
            errors.push(FieldError::invalid(path, amount.clone(), rule));
        }
    }
}

fn read(amount: &Value) -> Result<Quantity, String> {
    let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
    Quantity::parse(&text).map_err(|error| error.to_string())
}

fn check_mounts(
    at: &str,
    container: &Object,
    volumes: &BTreeSet<&str>,
    errors: &mut Vec<FieldError>,
) {
    let mut paths = BTreeSet::new();
    for (index, mount) in list(container, "volumeMounts").into_iter().enumerate() {
        let path = format!("{at}.volumeMounts[{index}]");
        let name = text(mount, "name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !volumes.contains(name) {
            errors.push(FieldError::not_found(format!("{path}.name"), name));
        }
        let place = text(mount, "mountPath");
        if place.is_empty() {
            errors.push(FieldError::required(format!("{path}.mountPath"), ""));
        } else if !paths.insert(place) {
            errors.push(FieldError::invalid(format!("{path}.mountPath"), place, "must be unique"));
        }
    }
}

fn check_probe(at: &str, probe: &Object, errors: &mut Vec<FieldError>) {
    let handlers = HANDLERS.into_iter().filter(|name| member(probe, name).is_some());
    match handlers.collect::<Vec<_>>()[..] {
        [] => errors.push(FieldError::required(at, "must specify a handler type")),
        [_] => {}
        [_, second, ..] => {
            let rule = "may not specify more than 1 handler type";
            errors.push(FieldError::forbidden(format!("{at}.{second}"), rule));
        }
    }
    for name in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        not_negative(at, probe, name, errors);
    }
}
