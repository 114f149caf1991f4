//! Rules of an Advanced StatefulSet (statefulset §2.3, §2.4), as OpenKruise's webhook has them, with its words.
//!
//! The object's own metadata is checked by the API server. Nothing here is asked of stored objects: the controller
//! acts upon whatever it can make sense of (W-28).

mod claims;
mod strategy;
mod stricter;
mod update;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;
use serde_json::Value;

pub use claims::{ClaimChange, ClaimChanges, claim_changes, claims_begin_to_follow};
pub use stricter::stricter;
pub use update::validate_update;

use super::v1beta1::StatefulSetSpec;
use crate::shared::field::{FieldError, NOT_NEGATIVE};
use crate::shared::labels::{check_annotations, check_labels, check_selector, selects_all};
use crate::shared::selector::Selector;

/// Problems of a spec, whether new or changed (V-2…V-29).
pub fn validate(spec: &StatefulSetSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let policy = spec.pod_management_policy.as_deref().unwrap_or_default();
    match policy {
        "OrderedReady" | "Parallel" => {}
        "" => errors.push(FieldError::required("spec.podManagementPolicy", "")),
        other => {
            let rule = "must be 'OrderedReady' or 'Parallel'";
            errors.push(FieldError::invalid("spec.podManagementPolicy", other, rule));
        }
    }
    errors.extend(reserved_ordinals(&spec.reserve_ordinals));
    let scale = spec.scale_strategy.as_ref().and_then(|scale| scale.max_unavailable.as_ref());
    if let Some(amount) = scale {
        errors.extend(strategy::amount("spec.scaleStrategy.maxUnavailable", amount, policy));
    }
    let template = PodTemplate::of(spec);
    errors.extend(strategy::strategy(spec, policy, &template));
    errors.extend(retention(spec));
    if let Some(replicas) = spec.replicas.filter(|replicas| *replicas < 0) {
        errors.push(FieldError::invalid("spec.replicas", replicas, NOT_NEGATIVE));
    }
    errors.extend(selection(spec, &template));
    errors.extend(template.problems());
    errors.extend(unchecked_by_openkruise(spec));
    errors
}

/// V-30 [ext]: values without meaning. Admission does not hold them against an object that already has them.
fn unchecked_by_openkruise(spec: &StatefulSetSpec) -> Vec<FieldError> {
    const STRATEGIES: &[&str] = &["OnDelete", "OnPodRollingUpdate"];
    let rolling = spec.update_strategy.as_ref().and_then(|s| s.rolling_update.as_ref());
    let in_place = rolling.and_then(|rolling| rolling.in_place_update_strategy.as_ref());
    let numbers = [
        ("spec.ordinals.start", spec.ordinals.as_ref().map(|ordinals| ordinals.start)),
        ("spec.revisionHistoryLimit", spec.revision_history_limit),
        (
            "spec.updateStrategy.rollingUpdate.inPlaceUpdateStrategy.gracePeriodSeconds",
            in_place.and_then(|strategy| strategy.grace_period_seconds),
        ),
    ];
    let negative = numbers.into_iter().filter_map(|(path, number)| {
        let number = number.filter(|number| *number < 0)?;
        Some(FieldError::invalid(path, number, NOT_NEGATIVE))
    });
    let strategy = spec.volume_claim_update_strategy.as_ref();
    let kind = strategy.and_then(|strategy| strategy.type_.clone()).unwrap_or_default();
    let unknown = !kind.is_empty() && !STRATEGIES.contains(&kind.as_str());
    let path = "spec.volumeClaimUpdateStrategy.type";
    let unknown = unknown.then(|| FieldError::not_supported(path, kind, STRATEGIES));
    negative.chain(unknown).collect()
}

/// V-4, V-5, V-6. OpenKruise names the whole spec as the place.
fn reserved_ordinals(reserved: &[IntOrString]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, entry) in reserved.iter().enumerate() {
        match entry {
            IntOrString::Int(ordinal) if *ordinal < 0 => {
                let rule = format!("{index} th reserve ordinal is negative: {ordinal}");
                errors.push(FieldError::invalid("spec", *ordinal, rule));
            }
            IntOrString::Int(_) => {}
            IntOrString::String(range) => {
                if !is_range(range) {
                    let rule = format!("{index} th reserve ordinal is not a valid range: {range}");
                    errors.push(FieldError::invalid("spec", range.clone(), rule));
                }
                if let Err(problem) = parse_range(range) {
                    let rule =
                        format!("{index} th reserve ordinal is invalid: {range}, err = {problem}");
                    errors.push(FieldError::invalid("spec", range.clone(), rule));
                }
            }
        }
    }
    errors
}

