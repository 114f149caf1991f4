//! Rules of names, canaries and patched annotations (VAL-10…VAL-17, VAL-52).

use std::collections::BTreeSet;

use super::{Candidate, Whitelist};
use crate::keys;
use crate::shared::field::FieldError;
use crate::shared::labels::check_annotations;
use crate::sidecarset::v1beta1::{MERGE_PATCH_JSON, NOT_UPDATE, OVERWRITE, RETAIN, SidecarSetSpec};

/// VAL-11, VAL-12.
pub(super) fn name(name: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if name.is_empty() || !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
        let rule = "sidecarset name must consist of alphanumeric characters or '-' (e.g. 'example-com', regex used for \
                    validation is '^[a-zA-Z0-9\\-]+$')";
        errors.push(FieldError::invalid("metadata.name", name, rule));
    }
    if name.len() > 63 {
        let rule = "must be no more than 63 characters";
        errors.push(FieldError::invalid("metadata.name", name, rule));
    }
    errors
}

/// VAL-13…VAL-17.
pub(super) fn canary(
    new: &Candidate<'_>,
    old: Option<&Candidate<'_>>,
    others: &[Candidate<'_>],
) -> Vec<FieldError> {
    let Some(base) = new.base() else { return Vec::new() };
    let mut errors = Vec::new();
    let mut refuse =
        |rule: String| errors.push(FieldError::invalid("metadata", base.to_owned(), rule));
    if base == new.name {
        refuse("base sidecarSet cannot be itself".to_owned());
    }
    let before = |old: &Candidate<'_>| old.annotations.get(keys::SIDECARSET_BASE).cloned();
    if old.is_some_and(|old| before(old).as_deref() != Some(base)) {
        refuse(format!("annotations[{}] is immutable", keys::SIDECARSET_BASE));
    }
    match others.iter().find(|other| other.name == base) {
        None if base == new.name => {}
        None => {
            let why = format!("sidecarsets.{} {base:?} not found", keys::GROUP);
            refuse(format!("fetch base sidecarSet[{base}] failed: {why}"));
        }
        Some(other) if other.base().is_some() => {
            refuse("base sidecarSet cannot be canary".to_owned());
        }
        Some(_) => {}
    }
    if new.spec.update_strategy.type_.as_deref() != Some(NOT_UPDATE) {
        refuse("RollingUpdate is not supported for canary sidecarSet".to_owned());
    }
    errors
}

/// VAL-52.
pub(super) fn patches(set: &Candidate<'_>, whitelist: &Whitelist<'_>) -> Vec<FieldError> {
    let path = "spec.patchPodMetadata";
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    if !set.spec.patch_pod_metadata.is_empty() {
        let keys = set.spec.patch_pod_metadata.iter().flat_map(|patch| patch.annotations.keys());
        errors.extend(whitelist.problems("patchPodMetadata", set.labels, keys));
    }
    for (index, patch) in set.spec.patch_pod_metadata.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if patch.annotations.is_empty() {
            let rule = "no annotations defined for SidecarSet";
            errors.push(FieldError::required(path.clone(), rule));
        }
        errors.extend(check_annotations(&format!("{path}.annotations"), &patch.annotations));
        if patch.patch_policy.as_deref().unwrap_or_default().is_empty() {
            let rule = "no patchPolicy defined for patchPodMetadata";
            errors.push(FieldError::required(path.clone(), rule));
        }
        for key in patch.annotations.keys().filter(|key| !seen.insert(*key)) {
            let rule = format!("patch annotation[{key}] already exist");
            errors.push(FieldError::invalid(format!("{path}.annotations"), key.clone(), rule));
        }
    }
    errors
}

/// OpenKruise ignores a policy that it does not know (W-33).
pub(super) fn strict(spec: &SidecarSetSpec) -> Vec<FieldError> {
    const KNOWN: &[&str] = &[RETAIN, OVERWRITE, MERGE_PATCH_JSON];
    let mut errors = Vec::new();
    for (index, patch) in spec.patch_pod_metadata.iter().enumerate() {
        let path = format!("spec.patchPodMetadata[{index}]");
        let policy = patch.patch_policy.as_deref().unwrap_or_default();
        if !policy.is_empty() && !KNOWN.contains(&policy) {
            errors.push(FieldError::not_supported(format!("{path}.patchPolicy"), policy, KNOWN));
        }
    }
    errors
}

/// Patches that can be given to pods without the annotation, and to no other: they are no JSON (INJ-1, INJ-3).
pub fn unmergeable(spec: &SidecarSetSpec) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, patch) in spec.patch_pod_metadata.iter().enumerate() {
        let merges = patch.patch_policy.as_deref() == Some(MERGE_PATCH_JSON);
        for (key, value) in patch.annotations.iter().filter(|_| merges) {
            if let Err(problem) = serde_json::from_str::<serde_json::Value>(value) {
                let path = format!("spec.patchPodMetadata[{index}].annotations[{key}]");
                warnings.push(format!("{path}: {value:?} is no JSON, pods that have the annotation cannot be created: {problem}"));
            }
        }
    }
    warnings
}
