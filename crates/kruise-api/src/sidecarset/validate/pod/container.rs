//! Rules of one container: image, ports, env, mounts, resources.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Check, Volumes};
use crate::shared::field::{FieldError, NOT_NEGATIVE};
use crate::shared::quantity::Quantity;
use crate::sidecarset::container::FieldRef;

const PORT: &str = "must be between 1 and 65535, inclusive";

/// Host ports that are taken: protocol, address, number.
pub(super) type HostPorts = BTreeSet<(String, String, i64)>;

pub(super) fn rules(
    check: &Check<'_>,
    volumes: &Volumes<'_>,
    host_ports: &mut HostPorts,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let image = check.text("image");
    let path = format!("{}.image", check.path);
    if image.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if image.trim() != image {
        let rule = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(path, image, rule));
    }
    errors.extend(check.one_of("imagePullPolicy", &["Always", "IfNotPresent", "Never"]));
    errors.extend(check.one_of("terminationMessagePolicy", &["File", "FallbackToLogsOnError"]));
    errors.extend(ports(check, host_ports));
    for variable in check.items("env") {
        errors.extend(env(&variable));
    }
    for source in check.items("envFrom") {
        errors.extend(env_from(&source));
    }
    errors.extend(mounts(check, volumes));
    if let Some(resources) = check.member("resources") {
        errors.extend(resource_rules(&resources));
    }
    errors
}

fn ports(check: &Check<'_>, host_ports: &mut HostPorts) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    for port in check.items("ports") {
        let name = port.text("name");
        let at = format!("{}.name", port.path);
        if !name.is_empty() && !is_port_name(name) {
            let rule = "must be at most 15 lower case letters, digits and single '-' inside, with at least one letter";
            errors.push(FieldError::invalid(at, name, rule));
        } else if !name.is_empty() && !names.insert(name) {
            errors.push(FieldError::duplicate(at, name));
        }
        let number = |member: &str| port.value.get(member).and_then(Value::as_i64);
        let at = format!("{}.containerPort", port.path);
        match number("containerPort") {
            None | Some(0) => errors.push(FieldError::required(at, "")),
            Some(1..=65535) => {}
            Some(other) => errors.push(FieldError::invalid(at, other, PORT)),
        }
        errors.extend(port.one_of("protocol", &["SCTP", "TCP", "UDP"]));
        let at = format!("{}.hostPort", port.path);
        match number("hostPort") {
            None | Some(0) => {}
            Some(number @ 1..=65535) => {
                let key =
                    (port.text("protocol").to_owned(), port.text("hostIP").to_owned(), number);
                if !host_ports.insert(key) {
                    errors.push(FieldError::duplicate(at, number));
                }
            }
            Some(other) => errors.push(FieldError::invalid(at, other, PORT)),
        }
    }
    errors
}

fn is_port_name(name: &str) -> bool {
    name.len() <= 15
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        && name.bytes().any(|c| c.is_ascii_lowercase())
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn env(check: &Check<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = check.text("name");
    let at = format!("{}.name", check.path);
    if name.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else if !name.bytes().all(|c| (0x20..0x7f).contains(&c) && c != b'=') {
        let rule = "a valid environment variable name must consist only of printable ASCII characters other than '='";
        errors.push(FieldError::invalid(at, name, rule));
    }
    let Some(from) = check.member("valueFrom") else { return errors };
    let sources =
        from.object().map_or(0, |sources| sources.values().filter(|s| !s.is_null()).count());
    if sources == 0 {
        let rule = "must specify one of: `configMapKeyRef`, `fieldRef`, `fileKeyRef`, `resourceFieldRef` or `secretKeyRef`";
        errors.push(FieldError::invalid(&from.path, "", rule));
    } else if !check.text("value").is_empty() {
        let rule = "may not be specified when `value` is not empty";
        errors.push(FieldError::invalid(&from.path, "", rule));
    } else if sources > 1 {
        let rule = "may not have more than one field specified at a time";
        errors.push(FieldError::invalid(&from.path, "", rule));
    }
    if let Some(reference) = from.member("fieldRef") {
        errors.extend(env_field(&reference));
    }
    if let Some(reference) = from.member("resourceFieldRef") {
        errors.extend(env_resource(&reference));
    }
    for source in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(reference) = from.member(source) {
            errors.extend(["name", "key"].iter().filter_map(|member| reference.required(member)));
        }
    }
    errors
}

