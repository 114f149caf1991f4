//! What a kubelet knows of one pod, and what it tells the API server: a pure state machine.
//!
//! Events come in (a changed pod, a timer), a status patch and the next timer come out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::wire::{Container, SimPod};

/// Annotation: `true` makes the kubelet evict the pod.
pub const EVICT: &str = "sim.kruise.dev/evict";
/// Annotation: `true` makes the kubelet never answer for the pod.
pub const IGNORE: &str = "sim.kruise.dev/ignore";
/// Annotation: `true` makes the kubelet evict the pod, and say that it was not the pod's fault.
pub const DISRUPT: &str = "sim.kruise.dev/disrupt";
/// Annotation: milliseconds from started to ready.
pub const READY_DELAY: &str = "sim.kruise.dev/ready-delay-ms";

/// Annotation: `CONTAINER/ID` kills the container if it has this ID, as a node daemon does through the runtime.
pub const KILL: &str = "sim.kruise.dev/kill";
/// Annotation: what becomes of changed resources: `Infeasible` or `Deferred` for ever, or `unsupported`.
pub const RESIZE: &str = "sim.kruise.dev/resize";

/// The condition of a resize that waits or will never be.
const RESIZE_PENDING: &str = "PodResizePending";
/// The conditions that a kubelet writes.
const CONDITIONS: [&str; 4] =
    ["PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"];

/// What the kubelet knows of a pod.
#[derive(Clone, Debug)]
pub struct Known {
    /// Containers by name.
    pub containers: BTreeMap<String, Running>,
    /// IP of the pod.
    pub ip: String,
    /// When the pod is to be gone.
    pub stop_at: Option<Timestamp>,
    /// Failed or Succeeded: final.
    pub ended: Option<&'static str>,
    /// Whether it ended because it lived for too long.
    pub late: bool,
    /// When the kubelet first saw it.
    pub since: Timestamp,
    /// Conditions as they were last, with the time of their last change.
    turned: BTreeMap<&'static str, (bool, Timestamp)>,
    told: Option<Value>,
}

/// A container as the runtime has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// Image it was (or will be) started with.
    pub image: String,
    /// ID; empty before the first start.
    pub id: String,
    /// Restarts.
    pub restarts: u32,
    /// Start of the running container; `None` while it does not run.
    pub started: Option<Timestamp>,
    /// When it starts, if it does not run.
    pub start_at: Option<Timestamp>,
    /// When it is ready, if it runs.
    pub ready_at: Option<Timestamp>,
    /// Exit code, begin and end, once it has ended for good.
    pub ended: Option<(i32, Timestamp, Timestamp)>,
    /// The container before, or the one that ended, while it waits for the next.
    pub last: Option<Last>,
    /// Limits and requests that it runs with.
    pub resources: BTreeMap<String, Value>,
}

/// A container that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Last {
    /// Image it ran.
    pub image: String,
    /// ID.
    pub id: String,
    /// How it ended.
    pub code: i32,
    /// When it started.
    pub began: Timestamp,
    /// When it ended.
    pub end: Timestamp,
}

/// What is to be done for a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// A strategic merge patch of the status.
    pub status: Option<Value>,
    /// The pod has stopped: delete it for good.
    pub gone: bool,
    /// When to look again.
    pub wake: Option<Timestamp>,
}

/// Delays of the simulation.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// From the decision to start a container until it runs.
    pub start: SignedDuration,
    /// From deletion until the pod is gone.
    pub stop: SignedDuration,
}

