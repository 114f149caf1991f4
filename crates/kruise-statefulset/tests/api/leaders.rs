//! Two replicas with the Lease that is the default: who goes hands over, and no pod is lost or doubled (`reliability.md`).

use std::time::Instant;

use serde_json::{Value, json};

use crate::audit::{self, Call};
use crate::harness::{Controller, Space};
use crate::objects::uids;
use crate::{image, in_place};

/// Pods that come two at a time, so that there is a middle in which a leader can go.
fn paced(replicas: i32) -> Value {
    let mut set = in_place(replicas);
    set["spec"]["scaleStrategy"] = json!({ "maxUnavailable": 2 });
    set
}

/// Each pod was created once, and none deleted.
fn created_once(space: &Space, pods: usize) {
    let Some(calls) = audit::writes(space, "pods") else { return };
    let done = |what: &str| -> Vec<Call> {
        calls.iter().filter(|call| call.ours && call.done && call.what == what).cloned().collect()
    };
    assert_eq!(done("create pods").len(), pods, "created once each");
    assert!(done("delete pods").is_empty(), "{:?}", done("delete pods"));
    println!("{pods} pods, by {} creations", done("create pods").len());
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
    created_once(&space, 24);
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
    created_once(&space, 48);
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
    created_once(&space, 48);
    fourth.stop().await;
}
