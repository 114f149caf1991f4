//! Who is where: every node with the pod of the job that belongs to it and how far it is, and the pods without a node.
//!
//! Only facts; what follows from them is under `plan/`, and how they are reported in `status.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kruise_api::broadcastjob::v1beta1::{ExitCodes, FailureRule};
use kruise_common::node::Node;
use kruise_common::pod::Phase;

use crate::failures;
use crate::job_pod::JobPod;
use crate::mark::{self, Mark, Marks};
use crate::nodes::Unfit;
use crate::pod;
use crate::snapshot::{Settings, Snapshot};

/// What a pod is to its job (§12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It ended well.
    Succeeded,
    /// It failed.
    Failed(Blame),
    /// Somebody else ended it: it is run again (W9).
    Disrupted,
    /// It restarts more often than is tolerated: it counts as failed, and is ended (W1).
    OverLimit,
    /// It is at work, or waits to be.
    Active,
    /// It is being removed and has no result.
    Ending,
}

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The attempt.
    Attempt,
    /// The node: no retry.
    Node,
    /// The job, whatever its policy.
    Job,
}

/// How it stands with a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It is not for this job.
    Ineligible(Unfit),
    /// It is to get its pod.
    Waiting,
    /// It failed, and gets another pod at this time; `None` as long as the failure is not recorded.
    Retrying(Option<Timestamp>),
    /// Its pod was ended by somebody else, and is run again.
    Disrupted,
    /// Its pod is at work.
    Active,
    /// Its pod is being removed.
    Ending,
    /// It is done.
    Succeeded,
    /// It is done, and failed.
    Failed,
}

/// A node and the pod of the job that belongs to it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The node.
    pub node: Arc<Node>,
    /// Its mark in this job.
    pub mark: Mark,
    /// Its pod.
    pub pod: Option<Arc<JobPod>>,
    /// How it stands.
    pub standing: Standing,
    /// Why its pod, which has no result yet, may not stay.
    pub unfit: Option<Unfit>,
}

/// A pod that belongs to no node that is there.
#[derive(Clone, Debug)]
pub struct Stray {
    /// The pod.
    pub pod: Arc<JobPod>,
    /// Its mark, if its result counts.
    pub mark: Option<Mark>,
    /// What it is to the job.
    pub class: Class,
    /// Whether another pod of the job is on its node.
    pub duplicate: bool,
    /// Whether a node of its name is there: an earlier one had the pod.
    pub outlived: bool,
}

/// Who is where.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Every node, by name.
    pub places: Vec<Place>,
    /// Pods without a node.
    pub strays: Vec<Stray>,
    /// Nodes that succeeded, whether or not they or their pods are still there.
    pub succeeded: Marks,
    /// Nodes that failed, likewise.
    pub failed: Marks,
    /// Whether a failure that matches a rule fails the job.
    pub fatal: bool,
    /// When a node was last done.
    pub last_finish: Option<Timestamp>,
    /// Nodes that succeeded and that failed, gone so long that they are only counted.
    pub past: (usize, usize),
}

impl Census {
    /// Looks at everything once.
    pub fn take(snapshot: &Snapshot, settings: &Settings) -> Self {
        let results = snapshot.job.status.results.clone().unwrap_or_default();
        let count = |count: i64| usize::try_from(count).unwrap_or_default();
        let past = (count(results.past_succeeded), count(results.past_failed));
        let mut census =
            Self { succeeded: mark::read(&results.succeeded), past, ..Self::default() };
        for pod in &snapshot.departed {
            census.succeeded.insert(departed(snapshot, pod));
            census.last_finish = census.last_finish.max(pod.ended_at());
        }
        let recorded = mark::read(&results.failed);
        let mut by_node: BTreeMap<&str, Vec<&Arc<JobPod>>> = BTreeMap::new();
        let mut nowhere = Vec::new();
        for pod in &snapshot.pods {
            match pod.node() {
                Some(node) => by_node.entry(node).or_default().push(pod),
                None => nowhere.push(pod),
            }
        }
        for node in &snapshot.nodes {
            let there = by_node.remove(node.name()).unwrap_or_default();
            census.look_at(snapshot, settings, (node, &there, &recorded));
        }
        let lost = by_node.into_values().flatten().chain(nowhere);
        let unrecorded = snapshot.job.status.results.is_none();
        for pod in lost {
            // A pod of another maker was recorded under the mark of its node, if there was a record.
            let own = Mark::of(&snapshot.job.meta.uid, &pod.meta.uid);
            let mark = pod::mark(&snapshot.job, pod).or(unrecorded.then_some(own));
            census.stray(settings, pod, mark, (false, false));
        }
        let here: BTreeSet<Mark> = census.places.iter().map(|place| place.mark).collect();
        // A failure ends with its pod while the node is there (§22.2), but stays when the node went.
        census.failed.extend(recorded.into_iter().filter(|mark| !here.contains(mark)));
        let succeeded = &census.succeeded;
        census.failed.retain(|mark| !succeeded.contains(mark));
        let stored = snapshot.job.status.last_finish_time.as_ref().map(|time| time.0);
        census.last_finish = census.last_finish.max(stored);
        census
    }

