//! CPU and memory in place: through `pods/resize`, in two writes, without leaving traffic unless a container restarts
//! (`inplace.md` §5.2, §10.2.3, §18, W9, W17, W18).

use kruise_common::write::Write;
use serde_json::{Value, json};

use super::{images, to};
use crate::begin::{Target, begin, check};
use crate::diff::{Change, NotInPlace};
use crate::progress::{Missing, Progress, progress};
use crate::refresh::{Context, Refresh, Waiting, refresh};
use crate::resize::Resize;
use crate::tests::cluster::Cluster;
use crate::tests::pod::{Builder, NOW, after, now, put, sent, stored_state, web_main};

fn cpu(amount: &str) -> Value {
    json!({ "requests": { "cpu": amount, "memory": "1Gi" }, "limits": { "memory": "2Gi" } })
}

/// `main` requests one CPU and runs with that.
fn pod() -> Builder {
    web_main()
        .edit(|pod| pod["metadata"]["generation"] = json!(1))
        .spec("main", &json!({ "resources": cpu("1") }))
        .status("main", &json!({ "resources": cpu("1") }))
}

pub(super) fn to_cpu(amount: &str) -> Change {
    let resize = Resize::read(&json!({ "requests": { "cpu": amount } }));
    Change { resources: [("main".to_owned(), resize)].into(), ..Change::default() }
}

pub(super) fn idle(cluster: &Cluster) -> Refresh {
    let context = Context { lifecycle: None, update_revision: "web-b" };
    refresh(&cluster.pod(), &context, cluster.world.now)
}

#[test]
fn a_resize_is_two_writes_and_the_pod_goes_on_serving() {
    let state = r#"{"revision":"web-b","updateTimestamp":"2026-01-02T03:04:05Z","lastContainerStatuses":null,"updateResources":true,"containerBatchesRecord":[{"timestamp":"2026-01-02T03:04:05Z","containers":["main"]}],"containerResources":{"main":{"requests":{"cpu":"2"},"generation":1}}}"#;
    let writes = begin(&pod().build(), &to_cpu("2"), &to("web-b"), now());
    assert_eq!(
        sent(&writes),
        json!([
            { "on": "pods", "json": [
                { "op": "test", "path": "/metadata/uid", "value": "uid-web-0" },
                { "op": "test", "path": "/metadata/labels/controller-revision-hash", "value": "web-a" },
                { "op": "add", "path": "/metadata/labels/controller-revision-hash", "value": "web-b" },
                { "op": "test", "path": "/metadata/generation", "value": 1 },
                { "op": "add", "path": "/metadata/annotations/apps.kruise.io~1inplace-update-state", "value": state },
            ]},
            { "on": "pods/resize", "json": [
                { "op": "test", "path": "/metadata/uid", "value": "uid-web-0" },
                { "op": "test", "path": "/spec/containers/0/name", "value": "main" },
                { "op": "test", "path": "/spec/containers/0/resources/requests/cpu", "value": "1" },
                { "op": "replace", "path": "/spec/containers/0/resources/requests/cpu", "value": "2" },
            ]},
        ])
    );
}

#[test]
fn it_ends_when_the_container_runs_with_what_was_asked_for() {
    let mut cluster = Cluster::new(&pod());
    cluster.run(5);
    cluster.perform(&begin(&cluster.pod(), &to_cpu("2000m"), &to("web-b"), cluster.world.now));
    let missing = Missing::Resize { container: "main".to_owned(), why: String::new() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing));
    assert!(cluster.pod().ready(), "it serves meanwhile");
    cluster.run(2);
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    assert_eq!(idle(&cluster), Refresh::default(), "two writes are all");
    assert_eq!(cluster.value()["status"]["containerStatuses"][0]["restartCount"], 0);
    cluster.edit(|pod| pod["status"]["containerStatuses"][0]["resources"] = cpu("2"));
    assert_eq!(progress(&cluster.pod()), Progress::Complete, "an amount may be written otherwise");
}

