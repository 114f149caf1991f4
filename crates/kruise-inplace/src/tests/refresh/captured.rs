//! Pods as OpenKruise v1.9 left them in a cluster (`tests/golden/captured`): a settled one is not touched, an update
//! that it began is finished.

use kruise_api::statefulset::v1beta1::Lifecycle;
use kruise_common::pod::Pod;
use serde_json::{Value, json};

use crate::progress::{Missing, Progress, progress};
use crate::refresh::{Context, Refresh, Waiting, refresh};
use crate::tests::cluster::Cluster;
use crate::tests::pod::{Builder, now};

fn captured(text: &str) -> Builder {
    Builder::stored(serde_json::from_str(text).unwrap())
}

fn hooked() -> Lifecycle {
    serde_json::from_value(json!({
        "inPlaceUpdate": { "finalizersHandler": ["example.com/unready-blocker"], "markPodNotReady": true },
        "preDelete": { "labelsHandler": { "example.com/protect": "true" }, "markPodNotReady": true },
    }))
    .unwrap()
}

fn upkeep(pod: &Pod, lifecycle: Option<&Lifecycle>, revision: &str) -> Refresh {
    refresh(pod, &Context { lifecycle, update_revision: revision }, now())
}

#[test]
fn a_pod_that_openkruise_settled_is_not_touched() {
    for (text, revision) in [
        (include_str!("../../../tests/golden/captured/created.json"), "web-7d8785987"),
        (include_str!("../../../tests/golden/captured/image-updated.json"), "web-59699fb494"),
        (include_str!("../../../tests/golden/captured/annotation-updated.json"), "web-6849b76566"),
    ] {
        let pod = captured(text).build();
        assert_eq!(pod.revision(), Some(revision));
        assert_eq!(progress(&pod), Progress::Complete, "{revision}");
        assert_eq!(upkeep(&pod, None, revision), Refresh::default(), "{revision}");
    }
}

#[test]
fn an_update_that_openkruise_began_is_finished() {
    let begun = captured(include_str!("../../../tests/golden/captured/image-updating.json"));
    let missing = Missing::Restart { container: "nginx".to_owned(), waiting: String::new() };
    let wait = Refresh { waiting: Some(Waiting::Incomplete(missing)), ..Refresh::default() };
    assert_eq!(upkeep(&begun.build(), None, "web-59699fb494"), wait);
    let restarted = begun.status(
        "nginx",
        &json!({
            "image": "registry.k8s.io/e2e-test-images/nginx:1.15-4",
            "imageID": "registry.k8s.io/e2e-test-images/nginx@sha256:96cdb977193abc29edd2d7082325c3823691dc1f515dc83b28a9e0afc740092d",
            "containerID": "containerd://11d8",
        }),
    );
    let mut cluster = Cluster::new(&restarted);
    let done = upkeep(&cluster.pod(), None, "web-59699fb494");
    assert_eq!(done.writes.len(), 1);
    cluster.perform(&done.writes);
    assert!(cluster.pod().condition("InPlaceUpdateReady").unwrap().status);
    assert_eq!(upkeep(&cluster.pod(), None, "web-59699fb494"), Refresh::default());
    let left = cluster.pod();
    let before = restarted.build();
    let key = "apps.kruise.io/inplace-update-state";
    assert_eq!(left.annotations.get(key), before.annotations.get(key), "the record stays as it is");
}

#[test]
fn a_pod_that_waits_for_its_hook_is_let_go_when_the_user_goes_back() {
    for text in [
        include_str!("../../../tests/golden/captured/waiting-for-its-hook.json"),
        include_str!("../../../tests/golden/captured/released.json"),
    ] {
        let pod = captured(text);
        let wanted = upkeep(&pod.build(), Some(&hooked()), "hooked-6cf594d878");
        assert_eq!(wanted, Refresh::default(), "its update is another matter");
        let mut cluster = Cluster::new(&pod);
        cluster.perform(&upkeep(&cluster.pod(), Some(&hooked()), "hooked-c9d555755").writes);
        let ready = cluster.pod().condition("KruisePodReady").cloned().unwrap();
        assert_eq!((ready.status, ready.message.as_deref()), (true, Some("[]")));
        let state = pod_state(&pod, &cluster);
        let held = pod.value()["metadata"]["finalizers"] != Value::Null;
        assert_eq!(state, if held { "Normal" } else { "Updated" });
    }
}

fn pod_state(before: &Builder, cluster: &Cluster) -> String {
    let key = "lifecycle.apps.kruise.io/state";
    assert_eq!(before.value()["metadata"]["labels"][key], "PreparingUpdate");
    cluster.pod().meta.labels.get(key).unwrap().to_owned()
}
