//! Generated stories: a set, then its spec again and again, while somebody deletes, evicts, labels and disowns its pods.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

/// One story.
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
#[derive(Clone, Debug)]
pub struct Story {
    pub ordered: bool,
    /// Updates go by priority instead of ordinals; only without order.
    pub unordered: bool,
    pub claims: bool,
    /// Hooks hold pods before they are updated or deleted; their owner lets go a while later.
    pub hooks: bool,
    /// Pods of others, and one to adopt.
    pub foreign: bool,
    pub steps: Vec<Step>,
    pub fates: Vec<u8>,
    /// Pods that an ordered update may take down (K-1).
    pub at_once: usize,
    /// Which kinds' caches stay behind, turn by turn.
    pub lags: Vec<u8>,
    pub end: End,
}

/// How a story ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The set stays.
    Stays,
    /// It is deleted, so many turns after another change of its spec.
    Deleted { turns: usize },
    /// The same, and its pods are left behind.
    Orphaned { turns: usize },
}

/// What the owner of the set asks for, and what somebody does to its pods meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub replicas: i32,
    pub image: u8,
    /// CPU that containers ask for; nothing restarts for it.
    pub cpu: u8,
    pub policy: &'static str,
    pub partition: i32,
    pub max_unavailable: i32,
    pub reserved: Vec<i32>,
    pub delete: Option<u8>,
    /// A pod that a user labels for deletion.
    pub replace: Option<u8>,
    /// A pod that its node evicts.
    pub evict: Option<u8>,
    /// A pod whose owner reference somebody takes away.
    pub disown: Option<u8>,
    /// First ordinal.
    pub start: i32,
    pub scale_budget: Option<i32>,
    pub min_ready: i32,
    pub grace: i32,
}

fn step() -> impl Strategy<Value = Step> {
    let policy = prop_oneof![Just("ReCreate"), Just("InPlaceIfPossible"), Just("InPlaceOnly")];
    let reserved = prop::collection::vec(0..5, 0..2);
    let rare = || prop::option::weighted(0.2, 0..5_u8);
    let user = (prop::option::of(0..5_u8), rare(), rare(), rare());
    let seconds = || prop_oneof![3 => Just(0), 1 => 1..4];
    let start = prop_oneof![4 => Just(0), 1 => 0..4];
    let numbers = (start, prop::option::weighted(0.2, 1..3), seconds(), seconds());
    let template = (1..4_u8, prop_oneof![2 => Just(1_u8), 1 => 2..4_u8]);
    let all = (0..6, template, policy, 0..4, 1..4, reserved, user, numbers);
    all.prop_map(
        |(replicas, (image, cpu), policy, partition, max_unavailable, reserved, user, numbers)| {
            let (delete, replace, evict, disown) = user;
            let (start, scale_budget, min_ready, grace) = numbers;
            Step {
                replicas,
                image,
                cpu,
                policy,
                partition,
                max_unavailable,
                reserved,
                delete,
                replace,
                evict,
                disown,
                start,
                scale_budget,
                min_ready,
                grace,
            }
        },
    )
}

/// Any story.
pub fn story() -> impl Strategy<Value = Story> {
    let steps = prop::collection::vec(step(), 1..4);
    let fates = prop::collection::vec(0..20_u8, 40);
    let lags = prop::collection::vec(any::<u8>(), 60);
    let at_once = prop_oneof![3 => Just(1), 1 => 2..4_usize];
    let often = || prop::bool::weighted(0.3);
    let kind = (any::<bool>(), any::<bool>(), any::<bool>(), often(), often(), at_once);
    let end = prop_oneof![
        2 => Just(End::Stays),
        1 => (0..15_usize).prop_map(|turns| End::Deleted { turns }),
        1 => (0..15_usize).prop_map(|turns| End::Orphaned { turns }),
    ];
    (kind, steps, fates, lags, end).prop_map(
        |((ordered, unordered, claims, hooks, foreign, at_once), steps, fates, lags, end)| Story {
            ordered,
            unordered: unordered && !ordered,
            claims,
            hooks,
            foreign,
            steps,
            fates,
            at_once,
            lags,
            end,
        },
    )
}

impl Story {
    /// The plainest story of these steps.
    pub fn plain(ordered: bool, steps: Vec<Step>) -> Self {
        Self {
            ordered,
            unordered: false,
            claims: true,
            hooks: false,
            foreign: false,
            steps,
            fates: Vec::new(),
            at_once: 1,
            lags: Vec::new(),
            end: End::Stays,
        }
    }

    /// What a step makes of the set.
    pub fn spec(&self, step: &Step) -> Value {
        let annotations =
            json!({ "apps.kruise.io/ordered-max-unavailable": self.at_once.to_string() });
        let hook = json!({ "labelsHandler": { "block": "yes" } });
        let hooks = self.hooks.then(|| json!({ "inPlaceUpdate": hook, "preDelete": hook }));
        let block = self.hooks.then_some("yes");
        json!({ "metadata": { "annotations": annotations }, "spec": {
            "ordinals": { "start": step.start },
            "scaleStrategy": step.scale_budget.map(|most| json!({ "maxUnavailable": most })),
            "replicas": step.replicas,
            "podManagementPolicy": if self.ordered { "OrderedReady" } else { "Parallel" },
            "reserveOrdinals": step.reserved,
            "lifecycle": hooks,
            "updateStrategy": { "rollingUpdate": {
                "podUpdatePolicy": step.policy,
                "partition": step.partition,
                "maxUnavailable": if self.ordered { 1 } else { step.max_unavailable },
                "minReadySeconds": step.min_ready,
                "inPlaceUpdateStrategy": { "gracePeriodSeconds": step.grace },
                "unorderedUpdate": self.unordered.then(|| json!({})),
            }},
            "template": {
                "metadata": { "labels": { "block": block } },
                "spec": {
                    "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }],
                    "containers": [{
                        "name": "app", "image": format!("example.com/app:{}", step.image),
                        "resources": { "requests": { "cpu": step.cpu.to_string() } },
                    }],
                },
            },
        }})
    }
}

impl Step {
    /// Names of the pods that are wanted, by rank.
    pub fn ranks(&self) -> Vec<String> {
        let ordinals = (self.start..).filter(|ordinal| !self.reserved.contains(ordinal));
        let many = usize::try_from(self.replicas).unwrap();
        ordinals.take(many).map(|at| format!("web-{at}")).collect()
    }

    /// The same without their order.
    pub fn wanted(&self) -> BTreeSet<String> {
        self.ranks().into_iter().collect()
    }

    /// Pods that may stay old.
    pub fn kept(&self) -> usize {
        usize::try_from(self.partition.min(self.replicas)).unwrap()
    }
}
