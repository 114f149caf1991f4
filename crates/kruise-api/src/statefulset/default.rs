//! Defaults of an Advanced StatefulSet (statefulset §2.2), idempotent.
//!
//! [`default_object`] works on raw JSON, so that nothing a user wrote is lost (D-14). What absent settings mean to the
//! controller, which must understand objects that no webhook ever saw, is in its `snapshot.rs` (W-28, W-38).

use serde_json::{Map, Value, json};

use crate::shared::template::{fill, fill_object, fill_template, fill_text, round_quantities};

/// The feature gates that shape defaulting, by what they do.
#[expect(clippy::struct_excessive_bools, reason = "each gate is an independent switch")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultingGates {
    /// `StatefulSetAutoDeletePVC`: the retention policy is filled (D-4).
    pub auto_delete_claims: bool,
    /// `StatefulSetAutoResizePVCGate`: the claim update strategy is filled (D-5).
    pub resize_claims: bool,
    /// `TemplateNoDefaults`: pod and claim templates are left as they are (D-8).
    pub template_no_defaults: bool,
    /// `DefaultHostNetworkHostPortsInPodTemplates`: host ports are filled (D-9).
    pub default_host_ports: bool,
}

impl Default for DefaultingGates {
    /// OpenKruise's defaults.
    fn default() -> Self {
        Self {
            auto_delete_claims: true,
            resize_claims: false,
            template_no_defaults: false,
            default_host_ports: false,
        }
    }
}

/// Fills a whole object of either version as it is to be stored, and says whether that changed it. `old` is the stored
/// object on an update: its templates are only filled if the pod template differs from it (D-8). The status is not
/// touched: the API server ignores it here (D-7).
pub fn default_object(object: &mut Value, old: Option<&Value>, gates: &DefaultingGates) -> bool {
    let before = object.clone();
    let older = object.get("apiVersion").and_then(Value::as_str).is_some_and(is_older);
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return false };
    // What v1alpha1 cannot express would be pruned, and asked for again on every write (C-2).
    let expressible = if older {
        DefaultingGates { auto_delete_claims: false, resize_claims: false, ..*gates }
    } else {
        *gates
    };
    fill_settings(spec, expressible);
    let stored = old.and_then(|old| old.pointer("/spec/template"));
    let same = stored.is_some() && stored == spec.get("template");
    if !gates.template_no_defaults && !same {
        if let Some(template) = spec.get_mut("template") {
            fill_template(template, gates.default_host_ports);
        }
        let claims = spec.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut);
        claims.into_iter().flatten().filter_map(Value::as_object_mut).for_each(fill_claim);
    }
    *object != before
}

fn is_older(version: &str) -> bool {
    version.ends_with("/v1alpha1")
}

/// The set's own settings (D-1…D-6).
fn fill_settings(spec: &mut Map<String, Value>, gates: DefaultingGates) {
    fill_text(spec, "podManagementPolicy", "OrderedReady");
    let own_min_ready = spec.get("minReadySeconds").is_some_and(|seconds| !seconds.is_null());
    if let Some(strategy) = fill_object(spec, "updateStrategy") {
        fill_text(strategy, "type", "RollingUpdate");
        if strategy.get("type").and_then(Value::as_str) == Some("RollingUpdate")
            && let Some(rolling) = fill_object(strategy, "rollingUpdate")
        {
            fill(rolling, "partition", json!(0));
            fill(rolling, "maxUnavailable", json!(1));
            fill_text(rolling, "podUpdatePolicy", "ReCreate");
            // A filled 0 would win over what the user wrote one level up (K-2).
            if !own_min_ready {
                fill(rolling, "minReadySeconds", json!(0));
            }
        }
    }
    if gates.auto_delete_claims
        && let Some(policy) = fill_object(spec, "persistentVolumeClaimRetentionPolicy")
    {
        fill_text(policy, "whenDeleted", "Retain");
        fill_text(policy, "whenScaled", "Retain");
    }
    if gates.resize_claims
        && let Some(strategy) = fill_object(spec, "volumeClaimUpdateStrategy")
    {
        fill_text(strategy, "type", "OnDelete");
    }
    fill(spec, "replicas", json!(1));
    fill(spec, "revisionHistoryLimit", json!(10));
}

/// D-13: no `volumeMode`, which the API server fills on the claim itself.
fn fill_claim(claim: &mut Map<String, Value>) {
    if let Some(resources) = claim.get_mut("spec").and_then(|spec| spec.get_mut("resources")) {
        round_quantities(resources.get_mut("requests"));
        round_quantities(resources.get_mut("limits"));
    }
    if let Some(status) = fill_object(claim, "status") {
        fill_text(status, "phase", "Pending");
        round_quantities(status.get_mut("capacity"));
    }
}
