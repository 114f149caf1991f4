//! Which pods a set is about (sidecarset §11): namespace, labels, and which sets a canary replaces.

use std::collections::{BTreeMap, BTreeSet};

use kruise_api::keys;
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

impl Matcher {
    /// The matcher of a spec. An empty selector of pods matches nothing, one of namespaces everything.
    pub fn new(spec: &SidecarSetSpec) -> Result<Self, InvalidSelector> {
        let build = |selector| match Selector::new(selector) {
            Ok(selector) => Ok(Some(selector)),
            Err(InvalidSelector::Empty) => Ok(None),
            Err(error) => Err(error),
        };
        let namespaces = match spec.scope() {
            Scope::All => Namespaces::All,
            Scope::Namespace(name) => Namespaces::Named(name.into()),
            Scope::Selected(selector) => {
                build(selector)?.map_or(Namespaces::All, Namespaces::Selected)
            }
        };
        let pods = spec.selector.as_ref().map(build).transpose()?.flatten();
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

/// Names of the sets that canaries among `matched` replace (SEL-4). A canary must match by itself to do so.
pub fn replaced<'a>(matched: impl IntoIterator<Item = &'a SidecarSet>) -> BTreeSet<&'a str> {
    matched.into_iter().filter_map(SidecarSet::replaces).collect()
}
