//! What goes over the wire, what the answers mean, and where they go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::support::{
    Answer, Log, Seen, api, failure, key, leader_until, lines, meta, ms, now, pass, s, value,
};
use crate::key::ObjectKey;
use crate::kind::{POD, STATEFUL_SET};
use crate::runtime::leader::{Leadership, disabled};
use crate::runtime::limiter::Patience;
use crate::runtime::metrics::Metrics;
use crate::runtime::writer::{Sink, Writer, WriterConfig};
use crate::write::{Category, Guard, Operations, Write, WriteError};

mod answers;

/// What came into the cache of pods.
#[derive(Default)]
struct Cache {
    told: Mutex<Vec<String>>,
    /// UID of every pod that is asked for.
    known: Mutex<Option<&'static str>>,
    lists: AtomicU64,
}

impl Sink for Cache {
    fn stored(&self, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).unwrap();
        self.told.lock().unwrap().push(format!("stored {}", body["metadata"]["name"]));
    }

    fn lists(&self) -> u64 {
        self.lists.load(Ordering::SeqCst)
    }

    fn uid(&self, _: &ObjectKey) -> Option<Arc<str>> {
        self.known.lock().unwrap().map(Arc::from)
    }

    fn removed(&self, key: &ObjectKey, uid: &str) {
        self.told.lock().unwrap().push(format!("removed {key} {uid}"));
    }
}

struct Fixture {
    writer: Writer,
    log: Log,
    cache: Arc<Cache>,
    metrics: Metrics,
}

fn fixture(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Fixture {
    led_by(disabled(), answer)
}

fn led_by(
    leadership: Leadership,
    answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
) -> Fixture {
    let (client, log) = api(answer);
    let cache = Arc::new(Cache { known: Mutex::new(Some("u")), ..Cache::default() });
    let metrics = Metrics::new("statefulset-controller").unwrap();
    let sinks: HashMap<_, Arc<dyn Sink>> =
        HashMap::from([("pods", cache.clone() as Arc<dyn Sink>)]);
    let config = WriterConfig { in_flight: 4, timeout: s(30) };
    let writer = Writer::new(client, leadership, metrics.clone(), config, sinks);
    Fixture { writer, log, cache, metrics }
}

/// Sends with all the time of the world.
async fn send(writer: &Writer, owner: &str, write: &Write) -> Result<(), WriteError> {
    writer.send(&key(owner), write, &Patience::of(s(3600))).await.map(|sent| assert!(sent))
}

impl Fixture {
    async fn send(&self, write: &Write) -> Result<(), Category> {
        send(&self.writer, "set", write).await.map_err(|error| error.category)
    }

    fn cached(&self) -> Vec<String> {
        std::mem::take(&mut *self.cache.told.lock().unwrap())
    }

    fn last(&self) -> Seen {
        self.log.lock().unwrap().last().unwrap().clone()
    }
}

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "uid": "u"}})
}

fn delete() -> Write {
    Write::delete(&POD, &meta("web-0", "u", 5, ""))
}

fn patch() -> Write {
    let operations = Operations::default().replace(&["spec", "x"], 1);
    Write::json(&POD, &meta("web-0", "u", 5, ""), operations)
}

