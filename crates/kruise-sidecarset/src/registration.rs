//! About which pods the API server has to ask: about those that some set can match, and about no other (platform P1,
//! D.15). What is left out here cannot be held up by us, whatever happens to us.
//!
//! Selectors can only say what all sets have in common; the rest is a condition. Both let pass whatever is unsure. A selector
//! costs the API server next to nothing, a condition has it convert the pod once more (0.3 ms of each creation): there are
//! none where selectors say everything.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kruise_api::keys;
use kruise_api::shared::selector::Labels;
use kruise_api::sidecarset::v1beta1::{Scope, SidecarSetSpec};
use kruise_common::admission::registration::{
    Hook, NO_MIRROR_POD, NO_OPT_OUT, Phase, SOME_SET_MATCHES,
};
use serde_json::{Value, json};

use crate::object::SidecarSet;

/// Where pods are asked about (WHK-1).
pub const PODS: &str = "/mutate-pod";
/// Longest condition, in bytes, and the most alternatives in one. With more sets only the selectors narrow.
const LONGEST: usize = 8 * 1024;
const MOST: usize = 64;
/// Label of the namespaces of OpenKruise itself, and its value.
const CONTROL_PLANE: &str = "control-plane";
const OURS: &str = "openkruise";

/// Pods that are never asked about, whatever the sets say. Who looks for pods that were missed leaves them out too: they
/// would come back as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unasked {
    /// Namespace of the Lease (WHK-8).
    pub own: String,
    /// Namespace of the Service, that is of the controller's pods: they must start while none of them answers. Empty
    /// without a Service.
    pub service: String,
    /// No pod is asked about at all (gate `PodWebhook`).
    pub all: bool,
    /// Pods may say that they do without sets (W-47).
    pub opt_out: bool,
}

impl Unasked {
    /// Whether the pods of the namespace are left out by its name.
    pub fn named(&self, namespace: &str) -> bool {
        self.all || self.names().contains(namespace)
    }

    /// Whether the pods of a namespace are left out by its labels (WHK-5).
    pub fn labelled(labels: &impl Labels) -> bool {
        labels.label(CONTROL_PLANE) == Some(OURS)
    }

    fn names(&self) -> BTreeSet<&str> {
        ["kube-system", &*self.own, &*self.service]
            .into_iter()
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// The expressions of the namespace selector.
    fn expressions(&self) -> Vec<Value> {
        vec![
            json!({ "key": CONTROL_PLANE, "operator": "NotIn", "values": [OURS] }),
            json!({ "key": keys::NAMESPACE_NAME, "operator": "NotIn", "values": self.names() }),
        ]
    }
}

/// The hook for pods; `None` if no set can match any. If not `narrow`, every pod that is not left out is asked about.
/// `announced` are sets that are about to be stored.
pub fn pod_hook(
    sets: &[Arc<SidecarSet>],
    announced: &[SidecarSetSpec],
    unasked: &Unasked,
    narrow: bool,
) -> Option<Hook> {
    let stored = sets.iter().filter_map(|set| set.content.as_ref().ok());
    let specs: Vec<&SidecarSetSpec> = stored
        .map(|content| &*content.spec)
        .chain(announced)
        .filter(|spec| !spec.injection_strategy.paused && spec.selector.is_some())
        .collect();
    if unasked.all || narrow && specs.is_empty() {
        return None;
    }
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
        conditions: Vec::new(),
        failure_policy: None,
        again: true,
        acts: false,
    };
    let mut namespaces = unasked.expressions();
    // Pods that are let pass by selectors that leave nothing to be said are asked about without a condition.
    let mut exact = false;
    let mut conditions = Vec::new();
    if unasked.opt_out {
        conditions.push((NO_OPT_OUT.to_owned(), no_opt_out()));
    }
    if narrow {
        let selected = Selected {
            namespaces: common(specs.iter().map(|spec| demands_of_namespaces(spec))),
            pods: common(specs.iter().map(|spec| spec.selector.as_ref().map(demands))),
        };
        let alternatives = merged(specs.iter().map(|spec| Alternative::of(spec)).collect());
        exact = selected.says(&alternatives);
        let text = if exact { None } else { condition(&alternatives) };
        conditions.extend(text.map(|text| (SOME_SET_MATCHES.to_owned(), text)));
        namespaces.extend(expressions(selected.namespaces));
        hook.object_selector = (!selected.pods.is_empty())
            .then(|| json!({ "matchExpressions": expressions(selected.pods) }));
    }
    // One condition costs as much as several; this one alone would cost more than it spares, for mirror pods with the labels
    // of a set are rare, and left alone by the answer (WHK-16).
    if !exact || !conditions.is_empty() {
        conditions.insert(0, (NO_MIRROR_POD.to_owned(), no_mirror_pod()));
    }
    hook.conditions = conditions;
    hook.namespace_selector = Some(json!({ "matchExpressions": namespaces }));
    Some(hook)
}

