//! Metadata that env reads: the node daemon restarts the readers (`inplace.md` §4.2.5, §6.4, §10.2.2, §11, W5).

use kruise_common::write::Write;
use serde_json::{Value, json};

use super::{images, to};
use crate::begin::{Target, begin, check};
use crate::diff::{Change, EnvMetadata, NotInPlace};
use crate::progress::{Missing, Progress, progress};
use crate::refresh::{Context, refresh};
use crate::tests::cluster::Cluster;
use crate::tests::pod::{Builder, NOW, now, put, reported, sent, stored_state, web};

/// A container whose env `TIER` reads label `tier`.
fn reader(pod: Builder, name: &str) -> Builder {
    let path = "metadata.labels['tier']";
    let env = json!([{ "name": "TIER", "valueFrom": { "fieldRef": { "fieldPath": path } } }]);
    pod.container(name, "reg.io/app:v1").spec(name, &json!({ "env": env }))
}

/// `main` reads, `side` does not; the daemon reports both.
fn pod() -> Builder {
    reader(web(), "main").container("side", "reg.io/side:v1").label("tier", "silver").daemon()
}

/// `tier: gold`, read by these containers.
fn gold(containers: &[&str]) -> Change {
    let read = EnvMetadata {
        labels: [("tier".to_owned(), "gold".to_owned())].into(),
        ..EnvMetadata::default()
    };
    let env = containers.iter().map(|name| ((*name).to_owned(), read.clone()));
    Change { env: env.collect(), ..Change::default() }
}

#[test]
fn a_label_that_env_reads_is_two_writes_out_of_traffic_first() {
    let writes = begin(&pod().build(), &gold(&["main"]), &to("web-b"), now());
    let on: Vec<&str> = writes.iter().map(Write::subresource).collect();
    assert_eq!(on, ["status", ""]);
    assert_eq!(put(&writes, "/metadata/labels/tier"), Some(json!("gold")));
    assert_eq!(
        stored_state(&writes),
        json!({
            "revision": "web-b",
            "updateTimestamp": NOW,
            "lastContainerStatuses": null,
            "updateEnvFromMetadata": true,
            "containerBatchesRecord": [{ "timestamp": NOW, "containers": ["main"] }],
            "envContainers": ["main"],
        })
    );
}

/// 3 writes: out of traffic, the label, back. The daemon's report is what ends it.
#[test]
fn the_update_ends_when_the_daemon_says_that_the_reader_was_started_anew() {
    let mut cluster = Cluster::new(&pod());
    cluster.run(5);
    cluster.report();
    let context = Context { lifecycle: None, update_revision: "web-b" };
    assert!(refresh(&cluster.pod(), &context, cluster.world.now).writes.is_empty());
    assert_eq!(check(&cluster.pod(), &gold(&["main"]), now()), Ok(()));
    cluster.perform(&begin(&cluster.pod(), &gold(&["main"]), &to("web-b"), cluster.world.now));
    cluster.run(3);
    let missing = Missing::Env { container: "main".to_owned() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing.clone()));
    // The daemon kills the container; its report of the old one says nothing of the new one.
    let id = cluster.pod().statuses[0].container_id.to_string();
    cluster.edit(|pod| {
        pod["metadata"]["annotations"]["sim.kruise.dev/kill"] = json!(format!("main/{id}"));
    });
    cluster.run(3);
    assert_ne!(*cluster.pod().statuses[0].container_id, *id);
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing));
    cluster.report();
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    let back = refresh(&cluster.pod(), &context, cluster.world.now).writes;
    assert_eq!(back.len(), 1);
    cluster.perform(&back);
    cluster.run(2);
    assert!(cluster.pod().ready());
    // It is over: without the daemon, or with another label, the pod serves on.
    cluster.edit(|pod| {
        let annotations = pod["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.remove("apps.kruise.io/runtime-containers-meta");
        pod["metadata"]["labels"]["tier"] = json!("by hand");
    });
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// §10.2.2: a report with the hash of older metadata is no evidence.
#[test]
fn a_report_of_older_metadata_is_no_evidence() {
    let mut cluster = Cluster::new(&pod());
    cluster.perform(&begin(&cluster.pod(), &gold(&["main"]), &to("web-b"), now()));
    let missing = Missing::Env { container: "main".to_owned() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing.clone()));
    cluster.edit(|pod| {
        let annotations = pod["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.remove("apps.kruise.io/runtime-containers-meta");
    });
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing), "nor is none");
}

