//! What Kubernetes would say about a pod made of nothing but the set's containers and volumes (VAL-50, VAL-51).
//!
//! The rules that concern one container are in `pod/`. Only what users get wrong is asked here: the API server has the
//! last word when a pod is created.

mod container;
mod handler;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::containers;
use crate::shared::field::FieldError;
use crate::sidecarset::v1beta1::SidecarSetSpec;

pub(super) const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
                     end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
                     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

type Object = Map<String, Value>;

/// A member of raw JSON with its path; collects what is wrong.
pub(super) struct Check<'a> {
    pub path: String,
    pub value: &'a Value,
}

impl<'a> Check<'a> {
    pub fn member(&self, name: &str) -> Option<Check<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Check { path: format!("{}.{name}", self.path), value })
    }

    pub fn items(&self, name: &str) -> Vec<Check<'a>> {
        let Some(list) = self.member(name) else { return Vec::new() };
        let items = list.value.as_array().into_iter().flatten().enumerate();
        items
            .map(|(index, value)| Check { path: format!("{}[{index}]", list.path), value })
            .collect()
    }

    pub fn text(&self, name: &str) -> &'a str {
        self.value.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn object(&self) -> Option<&'a Object> {
        self.value.as_object()
    }

    /// A text that must not be empty.
    pub fn required(&self, name: &str) -> Option<FieldError> {
        let path = format!("{}.{name}", self.path);
        self.text(name).is_empty().then(|| FieldError::required(path, ""))
    }

    /// A text that must be one of `known` if it is there.
    pub fn one_of(&self, name: &str, known: &'static [&'static str]) -> Option<FieldError> {
        let text = self.text(name);
        let path = format!("{}.{name}", self.path);
        let wrong = !text.is_empty() && !known.contains(&text);
        wrong.then(|| FieldError::not_supported(path, text, known))
    }
}

/// What is wrong with a DNS-1123 label, if anything.
pub(super) fn label_problem(path: &str, name: &str) -> Option<FieldError> {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if name.is_empty() {
        return Some(FieldError::required(path, ""));
    }
    if name.len() > 63 {
        return Some(FieldError::invalid(path, name, "must be no more than 63 characters"));
    }
    let right = name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-');
    (!right).then(|| FieldError::invalid(path, name, LABEL))
}

/// Volumes of the set: name and kind of source.
pub(super) type Volumes<'a> = BTreeMap<&'a str, &'a str>;

/// Problems of the containers and volumes together.
pub(super) fn rules(spec: &SidecarSetSpec) -> Vec<FieldError> {
    let raw_volumes: Vec<Value> =
        spec.volumes.iter().map(|volume| volume.parse().unwrap_or_default()).collect();
    let mut errors = Vec::new();
    let mut volumes = Volumes::new();
    for (index, value) in raw_volumes.iter().enumerate() {
        let check = Check { path: format!("spec.volumes[{index}]"), value };
        errors.extend(volume(&check, &mut volumes));
    }
    let mut names = BTreeSet::new();
    let mut host_ports = BTreeSet::new();
    for (path, sidecar) in containers(spec) {
        let value: Value = sidecar.raw().parse().unwrap_or_default();
        let at = format!("{path}.name");
        errors.extend(label_problem(&at, &sidecar.name));
        if !sidecar.name.is_empty() && !names.insert(sidecar.name.clone()) {
            errors.push(FieldError::duplicate(at, &*sidecar.name));
        }
        let check = Check { path, value: &value };
        errors.extend(container::rules(&check, &volumes, &mut host_ports));
        errors.extend(handler::rules(&check, sidecar.is_native()));
    }
    errors
}

fn volume<'a>(check: &Check<'a>, volumes: &mut Volumes<'a>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = check.text("name");
    let path = format!("{}.name", check.path);
    errors.extend(label_problem(&path, name));
    let members = check.object().into_iter().flatten();
    let sources: Vec<&String> = members
        .filter(|(member, value)| *member != "name" && !value.is_null())
        .map(|(member, _)| member)
        .collect();
    match sources[..] {
        [] => {
            errors.push(FieldError::required(&check.path, "must specify a volume type"));
        }
        [source] => {
            if volumes.insert(name, source).is_some() {
                errors.push(FieldError::duplicate(path, name));
            }
            errors.extend(source_rules(check, source));
        }
        [_, second, ..] => {
            let rule = "may not specify more than 1 volume type";
            errors.push(FieldError::forbidden(format!("{}.{second}", check.path), rule));
            volumes.insert(name, second);
        }
    }
    errors
}

fn source_rules(check: &Check<'_>, source: &str) -> Option<FieldError> {
    let needed = match source {
        "hostPath" => "path",
        "configMap" => "name",
        "secret" => "secretName",
        "persistentVolumeClaim" => "claimName",
        "nfs" => "server",
        "csi" => "driver",
        _ => return None,
    };
    check.member(source)?.required(needed)
}