/// `^\d+-\d+$`
fn is_range(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-').is_some_and(|(low, high)| digits(low) && digits(high))
}

fn parse_range(text: &str) -> Result<(), String> {
    let [low, high] = text.split('-').collect::<Vec<_>>()[..] else {
        return Err(format!("invalid range {text}"));
    };
    let number = |part: &str| {
        let number = part.parse::<i32>();
        number.map_err(|error| format!("strconv.Atoi: parsing {part:?}: {error}"))
    };
    if number(low)? > number(high)? { Err(format!("invalid range {text}")) } else { Ok(()) }
}

/// V-23: only asked if the object is there; an empty member is an error too.
fn retention(spec: &StatefulSetSpec) -> Vec<FieldError> {
    const KNOWN: &[&str] = &["Retain", "Delete"];
    let Some(policy) = &spec.persistent_volume_claim_retention_policy else { return Vec::new() };
    let members = [("whenDeleted", &policy.when_deleted), ("whenScaled", &policy.when_scaled)];
    let of = |(member, value): (&str, &Option<String>)| {
        let value = value.clone().unwrap_or_default();
        let path = format!("spec.persistentVolumeClaimRetentionPolicy.{member}");
        (!KNOWN.contains(&value.as_str())).then(|| FieldError::not_supported(path, value, KNOWN))
    };
    members.into_iter().filter_map(of).collect()
}

/// V-25, V-26.
fn selection(spec: &StatefulSetSpec, template: &PodTemplate) -> Vec<FieldError> {
    let selector = &spec.selector;
    if selects_all(selector) {
        let rule = "empty selector is invalid for statefulset";
        return vec![FieldError::invalid("spec.selector", serde_json::json!({}), rule)];
    }
    let errors = check_selector("spec.selector", selector);
    if !errors.is_empty() {
        return errors;
    }
    let matches = Selector::new(selector).is_ok_and(|s| s.matches(&template.labels()));
    if matches {
        return Vec::new();
    }
    let rule = "`selector` does not match template `labels`";
    let have = serde_json::json!(template.labels());
    vec![FieldError::invalid("spec.template.metadata.labels", have, rule)]
}

/// The members of a pod template that rules ask for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PodTemplate {
    metadata: Option<Metadata>,
    spec: Option<PodSpec>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    restart_policy: Option<String>,
    active_deadline_seconds: Option<Value>,
    readiness_gates: Option<Vec<Gate>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Gate {
    condition_type: String,
}

impl PodTemplate {
    /// A template that is no template has no members; the API server says what is wrong when a pod is created (V-30).
    fn of(spec: &StatefulSetSpec) -> Self {
        spec.template.parse().unwrap_or_default()
    }

    fn labels(&self) -> BTreeMap<String, String> {
        self.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default()
    }

    fn gated_by(&self, condition: &str) -> bool {
        let gates = self.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
        gates.into_iter().any(|gate| gate.condition_type == condition)
    }

    /// V-27, V-28, V-29.
    fn problems(&self) -> Vec<FieldError> {
        let mut errors = check_labels("spec.template.labels", &self.labels());
        let annotations = self.metadata.as_ref().and_then(|meta| meta.annotations.clone());
        errors.extend(check_annotations(
            "spec.template.annotations",
            &annotations.unwrap_or_default(),
        ));
        let Some(spec) = &self.spec else { return errors };
        let restart = spec.restart_policy.as_deref().unwrap_or_default();
        if !["", "Always"].contains(&restart) {
            let path = "spec.template.spec.restartPolicy";
            errors.push(FieldError::not_supported(path, restart, &["Always"]));
        }
        if spec.active_deadline_seconds.is_some() {
            let rule = "activeDeadlineSeconds in StatefulSet is not Supported";
            errors.push(FieldError::forbidden("spec.template.spec.activeDeadlineSeconds", rule));
        }
        errors
    }
}
