//! The condition `Progressing` and the deadline.

use jiff::{SignedDuration, Timestamp};
use kruise_common::plan::Plan;
use serde_json::{Value, json};

use super::facts::{Facts, alone, now, pod, set};
use crate::plan::action::Action;
use crate::plan::hold::Hold;
use crate::progress::{note, verdict, watch_deadline};
use crate::snapshot::Snapshot;

fn held(holds: Vec<Hold>) -> Plan<Action, Hold> {
    Plan { holds, ..Plan::default() }
}

fn waits() -> Hold {
    Hold::NotAvailableYet { pod: "web-0".to_owned(), until: None }
}

/// A set whose condition has this reason already.
fn known(reason: &str) -> Snapshot {
    let mut set = set(&json!({}));
    let condition = json!({ "type": "Progressing", "status": "True", "reason": reason });
    set["status"] = json!({ "conditions": [condition] });
    Facts::new(&set, []).snapshot("")
}

#[test]
fn what_somebody_has_to_do_comes_first() {
    let hook = Hold::HookPending { pod: "web-1".to_owned(), hook: "preDelete".to_owned() };
    let stuck = Hold::StuckRollout { pod: "web-2".to_owned(), why: "x".to_owned() };
    let late = Hold::ProgressDeadlineExceeded { seconds: 5 };
    let paused = Hold::Paused { outdated: 1 };
    for (holds, expected) in [
        (vec![waits()], ("True", "RollingOut")),
        (vec![waits(), hook.clone()], ("True", "HookPending")),
        (vec![waits(), hook.clone(), stuck.clone()], ("False", "StuckRollout")),
        (vec![stuck, hook, late], ("False", "ProgressDeadlineExceeded")),
        (vec![paused.clone(), waits()], ("True", "RollingOut")),
    ] {
        let verdict = verdict(&known("RollingOut"), &held(holds)).unwrap();
        assert_eq!((verdict.status, verdict.reason), expected);
    }
    let of = |plan| verdict(&known("RollingOut"), &plan).map(|v| (v.status, v.reason));
    assert_eq!(of(held(vec![paused])), Some(("Unknown", "Paused")));
    assert_eq!(of(held(vec![Hold::BelowPartition { kept: 3 }])), Some(("True", "BelowPartition")));
    assert_eq!(of(held(vec![])), Some(("True", "Complete")));
}

/// Else each attempt would write the status.
#[test]
fn the_condition_does_not_say_when_a_refused_write_is_tried_again() {
    let pod = || "web-0".to_owned();
    for hold in [
        Hold::UpdateRefused { pod: pod(), until: now() },
        Hold::DeletionRefused { pod: pod(), until: now() },
        Hold::CreationRefused { pod: pod(), until: now() },
        Hold::OwnerRefused { pod: pod(), until: now() },
    ] {
        let said = verdict(&known("RollingOut"), &held(vec![hold])).unwrap();
        assert_eq!(said.message, format!("{}{{pod: web-0}}", said.reason));
    }
}

/// Else a converged set that is taken over would be written once.
#[test]
fn a_set_that_never_waited_has_no_condition() {
    let none = alone(&json!({}));
    for holds in [
        vec![],
        vec![waits()],
        vec![Hold::BelowPartition { kept: 1 }],
        vec![Hold::OnDelete { outdated: 2 }],
    ] {
        assert_eq!(verdict(&none, &held(holds)), None);
    }
}

#[test]
fn a_wait_is_an_event_once() {
    let stuck = || Hold::StuckRollout { pod: "web-2".to_owned(), why: "x".to_owned() };
    let told = |snapshot: &Snapshot, hold| note(snapshot, &held(vec![hold]));
    let news = told(&known("RollingOut"), stuck()).unwrap();
    assert_eq!((news.warning, news.reason), (true, "Waiting"));
    assert_eq!(news.message, "StuckRollout{pod: web-2, why: x}");
    assert_eq!(told(&known("StuckRollout"), stuck()), None);
    assert_eq!(told(&known("RollingOut"), waits()), None);
    assert!(!told(&known("Complete"), waits()).unwrap().warning);
    let refused = Hold::CreationRefused { pod: "web-0".to_owned(), until: now() };
    assert_eq!(
        told(&known("RollingOut"), refused),
        None,
        "its own event says what the server said"
    );
}

/// Pods became ready five minutes before `now`.
fn deadline(
    seconds: &str,
    pods: Vec<Value>,
    mut plan: Plan<Action, Hold>,
    at: Timestamp,
) -> Vec<Hold> {
    let mut set = set(&json!({}));
    set["metadata"]["annotations"] = json!({ "apps.kruise.io/progress-deadline-seconds": seconds });
    set["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    let snapshot = Facts::new(&set, pods).snapshot("");
    let settings = snapshot.settings.as_ref().unwrap();
    plan.holds.retain(|hold| !matches!(hold, Hold::ProgressDeadline { .. }));
    watch_deadline(&snapshot, settings, &mut plan, at);
    plan.holds
}

#[test]
fn the_deadline_counts_from_the_last_thing_that_got_on() {
    let of =
        |seconds: &str, pods| deadline(seconds, pods, held(vec![waits()]), now()).pop().unwrap();
    let until = now() + SignedDuration::from_secs(1);
    assert_eq!(of("301", vec![pod(0, &json!({}))]), Hold::ProgressDeadline { until });
    assert_eq!(
        of("300", vec![pod(0, &json!({}))]),
        Hold::ProgressDeadlineExceeded { seconds: 300 }
    );
    // Becoming unready is no progress: the set is ten minutes old.
    let mut down = pod(0, &json!({}));
    down["status"]["conditions"][0]["status"] = json!("False");
    assert_eq!(of("301", vec![down]), Hold::ProgressDeadlineExceeded { seconds: 301 });
}

#[test]
fn who_does_something_or_waits_on_purpose_is_not_late() {
    let busy = Plan {
        steps: vec![kruise_common::plan::Step::InOrder(vec![Action::CreateClaims { ordinal: 0 }])],
        ..held(vec![waits()])
    };
    let until = now() + SignedDuration::from_secs(1);
    assert_eq!(deadline("1", vec![], busy, now()).pop(), Some(Hold::ProgressDeadline { until }));
    for wanted in [Hold::Paused { outdated: 1 }, Hold::BelowPartition { kept: 1 }] {
        assert_eq!(deadline("1", vec![], held(vec![wanted.clone()]), now()), [wanted]);
    }
    assert_eq!(deadline("1", vec![], held(vec![]), now()), []);
}
