//! Updates that overtake each other, reads that are old, writes that never arrive, users and kubelets in between: what
//! must hold of every pod all the time, and where it must end (`inplace.md` §22.3).

use kruise_api::statefulset::v1beta1::Lifecycle;
use kruise_common::pod::Pod;
use kruise_common::testing::property;
use kruise_common::write::{Patch, Request, Write};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::pod::{Builder, web};
use crate::begin::{Target, begin, check};
use crate::diff::{Change, MetadataChange};
use crate::lifecycle::{Announced, UpdateGate, before_update};
use crate::progress::{Progress, progress};
use crate::refresh::{Context, Refresh, refresh};
use crate::resize::Resize;

/// What a revision says: a tag for each container, a label, and CPU of the first container.
#[derive(Clone, Debug, PartialEq)]
struct Template {
    tags: Vec<u8>,
    tier: u8,
    cpu: u8,
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// The user wants another revision.
    Want(Template),
    /// The controller has a turn on what it sees now; only so many of its writes arrive.
    Turn(usize),
    /// The controller has a turn on what it saw before.
    StaleTurn,
    /// Time passes, and the kubelet acts.
    Kubelet(i64),
    /// A container dies and starts again before the kubelet sees what was written since it last acted.
    Crash(usize),
    /// The runtime reports another name of the image, if it has one.
    Alias,
    /// Somebody else keeps the pod out of traffic, or lets it in.
    Blocker(bool),
    /// The owner of the hook does what it should.
    Hook,
}

#[derive(Clone, Debug)]
struct Case {
    containers: usize,
    priorities: bool,
    hooked: bool,
    grace_seconds: i32,
    steps: Vec<Step>,
}

fn template(containers: usize) -> impl Strategy<Value = Template> {
    (prop::collection::vec(0..5_u8, containers), 0..2_u8, 1..4_u8)
        .prop_map(|(tags, tier, cpu)| Template { tags, tier, cpu })
}

fn step(containers: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => template(containers).prop_map(Step::Want),
        6 => (1..4_usize).prop_map(Step::Turn),
        2 => Just(Step::StaleTurn),
        4 => (0..3_i64).prop_map(Step::Kubelet),
        2 => (0..containers).prop_map(Step::Crash),
        1 => Just(Step::Alias),
        1 => any::<bool>().prop_map(Step::Blocker),
        2 => Just(Step::Hook),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    (1..4_usize, any::<bool>(), any::<bool>(), prop_oneof![3 => Just(0), 1 => 1..4_i32])
        .prop_flat_map(|(containers, priorities, hooked, grace_seconds)| {
            prop::collection::vec(step(containers), 5..40).prop_map(move |steps| Case {
                containers,
                priorities,
                hooked,
                grace_seconds,
                steps,
            })
        })
}

/// Tags from 3 on are names of one image.
fn image(tag: u8) -> String {
    let kind = if tag < 3 { "v" } else { "same" };
    format!("reg.io/app:{kind}{tag}")
}

fn first(containers: usize) -> Template {
    Template { tags: vec![0; containers], tier: 0, cpu: 1 }
}

fn pod(case: &Case) -> Builder {
    let mut pod = web()
        .gate("KruisePodReady")
        .condition("KruisePodReady", &json!({ "status": "True", "message": "[]" }))
        .revision("web-0")
        .label("tier", "0");
    for index in 0..case.containers {
        let name = format!("c{index}");
        pod = pod.container(&name, &image(0));
        if case.priorities {
            pod = pod.priority(&name, i32::try_from(index).unwrap());
        }
    }
    let resources = json!({ "resources": { "requests": { "cpu": "1" } } });
    let pod = pod.spec("c0", &resources).status("c0", &resources);
    if case.hooked { pod.label("block", "yes") } else { pod }
}