/// W5: without the daemon, or where it cannot look into the container, nobody would ever restart the reader.
#[test]
fn without_a_report_of_the_reader_it_is_not_updated_in_place() {
    let refused = |pod: &Builder, containers: &str| {
        let why = NotInPlace::NoDaemon { containers: containers.to_owned() };
        assert_eq!(check(&pod.build(), &gold(&["main"]), now()), Err(why));
    };
    let key = "apps.kruise.io/runtime-containers-meta";
    refused(&pod().annotation(key, "{"), "main");
    refused(&reader(web(), "main"), "main");
    let no_env = json!({ "containers": [
        { "name": "main", "containerID": "containerd://main-1", "hashes": { "plainHash": 1 } },
    ]});
    refused(&pod().annotation(key, &no_env.to_string()), "main");
    refused(&pod().status("main", &json!({ "containerID": "containerd://main-9" })), "main");
    let image = images(&[("side", "reg.io/side:v2")]);
    assert_eq!(
        check(&reader(web(), "main").build(), &image, now()),
        Ok(()),
        "others need no daemon"
    );
    // Another reader of the same update would be asked for its report in the end.
    let reading = |env: &Value| {
        let pod = pod().spec("side", &json!({ "env": env })).edit(|pod| {
            let mut report = reported(pod);
            let of_side = report["containers"].as_array_mut().unwrap();
            let of_side = of_side.iter_mut().find(|it| it["name"] == "side").unwrap();
            of_side["hashes"].as_object_mut().unwrap().remove("extractedEnvFromMetadataHash");
            pod["metadata"]["annotations"][key] = json!(report.to_string());
        });
        pod.build()
    };
    let app = json!([{ "name": "APP", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['app']" } } }]);
    let both = Change { images: image.images.clone(), ..gold(&["main"]) };
    assert_eq!(check(&reading(&json!([])), &both, now()), Ok(()));
    let why = NotInPlace::NoDaemon { containers: "side".to_owned() };
    assert_eq!(check(&reading(&app), &both, now()), Err(why));
    // §20: it restarts only what is out of traffic.
    let bare = pod().without_gates().build();
    assert!(matches!(check(&bare, &gold(&["main"]), now()), Err(NotInPlace::Pod { .. })));
}

/// §6.4: metadata is the pod's, so who reads the same key cannot wait for a later batch.
#[test]
fn readers_of_one_key_go_together_whatever_their_priority() {
    let pod = reader(reader(reader(web(), "early"), "late"), "last")
        .container("image", "reg.io/image:v1")
        .priority_beside("early", 0)
        .priority_beside("late", -1)
        .priority_beside("last", -2)
        .priority("image", -3)
        .label("zone", "a")
        .daemon();
    let mut change = gold(&["early", "late"]);
    let zone = EnvMetadata {
        labels: [("zone".to_owned(), "b".to_owned())].into(),
        ..EnvMetadata::default()
    };
    change.env.insert("last".to_owned(), zone);
    change.images = [("image".to_owned(), "reg.io/image:v2".to_owned())].into();
    let writes = begin(&pod.build(), &change, &to("web-b"), now());
    let state = stored_state(&writes);
    assert_eq!(state["containerBatchesRecord"][0]["containers"], json!(["early", "late"]));
    assert_eq!(
        state["nextContainerRefMetadata"],
        json!({ "last": { "creationTimestamp": null, "labels": { "zone": "b" } } })
    );
    assert_eq!(state["nextContainerImages"], json!({ "image": "reg.io/image:v2" }));
    assert_eq!(state["preCheckBeforeNext"]["containersRequiredReady"], json!(["early", "late"]));
    assert_eq!(put(&writes, "/metadata/labels/tier"), Some(json!("gold")));
    assert_eq!(put(&writes, "/metadata/labels/zone"), None, "not before its reader's turn");
}

#[test]
fn a_reader_that_the_pod_lacks_makes_it_metadata() {
    let writes = begin(&pod().build(), &gold(&["gone"]), &to("web-b"), now());
    assert_eq!(sent(&writes)[0]["on"], "pods", "nobody restarts, so nobody is drained");
    assert_eq!(writes.len(), 1);
    assert_eq!(put(&writes, "/metadata/labels/tier"), Some(json!("gold")));
    assert_eq!(stored_state(&writes)["updateEnvFromMetadata"], Value::Null);
}

#[test]
fn a_grace_period_keeps_what_env_reads_apart() {
    let target = Target { revision: "web-b", grace_seconds: 10 };
    let mut cluster = Cluster::new(&pod());
    let writes = begin(&cluster.pod(), &gold(&["main"]), &target, now());
    let grace = put(&writes, "/metadata/annotations/apps.kruise.io~1inplace-update-grace").unwrap();
    let want = r#"{"revision":"web-b","containerRefMetadata":{"main":{"creationTimestamp":null,"labels":{"tier":"gold"}}},"metaDataPatch":"e30=","updateEnvFromMetadata":true,"graceSeconds":10}"#;
    assert_eq!(grace, json!(want));
    cluster.perform(&writes);
    let context = Context { lifecycle: None, update_revision: "web-b" };
    let end = refresh(&cluster.pod(), &context, crate::tests::pod::after(11)).writes;
    assert_eq!(put(&end, "/metadata/labels/tier"), Some(json!("gold")));
    assert_eq!(stored_state(&end)["updateEnvFromMetadata"], json!(true));
}

/// W5: a daemon that knew the container before, or knows another one of the pod, is there and takes its time.
#[test]
fn a_report_that_is_a_moment_late_is_waited_for() {
    let started = |seconds: i64| {
        let at = kruise_api::shared::inplace::rfc3339(crate::tests::pod::after(-seconds));
        let status = json!({ "containerID": "containerd://main-9", "state": { "running": { "startedAt": at } } });
        pod().status("main", &status)
    };
    let asked = |pod: &Builder| check(&pod.build(), &gold(&["main"]), now());
    let main = || "main".to_owned();
    assert_eq!(asked(&started(5)), Err(NotInPlace::DaemonLate { containers: main() }));
    assert_eq!(asked(&started(61)), Err(NotInPlace::NoDaemon { containers: main() }));
    let key = "apps.kruise.io/runtime-containers-meta";
    let silent = started(5).edit(|pod| {
        let mut report = reported(pod);
        report["containers"].as_array_mut().unwrap().retain(|it| it["name"] == "side");
        pod["metadata"]["annotations"][key] = json!(report.to_string());
    });
    assert_eq!(
        asked(&silent),
        Err(NotInPlace::DaemonLate { containers: main() }),
        "side is reported"
    );
    let nobody = started(5).annotation(key, r#"{"containers":[]}"#);
    assert_eq!(asked(&nobody), Err(NotInPlace::NoDaemon { containers: main() }));
}

/// `main` was restarted by the daemon for its env, and is back in traffic.
fn updated() -> Cluster {
    let mut cluster = Cluster::new(&pod());
    cluster.run(5);
    cluster.report();
    cluster.perform(&begin(&cluster.pod(), &gold(&["main"]), &to("web-b"), cluster.world.now));
    kill(&mut cluster, "main");
    cluster.report();
    let context = Context { lifecycle: None, update_revision: "web-b" };
    cluster.perform(&refresh(&cluster.pod(), &context, cluster.world.now).writes);
    cluster.run(2);
    assert!(cluster.pod().ready());
    cluster
}

/// The daemon kills a container, and the kubelet starts it anew.
fn kill(cluster: &mut Cluster, container: &str) {
    let pod = cluster.pod();
    let (_, status) = pod.status(container).unwrap();
    let named = format!("{container}/{}", status.container_id);
    cluster.edit(|pod| pod["metadata"]["annotations"]["sim.kruise.dev/kill"] = json!(named));
    cluster.run(3);
}

/// §10.2.2: the gate that falls for a later update, whose image is refused, wakes nothing of one that is over.
#[test]
fn a_later_update_that_is_refused_asks_for_nothing_of_one_that_is_over() {
    let mut cluster = updated();
    // The daemon has gone, and the node was rebooted.
    cluster.edit(|pod| {
        let annotations = pod["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.remove("apps.kruise.io/runtime-containers-meta");
    });
    cluster.crash("main");
    cluster.run(120);
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    let later = images(&[("main", "reg.io/app:v2")]);
    let first = begin(&cluster.pod(), &later, &to("web-c"), cluster.world.now);
    cluster.perform(&first[..1]);
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
    let mut refused = cluster.clone();
    let context = Context { lifecycle: None, update_revision: "web-c" };
    refused.perform(&refresh(&refused.pod(), &context, refused.world.now).writes);
    refused.run(1);
    assert!(refused.pod().ready(), "it serves between the attempts");
    cluster.run(5);
    let again = begin(&cluster.pod(), &later, &to("web-c"), cluster.world.now);
    assert_eq!(stored_state(&again)["updateEnvFromMetadata"], Value::Null);
    cluster.perform(&again);
    cluster.run(5);
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// One that is under way is asked for whatever comes upon it, also by a leader whose clock is behind.
#[test]
fn an_update_that_is_under_way_is_not_taken_for_over() {
    let mut cluster = Cluster::new(&pod());
    cluster.run(5);
    cluster.report();
    let (now, behind) = (cluster.world.now, crate::tests::pod::after(-30));
    let first = begin(&cluster.pod(), &gold(&["main"]), &to("web-b"), now);
    cluster.perform(&first[..1]);
    let second = begin(&cluster.pod(), &gold(&["main"]), &to("web-b"), behind);
    cluster.perform(&second);
    let missing = Missing::Env { container: "main".to_owned() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing.clone()));
    let image = images(&[("side", "reg.io/side:v2")]);
    cluster.run(90);
    cluster.perform(&begin(&cluster.pod(), &image, &to("web-c"), cluster.world.now));
    cluster.run(5);
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing));
}

/// W5: a container whose image alone changes is started with the env of today; nobody asked whether the daemon can look
/// into it.
#[test]
fn an_image_that_overtakes_waits_for_no_report_of_its_own() {
    let app = json!([{ "name": "APP", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['app']" } } }]);
    let mut cluster = Cluster::new(&pod().spec("side", &json!({ "env": app })));
    cluster.run(5);
    report_without(&mut cluster, "side");
    cluster.perform(&begin(&cluster.pod(), &gold(&["main"]), &to("web-b"), cluster.world.now));
    let image = images(&[("side", "reg.io/side:v2")]);
    assert_eq!(check(&cluster.pod(), &image, cluster.world.now), Ok(()));
    cluster.perform(&begin(&cluster.pod(), &image, &to("web-c"), cluster.world.now));
    cluster.run(5);
    let missing = Missing::Env { container: "main".to_owned() };
    assert_eq!(progress(&cluster.pod()), Progress::Incomplete(missing));
    kill(&mut cluster, "main");
    report_without(&mut cluster, "side");
    assert_eq!(progress(&cluster.pod()), Progress::Complete);
}

/// The daemon reports, and cannot look into one of the containers.
fn report_without(cluster: &mut Cluster, container: &str) {
    cluster.edit(|pod| {
        let mut report = reported(pod);
        let all = report["containers"].as_array_mut().unwrap();
        let blind = all.iter_mut().find(|it| it["name"] == container).unwrap();
        blind["hashes"].as_object_mut().unwrap().remove("extractedEnvFromMetadataHash");
        pod["metadata"]["annotations"]["apps.kruise.io/runtime-containers-meta"] =
            json!(report.to_string());
    });
}

/// What OpenKruise began does not say who waits for the daemon: all of its containers that read metadata.
#[test]
fn every_reader_of_an_update_that_openkruise_began_waits_for_the_daemon() {
    let mut cluster = Cluster::new(&reader(pod(), "other"));
    cluster.run(5);
    cluster.report();
    let begun = json!({
        "revision": "web-b", "updateTimestamp": NOW, "lastContainerStatuses": null, "updateEnvFromMetadata": true,
        "containerBatchesRecord": [{ "timestamp": NOW, "containers": ["main", "other"] }],
    });
    cluster.edit(|pod| {
        pod["metadata"]["labels"]["tier"] = json!("gold");
        pod["metadata"]["annotations"]["apps.kruise.io/inplace-update-state"] =
            json!(begun.to_string());
        let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
        conditions.iter_mut().find(|c| c["type"] == "InPlaceUpdateReady").unwrap()["status"] =
            json!("False");
    });
    let missing = |name: &str| Progress::Incomplete(Missing::Env { container: name.to_owned() });
    assert_eq!(progress(&cluster.pod()), missing("main"));
    kill(&mut cluster, "main");
    report_of(&mut cluster, "main");
    assert_eq!(progress(&cluster.pod()), missing("other"));
}

/// The daemon reports of one container alone.
fn report_of(cluster: &mut Cluster, container: &str) {
    cluster.edit(|pod| {
        let mut report = reported(pod);
        report["containers"].as_array_mut().unwrap().retain(|it| it["name"] == container);
        pod["metadata"]["annotations"]["apps.kruise.io/runtime-containers-meta"] =
            json!(report.to_string());
    });
}
