//! Rules of a SidecarSet (sidecarset §9), as OpenKruise's webhook has them, with its words.
//!
//! Rules that OpenKruise does not have are strict: they are asked of what is new or changed, never of what an update leaves
//! as it was, so that no stored set becomes unchangeable (W-33). Labels and annotations of the object itself are checked by
//! the API server.

mod conflict;
mod containers;
mod metadata;
mod pod;
mod strategy;
mod whitelist;

use std::collections::BTreeMap;

pub use containers::bounded_regex;
pub use metadata::unmergeable;
pub use whitelist::Whitelist;

use super::container::SidecarContainer;
use super::v1beta1::{ROLLING_UPDATE, SidecarSetSpec};
use crate::keys;
use crate::shared::field::FieldError;
use crate::shared::labels::{check_selector, selects_all};

/// A set as far as rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Name.
    pub name: &'a str,
    /// Labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Annotations.
    pub annotations: &'a BTreeMap<String, String>,
    /// Spec.
    pub spec: &'a SidecarSetSpec,
}

/// What the cluster says, as far as rules ask for it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings<'a> {
    /// All other sets.
    pub others: Vec<Candidate<'a>>,
    /// Why the revision that the set names for injection cannot be used; `None` if it can, or if it names none (VAL-24).
    pub unusable_revision: Option<String>,
    /// Which annotations may be patched.
    pub whitelist: Whitelist<'a>,
    /// Images of native sidecars are changed in running pods (30.9.4).
    pub native_updates: bool,
}

impl<'a> Candidate<'a> {
    /// The set that this one replaces, if it is a canary.
    fn base(&self) -> Option<&'a str> {
        let canary = self.annotations.get(keys::SIDECARSET_CANARY).map(String::as_str);
        let base = self.annotations.get(keys::SIDECARSET_BASE).map(String::as_str);
        base.filter(|base| canary == Some("true") && !base.is_empty())
    }
}

/// All containers with the path of each.
fn containers(spec: &SidecarSetSpec) -> impl Iterator<Item = (String, &SidecarContainer)> {
    let of = |list: &'static str, containers| {
        let containers: &[SidecarContainer] = containers;
        containers
            .iter()
            .enumerate()
            .map(move |(index, container)| (format!("spec.{list}[{index}]"), container))
    };
    of("initContainers", &spec.init_containers).chain(of("containers", &spec.containers))
}

/// Problems of a set; `old` is the stored one on an update. Conflicts with other sets are only looked for if there is
/// nothing else (VAL-1).
pub fn validate(
    new: &Candidate<'_>,
    old: Option<&Candidate<'_>>,
    around: &Surroundings<'_>,
) -> Vec<FieldError> {
    let mut errors = metadata::canary(new, old, &around.others);
    errors.extend(metadata::name(new.name));
    errors.extend(spec(new, around));
    errors.extend(unless_old(new, old, |set| strict(set.spec)));
    if let Some(old) = old {
        errors.extend(containers::changes(old.spec, new.spec));
    }
    if errors.is_empty() {
        errors = unless_old(new, old, |set| conflict::conflicts(set, &around.others));
    }
    errors
}

/// What `rules` say about the new set and did not say about the old one.
fn unless_old(
    new: &Candidate<'_>,
    old: Option<&Candidate<'_>>,
    rules: impl Fn(&Candidate<'_>) -> Vec<FieldError>,
) -> Vec<FieldError> {
    let mut errors = rules(new);
    if !errors.is_empty()
        && let Some(old) = old
    {
        let before = rules(old);
        errors.retain(|error| !before.contains(error));
    }
    errors
}

/// OpenKruise's own rules of a spec.
fn spec(set: &Candidate<'_>, around: &Surroundings<'_>) -> Vec<FieldError> {
    let spec = set.spec;
    let mut errors = Vec::new();
    let native = spec.init_containers.iter().any(SidecarContainer::is_native);
    let rolling = spec.update_strategy.type_.as_deref() == Some(ROLLING_UPDATE);
    if native && rolling && !around.native_updates {
        let rule = "The initContainer in-place upgrade is not currently supported.";
        errors.push(FieldError::invalid("spec.updateStrategy", ROLLING_UPDATE, rule));
    }
    match &spec.selector {
        None => {
            let rule = "no selector defined for SidecarSet";
            errors.push(FieldError::required("spec.selector", rule));
        }
        Some(selector) => errors.extend(label_selector("spec.selector", selector)),
    }
    if let Some(selector) = &spec.namespace_selector {
        errors.extend(label_selector("spec.namespaceSelector", selector));
    }
    errors.extend(strategy::injection(spec, around.unusable_revision.as_deref()));
    if rolling {
        errors.extend(strategy::update(&spec.update_strategy));
    }
    if spec.containers.is_empty() && spec.init_containers.is_empty() {
        let rule = "no initContainer or container defined for SidecarSet";
        errors.push(FieldError::required("spec", rule));
    }
    errors.extend(containers::rules(spec));
    let asked = set.annotations.get(keys::SIDECARSET_POD_VOLUMES);
    errors.extend(pod::rules(spec, asked.is_some_and(|value| value == "true")));
    errors.extend(metadata::patches(set, &around.whitelist));
    errors
}

/// VAL-22.
fn label_selector(
    path: &str,
    selector: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector,
) -> Vec<FieldError> {
    if selects_all(selector) {
        let rule = "empty selector is not valid for sidecarset.";
        return vec![FieldError::invalid(path, serde_json::json!({}), rule)];
    }
    check_selector(path, selector)
}

/// Rules that OpenKruise lacks (W-33, W-35, W-41).
fn strict(spec: &SidecarSetSpec) -> Vec<FieldError> {
    let mut errors = strategy::strict(spec);
    errors.extend(containers::strict(spec));
    errors.extend(metadata::strict(spec));
    errors
}
