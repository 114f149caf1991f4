//! What is remembered of evictions: as long as it says something, and no longer.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kruise_common::intern::Interner;
use kruise_common::key::ObjectKey;
use kruise_common::pod::{Pod, WirePod};
use kruise_common::table::{Table, Wire};
use serde_json::json;

use super::support::running;
use crate::evicted::{Evicted, Evictions, PATIENCE, Workload};

/// A pod of the workload `rs`.
fn pod(name: &str, version: usize) -> Pod {
    let mut object = running();
    object["metadata"]["name"] = json!(name);
    object["metadata"]["uid"] = json!(name);
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    object["metadata"]["ownerReferences"] = json!([
        { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "rs", "controller": true }
    ]);
    let wire: WirePod = serde_json::from_value(object).unwrap();
    wire.into_record(&Interner::default())
}

struct Story {
    it: Evictions,
    pods: Table<Pod>,
}

impl Story {
    /// A workload with these pods, of which one is evicted.
    fn new(names: &[&str]) -> Self {
        let story = Self { it: Evictions::default(), pods: Table::default() };
        for name in names {
            story.pods.apply(pod(name, 1));
        }
        let pods = names.iter().map(|name| Arc::from(*name)).collect();
        let of = Workload { uid: "rs".into(), pods };
        let pod = ObjectKey::new("ns", names[0]);
        let evicted = Evicted { pod, uid: names[0].into() };
        story.it.hear(&key(), [(evicted, &of)].into_iter(), Timestamp::UNIX_EPOCH);
        story
    }

    fn goes(&self, name: &str) {
        self.pods.forget(&ObjectKey::new("ns", name), name);
    }

    /// How many are absent, and whether what came is not as it should be; twice, with the same result.
    fn look(&self, right: bool) -> Vec<(usize, bool)> {
        let look = || {
            let absences = self.it.look(&key(), &self.pods, |_| right).into_values();
            absences.map(|it| (it.pods.len(), it.unproven.is_some())).collect::<Vec<_>>()
        };
        let first = look();
        assert_eq!(first, look());
        first
    }
}

fn key() -> ObjectKey {
    ObjectKey::new("", "log")
}

#[test]
fn a_pod_is_absent_until_another_one_is_there() {
    let story = Story::new(&["a", "b"]);
    story.goes("a");
    assert_eq!(story.look(true), [(1, false)]);
    story.pods.apply(pod("c", 2));
    assert_eq!(story.look(true), []);
}

#[test]
fn a_workload_whose_pod_came_back_wrong_is_remembered() {
    let story = Story::new(&["a", "b"]);
    story.goes("a");
    story.pods.apply(pod("c", 2));
    assert_eq!(story.look(false), [(0, true)]);
    assert_eq!(story.look(true), [], "the set wants what it is now");
}

#[test]
fn an_eviction_that_came_to_nothing_is_forgotten() {
    let story = Story::new(&["a", "b"]);
    assert_eq!(story.look(false), []);
}

#[test]
fn a_workload_without_pods_is_forgotten_after_a_while() {
    let story = Story::new(&["a"]);
    let at = |seconds: i64| {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        story.it.hear(&key(), std::iter::empty(), now);
        story.it.is_empty()
    };
    let mut leaving = pod("a", 2);
    leaving.meta.deleted = leaving.meta.created;
    story.pods.apply(leaving);
    assert_eq!(story.look(true), [(1, false)]);
    let patience = PATIENCE.as_secs();
    assert!(!at(patience), "its last pod has long to terminate");
    story.goes("a");
    assert_eq!(story.look(true), [(1, false)]);
    assert!(!at(patience + 1));
    assert!(!at(2 * patience));
    assert!(at(2 * patience + 1));
}

#[test]
fn a_set_that_is_gone_is_forgotten() {
    let story = Story::new(&["a", "b"]);
    story.it.forget(&key());
    assert!(story.it.is_empty());
}
