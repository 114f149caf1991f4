//! What a cache does when a list or a watch goes wrong, under a virtual clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::Api;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::support::{Answer, Log, Seen, api, failure, key, lines, ms, pass, s, until};
use crate::pod::WirePod;
use crate::runtime::metrics::Metrics;
use crate::runtime::queue::Queue;
use crate::runtime::watch::{Cache, Selection};
use crate::runtime::writer::Sink as _;

fn pod(name: &str, version: u64) -> Value {
    let uid = format!("uid-{name}");
    json!({
        "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [] },
        "metadata": { "namespace": "ns", "name": name, "uid": uid, "resourceVersion": version.to_string() },
    })
}

fn list(version: u64, pods: &[Value]) -> Answer {
    let metadata = json!({ "resourceVersion": version.to_string() });
    Answer::Json(
        200,
        json!({ "apiVersion": "v1", "kind": "PodList", "metadata": metadata, "items": pods }),
    )
}

fn is_watch(request: &Seen) -> bool {
    request.path.contains("watch=true")
}

fn lists(log: &Log) -> usize {
    lines(log).iter().filter(|line| line.contains("/pods?") && !line.contains("watch=true")).count()
}

/// A cache of pods that runs, and the requests that it sends.
fn cache(
    answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
) -> (Arc<Cache<WirePod>>, Log, CancellationToken) {
    cache_of(Selection::All, answer)
}

fn cache_of(
    selection: Selection,
    answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
) -> (Arc<Cache<WirePod>>, Log, CancellationToken) {
    let (client, log) = api(answer);
    let metrics = Metrics::new("statefulset-controller").unwrap();
    let cache = Cache::<WirePod>::new(
        Arc::default(),
        Arc::<Queue>::default(),
        metrics,
        |_| Vec::new(),
        None,
    );
    let stop = CancellationToken::new();
    tokio::spawn(cache.clone().run(Api::all(client), selection, stop.clone()));
    (cache, log, stop)
}

/// D.1: a connection that goes silent in the middle of a list leaves no cache that never fills.
#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_come_is_asked_for_again() {
    let asked = AtomicUsize::new(0);
    let (cache, log, stop) = cache(move |request| {
        if is_watch(request) || asked.fetch_add(1, Ordering::SeqCst) == 0 {
            return Answer::Silent;
        }
        list(7, &[pod("web-0", 5)])
    });
    pass(s(59)).await;
    assert_eq!(lists(&log), 1);
    until(s(3), "another list", || cache.table.len() == 1).await;
    assert_eq!(lists(&log), 2);
    stop.cancel();
}

/// A connection that is dead without a word ends with the watch that it carries, and the cache is listed anew or watched on.
#[tokio::test(start_paused = true)]
async fn a_watch_is_open_for_less_than_a_minute() {
    let (cache, log, stop) =
        cache(|request| if is_watch(request) { Answer::Silent } else { list(7, &[]) });
    cache.synced().await;
    until(s(1), "a watch", || lines(&log).iter().any(|line| line.contains("watch=true"))).await;
    let watch = lines(&log).into_iter().find(|line| line.contains("watch=true")).unwrap();
    assert!(watch.contains("timeoutSeconds=55"), "{watch}");
    stop.cancel();
}

/// A reply that comes while a list is read may be of an object that was deleted before the list was made: nobody will
/// ever tell of its end.
#[tokio::test(start_paused = true)]
async fn what_only_a_reply_told_of_is_looked_up_after_a_list() {
    let (cache, log, stop) = cache(|request| match request.path.as_str() {
        "/api/v1/namespaces/ns/pods/gone" => failure(404, "NotFound"),
        "/api/v1/namespaces/ns/pods/young" => Answer::Json(200, pod("young", 9)),
        _ if is_watch(request) => Answer::Silent,
        _ => Answer::After(s(1), Box::new(list(7, &[pod("web-0", 5)]))),
    });
    pass(ms(500)).await;
    for name in ["gone", "young"] {
        cache.stored(pod(name, 6).to_string().as_bytes());
    }
    assert_eq!(cache.table.len(), 2);
    cache.synced().await;
    let look_ups =
        || lines(&log).iter().filter(|line| line.contains("/namespaces/ns/pods/")).count();
    until(s(1), "both are looked up", || look_ups() == 2 && cache.table.len() == 2).await;
    assert!(cache.table.get(&key("gone")).is_none());
    assert_eq!(cache.table.get(&key("young")).unwrap().meta.resource_version.as_ref(), "9");
    cache.stored(pod("gone", 6).to_string().as_bytes());
    assert_eq!(cache.table.len(), 2, "another reply of the same time");
    stop.cancel();
}