    fn look_at(
        &mut self,
        snapshot: &Snapshot,
        settings: &Settings,
        (node, there, recorded): (&Arc<Node>, &[&Arc<JobPod>], &Marks),
    ) {
        let mark = Mark::of(&snapshot.job.meta.uid, &node.meta.uid);
        let (mut own, earlier): (Vec<_>, Vec<_>) =
            there.iter().copied().partition(|pod| belongs(snapshot, pod, node, mark));
        for pod in earlier {
            let mark = pod::mark(&snapshot.job, pod);
            self.stray(settings, pod, mark, (false, true));
        }
        own.sort_by_key(|pod| rank(settings, pod));
        let mut own = own.into_iter();
        let first = own.next();
        for pod in own {
            let mark = Mark::of(&snapshot.job.meta.uid, &pod.meta.uid);
            self.stray(settings, pod, Some(mark), (true, false));
        }
        let class = first.map(|pod| class(settings, pod));
        if let (Some(pod), Some(class)) = (first, class) {
            self.note(pod, mark, class);
        }
        let standing = self.standing(snapshot, settings, (node, mark, recorded), first, class);
        if standing == Standing::Failed {
            self.failed.insert(mark);
        } else {
            self.failed.remove(&mark);
        }
        let busy = matches!(class, Some(Class::Active | Class::OverLimit));
        let unfit = first.filter(|_| busy).and_then(|pod| unfit(snapshot, settings, pod, node));
        self.places.push(Place { node: node.clone(), mark, pod: first.cloned(), standing, unfit });
    }

    fn standing(
        &self,
        snapshot: &Snapshot,
        settings: &Settings,
        (node, mark, recorded): (&Arc<Node>, Mark, &Marks),
        pod: Option<&Arc<JobPod>>,
        class: Option<Class>,
    ) -> Standing {
        if self.succeeded.contains(&mark) {
            return Standing::Succeeded;
        }
        let failure = snapshot.failures.get(&mark);
        let full = failure.is_none() && snapshot.failures.len() >= failures::MOST;
        let retry = |counted: bool| {
            let retry = settings.retry.as_ref().filter(|_| !full)?;
            let count = failure.map_or(0, |failure| failure.count);
            let count = if counted { count } else { count.saturating_add(1) };
            let since = failure.filter(|_| counted).map(|failure| failure.time);
            let at = since.map(|time| time.checked_add(retry.delay(count)).unwrap_or(time));
            (count <= retry.limit).then_some(at)
        };
        let Some((pod, class)) = pod.zip(class) else {
            let stopped = failure.is_some_and(|failure| failure.stopped);
            // We ended it ourselves: that is a result, unless it is tried again.
            return match retry(true).filter(|_| failure.is_some()) {
                None if stopped && recorded.contains(&mark) => Standing::Failed,
                Some(Some(at)) if settings.requirements.fits(node).is_ok() => {
                    Standing::Retrying(Some(at))
                }
                _ => settings
                    .requirements
                    .fits(node)
                    .map_or_else(Standing::Ineligible, |()| Standing::Waiting),
            };
        };
        let of_pod = Mark::of(&snapshot.job.meta.uid, &pod.meta.uid);
        let counted = failure.is_some_and(|failure| failure.pod == of_pod);
        let stopped = counted && failure.is_some_and(|failure| failure.stopped);
        match class {
            // We end it: that it failed is known, whatever becomes of it on its way out.
            Class::Ending | Class::Disrupted if stopped => {
                retry(true).map_or(Standing::Failed, Standing::Retrying)
            }
            Class::Succeeded => Standing::Succeeded,
            Class::Failed(Blame::Node | Blame::Job) => Standing::Failed,
            Class::Failed(Blame::Attempt) | Class::OverLimit => {
                retry(counted).map_or(Standing::Failed, Standing::Retrying)
            }
            Class::Disrupted if pod.meta.terminating() => Standing::Ending,
            Class::Disrupted => Standing::Disrupted,
            Class::Active => Standing::Active,
            Class::Ending => Standing::Ending,
        }
    }