/// §5.2: a resize that restarts the container takes the pod out of traffic first.
#[test]
fn a_resize_that_restarts_is_drained() {
    let policy = json!([
        { "resourceName": "cpu", "restartPolicy": "RestartContainer" },
        { "resourceName": "memory", "restartPolicy": "NotRequired" },
    ]);
    let pod = pod().spec("main", &json!({ "resizePolicy": policy }));
    let on = |pod: &Builder, change: &Change| -> Vec<&'static str> {
        begin(&pod.build(), change, &to("web-b"), now()).iter().map(Write::subresource).collect()
    };
    assert_eq!(on(&pod, &to_cpu("2")), ["status", "", "resize"]);
    assert_eq!(on(&pod.clone().without_gates(), &to_cpu("2")), ["", "resize"]);
    let memory = Resize::read(&json!({ "limits": { "memory": "3Gi" } }));
    let memory = Change { resources: [("main".to_owned(), memory)].into(), ..Change::default() };
    assert_eq!(on(&pod, &memory), ["", "resize"], "only for what restarts");
    let mut cluster = Cluster::new(&pod);
    cluster.run(5);
    cluster.perform(&begin(&cluster.pod(), &to_cpu("2"), &to("web-b"), cluster.world.now));
    assert!(!cluster.pod().ready());
    assert_eq!(idle(&cluster).writes, []);
    cluster.run(3);
    cluster.perform(&idle(&cluster).writes);
    cluster.run(1);
    assert!(cluster.pod().ready());
    assert_eq!(cluster.value()["status"]["containerStatuses"][0]["restartCount"], 1);
}

/// The first write was answered, then the controller died: the state tells what is left to do.
#[test]
fn a_resize_that_was_not_sent_is_sent_later_and_only_once() {
    let mut cluster = Cluster::new(&pod());
    let writes = begin(&cluster.pod(), &to_cpu("2"), &to("web-b"), now());
    cluster.perform(&writes[..1]);
    let missing = Missing::Unsent { container: "main".to_owned() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing));
    let again = idle(&cluster).writes;
    assert_eq!(again.iter().map(Write::subresource).collect::<Vec<_>>(), ["resize"]);
    cluster.perform(&again);
    assert!(cluster.world.perform(&again[0]).is_err(), "it tests what it replaces");
    cluster.run(1);
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    cluster.edit(|pod| pod["spec"]["containers"][0]["resources"] = cpu("1"));
    assert_eq!(progress(&cluster.pod()), Progress::Complete, "who undoes it has taken over");
    assert_eq!(idle(&cluster), Refresh::default());
}

