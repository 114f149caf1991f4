//! Which pods a set is about (sidecarset §11): namespace, labels, and which sets a canary replaces.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kruise_api::keys;
use kruise_api::shared::field::FieldError;
use kruise_api::shared::labels::{check_selector, value_problem};
use kruise_api::shared::selector::{InvalidSelector, Labels, Selector};
use kruise_api::sidecarset::v1beta1::{Scope, SidecarSetSpec};
use kruise_common::table::Demands;

use crate::object::SidecarSet;

/// The selectors of a set, built once.
#[derive(Clone, Debug, PartialEq)]
pub struct Matcher {
    namespaces: Namespaces,
    /// `None` matches nothing (SEL-3).
    pods: Option<Selector>,
    /// What pods must bear; `None` if nothing matches.
    demands: Option<Demands>,
}

#[derive(Clone, Debug, PartialEq)]
enum Namespaces {
    All,
    Named(Box<str>),
    Selected(Selector),
}

/// Whether a namespace belongs to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It does.
    Inside,
    /// It does not.
    Outside,
    /// That depends on labels that are not known.
    Unknown,
}

/// Why nobody can say which pods a set is about.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unmatchable {
    /// An expression is malformed.
    #[error("{field}.{problem}")]
    Selector {
        /// The selector.
        field: &'static str,
        /// What is wrong with it.
        problem: InvalidSelector,
    },
    /// A key or a value can be none of a label. The API server refuses whole webhook configurations that name it, and
    /// with them all other sets (platform P1).
    #[error("{0}")]
    Label(FieldError),
}

impl Matcher {
    /// The matcher of a spec. An empty selector of pods matches nothing, one of namespaces everything.
    pub fn new(spec: &SidecarSetSpec) -> Result<Self, Unmatchable> {
        let namespaces = match spec.scope() {
            Scope::All => Namespaces::All,
            Scope::Namespace(name) => Namespaces::Named(label_value("namespace", name)?.into()),
            Scope::Selected(selector) => {
                built("namespaceSelector", selector)?.map_or(Namespaces::All, Namespaces::Selected)
            }
        };
        let pods = spec.selector.as_ref().map(|selector| built("selector", selector));
        let pods = pods.transpose()?.flatten();
        let demands = pods.as_ref().map(Demands::of);
        Ok(Self { namespaces, pods, demands })
    }

    /// By which labels pods are found, or the set is found for a pod.
    pub fn demands(&self) -> Option<&Demands> {
        self.demands.as_ref()
    }

    /// Whether the namespace `name` belongs to the set; its labels are `None` if they are not known.
    pub fn reach<L: Labels>(&self, name: &str, labels: Option<&L>) -> Reach {
        let inside = match (&self.namespaces, labels) {
            (Namespaces::All, _) => true,
            (Namespaces::Named(wanted), _) => **wanted == *name,
            (Namespaces::Selected(selector), Some(labels)) => selector.matches(labels),
            // Its name every namespace carries as a label; that much is known.
            (Namespaces::Selected(selector), None)
                if selector.keys().all(|key| key == keys::NAMESPACE_NAME) =>
            {
                let named = (keys::NAMESPACE_NAME.to_owned(), name.to_owned());
                selector.matches(&BTreeMap::from([named]))
            }
            (Namespaces::Selected(_), None) => return Reach::Unknown,
        };
        if inside { Reach::Inside } else { Reach::Outside }
    }

    /// Whether the labels of a pod match.
    pub fn selects(&self, labels: &impl Labels) -> bool {
        self.pods.as_ref().is_some_and(|selector| selector.matches(labels))
    }

    /// Whether a pod matches by labels and namespace; of an unknown namespace it does not.
    pub fn matches<L: Labels>(
        &self,
        pod: &impl Labels,
        namespace: &str,
        namespace_labels: Option<&L>,
    ) -> bool {
        self.selects(pod) && self.reach(namespace, namespace_labels) == Reach::Inside
    }
}

/// A selector that the API server takes too; `None` if it is empty.
fn built(field: &'static str, selector: &LabelSelector) -> Result<Option<Selector>, Unmatchable> {
    let built = match Selector::new(selector) {
        Ok(selector) => Some(selector),
        Err(InvalidSelector::Empty) => None,
        Err(problem) => return Err(Unmatchable::Selector { field, problem }),
    };
    match check_selector(field, selector).into_iter().next() {
        Some(error) => Err(Unmatchable::Label(error)),
        None => Ok(built),
    }
}

/// A name that can be the value of a label, as that of every namespace can.
fn label_value<'a>(field: &'static str, text: &'a str) -> Result<&'a str, Unmatchable> {
    match value_problem(text) {
        Some(rule) => Err(Unmatchable::Label(FieldError::invalid(field, text, rule))),
        None => Ok(text),
    }
}

/// Names of the sets that canaries among `matched` replace (SEL-4). A canary must match by itself to do so.
pub fn replaced<'a>(matched: impl IntoIterator<Item = &'a SidecarSet>) -> BTreeSet<&'a str> {
    matched.into_iter().filter_map(SidecarSet::replaces).collect()
}