    fn stray(
        &mut self,
        settings: &Settings,
        pod: &Arc<JobPod>,
        mark: Option<Mark>,
        (duplicate, outlived): (bool, bool),
    ) {
        let class = class(settings, pod);
        if let Some(mark) = mark {
            self.note(pod, mark, class);
            if matches!(class, Class::Failed(_) | Class::OverLimit) {
                self.failed.insert(mark);
            }
        }
        self.strays.push(Stray { pod: pod.clone(), mark, class, duplicate, outlived });
    }

    /// What an ended pod adds.
    fn note(&mut self, pod: &JobPod, mark: Mark, class: Class) {
        match class {
            Class::Succeeded => {
                self.succeeded.insert(mark);
            }
            Class::Failed(blame) => self.fatal |= blame == Blame::Job,
            Class::Disrupted | Class::OverLimit | Class::Active | Class::Ending => return,
        }
        self.last_finish = self.last_finish.max(pod.ended_at());
    }

    /// Nodes that the job runs on: done, at work, or to be (§10.3).
    pub fn desired(&self) -> usize {
        self.places.iter().filter(|place| place.desired()).count()
    }

    /// How many nodes succeeded and how many failed, those included that are gone.
    pub fn results(&self) -> (usize, usize) {
        (self.succeeded.len() + self.past.0, self.failed.len() + self.past.1)
    }

    /// All pods at work.
    pub fn active(&self) -> impl Iterator<Item = &Arc<JobPod>> {
        self.slots().chain(self.strays.iter().filter(|s| !s.duplicate).filter_map(Stray::active))
    }

    /// Pods at work that hold a slot: those of nodes that are there.
    pub fn slots(&self) -> impl Iterator<Item = &Arc<JobPod>> {
        let places = self.places.iter().filter(|place| place.standing == Standing::Active);
        let twice = self.strays.iter().filter(|stray| stray.duplicate);
        places.filter_map(|place| place.pod.as_ref()).chain(twice.filter_map(Stray::active))
    }

    /// Whether every node is done, and there is one.
    pub fn done(&self) -> bool {
        let mut places = self.places.iter().filter(|place| place.desired()).peekable();
        places.peek().is_some() && places.all(Place::done)
    }

    /// Pods over their restart limit, with their mark.
    pub fn over_limit<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> impl Iterator<Item = (Mark, &'a Arc<JobPod>)> {
        let places = self.places.iter().filter_map(|place| Some((place.mark, place.pod.as_ref()?)));
        let strays = self.strays.iter().filter_map(|stray| Some((stray.mark?, &stray.pod)));
        places.chain(strays).filter(|(_, pod)| class(settings, pod) == Class::OverLimit)
    }
}

impl Place {
    /// Whether the job runs there.
    pub fn desired(&self) -> bool {
        self.unfit.is_none() && !matches!(self.standing, Standing::Ineligible(_))
    }

    /// Whether the node is done.
    pub fn done(&self) -> bool {
        matches!(self.standing, Standing::Succeeded | Standing::Failed)
    }
}

impl Stray {
    /// Whether it is at work beside another pod of its node: both go on (W22).
    pub fn is_running_twin(&self) -> bool {
        self.duplicate && self.class == Class::Active && self.pod.phase == Phase::Running
    }

