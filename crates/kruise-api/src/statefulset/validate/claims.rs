//! What may change of claim templates while claims follow them (U-6…U-12, gate StatefulSetAutoResizePVCGate).

use crate::raw::RawJson;
use crate::shared::field::FieldError;
use crate::statefulset::claim_template::ClaimTemplate;
use crate::statefulset::v1beta1::StatefulSetSpec;

/// A template whose storage changes: its class must allow that, which only the cluster knows (U-11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimChange {
    /// Name of the template.
    pub template: String,
    /// Its storage class; `None` for the default class.
    pub class: Option<String>,
}

/// Problems of a change, and the templates whose storage class has to be asked.
pub type ClaimChanges = (Vec<FieldError>, Vec<ClaimChange>);

/// What the change is refused for. Judged by the new strategy (unlike OpenKruise, U-7); a request that also switches the
/// strategy on is accepted (U-7b).
pub fn claim_changes(old: &StatefulSetSpec, new: &StatefulSetSpec) -> ClaimChanges {
    if follows(old) && follows(new) { compare(old, new) } else { ClaimChanges::default() }
}

/// What a request that switches the strategy on is accepted with although the controller will not get it done (U-7b):
/// worth a warning.
pub fn claims_begin_to_follow(old: &StatefulSetSpec, new: &StatefulSetSpec) -> ClaimChanges {
    if !follows(old) && follows(new) { compare(old, new) } else { ClaimChanges::default() }
}

fn follows(spec: &StatefulSetSpec) -> bool {
    let strategy = spec.volume_claim_update_strategy.as_ref();
    strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnPodRollingUpdate")
}

fn compare(old: &StatefulSetSpec, new: &StatefulSetSpec) -> ClaimChanges {
    let path = "spec.volumeClaimTemplates";
    let (before, after) = (read(&old.volume_claim_templates), read(&new.volume_claim_templates));
    if before.len() != after.len() {
        let rule = "volumeClaimTemplate can not be added or deleted when OnRollingUpdate";
        return (vec![FieldError::invalid(path, after.len(), rule)], Vec::new());
    }
    let (mut errors, mut changes) = (Vec::new(), Vec::new());
    for template in after {
        let name = &template.name;
        let Some(old) = before.iter().find(|old| old.name == *name) else {
            let rule = "volumeClaimTemplate name can not be modified";
            errors.push(FieldError::forbidden(format!("{path}[{name}].name"), rule));
            continue;
        };
        let modes = template.access_modes.iter().map(String::as_str);
        if !old.same_kind(template.class.as_deref(), modes) {
            let rule = "volumeClaimTemplate can not be modified when OnRollingUpdate";
            errors.push(FieldError::invalid(format!("{path}[{name}]"), name.clone(), rule));
            continue;
        }
        if old.storage() != template.storage() {
            let class = template.class.clone();
            changes.push(ClaimChange { template: name.clone(), class });
        }
    }
    (errors, changes)
}

/// What is no claim template has no name, and is refused where it is used.
fn read(templates: &[RawJson]) -> Vec<ClaimTemplate> {
    templates.iter().map(|template| ClaimTemplate::read(template).unwrap_or_default()).collect()
}
