//! Batches by launch priority (`inplace.md` §6.3, §6.9, §15; IP-14).

use serde_json::{Value, json};

use super::resize::{idle, main_before_side, to_cpu};
use super::{images, start, to};
use crate::begin::begin;
use crate::diff::Change;
use crate::progress::{Missing, Progress, progress};
use crate::resize::Resize;
use crate::tests::cluster::Cluster;
use crate::tests::pod::{Builder, NOW, put, stored_state, web};

fn three() -> Builder {
    web()
        .container("late", "reg.io/late:v1")
        .container("early", "reg.io/early:v1")
        .container("any", "reg.io/any:v1")
        .priority("late", -1)
        .priority("early", 0)
}

#[test]
fn the_highest_priority_goes_first_with_those_that_have_none() {
    let change = images(&[
        ("late", "reg.io/late:v2"),
        ("early", "reg.io/early:v2"),
        ("any", "reg.io/any:v2"),
    ]);
    let writes = start(&three(), &change);
    assert_eq!(put(&writes, "/spec/containers/0/image"), None, "late waits");
    assert_eq!(put(&writes, "/spec/containers/1/image"), Some(json!("reg.io/early:v2")));
    assert_eq!(put(&writes, "/spec/containers/2/image"), Some(json!("reg.io/any:v2")));
    assert_eq!(
        stored_state(&writes),
        json!({
            "revision": "web-b",
            "updateTimestamp": NOW,
            "lastContainerStatuses": {
                "any": { "imageID": "reg.io/any:v1@sha256:1", "containerID": "containerd://any-1", "madeFrom": "reg.io/any:v1" },
                "early": { "imageID": "reg.io/early:v1@sha256:1", "containerID": "containerd://early-1", "madeFrom": "reg.io/early:v1" },
            },
            "updateImages": true,
            "nextContainerImages": { "late": "reg.io/late:v2" },
            "preCheckBeforeNext": { "containersRequiredReady": ["any", "early"] },
            "containerBatchesRecord": [{ "timestamp": NOW, "containers": ["any", "early"] }],
        })
    );
}

#[test]
fn only_changed_containers_count_for_the_highest_priority() {
    let writes = start(&three(), &images(&[("late", "reg.io/late:v2")]));
    assert_eq!(put(&writes, "/spec/containers/0/image"), Some(json!("reg.io/late:v2")));
    let state = stored_state(&writes);
    assert_eq!(state["nextContainerImages"], Value::Null);
    assert_eq!(state["preCheckBeforeNext"], Value::Null);
}

#[test]
fn equal_priorities_go_together() {
    let pod = three().priority("late", 0);
    let writes = start(&pod, &images(&[("late", "reg.io/late:v2"), ("early", "reg.io/early:v2")]));
    let batches = &stored_state(&writes)["containerBatchesRecord"];
    assert_eq!(*batches, json!([{ "timestamp": NOW, "containers": ["early", "late"] }]));
}

/// W17: what the containers of an early batch never get is said, though later ones wait.
#[test]
fn amounts_that_never_come_are_told_of_before_later_batches() {
    let change = Change { images: images(&[("side", "reg.io/side:v2")]).images, ..to_cpu("2") };
    let main = || "main".to_owned();
    let mut cluster = Cluster::new(&main_before_side());
    cluster.run(5);
    let writes = begin(&cluster.pod(), &change, &to("web-b"), cluster.world.now);
    cluster.perform(&writes[..2]);
    let unsent = Missing::Unsent { container: main() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(unsent));
    cluster.perform(&writes[2..]);
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(Missing::NextBatch));
    cluster.edit(|pod| {
        pod["status"]["observedGeneration"] = pod["metadata"]["generation"].clone();
        let infeasible =
            json!({ "type": "PodResizePending", "status": "True", "reason": "Infeasible" });
        pod["status"]["conditions"].as_array_mut().unwrap().push(infeasible);
    });
    let infeasible = Missing::Infeasible { container: main() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(infeasible));
}

/// §10.2.3: a batch that goes on before the resize of an earlier one is sent does not pass for somebody else's change.
#[test]
fn a_resize_that_a_later_batch_overtakes_is_sent_still() {
    let images = images(&[("side", "reg.io/side:v2")]).images;
    let mut change = Change { images, ..to_cpu("2") };
    let side = Resize::read(&json!({ "requests": { "cpu": "3" } }));
    change.resources.insert("side".to_owned(), side);
    let mut cluster = Cluster::new(&main_before_side());
    cluster.run(5);
    let writes = begin(&cluster.pod(), &change, &to("web-b"), cluster.world.now);
    cluster.perform(&writes[..2]);
    let next = idle(&cluster);
    assert_eq!(next.what, "next batch of containers");
    cluster.perform(&next.writes);
    for _ in 0..5 {
        cluster.run(3);
        cluster.perform(&idle(&cluster).writes);
    }
    let pod = cluster.value();
    for (at, amount) in ["2", "3"].into_iter().enumerate() {
        assert_eq!(pod["spec"]["containers"][at]["resources"]["requests"]["cpu"], amount);
    }
    assert_eq!((progress(&cluster.pod()), idle(&cluster).writes), (Progress::Complete, vec![]));
    assert!(cluster.pod().ready());
}
