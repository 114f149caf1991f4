//! What counts as the end of an update, and what is said to be missing before (`inplace.md` §10; W1, W10, W27).

use serde_json::{Value, json};

use super::pod::{Builder, web_main};
use crate::progress::{Missing, Progress, progress};

/// `main` was given `v2` on top of `v1`; the kubelet has not acted.
fn updating(last: &Value) -> Builder {
    web_main().spec("main", &json!({ "image": "reg.io/main:v2" })).updated(&json!({
        "revision": "web-a",
        "updateTimestamp": "2026-01-02T03:04:00Z",
        "lastContainerStatuses": { "main": last },
        "updateImages": true,
        "containerBatchesRecord": [{ "timestamp": "2026-01-02T03:04:00Z", "containers": ["main"] }],
    }))
}

/// As we record it.
fn ours() -> Builder {
    updating(&json!({ "imageID": "reg.io/main:v1@sha256:1", "containerID": "containerd://main-1" }))
}

/// As OpenKruise records it.
fn theirs() -> Builder {
    updating(&json!({ "imageID": "reg.io/main:v1@sha256:1" }))
}

fn restart(waiting: &str) -> Progress {
    let waiting = waiting.to_owned();
    Progress::Incomplete(Missing::Restart { container: "main".to_owned(), waiting })
}

fn lags() -> Progress {
    Progress::Incomplete(Missing::Superseded { container: "main".to_owned() })
}

#[test]
fn a_pod_that_was_never_updated_is_complete() {
    assert_eq!(progress(&web_main().build()), Progress::Complete);
}

#[test]
fn evidence_of_a_restart() {
    let new_id = json!({ "containerID": "containerd://main-2" });
    let new_both =
        json!({ "containerID": "containerd://main-2", "imageID": "reg.io/main@sha256:2" });
    let renamed = json!({ "containerID": "containerd://main-2", "image": "reg.io/main:v2" });
    let new_image = json!({ "imageID": "reg.io/main@sha256:2" });
    let named = json!({ "imageID": "reg.io/main@sha256:2", "image": "reg.io/main:v2" });
    let nameless = json!({ "imageID": "reg.io/main@sha256:2", "image": "" });
    let same_name = json!({ "image": "reg.io/main:v2" });
    let started = json!({ "state": { "running": { "startedAt": "2026-01-02T03:04:01Z" } } });
    let down = json!({
        "image": "reg.io/main:v2", "imageID": "", "ready": false,
        "state": { "waiting": { "reason": "ImagePullBackOff" } },
    });
    let at_once = json!({ "state": { "running": { "startedAt": "2026-01-02T03:04:00Z" } } });
    let gone = json!({ "containerID": null });
    let cases = [
        ("ours: nothing happened", ours(), json!({}), restart("")),
        ("ours: another container of another image", ours(), new_both, Progress::Complete),
        ("ours: another container under the wanted name", ours(), renamed, Progress::Complete),
        ("ours: another container of the replaced image", ours(), new_id.clone(), lags()),
        ("ours: a new image ID is not enough", ours(), new_image.clone(), restart("")),
        ("ours: a new image ID under the wanted name", ours(), named, Progress::Complete),
        ("ours: a new image ID without a name", ours(), nameless, Progress::Complete),
        ("ours: the wanted name is not enough", ours(), same_name.clone(), restart("")),
        (
            "ours: a late start of the same container is not enough",
            ours(),
            started.clone(),
            restart(""),
        ),
        ("ours: down", ours(), down.clone(), restart("ImagePullBackOff")),
        ("ours: no container ID", ours(), gone, restart("")),
        ("theirs: nothing happened", theirs(), json!({}), restart("")),
        ("theirs: another image ID", theirs(), new_image, Progress::Complete),
        ("theirs: started after the batch", theirs(), started, Progress::Complete),
        ("theirs: started in the second of the batch", theirs(), at_once.clone(), lags()),
        ("ours: started in the second of the batch", ours(), at_once, restart("")),
        ("theirs: the wanted name, running", theirs(), same_name, Progress::Complete),
        ("theirs: the wanted name, but down", theirs(), down, restart("ImagePullBackOff")),
        ("theirs: the container ID says nothing", theirs(), new_id, restart("")),
    ];
    for (sentence, pod, status, want) in cases {
        assert_eq!(progress(&pod.status("main", &status).build()), want, "{sentence}");
    }
}

