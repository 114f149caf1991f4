//! Defaults of a BroadcastJob (broadcastjob.md §6), idempotent, on raw JSON, so that nothing a user wrote is lost (W20).
//!
//! What absent settings mean to the controller, which must understand objects that no webhook ever saw, is in its
//! `snapshot.rs`.

use serde_json::{Value, json};

use crate::shared::template::{fill, fill_object, fill_template, fill_text};

/// Most pods at the same time if nothing is said: it is stored, because clients read it without asking (§6).
pub const UNLIMITED: i32 = i32::MAX;

/// The feature gates that shape defaulting, by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultingGates {
    /// `TemplateNoDefaults`: pod templates are left as they are.
    pub template_no_defaults: bool,
    /// `DefaultHostNetworkHostPortsInPodTemplates`: host ports are filled.
    pub default_host_ports: bool,
}

/// Fills a whole object of either version as it is to be stored, and says whether that changed it. `old` is the stored
/// object on an update: its template is only filled if it differs from it.
pub fn default_object(object: &mut Value, old: Option<&Value>, gates: &DefaultingGates) -> bool {
    let before = object.clone();
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return false };
    let stored = old.and_then(|old| old.pointer("/spec/template"));
    let same = stored.is_some() && stored == spec.get("template");
    if !gates.template_no_defaults
        && !same
        && let Some(template) = spec.get_mut("template")
    {
        fill_template(template, gates.default_host_ports);
    }
    if let Some(policy) = fill_object(spec, "completionPolicy") {
        fill_text(policy, "type", "Always");
    }
    fill(spec, "parallelism", json!(UNLIMITED));
    if let Some(policy) = fill_object(spec, "failurePolicy") {
        fill_text(policy, "type", "FailFast");
    }
    *object != before
}
