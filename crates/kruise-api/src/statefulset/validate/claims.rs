//! What may change of claim templates while claims follow them (U-6…U-12, gate StatefulSetAutoResizePVCGate).

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::raw::RawJson;
use crate::shared::field::FieldError;
use crate::shared::quantity::Quantity;
use crate::statefulset::v1beta1::StatefulSetSpec;

/// A template whose storage changes: its class must allow that, which only the cluster knows (U-11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimChange {
    /// Name of the template.
    pub template: String,
    /// Its storage class; `None` for the default class.
    pub class: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Template {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    storage_class_name: Option<String>,
    access_modes: Option<Vec<String>>,
    resources: Option<Resources>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: Option<Map<String, Value>>,
    limits: Option<Map<String, Value>>,
}

/// Problems of the change, and the templates whose storage class has to be asked. Judged by the new strategy (unlike
/// OpenKruise, U-7); a request that also switches the strategy on is accepted (U-7b).
pub fn claim_changes(
    old: &StatefulSetSpec,
    new: &StatefulSetSpec,
) -> (Vec<FieldError>, Vec<ClaimChange>) {
    let follows = |spec: &StatefulSetSpec| {
        let strategy = spec.volume_claim_update_strategy.as_ref();
        strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnPodRollingUpdate")
    };
    if !follows(old) || !follows(new) {
        return (Vec::new(), Vec::new());
    }
    let path = "spec.volumeClaimTemplates";
    let (before, after) = (read(&old.volume_claim_templates), read(&new.volume_claim_templates));
    if before.len() != after.len() {
        let rule = "volumeClaimTemplate can not be added or deleted when OnRollingUpdate";
        return (vec![FieldError::invalid(path, after.len(), rule)], Vec::new());
    }
    let (mut errors, mut changes) = (Vec::new(), Vec::new());
    for template in after {
        let name = &template.metadata.name;
        let Some(old) = before.iter().find(|old| old.metadata.name == *name) else {
            let rule = "volumeClaimTemplate name can not be modified";
            errors.push(FieldError::forbidden(format!("{path}[{name}].name"), rule));
            continue;
        };
        if !compatible(&old.spec, &template.spec) {
            let rule = "volumeClaimTemplate can not be modified when OnRollingUpdate";
            errors.push(FieldError::invalid(format!("{path}[{name}]"), name.clone(), rule));
            continue;
        }
        if storage(&old.spec) != storage(&template.spec) {
            let class = template.spec.storage_class_name.clone();
            changes.push(ClaimChange { template: name.clone(), class });
        }
    }
    (errors, changes)
}

/// What is no claim template has no name, and is refused where it is used.
fn read(templates: &[RawJson]) -> Vec<Template> {
    templates.iter().map(|template| template.parse().unwrap_or_default()).collect()
}

/// U-10: the same class where both name one, the same modes in the same order.
fn compatible(old: &Spec, new: &Spec) -> bool {
    let class = match (&old.storage_class_name, &new.storage_class_name) {
        (Some(old), Some(new)) => old == new,
        _ => true,
    };
    let modes = |spec: &Spec| spec.access_modes.clone().unwrap_or_default();
    class && modes(old) == modes(new)
}

/// Requested and limited storage, by value.
fn storage(spec: &Spec) -> [Option<Quantity>; 2] {
    let resources = spec.resources.as_ref();
    let amount = |list: Option<&Map<String, Value>>| {
        let amount = list?.get("storage")?;
        let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
        Quantity::parse(&text).ok()
    };
    [
        amount(resources.and_then(|resources| resources.requests.as_ref())),
        amount(resources.and_then(|resources| resources.limits.as_ref())),
    ]
}
