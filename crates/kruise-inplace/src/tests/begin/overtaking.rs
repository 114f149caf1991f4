//! An update that comes before an earlier one is finished: nothing that one changed is forgotten, and no container is
//! taken for the wanted one that still runs, or will yet run, the image overtaken (`inplace.md` §3.1, W27).

use serde_json::{Value, json};

use super::{images, label, to};
use crate::begin::begin;
use crate::diff::Change;
use crate::progress::{Missing, Progress, progress};
use crate::refresh::{Context, Refresh, Waiting, refresh};
use crate::tests::cluster::Cluster;
use crate::tests::pod::{NOW, after, now, stored_state, web_main};

/// `main` runs v1, and was told to run v2; the kubelet has not acted. `side` runs v1.
fn told() -> Cluster {
    let mut cluster = Cluster::new(&web_main().container("side", "reg.io/side:v1"));
    let change = images(&[("main", "reg.io/main:v2")]);
    cluster.perform(&begin(&cluster.pod(), &change, &to("web-b"), now()));
    cluster
}

/// The kubelet started another container.
fn started(cluster: &mut Cluster, id: &str, image: &str) {
    cluster.edit(|pod| {
        let status = &mut pod["status"]["containerStatuses"][0];
        status["containerID"] = json!(id);
        status["image"] = json!(image);
        status["imageID"] = json!(format!("{image}@sha256:1"));
        status["state"] = json!({ "running": { "startedAt": "2026-01-02T03:04:10Z" } });
    });
}

fn restart(container: &str) -> Progress {
    let container = container.to_owned();
    Progress::Incomplete(Missing::Restart { container, waiting: String::new() })
}

/// §3.1: the annotation is overwritten, but what it waited for is not.
#[test]
fn changed_metadata_does_not_end_an_update_that_is_not_finished() {
    let mut cluster = told();
    let metadata = Change { metadata: label("tier", Some("gold")), ..Change::default() };
    let writes = begin(&cluster.pod(), &metadata, &to("web-c"), now());
    assert_eq!(writes.len(), 1, "it is out of traffic already");
    assert_eq!(
        stored_state(&writes),
        json!({
            "revision": "web-c",
            "updateTimestamp": NOW,
            "lastContainerStatuses": {
                "main": {
                    "imageID": "reg.io/main:v1@sha256:1", "containerID": "containerd://main-1",
                    "madeFrom": "reg.io/main:v1",
                },
            },
            "updateImages": true,
            "containerBatchesRecord": [
                { "timestamp": NOW, "containers": ["main"] },
                { "timestamp": NOW, "containers": [] },
            ],
        })
    );
    cluster.perform(&writes);
    assert_eq!(progress(&cluster.pod()), restart("main"));
    started(&mut cluster, "containerd://main-2", "reg.io/main:v2");
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    let again = begin(&cluster.pod(), &metadata, &to("web-d"), now());
    assert_eq!(stored_state(&again)["lastContainerStatuses"], Value::Null, "what is done is done");
}

#[test]
fn an_update_of_one_container_waits_for_that_of_another() {
    let mut cluster = told();
    let side = images(&[("side", "reg.io/side:v2")]);
    cluster.perform(&begin(&cluster.pod(), &side, &to("web-c"), now()));
    assert_eq!(progress(&cluster.pod()), restart("main"));
    started(&mut cluster, "containerd://main-2", "reg.io/main:v2");
    assert_eq!(progress(&cluster.pod()), restart("side"));
}