impl Known {
    /// What a kubelet learns of a pod it has not seen: after its own restart the statuses tell what runs.
    pub fn new(pod: &SimPod, ip: String, now: Timestamp, delays: &Delays) -> Self {
        let statuses = &pod.status.container_statuses;
        let containers = pod.spec.containers.iter().map(|container| {
            let status = statuses.iter().find(|status| status.name == container.name);
            let running = status.and_then(|status| status.state.running.as_ref());
            let started = running.map(|running| running.started_at.as_ref().map_or(now, |at| at.0));
            let image = match (status, started) {
                (Some(status), Some(_)) if status.image != reported(&container.image) => {
                    status.image.clone()
                }
                _ => container.image.clone(),
            };
            let known = Running {
                image,
                id: status.map(|status| status.container_id.clone()).unwrap_or_default(),
                restarts: status.map_or(0, |status| status.restart_count),
                started,
                start_at: started.is_none().then(|| later(now, delays.start)),
                ready_at: started,
                ended: None,
                last: None,
                resources: match status {
                    Some(status) if !status.resources.is_empty() => status.resources.clone(),
                    _ => container.resources.clone(),
                },
            };
            (container.name.clone(), known)
        });
        let ended = match pod.status.phase.as_str() {
            "Failed" => Some("Failed"),
            "Succeeded" => Some("Succeeded"),
            _ => None,
        };
        let turned = CONDITIONS.into_iter().filter_map(|kind| {
            let known = pod.status.conditions.iter().find(|condition| condition.kind == kind)?;
            let at = known.last_transition_time.as_ref().map_or(now, |at| at.0);
            Some((kind, (known.status == "True", at)))
        });
        let turned = turned.collect();
        let containers = containers.collect();
        Self { containers, ip, stop_at: None, ended, late: false, since: now, turned, told: None }
    }

    /// Takes in the pod as it is now and lets time pass; `id` gives new container IDs.
    pub fn step(
        &mut self,
        pod: &SimPod,
        now: Timestamp,
        delays: &Delays,
        id: &mut dyn FnMut() -> String,
    ) -> Work {
        if pod.annotation(IGNORE) == Some("true") {
            return Work::default();
        }
        if pod.metadata.deletion_timestamp.is_some() {
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
            let stop = delays.stop.min(SignedDuration::from_secs(grace));
            let at = *self.stop_at.get_or_insert_with(|| later(now, stop));
            return Work { gone: now >= at, wake: (now < at).then_some(at), status: None };
        }
        if pod.annotation(EVICT) == Some("true") || pod.annotation(DISRUPT) == Some("true") {
            self.ended.get_or_insert("Failed");
        }
        let seconds = pod.spec.active_deadline_seconds;
        let deadline = seconds.map(|seconds| later(self.since, SignedDuration::from_secs(seconds)));
        if deadline.is_some_and(|at| at <= now) && self.ended.is_none() {
            self.ended = Some("Failed");
            self.late = true;
        }
        if self.ended.is_none() {
            self.follow(pod, now, delays);
            self.start(pod, now, id);
        }
        let (status, ready) = self.status(pod, now);
        // Somebody else may have overwritten what was told before; a kubelet puts it right.
        let news = self.told.as_ref() != Some(&status) || pod.is_true("Ready") != ready;
        self.told = Some(status.clone());
        let deadline = deadline.filter(|at| *at > now && self.ended.is_none());
        let wake = self.wake(now).into_iter().chain(deadline).min();
        Work { status: news.then_some(status), gone: false, wake }
    }

    /// A container dies and is started again as the kubelet knows it: a change of the pod that it has not seen yet is in
    /// neither the container nor the status.
    pub fn crash(
        &mut self,
        pod: &SimPod,
        name: &str,
        now: Timestamp,
        id: &mut dyn FnMut() -> String,
    ) -> Option<Value> {
        let seen = self.told.as_ref()?.get("observedGeneration").cloned();
        let known = self.containers.get_mut(name).filter(|_| self.ended.is_none())?;
        let began = known.started?;
        known.last = Some(known.ended_with(1, began, now));
        known.id = format!("containerd://{}", id());
        known.restarts += 1;
        known.started = Some(now);
        known.ready_at = known.ready_at.map(|at| at.max(now));
        let (mut status, _) = self.status(pod, now);
        if let Some(members) = status.as_object_mut() {
            members.insert("observedGeneration".to_owned(), seen.unwrap_or_default());
        }
        self.told = Some(status.clone());
        Some(status)
    }

    /// What was told did not arrive: the next step says it again.
    pub fn forget_told(&mut self) {
        self.told = None;
    }