/// W17: an entry that was not asked for is somebody else's, whatever its node says.
#[test]
fn a_resize_of_another_entry_is_not_waited_for() {
    let mut cluster = Cluster::new(&pod());
    cluster.perform(&begin(&cluster.pod(), &to_cpu("2"), &to("web-b"), now()));
    cluster.run(1);
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    cluster.edit(|pod| {
        pod["spec"]["containers"][0]["resources"]["requests"]["memory"] = json!("64Gi");
    });
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// W7: others may change the pod as often as they like while it is refused.
#[test]
fn a_resize_that_is_refused_for_long_is_not_forgotten() {
    let mut cluster = Cluster::new(&pod());
    let writes = begin(&cluster.pod(), &to_cpu("2"), &to("web-b"), now());
    cluster.perform(&writes[..1]);
    for _ in 0..3 {
        cluster.edit(|pod| {
            let generation = pod["metadata"]["generation"].as_i64().unwrap();
            pod["metadata"]["generation"] = json!(generation + 1);
        });
        let counted = idle(&cluster).writes;
        assert_eq!(counted.iter().map(Write::subresource).collect::<Vec<_>>(), [""]);
        cluster.perform(&counted);
    }
    let sent = idle(&cluster).writes;
    assert_eq!(sent.iter().map(Write::subresource).collect::<Vec<_>>(), ["resize"]);
    cluster.perform(&sent);
    cluster.run(1);
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    assert_eq!(cluster.value()["spec"]["containers"][0]["resources"]["requests"]["cpu"], "2");
}

/// W27: the amounts of before are no evidence while the kubelet may not have seen that they are wanted again.
#[test]
fn amounts_that_are_taken_back_at_once_wait_for_the_kubelet() {
    let mut cluster = Cluster::new(&pod());
    cluster.run(5);
    cluster.perform(&begin(&cluster.pod(), &to_cpu("2"), &to("web-b"), cluster.world.now));
    cluster.perform(&begin(&cluster.pod(), &to_cpu("1"), &to("web-a"), cluster.world.now));
    let (spec, status) = ("/spec/containers/0/resources", "/status/containerStatuses/0/resources");
    assert_eq!(cluster.value().pointer(spec), cluster.value().pointer(status));
    let missing = Missing::Resize { container: "main".to_owned(), why: String::new() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing));
    cluster.run(1);
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    // What somebody else changes later is not ours to wait for.
    cluster.edit(|pod| pod["metadata"]["generation"] = json!(9));
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    // Kubelets before 1.34 do not say what they have seen.
    cluster.edit(|pod| drop(pod["status"].as_object_mut().unwrap().remove("observedGeneration")));
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// W7: what was not sent is part of the next update, unless that wants something else.
#[test]
fn a_resize_that_was_not_sent_is_part_of_the_next_update() {
    let mut cluster = Cluster::new(&pod());
    let writes = begin(&cluster.pod(), &to_cpu("2"), &to("web-b"), now());
    cluster.perform(&writes[..1]);
    let nothing = begin(&cluster.pod(), &Change::default(), &to("web-c"), now());
    assert_eq!(stored_state(&nothing)["updateResources"], json!(true));
    assert_eq!(nothing[1].subresource(), "resize");
    let back = begin(&cluster.pod(), &to_cpu("1"), &to("web-a"), now());
    assert_eq!(back.len(), 1, "the pod has it still: {back:?}");
}

#[test]
fn a_resize_that_came_meanwhile_is_not_overwritten() {
    let writes = begin(&pod().build(), &to_cpu("2"), &to("web-b"), now());
    let mut cluster = Cluster::new(&pod().spec("main", &json!({ "resources": cpu("4") })));
    cluster.perform(&writes[..1]);
    assert!(cluster.world.perform(&writes[1]).is_err());
    let changed = begin(&pod().build(), &to_cpu("2"), &to("web-b"), now());
    let mut cluster = Cluster::new(&pod().edit(|pod| pod["metadata"]["generation"] = json!(2)));
    assert!(cluster.world.perform(&changed[0]).is_err(), "the state must tell the generation");
}

/// §18: what the pod cannot take is refused before anything is written.
#[test]
fn what_the_pod_cannot_take_is_not_begun() {
    let unsupported = pod().edit(|pod| {
        pod["status"]["containerStatuses"][0].as_object_mut().unwrap().remove("resources");
    });
    let no_resize = NotInPlace::NoResize { container: "main".to_owned() };
    assert_eq!(
        check(&unsupported.build(), &to_cpu("2"), now()),
        Err(no_resize),
        "the kubelet cannot"
    );
    assert_eq!(check(&unsupported.build(), &to_cpu("1000m"), now()), Ok(()), "nothing to resize");
    let bare = pod().spec("main", &json!({ "resources": {} }));
    assert!(matches!(check(&bare.build(), &to_cpu("2"), now()), Err(NotInPlace::Pod { .. })));
    let full = json!({ "requests": { "cpu": "1", "memory": "1" }, "limits": { "cpu": "1", "memory": "1" } });
    let guaranteed = pod().spec("main", &json!({ "resources": full }));
    let live = "requests and limits that a policy made equal";
    assert_eq!(check(&guaranteed.build(), &to_cpu("2"), now()), Err(NotInPlace::Qos), "{live}");
    assert_eq!(check(&pod().build(), &to_cpu("2"), now()), Ok(()));
    let old = pod().edit(|pod| drop(pod["metadata"].as_object_mut().unwrap().remove("generation")));
    let refused = check(&old.build(), &to_cpu("2"), now());
    assert!(matches!(refused, Err(NotInPlace::Pod { .. })), "API server before 1.33: {refused:?}");
}

/// W17.
#[test]
fn the_kubelets_word_on_a_resize_is_told() {
    let waiting = |reason: &str| {
        let condition = json!({ "status": "True", "reason": reason });
        let mut cluster = Cluster::new(&pod().condition("PodResizePending", &condition));
        cluster.perform(&begin(&cluster.pod(), &to_cpu("2"), &to("web-b"), now()));
        progress(&cluster.pod())
    };
    let container = "main".to_owned();
    let deferred = Missing::Resize { container: container.clone(), why: "Deferred".to_owned() };
    assert_eq!(deferred.to_string(), "resize of container main (Deferred)");
    assert_eq!(waiting("Deferred"), Progress::Incomplete(deferred));
    assert_eq!(waiting("Infeasible"), Progress::Incomplete(Missing::Infeasible { container }));
}

/// W17: what an autoscaler asks for afterwards is not ours, whatever becomes of it.
#[test]
fn a_resize_of_somebody_else_is_not_waited_for() {
    let mut cluster = Cluster::new(&pod());
    cluster.perform(&begin(&cluster.pod(), &to_cpu("2"), &to("web-b"), now()));
    cluster.edit(|pod| pod["spec"]["containers"][0]["resources"] = cpu("64"));
    cluster.edit(|pod| pod["metadata"]["generation"] = json!(3));
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// What OpenKruise began names no amounts: the containers of its batches must run with what the spec says.
#[test]
fn a_resize_that_openkruise_began_is_waited_for() {
    let state = json!({
        "revision": "web-a", "updateTimestamp": NOW, "lastContainerStatuses": null, "updateResources": true,
        "containerBatchesRecord": [{ "timestamp": NOW, "containers": ["main"] }],
    });
    let done = pod().updated(&state);
    assert_eq!(progress(&done.build()), Progress::Complete);
    let pending = done.spec("main", &json!({ "resources": cpu("2") }));
    let missing = Missing::Resize { container: "main".to_owned(), why: String::new() };
    assert_eq!(progress(&pending.build()), Progress::Incomplete(missing));
}

/// Two containers in batches of their own, `main` first.
pub(super) fn main_before_side() -> Builder {
    let small = json!({ "requests": { "cpu": "1" } });
    pod()
        .container("side", "reg.io/side:v1")
        .spec("side", &json!({ "resources": small }))
        .status("side", &json!({ "resources": small }))
        .priority("main", 1)
        .priority("side", 0)
}

/// W9: resources alone are a batch too.
#[test]
fn a_later_batch_of_resources_alone_is_applied() {
    let pod = main_before_side();
    let side = Resize::read(&json!({ "requests": { "cpu": "3" } }));
    let mut change = to_cpu("2");
    change.resources.insert("side".to_owned(), side);
    let mut cluster = Cluster::new(&pod);
    cluster.run(5);
    let first = begin(&cluster.pod(), &change, &to("web-b"), cluster.world.now);
    let next = json!({ "side": { "requests": { "cpu": "3" } } });
    assert_eq!(stored_state(&first)["nextContainerResources"], next);
    cluster.perform(&first);
    cluster.run(2);
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(Missing::NextBatch));
    let second = idle(&cluster).writes;
    assert_eq!(second.iter().map(Write::subresource).collect::<Vec<_>>(), ["", "resize"]);
    cluster.perform(&second);
    cluster.run(2);
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    let value = cluster.value();
    assert_eq!(value["spec"]["containers"][1]["resources"]["requests"]["cpu"], "3");
}

#[test]
fn a_grace_period_carries_a_resize_that_restarts() {
    let policy = json!([{ "resourceName": "cpu", "restartPolicy": "RestartContainer" }]);
    let mut cluster = Cluster::new(&pod().spec("main", &json!({ "resizePolicy": policy })));
    let target = Target { revision: "web-b", grace_seconds: 10 };
    let writes = begin(&cluster.pod(), &to_cpu("2"), &target, now());
    let grace = put(&writes, "/metadata/annotations/apps.kruise.io~1inplace-update-grace").unwrap();
    assert!(
        grace
            .as_str()
            .unwrap()
            .contains(r#""containerResources":{"main":{"requests":{"cpu":"2"}}}"#)
    );
    cluster.perform(&writes);
    let context = Context { lifecycle: None, update_revision: "web-b" };
    let end = refresh(&cluster.pod(), &context, after(11)).writes;
    assert_eq!(end.iter().map(Write::subresource).collect::<Vec<_>>(), ["", "resize"]);
    cluster.perform(&end);
    let value = cluster.value();
    assert_eq!(value["spec"]["containers"][0]["resources"]["requests"]["cpu"], "2");
    let serving = begin(&pod().build(), &to_cpu("2"), &target, now());
    assert_eq!(serving.len(), 2, "who goes on serving needs no grace period");
}

/// W17: OpenKruise does not say what it asked for; what an autoscaler asked for since may be what the node has no room for.
#[test]
fn a_node_without_room_is_no_word_on_amounts_that_nobody_names() {
    let state = json!({
        "revision": "web-a", "updateTimestamp": NOW, "lastContainerStatuses": null, "updateResources": true,
        "containerBatchesRecord": [{ "timestamp": NOW, "containers": ["main"] }],
    });
    let condition = json!({ "status": "True", "reason": "Infeasible" });
    let waits = pod()
        .updated(&state)
        .spec("main", &json!({ "resources": cpu("64") }))
        .condition("PodResizePending", &condition);
    let missing = Missing::Resize { container: "main".to_owned(), why: "Infeasible".to_owned() };
    assert_eq!(progress(&waits.build()), Progress::Incomplete(missing));
}

/// W17: amounts that the kubelet puts off restart nothing, so they keep no pod out of traffic that has its new image.
#[test]
fn amounts_that_are_put_off_keep_no_pod_out_of_traffic() {
    let played = |restart: &str| {
        let policy = json!([{ "resourceName": "cpu", "restartPolicy": restart }]);
        let pod = pod()
            .annotation("sim.kruise.dev/resize", "Deferred")
            .spec("main", &json!({ "resizePolicy": policy }));
        let mut cluster = Cluster::new(&pod);
        cluster.run(5);
        let images = images(&[("main", "reg.io/main:v2")]).images;
        let change = Change { images, ..to_cpu("2") };
        cluster.perform(&begin(&cluster.pod(), &change, &to("web-b"), cluster.world.now));
        assert_eq!(idle(&cluster).writes, [], "the image is not there yet");
        cluster.run(5);
        cluster
    };
    let missing = Missing::Resize { container: "main".to_owned(), why: "Deferred".to_owned() };
    let mut cluster = played("NotRequired");
    let back = idle(&cluster);
    assert_eq!(back.waiting, Some(Waiting::Incomplete(missing.clone())));
    cluster.perform(&back.writes);
    cluster.run(1);
    assert!(cluster.pod().ready());
    assert_eq!(cluster.pod().meta.labels.get("lifecycle.apps.kruise.io/state"), Some("Normal"));
    assert_eq!(idle(&cluster).writes, []);
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing.clone()), "not finished");
    let restarts = played("RestartContainer");
    assert_eq!(progress(&restarts.pod()), Progress::Incomplete(missing));
    assert_eq!(idle(&restarts).writes, [], "the container will be restarted for them");
}

