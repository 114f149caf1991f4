//! Rules beyond OpenKruise's, for new values only: a stored object that breaks one can still be edited elsewhere (V-30).

use serde_json::Value;

use super::NOT_NEGATIVE;
use crate::keys;
use crate::shared::field::FieldError;
use crate::statefulset::v1beta1::StatefulSetSpec;

/// Values that could never be acted upon as they are.
pub fn stricter(spec: &StatefulSetSpec) -> Vec<FieldError> {
    let rolling = spec.update_strategy.as_ref().and_then(|s| s.rolling_update.as_ref());
    let in_place = rolling.and_then(|rolling| rolling.in_place_update_strategy.as_ref());
    let grace = in_place.and_then(|strategy| strategy.grace_period_seconds);
    let numbers = [
        ("spec.ordinals.start", spec.ordinals.as_ref().map(|ordinals| ordinals.start)),
        ("spec.revisionHistoryLimit", spec.revision_history_limit),
        ("spec.updateStrategy.rollingUpdate.inPlaceUpdateStrategy.gracePeriodSeconds", grace),
    ];
    let negative = numbers.into_iter().filter_map(|(path, number)| {
        let number = number.filter(|number| *number < 0)?;
        Some(FieldError::invalid(path, number, NOT_NEGATIVE))
    });
    let strategy = spec.volume_claim_update_strategy.as_ref();
    let kind = strategy.and_then(|strategy| strategy.type_.as_deref()).unwrap_or_default();
    let unknown = (!["", "OnDelete", "OnPodRollingUpdate"].contains(&kind)).then(|| {
        let path = "spec.volumeClaimUpdateStrategy.type";
        FieldError::not_supported(path, kind, &["OnDelete", "OnPodRollingUpdate"])
    });
    negative.chain(unknown).chain(deletes_itself(spec)).collect()
}

/// SD-8: every pod would be born with the wish to be deleted.
fn deletes_itself(spec: &StatefulSetSpec) -> Option<FieldError> {
    let template: Value = spec.template.parse().ok()?;
    let labels = template.pointer("/metadata/labels")?;
    labels.get(keys::SPECIFIED_DELETE)?;
    let path = format!("spec.template.metadata.labels[{}]", keys::SPECIFIED_DELETE);
    Some(FieldError::forbidden(
        path,
        "is a label for single pods: a new pod would be deleted again",
    ))
}