fn change(old: &Template, new: &Template) -> Change {
    let tags = old.tags.iter().zip(&new.tags).enumerate();
    let images = tags.filter(|(_, (old, new))| old != new);
    let images = images.map(|(index, (_, new))| (format!("c{index}"), image(*new)));
    let mut change = Change { images: images.collect(), ..Change::default() };
    if old.tier != new.tier {
        let labels = [("tier".to_owned(), Some(new.tier.to_string()))].into();
        change.metadata = MetadataChange { labels, ..MetadataChange::default() };
    }
    if old.cpu != new.cpu {
        let resize = Resize::read(&json!({ "requests": { "cpu": new.cpu.to_string() } }));
        change.resources.insert("c0".to_owned(), resize);
    }
    change
}

/// A controller beside a pod.
struct Sim {
    cluster: Cluster,
    revisions: Vec<Template>,
    lifecycle: Option<Lifecycle>,
    grace_seconds: i32,
    before: Pod,
    /// Container IDs when the pod came back into traffic, until the next image is set.
    back: Option<Vec<String>>,
}

impl Sim {
    fn new(case: &Case) -> Self {
        let mut cluster = Cluster::new(&pod(case));
        cluster.run(3);
        let hook = json!({ "inPlaceUpdate": {
            "labelsHandler": { "block": "yes" }, "markPodNotReady": true,
        }});
        Self {
            before: cluster.pod(),
            cluster,
            revisions: vec![first(case.containers)],
            lifecycle: case.hooked.then(|| serde_json::from_value(hook).unwrap()),
            grace_seconds: case.grace_seconds,
            back: None,
        }
    }

    /// What the controller would write about `pod`.
    fn plan(&self, pod: &Pod) -> Vec<Write> {
        let now = self.cluster.world.now;
        let wanted = format!("web-{}", self.revisions.len() - 1);
        let context = Context { lifecycle: self.lifecycle.as_ref(), update_revision: &wanted };
        let Refresh { writes, .. } = refresh(pod, &context, now);
        let at = pod.revision().unwrap();
        if !writes.is_empty() || at == wanted {
            return writes;
        }
        let old: usize = at.strip_prefix("web-").unwrap().parse().unwrap();
        let change = change(&self.revisions[old], self.revisions.last().unwrap());
        assert_eq!(check(pod, &change, now), Ok(()));
        let announced = Announced::new(&wanted, &change);
        match before_update(pod, self.lifecycle.as_ref(), &announced, now) {
            UpdateGate::Proceed => {
                let target = Target { revision: &wanted, grace_seconds: self.grace_seconds };
                begin(pod, &change, &target, now)
            }
            UpdateGate::Mark(writes) => writes,
            UpdateGate::Wait(_) | UpdateGate::NotAllowed(_) => Vec::new(),
        }
    }

    /// Sends writes until one fails, and looks at the pod before and after each.
    fn send(&mut self, writes: &[Write]) {
        for write in writes {
            let before = self.cluster.value().clone();
            if self.cluster.world.perform(write).is_err() {
                break;
            }
            self.look(&before, write);
        }
    }

