//! Pods off the wire: everything that is used is read, and nothing that is absent or strange poisons a watch.

use jiff::Timestamp;
use kruise_api::keys;
use serde_json::{Value, json};

use crate::intern::Interner;
use crate::pod::{Phase, Pod, WirePod};
use crate::table::Wire;

fn read(value: &Value) -> Result<Pod, serde_json::Error> {
    // From text, as the watch does.
    let wire: WirePod = serde_json::from_str(&value.to_string())?;
    Ok(wire.into_record(&Interner::default()))
}

fn rich() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web-0", "namespace": "ns", "uid": "u", "resourceVersion": "5",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {keys::CONTROLLER_REVISION_HASH: "web-1"},
            "annotations": {keys::INPLACE_UPDATE_STATE: "{}", "huge": "x"},
            "ownerReferences": [{"apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": "s", "controller": true}],
        },
        "spec": {
            "nodeName": "n1",
            "readinessGates": [{"conditionType": "InPlaceUpdateReady"}],
            "containers": [
                {"name": "main", "image": "nginx:1", "ports": [{"containerPort": 80}], "env": [
                    {"name": "A", "value": "b"},
                    {"name": keys::BARRIER_ENV, "valueFrom": {"configMapKeyRef": {"name": "c", "key": "p_20"}}},
                ]},
                {"name": "side", "image": "side:1"},
            ],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}},
                {"name": "tmp", "emptyDir": {}},
            ],
        },
        "status": {
            "phase": "Running", "reason": "Because",
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:07Z", "message": "dropped"},
                {"type": "InPlaceUpdateReady", "status": "False", "reason": "Starting", "message": "kept"},
            ],
            "containerStatuses": [{
                "name": "main", "image": "docker.io/nginx:1", "imageID": "sha256:1", "containerID": "containerd://1",
                "ready": true, "state": {"running": {"startedAt": "2026-01-01T00:00:05Z"}},
            }, {
                "name": "side", "image": "", "imageID": "", "ready": false,
                "state": {"waiting": {"reason": "ImagePullBackOff"}},
            }],
        },
    })
}

#[test]
fn what_controllers_look_at_is_read() {
    let pod = read(&rich()).unwrap();
    assert_eq!(
        (pod.name(), pod.revision(), pod.node.as_deref()),
        ("web-0", Some("web-1"), Some("n1"))
    );
    assert_eq!(
        (pod.phase, pod.reason.as_deref(), pod.annotated),
        (Phase::Running, Some("Because"), true)
    );
    assert_eq!(pod.annotations.iter().count(), 1, "others are not kept");
    assert!(pod.gated_by("InPlaceUpdateReady") && !pod.gated_by("Ready"));
    let (index, main) = pod.container("main").unwrap();
    assert_eq!((index, &*main.image, main.priority), (0, "nginx:1", Some(20)));
    assert_eq!(pod.container("side").unwrap().1.priority, None);
    assert_eq!(
        pod.claims.iter().map(|(name, claim)| (&**name, &**claim)).collect::<Vec<_>>(),
        [("data", "data-web-0")]
    );
    let time = |moment: Option<crate::moment::Moment>| moment.map(|it| it.timestamp().to_string());
    let ready = pod.condition("Ready").unwrap();
    assert_eq!((ready.status, &*ready.reason, &ready.message), (true, "", &None));
    assert_eq!(time(ready.since).as_deref(), Some("2026-01-01T00:00:07Z"));
    let updated = pod.condition("InPlaceUpdateReady").unwrap();
    assert_eq!(
        (updated.status, &*updated.reason, updated.message.as_deref()),
        (false, "Starting", Some("kept"))
    );
    let (index, side) = pod.status("side").unwrap();
    assert_eq!(
        (index, side.ready, &*side.waiting, &*side.container_id),
        (1, false, "ImagePullBackOff", "")
    );
    let main = pod.status("main").unwrap().1;
    assert_eq!(
        (&*main.image_id, &*main.container_id, main.ready),
        ("sha256:1", "containerd://1", true)
    );
    assert_eq!(time(main.started_at).as_deref(), Some("2026-01-01T00:00:05Z"));
}

