//! Rules of what OpenKruise adds to containers (VAL-40…VAL-49, VAL-60, VAL-61).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use regex::bytes::{Regex, RegexBuilder};

use super::containers;
use crate::shared::field::FieldError;
use crate::shared::labels::key_problem;
use crate::sidecarset::container::{
    AFTER_APP_CONTAINER, BEFORE_APP_CONTAINER, COLD_UPGRADE, DISABLED, ENABLED, FieldRef,
    HOT_UPGRADE, ResourcesPolicy, SidecarContainer, Source,
};
use crate::sidecarset::expression::{Amount, BadNumber, ExpressionError, Measure, evaluate};
use crate::sidecarset::v1beta1::SidecarSetSpec;

/// Largest compiled program of a regular expression, in bytes.
const REGEX_SIZE: usize = 256 << 10;
/// The same, of one that cannot do without Unicode.
const REGEX_SIZE_OF_UNICODE: usize = 2 << 20;

/// A regular expression in bounded space; matching takes time linear in the text. `\Q…\E`, which Go allows, means the text
/// between as it stands (29.3.6). As in Go, `\w` and its like are about ASCII; of all of Unicode six of them would be too large.
pub fn bounded_regex(text: &str) -> Result<Regex, String> {
    let text = unquoted(text);
    let build = |unicode: bool| {
        let size = if unicode { REGEX_SIZE_OF_UNICODE } else { REGEX_SIZE };
        let mut builder = RegexBuilder::new(&text);
        builder.unicode(unicode).size_limit(size).dfa_size_limit(size).build()
    };
    // What only Unicode can say is left to it.
    build(false).or_else(|_| build(true)).map_err(|error| error.to_string())
}

/// The same expression without `\Q…\E`; what is not closed reaches to the end.
fn unquoted(text: &str) -> Cow<'_, str> {
    if !text.contains(r"\Q") {
        return Cow::Borrowed(text);
    }
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, escaped)) = rest.split_once('\\') {
        plain.push_str(before);
        if let Some(quoted) = escaped.strip_prefix('Q') {
            let (quoted, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            plain.push_str(&regex::escape(quoted));
            rest = after;
        } else {
            let next = escaped.chars().next().map_or(0, char::len_utf8);
            let (sign, after) = escaped.split_at(next);
            plain.push('\\');
            plain.push_str(sign);
            rest = after;
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// OpenKruise's rules.
pub(super) fn rules(spec: &SidecarSetSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let path = format!("spec.containers[{index}]");
        let (policy, share) =
            (&container.extensions.pod_inject_policy, &container.extensions.share_volume_policy);
        if ![BEFORE_APP_CONTAINER, AFTER_APP_CONTAINER].contains(&policy.as_str()) {
            let rule = "unsupported pod inject policy";
            errors.push(FieldError::invalid(format!("{path}.podInjectPolicy"), &**policy, rule));
        }
        if ![ENABLED, DISABLED].contains(&share.type_.as_str()) {
            let rule = "unsupported share volume policy";
            errors.push(FieldError::invalid(
                format!("{path}.shareVolumePolicy"),
                &*share.type_,
                rule,
            ));
        }
        errors.extend(sources(&path, container));
    }
    for (index, container) in spec.init_containers.iter().enumerate() {
        if container.extensions.resources_policy.is_some() && !container.is_native() {
            let rule = "resourcesPolicy is only supported for containers with RestartPolicy Always";
            let path = format!("spec.initContainers[{index}].resourcesPolicy");
            errors.push(FieldError::invalid(path, container.name.clone(), rule));
        }
    }
    for (path, container) in containers(spec) {
        if let Some(policy) = &container.extensions.resources_policy {
            errors.extend(resources_policy(&path, container, policy));
        }
    }
    errors
}

/// VAL-42, and W-31: a source without reference crashes OpenKruise's webhook.
fn sources(path: &str, container: &SidecarContainer) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, transfer) in container.extensions.transfer_env.iter().enumerate() {
        let Some(from) = &transfer.source_container_name_from else { continue };
        let path = format!("{path}.transferEnv[{index}].sourceContainerNameFrom.fieldRef");
        match &from.field_ref {
            None => errors.push(FieldError::required(path, "")),
            Some(reference) => errors.extend(field_ref(&path, reference)),
        }
    }
    errors
}

