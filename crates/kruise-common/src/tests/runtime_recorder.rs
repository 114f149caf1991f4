//! Kubernetes Events: what is posted, counted up and held back, under a virtual clock.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::support::{Answer, Log, Seen, api, failure, key, leader_until, ms, pass, s, value};
use crate::key::ObjectKey;
use crate::kind::{SIDECAR_SET, STATEFUL_SET};
use crate::plan::Note;
use crate::runtime::leader::{Leadership, disabled};
use crate::runtime::metrics::Metrics;
use crate::runtime::recorder::{Recorder, name as event_name, recorder};

struct Posts {
    recorder: Recorder,
    log: Log,
    metrics: Metrics,
}

fn posts(
    leadership: Leadership,
    answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
) -> Posts {
    let (client, log) = api(answer);
    let metrics = Metrics::new("statefulset-controller").unwrap();
    let (recorder, poster) =
        recorder(client, "statefulset-controller", leadership, metrics.clone());
    tokio::spawn(poster.run(CancellationToken::new()));
    Posts { recorder, log, metrics }
}

fn stored(request: &Seen) -> Answer {
    let mut body = request.body.clone();
    if request.method == "PATCH" {
        body = json!({"metadata": {"name": "e"}, "involvedObject": {}});
    }
    Answer::Json(201, body)
}

impl Posts {
    async fn note(&self, uid: &str, text: &str) {
        let note = Note::normal("SuccessfulCreate", text);
        self.recorder.record(&STATEFUL_SET, &key("web"), uid, note);
        pass(ms(1)).await;
    }

    fn methods(&self) -> String {
        self.log.lock().unwrap().iter().map(|seen| &seen.method[..2]).collect::<Vec<_>>().join(" ")
    }

    fn bodies(&self) -> Vec<Value> {
        self.log.lock().unwrap().iter().map(|seen| seen.body.clone()).collect()
    }

    fn dropped(&self) -> f64 {
        value(&self.metrics, "kruise_events_dropped_total")
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_names_the_object_the_reason_and_us() {
    let it = posts(disabled(), stored);
    let note = Note::warning("FailedCreate", "no room");
    it.recorder.record(&STATEFUL_SET, &key("web"), "uid", note);
    pass(ms(1)).await;
    let seen = it.log.lock().unwrap()[0].clone();
    assert_eq!(seen.path.trim_end_matches('?'), "/api/v1/namespaces/ns/events");
    let mut body = seen.body;
    let name = body["metadata"]["name"].take();
    assert!(name.as_str().unwrap().starts_with("web."), "{name}");
    assert_eq!(body["firstTimestamp"].take(), body["lastTimestamp"].take());
    let wanted = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": null, "namespace": "ns"},
        "involvedObject": {
            "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet",
            "namespace": "ns", "name": "web", "uid": "uid",
        },
        "type": "Warning", "reason": "FailedCreate", "message": "no room", "count": 1,
        "source": {"component": "statefulset-controller"},
        "reportingComponent": "statefulset-controller",
        "firstTimestamp": null, "lastTimestamp": null,
    });
    assert_eq!(body, wanted);
}