/// `inplace.md` §11.3, §18: env that reads the pod's own metadata, with the annotations that it reads, and resources.
#[test]
fn what_in_place_updates_look_at_is_read() {
    let mut value = rich();
    value["metadata"]["annotations"]["read"] = json!("by env");
    value["status"]["observedGeneration"] = json!(4);
    let from = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let main = &mut value["spec"]["containers"][0];
    main["env"] = json!([
        { "name": "A", "valueFrom": from("metadata.annotations['read']") },
        { "name": "L", "value": "", "valueFrom": from("metadata.labels['a.io/b']") },
        { "name": "SET", "value": "x", "valueFrom": from("metadata.labels['app']") },
        { "name": "SIDECARSET_VERSION", "valueFrom": from("metadata.annotations['huge']") },
        { "name": "ALL", "valueFrom": from("metadata.labels") },
        { "name": "UID", "valueFrom": from("metadata.uid") },
        { "name": "NONE", "valueFrom": from("['x']") },
    ]);
    let resources = json!({
        "limits": { "memory": "1Gi", "example.com/gpu": "1" }, "requests": { "cpu": "100m" }, "claims": [],
    });
    main["resources"] = resources.clone();
    main["resizePolicy"] = json!([
        { "resourceName": "cpu", "restartPolicy": "NotRequired" },
        { "resourceName": "memory", "restartPolicy": "RestartContainer" },
    ]);
    value["status"]["containerStatuses"][0]["resources"] = resources;
    let pod = read(&value).unwrap();
    let main = pod.container("main").unwrap().1;
    let env: Vec<_> = main.env.iter().map(|e| (&*e.name, e.annotation, &*e.key)).collect();
    assert_eq!(env, [("A", true, "read"), ("L", false, "a.io/b")]);
    assert_eq!(pod.annotations.get("read"), Some("by env"));
    assert_eq!(pod.annotations.get("huge"), None, "others are not kept");
    assert_eq!(main.resources.get("limits", "memory"), Some("1Gi"));
    assert_eq!(main.resources.get("requests", "cpu"), Some("100m"));
    assert_eq!(main.resources.get("requests", "memory"), None);
    assert_eq!(main.resources.get("limits", "example.com/gpu"), None);
    assert_eq!(main.restarts_for.iter().map(|name| &**name).collect::<Vec<_>>(), ["memory"]);
    let status = |name: &str| pod.status(name).unwrap().1.resources.as_deref();
    assert_eq!(status("main"), Some(&main.resources));
    assert_eq!(status("side"), None, "the kubelet does not say");
    assert_eq!(pod.observed_generation, 4);
}

/// Every place inside `value`.
fn places(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let token = name.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{here}/{token}"), all);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{here}/{index}"), all);
            }
        }
        _ => {}
    }
}

fn all_places() -> Vec<String> {
    let mut all = Vec::new();
    places(&rich(), "", &mut all);
    assert!(all.len() > 80);
    all
}

#[test]
fn any_member_may_be_absent() {
    for place in all_places().into_iter().filter(|place| !place.is_empty()) {
        let mut pod = rich();
        let (parent, name) = place.rsplit_once('/').unwrap();
        let name = name.replace("~1", "/");
        match pod.pointer_mut(parent).unwrap() {
            Value::Object(members) => drop(members.remove(&name)),
            Value::Array(items) => drop(items.remove(name.parse().unwrap())),
            other => panic!("{other}"),
        }
        assert!(read(&pod).is_ok(), "without {place}");
    }
    assert!(read(&json!({})).is_ok());
}

/// Go writes null for lists, maps, pointers and times that are not there; never for texts, flags, or structs.
#[test]
fn whatever_go_may_write_as_null_may_be_null() {
    for place in [
        "/metadata/creationTimestamp",
        "/metadata/labels",
        "/metadata/annotations",
        "/metadata/ownerReferences",
        "/metadata/ownerReferences/0/controller",
        "/spec/containers",
        "/spec/readinessGates",
        "/spec/volumes",
        "/spec/containers/0/env",
        "/spec/containers/0/env/1/valueFrom",
        "/spec/containers/0/env/1/valueFrom/configMapKeyRef",
        "/spec/volumes/0/persistentVolumeClaim",
        "/spec/nodeName",
        "/status/phase",
        "/status/reason",
        "/status/conditions",
        "/status/conditions/0/lastTransitionTime",
        "/status/conditions/1/reason",
        "/status/conditions/1/message",
        "/status/containerStatuses",
        "/status/containerStatuses/0/containerID",
        "/status/containerStatuses/0/state",
        "/status/containerStatuses/0/state/running",
        "/status/containerStatuses/0/state/running/startedAt",
        "/status/containerStatuses/1/state/waiting",
        "/status/containerStatuses/1/state/waiting/reason",
    ] {
        let mut pod = rich();
        *pod.pointer_mut(place).unwrap() = Value::Null;
        let read = read(&pod);
        assert!(read.is_ok(), "{place}: {read:?}");
    }
}