/// §10.3: names as containerd reports them.
#[test]
fn image_names_are_compared_with_their_defaults() {
    let same = [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("bitnami/nginx:1", "docker.io/bitnami/nginx:1"),
        ("host:5000/app", "host:5000/app:latest"),
        ("localhost/app:1", "localhost/app:1"),
        ("reg.io/a/b@sha256:f", "reg.io/a/b@sha256:f"),
    ];
    let other = [
        ("nginx:1.27", "docker.io/library/nginx:1.26"),
        ("nginx", "reg.io/nginx:latest"),
        ("host:5000/app", "host:5001/app:latest"),
        ("localhost/app:1", "docker.io/localhost/app:1"),
    ];
    let complete = |wanted: &str, reported: &str| {
        let pod = theirs().spec("main", &json!({ "image": wanted }));
        progress(&pod.status("main", &json!({ "image": reported })).build()) == Progress::Complete
    };
    for (wanted, reported) in same {
        assert!(complete(wanted, reported), "{wanted} is {reported}");
    }
    for (wanted, reported) in other {
        assert!(!complete(wanted, reported), "{wanted} is not {reported}");
    }
}

#[test]
fn only_recorded_containers_are_looked_at() {
    let pod = ours()
        .container("proxy", "reg.io/proxy:v1")
        .status("proxy", &json!({ "ready": false, "containerID": "" }))
        .status("main", &json!({ "containerID": "containerd://main-2", "image": "reg.io/main:v2", "ready": false }));
    assert_eq!(progress(&pod.build()), Progress::Complete, "readiness is the kubelet's");
    let metadata_only =
        ours().updated(&json!({ "revision": "web-a", "lastContainerStatuses": null }));
    assert_eq!(progress(&metadata_only.build()), Progress::Complete);
}

#[test]
fn a_missing_status_is_named() {
    let pod = ours().edit(|pod| pod["status"]["containerStatuses"] = json!([]));
    let missing = Missing::Status { container: "main".to_owned() };
    assert_eq!(missing.to_string(), "status of container main");
    assert_eq!(progress(&pod.build()), Progress::Incomplete(missing));
}

#[test]
fn grace_and_later_batches_come_before_the_containers() {
    let graced = ours().graced(&json!({ "revision": "web-a", "graceSeconds": 5 }));
    assert_eq!(progress(&graced.build()), Progress::Incomplete(Missing::Grace));
    assert_eq!(Missing::Grace.to_string(), "still in grace period of in-place update");
    let legacy = ours().annotation("inplace-update-grace", "{}");
    assert_eq!(progress(&legacy.build()), Progress::Incomplete(Missing::Grace));
    for next in ["nextContainerImages", "nextContainerRefMetadata", "nextContainerResources"] {
        let waits = ours().updated(&json!({ "revision": "web-a", next: { "main": "x" } }));
        assert_eq!(progress(&waits.build()), Progress::Incomplete(Missing::NextBatch), "{next}");
    }
}

#[test]
fn what_cannot_be_read_is_missing_and_named() {
    for key in ["apps.kruise.io/inplace-update-state", "apps.kruise.io/inplace-update-grace"] {
        let pod = ours().annotation(key, "{");
        let Progress::Incomplete(missing) = progress(&pod.build()) else {
            panic!("complete: {key}")
        };
        assert!(matches!(&missing, Missing::Corrupt { key: named, .. } if *named == key));
        assert!(missing.to_string().starts_with(&format!("readable annotation {key}: ")));
    }
}

#[test]
fn what_is_missing_is_said_with_the_kubelets_reason() {
    let missing = |waiting: &str| Missing::Restart {
        container: "main".to_owned(),
        waiting: waiting.to_owned(),
    };
    assert_eq!(missing("").to_string(), "restart of container main");
    assert_eq!(missing("ErrImagePull").to_string(), "restart of container main (ErrImagePull)");
}