#[tokio::test(start_paused = true)]
async fn a_creation_is_posted_to_the_collection() {
    let at = fixture(|_| Answer::Json(201, pod()));
    let body = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}});
    at.send(&Write::create(&POD, key("web-0"), body)).await.unwrap();
    let seen = at.last();
    assert_eq!(seen.line(), "POST /api/v1/namespaces/ns/pods");
    assert_eq!(seen.content, "application/json");
    let metadata = json!({"name": "web-0", "namespace": "ns", "labels": {"a": "b"}});
    assert_eq!(seen.body["metadata"], metadata);
    assert_eq!(at.cached(), [r#"stored "web-0""#]);
}

#[tokio::test(start_paused = true)]
async fn patches_carry_the_uid_and_their_content_type() {
    let at = fixture(|_| Answer::Json(200, pod()));
    let meta = meta("web-0", "u", 5, "");
    let operations = Operations::default().add(&["metadata", "labels", "a/b"], "c");
    at.send(&Write::json(&POD, &meta, operations.clone())).await.unwrap();
    let seen = at.last();
    assert_eq!(seen.line(), "PATCH /api/v1/namespaces/ns/pods/web-0");
    assert_eq!(seen.content, "application/json-patch+json");
    let body = json!([
        {"op": "test", "path": "/metadata/uid", "value": "u"},
        {"op": "add", "path": "/metadata/labels/a~1b", "value": "c"},
    ]);
    assert_eq!(seen.body, body);
    at.send(&Write::json_status(&STATEFUL_SET, &meta, operations)).await.unwrap();
    let path = "/apis/apps.kruise.io/v1beta1/namespaces/ns/statefulsets/web-0/status";
    assert_eq!((at.last().path.as_str(), &at.last().body), (path, &body));
    at.send(&Write::strategic(&POD, &meta, json!({"spec": {"x": 1}}))).await.unwrap();
    let seen = at.last();
    assert_eq!(seen.content, "application/strategic-merge-patch+json");
    assert_eq!(seen.body, json!({"spec": {"x": 1}, "metadata": {"uid": "u"}}));
    let change = json!({"metadata": {"labels": {"a": "b"}}});
    at.send(&Write::strategic_status(&POD, &meta, change)).await.unwrap();
    let seen = at.last();
    assert_eq!(seen.line(), "PATCH /api/v1/namespaces/ns/pods/web-0/status");
    assert_eq!(seen.body, json!({"metadata": {"labels": {"a": "b"}, "uid": "u"}}));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_carries_the_uid_and_nothing_that_overrides_the_grace() {
    let at = fixture(|_| Answer::Json(200, pod()));
    at.send(&delete()).await.unwrap();
    let seen = at.last();
    assert_eq!(seen.line(), "DELETE /api/v1/namespaces/ns/pods/web-0");
    let options =
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "u"}});
    assert_eq!(seen.body, options);
    at.send(&Write::delete_as_seen(&POD, &meta("web-0", "u", 5, ""))).await.unwrap();
    let both = json!({"uid": "u", "resourceVersion": "5"});
    assert_eq!(at.last().body["preconditions"], both);
}

