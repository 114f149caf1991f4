//! Generated stories: a set, then its spec again and again, while somebody deletes, evicts, labels and disowns its pods,
//! enlarges its claims, or refuses what it writes.

use std::collections::BTreeSet;

use kruise_common::testing::world::Growth;
use proptest::prelude::*;
use serde_json::{Value, json};

/// One story.
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
#[derive(Clone, Debug)]
pub struct Story {
    pub ordered: bool,
    /// Updates go by priority instead of ordinals; only without order.
    pub unordered: bool,
    /// Pods that somebody has labelled go first; only with [`Story::unordered`].
    pub priorities: bool,
    /// Pods have a second container, which starts after the first one (launch priorities).
    pub batched: bool,
    pub claims: bool,
    /// Claims follow their templates, and volumes grow so.
    pub grows: Option<Growth>,
    /// Hooks hold pods before they are updated or deleted; their owner lets go a while later.
    pub hooks: bool,
    /// They take pods out of traffic as well.
    pub marks: bool,
    /// How long the owner of the hooks takes, one time after the other.
    pub releases: Vec<u8>,
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

/// How pods move to a new template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Updates {
    #[default]
    Rolling,
    Paused,
    OnDelete,
}

/// What somebody refuses for a while: an image policy, a quota on CPU, a quota on pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Image(u8),
    Cpu(u8),
    Pods,
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
    pub updates: Updates,
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
    /// Storage of the claim template, in Gi.
    pub size: u8,
    /// A claim that somebody enlarges.
    pub enlarge: Option<u8>,
    /// Whether claims go with their set, and with their pod when it is scaled away.
    pub retention: (bool, bool),
    /// A pod whose container dies.
    pub crash: Option<u8>,
    /// A pod that somebody labels to be updated first.
    pub prefer: Option<u8>,
    pub refused: Option<Refusal>,
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
    let updates = prop_oneof![
        6 => Just(Updates::Rolling), 1 => Just(Updates::Paused), 1 => Just(Updates::OnDelete)
    ];
    let claims = (1..4_u8, rare(), any::<(bool, bool)>());
    let refused = prop::option::weighted(0.2, 0..3_u8);
    let more = (updates, claims, rare(), prop::option::of(0..5_u8), refused);
    let all = (0..6, template, policy, 0..4, 1..4, reserved, user, (numbers, more));
    all.prop_map(
        |(replicas, (image, cpu), policy, partition, max_unavailable, reserved, user, more)| {
            let (delete, replace, evict, disown) = user;
            let ((start, scale_budget, min_ready, grace), more) = more;
            let (updates, (size, enlarge, retention), crash, prefer, refused) = more;
            let refused = refused.map(|kind| match kind {
                0 => Refusal::Image(image),
                1 => Refusal::Cpu(cpu),
                _ => Refusal::Pods,
            });
            Step {
                replicas,
                image,
                cpu,
                policy,
                updates,
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
                size,
                enlarge,
                retention,
                crash,
                prefer,
                refused,
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
    let grows = prop::option::weighted(
        0.5,
        prop_oneof![2 => Just(Growth::Online), 1 => Just(Growth::Offline)],
    );
    let sets = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), grows);
    let releases = prop::collection::vec(any::<u8>(), 1..8);
    let hooks = (often(), any::<bool>(), releases);
    let end = prop_oneof![
        2 => Just(End::Stays),
        1 => (0..15_usize).prop_map(|turns| End::Deleted { turns }),
        1 => (0..15_usize).prop_map(|turns| End::Orphaned { turns }),
    ];
    (sets, hooks, (often(), often(), at_once), steps, fates, lags, end).prop_map(
        |(sets, hooks, (foreign, batched, at_once), steps, fates, lags, end)| {
            let (ordered, unordered, priorities, claims, grows) = sets;
            let (hooks, marks, releases) = hooks;
            let unordered = unordered && !ordered;
            let priorities = priorities && unordered;
            let grows = grows.filter(|_| claims);
            let mut story = Story {
                ordered,
                unordered,
                priorities,
                batched,
                claims,
                grows,
                hooks,
                marks,
                releases,
                foreign,
                steps,
                fates,
                at_once,
                lags,
                end,
            };
            story.make_possible();
            story
        },
    )
}

impl Story {
    /// The plainest story of these steps.
    pub fn plain(ordered: bool, steps: Vec<Step>) -> Self {
        Self {
            ordered,
            unordered: false,
            priorities: false,
            batched: false,
            claims: true,
            grows: None,
            hooks: false,
            marks: false,
            releases: vec![3],
            foreign: false,
            steps,
            fates: Vec::new(),
            at_once: 1,
            lags: Vec::new(),
            end: End::Stays,
        }
    }

