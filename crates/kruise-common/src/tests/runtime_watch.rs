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
    tokio::spawn(cache.clone().run(Api::all(client), Selection::All, stop.clone()));
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
