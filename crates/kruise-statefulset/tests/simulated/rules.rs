//! What must be so before every write, whatever the story (statefulset §22), asked of the cluster as it is right then:
//! of stored objects, never of what the controller believes.

use jiff::{SignedDuration, Timestamp};
use kruise_common::key::ObjectKey;
use kruise_common::kind::{CLAIM, CONTROLLER_REVISION, POD, STATEFUL_SET};
use kruise_common::testing::world::World;
use kruise_common::write::{Patch, Request, Write};
use serde_json::{Value, json};

use crate::builders::{is_true, text};
use crate::foreign;
use crate::story::{Step, Story};

const REVISION: &str = "/metadata/labels/controller-revision-hash";
const STATE: &str = "/metadata/labels/lifecycle.apps.kruise.io~1state";

/// The set of all stories.
pub fn key() -> ObjectKey {
    ObjectKey { namespace: "default".into(), name: "web".into() }
}

/// Image and CPU of the first container of a template or a pod.
pub fn made_of(spec: &Value) -> (&str, &str) {
    (text(spec, "/containers/0/image"), text(spec, "/containers/0/resources/requests/cpu"))
}

/// Pods in the namespace of the set that are not somebody else's, by name.
pub fn pods(world: &World) -> Vec<&Value> {
    let here = world.list(&POD).filter(|pod| text(pod, "/metadata/namespace") == "default");
    here.filter(|pod| !foreign::NAMES.contains(&name(pod))).collect()
}

/// Name of a pod.
pub fn name(pod: &Value) -> &str {
    text(pod, "/metadata/name")
}

fn goes(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}

fn ended(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Failed" | "Succeeded")
}

/// Who is labelled for deletion goes whatever the partition says, and comes back old (SD-2).
fn asked(pod: &Value) -> bool {
    pod["metadata"]["labels"].get("apps.kruise.io/specified-delete").is_some()
}

/// When a condition took its status.
fn since(pod: &Value, kind: &str) -> Option<Timestamp> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
    condition["lastTransitionTime"].as_str()?.parse().ok()
}

/// Ready for long enough, not announced to a hook, and not on its way out (P-7).
pub fn available(world: &World, pod: &Value, step: &Step) -> bool {
    let long = SignedDuration::from_secs(step.min_ready());
    let enough = || since(pod, "Ready").is_some_and(|at| world.now.duration_since(at) >= long);
    let normal = matches!(text(pod, STATE), "" | "Normal");
    is_true(pod, "Ready") && normal && !goes(pod) && enough()
}

/// Whether a pod is at another revision than what the step wants; it is at that which its label says.
pub fn old(world: &World, pod: &Value, step: &Step) -> bool {
    let (image, cpu) = (format!("example.com/app:{}", step.image), step.cpu.to_string());
    let stored = world.get(&CONTROLLER_REVISION, &key().sibling(text(pod, REVISION)));
    let template = stored.and_then(|stored| stored.pointer("/data/spec/template/spec"));
    template.is_none_or(|template| made_of(template) != (&*image, &*cpu))
}

fn operations(write: &Write) -> impl Iterator<Item = &Value> {
    let operations = match &write.request {
        Request::Patch { patch: Patch::Json(operations), .. } => operations.as_array(),
        Request::Patch { .. }
        | Request::Create { .. }
        | Request::Delete { .. }
        | Request::Evict { .. } => None,
    };
    operations.into_iter().flatten().filter(|one| one["op"] != "test")
}

/// A write about a pod, with what it means.
#[expect(clippy::struct_excessive_bools, reason = "a write may mean several of these at once")]
struct Seen<'a> {
    world: &'a World,
    write: &'a Write,
    /// The pod as it is.
    pod: Option<&'a Value>,
    deletes: bool,
    /// It takes the pod out of traffic to update it, or tells a hook that this is to be done.
    takes_out: bool,
    /// It gives the pod another revision.
    relabels: bool,
    changes_image: bool,
    /// The image of the container that starts after the first one.
    changes_late: bool,
}

