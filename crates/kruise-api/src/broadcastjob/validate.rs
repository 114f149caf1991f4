//! Rules of a BroadcastJob (broadcastjob.md §7), as OpenKruise's webhook has them, with its words, and those it lacks (W19).
//!
//! The rest of the object's metadata is checked by the API server. On a change only problems that the stored object does
//! not have are held against it, so that an old one stays editable and deletable.

mod extras;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::amount::{self, is_misleading};
use super::v1beta1::{BroadcastJobSpec, CompletionPolicy};
use crate::keys;
use crate::shared::field::{FieldError, NOT_NEGATIVE};
use crate::shared::pod_template::check_template;

const NAME: &str = "BroadcastJob name must consist of alphanumeric characters or '-' (e.g. 'example-com', regex used for \
    validation is '^[a-zA-Z0-9\\-]+$')";

/// Problems of a whole object of either version; on an update (`old` is what is stored) only new ones.
pub fn validate(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = problems(object);
    if let Some(old) = old {
        let known = problems(old);
        errors.retain(|error| !known.contains(error));
    }
    errors
}

/// What is allowed, and probably not what was meant.
pub fn warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let Ok(spec) = read(object) else { return Vec::new() };
    let mut warnings = Vec::new();
    if let Some(IntOrString::String(text)) = spec.parallelism.as_ref().filter(|a| is_misleading(a))
    {
        warnings.push(format!(
            "spec.parallelism: {text:?} means {text} %; write a number without quotes for pods"
        ));
    }
    let known = [
        (
            "completionPolicy",
            spec.completion_policy.and_then(|p| p.type_),
            &["Always", "Never"][..],
            "Always",
        ),
        (
            "failurePolicy",
            spec.failure_policy.and_then(|p| p.type_),
            &["FailFast", "Continue", "Pause"][..],
            "Continue",
        ),
    ];
    for (member, value, known, meaning) in known {
        let value = value.unwrap_or_default();
        if !value.is_empty() && !known.contains(&value.as_str()) {
            warnings
                .push(format!("spec.{member}.type: {value:?} is unknown and acts like {meaning}"));
        }
    }
    let node = object.pointer("/spec/template/spec/nodeName").and_then(Value::as_str);
    if let Some(node) = node.filter(|node| !node.is_empty()) {
        warnings.push(format!("spec.template.spec.nodeName: the job runs on node {node} only"));
    }
    let template = |object: &Value| object.pointer("/spec/template").cloned();
    if old.is_some_and(|old| template(old) != template(object)) {
        let text = "spec.template: pods that exist stay as they are, only later ones are made from the new template";
        warnings.push(text.to_owned());
    }
    warnings
}

fn problems(object: &Value) -> Vec<FieldError> {
    let mut errors = names(object);
    let spec = match read(object) {
        Ok(spec) => spec,
        Err(problem) => {
            let value = object.get("spec").cloned().unwrap_or_default();
            errors.push(FieldError::invalid("spec", value, problem));
            return errors;
        }
    };
    let policy = spec.completion_policy.clone().unwrap_or_default();
    errors.extend(only_with_an_end(&policy));
    let template: Value = spec.template.parse().unwrap_or_default();
    if !template.is_object() {
        let why = "Convert_v1_PodTemplateSpec_To_core_PodTemplateSpec failed: it is not an object";
        errors.push(FieldError::invalid("", template, why));
        return errors;
    }
    errors.extend(template_rules(&template));
    errors.extend(check_template("spec.template", &template));
    errors.extend(extras::check(&spec, &policy));
    errors
}

fn read(object: &Value) -> Result<BroadcastJobSpec, String> {
    // From text, for the template is carried as it is.
    let text = object.get("spec").cloned().unwrap_or(json!({})).to_string();
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// The name becomes a label of pods, and part of their names.
fn names(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for member in ["generateName", "name"] {
        let name = object.pointer(&format!("/metadata/{member}")).and_then(Value::as_str);
        let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
        let path = format!("metadata.{member}");
        if !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
            errors.push(FieldError::invalid(path.clone(), name, NAME));
        }
        if name.len() > 63 {
            errors.push(FieldError::invalid(path, name, "must be no more than 63 characters"));
        }
    }
    errors
}

/// A job without an end has neither a deadline nor a time after it.
fn only_with_an_end(policy: &CompletionPolicy) -> Vec<FieldError> {
    if policy.type_.as_deref() != Some("Never") {
        return Vec::new();
    }
    let members = [
        ("ttlSecondsAfterFinished", policy.ttl_seconds_after_finished.map(i64::from)),
        ("activeDeadlineSeconds", policy.active_deadline_seconds),
    ];
    let refuse = |(member, value): (&str, Option<i64>)| {
        let rule = format!("{member} can just work with Always CompletionPolicyType");
        value.map(|value| {
            FieldError::invalid(format!("spec.completionPolicy.{member}"), value, rule)
        })
    };
    members.into_iter().filter_map(refuse).collect()
}

fn template_rules(template: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let restart =
        template.pointer("/spec/restartPolicy").and_then(Value::as_str).unwrap_or("Always");
    if !["Never", "OnFailure"].contains(&restart) {
        let rule = "pod restartPolicy can only be Never or OnFailure";
        errors.push(FieldError::invalid("spec.template.spec.restartPolicy", restart, rule));
    }
    let labels = template.pointer("/metadata/labels");
    let preset = |key: &str| {
        let value = labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        value.is_some_and(|value| !value.is_empty())
    };
    if preset(keys::BROADCASTJOB_NAME) || preset(keys::BROADCASTJOB_UID) {
        let rule = format!(
            "{:?} and {:?} are not allowed to preset in pod labels",
            keys::BROADCASTJOB_NAME,
            keys::BROADCASTJOB_UID
        );
        let labels = labels.cloned().unwrap_or_default();
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, rule));
    }
    errors
}

/// Problem of an amount of nodes at `path`.
fn amount_problem(path: &str, value: &IntOrString) -> Option<FieldError> {
    let problem = amount::of(value, 100).err()?;
    let value = serde_json::to_value(value).unwrap_or_default();
    Some(FieldError::invalid(path, value, problem.to_string()))
}