fn field_ref(path: &str, reference: &FieldRef) -> Option<FieldError> {
    let FieldRef { api_version, field_path } = reference;
    if api_version.is_empty() {
        return Some(FieldError::required(format!("{path}.apiVersion"), ""));
    }
    if field_path.is_empty() {
        return Some(FieldError::required(format!("{path}.fieldPath"), ""));
    }
    let path = format!("{path}.fieldPath");
    let refused = |rule: String| Some(FieldError::invalid(path.clone(), &**field_path, rule));
    if api_version != "v1" {
        return refused(format!(
            "error converting fieldPath: unsupported pod version: {api_version}"
        ));
    }
    match reference.source() {
        Some(Source::Label(key)) => key_problem(key).and_then(refused),
        Some(Source::Annotation(key)) => key_problem(&key.to_lowercase()).and_then(refused),
        None => {
            let known = ["metadata.", "spec.", "status."];
            let what = if known.iter().any(|known| field_path.starts_with(known)) {
                "field path not supported"
            } else {
                "field label not supported"
            };
            refused(format!("error converting fieldPath: {what}: {field_path}"))
        }
    }
}

/// VAL-45…VAL-48.
fn resources_policy(
    path: &str,
    container: &SidecarContainer,
    policy: &ResourcesPolicy,
) -> Vec<FieldError> {
    let raw: serde_json::Value = container.raw().parse().unwrap_or_default();
    let given = |list: &str| {
        let list = raw.get("resources").and_then(|resources| resources.get(list));
        list.and_then(serde_json::Value::as_object).is_some_and(|list| !list.is_empty())
    };
    let path = format!("{path}.resourcesPolicy");
    if given("limits") || given("requests") {
        let rule = "resourcesPolicy and resources cannot be configured together";
        return vec![FieldError::invalid(path, container.name.clone(), rule)];
    }
    let mut errors = Vec::new();
    let regex = &policy.target_containers_name_regex;
    let at = format!("{path}.targetContainersNameRegex");
    if regex.is_empty() {
        errors.push(FieldError::invalid(at, "", "invalid empty regex"));
    } else if let Err(problem) = bounded_regex(regex) {
        let rule = format!("invalid regex pattern: {problem}");
        errors.push(FieldError::invalid(at, &**regex, rule));
    }
    let expressions = &policy.resources_expr;
    if expressions.limits.is_none() && expressions.requests.is_none() {
        let rule = "at least one of limits or requests must be configured";
        errors.push(FieldError::invalid(format!("{path}.resourcesExpr"), "", rule));
    }
    errors
}

/// Expressions with their variable and path below a policy.
fn expressions(policy: &ResourcesPolicy) -> Vec<(&'static str, &'static str, &str)> {
    let mut found = Vec::new();
    if let Some(limits) = &policy.resources_expr.limits {
        found.push(("cpu", "limits.cpu", limits.cpu.as_str()));
        found.push(("memory", "limits.memory", limits.memory.as_str()));
    }
    if let Some(requests) = &policy.resources_expr.requests {
        found.push(("cpu", "requests.cpu", requests.cpu.as_str()));
        found.push(("memory", "requests.memory", requests.memory.as_str()));
    }
    found.retain(|(_, _, text)| !text.is_empty());
    found
}

/// VAL-49 with the quantities that there will be instead of the number 1 (W-34): nothing, little and much. An expression
/// that is below zero for little only is sensible: `memory-100Mi`.
fn evaluates(text: &str, variable: &str) -> Result<(), ExpressionError> {
    let samples = match variable {
        "memory" => ["0", "64Mi", "1Ti"],
        _ => ["0", "100m", "1024"],
    };
    let mut negative = None;
    let mut sensible = false;
    for sample in samples {
        let value = Amount::Quantity(Measure::parse(sample)?);
        match evaluate(text, variable, &value, BadNumber::Error) {
            Ok(_) => sensible = true,
            Err(error @ ExpressionError::Negative(_)) => negative = Some(error),
            Err(error) => return Err(error),
        }
    }
    match negative {
        Some(error) if !sensible => Err(error),
        _ => Ok(()),
    }
}