impl<'a> Seen<'a> {
    fn new(world: &'a World, write: &'a Write) -> Option<Self> {
        if *write.kind != POD {
            return None;
        }
        let touches =
            |path: &str| operations(write).any(|one| text(one, "/path").starts_with(path));
        let patch = matches!(write.request, Request::Patch { .. });
        let body = format!("{:?}", write.request);
        let announces = operations(write)
            .any(|one| text(one, "/path") == STATE && text(one, "/value").starts_with("Preparing"));
        let unreadies = patch && body.contains("InPlaceUpdateReady") && body.contains("False");
        Some(Self {
            world,
            write,
            pod: world.get(&POD, &write.key),
            deletes: matches!(write.request, Request::Delete { .. }),
            takes_out: announces || unreadies,
            relabels: touches(REVISION),
            changes_image: touches("/spec/containers/0/image"),
            changes_late: touches("/spec/containers/1/image"),
        })
    }

    fn rank(&self, step: &Step) -> Option<usize> {
        step.ranks().iter().position(|name| **name == *self.write.key.name)
    }

    fn up(&self, name: &str, step: &Step) -> bool {
        let pod = self.world.get(&POD, &key().sibling(name));
        pod.is_some_and(|pod| available(self.world, pod, step))
    }

    /// The first of these that is not available.
    fn down<'n>(&self, names: &'n [String], step: &Step) -> Option<&'n str> {
        let others = names.iter().filter(|name| ***name != *self.write.key.name);
        others.map(String::as_str).find(|name| !self.up(name, step))
    }
}

/// Checks a write against the cluster as it is right before it.
/// `steps` are those that the controller may believe in: its cache of the set may lag behind.
pub fn any_write(world: &World, write: &Write, steps: &[Step], ordered: Option<usize>) {
    // Everything is bound to what was seen; creation is bound by its name (AC-1).
    match &write.request {
        Request::Delete { uid, .. } | Request::Evict { uid, .. } => assert!(!uid.is_empty()),
        Request::Patch { patch, .. } => assert!(format!("{patch:?}").contains("uid"), "{write}"),
        Request::Create { body } if *write.kind == POD => {
            let wanted = steps.iter().any(|step| step.wanted().contains(&*write.key.name));
            assert!(wanted, "{write}: not wanted");
            assert!(!text(body, "/metadata/ownerReferences/0/uid").is_empty(), "{write}");
        }
        Request::Create { .. } => {}
    }
    assert!(
        !(write.verb() == "delete" && write.kind.plural == "persistentvolumeclaims"),
        "claims are never deleted by the controller (AC-6)"
    );
    let Some(seen) = Seen::new(world, write) else { return };
    // Whoever takes down an available, wanted pod must find room in the budget (AC-2, AC-3).
    let Some(pod) = seen.pod.filter(|_| seen.deletes || seen.takes_out) else { return };
    let fits = |step: &Step| {
        if !available(world, pod, step) || seen.rank(step).is_none() {
            return Ok(());
        }
        let down = step.ranks().iter().filter(|name| !seen.up(name, step)).count();
        let allowed = ordered.unwrap_or(usize::try_from(step.max_unavailable).unwrap());
        if down < allowed { Ok(()) } else { Err(format!("{down} of {allowed} are down already")) }
    };
    let problems: Vec<String> = steps.iter().filter_map(|step| fits(step).err()).collect();
    assert!(problems.len() < steps.len(), "{write}: {problems:?}");
}

/// What must be so besides if the controller knows the cluster as it is.
pub fn informed_write(world: &World, write: &Write, story: &Story, step: &Step) {
    let Some(seen) = Seen::new(world, write) else { return };
    ownership(&seen);
    partition(&seen, story, step);
    hooks(&seen, story, step);
    batches(&seen);
    if story.ordered && story.at_once == 1 {
        order(&seen, step);
    }
    if story.priorities && story.grows.is_none() && step.refused.is_none() {
        priority(&seen, step);
    }
}

/// PO-4: no available pod is taken down for its update before one that is to go first.
fn priority(seen: &Seen<'_>, step: &Step) {
    let Seen { world, write, .. } = *seen;
    let preferred = |pod: &Value| pod["metadata"]["labels"]["prefer"] == "yes";
    let Some(pod) = seen.pod.filter(|_| seen.deletes || seen.takes_out) else { return };
    let starts = seen.rank(step).is_some() && old(world, pod, step) && available(world, pod, step);
    if !starts || preferred(pod) || asked(pod) || ended(pod) {
        return;
    }
    let waits = |name: &&String| {
        let other = world.get(&POD, &key().sibling(&***name));
        other.is_some_and(|other| {
            preferred(other) && old(world, other, step) && available(world, other, step)
        })
    };
    let first = step.ranks().iter().find(waits).cloned();
    assert_eq!(first, None, "{write}: before a pod that is to go first");
}

