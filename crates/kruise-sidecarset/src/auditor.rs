//! Pods that should have a sidecar and have none (issue "points where users get hurt"): admitted while no webhook answered,
//! or before the registration followed a new set.
//!
//! Facts only; conditions, metrics and evictions are made of them by the roll-out.

use std::sync::Arc;

use kruise_common::key::ObjectKey;
use kruise_common::meta::Pairs;
use kruise_common::moment::Moment;

use crate::matching::{Reach, replaced};
use crate::object::SidecarSet;

/// A pod as far as the audit looks at it.
#[derive(Clone, Debug)]
pub struct Audited<'a> {
    /// Its name.
    pub key: &'a ObjectKey,
    /// Its labels.
    pub labels: &'a Pairs,
    /// Names of the sets that injected into it.
    pub injected: Vec<&'a str>,
    /// When it was created.
    pub created: Option<Moment>,
    /// Whether it runs or is about to: neither ended nor terminating.
    pub active: bool,
    /// Whether it is the API copy of a static pod, which no webhook can change.
    pub mirror: bool,
}

/// Why a pod has no sidecar of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is older than the set: nobody missed anything (LIF-1).
    Older,
    /// The set was there, so the webhook was not asked.
    Missed,
}

/// A pod that would get a sidecar if it were created now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The set.
    pub set: Arc<str>,
    /// The pod.
    pub pod: ObjectKey,
    /// Why it has none.
    pub why: Why,
}

/// All findings, by set and pod. A pod whose namespace is unknown is left for the next audit.
pub fn audit<'a>(
    sets: &[Arc<SidecarSet>],
    pods: impl IntoIterator<Item = Audited<'a>>,
    namespace_labels: impl Fn(&str) -> Option<Pairs>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pod in pods {
        if !pod.active || pod.mirror {
            continue;
        }
        let namespace = &*pod.key.namespace;
        let mut labels = None;
        let matched: Vec<&Arc<SidecarSet>> = sets
            .iter()
            .filter(|set| {
                let Ok(content) = &set.content else { return false };
                !content.spec.injection_strategy.paused
                    && content.matcher.selects(pod.labels)
                    && content.matcher.reach(
                        namespace,
                        labels.get_or_insert_with(|| namespace_labels(namespace)).as_ref(),
                    ) == Reach::Inside
            })
            .collect();
        let bases = replaced(matched.iter().map(|set| &***set));
        for set in &matched {
            let name = set.name();
            // A pod that got the base before the canary was there keeps it.
            let served = pod.injected.contains(&name)
                || set.replaces().is_some_and(|base| pod.injected.contains(&base));
            if served || bases.contains(name) {
                continue;
            }
            let before = pod.created < set.meta.created;
            let why = if before { Why::Older } else { Why::Missed };
            findings.push(Finding { set: set.meta.key.name.clone(), pod: pod.key.clone(), why });
        }
    }
    findings.sort();
    findings
}
