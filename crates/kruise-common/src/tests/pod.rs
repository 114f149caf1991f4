//! Questions asked of a pod.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::intern::Interner;
use crate::pod::{Availability, Pod, WirePod, parse_name};
use crate::table::Wire;

fn pod(value: Value) -> Pod {
    let wire: WirePod = serde_json::from_value(value).unwrap();
    wire.into_record(&Interner::default())
}

fn running(ready: &Value) -> Pod {
    pod(json!({"status": {"phase": "Running", "conditions": [ready]}}))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn ready_means_running_and_said_so() {
    let condition = |status: &str| json!({"type": "Ready", "status": status});
    assert!(running(&condition("True")).ready());
    assert!(!running(&condition("False")).ready() && !running(&condition("Unknown")).ready());
    assert!(
        !pod(json!({"status": {"phase": "Pending", "conditions": [condition("True")]}})).ready()
    );
    assert!(!pod(json!({"status": {"phase": "Running"}})).ready());
    let terminating = json!({
        "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"phase": "Running", "conditions": [condition("True")]},
    });
    assert!(pod(terminating.clone()).ready() && pod(terminating).terminating());
}

#[test]
fn ended_pods_are_those_that_succeeded_or_failed() {
    let ended = |phase: &str| pod(json!({"status": {"phase": phase}})).ended();
    assert!(ended("Succeeded") && ended("Failed"));
    assert!(!ended("Running") && !ended("Pending") && !ended("Unknown") && !ended(""));
}

#[test]
fn a_pod_is_available_after_it_was_ready_long_enough() {
    let since =
        json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let pod = running(&since);
    let now = at("2026-01-01T00:00:30Z");
    assert_eq!(pod.availability(0, now), Availability::Available);
    assert_eq!(pod.availability(-1, now), Availability::Available);
    assert_eq!(pod.availability(30, now), Availability::Available);
    assert_eq!(pod.availability(31, now), Availability::At(at("2026-01-01T00:00:31Z")));
    assert_eq!(
        running(&json!({"type": "Ready", "status": "False"})).availability(0, now),
        Availability::NotReady
    );
}

/// the clock of a node may be ahead, or the time may be missing.
#[test]
fn nobody_waits_longer_than_the_asked_time() {
    let now = at("2026-01-01T00:00:00Z");
    let longest = Availability::At(now.checked_add(SignedDuration::from_secs(10)).unwrap());
    for time in [json!("2027-01-01T00:00:00Z"), Value::Null] {
        let pod = running(&json!({"type": "Ready", "status": "True", "lastTransitionTime": time}));
        assert_eq!(pod.availability(10, now), longest, "{time}");
    }
    let pod = running(
        &json!({"type": "Ready", "status": "True", "lastTransitionTime": "1990-01-01T00:00:00Z"}),
    );
    assert_eq!(pod.availability(i32::MAX, now), Availability::At(at("2058-01-19T03:14:07Z")));
}

#[test]
fn names_are_split_at_the_last_number() {
    for (name, wanted) in [
        ("web-0", Some(("web", 0))),
        ("a-1-22", Some(("a-1", 22))),
        ("web-007", Some(("web", 7))),
        ("-5", Some(("", 5))),
        ("web-2147483647", Some(("web", i32::MAX))),
        ("web-2147483648", None),
        ("web-", None),
        ("web", None),
        ("web-1a", None),
        ("web-+1", None),
        ("web--1", Some(("web-", 1))),
        ("web-١", None),
    ] {
        assert_eq!(parse_name(name), wanted, "{name}");
    }
}