/// Only what the set owns is touched, or taken over and nothing else.
fn ownership(seen: &Seen<'_>) {
    let (Some(pod), write) = (seen.pod, seen.write) else { return };
    let set = seen.world.get(&STATEFUL_SET, &key()).map(|set| text(set, "/metadata/uid"));
    let owner = text(pod, "/metadata/ownerReferences/0/uid");
    assert_eq!(&*write.key.namespace, "default", "{write}: in another namespace");
    let adopts = write.guard.is_some() && owner.is_empty();
    assert!(Some(owner) == set || adopts, "{write}: of a pod that is owned by {owner:?}");
}

/// AC-4: whoever leaves the old revision leaves enough behind. Without order the partition is a number of pods; with it,
/// the ranks below it: a missing one comes back old.
fn partition(seen: &Seen<'_>, story: &Story, step: &Step) {
    let Seen { world, write, .. } = *seen;
    let rank = seen.rank(step);
    let kept = step.kept();
    let protected = rank.filter(|rank| *rank < kept && !story.unordered);
    let made_old = rank.is_some_and(|rank| rank < step.made_old() && !story.unordered);
    if let Request::Create { body } = &write.request {
        let set = world.get(&STATEFUL_SET, &key());
        let current = set.map(|set| text(set, "/status/currentRevision")).unwrap_or_default();
        if made_old && !current.is_empty() {
            assert_eq!(text(body, REVISION), current, "{write}: below the partition");
        }
    }
    let Some(pod) = seen.pod.filter(|_| seen.deletes || seen.relabels) else { return };
    if rank.is_none() || !old(world, pod, step) || asked(pod) || ended(pod) || goes(pod) {
        return;
    }
    assert!(protected.is_none(), "{write}: rank {rank:?} is below partition {kept}");
    let stays = |(rank, name): (usize, &String)| {
        let pod = world.get(&POD, &key().sibling(&**name));
        let below = !story.unordered && rank < kept;
        below || pod.is_some_and(|pod| old(world, pod, step))
    };
    let before = step.ranks().iter().enumerate().filter(|one| stays(*one)).count();
    assert!(before > kept.min(before), "{write}: only {before} old pods, partition {kept}");
}

/// AC-5: no pod is deleted while a hook holds it; no image changes before that, and before the end of the grace period.
fn hooks(seen: &Seen<'_>, story: &Story, step: &Step) {
    let Some(pod) = seen.pod.filter(|_| seen.deletes || seen.changes_image) else { return };
    let write = seen.write;
    let marked =
        |label: &str| story.hooks && pod["metadata"]["labels"].get(label) == Some(&json!("yes"));
    let held = (seen.deletes && marked("block")) || (seen.changes_image && marked(story.drain()));
    assert!(!held, "{write}: its hook holds it");
    if seen.changes_image {
        let grace = SignedDuration::from_secs(step.grace.into());
        let unready = since(pod, "InPlaceUpdateReady");
        let long = unready.is_some_and(|at| seen.world.now.duration_since(at) >= grace);
        let out = !is_true(pod, "InPlaceUpdateReady");
        assert!(out && long, "{write}: before the end of its grace period");
    }
}

/// §15: whoever starts later gets its image after the others run with theirs.
fn batches(seen: &Seen<'_>) {
    let Some(pod) = seen.pod.filter(|_| seen.changes_late) else { return };
    let write = seen.write;
    assert!(!seen.changes_image, "{write}: both at once");
    let runs = &pod["status"]["containerStatuses"][0];
    assert_eq!(runs["name"], "app");
    assert_eq!(runs["image"], pod["spec"]["containers"][0]["image"], "{write}: before app");
    assert_eq!(runs["ready"], true, "{write}: before app is ready");
}

