//! Batches by launch priority (`inplace.md` §6.3, §6.9, §15; IP-14).

use serde_json::{Value, json};

use super::{images, start};
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
