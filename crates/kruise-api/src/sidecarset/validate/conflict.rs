//! Conflicts between sets that can match the same pod (sidecarset §9.7).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use super::Candidate;
use crate::keys;
use crate::shared::field::FieldError;
use crate::sidecarset::v1beta1::{OVERWRITE, PatchPodMetadata, RETAIN, Scope, SidecarSetSpec};

/// VAL-70…VAL-75. A canary and its base replace each other and cannot meet, whichever of them is written (W-35).
pub(super) fn conflicts(set: &Candidate<'_>, others: &[Candidate<'_>]) -> Vec<FieldError> {
    let meets = |other: &&Candidate<'_>| {
        other.name != set.name
            && set.base() != Some(other.name)
            && other.base() != Some(set.name)
            && overlap(set.spec, other.spec)
    };
    others.iter().filter(meets).flat_map(|other| with(set, other)).collect()
}

fn with(set: &Candidate<'_>, other: &Candidate<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let theirs = pod_names(other.spec);
    for (name, sidecar) in pod_names(set.spec) {
        if theirs.contains_key(&name) {
            let rule = format!("container {name} already exist in {}", other.name);
            errors.push(FieldError::invalid("spec.containers", sidecar, rule));
        }
    }
    let theirs = volumes(other.spec);
    for (name, volume) in volumes(set.spec) {
        if theirs.get(&name).is_some_and(|other| *other != volume) {
            let rule = format!("volume {name} is in conflict with sidecarset {}", other.name);
            errors.push(FieldError::invalid("spec.volumes", name, rule));
        }
    }
    let theirs = patches(other.spec);
    for (key, policy) in patches(set.spec) {
        let Some(other_policy) = theirs.get(key) else { continue };
        let both = [policy, *other_policy];
        if !both.contains(&RETAIN) && both.contains(&OVERWRITE) {
            let rule = format!("annotation {key} is in conflict with sidecarset {}", other.name);
            errors.push(FieldError::invalid("spec.patchPodMetadata", key, rule));
        }
    }
    errors
}

/// Names that a set's containers have in a pod, with their names in the set. Init containers and containers share one
/// space of names, and twins have names of their own (W-35).
fn pod_names(spec: &SidecarSetSpec) -> BTreeMap<String, &str> {
    let mut names = BTreeMap::new();
    for container in spec.init_containers.iter().chain(&spec.containers) {
        let name = container.name.as_str();
        // The name in the set is taken too: two sets with one hot sidecar would share one working map (HOT-4).
        names.insert(name.to_owned(), name);
        if container.is_hot() {
            names.extend(["1", "2"].map(|suffix| (format!("{name}-{suffix}"), name)));
        }
    }
    names
}

fn volumes(spec: &SidecarSetSpec) -> BTreeMap<String, Value> {
    let named = |volume: Value| Some((volume.get("name")?.as_str()?.to_owned(), volume));
    spec.volumes.iter().filter_map(|raw| named(raw.parse().ok()?)).collect()
}

fn patches(spec: &SidecarSetSpec) -> BTreeMap<&str, &str> {
    let mut found = BTreeMap::new();
    for PatchPodMetadata { annotations, patch_policy } in &spec.patch_pod_metadata {
        let policy = patch_policy.as_deref().filter(|policy| !policy.is_empty()).unwrap_or(RETAIN);
        found.extend(annotations.keys().map(|key| (key.as_str(), policy)));
    }
    found
}

/// Whether some pod could match both (VAL-70).
fn overlap(a: &SidecarSetSpec, b: &SidecarSetSpec) -> bool {
    let (Some(pods_a), Some(pods_b)) = (&a.selector, &b.selector) else { return false };
    satisfiable(&[pods_a, pods_b]) && {
        let named = [a, b].map(namespaces);
        satisfiable(&named.iter().flatten().collect::<Vec<_>>())
    }
}

/// The namespaces of a set as a selector; `None` for all.
fn namespaces(spec: &SidecarSetSpec) -> Option<LabelSelector> {
    match spec.scope() {
        Scope::All => None,
        Scope::Selected(selector) => Some(selector.clone()),
        Scope::Namespace(name) => {
            let labels = BTreeMap::from([(keys::NAMESPACE_NAME.to_owned(), name.to_owned())]);
            Some(LabelSelector { match_labels: Some(labels), match_expressions: None })
        }
    }
}

/// What selectors together demand of one label.
#[derive(Default)]
struct Demand<'a> {
    allowed: Option<BTreeSet<&'a str>>,
    refused: BTreeSet<&'a str>,
    present: bool,
    absent: bool,
}

impl<'a> Demand<'a> {
    fn allow(&mut self, values: impl IntoIterator<Item = &'a str>) {
        let values: BTreeSet<&str> = values.into_iter().collect();
        self.present = true;
        self.allowed = Some(match self.allowed.take() {
            Some(before) => &before & &values,
            None => values,
        });
    }

    fn possible(&self) -> bool {
        let values = |allowed: &BTreeSet<&str>| allowed.difference(&self.refused).next().is_some();
        !(self.absent && self.present) && self.allowed.as_ref().is_none_or(values)
    }
}

/// Whether labels exist that match all selectors. OpenKruise's own test misses real overlaps (W-36); an operator that
/// nobody knows is no demand, so what is unsure counts as overlap.
pub(super) fn satisfiable(selectors: &[&LabelSelector]) -> bool {
    let mut demands: BTreeMap<&str, Demand<'_>> = BTreeMap::new();
    for selector in selectors {
        for (key, value) in selector.match_labels.iter().flatten() {
            demands.entry(key).or_default().allow([value.as_str()]);
        }
        for expression in selector.match_expressions.iter().flatten() {
            let values = expression.values.iter().flatten().map(String::as_str);
            let demand = demands.entry(&expression.key).or_default();
            match expression.operator.as_str() {
                "In" => demand.allow(values),
                "NotIn" => demand.refused.extend(values),
                "Exists" => demand.present = true,
                "DoesNotExist" => demand.absent = true,
                _ => {}
            }
        }
    }
    demands.values().all(Demand::possible)
}
