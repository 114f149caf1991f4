//! The memory of pods that refuse to be written to: bounded, with growing delays.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kruise_common::key::ObjectKey;
use kruise_common::plan::{Applied, Outcome};
use kruise_common::reconciler::Reconciler;
use kruise_common::write::{Category, WriteError};
use serde_json::json;

use super::support::set;
use crate::controller::SidecarSetController;
use crate::evicted::Evictions;
use crate::observe::Caches;
use crate::plan::action::Action;
use crate::registration::Unasked;
use crate::roster::Rosters;
use crate::snapshot::Options;

fn controller() -> SidecarSetController {
    let caches = Caches {
        sets: Arc::default(),
        pods: Arc::default(),
        namespaces: Arc::default(),
        revisions: Arc::default(),
        revision_namespace: "kruise-system".into(),
        rosters: Rosters::default(),
        evictions: Evictions::default(),
        library: Arc::default(),
        asked: Arc::default(),
        unasked: Unasked { own: "kruise-system".to_owned(), ..Unasked::default() },
    };
    caches.sets.apply(set(&json!({ "containers": [] })));
    SidecarSetController::new(caches, Options::default())
}

fn attempt(
    controller: &SidecarSetController,
    outcome: Outcome,
    now: Timestamp,
) -> Option<SignedDuration> {
    let pod = ObjectKey::new("ns", "web-0");
    let key = ObjectKey::new("", "log");
    let applied = Applied { outcomes: vec![(Action::UpdatePod { pod: pod.clone() }, outcome)] };
    controller.attempted(&key, &applied, now);
    let snapshot = controller.observe(&key).unwrap();
    snapshot.resting.get(&pod).map(|until| until.duration_since(now))
}

fn failed(category: Category) -> Outcome {
    Outcome::Failed(WriteError::new(category, "no"))
}

#[test]
fn refusals_wait_longer_each_time_and_a_success_makes_them_forgotten() {
    let (it, now) = (controller(), Timestamp::UNIX_EPOCH);
    it.observe(&ObjectKey::new("", "log"));
    let waits: Vec<i64> = (0..12)
        .map(|_| attempt(&it, failed(Category::Forbidden), now).unwrap().as_secs())
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    assert_eq!(attempt(&it, Outcome::Done, now), None);
    assert_eq!(attempt(&it, failed(Category::Invalid), now).unwrap().as_secs(), 1);
}

#[test]
fn races_are_no_refusals() {
    let it = controller();
    for category in [Category::Conflict, Category::NotFound, Category::Server, Category::Throttled]
    {
        assert_eq!(attempt(&it, failed(category), Timestamp::UNIX_EPOCH), None, "{category}");
    }
}

#[test]
fn nothing_is_remembered_for_ever() {
    let it = controller();
    attempt(&it, failed(Category::Forbidden), Timestamp::UNIX_EPOCH);
    let later = Timestamp::from_second(1000).unwrap();
    it.attempted(&ObjectKey::new("", "log"), &Applied::default(), later);
    assert!(it.refusals.of(&ObjectKey::new("", "log")).is_empty());
    attempt(&it, failed(Category::Forbidden), later);
    let gone = ObjectKey::new("", "gone");
    let applied = Applied {
        outcomes: vec![(
            Action::UpdatePod { pod: ObjectKey::new("ns", "x") },
            failed(Category::Forbidden),
        )],
    };
    it.attempted(&gone, &applied, later);
    assert!(it.observe(&gone).is_none());
    assert!(it.refusals.of(&gone).is_empty(), "a set that is gone is forgotten");
    assert_eq!(it.refusals.of(&ObjectKey::new("", "log")).len(), 1);
}
