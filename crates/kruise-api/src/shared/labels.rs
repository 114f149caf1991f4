//! The syntax of label keys and values and of annotation keys, with the words of the API server.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::field::FieldError;

const NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const PREFIX: &str = "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// What is wrong with a key, if anything: `[prefix/]name`.
pub fn key_problem(key: &str) -> Option<String> {
    let (prefix, name) = match key.split('/').collect::<Vec<_>>()[..] {
        [name] => (None, name),
        [prefix, name] => (Some(prefix), name),
        _ => return Some("a qualified name must have at most one '/'".to_owned()),
    };
    if prefix.is_some_and(|prefix| !is_subdomain(prefix)) {
        return Some(PREFIX.to_owned());
    }
    match name.len() {
        0 => Some("name part must be non-empty".to_owned()),
        64.. => Some("name part must be no more than 63 characters".to_owned()),
        _ => (!is_token(name)).then(|| NAME.to_owned()),
    }
}

/// What is wrong with a label value, if anything.
pub fn value_problem(value: &str) -> Option<String> {
    match value.len() {
        0 => None,
        64.. => Some("must be no more than 63 characters".to_owned()),
        _ => (!is_token(value)).then(|| VALUE.to_owned()),
    }
}

fn is_subdomain(text: &str) -> bool {
    let label = |part: &str| {
        let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !part.is_empty()
            && part.bytes().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_token(text: &str) -> bool {
    let ends = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
        && ends(text.bytes().next())
        && ends(text.bytes().last())
}

/// Problems of labels at `path`.
pub fn check_labels(path: &str, labels: &BTreeMap<String, String>) -> Vec<FieldError> {
    let keys = labels.keys().filter_map(|key| Some((key.clone(), key_problem(key)?)));
    let values = labels.values().filter_map(|value| Some((value.clone(), value_problem(value)?)));
    keys.chain(values).map(|(text, problem)| FieldError::invalid(path, text, problem)).collect()
}

/// Problems of annotations at `path`: keys of any case, at most 256 KiB together.
pub fn check_annotations(path: &str, annotations: &BTreeMap<String, String>) -> Vec<FieldError> {
    const MOST: usize = 256 * 1024;
    let keys =
        annotations.keys().filter_map(|key| Some((key.clone(), key_problem(&key.to_lowercase())?)));
    let mut errors: Vec<FieldError> =
        keys.map(|(key, problem)| FieldError::invalid(path, key, problem)).collect();
    let size: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > MOST {
        let rule = format!("must have at most {MOST} bytes");
        errors.push(FieldError::invalid(path, format!("{size} bytes"), rule));
    }
    errors
}

/// Whether a selector has no requirement.
pub fn selects_all(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// Problems of a selector at `path`, its emptiness not among them.
pub fn check_selector(path: &str, selector: &LabelSelector) -> Vec<FieldError> {
    let labels = selector.match_labels.clone().unwrap_or_default();
    let mut errors = check_labels(&format!("{path}.matchLabels"), &labels);
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let at = |member: &str| format!("{path}.matchExpressions[{index}].{member}");
        let values = expression.values.as_deref().unwrap_or_default();
        match (expression.operator.as_str(), values.is_empty()) {
            ("In" | "NotIn", true) => {
                let rule = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(at("values"), rule));
            }
            ("Exists" | "DoesNotExist", false) => {
                let rule = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(at("values"), rule));
            }
            ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
            (other, _) => {
                errors.push(FieldError::invalid(
                    at("operator"),
                    other,
                    "not a valid selector operator",
                ));
            }
        }
        if let Some(problem) = key_problem(&expression.key) {
            errors.push(FieldError::invalid(at("key"), expression.key.clone(), problem));
        }
        for value in values {
            if let Some(problem) = value_problem(value) {
                errors.push(FieldError::invalid(at("values"), value.clone(), problem));
            }
        }
    }
    errors
}
