//! What goes wrong in a story, and who else acts in it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::SignedDuration;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{POD, STATEFUL_SET};
use kruise_common::testing::drive::Fate;
use kruise_common::write::{Patch, Request, Write};
use serde_json::{Value, json};

use crate::builders::{Sim, merge, text};
use crate::rules::{key, name, pods};
use crate::story::{Refusal, Step, Story, Updates};

/// What goes wrong in a story.
#[derive(Clone, Copy, Default)]
pub struct Trouble {
    /// Writes fail, answers are lost, the controller crashes.
    pub faults: bool,
    /// Each kind's cache lags by itself.
    pub lag: bool,
}

/// What is refused at present.
pub type Refused = Rc<Cell<Option<Refusal>>>;

/// Lets caches lag as the story says, and no more than some turns in a row.
pub fn lag(sim: &mut Sim, story: &Story) {
    let lags = story.lags.clone();
    let mut asked = 0;
    sim.lag = Some(Box::new(move |kind| {
        asked += 1;
        let bits = lags.get(asked / 4).copied().unwrap_or_default();
        // Sets lag less than pods, for a turn without news of the set is the rarer case.
        bits & (1 << (asked % 8)) != 0 && (kind != &STATEFUL_SET || bits & 1 == 0)
    }));
}

/// Lets writes fail as the story says, and those that somebody refuses for as long as he does.
pub fn fail(sim: &mut Sim, story: &Story, trouble: Trouble, refused: &Refused) {
    let fates = if trouble.faults { story.fates.clone() } else { Vec::new() };
    let refused = refused.clone();
    // A policy says 403, the API server itself 422.
    let invalid = story.releases.len().is_multiple_of(2);
    let mut asked = 0;
    sim.fate = Box::new(move |_, write| {
        if refused.get().is_some_and(|refusal| concerns(refusal, write)) {
            return if invalid { Fate::Unfit } else { Fate::Denied };
        }
        asked += 1;
        match fates.get(asked) {
            Some(0) => Fate::NoAnswer,
            Some(1 | 2) => Fate::Refused,
            Some(3 | 4) => Fate::DoneThenCrash,
            _ => Fate::Done,
        }
    });
}

/// Whether a refusal concerns the write.
fn concerns(refusal: Refusal, write: &Write) -> bool {
    if *write.kind != POD {
        return false;
    }
    let operations = match &write.request {
        Request::Create { .. } => return refusal == Refusal::Pods,
        Request::Patch { patch: Patch::Json(operations), .. } => operations.as_array(),
        _ => None,
    };
    let mut operations = operations.into_iter().flatten().filter(|one| one["op"] != "test");
    let (path, value) = match refusal {
        Refusal::Image(image) => {
            ("/spec/containers/0/image", format!("\"example.com/app:{image}\""))
        }
        Refusal::Cpu(cpu) => ("/spec/containers/0/resources", format!("\"{cpu}\"")),
        Refusal::Pods => return false,
    };
    operations.any(|one| {
        text(one, "/path").starts_with(path) && one["value"].to_string().contains(&value)
    })
}

/// How many seconds a refusal is suffered before it is looked at what comes of it.
const SUFFERED: usize = 60;

/// Lives with what is refused: it is tried again and again, and time goes on.
pub fn endure(sim: &mut Sim) {
    for _ in 0..SUFFERED {
        let _ = sim.settle(&key(), 1);
        sim.world.now += SignedDuration::from_secs(1);
    }
}

/// Whether what is asked for next needs nothing of what is refused: then it does not have to be lifted. A pod that falls
/// below a partition in the midst of its update has to go on to where it was going.
pub fn gets_around(refusal: Refusal, next: &Step) -> bool {
    let other = match refusal {
        Refusal::Image(image) => image != next.image,
        Refusal::Cpu(cpu) => cpu != next.cpu,
        Refusal::Pods => false,
    };
    other && next.partition == 0 && next.updates == Updates::Rolling && next.refused.is_none()
}

/// The owner of the hooks: lets a pod go some turns after it was announced, and takes it again when it was updated. Who
/// waits longest in the story is not the first that was announced.
pub fn play_hooks(sim: &mut Sim, story: &Story) {
    let mut waits: BTreeMap<String, u8> = BTreeMap::new();
    let releases = story.releases.clone();
    let drain = story.drain();
    let mut told = 0;
    sim.actor = Box::new(move |world| {
        let marker =
            |pod: &Value| match text(pod, "/metadata/labels/lifecycle.apps.kruise.io~1state") {
                "PreparingUpdate" => Some((drain, Value::Null)),
                "PreparingDelete" => Some(("block", Value::Null)),
                "Updated" => Some((drain, json!("yes"))),
                _ => None,
            };
        let due = |pod: &Value| {
            let (label, wanted) = marker(pod)?;
            let known = pod["metadata"]["labels"].get(label).cloned().unwrap_or_default();
            let pod = key().sibling(name(pod));
            (known != wanted).then_some((pod, json!({ label: wanted })))
        };
        let due: Vec<(ObjectKey, Value)> = pods(world).into_iter().filter_map(due).collect();
        for (pod, block) in &due {
            let left = waits.entry(format!("{pod} {block}")).or_insert_with(|| {
                told += 1;
                releases[told % releases.len()] % 8
            });
            if *left > 0 {
                *left -= 1;
                continue;
            }
            waits.remove(&format!("{pod} {block}"));
            let labels = json!({ "metadata": { "labels": block } });
            world.edit(&POD, pod, |pod| merge(pod, &labels));
        }
        !due.is_empty()
    });
}