    fn active(&self) -> Option<&Arc<JobPod>> {
        (self.class == Class::Active).then_some(&self.pod)
    }
}

/// The mark under which the success of a pod that is gone counts: that of its node, if it is still the same one.
fn departed(snapshot: &Snapshot, pod: &JobPod) -> Mark {
    let uid = &snapshot.job.meta.uid;
    let of_node = || {
        let node = snapshot.node(pod.node()?)?;
        let mark = Mark::of(uid, &node.meta.uid);
        belongs(snapshot, pod, node, mark).then_some(mark)
    };
    let known = pod::mark(&snapshot.job, pod).or_else(of_node);
    known.unwrap_or_else(|| Mark::of(uid, &pod.meta.uid))
}

/// Whether the pod is that of this node, not of an earlier one with its name.
fn belongs(snapshot: &Snapshot, pod: &JobPod, node: &Node, mark: Mark) -> bool {
    match pod::mark(&snapshot.job, pod) {
        Some(known) => known == mark,
        // Made by somebody else: it cannot be older than its node.
        None => pod.meta.created >= node.meta.created,
    }
}

/// Which of several pods is that of the node: one with a result, then one that runs, then the oldest.
fn rank<'a>(settings: &Settings, pod: &'a JobPod) -> impl Ord + use<'a> {
    let state = match class(settings, pod) {
        Class::Succeeded => 0,
        Class::Active if pod.phase == Phase::Running => 1,
        Class::Failed(_) | Class::OverLimit => 2,
        Class::Active => 3,
        Class::Disrupted | Class::Ending => 4,
    };
    (state, pod.meta.created, pod.meta.key.name.clone())
}

/// What a pod is to its job: the first that holds (§12, W1, W9).
pub fn class(settings: &Settings, pod: &JobPod) -> Class {
    match pod.phase {
        Phase::Succeeded => return Class::Succeeded,
        Phase::Failed => {}
        Phase::None | Phase::Pending | Phase::Running | Phase::Unknown => {
            let over = pod.restarted_on_failure && pod.restarts > settings.restart_limit;
            return match (pod.meta.terminating(), over) {
                (false, true) => Class::OverLimit,
                (false, false) => Class::Active,
                (true, _) => Class::Ending,
            };
        }
    }
    match settings.rules.iter().find(|rule| rule_matches(rule, pod)).map(|rule| &*rule.action) {
        Some("Ignore") => Class::Disrupted,
        Some("FailNode") => Class::Failed(Blame::Node),
        Some("FailJob") => Class::Failed(Blame::Job),
        _ if pod.disrupted() => Class::Disrupted,
        _ => Class::Failed(Blame::Attempt),
    }
}

fn rule_matches(rule: &FailureRule, pod: &JobPod) -> bool {
    let codes = rule.on_exit_codes.as_ref().is_some_and(|codes| codes_match(codes, pod));
    let condition = rule.on_pod_conditions.iter().any(|pattern| {
        let status = pattern.status.as_deref().unwrap_or("True");
        pod.conditions.iter().any(|c| *c.kind == *pattern.type_ && *c.status == *status)
    });
    codes || condition
}

fn codes_match(codes: &ExitCodes, pod: &JobPod) -> bool {
    let name = codes.container_name.as_deref().unwrap_or_default();
    let exits = pod.exits.iter().filter(|exit| exit.code != 0);
    let mut exits = exits.filter(|exit| name.is_empty() || *exit.container == *name);
    match codes.operator.as_str() {
        "In" => exits.any(|exit| codes.values.contains(&exit.code)),
        "NotIn" => exits.any(|exit| !codes.values.contains(&exit.code)),
        _ => false,
    }
}

/// Why a pod without a result may not stay on its node. One that is not bound yet has not begun: for it the same holds as
/// for a new one.
fn unfit(snapshot: &Snapshot, settings: &Settings, pod: &JobPod, node: &Node) -> Option<Unfit> {
    let requirements = &settings.requirements;
    if settings.delete_unfit || pod.bound.is_none() {
        // Resources are the scheduler's business once there is a pod (W6).
        return requirements.fits(node).err().filter(|why| !matches!(why, Unfit::Resource { .. }));
    }
    requirements.stays(node, !snapshot.by_scheduler).err()
}