/// VAL-60, VAL-61.
pub(super) fn changes(old: &SidecarSetSpec, new: &SidecarSetSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, container) in new.containers.iter().enumerate() {
        let path = format!("spec.containers[{index}]");
        let name = &container.name;
        let Some(before) = old.containers.iter().find(|before| before.name == *name) else {
            let rule = format!("container {name} is not found");
            errors.push(FieldError::invalid(format!("{path}.name"), &**name, rule));
            continue;
        };
        let kind = |container: &SidecarContainer| {
            container.extensions.upgrade_strategy.upgrade_type.clone()
        };
        if !kind(before).is_empty() && kind(before) != kind(container) {
            let rule = format!("container {name} upgradeType is immutable");
            let path = format!("{path}.upgradeStrategy.upgradeType");
            errors.push(FieldError::invalid(path, kind(container), rule));
        }
    }
    errors
}

/// Rules that OpenKruise lacks: what it accepts here is ignored, or fails when a pod is created (W-33…W-35, W-41).
pub(super) fn strict(spec: &SidecarSetSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (path, container) in containers(spec) {
        errors.extend(strict_policies(&path, container));
        if let Some(policy) = &container.extensions.resources_policy {
            for (variable, member, text) in expressions(policy) {
                if let Err(problem) = evaluates(text, variable) {
                    let path = format!("{path}.resourcesPolicy.resourcesExpr.{member}");
                    let rule = format!("invalid expression: {problem}");
                    errors.push(FieldError::invalid(path, text, rule));
                }
            }
        }
    }
    for (index, container) in spec.init_containers.iter().enumerate() {
        let path = format!("spec.initContainers[{index}]");
        if container.is_hot() {
            let rule =
                "HotUpgrade is not supported for init containers: nothing ever switches them";
            errors.push(FieldError::forbidden(format!("{path}.upgradeStrategy.upgradeType"), rule));
        }
        errors.extend(sources(&path, container));
    }
    errors.extend(pod_names(spec));
    errors
}

fn strict_policies(path: &str, container: &SidecarContainer) -> Vec<FieldError> {
    const PLACES: &[&str] = &[BEFORE_APP_CONTAINER, AFTER_APP_CONTAINER];
    const SHARES: &[&str] = &[ENABLED, DISABLED];
    const TYPES: &[&str] = &[COLD_UPGRADE, HOT_UPGRADE];
    let extensions = &container.extensions;
    let mut errors = Vec::new();
    let mut known = |member: &str, value: &str, known: &'static [&'static str]| {
        if !value.is_empty() && !known.contains(&value) {
            errors.push(FieldError::not_supported(format!("{path}.{member}"), value, known));
        }
    };
    if path.starts_with("spec.initContainers") {
        known("podInjectPolicy", &extensions.pod_inject_policy, PLACES);
        known("shareVolumePolicy.type", &extensions.share_volume_policy.type_, SHARES);
    }
    let devices = extensions.share_volume_device_policy.clone().unwrap_or_default();
    known("shareVolumeDevicePolicy.type", &devices.type_, SHARES);
    known("upgradeStrategy.upgradeType", &extensions.upgrade_strategy.upgrade_type, TYPES);
    if container.is_hot() && extensions.upgrade_strategy.hot_upgrade_empty_image.is_empty() {
        let rule = "the twin that does not work needs an image";
        let path = format!("{path}.upgradeStrategy.hotUpgradeEmptyImage");
        errors.push(FieldError::required(path, rule));
    }
    for (index, transfer) in extensions.transfer_env.iter().enumerate() {
        if transfer.env_name.is_empty() && transfer.env_names.is_empty() {
            let path = format!("{path}.transferEnv[{index}]");
            errors.push(FieldError::required(path, "envName or envNames must be set"));
        }
    }
    errors
}

/// Names in the pod: those of twins must fit and clash with no other (W-35).
fn pod_names(spec: &SidecarSetSpec) -> Vec<FieldError> {
    let plain: BTreeSet<&str> = containers(spec).map(|(_, container)| &*container.name).collect();
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    let mut errors = Vec::new();
    for (path, container) in containers(spec).filter(|(_, container)| container.is_hot()) {
        for twin in ["1", "2"].map(|suffix| format!("{}-{suffix}", container.name)) {
            let path = format!("{path}.name");
            if twin.len() > 63 {
                let rule = format!("the twin {twin} must be no more than 63 characters");
                errors.push(FieldError::invalid(path, &*container.name, rule));
            } else if plain.contains(&*twin)
                || taken.insert(twin.clone(), &container.name).is_some()
            {
                let rule = format!("the twin {twin} has the name of another container");
                errors.push(FieldError::invalid(path, &*container.name, rule));
            }
        }
    }
    errors
}
