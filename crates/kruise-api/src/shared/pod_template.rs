//! Problems of a pod template, in the words of the API server (1.32): what would otherwise fail with every pod.
//!
//! Read from raw JSON: members that nobody here knows are left to the API server. Nothing is asked that a defaulted
//! template would not have.

mod container;
mod scheduling;
mod volume;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::field::{FieldError, NOT_NEGATIVE};
use super::labels::{check_annotations, check_labels};

type Object = Map<String, Value>;

const DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// Problems of `template` at `path`.
pub fn check_template(path: &str, template: &Value) -> Vec<FieldError> {
    let map = |member: &str| strings(template.pointer(&format!("/metadata/{member}")));
    let mut errors = check_labels(&format!("{path}.labels"), &map("labels"));
    errors.extend(check_annotations(&format!("{path}.annotations"), &map("annotations")));
    let none = Map::new();
    let spec = template.get("spec").and_then(Value::as_object).unwrap_or(&none);
    let at = format!("{path}.spec");
    let volumes = volume::check(&at, spec, &mut errors);
    container::check(&at, spec, &volumes, &mut errors);
    check_pod(&at, spec, &mut errors);
    scheduling::check(&at, spec, &mut errors);
    if !list(spec, "ephemeralContainers").is_empty() {
        let rule = "ephemeral containers not allowed in pod template";
        errors.push(FieldError::forbidden(format!("{at}.ephemeralContainers"), rule));
    }
    errors
}

fn check_pod(at: &str, spec: &Object, errors: &mut Vec<FieldError>) {
    const RESTART: &[&str] = &["Always", "OnFailure", "Never"];
    const DNS: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(at, spec, ("restartPolicy", RESTART), errors);
    one_of(at, spec, ("dnsPolicy", DNS), errors);
    if let Some(seconds) = spec.get("activeDeadlineSeconds").filter(|seconds| !seconds.is_null())
        && !seconds.as_i64().is_some_and(|n| (1..=i64::from(i32::MAX)).contains(&n))
    {
        let rule = "must be between 1 and 2147483647, inclusive";
        let path = format!("{at}.activeDeadlineSeconds");
        errors.push(FieldError::invalid(path, seconds.clone(), rule));
    }
    not_negative(at, spec, "terminationGracePeriodSeconds", errors);
}

/// A text that is there must be one of `known`.
fn one_of(
    at: &str,
    object: &Object,
    (member, known): (&str, &'static [&'static str]),
    errors: &mut Vec<FieldError>,
) {
    let value = text(object, member);
    if !value.is_empty() && !known.contains(&value) {
        errors.push(FieldError::not_supported(format!("{at}.{member}"), value, known));
    }
}

fn not_negative(at: &str, object: &Object, member: &str, errors: &mut Vec<FieldError>) {
    if let Some(number) = object.get(member).and_then(Value::as_i64).filter(|number| *number < 0) {
        errors.push(FieldError::invalid(format!("{at}.{member}"), number, NOT_NEGATIVE));
    }
}

/// A name that must be a DNS label, and the only one of its kind.
fn unique_name<'a>(
    at: &str,
    object: &'a Object,
    seen: &mut BTreeSet<&'a str>,
    errors: &mut Vec<FieldError>,
) {
    let path = format!("{at}.name");
    let name = text(object, "name");
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if !is_dns_label(name) {
        errors.push(FieldError::invalid(path, name, DNS_LABEL));
    } else if name.len() > 63 {
        errors.push(FieldError::invalid(path, name, "must be no more than 63 characters"));
    } else if !seen.insert(name) {
        errors.push(FieldError::duplicate(path, name));
    }
}

fn is_dns_label(name: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !name.is_empty() && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

/// A text, empty if it is not there.
fn text<'a>(object: &'a Object, member: &str) -> &'a str {
    object.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// A list of objects; an item that is none is taken for an empty one.
fn list<'a>(object: &'a Object, member: &str) -> Vec<&'a Object> {
    static EMPTY: std::sync::LazyLock<Object> = std::sync::LazyLock::new(Map::new);
    let items = object.get(member).and_then(Value::as_array);
    items.into_iter().flatten().map(|item| item.as_object().unwrap_or(&EMPTY)).collect()
}

fn member<'a>(object: &'a Object, name: &str) -> Option<&'a Object> {
    object.get(name).and_then(Value::as_object)
}

fn strings(map: Option<&Value>) -> BTreeMap<String, String> {
    let map = map.and_then(Value::as_object);
    let pairs = map.into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}