    fn look(&mut self, before: &Value, write: &Write) {
        let after = self.cluster.value();
        let images = |pod: &Value| -> Vec<Value> {
            pod["spec"]["containers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["image"].clone())
                .collect()
        };
        if images(before) != images(after) {
            assert!(!gate(before), "an image changes only out of traffic");
            self.back = None;
        }
        if !gate(before) && gate(after) {
            self.back = Some(ids(after));
        }
        let Request::Patch { patch, .. } = &write.request else { return };
        let json = matches!(patch, Patch::Json(_));
        assert!(json, "every write tests what it was decided upon: {patch:?}");
    }

    fn step(&mut self, step: &Step) {
        let now = self.cluster.pod();
        match step {
            Step::Want(template) => {
                if self.revisions.last() != Some(template) {
                    self.revisions.push(template.clone());
                }
            }
            Step::Turn(arrive) => {
                let writes = self.plan(&now);
                self.send(&writes[..writes.len().min(*arrive)]);
                self.before = now;
            }
            Step::StaleTurn => {
                let writes = self.plan(&self.before);
                self.send(&writes);
            }
            Step::Kubelet(seconds) => self.kubelet(*seconds),
            Step::Crash(container) => {
                self.cluster.crash(&format!("c{container}"));
                self.back = None;
            }
            Step::Alias => self.cluster.edit(|pod| {
                for status in pod["status"]["containerStatuses"].as_array_mut().unwrap() {
                    if status["image"].as_str().unwrap().contains("same") {
                        status["image"] = json!("reg.io/app:same3");
                    }
                }
            }),
            Step::Blocker(on) => self.block(*on),
            Step::Hook => self.hook(),
        }
    }

    fn kubelet(&mut self, seconds: i64) {
        self.cluster.run(seconds);
        let now = self.cluster.value();
        if let Some(back) = &self.back {
            assert_eq!(back, &ids(now), "who is back in traffic is not restarted any more");
        }
    }

    fn block(&mut self, on: bool) {
        let list = if on { r#"[{"userAgent":"Other","key":"x"}]"# } else { "[]" };
        self.cluster.edit(|pod| {
            let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
            let gate = conditions.iter_mut().find(|c| c["type"] == "KruisePodReady").unwrap();
            if !gate["message"].as_str().unwrap_or_default().contains("Lifecycle") {
                gate["message"] = json!(list);
                gate["status"] = json!(if on { "False" } else { "True" });
            }
        });
    }

    fn hook(&mut self) {
        let pod = self.cluster.pod();
        let block = match pod.meta.labels.get("lifecycle.apps.kruise.io/state") {
            Some("PreparingUpdate") => None,
            Some("Updated") => Some("yes"),
            _ => return,
        };
        if self.lifecycle.is_some() {
            self.cluster.edit(|pod| {
                let labels = pod["metadata"]["labels"].as_object_mut().unwrap();
                match block {
                    Some(value) => labels.insert("block".to_owned(), json!(value)),
                    None => labels.remove("block"),
                };
            });
        }
    }

    /// Everybody does what is due until nothing is.
    fn end(&mut self) {
        self.block(false);
        let mut quiet = 0;
        for _ in 0..150 {
            let before = self.cluster.value().clone();
            self.hook();
            self.step(&Step::Turn(usize::MAX));
            self.kubelet(1);
            let done = progress(&self.cluster.pod()) == Progress::Complete;
            quiet = if done && before == *self.cluster.value() { quiet + 1 } else { 0 };
            if quiet == 3 {
                break;
            }
        }
        self.block(false);
        self.kubelet(1);
    }
}

fn gate(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    conditions.iter().any(|c| c["type"] == "InPlaceUpdateReady" && c["status"] == "True")
}

fn ids(pod: &Value) -> Vec<String> {
    let statuses = pod["status"]["containerStatuses"].as_array().unwrap();
    statuses.iter().map(|status| status["containerID"].to_string()).collect()
}

/// An image changes only out of traffic; who is back in traffic is not restarted any more; and in the end the pod is what
/// the last revision says, whatever came between.
fn play(case: &Case) {
    let mut sim = Sim::new(case);
    for step in &case.steps {
        sim.step(step);
    }
    sim.end();
    let pod = sim.cluster.pod();
    let wanted = sim.revisions.last().unwrap();
    assert_eq!(progress(&pod), Progress::Complete);
    assert_eq!(sim.plan(&pod), [], "nothing is left to do");
    assert!(pod.ready());
    assert_eq!(pod.meta.labels.get("lifecycle.apps.kruise.io/state"), Some("Normal"));
    assert_eq!(pod.annotations.get("apps.kruise.io/inplace-update-announced"), None);
    let tier = wanted.tier.to_string();
    assert_eq!(pod.meta.labels.get("tier"), Some(tier.as_str()));
    for (container, tag) in pod.containers.iter().zip(&wanted.tags) {
        assert_eq!(&*container.image, image(*tag));
    }
    let cpu = wanted.cpu.to_string();
    let (spec, runs) = (&pod.containers[0].resources, pod.statuses[0].resources.as_ref());
    assert_eq!(spec.get("requests", "cpu"), Some(cpu.as_str()));
    assert_eq!(runs.map(|runs| &**runs), Some(spec));
}

#[test]
fn whatever_comes_between_the_pod_ends_as_wanted() {
    property::check("in place", 100, &case(), |case| play(&case));
}