fn no_mirror_pod() -> String {
    let key = quoted(keys::MIRROR_POD);
    format!("!(has(object.metadata.annotations) && {key} in object.metadata.annotations)")
}

/// Of sets by name the answer knows; who does without all need not be asked about.
fn no_opt_out() -> String {
    let key = quoted(keys::SIDECARSET_SKIP);
    let there = format!("has(object.metadata.annotations) && {key} in object.metadata.annotations");
    format!("!({there} && object.metadata.annotations[{key}] == \"*\")")
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

/// What the selectors of the hook demand.
struct Selected {
    namespaces: Demands,
    pods: Demands,
}

impl Selected {
    /// Whether whatever they let pass has what is demanded.
    fn says(&self, alternatives: &BTreeSet<Alternative>) -> bool {
        let said = |(subject, values): (&Subject, &BTreeSet<String>)| {
            let demanded = match subject {
                Subject::Namespace => self.namespaces.get(keys::NAMESPACE_NAME),
                Subject::Label(key) => self.pods.get(key),
            };
            demanded.is_some_and(|demanded| demanded.as_ref() == Some(values))
        };
        let mut alternatives = alternatives.iter();
        // Of several a selector can only say what they have in common.
        let (one, more) = (alternatives.next(), alternatives.next());
        let one = one.filter(|one| more.is_none() && one.others.is_empty());
        one.is_some_and(|one| !one.among.is_empty() && one.among.iter().all(said))
    }
}

/// What all have in common: a label that everybody demands, with all values together.
fn common(all: impl Iterator<Item = Option<Demands>>) -> Demands {
    let merge = |a: Demands, b: Demands| {
        let mut both = Demands::new();
        for (key, values) in a {
            let Some(others) = b.get(&key) else { continue };
            let union = values.zip(others.as_ref()).map(|(values, others)| &values | others);
            both.insert(key, union);
        }
        both
    };
    all.map(Option::unwrap_or_default).reduce(merge).unwrap_or_default()
}

fn expressions(demands: Demands) -> Vec<Value> {
    let expression = |(key, values): (String, Option<BTreeSet<String>>)| match values {
        Some(values) => json!({ "key": key, "operator": "In", "values": values }),
        None => json!({ "key": key, "operator": "Exists" }),
    };
    demands.into_iter().map(expression).collect()
}

/// CEL: some set's selector matches the pod; `None` if that would be too long to say.
fn condition(alternatives: &BTreeSet<Alternative>) -> Option<String> {
    if alternatives.len() > MOST {
        return None;
    }
    let text = alternatives.iter().map(Alternative::text).collect::<Vec<_>>().join(" || ");
    (text.len() <= LONGEST).then_some(text)
}

/// What one set demands, in terms that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Alternative {
    /// What has one of some values.
    among: BTreeMap<Subject, BTreeSet<String>>,
    /// Everything else.
    others: BTreeSet<String>,
}

/// What can be compared with values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Namespace,
    Label(String),
}