/// AC-2: one at a time, created from below, updated and removed from above.
fn order(seen: &Seen<'_>, step: &Step) {
    let Seen { world, write, .. } = *seen;
    let (ranks, rank) = (step.ranks(), seen.rank(step));
    if matches!(write.request, Request::Create { .. }) {
        let below = &ranks[..rank.unwrap()];
        assert_eq!(seen.down(below, step), None, "{write}: before a lower one is available");
        return;
    }
    let Some(pod) = seen.pod.filter(|pod| !goes(pod) && !ended(pod)) else { return };
    let Some(rank) = rank else {
        if seen.deletes {
            assert_eq!(
                seen.down(&ranks, step),
                None,
                "{write}: before all that stay are available"
            );
            let ordinal = |name: &str| name.rsplit('-').next().unwrap().parse::<i32>().unwrap();
            // One that somebody let go of, and that ends, is not the set's any more.
            let ownerless =
                |pod: &&Value| goes(pod) && pod["metadata"]["ownerReferences"].is_null();
            let condemned = pods(world).into_iter().filter(|pod| !ownerless(pod)).map(name);
            let condemned = condemned.filter(|name| !ranks.iter().any(|wanted| wanted == name));
            let last = condemned.map(ordinal).max();
            assert_eq!(
                last,
                Some(ordinal(&write.key.name)),
                "{write}: before a higher one is gone"
            );
        }
        return;
    };
    // Whatever the pod itself is like, a hook that lets go of it included, it waits for those above it.
    let above = &ranks[rank + 1..];
    if seen.relabels || (seen.deletes && old(world, pod, step)) {
        assert_eq!(seen.down(above, step), None, "{write}: while one above is down");
    }
    let starts = seen.deletes || seen.takes_out || seen.relabels;
    if starts && available(world, pod, step) {
        assert_eq!(seen.down(&ranks, step), None, "{write}: while another is down");
        let left = |name: &&String| {
            let pod = world.get(&POD, &key().sibling(&***name));
            pod.is_some_and(|pod| old(world, pod, step))
        };
        let before = above.iter().find(left);
        assert!(asked(pod) || before.is_none(), "{write}: before {before:?}");
    }
}

/// The claim of a pod.
pub fn claim_of(pod: &str) -> ObjectKey {
    key().sibling(format!("data-{pod}"))
}

/// Storage in Gi.
fn gigabytes(claim: &Value, path: &str) -> u32 {
    text(claim, path).trim_end_matches("Gi").parse().unwrap_or(0)
}

/// RS-9, RS-10: as many claims as the update concerns have grown, and whoever asked for more has got it.
fn small_claims(world: &World, story: &Story, step: &Step) -> Option<String> {
    story.grows?;
    let fits = |name: &&String| {
        let claim = world.get(&CLAIM, &claim_of(name)).unwrap();
        let asked = gigabytes(claim, "/spec/resources/requests/storage");
        asked >= step.size.into() && gigabytes(claim, "/status/capacity/storage") >= asked
    };
    let ranks = step.ranks();
    let small = ranks.iter().filter(|name| !fits(name)).count();
    (small > step.kept()).then(|| format!("{small} claims are too small"))
}

/// 16.3, PV-10: claims of pods that are there have the owners that the policy prescribes.
pub fn owners(world: &World, story: &Story, step: &Step) {
    let wanted: &[&str] = if step.retention.0 { &["StatefulSet"] } else { &[] };
    for name in step.ranks().iter().filter(|_| story.claims) {
        let claim = world.get(&CLAIM, &claim_of(name)).unwrap();
        let owners = claim.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let kinds: Vec<&str> =
            owners.into_iter().flatten().map(|owner| text(owner, "/kind")).collect();
        assert_eq!(kinds, wanted, "{name}: {:?}", step.retention);
    }
}

/// What is missing until the set is what its owner asks for, if anything.
pub fn missing(world: &World, story: &Story, step: &Step) -> Option<String> {
    let set = world.get(&STATEFUL_SET, &key())?;
    let uid = text(set, "/metadata/uid");
    let pods = pods(world);
    let ranks = step.ranks();
    for name in &ranks {
        let Some(pod) = pods.iter().find(|pod| text(pod, "/metadata/name") == name) else {
            return Some(format!("{name} is not there"));
        };
        if !available(world, pod, step) {
            return Some(format!("{name} is not available"));
        }
        if text(pod, "/metadata/ownerReferences/0/uid") != uid {
            return Some(format!("{name} is not owned"));
        }
        if story.claims && world.get(&CLAIM, &claim_of(name)).is_none() {
            return Some(format!("{name} has no claim"));
        }
    }
    if let Some(small) = small_claims(world, story, step) {
        return Some(small);
    }
    if let Some(more) = pods.iter().find(|pod| !ranks.contains(&name(pod).to_owned())) {
        return Some(format!("{} is one too many", name(more)));
    }
    let outdated = pods.iter().filter(|pod| old(world, pod, step)).count();
    (outdated > step.kept()).then(|| format!("{outdated} pods are old"))
}