/// The API server takes Events about what belongs to no namespace in `default` only (sidecarset §22).
#[tokio::test(start_paused = true)]
async fn an_event_about_an_object_without_a_namespace_is_in_default() {
    let it = posts(disabled(), stored);
    let log = ObjectKey::new("", "log");
    for _ in 0..2 {
        it.recorder.record(&SIDECAR_SET, &log, "uid", Note::normal("RolloutStarted", "now"));
        pass(ms(1)).await;
    }
    let seen = it.log.lock().unwrap().clone();
    assert_eq!(seen[0].path.trim_end_matches('?'), "/api/v1/namespaces/default/events");
    assert_eq!(seen[0].body["metadata"]["namespace"], "default");
    let about = json!({ "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "name": "log", "uid": "uid" });
    assert_eq!(seen[0].body["involvedObject"], about);
    assert!(seen[1].path.starts_with("/api/v1/namespaces/default/events/log."), "{}", seen[1].path);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_counts_up_the_first_one_for_ten_minutes() {
    let it = posts(disabled(), stored);
    for _ in 0..3 {
        it.note("a", "same").await;
    }
    it.note("a", "other").await;
    it.note("b", "same").await;
    assert_eq!(it.methods(), "PO PA PA PO PO");
    let bodies = it.bodies();
    assert_eq!((&bodies[1]["count"], &bodies[2]["count"]), (&json!(2), &json!(3)));
    let (first, last) = {
        let log = it.log.lock().unwrap();
        (log[0].body["metadata"]["name"].as_str().unwrap().to_owned(), log[2].path.clone())
    };
    assert!(last.trim_end_matches('?').ends_with(&format!("/events/{first}")), "{last}");
    pass(s(601)).await;
    it.note("a", "same").await;
    assert!(it.methods().ends_with("PO PO PO"), "{}", it.methods());
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_an_event_that_expired_is_posted_anew() {
    let it = posts(disabled(), |request| match request.method.as_str() {
        "PATCH" => failure(404, "NotFound"),
        _ => stored(request),
    });
    for _ in 0..2 {
        it.note("a", "same").await;
    }
    assert_eq!(it.methods(), "PO PA PO");
}

#[tokio::test(start_paused = true)]
async fn an_object_has_a_burst_of_25_and_one_more_each_five_minutes() {
    let it = posts(disabled(), stored);
    for number in 0..40 {
        it.note("a", &number.to_string()).await;
    }
    assert_eq!(it.bodies().len(), 25);
    assert!((it.dropped() - 15.0).abs() < 0.1);
    it.note("b", "another object").await;
    assert_eq!(it.bodies().len(), 26);
    pass(s(301)).await;
    for number in 0..4 {
        it.note("a", &format!("later {number}")).await;
    }
    assert_eq!(it.bodies().len(), 27);
    // Repeats are writes too.
    it.note("b", "another object").await;
    for _ in 0..40 {
        it.note("b", "another object").await;
    }
    assert!(it.bodies().len() <= 27 + 26);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_dropped_and_nobody_waits() {
    let it = posts(disabled(), |_| Answer::Silent);
    for number in 0..600 {
        let note = Note::normal("SuccessfulCreate", number.to_string());
        it.recorder.record(&STATEFUL_SET, &key("web"), &number.to_string(), note);
    }
    assert!((it.dropped() - 88.0).abs() < 0.1, "{}", it.dropped());
    // One that is never answered holds up the others for ten seconds only.
    pass(s(11)).await;
    assert_eq!(it.bodies().len(), 2);
}

/// The limit of an object counts before the queue, or the noisy one would fill it and the quiet one would not be heard.
#[tokio::test(start_paused = true)]
async fn one_noisy_object_crowds_out_no_other() {
    let it = posts(disabled(), stored);
    for number in 0..600 {
        let note = Note::normal("SuccessfulCreate", number.to_string());
        it.recorder.record(&STATEFUL_SET, &key("web"), "noisy", note);
    }
    it.note("quiet", "the only one").await;
    pass(ms(10)).await;
    let about: Vec<Value> =
        it.bodies().iter().map(|body| body["involvedObject"]["uid"].clone()).collect();
    assert_eq!(about.iter().filter(|uid| **uid == "noisy").count(), 25);
    assert_eq!(about.last(), Some(&json!("quiet")));
    assert!((it.dropped() - 575.0).abs() < 0.1, "{}", it.dropped());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_the_end() {
    let it = posts(disabled(), |_| failure(500, "InternalError"));
    it.note("a", "one").await;
    it.note("a", "one").await;
    it.note("a", "two").await;
    assert_eq!(it.methods(), "PO PO PO");
}

#[tokio::test(start_paused = true)]
async fn a_standby_posts_nothing() {
    let stop = CancellationToken::new();
    let leadership = leader_until(stop.clone()).await;
    let it = posts(leadership, stored);
    it.note("a", "leads").await;
    stop.cancel();
    pass(ms(1)).await;
    it.note("a", "does not").await;
    assert_eq!(it.bodies().len(), 1);
}

/// A name may have 253 characters, that of an event too.
#[test]
fn events_about_objects_with_long_names_have_names_that_do() {
    let id = uuid::Uuid::nil();
    assert_eq!(event_name("web", &id), format!("web.{}", "0".repeat(32)));
    let long = event_name(&"a".repeat(253), &id);
    assert_eq!(long.len(), 253);
    let dotted = format!("{}.{}", "a".repeat(219), "b".repeat(33));
    assert_eq!(event_name(&dotted, &id), format!("{}.{}", "a".repeat(219), "0".repeat(32)));
}