    /// Takes away what rightly never ends: a pod that is announced and then kept by a pause where no order makes others wait
    /// for it, a file system that needs another pod where only updates in place are allowed, or below a partition.
    fn make_possible(&mut self) {
        for step in &mut self.steps {
            if self.hooks && !self.ordered && step.updates == Updates::Paused {
                step.updates = Updates::Rolling;
            }
            if self.grows.is_none() {
                (step.size, step.enlarge) = (1, None);
            }
            if self.grows == Some(Growth::Offline) {
                if step.policy == "InPlaceOnly" {
                    step.policy = "InPlaceIfPossible";
                }
                if step.partition > 0 || step.updates != Updates::Rolling {
                    step.enlarge = None;
                }
            }
        }
    }

    /// The label by which a pod is held before its update; that before its deletion is `block`, often the same.
    pub fn drain(&self) -> &'static str {
        if self.releases.len().is_multiple_of(3) { "drain" } else { "block" }
    }

    /// What a step makes of the set.
    pub fn spec(&self, step: &Step) -> Value {
        let annotations =
            json!({ "apps.kruise.io/ordered-max-unavailable": self.at_once.to_string() });
        let hook = |label: &str| json!({ "labelsHandler": { label: "yes" }, "markPodNotReady": self.marks });
        let hooks = self
            .hooks
            .then(|| json!({ "inPlaceUpdate": hook(self.drain()), "preDelete": hook("block") }));
        let mut labels = json!({ "block": self.hooks.then_some("yes") });
        labels[self.drain()] = labels["block"].clone();
        let template = json!([{ "metadata": { "name": "data" }, "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": format!("{}Gi", step.size.max(1)) } },
        } }]);
        let delete = |delete: bool| if delete { "Delete" } else { "Retain" };
        let preferred = json!({ "matchLabels": { "prefer": "yes" } });
        let weights = json!([{ "weight": 10, "matchSelector": preferred }]);
        let by_weight = self.priorities.then(|| json!({ "weightPriority": weights }));
        let on_delete = step.updates == Updates::OnDelete;
        json!({ "metadata": { "annotations": annotations }, "spec": {
            "ordinals": { "start": step.start },
            "scaleStrategy": step.scale_budget.map(|most| json!({ "maxUnavailable": most })),
            "replicas": step.replicas,
            "podManagementPolicy": if self.ordered { "OrderedReady" } else { "Parallel" },
            "reserveOrdinals": step.reserved,
            "lifecycle": hooks,
            "volumeClaimTemplates": self.claims.then_some(template),
            "volumeClaimUpdateStrategy": {
                "type": if self.grows.is_some() { "OnPodRollingUpdate" } else { "OnDelete" },
            },
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": delete(step.retention.0), "whenScaled": delete(step.retention.1),
            },
            "updateStrategy": { "type": if on_delete { "OnDelete" } else { "RollingUpdate" }, "rollingUpdate": {
                "paused": step.updates == Updates::Paused,
                "podUpdatePolicy": step.policy,
                "partition": step.partition,
                "maxUnavailable": if self.ordered { 1 } else { step.max_unavailable },
                "minReadySeconds": step.min_ready,
                "inPlaceUpdateStrategy": { "gracePeriodSeconds": step.grace },
                "unorderedUpdate": self.unordered.then(|| json!({ "priorityStrategy": by_weight })),
            }},
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }],
                    "containers": self.containers(step),
                },
            },
        }})
    }

    fn containers(&self, step: &Step) -> Value {
        let container = |name: &str| {
            json!({
                "name": name, "image": format!("example.com/{name}:{}", step.image),
                "resources": { "requests": { "cpu": step.cpu.to_string() } },
            })
        };
        if !self.batched {
            return json!([container("app")]);
        }
        // As the admission of OpenKruise writes launch priorities down.
        let barrier = |mut container: Value, priority: i32| {
            container["env"] = json!([{ "name": "KRUISE_CONTAINER_BARRIER", "valueFrom": {
                "configMapKeyRef": { "name": "barrier", "key": format!("p_{priority}") },
            } }]);
            container
        };
        json!([barrier(container("app"), 1), barrier(container("late"), 0)])
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
        let kept = if self.updates == Updates::Rolling { self.partition } else { self.replicas };
        usize::try_from(kept.min(self.replicas)).unwrap()
    }

    /// Ranks below this one are made at the current revision.
    pub fn made_old(&self) -> usize {
        let on_delete = self.updates == Updates::OnDelete;
        usize::try_from(if on_delete { 0 } else { self.partition }).unwrap()
    }

    /// How long a pod has to be ready; what stands in `rollingUpdate` counts for nothing with `OnDelete`.
    pub fn min_ready(&self) -> i64 {
        if self.updates == Updates::OnDelete { 0 } else { self.min_ready.into() }
    }

    /// The same with other pods, labels and claims left alone: for what comes after the story.
    pub fn quiet(&self) -> Self {
        Self { updates: Updates::Rolling, refused: None, enlarge: None, ..self.clone() }
    }
}
