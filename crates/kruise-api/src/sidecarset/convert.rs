//! The two spellings of a SidecarSet (sidecarset §6, platform §18.2).
//!
//! OpenKruise's v1alpha1 has a member `namespace` and a label for the user's version, v1beta1 a selector and a member.
//! Its conversion webhook translates on every read; ours would have to be up for every read, so both versions have all
//! members instead, and what is written in the older spelling is brought into the newer one once, when it is admitted.
//! What was never admitted is understood as it is.

use serde_json::{Map, Value, json};

use super::v1alpha1;
use crate::keys;

type Object = Map<String, Value>;

/// Brings a whole object that is to be stored into the newer spelling; `old` is the stored one on an update.
pub fn align(object: &mut Value, old: Option<&Value>) {
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        align_namespace(spec);
    }
    align_version(object, old);
}

/// CNV-2.1: a namespace becomes a selector by name, and replaces one that is there.
fn align_namespace(spec: &mut Object) {
    match spec.get("namespace") {
        Some(Value::String(name)) if !name.is_empty() => {
            let selector = json!({ "matchLabels": { keys::NAMESPACE_NAME: name } });
            spec.insert("namespaceSelector".to_owned(), selector);
            spec.remove("namespace");
        }
        Some(Value::String(_) | Value::Null) => {
            spec.remove("namespace");
        }
        _ => {}
    }
}

/// CNV-2.3, CNV-3.2: the label and the member follow each other; the one that belongs to the version of the request
/// leads. Where a client takes its own spelling away, the other goes too; where it never had it, the other stays.
fn align_version(object: &mut Value, old: Option<&Value>) {
    let leads_by_label = object
        .get("apiVersion")
        .and_then(Value::as_str)
        .is_some_and(|version| version.ends_with(v1alpha1::VERSION));
    let (label, member) = (label(object), member(object));
    let before = old.map(|old| (self::label(old), self::member(old))).unwrap_or_default();
    match (label, member) {
        (Some(label), _) if leads_by_label => set_member(object, Some(label)),
        (None, Some(member)) if leads_by_label && before.0.as_ref() == Some(&member) => {
            set_member(object, None);
        }
        _ if leads_by_label => {}
        (Some(label), Some(member)) if label != member => set_label(object, Some(member)),
        (Some(label), None) if before.1.as_ref() == Some(&label) => set_label(object, None),
        _ => {}
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn label(object: &Value) -> Option<String> {
    let labels = object.get("metadata").and_then(|meta| meta.get("labels"));
    text(labels.and_then(|labels| labels.get(keys::SIDECARSET_CUSTOM_VERSION)))
}

fn member(object: &Value) -> Option<String> {
    text(object.get("spec").and_then(|spec| spec.get("customVersion")))
}

fn set_member(object: &mut Value, version: Option<String>) {
    let spec = object.get_mut("spec").and_then(Value::as_object_mut);
    set(spec, "customVersion", version);
}

fn set_label(object: &mut Value, version: Option<String>) {
    let labels = object.pointer_mut("/metadata/labels").and_then(Value::as_object_mut);
    set(labels, keys::SIDECARSET_CUSTOM_VERSION, version);
}

fn set(object: Option<&mut Object>, name: &str, value: Option<String>) {
    let Some(object) = object else { return };
    match value {
        Some(value) => {
            object.insert(name.to_owned(), Value::String(value));
        }
        None => {
            object.remove(name);
        }
    }
}