/// A time that Go took and writes in a form that nobody else reads: "9999-12-31T23:59:59-05:00" in UTC.
#[test]
fn no_time_fails() {
    for time in ["10000-01-01T04:59:59Z", "0000-01-01T00:00:00Z", "", "yesterday"] {
        let mut pod = rich();
        for place in [
            "/status/conditions/0/lastTransitionTime",
            "/status/containerStatuses/0/state/running/startedAt",
        ] {
            *pod.pointer_mut(place).unwrap() = json!(time);
        }
        let pod = read(&pod).unwrap();
        assert!(pod.ready(), "{time:?}");
        assert_eq!(
            time.parse::<Timestamp>().is_ok(),
            pod.condition("Ready").unwrap().since.is_some(),
            "{time:?}"
        );
    }
}

#[test]
fn members_that_nobody_reads_may_be_anything() {
    let mut pod = rich();
    for (place, value) in [
        ("/metadata", json!({"managedFields": "x", "selfLink": [1], "generateName": {}})),
        ("/spec", json!({"tolerations": 5, "priority": "high", "ephemeralContainers": {"a": []}})),
        ("/status", json!({"podIPs": "none", "resourceClaimStatuses": 3, "startTime": "never"})),
    ] {
        let members = pod.pointer_mut(place).unwrap().as_object_mut().unwrap();
        members.extend(value.as_object().unwrap().clone());
    }
    assert_eq!(read(&pod).unwrap(), read(&rich()).unwrap());
}

/// §6.3, W19: nobody checks the key of the barrier.
#[test]
fn a_strange_barrier_is_priority_0() {
    for (key, priority) in
        [("p_7", 7), ("p_-3", -3), ("p_", 0), ("", 0), ("x", 0), ("é_9", 0), ("p_99999999999", 0)]
    {
        let mut pod = rich();
        let place = "/spec/containers/0/env/1/valueFrom/configMapKeyRef/key";
        *pod.pointer_mut(place).unwrap() = json!(key);
        assert_eq!(read(&pod).unwrap().containers[0].priority, Some(priority), "{key:?}");
    }
}

#[test]
fn phases_are_told_apart() {
    for (phase, wanted) in [
        ("Pending", Phase::Pending),
        ("Running", Phase::Running),
        ("Succeeded", Phase::Succeeded),
        ("Failed", Phase::Failed),
        ("", Phase::None),
        ("Unknown", Phase::Unknown),
        ("Future", Phase::Unknown),
    ] {
        assert_eq!(read(&json!({"status": {"phase": phase}})).unwrap().phase, wanted);
    }
    assert_eq!(read(&json!({})).unwrap().phase, Phase::None);
}

#[test]
fn of_injected_pods_more_is_kept() {
    let injected = |list: Option<&str>| {
        let mut pod = rich();
        if let Some(list) = list {
            pod["metadata"]["annotations"][keys::SIDECARSET_INJECTED_LIST] = json!(list);
        }
        pod["metadata"]["annotations"][keys::LAST_APPLIED] = json!("long");
        pod["spec"]["initContainers"] = json!([
            {"name": "prep", "image": "prep:1"},
            {"name": "native", "image": "native:1", "restartPolicy": "Always"},
        ]);
        pod["status"]["containerStatuses"][0]["restartCount"] = json!(3);
        pod["status"]["initContainerStatuses"] = json!([
            {"name": "prep", "image": "prep:1", "imageID": "p", "ready": true, "restartCount": 9},
            {"name": "native", "image": "native:1", "imageID": "n", "ready": true, "restartCount": 2},
        ]);
        read(&pod).unwrap()
    };
    let pod = injected(Some("b, a,b,"));
    let names: Vec<&str> = pod.injected.iter().map(|name| &**name).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(pod.annotations.get("huge"), Some("x"), "a set may patch any annotation");
    assert_eq!(pod.annotations.get(keys::LAST_APPLIED), None);
    let natives: Vec<(&str, bool)> =
        pod.init_containers.iter().map(|container| (&*container.name, container.native)).collect();
    assert_eq!(natives, [("prep", false), ("native", true)]);
    // A patch names a status by its place among all of them.
    assert_eq!(pod.init_statuses.len(), 2);
    assert_eq!(pod.restarts, (3, 2));
    let plain = injected(None);
    assert!(plain.injected.is_empty() && plain.init_containers.is_empty());
    assert_eq!(plain.annotations.get("huge"), None);
}
