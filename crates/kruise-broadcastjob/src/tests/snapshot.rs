use jiff::SignedDuration;
use serde_json::{Value, json};

use super::facts::{job, now, snapshot};
use crate::snapshot::{OnFailure, Retry};

#[test]
fn absent_settings_have_the_defaults_that_a_webhook_would_write() {
    let seen = snapshot(&job(&json!({})), [], []);
    let settings = seen.settings;
    assert!(settings.completion.ends && !settings.paused && settings.completion.deadline.is_none());
    assert_eq!(settings.on_failure, OnFailure::FailFast);
    assert_eq!(settings.restart_limit, 0);
    assert!(settings.retry.is_none() && settings.order.waves.is_empty());
}

#[test]
fn unknown_words_mean_what_they_meant_to_openkruise() {
    let change = json!({ "completionPolicy": { "type": "Sometimes" }, "failurePolicy": { "type": "Shrug" } });
    let settings = snapshot(&job(&change), [], []).settings;
    assert!(settings.completion.ends);
    assert_eq!(settings.on_failure, OnFailure::Continue);
}

#[test]
fn nonsense_is_named_with_its_place() {
    for (change, says) in [
        (
            json!({ "parallelism": "x" }),
            "spec.parallelism: \"x\": must be a number or a percentage (e.g. 5 or '10%')",
        ),
        (
            json!({ "failurePolicy": { "maxFailedNodes": -3 } }),
            "spec.failurePolicy.maxFailedNodes: -3: must be greater than or equal to 0",
        ),
        (
            json!({ "rollout": { "waves": [1, "y"] } }),
            "spec.rollout.waves[1]: \"y\": must be a number or a percentage (e.g. 5 or '10%')",
        ),
    ] {
        let problem = snapshot(&job(&change), [], []).settings.invalid.unwrap();
        assert_eq!(problem.to_string(), says);
    }
}

/// W3, W25.
#[test]
fn the_deadline_counts_from_the_stored_start() {
    let deadline = |policy: Value, status: Value| {
        let mut job = job(&json!({ "completionPolicy": policy }));
        job["status"] = status;
        let seen = snapshot(&job, [], []);
        let deadline = seen.deadline(now());
        deadline.map(|at| at.to_string())
    };
    let started = json!({ "startTime": "2026-01-01T00:00:00Z" });
    let given = json!({ "activeDeadlineSeconds": 60 });
    assert_eq!(deadline(given.clone(), started.clone()).as_deref(), Some("2026-01-01T00:01:00Z"));
    assert_eq!(
        deadline(given, json!({})).as_deref(),
        Some("2026-01-01T00:11:00Z"),
        "it begins now"
    );
    assert_eq!(deadline(json!({}), started.clone()), None);
    assert_eq!(
        deadline(json!({ "type": "Never", "activeDeadlineSeconds": 60 }), started.clone()),
        None
    );
    let paused = json!({
        "startTime": "2026-01-01T00:00:00Z", "pausedSeconds": 30, "pausedSince": "2026-01-01T00:09:00Z",
    });
    let stopped = json!({ "activeDeadlineSeconds": 60, "stopClockWhilePaused": true });
    assert_eq!(deadline(stopped, paused.clone()).as_deref(), Some("2026-01-01T00:02:30Z"));
    assert_eq!(
        deadline(json!({ "activeDeadlineSeconds": 60 }), paused).as_deref(),
        Some("2026-01-01T00:01:00Z")
    );
    assert!(deadline(json!({ "activeDeadlineSeconds": i64::MAX }), started.clone()).is_some());
    assert_eq!(
        deadline(json!({ "activeDeadlineSeconds": -5 }), started).as_deref(),
        Some("2026-01-01T00:00:00Z")
    );
}

#[test]
fn delays_double_up_to_the_longest() {
    let seconds = SignedDuration::from_secs;
    let retry = Retry { limit: 99, base: seconds(10), most: seconds(60) };
    let delays = [1, 2, 3, 4, 99].map(|failures| retry.delay(failures).as_secs());
    assert_eq!(delays, [10, 20, 40, 60, 60]);
    assert_eq!(retry.delay(0).as_secs(), 10);
}