    /// A changed image kills its container, and only that one; so do changed resources if their policy says so.
    fn follow(&mut self, pod: &SimPod, now: Timestamp, delays: &Delays) {
        let stuck = matches!(pod.annotation(RESIZE), Some("Infeasible" | "Deferred"));
        for container in &pod.spec.containers {
            let Some(known) = self.containers.get_mut(&container.name) else { continue };
            let named = format!("{}/{}", container.name, known.id);
            let killed = known.started.is_some() && pod.annotation(KILL) == Some(&named);
            let resized = known.resources != container.resources && !stuck;
            let restarts = resized && known.started.is_some() && known.restarts_for(container);
            if resized {
                known.resources.clone_from(&container.resources);
            }
            if reported(&known.image) != reported(&container.image) || killed || restarts {
                if let Some(began) = known.started.take() {
                    known.last = Some(known.ended_with(0, began, now));
                }
                known.image.clone_from(&container.image);
                known.ready_at = None;
                known.start_at = Some(later(now, delays.start));
            }
        }
    }

    fn start(&mut self, pod: &SimPod, now: Timestamp, id: &mut dyn FnMut() -> String) {
        let delay = pod.annotation(READY_DELAY).and_then(|ms| ms.parse().ok()).unwrap_or(0);
        let mut ended = None;
        for known in self.containers.values_mut() {
            if known.start_at.is_none_or(|at| at > now) {
                continue;
            }
            let tag = tag(&known.image);
            if tag.starts_with("fail-pull") {
                known.start_at = None;
                continue;
            }
            if !known.id.is_empty() {
                known.restarts += 1;
            }
            known.id = format!("containerd://{}", id());
            let exit = exit_code(tag);
            // What fails and may be restarted is restarted.
            if tag.starts_with("crash")
                || (exit > Some(0) && pod.spec.restart_policy == "OnFailure")
            {
                known.last = Some(known.ended_with(exit.unwrap_or(1), now, now));
                // Back-off doubles from a second to ten.
                let wait = 1_i64 << known.restarts.min(4);
                known.start_at = Some(later(now, SignedDuration::from_secs(wait.min(10))));
                continue;
            }
            known.start_at = None;
            known.started = Some(now);
            let ready = later(now, SignedDuration::from_millis(delay));
            known.ready_at = (!tag.starts_with("never-ready")).then_some(ready);
            if let Some(code) = exit.filter(|_| pod.spec.restart_policy != "Always") {
                known.ended = Some((code, now, now));
                ended = Some(if code == 0 { "Succeeded" } else { "Failed" });
            }
        }
        self.ended = ended;
    }