/// W17: what the kubelet said of the amounts before is no word on these, which it has not seen.
#[test]
fn a_word_on_other_amounts_is_none_on_these() {
    let condition = json!({ "status": "True", "reason": "Infeasible" });
    let waits = pod()
        .condition("PodResizePending", &condition)
        .spec("main", &json!({ "resources": cpu("64") }))
        .edit(|pod| pod["status"]["observedGeneration"] = json!(1));
    let asked = |amount: &str| {
        let mut cluster = Cluster::new(&waits);
        cluster.perform(&begin(&cluster.pod(), &to_cpu(amount), &to("web-b"), now()));
        let container = "main".to_owned();
        let missing = Missing::Resize { container, why: "Infeasible".to_owned() };
        assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing), "{amount}");
        let seen = cluster.value()["metadata"]["generation"].clone();
        cluster.edit(|pod| pod["status"]["observedGeneration"] = seen);
        progress(&cluster.pod())
    };
    let container = "main".to_owned();
    assert_eq!(asked("32"), Progress::Incomplete(Missing::Infeasible { container }));
    assert_eq!(asked("1"), Progress::Complete);
}

/// W17: where nothing had to be sent, because an autoscaler had asked for it before, what it asks for later is its own.
#[test]
fn what_the_pod_had_already_is_not_asked_for_later() {
    let has = json!({ "resources": cpu("2") });
    let mut cluster = Cluster::new(&pod().spec("main", &has).status("main", &has));
    cluster.run(5);
    let writes = begin(&cluster.pod(), &to_cpu("2"), &to("web-b"), cluster.world.now);
    assert_eq!(writes.len(), 1);
    cluster.perform(&writes);
    cluster.run(1);
    let other = |cluster: &mut Cluster, amount: &str| {
        cluster.edit(|pod| pod["spec"]["containers"][0]["resources"] = cpu(amount));
    };
    let mut soon = cluster.clone();
    other(&mut soon, "1");
    for subresource in ["", "resize"] {
        let writes = idle(&soon).writes;
        assert_eq!(writes.iter().map(Write::subresource).collect::<Vec<_>>(), [subresource]);
        soon.perform(&writes);
    }
    let amount = "/spec/containers/0/resources/requests/cpu";
    assert_eq!(soon.value().pointer(amount), Some(&json!("2")), "one of before that came late");
    cluster.world.now = after(3600);
    other(&mut cluster, "3");
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    assert_eq!(idle(&cluster), Refresh::default());
    let metadata = Change::default();
    let next = begin(&cluster.pod(), &metadata, &to("web-c"), cluster.world.now);
    assert_eq!(next.len(), 1, "nor with the next update: {next:?}");
}

/// §10.2.3: which containers were resized is known after a later batch of images alone as well.
#[test]
fn a_later_batch_of_images_does_not_forget_which_containers_were_resized() {
    let pod = main_before_side();
    let change = Change { images: images(&[("side", "reg.io/side:v2")]).images, ..to_cpu("2") };
    let mut cluster = Cluster::new(&pod);
    cluster.run(5);
    cluster.perform(&begin(&cluster.pod(), &change, &to("web-b"), cluster.world.now));
    for _ in 0..3 {
        cluster.run(3);
        cluster.perform(&idle(&cluster).writes);
    }
    assert_eq!((progress(&cluster.pod()), idle(&cluster).writes), (Progress::Complete, vec![]));
    // An autoscaler asks for something, which is put off.
    cluster.edit(|pod| {
        pod["spec"]["containers"][1]["resources"]["requests"]["cpu"] = json!("3");
    });
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}
