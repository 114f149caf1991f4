//! About which pods the API server has to ask: about those that some set can match, and about no other (platform P1,
//! D.15). What is left out here cannot be held up by us, whatever happens to us.
//!
//! Selectors can only say what all sets have in common; the rest is a condition. Both let pass whatever is unsure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kruise_api::keys;
use kruise_api::sidecarset::v1beta1::{Scope, SidecarSetSpec};
use kruise_common::admission::registration::{Hook, Phase};
use serde_json::{Value, json};

use crate::object::SidecarSet;

/// Where pods are asked about (WHK-1).
pub const PODS: &str = "/mutate-pod";
/// Longest condition, in bytes, and the most alternatives in one. With more sets only the selectors narrow.
const LONGEST: usize = 8 * 1024;
const MOST: usize = 64;

/// The hook for pods; `None` if no set can match any. `own` is the namespace of the controller, whose pods must start
/// while it is down (WHK-8). If not `narrow`, every pod of the other namespaces is asked about.
pub fn pod_hook(sets: &[Arc<SidecarSet>], own: &str, narrow: bool) -> Option<Hook> {
    let specs: Vec<&SidecarSetSpec> = sets
        .iter()
        .filter_map(|set| set.content.as_ref().ok())
        .map(|content| &*content.spec)
        .filter(|spec| !spec.injection_strategy.paused && spec.selector.is_some())
        .collect();
    let mut hook = Hook {
        name: "mpod.kb.io".to_owned(),
        path: PODS,
        phase: Phase::Mutating,
        group: "",
        versions: &["v1"],
        resources: &["pods"],
        operations: &["CREATE"],
        namespace_selector: None,
        object_selector: None,
        conditions: vec![("no-mirror-pod".to_owned(), no_mirror_pod())],
        failure_policy: None,
        again: true,
    };
    let mut namespaces = vec![
        json!({ "key": "control-plane", "operator": "NotIn", "values": ["openkruise"] }),
        json!({ "key": keys::NAMESPACE_NAME, "operator": "NotIn", "values": excluded(own) }),
    ];
    if narrow {
        if specs.is_empty() {
            return None;
        }
        namespaces.extend(common(specs.iter().map(|spec| demands_of_namespaces(spec))));
        let pods = common(specs.iter().map(|spec| spec.selector.as_ref().map(demands)));
        hook.object_selector = (!pods.is_empty()).then(|| json!({ "matchExpressions": pods }));
        hook.conditions.extend(condition(&specs).map(|text| ("some-set-matches".to_owned(), text)));
    }
    hook.namespace_selector = Some(json!({ "matchExpressions": namespaces }));
    Some(hook)
}

fn excluded(own: &str) -> BTreeSet<&str> {
    ["kube-system", own].into_iter().filter(|name| !name.is_empty()).collect()
}

fn no_mirror_pod() -> String {
    let key = quoted(keys::MIRROR_POD);
    format!("!(has(object.metadata.annotations) && {key} in object.metadata.annotations)")
}

/// What a selector demands of labels that must be there: values, or none if any value will do.
type Demands = BTreeMap<String, Option<BTreeSet<String>>>;

fn demands(selector: &LabelSelector) -> Demands {
    let mut found = Demands::new();
    for (key, value) in selector.match_labels.iter().flatten() {
        found.insert(key.clone(), Some(BTreeSet::from([value.clone()])));
    }
    for expression in selector.match_expressions.iter().flatten() {
        let values = match expression.operator.as_str() {
            "In" => Some(expression.values.iter().flatten().cloned().collect()),
            "Exists" => None,
            _ => continue,
        };
        // Of two demands of one label the first is kept: it is true by itself.
        found.entry(expression.key.clone()).or_insert(values);
    }
    found
}

fn demands_of_namespaces(spec: &SidecarSetSpec) -> Option<Demands> {
    match spec.scope() {
        Scope::All => None,
        Scope::Selected(selector) => Some(demands(selector)),
        Scope::Namespace(name) => {
            let values = BTreeSet::from([name.to_owned()]);
            Some(Demands::from([(keys::NAMESPACE_NAME.to_owned(), Some(values))]))
        }
    }
}

/// What all have in common, as expressions of a selector: a label that everybody demands, with all values together.
fn common(all: impl Iterator<Item = Option<Demands>>) -> Vec<Value> {
    let merge = |a: Demands, b: Demands| {
        let mut both = Demands::new();
        for (key, values) in a {
            let Some(others) = b.get(&key) else { continue };
            let union = values.zip(others.as_ref()).map(|(values, others)| &values | others);
            both.insert(key, union);
        }
        both
    };
    let common = all.map(Option::unwrap_or_default).reduce(merge).unwrap_or_default();
    let expression = |(key, values): (String, Option<BTreeSet<String>>)| match values {
        Some(values) => json!({ "key": key, "operator": "In", "values": values }),
        None => json!({ "key": key, "operator": "Exists" }),
    };
    common.into_iter().map(expression).collect()
}

/// CEL: some set's selector matches the pod; `None` if that would be too long to say.
fn condition(specs: &[&SidecarSetSpec]) -> Option<String> {
    let alternatives: BTreeSet<String> = specs.iter().map(|spec| alternative(spec)).collect();
    if alternatives.len() > MOST {
        return None;
    }
    let text = alternatives.into_iter().collect::<Vec<_>>().join(" || ");
    (text.len() <= LONGEST).then_some(text)
}

fn alternative(spec: &SidecarSetSpec) -> String {
    let mut terms = Vec::new();
    if let Scope::Namespace(name) = spec.scope() {
        terms.push(format!("request.namespace == {}", quoted(name)));
    }
    if let Scope::Selected(LabelSelector { match_labels: Some(labels), .. }) = spec.scope()
        && let Some(name) = labels.get(keys::NAMESPACE_NAME)
    {
        terms.push(format!("request.namespace == {}", quoted(name)));
    }
    if let Some(selector) = &spec.selector {
        for (key, value) in selector.match_labels.iter().flatten() {
            terms.push(label(key, Some(std::slice::from_ref(value))));
        }
        for expression in selector.match_expressions.iter().flatten() {
            let values = expression.values.as_deref().unwrap_or_default();
            match expression.operator.as_str() {
                "In" => terms.push(label(&expression.key, Some(values))),
                "NotIn" => terms.push(format!("!{}", label(&expression.key, Some(values)))),
                "Exists" => terms.push(label(&expression.key, None)),
                "DoesNotExist" => terms.push(format!("!{}", label(&expression.key, None))),
                _ => {}
            }
        }
    }
    if terms.is_empty() { "true".to_owned() } else { format!("({})", terms.join(" && ")) }
}

/// CEL: the pod has the label, with one of the values if some are given. Never an error: an error would be a refusal.
fn label(key: &str, values: Option<&[String]>) -> String {
    let key = quoted(key);
    let there = format!("has(object.metadata.labels) && {key} in object.metadata.labels");
    match values {
        None => format!("({there})"),
        Some(values) => {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            format!("({there} && object.metadata.labels[{key}] in [{}])", values.join(", "))
        }
    }
}

/// A CEL string; JSON's escapes are among CEL's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