    /// When something will change by itself.
    fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        let times = self.containers.values().flat_map(|known| {
            [known.start_at, known.ready_at.filter(|at| *at > now)].into_iter().flatten()
        });
        if self.ended.is_some() { None } else { times.min() }
    }

    /// The whole status that a kubelet owns, and whether it says Ready; conditions merge by type with those of others.
    fn status(&mut self, pod: &SimPod, now: Timestamp) -> (Value, bool) {
        if let Some(phase) = self.ended {
            return (self.end_status(pod, phase, now), false);
        }
        let unready: Vec<&str> = self
            .in_order(pod)
            .filter(|(_, known)| !known.ready(now))
            .map(|(name, _)| name)
            .collect();
        let not_ready = (!unready.is_empty()).then(|| {
            let names = unready.join(" ");
            ("ContainersNotReady", format!("containers with unready status: [{names}]"))
        });
        let gates = gates(pod);
        let gate = (!gates.is_empty()).then_some(("ReadinessGatesNotReady", gates));
        let blocked = not_ready.clone().or(gate);
        let statuses: Vec<Value> = self
            .in_order(pod)
            .map(|(name, known)| {
                let mut status = container_status(name, known, known.ready(now));
                let resizes = pod.annotation(RESIZE) != Some("unsupported");
                if let Some(members) = status.as_object_mut().filter(|_| resizes) {
                    members.insert("resources".to_owned(), json!(known.resources));
                }
                status
            })
            .collect();
        let mut conditions = vec![
            self.condition("PodReadyToStartContainers", None, now),
            self.condition("Initialized", None, now),
            self.condition("ContainersReady", not_ready.as_ref(), now),
            self.condition("Ready", blocked.as_ref(), now),
        ];
        conditions.extend(self.resize_pending(pod, now));
        let began = self.containers.values().any(|known| !known.id.is_empty());
        let status = json!({
            "observedGeneration": pod.metadata.generation,
            "phase": if began { "Running" } else { "Pending" },
            "hostIP": "10.0.0.1",
            "podIP": self.ip,
            "podIPs": [{ "ip": self.ip }],
            "startTime": second(self.since),
            "conditions": conditions,
            "containerStatuses": statuses,
        });
        (status, blocked.is_none())
    }

    /// The status of a pod that ended.
    fn end_status(&mut self, pod: &SimPod, phase: &'static str, now: Timestamp) -> Value {
        let disrupted = pod.annotation(DISRUPT) == Some("true") && phase == "Failed";
        let evicted = pod.annotation(EVICT) == Some("true") || disrupted;
        let reason = if phase == "Failed" { "PodFailed" } else { "PodCompleted" };
        let why = (reason, String::new());
        let mut conditions = vec![
            self.condition("Ready", Some(&why), now),
            self.condition("ContainersReady", Some(&why), now),
        ];
        if disrupted {
            let mut condition = self.condition("DisruptionTarget", None, now);
            if let Some(members) = condition.as_object_mut() {
                members.insert("reason".to_owned(), json!("TerminationByKubelet"));
            }
            conditions.push(condition);
        }
        let ended = self.in_order(pod).filter_map(|(name, known)| {
            let (code, began, end) = known.ended?;
            let mut status = container_status(name, known, false);
            let ended = terminated(&known.id, code, (began, end));
            let members = status.as_object_mut()?;
            members.insert("state".to_owned(), json!({ "terminated": ended }));
            members.insert("started".to_owned(), json!(false));
            Some(status)
        });
        let statuses: Vec<Value> = ended.collect();
        let reason =
            if self.late { Some("DeadlineExceeded") } else { evicted.then_some("Evicted") };
        let mut status = json!({ "phase": phase, "reason": reason, "conditions": conditions });
        if let Some(members) = status.as_object_mut().filter(|_| !statuses.is_empty()) {
            members.insert("containerStatuses".to_owned(), json!(statuses));
        }
        status
    }

    /// The condition of a resize that is not made, or what takes it away.
    fn resize_pending(&self, pod: &SimPod, now: Timestamp) -> Option<Value> {
        let waits = pod.spec.containers.iter().any(|container| {
            let known = self.containers.get(&container.name);
            known.is_some_and(|known| known.resources != container.resources)
        });
        let known = pod.status.conditions.iter().find(|known| known.kind == RESIZE_PENDING);
        match (waits, known) {
            (true, known) => {
                let since = known.and_then(|known| known.last_transition_time.as_ref());
                Some(json!({
                    "type": RESIZE_PENDING,
                    "status": "True",
                    "reason": pod.annotation(RESIZE),
                    "lastProbeTime": null,
                    "lastTransitionTime": second(since.map_or(now, |at| at.0)),
                }))
            }
            (false, Some(_)) => Some(json!({ "type": RESIZE_PENDING, "$patch": "delete" })),
            (false, None) => None,
        }
    }

    /// Containers in the order of the spec.
    fn in_order<'a>(&'a self, pod: &'a SimPod) -> impl Iterator<Item = (&'a str, &'a Running)> {
        let names = pod.spec.containers.iter().map(|container| container.name.as_str());
        names.filter_map(|name| Some((name, self.containers.get(name)?)))
    }

    /// A condition, which is true unless there is a reason against it.
    fn condition(
        &mut self,
        kind: &'static str,
        why: Option<&(&str, String)>,
        now: Timestamp,
    ) -> Value {
        let on = why.is_none();
        let turned = self.turned.entry(kind).or_insert((on, now));
        if turned.0 != on {
            *turned = (on, now);
        }
        json!({
            "type": kind,
            "status": if on { "True" } else { "False" },
            "lastProbeTime": null,
            "lastTransitionTime": second(turned.1),
            "reason": why.map(|(reason, _)| *reason),
            "message": why.map(|(_, message)| message.as_str()).filter(|text| !text.is_empty()),
        })
    }
}

impl Running {
    /// What is left of it when it ends.
    fn ended_with(&self, code: i32, began: Timestamp, end: Timestamp) -> Last {
        Last { image: self.image.clone(), id: self.id.clone(), code, began, end }
    }