fn env_field(check: &Check<'_>) -> Option<FieldError> {
    const PATHS: &[&str] = &[
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    if let Some(missing) = check.required("fieldPath") {
        return Some(missing);
    }
    let path = check.text("fieldPath");
    let reference = FieldRef { api_version: String::new(), field_path: path.to_owned() };
    if PATHS.contains(&path) || reference.source().is_some() {
        return None;
    }
    Some(FieldError::not_supported(format!("{}.fieldPath", check.path), path, PATHS))
}

fn env_resource(check: &Check<'_>) -> Option<FieldError> {
    const RESOURCES: &[&str] = &[
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    let resource = check.text("resource");
    let huge = ["limits.hugepages-", "requests.hugepages-"];
    if let Some(missing) = check.required("resource") {
        return Some(missing);
    }
    if RESOURCES.contains(&resource) || huge.iter().any(|prefix| resource.starts_with(prefix)) {
        return None;
    }
    Some(FieldError::not_supported(format!("{}.resource", check.path), resource, RESOURCES))
}

fn env_from(check: &Check<'_>) -> Vec<FieldError> {
    let references = ["configMapRef", "secretRef"].map(|source| check.member(source));
    let given: Vec<&Check<'_>> = references.iter().flatten().collect();
    match given[..] {
        [] => {
            let rule = "must specify one of: `configMapRef` or `secretRef`";
            vec![FieldError::invalid(&check.path, "", rule)]
        }
        [one] => one.required("name").into_iter().collect(),
        _ => {
            let rule = "may not have more than one field specified at a time";
            vec![FieldError::invalid(&check.path, "", rule)]
        }
    }
}

fn mounts(check: &Check<'_>, volumes: &Volumes<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let devices = check.items("volumeDevices");
    let device_paths: BTreeSet<&str> = devices.iter().map(|d| d.text("devicePath")).collect();
    let mut paths = BTreeSet::new();
    for mount in check.items("volumeMounts") {
        errors.extend(volume_name(&mount, volumes));
        let path = mount.text("mountPath");
        let at = format!("{}.mountPath", mount.path);
        if path.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else if !paths.insert(path) {
            errors.push(FieldError::invalid(at, path, "must be unique"));
        } else if device_paths.contains(path) {
            let rule = "must not already exist as a path in volumeDevices";
            errors.push(FieldError::invalid(at, path, rule));
        }
        errors.extend(sub_path(&mount, "subPath"));
        errors.extend(sub_path(&mount, "subPathExpr"));
        if !mount.text("subPath").is_empty() && !mount.text("subPathExpr").is_empty() {
            let rule = "subPathExpr and subPath are mutually exclusive";
            let at = format!("{}.subPathExpr", mount.path);
            errors.push(FieldError::invalid(at, mount.text("subPathExpr"), rule));
        }
        errors.extend(propagation(check, &mount));
    }
    let mut used = BTreeSet::new();
    for device in &devices {
        let name = device.text("name");
        let at = format!("{}.name", device.path);
        match volumes.get(name) {
            Some(&("persistentVolumeClaim" | "ephemeral")) => {}
            Some(_) => {
                let rule = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(FieldError::invalid(at, name, rule));
            }
            None => errors.extend(volume_name(device, volumes)),
        }
        let path = device.text("devicePath");
        let at = format!("{}.devicePath", device.path);
        if path.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else if !used.insert(path) {
            errors.push(FieldError::invalid(at, path, "must be unique"));
        } else if path.split('/').any(|part| part == "..") {
            errors.push(FieldError::invalid(at, path, "can not contain backsteps ('..')"));
        }
    }
    errors
}

/// A mount can only name a volume of the set, not one of the pod.
fn volume_name(check: &Check<'_>, volumes: &Volumes<'_>) -> Option<FieldError> {
    let name = check.text("name");
    let path = format!("{}.name", check.path);
    if name.is_empty() {
        return Some(FieldError::required(path, ""));
    }
    let known = volumes.contains_key(name);
    (!known)
        .then(|| FieldError::invalid(path, name, "not found among the volumes of the SidecarSet"))
}

fn sub_path(mount: &Check<'_>, member: &str) -> Option<FieldError> {
    let path = mount.text(member);
    let rule = if path.starts_with('/') {
        "must be a relative path"
    } else if path.split('/').any(|part| part == "..") {
        "must not contain '..'"
    } else {
        return None;
    };
    Some(FieldError::invalid(format!("{}.{member}", mount.path), path, rule))
}

fn propagation(container: &Check<'_>, mount: &Check<'_>) -> Option<FieldError> {
    let known = &["Bidirectional", "HostToContainer", "None"];
    let wrong = mount.one_of("mountPropagation", known);
    if wrong.is_some() {
        return wrong;
    }
    let security = container.value.get("securityContext");
    let privileged = security.and_then(|security| security.get("privileged"));
    if mount.text("mountPropagation") == "Bidirectional" && privileged != Some(&Value::Bool(true)) {
        let rule = "Bidirectional mount propagation is available only to privileged containers";
        return Some(FieldError::forbidden(format!("{}.mountPropagation", mount.path), rule));
    }
    mount.one_of("recursiveReadOnly", &["Disabled", "Enabled", "IfPossible"])
}

fn resource_rules(check: &Check<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (limits, requests) = (check.member("limits"), check.member("requests"));
    for list in [&limits, &requests].into_iter().flatten() {
        for (name, value) in list.object().into_iter().flatten() {
            let at = format!("{}[{name}]", list.path);
            match quantity(value) {
                None => errors.push(FieldError::invalid(at, value.clone(), "must be a quantity")),
                Some(amount) if amount.nanos().is_some_and(|nanos| nanos < 0) => {
                    errors.push(FieldError::invalid(at, value.clone(), NOT_NEGATIVE));
                }
                Some(_) => {}
            }
        }
    }
    let limit_of = |name: &str| quantity(limits.as_ref()?.value.get(name)?);
    for (name, value) in requests.iter().filter_map(Check::object).flatten() {
        if let (Some(request), Some(limit)) = (quantity(value), limit_of(name))
            && request > limit
        {
            let rule = format!("must be less than or equal to {name} limit of {limit}");
            errors.push(FieldError::invalid(
                format!("{}.requests", check.path),
                value.clone(),
                rule,
            ));
        }
    }
    errors
}

fn quantity(value: &Value) -> Option<Quantity> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Quantity::parse(&text).ok()
}