#[tokio::test(start_paused = true)]
async fn the_cache_knows_whether_a_deleted_object_is_still_there() {
    let removed = "removed ns/web-0 u".to_owned();
    let stored = r#"stored "web-0""#.to_owned();
    let there = vec![stored.clone()];
    // Its last state first: that may be news.
    let gone = vec![stored, removed.clone()];
    let time = "2026-01-01T00:00:00Z";
    let success = json!({"kind": "Status", "status": "Success", "metadata": {}});
    for (metadata, wanted) in [
        (json!({}), &gone),
        (json!({"deletionTimestamp": time, "deletionGracePeriodSeconds": 0}), &gone),
        (json!({"deletionTimestamp": time, "deletionGracePeriodSeconds": 30}), &there),
        (
            json!({"deletionTimestamp": time, "deletionGracePeriodSeconds": 0, "finalizers": ["f"]}),
            &there,
        ),
        (json!({"deletionTimestamp": time, "finalizers": []}), &gone),
        (Value::Null, &vec![removed]),
    ] {
        let mut body = if metadata.is_null() { success.clone() } else { pod() };
        for (name, value) in metadata.as_object().into_iter().flatten() {
            body["metadata"][name] = value.clone();
        }
        let at = fixture(move |_| Answer::Json(200, body.clone()));
        at.send(&delete()).await.unwrap();
        assert_eq!(at.cached(), *wanted, "{metadata}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_without_leadership() {
    let stop = CancellationToken::new();
    let leadership = leader_until(stop.clone()).await;
    let at = led_by(leadership, |_| Answer::Json(200, pod()));
    at.send(&delete()).await.unwrap();
    stop.cancel();
    pass(ms(10)).await;
    assert_eq!(at.send(&delete()).await, Err(Category::NotLeader));
    assert_eq!(lines(&at.log).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn leadership_that_ends_while_a_write_waits_for_room_stops_it() {
    let stop = CancellationToken::new();
    let leadership = leader_until(stop.clone()).await;
    let at = led_by(leadership, |_| Answer::After(s(3), Box::new(Answer::Json(200, pod()))));
    let write = delete();
    let mut writes: Vec<_> = (0..4).map(|_| Box::pin(at.send(&write))).collect();
    let late = async {
        // The window of four is full.
        pass(ms(10)).await;
        let result = at.send(&write).await;
        (result, now())
    };
    let stopping = async {
        pass(s(1)).await;
        stop.cancel();
    };
    let four = futures::future::join_all(writes.iter_mut());
    let (four, (late, _), ()) = tokio::join!(four, late, stopping);
    assert!(four.iter().all(Result::is_ok), "those under way end");
    assert_eq!(late, Err(Category::NotLeader));
    assert_eq!(lines(&at.log).len(), 4);
}

fn guarded() -> Write {
    let uid = "owner".into();
    patch().guarded_by(Guard {
        kind: &STATEFUL_SET,
        key: key("set"),
        uid,
        may_terminate: false,
        generation: None,
    })
}

fn set(uid: &str, more: &Value) -> Value {
    let mut set = json!({"metadata": {"name": "set", "uid": uid}});
    for (name, value) in more.as_object().unwrap() {
        set["metadata"][name] = value.clone();
    }
    set
}

#[tokio::test(start_paused = true)]
async fn a_guard_is_read_live_right_before_the_write() {
    let at = fixture(|request| match request.method.as_str() {
        "GET" => Answer::Json(200, set("owner", &json!({}))),
        _ => Answer::Json(200, pod()),
    });
    at.send(&guarded()).await.unwrap();
    let wanted = [
        "GET /apis/apps.kruise.io/v1beta1/namespaces/ns/statefulsets/set",
        "PATCH /api/v1/namespaces/ns/pods/web-0",
    ];
    assert_eq!(lines(&at.log), wanted);
}

#[tokio::test(start_paused = true)]
async fn a_guard_may_be_content_with_an_object_that_goes() {
    let time = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    let at = fixture(move |request| match request.method.as_str() {
        "GET" => Answer::Json(200, set("owner", &time)),
        _ => Answer::Json(200, pod()),
    });
    let mut write = guarded();
    write.guard.as_mut().unwrap().may_terminate = true;
    at.send(&write).await.unwrap();
}

/// S7: what the set asks for by now is looked up, for the cache does not know it.
#[tokio::test(start_paused = true)]
async fn a_guard_may_ask_for_the_generation_that_was_decided_upon() {
    let at = fixture(|request| match request.method.as_str() {
        "GET" => Answer::Json(200, set("owner", &json!({"generation": 4}))),
        _ => Answer::Json(200, pod()),
    });
    let mut write = guarded();
    write.guard.as_mut().unwrap().generation = Some(4);
    at.send(&write).await.unwrap();
    write.guard.as_mut().unwrap().generation = Some(3);
    assert_eq!(at.send(&write).await, Err(Category::Guard));
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_does_not_hold_stops_the_write() {
    let time = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    for (code, body, category) in [
        (200, set("other", &json!({})), Category::Guard),
        (200, set("owner", &time), Category::Guard),
        (200, json!([]), Category::Guard),
        (404, super::support::status(404, "NotFound"), Category::Guard),
        (500, super::support::status(500, "InternalError"), Category::Server),
    ] {
        let shown = body.to_string();
        let at = fixture(move |_| Answer::Json(code, body.clone()));
        assert_eq!(at.send(&guarded()).await, Err(category), "{shown}");
        assert_eq!(lines(&at.log).len(), 1, "{shown}");
    }
}

/// The owner is deleted while the server asks for patience.
#[tokio::test(start_paused = true)]
async fn a_guard_is_not_older_than_the_wait_for_room() {
    let began = now();
    let at = fixture(move |request| match (request.method.as_str(), now() - began) {
        ("GET", passed) if passed < s(5) => Answer::Json(200, set("owner", &json!({}))),
        ("GET", _) => failure(404, "NotFound"),
        ("DELETE", _) => {
            let mut body = super::support::status(429, "TooManyRequests");
            body["details"] = json!({"retryAfterSeconds": 10});
            Answer::Json(429, body)
        }
        _ => Answer::Json(200, pod()),
    });
    assert_eq!(at.send(&delete()).await, Err(Category::Throttled));
    assert_eq!(at.send(&guarded()).await, Err(Category::Guard));
}

#[tokio::test(start_paused = true)]
async fn writes_are_counted_by_verb_resource_and_outcome() {
    let at = fixture(|request| match request.method.as_str() {
        "PATCH" => failure(409, "Conflict"),
        _ => Answer::Json(200, pod()),
    });
    at.send(&delete()).await.unwrap();
    at.send(&Write::json_status(&POD, &meta("a", "u", 1, ""), Operations::default()))
        .await
        .unwrap_err();
    let count = |labels: &str| value(&at.metrics, &format!("kruise_writes_total{{{labels}}}"));
    assert!(count(r#"outcome="ok",resource="pods",verb="delete""#) > 0.5);
    assert!(count(r#"outcome="conflict",resource="pods/status",verb="patch""#) > 0.5);
    assert!(value(&at.metrics, "kruise_write_window") > 3.5);
}