    /// Why it waits for its next start, if that is more than a matter of time.
    fn fails(&self) -> Option<&'static str> {
        let crashed =
            self.last.as_ref().is_some_and(|last| last.image == self.image && last.code != 0);
        match tag(&self.image) {
            _ if self.started.is_some() => None,
            tag if tag.starts_with("fail-pull") && self.start_at.is_none() => {
                Some("ImagePullBackOff")
            }
            _ => crashed.then_some("CrashLoopBackOff"),
        }
    }

    /// Whether changing to the resources of `container` restarts it.
    fn restarts_for(&self, container: &Container) -> bool {
        let amount = |resources: &BTreeMap<String, Value>, part: &str, name: &str| {
            resources.get(part).and_then(|part| part.get(name)).cloned()
        };
        let changed = |name: &str| {
            ["limits", "requests"].iter().any(|part| {
                amount(&self.resources, part, name) != amount(&container.resources, part, name)
            })
        };
        let restart =
            container.resize_policy.iter().filter(|p| p.restart_policy == "RestartContainer");
        restart.map(|policy| policy.resource_name.as_str()).any(changed)
    }

    fn ready(&self, now: Timestamp) -> bool {
        self.started.is_some() && self.ready_at.is_some_and(|at| at <= now)
    }
}

/// The kubelet's message about readiness gates that are not true, empty if all are.
fn gates(pod: &SimPod) -> String {
    let texts = pod.spec.readiness_gates.iter().filter_map(|gate| {
        let kind = &gate.condition_type;
        match pod.status.conditions.iter().find(|condition| condition.kind == *kind) {
            None => Some(format!(
                "corresponding condition of pod readiness gate {kind:?} does not exist."
            )),
            Some(condition) if condition.status == "True" => None,
            Some(condition) => {
                let status = &condition.status;
                Some(format!(
                    "the status of pod readiness gate {kind:?} is not \"True\", but {status}"
                ))
            }
        }
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// While a container is down its status is still that of the one that ended, and its image too. `lastState` is the one
/// before the state that is shown.
fn container_status(name: &str, known: &Running, ready: bool) -> Value {
    let running = known.started.is_some();
    let last = known.last.as_ref();
    let terminated = last.map(
        |last| json!({ "terminated": terminated(&last.id, last.code, (last.began, last.end)) }),
    );
    let (state, last_state) = match (known.started, known.fails(), terminated) {
        (Some(at), _, before) => (json!({ "running": { "startedAt": second(at) } }), before),
        (None, Some(reason), before) => (json!({ "waiting": { "reason": reason } }), before),
        (None, None, Some(ended)) => (ended, None),
        (None, None, None) => (json!({ "waiting": { "reason": "ContainerCreating" } }), None),
    };
    let image = reported(last.filter(|_| !running).map_or(&known.image, |last| &last.image));
    let was = running || last.is_some();
    json!({
        "name": name,
        "image": image,
        "imageID": if was { digest(&image) } else { String::new() },
        "containerID": known.id,
        "ready": ready,
        "started": running,
        "restartCount": known.restarts,
        "state": state,
        "lastState": last_state.unwrap_or_else(|| json!({})),
    })
}

fn terminated(id: &str, code: i32, (began, end): (Timestamp, Timestamp)) -> Value {
    json!({
        "containerID": id,
        "exitCode": code,
        "reason": if code == 0 { "Completed" } else { "Error" },
        "startedAt": second(began),
        "finishedAt": second(end),
    })
}

/// An image as containerd names it.
pub fn reported(image: &str) -> String {
    let first = image.split('/').next().unwrap_or_default();
    let full = match image.contains('/') {
        true if first.contains(['.', ':']) => image.to_owned(),
        true => format!("docker.io/{image}"),
        false => format!("docker.io/library/{image}"),
    };
    let last = full.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) { full } else { format!("{full}:latest") }
}

/// A digest that only depends on the image's name; tags that start with `same` share one, like two tags of one image.
fn digest(image: &str) -> String {
    let repository = image.rsplit_once(':').map_or(image, |(repository, _)| repository);
    let content = if tag(image).starts_with("same") { repository } else { image };
    let hash = |seed: u64| {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        content.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, mix)
    };
    let digits = [0, 1, 2, 3].map(hash);
    let [a, b, c, d] = digits;
    format!("{repository}@sha256:{a:016x}{b:016x}{c:016x}{d:016x}")
}

/// With which code a container of this tag ends.
fn exit_code(tag: &str) -> Option<i32> {
    let digits = tag.strip_prefix("exit-")?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

fn tag(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').map_or("latest", |(_, tag)| tag)
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(now)
}

fn second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
