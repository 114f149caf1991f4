//! Sets that are about to be stored: asked for before they are, told to the replica that leads, and not for ever.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kruise_api::sidecarset::v1beta1::SidecarSetSpec;
use serde_json::{Value, json};

use crate::announced::{About, Announced};
use crate::choose::Newcomer;

const T: Timestamp = Timestamp::UNIX_EPOCH;

fn spec(change: &Value) -> SidecarSetSpec {
    let mut spec = json!({ "selector": { "matchLabels": { "app": "web" } } });
    json_patch::merge(&mut spec, change);
    serde_json::from_value(spec).unwrap()
}

fn about(change: &Value) -> About {
    About::new("log", &spec(change)).unwrap()
}

fn later() -> Timestamp {
    T.checked_add(SignedDuration::from_secs(10)).unwrap()
}

#[test]
fn a_set_is_asked_for_once_hooks_made_with_it_are_registered() {
    let announced = Announced::default();
    let asked = || announced.announce(about(&json!({})), T);
    assert!(!asked());
    announced.registered(T);
    assert!(!asked(), "they were made before");
    assert_eq!(announced.offer(T), [spec(&json!({}))]);
    assert!(!asked());
    announced.registered(T);
    assert!(!asked(), "API servers hear of it a moment later");
    let soon = T.checked_add(SignedDuration::from_millis(150)).unwrap();
    assert!(announced.announce(about(&json!({})), soon));
    assert_eq!(announced.offer(T).len(), 1, "it may not be stored yet");
    assert_eq!(announced.offer(later()), [], "it never was");
}

#[test]
fn what_asks_about_no_pod_is_not_announced() {
    let paused = spec(&json!({ "injectionStrategy": { "paused": true } }));
    assert_eq!(About::new("log", &paused), None);
    assert_eq!(About::new("log", &spec(&json!({ "selector": null }))), None);
}

#[test]
fn a_selector_that_the_api_server_refuses_is_not_announced() {
    let announced = Announced::default();
    let bad = json!({ "selector": { "matchLabels": { "app": "a b" } } });
    assert!(announced.announce(about(&bad), T), "nothing to wait for");
    announced.hear(&json!([{ "until": later(), "set": about(&bad) }]).to_string(), T);
    announced.hear("nonsense", T);
    assert_eq!(announced.offer(T), []);
}

#[test]
fn other_replicas_hear_of_it() {
    let (other, leader) = (Announced::default(), Announced::default());
    assert_eq!(other.message(T), None);
    other.announce(about(&json!({ "namespace": "shop" })), T);
    let message = other.message(T).unwrap();
    leader.hear(&message, T);
    leader.hear(&message, T);
    assert_eq!(leader.offer(T), [spec(&json!({ "namespace": "shop" }))]);
    assert_eq!(leader.message(T), None, "nobody passes on what he heard");
    other.offer(T);
    other.registered(T);
    assert_eq!(other.message(T), Some(message.clone()), "a third one may not have heard yet");
    other.arrived(|_| true);
    assert_eq!(other.message(T), None, "done");
    leader.hear(&message, later());
    assert_eq!(leader.offer(later()), [], "a message left behind by somebody who died");
}

#[test]
fn a_later_change_of_the_set_overtakes_an_earlier_one() {
    let announced = Announced::default();
    announced.announce(about(&json!({})), T);
    announced.announce(about(&json!({ "namespace": "shop" })), T);
    assert_eq!(announced.offer(T), [spec(&json!({ "namespace": "shop" }))]);
}

#[test]
fn of_many_sets_at_once_no_more_are_kept_than_a_message_holds() {
    let announced = Announced::default();
    let named = |name: usize| About::new(&name.to_string(), &spec(&json!({}))).unwrap();
    assert!((0..100).all(|name| !announced.announce(named(name), T)), "none is asked about yet");
    assert_eq!(announced.offer(T).len(), 64);
    announced.arrived(|about| about.name != "3");
    assert!(!announced.announce(named(99), T));
    assert_eq!(announced.offer(T).len(), 2, "there is room again");
}

/// What is stored later, by whomever, says more than the announcement.
#[test]
fn a_set_that_was_seen_stored_is_not_waited_for() {
    let announced = Announced::default();
    announced.announce(about(&json!({})), T);
    announced.arrived(|_| false);
    assert_eq!(announced.due(T), Some(later()));
    announced.arrived(|it| *it == about(&json!({})));
    assert_eq!((announced.offer(T), announced.due(T)), (Vec::new(), None));
}

/// The message stands there for a while: it would be registered again, and taken back again.
#[test]
fn what_was_stored_since_is_not_heard_once_more() {
    let (other, leader) = (Announced::default(), Announced::default());
    other.announce(about(&json!({})), T);
    // Clocks differ.
    let message = other.message(T).unwrap().replace("1970-01-01T00:00:10Z", "1970-01-01T00:00:30Z");
    leader.hear(&message, T);
    assert_eq!(leader.offer(T).len(), 1);
    leader.arrived(|_| true);
    let then = T.checked_add(SignedDuration::from_secs(2)).unwrap();
    leader.hear(&message, then);
    assert_eq!(leader.offer(then), []);
    assert!(!leader.announce(about(&json!({})), then), "changed away and back");
    assert_eq!(leader.offer(then).len(), 1);
}

#[test]
fn an_earlier_announcement_that_is_heard_later_changes_nothing() {
    let (other, leader) = (Announced::default(), Announced::default());
    other.announce(about(&json!({ "namespace": "old" })), T);
    let message = other.message(T).unwrap();
    let then = T.checked_add(SignedDuration::from_secs(1)).unwrap();
    leader.announce(about(&json!({ "namespace": "new" })), then);
    leader.hear(&message, then);
    assert_eq!(leader.offer(then), [spec(&json!({ "namespace": "new" }))]);
}

/// The pod may be here before the set is.
#[test]
fn a_pod_waits_for_the_set_that_is_on_its_way() {
    let announced = Announced::default();
    announced.announce(about(&json!({ "namespace": "shop" })), T);
    let labels = |app: &str| BTreeMap::from([("app".to_owned(), app.to_owned())]);
    let awaits = |app: &str, namespace: &str, now: Timestamp| {
        let (labels, annotations) = (labels(app), BTreeMap::new());
        let pod = Newcomer {
            labels: &labels,
            annotations: &annotations,
            namespace,
            namespace_labels: None,
        };
        announced.awaits(&pod, now)
    };
    assert!(awaits("web", "shop", T));
    assert!(!awaits("db", "shop", T));
    assert!(!awaits("web", "other", T));
    assert!(!awaits("web", "shop", later()), "the set never came");
    announced.arrived(|_| true);
    assert!(!awaits("web", "shop", T), "the set is there");
}

/// Something else may refuse a set that was accepted here; pods must not wait for it at each of its tries.
#[test]
fn a_pod_does_not_wait_long_for_a_set_that_it_is_asked_about_for() {
    let announced = Announced::default();
    announced.announce(about(&json!({})), T);
    announced.offer(T);
    announced.registered(T);
    let (labels, none) = (BTreeMap::from([("app".to_owned(), "web".to_owned())]), BTreeMap::new());
    let (namespace, namespace_labels) = ("shop", None);
    let pod = Newcomer { labels: &labels, annotations: &none, namespace, namespace_labels };
    let after = |seconds| T.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    assert!(announced.awaits(&pod, after(1)));
    assert!(!announced.awaits(&pod, after(2)));
    assert_eq!(announced.offer(after(2)).len(), 1, "it is asked for yet");
}