/// Joins alternatives that differ in the values of one subject only: many sets alike are one alternative.
fn merged(mut alternatives: BTreeSet<Alternative>) -> BTreeSet<Alternative> {
    let mut counts: BTreeMap<Subject, usize> = BTreeMap::new();
    for subject in alternatives.iter().flat_map(|alternative| alternative.among.keys()) {
        *counts.entry(subject.clone()).or_default() += 1;
    }
    let mut subjects: Vec<(Subject, usize)> =
        counts.into_iter().filter(|(_, count)| *count > 1).collect();
    subjects.sort_by_key(|(_, count)| Reverse(*count));
    for (subject, _) in subjects.into_iter().take(MOST) {
        let mut groups: BTreeMap<Alternative, BTreeSet<String>> = BTreeMap::new();
        let mut after = BTreeSet::new();
        for mut alternative in alternatives {
            match alternative.among.remove(&subject) {
                Some(values) => groups.entry(alternative).or_default().extend(values),
                None => drop(after.insert(alternative)),
            }
        }
        after.extend(groups.into_iter().map(|(mut alternative, values)| {
            alternative.among.insert(subject.clone(), values);
            alternative
        }));
        alternatives = after;
    }
    alternatives
}

impl Alternative {
    fn of(spec: &SidecarSetSpec) -> Self {
        let mut all = Self::default();
        match spec.scope() {
            Scope::Namespace(name) => all.one_of(Subject::Namespace, [name]),
            Scope::Selected(LabelSelector { match_labels: Some(labels), .. }) => {
                if let Some(name) = labels.get(keys::NAMESPACE_NAME) {
                    all.one_of(Subject::Namespace, [name]);
                }
            }
            Scope::Selected(_) | Scope::All => {}
        }
        let Some(selector) = &spec.selector else { return all };
        for (key, value) in selector.match_labels.iter().flatten() {
            all.one_of(Subject::Label(key.clone()), [value]);
        }
        for expression in selector.match_expressions.iter().flatten() {
            let values = expression.values.iter().flatten();
            let (key, values) = (&expression.key, values.cloned().collect::<BTreeSet<_>>());
            let term = match expression.operator.as_str() {
                "In" => {
                    all.one_of(Subject::Label(key.clone()), &values);
                    continue;
                }
                "NotIn" => format!("!{}", label(key, Some(&values))),
                "Exists" => label(key, None),
                "DoesNotExist" => format!("!{}", label(key, None)),
                _ => continue,
            };
            all.others.insert(term);
        }
        all
    }

    /// Of two demands of one subject both hold.
    fn one_of(&mut self, subject: Subject, values: impl IntoIterator<Item = impl ToString>) {
        let values: BTreeSet<String> = values.into_iter().map(|value| value.to_string()).collect();
        match self.among.entry(subject) {
            Entry::Vacant(free) => drop(free.insert(values)),
            Entry::Occupied(mut known) => known.get_mut().retain(|value| values.contains(value)),
        }
    }

    fn text(&self) -> String {
        let among = self.among.iter().map(|(subject, values)| match subject {
            Subject::Namespace => format!("request.namespace in {}", list(values)),
            Subject::Label(key) => label(key, Some(values)),
        });
        let terms: Vec<String> = among.chain(self.others.iter().cloned()).collect();
        if terms.is_empty() { "true".to_owned() } else { format!("({})", terms.join(" && ")) }
    }
}

/// CEL: the pod has the label, with one of the values if some are given. Never an error: an error would be a refusal.
fn label(key: &str, values: Option<&BTreeSet<String>>) -> String {
    let key = quoted(key);
    let there = format!("has(object.metadata.labels) && {key} in object.metadata.labels");
    match values {
        None => format!("({there})"),
        Some(values) => format!("({there} && object.metadata.labels[{key}] in {})", list(values)),
    }
}

fn list(values: &BTreeSet<String>) -> String {
    let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    format!("[{}]", values.join(", "))
}

/// A CEL string; JSON's escapes are among CEL's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
