//! Which annotations sets may patch (sidecarset §9.6).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use regex::bytes::Regex;
use serde::Deserialize;

use crate::keys;
use crate::shared::field::FieldError;
use crate::shared::selector::{InvalidSelector, Selector};
use crate::sidecarset::validate::containers::bounded_regex;

/// The setting of an administrator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whitelist<'a> {
    /// The text of the setting; `None` if there is none.
    pub text: Option<&'a str>,
    /// What is not mentioned is allowed (gate `SidecarSetPatchPodMetadataDefaultsAllowed`).
    pub allowed_by_default: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rules {
    rules: Option<Vec<Rule>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    selector: Option<LabelSelector>,
    allowed_annotation_key_exprs: Option<Vec<String>>,
}

impl Whitelist<'_> {
    /// Problems of patching annotations with `keys` by a set with `labels` (WL-1…WL-3).
    pub(super) fn problems<'k>(
        &self,
        path: &str,
        labels: &BTreeMap<String, String>,
        keys: impl Iterator<Item = &'k String>,
    ) -> Vec<FieldError> {
        let refused = |rule: String| vec![FieldError::required(path, rule)];
        let place = format!(
            "ConfigMap {} in the namespace of the controller, key {}",
            keys::CONFIGURATION,
            keys::PATCH_WHITELIST
        );
        let Some(text) = self.text else {
            if self.allowed_by_default {
                return Vec::new();
            }
            return refused(format!("SidecarSet patch metadata whitelist not found ({place})"));
        };
        let allowed = match expressions(text, labels) {
            Ok(allowed) => allowed,
            Err(problem) => return refused(format!("{problem} ({place})")),
        };
        if allowed.is_empty() {
            if self.allowed_by_default {
                return Vec::new();
            }
            let rule = "sidecarSet patch metadata annotation is not allowed";
            return refused(format!("{rule} ({place} has no rule for this set)"));
        }
        let other = keys
            .filter(|key| !allowed.iter().any(|expression| expression.is_match(key.as_bytes())));
        let rule = |key| format!("sidecarSet patch metadata annotation({key}) is not allowed");
        other.map(|key| FieldError::required(path, rule(key))).collect()
    }
}

/// The expressions of all rules that apply to a set with `labels`; they need not match a whole key.
fn expressions(text: &str, labels: &BTreeMap<String, String>) -> Result<Vec<Regex>, String> {
    let rules: Rules = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for rule in rules.rules.unwrap_or_default() {
        let applies = match rule.selector.as_ref().map(Selector::new) {
            None | Some(Err(InvalidSelector::Empty)) => true,
            Some(Ok(selector)) => selector.matches(labels),
            Some(Err(error)) => return Err(error.to_string()),
        };
        for expression in rule.allowed_annotation_key_exprs.into_iter().flatten() {
            if applies {
                found.push(bounded_regex(&expression)?);
            }
        }
    }
    Ok(found)
}