/// The watch is refused while lists work (F25, a proxy that keeps back what streams): then lists tell what happens.
#[tokio::test(start_paused = true)]
async fn where_no_watch_can_be_opened_the_kind_is_listed_now_and_then() {
    let grown = Arc::new(AtomicUsize::new(1));
    let many = grown.clone();
    let (cache, log, stop) = cache(move |request| {
        if is_watch(request) {
            return failure(403, "Forbidden");
        }
        let pods: Vec<Value> =
            (0..many.load(Ordering::SeqCst)).map(|at| pod(&format!("web-{at}"), 5)).collect();
        list(7, &pods)
    });
    cache.synced().await;
    grown.store(3, Ordering::SeqCst);
    until(s(100), "what is new", || cache.table.len() == 3).await;
    let whole = || lines(&log).iter().filter(|line| line.contains("limit=250")).count();
    let before = whole();
    pass(s(3600)).await;
    let lists = whole() - before;
    assert!((30..=60).contains(&lists), "{lists} lists in an hour");
    stop.cancel();
}

/// C.3: a list whose second page is refused begins anew less and less often, and not before the server wants to be asked.
#[tokio::test(start_paused = true)]
async fn a_list_that_fails_in_its_middle_is_begun_less_and_less_often() {
    let (_cache, log, stop) = cache(|request| {
        if request.path.contains("continue=") {
            return failure(429, "TooManyRequests");
        }
        let metadata = json!({ "resourceVersion": "7", "continue": "more" });
        Answer::Json(
            200,
            json!({ "apiVersion": "v1", "kind": "PodList", "metadata": metadata, "items": [pod("web-0", 5)] }),
        )
    });
    let first = || {
        let lines = lines(&log);
        lines
            .iter()
            .filter(|line| line.contains("limit=250") && !line.contains("continue="))
            .count()
    };
    pass(s(600)).await;
    assert!((35..=60).contains(&first()), "{} lists in ten minutes", first());
    stop.cancel();
}

/// One answer that does not come is no reason to read the whole list once more.
#[tokio::test(start_paused = true)]
async fn a_look_up_that_fails_is_repeated_alone() {
    let asked = AtomicUsize::new(0);
    let (cache, log, stop) = cache(move |request| match request.path.as_str() {
        "/api/v1/namespaces/ns/pods/young" if asked.fetch_add(1, Ordering::SeqCst) < 3 => {
            failure(429, "TooManyRequests")
        }
        "/api/v1/namespaces/ns/pods/young" => Answer::Json(200, pod("young", 9)),
        _ if is_watch(request) => Answer::Silent,
        _ => Answer::After(s(1), Box::new(list(7, &[]))),
    });
    pass(ms(500)).await;
    cache.stored(pod("young", 6).to_string().as_bytes());
    let version = || cache.table.get(&key("young")).unwrap().meta.resource_version.to_string();
    until(s(10), "it is looked up", || version() == "9").await;
    let whole = lines(&log).iter().filter(|line| line.contains("limit=250")).count();
    assert_eq!(whole, 1);
    stop.cancel();
}

/// What a reply tells of and the watch is not about, because it lacks the label, does not stay as it was for ever.
#[tokio::test(start_paused = true)]
async fn an_object_without_the_label_is_looked_at_until_it_is_gone() {
    let gone = Arc::new(AtomicUsize::new(0));
    let is_gone = gone.clone();
    let (cache, log, stop) = cache_of(Selection::Labels("job"), move |request| {
        match (request.path.as_str(), is_gone.load(Ordering::SeqCst)) {
            ("/api/v1/namespaces/ns/pods/foreign", 1) => failure(404, "NotFound"),
            ("/api/v1/namespaces/ns/pods/foreign", _) => Answer::Json(200, pod("foreign", 9)),
            _ if is_watch(request) => Answer::Silent,
            _ => list(7, &[]),
        }
    });
    cache.synced().await;
    let mut ours = pod("ours", 8);
    ours["metadata"]["labels"] = json!({ "job": "uid" });
    for pod in [ours, pod("foreign", 8)] {
        cache.stored(pod.to_string().as_bytes());
    }
    let foreign =
        || cache.table.get(&key("foreign")).map(|row| row.meta.resource_version.to_string());
    until(s(61), "a look", || foreign().as_deref() == Some("9")).await;
    gone.store(1, Ordering::SeqCst);
    until(s(61), "its end", || foreign().is_none()).await;
    pass(s(600)).await;
    let looks = lines(&log).iter().filter(|line| line.contains("/namespaces/ns/pods/")).count();
    assert_eq!((looks, cache.table.len()), (2, 1), "of the other one the watch tells");
    stop.cancel();
}
