//! What may change of a stored set (U-1…U-4).

use serde_json::Value;

use super::validate;
use crate::shared::field::FieldError;
use crate::statefulset::v1beta1::StatefulSetSpec;

const IMMUTABLE: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
    'reserveOrdinals', 'lifecycle', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy', \
    `volumeClaimTemplates`, `VolumeClaimUpdateStrategy` and 'updateStrategy' are forbidden";

/// Problems of a change from `old` to `new`; those of the new spec by itself included.
pub fn validate_update(old: &StatefulSetSpec, new: &StatefulSetSpec) -> Vec<FieldError> {
    let mut errors = validate(new);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    // An object that no webhook saw is filled by the first change of it: that is no change of the policy (W-28).
    let policy = |spec: &StatefulSetSpec| {
        let policy = text(&spec.pod_management_policy);
        if policy.is_empty() { "OrderedReady".to_owned() } else { policy }
    };
    let same = selector(old) == selector(new)
        && text(&old.service_name) == text(&new.service_name)
        && policy(old) == policy(new);
    if !same {
        errors.push(FieldError::forbidden("spec", IMMUTABLE));
    }
    errors.extend(in_place_only(old, new));
    errors
}

/// A selector for comparison: nothing and empty are the same (U-3).
fn selector(spec: &StatefulSetSpec) -> (Value, Value) {
    let expressions = spec.selector.match_expressions.as_deref().unwrap_or_default();
    let labels = spec.selector.match_labels.clone().unwrap_or_default();
    (serde_json::json!(labels), serde_json::to_value(expressions).unwrap_or_default())
}

/// U-4: with `InPlaceOnly` nothing but images of containers may be replaced in the pod spec. Unlike OpenKruise,
/// `imagePullPolicy` does not count as an image: it could never be applied (W-18).
fn in_place_only(old: &StatefulSetSpec, new: &StatefulSetSpec) -> Option<FieldError> {
    let strategy = new.update_strategy.as_ref()?;
    let policy = strategy.rolling_update.as_ref()?.pod_update_policy.as_deref();
    if policy != Some("InPlaceOnly") {
        return None;
    }
    let spec = |set: &StatefulSetSpec| {
        let template: Value = set.template.parse().unwrap_or_default();
        template.get("spec").cloned().unwrap_or_default()
    };
    let (op, path) = difference("", &spec(old), &spec(new))?;
    let rule = format!(
        "invalid template modified with InPlaceOnly strategy: {op} {path}, currently only image update is allowed for \
         InPlaceOnly"
    );
    Some(FieldError::invalid("spec.template.spec", path, rule))
}

/// The first difference that is not the image of a container, as JSON Patch operation and path. Lists compare by place.
fn difference(path: &str, old: &Value, new: &Value) -> Option<(&'static str, String)> {
    let at = |member: &str| format!("{path}/{}", member.replace('~', "~0").replace('/', "~1"));
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            let changed = before.iter().find_map(|(member, old)| match after.get(member) {
                Some(new) => difference(&at(member), old, new),
                None => Some(("remove", at(member))),
            });
            let added = || after.keys().find(|member| !before.contains_key(*member));
            changed.or_else(|| added().map(|member| ("add", at(member))))
        }
        (Value::Array(before), Value::Array(after)) => {
            let pairs = before.iter().zip(after).enumerate();
            let changed = pairs
                .map(|(index, (old, new))| difference(&at(&index.to_string()), old, new))
                .find(Option::is_some);
            let length = || match before.len().cmp(&after.len()) {
                std::cmp::Ordering::Less => Some(("add", at(&before.len().to_string()))),
                std::cmp::Ordering::Greater => Some(("remove", at(&after.len().to_string()))),
                std::cmp::Ordering::Equal => None,
            };
            changed.flatten().or_else(length)
        }
        (old, new) if old == new || is_image(path) => None,
        _ => Some(("replace", path.to_owned())),
    }
}

/// `/containers/<n>/image`
fn is_image(path: &str) -> bool {
    let index = path.strip_prefix("/containers/").and_then(|rest| rest.strip_suffix("/image"));
    index.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
}
