//! Two replicas with the Lease that is the default: who goes hands over, and no pod is lost or doubled (`reliability.md`).

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use crate::audit;
use crate::harness::{Controller, Space};
use crate::objects::uids;
use crate::{image, in_place};

/// As many creations are under way at once.
const IN_FLIGHT: usize = 2;

/// Pods that come two at a time, so that there is a middle in which a leader can go.
fn paced(replicas: i32) -> Value {
    let mut set = in_place(replicas);
    set["spec"]["scaleStrategy"] = json!({ "maxUnavailable": IN_FLIGHT });
    set
}

/// Each pod was created once, and none deleted. The log says of a creation whose sender is killed meanwhile that it was
/// not done, although its pod may be stored: of so many leaders that were `killed` while they created pods, this may be so.
async fn created_once(space: &Space, pods: usize, killed: usize) {
    let Some(calls) = audit::writes(space, "pods") else { return };
    let names = |what: &str, done: bool| -> Vec<String> {
        let calls = calls.iter().filter(|call| call.ours && call.what == what);
        calls.filter(|call| call.done == done).map(|call| call.name.clone()).collect()
    };
    let deleted = names("delete pods", true);
    assert!(deleted.is_empty(), "{deleted:?}");
    let created = names("create pods", true);
    let once: BTreeSet<&String> = created.iter().collect();
    assert_eq!(once.len(), created.len(), "created once each: {created:?}");
    let stored = space.pods().await;
    assert_eq!(stored.len(), pods);
    let stored = stored.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned());
    let unanswered: Vec<String> = stored.filter(|name| !once.contains(name)).collect();
    let broken_off = names("create pods", false);
    assert!(
        unanswered.iter().all(|name| broken_off.contains(name)),
        "{unanswered:?} not asked for"
    );
    assert!(unanswered.len() <= killed * IN_FLIGHT, "{unanswered:?} without an answer");
    println!("{pods} pods, by {} creations and {unanswered:?} broken off", created.len());
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn leaders_hand_over_and_no_pod_is_lost_or_doubled() {
    let space = Space::new("leaders").await;
    let first = Controller::start(&space, &[]).await;
    first.leads().await;
    let second = Controller::start(&space, &[]).await;
    second.ready().await;
    space.create(paced(24)).await;
    space.seen_pods(5).await;
    assert!(space.pods().await.len() < 24, "in the middle of it");
    let asked = Instant::now();
    let (ended, led) = tokio::join!(
        async {
            first.stop().await;
            asked.elapsed()
        },
        async {
            second.leads().await;
            asked.elapsed()
        },
    );
    println!("SIGTERM while pods are created: next leader after {led:?}, end after {ended:?}");
    space.rolled_out("web").await;
    created_once(&space, 24, 0).await;
    let before = space.pods().await;

    let third = Controller::start(&space, &[]).await;
    third.ready().await;
    space.merge("web", json!({ "spec": { "replicas": 48 } })).await;
    space.seen_pods(29).await;
    assert!(space.pods().await.len() < 48, "in the middle of it");
    second.kill().await;
    let killed = Instant::now();
    third.leads().await;
    println!("SIGKILL while pods are created: next leader after {:?}", killed.elapsed());
    space.rolled_out("web").await;
    created_once(&space, 48, 1).await;
    let all = space.pods().await;
    let kept = uids(&before);
    assert!(kept.iter().all(|uid| uids(&all).contains(uid)), "the first ones are still there");

    let fourth = Controller::start(&space, &[]).await;
    fourth.ready().await;
    space.patch("web", image(2)).await;
    third.kill().await;
    let killed = Instant::now();
    fourth.leads().await;
    println!("SIGKILL during an update in place: next leader after {:?}", killed.elapsed());
    space.rolled_out("web").await;
    let after = space.pods().await;
    assert_eq!(uids(&all), uids(&after), "the same 48 pods, each updated in place");
    assert!(after.iter().all(|pod| pod["status"]["containerStatuses"][0]["restartCount"] == 1));
    created_once(&space, 48, 1).await;
    fourth.stop().await;
}