/// W27: another container ID is no evidence while it may be that of the image overtaken.
#[test]
fn a_container_with_the_image_overtaken_is_not_the_wanted_one() {
    let mut cluster = told();
    let third = images(&[("main", "reg.io/main:v3")]);
    cluster.perform(&begin(&cluster.pod(), &third, &to("web-c"), now()));
    assert_eq!(progress(&cluster.pod()), restart("main"));
    started(&mut cluster, "containerd://main-2", "reg.io/main:v2");
    let superseded = Missing::Superseded { container: "main".to_owned() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(superseded));
    started(&mut cluster, "containerd://main-3", "reg.io/main:v3");
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// Two names of one image: the runtime may report either. If the kubelet leaves the container alone it is the wanted one.
#[test]
fn a_container_that_stays_at_the_name_overtaken_is_taken_for_the_wanted_one_in_the_end() {
    let mut cluster = told();
    let third = images(&[("main", "reg.io/main:v3")]);
    cluster.perform(&begin(&cluster.pod(), &third, &to("web-c"), now()));
    started(&mut cluster, "containerd://main-3", "reg.io/main:v2");
    let context = Context { lifecycle: None, update_revision: "web-c" };
    let at = |cluster: &Cluster, seconds| refresh(&cluster.pod(), &context, after(seconds));
    assert_eq!(at(&cluster, 64), settling("2026-01-02T03:05:10Z"));
    cluster.perform(&at(&cluster, 65).writes);
    assert_eq!(at(&cluster, 124), settling("2026-01-02T03:06:10Z"), "seen once is not enough");
    let settled = at(&cluster, 125).writes;
    assert_eq!(settled.len(), 1);
    cluster.perform(&settled);
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

fn settling(until: &str) -> Refresh {
    let until = until.parse().unwrap();
    Refresh { waiting: Some(Waiting::Settling { until }), ..Refresh::default() }
}

/// The kubelet tells of a container that it started long ago only when it is done with the others of its pod, and restarts
/// it right after.
#[test]
fn a_container_that_was_told_of_late_is_waited_for_too() {
    let mut cluster = told();
    let third = images(&[("main", "reg.io/main:v3")]);
    cluster.perform(&begin(&cluster.pod(), &third, &to("web-c"), now()));
    started(&mut cluster, "containerd://main-2", "reg.io/main:v2");
    let context = Context { lifecycle: None, update_revision: "web-c" };
    let at = |cluster: &Cluster, seconds| refresh(&cluster.pod(), &context, after(seconds));
    cluster.perform(&at(&cluster, 600).writes);
    assert_eq!(at(&cluster, 601), settling("2026-01-02T03:15:05Z"), "a minute from the first look");
    let main = &stored_state_of(&cluster)["lastContainerStatuses"]["main"];
    assert_eq!(main["staysSince"], json!("2026-01-02T03:14:05Z"));
    cluster.edit(|pod| {
        let status = &mut pod["status"]["containerStatuses"][0];
        status["containerID"] = json!("containerd://main-3");
        status["state"] = json!({ "running": { "startedAt": "2026-01-02T03:14:30Z" } });
    });
    assert_eq!(at(&cluster, 660), settling("2026-01-02T03:15:30Z"), "that was another container");
    started(&mut cluster, "containerd://main-4", "reg.io/main:v3");
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// The kubelet ends one container after another, each may take its time, and it tells nothing meanwhile.
#[test]
fn a_container_that_may_be_ending_is_waited_for_longer() {
    let mut cluster = told();
    cluster.edit(|pod| pod["spec"]["terminationGracePeriodSeconds"] = json!(300));
    let third = images(&[("main", "reg.io/main:v3")]);
    cluster.perform(&begin(&cluster.pod(), &third, &to("web-c"), now()));
    started(&mut cluster, "containerd://main-2", "reg.io/main:v2");
    let context = Context { lifecycle: None, update_revision: "web-c" };
    let at = |cluster: &Cluster, seconds| refresh(&cluster.pod(), &context, after(seconds));
    cluster.perform(&at(&cluster, 65).writes);
    assert_eq!(at(&cluster, 724), settling("2026-01-02T03:16:10Z"), "a minute and twice 300 s");
    assert_eq!(at(&cluster, 725).writes.len(), 1);
}

fn stored_state_of(cluster: &Cluster) -> Value {
    let text = &cluster.value()["metadata"]["annotations"]["apps.kruise.io/inplace-update-state"];
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

/// Of several images overtaken the last one is recorded, but any of them may be running.
#[test]
fn no_image_but_the_wanted_one_ends_an_update_that_overtook_several() {
    let mut cluster = told();
    for (image, revision) in [("reg.io/main:v3", "web-c"), ("reg.io/main:v4", "web-d")] {
        let change = images(&[("main", image)]);
        cluster.perform(&begin(&cluster.pod(), &change, &to(revision), now()));
    }
    let superseded = || Progress::Incomplete(Missing::Superseded { container: "main".to_owned() });
    for image in ["reg.io/main:v2", "reg.io/main:v3"] {
        started(&mut cluster, "containerd://main-2", image);
        assert_eq!(progress(&cluster.pod()), superseded(), "{image}");
    }
    started(&mut cluster, "containerd://main-3", "reg.io/main:v4");
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// A container that never ran may yet be started with the image that it was made with.
#[test]
fn the_first_start_of_a_container_may_be_that_of_the_image_overtaken() {
    let waiting = json!({ "containerID": null, "imageID": "", "state": { "waiting": { "reason": "ContainerCreating" } } });
    let mut cluster = Cluster::new(&web_main().status("main", &waiting));
    let second = images(&[("main", "reg.io/main:v2")]);
    cluster.perform(&begin(&cluster.pod(), &second, &to("web-b"), now()));
    started(&mut cluster, "containerd://main-1", "reg.io/main:v1");
    let superseded = Missing::Superseded { container: "main".to_owned() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(superseded));
    started(&mut cluster, "containerd://main-2", "reg.io/main:v2");
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// A digest is proof under whatever name the runtime tells.
#[test]
fn a_digest_that_is_wanted_needs_no_name() {
    let waiting = json!({ "containerID": null, "imageID": "", "state": { "waiting": { "reason": "ErrImagePull" } } });
    let mut cluster = Cluster::new(&web_main().status("main", &waiting));
    let second = images(&[("main", "reg.io/main@sha256:2")]);
    cluster.perform(&begin(&cluster.pod(), &second, &to("web-b"), now()));
    started(&mut cluster, "containerd://main-1", "reg.io/main:other");
    cluster.edit(|pod| {
        pod["status"]["containerStatuses"][0]["imageID"] = json!("reg.io/main@sha256:2");
    });
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// §3.1: however many updates a container that does not start is told of, its batches do not pile up.
#[test]
fn batches_that_are_overtaken_do_not_pile_up() {
    let mut cluster = told();
    for tag in 3..20 {
        let change = images(&[("main", &format!("reg.io/main:v{tag}"))]);
        cluster.perform(&begin(&cluster.pod(), &change, &to(&format!("web-{tag}")), now()));
    }
    let batches = &stored_state_of(&cluster)["containerBatchesRecord"];
    assert_eq!(*batches, json!([{ "timestamp": NOW, "containers": ["main"] }]));
}

/// W27, §10.3: the image comes back before the kubelet acted. It may see only that, and keep the container; or it is
/// about to restart it twice. Its observed generation tells which.
#[test]
fn the_way_back_ends_when_the_kubelet_has_seen_it() {
    let mut cluster = told();
    cluster.edit(|pod| pod["status"]["observedGeneration"] = json!(1));
    cluster.edit(|pod| pod["metadata"]["generation"] = json!(2));
    let back = images(&[("main", "reg.io/main:v1")]);
    cluster.perform(&begin(&cluster.pod(), &back, &to("web-a"), now()));
    assert_eq!(progress(&cluster.pod()), restart("main"), "the kubelet may still act on v2");
    let seen = cluster.value()["metadata"]["generation"].clone();
    cluster.edit(|pod| pod["status"]["observedGeneration"] = seen);
    assert_eq!(progress(&cluster.pod()), Progress::Complete, "it kept the container");
    started(&mut cluster, "containerd://main-2", "reg.io/main:v2");
    let superseded = Missing::Superseded { container: "main".to_owned() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(superseded), "it acted on v2");
    started(&mut cluster, "containerd://main-3", "reg.io/main:v1");
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// W27 with a kubelet that says nothing of generations: there is nothing to wait for.
#[test]
fn the_way_back_ends_at_once_with_an_old_kubelet() {
    let mut cluster = told();
    let back = images(&[("main", "reg.io/main:v1")]);
    cluster.perform(&begin(&cluster.pod(), &back, &to("web-a"), now()));
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// A resize and a changed env are not forgotten either.
#[test]
fn every_kind_of_change_is_waited_for() {
    let pod = web_main()
        .edit(|pod| pod["metadata"]["generation"] = json!(5))
        .spec("main", &json!({
            "resources": { "requests": { "cpu": "2" } },
            "env": [{ "name": "T", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['t']" } } }],
        }))
        .status("main", &json!({ "resources": { "requests": { "cpu": "1" } } }))
        .condition("InPlaceUpdateReady", &json!({ "status": "False" }))
        .updated(&json!({
            "revision": "web-a", "updateTimestamp": NOW, "lastContainerStatuses": null,
            "updateEnvFromMetadata": true, "updateResources": true,
            "containerBatchesRecord": [{ "timestamp": NOW, "containers": ["main"] }],
            "containerResources": { "main": { "requests": { "cpu": "2" }, "generation": 4 } },
        }));
    let metadata = Change { metadata: label("tier", Some("gold")), ..Change::default() };
    let state = stored_state(&begin(&pod.build(), &metadata, &to("web-c"), now()));
    assert_eq!(state["updateEnvFromMetadata"], json!(true));
    assert_eq!(state["updateResources"], json!(true));
    assert_eq!(
        state["containerResources"],
        json!({ "main": { "requests": { "cpu": "2" }, "generation": 4 } })
    );
    assert_eq!(state["containerBatchesRecord"][0]["containers"], json!(["main"]));
}

/// `main` runs this image, which the runtime calls otherwise; it was told to run v2, and then the third one. Its kubelet
/// has seen nothing of that; `dead` if it has ended the container meanwhile.
fn called(image: &str, name: &str, third: &str, (dead, recorded): (bool, bool)) -> Cluster {
    let status = json!({ "image": name, "imageID": "reg.io/main@sha256:1" });
    let pod = web_main()
        .spec("main", &json!({ "image": image }))
        .status("main", &status)
        .edit(|pod| pod["metadata"]["generation"] = json!(1))
        .edit(|pod| pod["status"]["observedGeneration"] = json!(1));
    let mut cluster = Cluster::new(&pod);
    let second = images(&[("main", "reg.io/main:v2")]);
    cluster.perform(&begin(&cluster.pod(), &second, &to("web-b"), now()));
    cluster.edit(|pod| pod["metadata"]["generation"] = json!(2));
    if dead {
        let state = json!({ "waiting": { "reason": "ImagePullBackOff" } });
        cluster.edit(|pod| pod["status"]["containerStatuses"][0]["state"] = state);
    }
    if !recorded {
        // As written by those before us.
        let mut state = stored_state_of(&cluster);
        let main = state["lastContainerStatuses"]["main"].as_object_mut().unwrap();
        main.remove("madeFrom");
        cluster.edit(|pod| {
            pod["metadata"]["annotations"]["apps.kruise.io/inplace-update-state"] =
                json!(state.to_string());
        });
    }
    let third = images(&[("main", third)]);
    cluster.perform(&begin(&cluster.pod(), &third, &to("web-a"), now()));
    cluster.edit(|pod| pod["metadata"]["generation"] = json!(3));
    cluster
}

fn seen(cluster: &mut Cluster) {
    cluster.edit(|pod| pod["status"]["observedGeneration"] = json!(3));
}

/// W27: of an image pulled by digest a runtime reports the ID, of one with several tags any of them. The kubelet goes by
/// what it made the container from.
#[test]
fn the_way_back_ends_whatever_the_runtime_calls_the_image() {
    for (image, name) in
        [("reg.io/main@sha256:1", "sha256:cfg"), ("reg.io/main:v1", "reg.io/main:v1.0")]
    {
        let mut cluster = called(image, name, image, (false, true));
        assert_eq!(progress(&cluster.pod()), restart("main"), "{name}: it may yet act on v2");
        seen(&mut cluster);
        assert_eq!(progress(&cluster.pod()), Progress::Complete, "{name}");
    }
}

/// The image overtaken could not be pulled; the container that comes after is the wanted one, as its digest proves.
#[test]
fn a_container_of_the_way_back_is_known_by_its_digest() {
    for recorded in [true, false] {
        let image = "reg.io/main@sha256:1";
        let mut cluster = called(image, "sha256:cfg", image, (true, recorded));
        assert_eq!(progress(&cluster.pod()), restart_after("ImagePullBackOff"));
        started(&mut cluster, "containerd://main-2", "sha256:cfg");
        cluster.edit(|pod| pod["status"]["containerStatuses"][0]["imageID"] = json!(image));
        seen(&mut cluster);
        assert_eq!(progress(&cluster.pod()), Progress::Complete, "{recorded}");
    }
}

fn restart_after(waiting: &str) -> Progress {
    let (container, waiting) = ("main".to_owned(), waiting.to_owned());
    Progress::Incomplete(Missing::Restart { container, waiting })
}

/// Another spelling is another image to the kubelet: it restarts the container, after it has told that it has seen it.
#[test]
fn another_spelling_of_the_image_is_no_way_back() {
    let full = "docker.io/library/nginx:1.27";
    let mut cluster = called("nginx:1.27", full, full, (false, true));
    seen(&mut cluster);
    assert_eq!(progress(&cluster.pod()), restart("main"));
    started(&mut cluster, "containerd://main-2", full);
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// The kubelet has the pod, and has told nothing yet: it may have begun with the image that is overtaken.
#[test]
fn a_container_without_a_status_may_be_started_with_the_image_overtaken() {
    let known = web_main().value()["status"]["containerStatuses"].clone();
    let mut cluster = Cluster::new(&web_main().untold());
    let second = images(&[("main", "reg.io/main:v2")]);
    cluster.perform(&begin(&cluster.pod(), &second, &to("web-b"), now()));
    let status = Missing::Status { container: "main".to_owned() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(status));
    cluster.edit(|pod| pod["status"]["containerStatuses"] = known);
    let superseded = Missing::Superseded { container: "main".to_owned() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(superseded));
    started(&mut cluster, "containerd://main-2", "reg.io/main:v2");
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// §6.6, §10.2.6: what plays nodes may say that a pod is ready and tell of no container; there is nothing to wait for then.
#[test]
fn a_pod_that_is_ready_without_statuses_of_containers_is_waited_for_no_longer() {
    let second = images(&[("main", "reg.io/main:v2")]);
    let ready = json!({ "status": "True" });
    for (kind, other) in [("Ready", "ContainersReady"), ("ContainersReady", "Ready")] {
        let pod = web_main().untold().condition(kind, &ready);
        for pod in [pod.clone(), pod.without_condition(other)] {
            let mut cluster = Cluster::new(&pod);
            cluster.perform(&begin(&cluster.pod(), &second, &to("web-b"), now()));
            assert_eq!(progress(&cluster.pod()), Progress::Complete, "{kind}");
            let context = Context { lifecycle: None, update_revision: "web-b" };
            cluster.perform(&refresh(&cluster.pod(), &context, after(1)).writes);
            assert!(cluster.pod().condition("InPlaceUpdateReady").unwrap().status, "{kind}");
        }
        let mut cluster = Cluster::new(&web_main().untold());
        cluster.perform(&begin(&cluster.pod(), &second, &to("web-b"), now()));
        let status = Missing::Status { container: "main".to_owned() };
        assert_eq!(progress(&cluster.pod()), Progress::Incomplete(status), "not told of yet");
        cluster.edit(|pod| {
            let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
            conditions.iter_mut().find(|it| it["type"] == kind).unwrap()["status"] = json!("True");
        });
        assert_eq!(progress(&cluster.pod()), Progress::Complete, "{kind}, later");
    }
}

/// Another pod of the node pulled the same content under the new name, by which the runtime calls it from then on.
#[test]
fn a_new_name_of_the_same_content_is_no_new_container() {
    let mut cluster = Cluster::new(&web_main());
    let second = images(&[("main", "reg.eu/main:v1")]);
    cluster.edit(|pod| {
        pod["status"]["containerStatuses"][0]["imageID"] = json!("reg.io/main@sha256:1");
    });
    cluster.perform(&begin(&cluster.pod(), &second, &to("web-b"), now()));
    cluster.edit(|pod| {
        let status = &mut pod["status"]["containerStatuses"][0];
        status["image"] = json!("reg.eu/main:v1");
        status["imageID"] = json!("reg.eu/main@sha256:1");
    });
    assert_eq!(progress(&cluster.pod()), restart("main"));
    started(&mut cluster, "containerd://main-2", "reg.eu/main:v1");
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}
