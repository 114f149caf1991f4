//! How many writes a pod costs (`inplace.md` §22.1), each case with its calls in `transcripts/writes.txt`; docs/writes.md
//! explains them. Others' writes (kubelet, hooks, node daemon) do not count.

use std::fmt::Write as _;

use jiff::SignedDuration;
use kruise_common::gates::FeatureGates;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{POD, STATEFUL_SET};
use serde_json::{Value, json};

use crate::builders::{Sim, change, drive_with, in_place, is_true, merge, text, web_with};

const TURNS: usize = 400;

/// What happens to `web-0` of a set of one.
struct Case {
    what: &'static str,
    writes: usize,
    set: Value,
    /// The change of the set.
    change: Value,
}

fn gates() -> FeatureGates {
    "InPlaceWorkloadVerticalScaling=true".parse().unwrap()
}

fn pod_key() -> ObjectKey {
    ObjectKey { namespace: "default".into(), name: "web-0".into() }
}

fn settle(sim: &mut Sim, key: &ObjectKey) {
    sim.settle(key, TURNS).unwrap();
}

fn pod(sim: &Sim) -> Value {
    sim.world.get(&POD, &pod_key()).unwrap().clone()
}

/// The calls about `web-0` since the write of this number.
fn calls(sim: &Sim, from: usize) -> Vec<String> {
    let pods = sim.writes[from..].iter().filter(|write| *write.kind == POD);
    pods.map(|write| write.to_string().replace(" default/web-0", "")).collect()
}

/// Plays the hook's owner: takes the label away when the update is announced, and puts it back when it is done.
fn play_hook(sim: &mut Sim, key: &ObjectKey) {
    for _ in 0..2 {
        let state = text(&pod(sim), "/metadata/labels/lifecycle.apps.kruise.io~1state").to_owned();
        let block = match state.as_str() {
            "PreparingUpdate" => Value::Null,
            "Updated" => json!("yes"),
            _ => return,
        };
        sim.world.edit(&POD, &pod_key(), |pod| {
            merge(pod, &json!({ "metadata": { "labels": { "block": block } } }));
        });
        settle(sim, key);
    }
}

/// Plays the node daemon: reports the env that `app` reads, and kills it if that is not what it should read. The hashes
/// are OpenKruise's vectors for `e2=foo` and `e2=bar`.
fn play_daemon(sim: &mut Sim, key: &ObjectKey) {
    let hash = |value: &str| if value == "foo" { 2_053_173_458_u64 } else { 539_240_142 };
    let wanted = text(&pod(sim), "/metadata/labels/tier").to_owned();
    if wanted.is_empty() {
        return;
    }
    let report = |sim: &mut Sim, value: &str| {
        let status = pod(sim)["status"]["containerStatuses"][0].clone();
        let hashes = json!({ "plainHash": 1, "extractedEnvFromMetadataHash": hash(value) });
        let text = json!({ "containers": [
            { "name": "app", "containerID": status["containerID"], "restartCount": 0, "hashes": hashes },
        ]});
        let annotations = json!({ "apps.kruise.io/runtime-containers-meta": text.to_string() });
        sim.world.edit(&POD, &pod_key(), |pod| {
            merge(pod, &json!({ "metadata": { "annotations": annotations } }));
        });
    };
    if is_true(&pod(sim), "InPlaceUpdateReady") {
        report(sim, &wanted);
    } else {
        let id = text(&pod(sim), "/status/containerStatuses/0/containerID").to_owned();
        sim.world.edit(&POD, &pod_key(), |pod| {
            let kill = json!({ "sim.kruise.dev/kill": format!("app/{id}") });
            merge(pod, &json!({ "metadata": { "annotations": kill } }));
        });
        settle(sim, key);
        report(sim, &wanted);
    }
    settle(sim, key);
}

fn base(change: &Value) -> Value {
    let mut set = web_with(1, &in_place());
    merge(
        &mut set,
        &json!({ "spec": { "template": { "spec": { "containers": [container(1)] } } } }),
    );
    merge(&mut set, change);
    set
}

/// Container `app` at a version, reading label `tier`.
fn container(version: u8) -> Value {
    json!({
        "name": "app",
        "image": format!("example.com/app:{version}"),
        "resources": { "requests": { "cpu": "1" } },
        "env": [{ "name": "e2", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['tier']" } } }],
    })
}

fn containers(list: &[Value]) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": list } } } })
}

fn hook(mark: bool) -> Value {
    json!({ "spec": {
        "lifecycle": { "inPlaceUpdate": { "labelsHandler": { "block": "yes" }, "markPodNotReady": mark } },
        "template": { "metadata": { "labels": { "block": "yes" } } },
    }})
}

/// Two containers of different launch priority, as admission marks them.
fn two_levels(version: u8) -> Value {
    let container = |name: &str, priority: i32| {
        let barrier = json!({ "name": "KRUISE_CONTAINER_BARRIER", "valueFrom": { "configMapKeyRef": {
            "name": "web-0-barrier", "key": format!("p_{priority}"),
        }}});
        json!({ "name": name, "image": format!("example.com/{name}:{version}"), "env": [barrier] })
    };
    containers(&[container("first", 1), container("second", 0)])
}

fn cases() -> Vec<Case> {
    let image = || containers(&[container(2)]);
    let mut resized = container(1);
    resized["resources"]["requests"]["cpu"] = json!("2");
    let mut restarting = container(1);
    restarting["resizePolicy"] =
        json!([{ "resourceName": "cpu", "restartPolicy": "RestartContainer" }]);
    let mut restarted = restarting.clone();
    restarted["resources"]["requests"]["cpu"] = json!("2");
    let mut both = container(2);
    both["resources"]["requests"]["cpu"] = json!("2");
    let grace = json!({ "spec": { "updateStrategy": { "rollingUpdate": {
        "inPlaceUpdateStrategy": { "gracePeriodSeconds": 10 },
    }}}});
    let note =
        json!({ "spec": { "template": { "metadata": { "annotations": { "note": "2" } } } } });
    let noted =
        json!({ "spec": { "template": { "metadata": { "annotations": { "note": "1" } } } } });
    let tier = |value: &str| json!({ "spec": { "template": { "metadata": { "labels": { "tier": value } } } } });
    let env = json!({ "spec": { "template": { "spec": { "hostNetwork": true } } } });
    let no_gate = json!({ "spec": { "template": { "spec": { "readinessGates": null } } } });
    let nothing = json!({});
    let case =
        |what, writes, set: &Value, change: Value| Case { what, writes, set: base(set), change };
    vec![
        case("image", 3, &nothing, image()),
        case("image, no readiness gate", 2, &no_gate, image()),
        case("image with a grace period", 3, &grace, image()),
        case("image with an inPlaceUpdate hook", 5, &hook(false), image()),
        case("image with a hook that marks pods not ready", 5, &hook(true), image()),
        case("images of two launch priorities", 4, &two_levels(1), two_levels(2)),
        case("metadata alone", 1, &noted, note.clone()),
        case("metadata alone with an inPlaceUpdate hook", 4, &hook(false), note),
        case("metadata that env reads", 3, &tier("foo"), tier("bar")),
        case("CPU without a restart", 2, &nothing, containers(&[resized])),
        case("CPU with a restart", 4, &containers(&[restarting]), containers(&[restarted])),
        case("image and CPU", 4, &nothing, containers(&[both])),
        case("re-creation", 3, &nothing, env),
    ]
}

#[test]
fn every_kind_of_update_costs_a_pod_as_many_writes_as_documented() {
    let mut told = String::new();
    for case in cases() {
        let (mut sim, key) = drive_with(case.set, gates());
        settle(&mut sim, &key);
        play_daemon(&mut sim, &key);
        let from = sim.writes.len();
        change(&mut sim, &key, &case.change);
        settle(&mut sim, &key);
        play_hook(&mut sim, &key);
        play_daemon(&mut sim, &key);
        let calls = calls(&sim, from);
        assert_eq!(calls.len(), case.writes, "{}: {calls:?}", case.what);
        let set = sim.world.get(&STATEFUL_SET, &key).unwrap();
        assert_eq!(set["status"]["updatedReadyReplicas"], 1, "{} has ended: {set}", case.what);
        assert_eq!(set["status"]["currentRevision"], set["status"]["updateRevision"]);
        let state = text(&pod(&sim), "/metadata/labels/lifecycle.apps.kruise.io~1state").to_owned();
        assert_eq!(state, "Normal", "{}", case.what);
        writeln!(told, "{}: {}\n    {}", case.what, calls.len(), calls.join("\n    ")).unwrap();
    }
    let (mut sim, key) = drive_with(base(&hook(true)), gates());
    settle(&mut sim, &key);
    let calls = calls(&sim, 0);
    writeln!(told, "creation: {}\n    {}", calls.len(), calls.join("\n    ")).unwrap();
    assert_eq!(calls.len(), 2, "both gates in one write");
    crate::transcripts::golden("writes", &told);
}

/// W17: the node has no room, ever: the pod is created anew, and may find a node that has.
#[test]
fn a_resize_that_the_node_can_never_make_recreates_the_pod_if_that_is_allowed() {
    let mut resized = container(1);
    resized["resources"]["requests"]["cpu"] = json!("64");
    let refused = json!({ "spec": { "template": { "metadata": { "annotations": {
        "sim.kruise.dev/resize": "Infeasible",
    }}}}});
    let only = json!({ "spec": { "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "InPlaceOnly" } } } });
    for (policy, recreated) in [(json!({}), true), (only, false)] {
        let mut set = refused.clone();
        merge(&mut set, &policy);
        let (mut sim, key) = drive_with(base(&set), gates());
        settle(&mut sim, &key);
        let before = pod(&sim);
        change(&mut sim, &key, &containers(&[resized.clone()]));
        settle(&mut sim, &key);
        let after = pod(&sim);
        assert_eq!(before["metadata"]["uid"] != after["metadata"]["uid"], recreated, "{policy}");
        assert_eq!(after["spec"]["containers"][0]["resources"]["requests"]["cpu"], "64");
        let plan = sim.plan(&key).unwrap();
        let holds: Vec<String> = plan.holds.iter().map(ToString::to_string).collect();
        let said = holds.iter().any(|hold| hold.contains("Infeasible"));
        assert_eq!(said, !recreated, "InPlaceOnly waits, and says for what: {holds:?}");
    }
}

/// W17: what the kubelet said of the amounts before deletes no pod whose amounts were put right a moment ago, also if the
/// kubelet does not say what it has seen.
#[test]
fn a_resize_that_is_taken_back_re_creates_nothing() {
    for (told, cpu) in [(true, "1"), (true, "2"), (false, "2")] {
        let mut set = base(&json!({ "spec": { "template": { "metadata": { "annotations": {
            "sim.kruise.dev/resize": "Infeasible",
        }}}}}));
        set["spec"]["updateStrategy"]["rollingUpdate"]["podUpdatePolicy"] = json!("InPlaceOnly");
        let (mut sim, key) = drive_with(set, gates());
        settle(&mut sim, &key);
        let before = pod(&sim)["metadata"]["uid"].clone();
        let mut resized = container(1);
        resized["resources"]["requests"]["cpu"] = json!("64");
        change(&mut sim, &key, &containers(&[resized]));
        settle(&mut sim, &key);
        if !told {
            sim.world.edit(&POD, &key.sibling("web-0"), |pod| {
                pod["status"].as_object_mut().unwrap().remove("observedGeneration");
            });
        }
        let mut right = container(1);
        right["resources"]["requests"]["cpu"] = json!(cpu);
        let mut back = containers(&[right]);
        merge(
            &mut back,
            &json!({ "spec": { "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "InPlaceIfPossible" } } } }),
        );
        change(&mut sim, &key, &back);
        // All that the controller does before the kubelet looks.
        for _ in 0..5 {
            sim.relist();
            sim.turn(&key);
        }
        sim.world.edit(&POD, &key.sibling("web-0"), |pod| {
            pod["metadata"]["annotations"]["sim.kruise.dev/resize"] = json!("");
        });
        settle(&mut sim, &key);
        assert_eq!(pod(&sim)["metadata"]["uid"], before, "told: {told}, {cpu}");
        assert!(is_true(&pod(&sim), "Ready"));
    }
}

/// W17: the same after a grace period, which lets the amounts be asked for long after the update began.
#[test]
fn a_resize_that_is_taken_back_after_a_grace_period_re_creates_nothing() {
    let rolling = json!({ "spec": { "updateStrategy": { "rollingUpdate": {
        "podUpdatePolicy": "InPlaceOnly", "inPlaceUpdateStrategy": { "gracePeriodSeconds": 30 },
    } } } });
    let mut set = base(&rolling);
    merge(
        &mut set,
        &json!({ "spec": { "template": { "metadata": { "annotations": { "sim.kruise.dev/resize": "Infeasible" } } } } }),
    );
    let amounts = |cpu: &str| {
        let mut container = container(1);
        container["resources"]["requests"]["cpu"] = json!(cpu);
        container["resizePolicy"] =
            json!([{ "resourceName": "cpu", "restartPolicy": "RestartContainer" }]);
        containers(&[container])
    };
    merge(&mut set, &amounts("1"));
    let (mut sim, key) = drive_with(set, gates());
    settle(&mut sim, &key);
    let before = pod(&sim)["metadata"]["uid"].clone();
    change(&mut sim, &key, &amounts("64"));
    settle(&mut sim, &key);
    assert_eq!(pod(&sim)["spec"]["containers"][0]["resources"]["requests"]["cpu"], "64");
    sim.world.edit(&POD, &pod_key(), |pod| {
        pod["status"].as_object_mut().unwrap().remove("observedGeneration");
    });
    let mut back = amounts("2");
    merge(
        &mut back,
        &json!({ "spec": { "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "InPlaceIfPossible" } } } }),
    );
    change(&mut sim, &key, &back);
    // All that the controller does before the kubelet looks.
    for seconds in [0, 0, 0, 31, 0, 0, 0] {
        sim.world.now += SignedDuration::from_secs(seconds);
        sim.relist();
        sim.turn(&key);
    }
    assert_eq!(pod(&sim)["spec"]["containers"][0]["resources"]["requests"]["cpu"], "2");
    sim.world.edit(&POD, &pod_key(), |pod| {
        pod["metadata"]["annotations"]["sim.kruise.dev/resize"] = json!("");
    });
    settle(&mut sim, &key);
    assert_eq!(pod(&sim)["metadata"]["uid"], before);
    assert!(is_true(&pod(&sim), "Ready"));
}

/// §18: what the kubelet cannot do is not tried: the pod is created anew, or waits if that is not allowed.
#[test]
fn a_kubelet_that_cannot_resize_is_not_asked_to() {
    let mut resized = container(1);
    resized["resources"]["requests"]["cpu"] = json!("2");
    let unsupported = json!({ "spec": { "template": { "metadata": { "annotations": {
        "sim.kruise.dev/resize": "unsupported",
    }}}}});
    for (policy, recreated) in [("InPlaceIfPossible", true), ("InPlaceOnly", false)] {
        let mut set = base(&unsupported);
        set["spec"]["updateStrategy"]["rollingUpdate"]["podUpdatePolicy"] = json!(policy);
        let (mut sim, key) = drive_with(set, gates());
        settle(&mut sim, &key);
        let before = pod(&sim);
        let from = sim.writes.len();
        change(&mut sim, &key, &containers(&[resized.clone()]));
        settle(&mut sim, &key);
        let same = before["metadata"]["uid"] == pod(&sim)["metadata"]["uid"];
        assert_eq!(same, !recreated, "{policy}");
        let calls = calls(&sim, from);
        assert!(!calls.iter().any(|call| call.contains("resize")), "{policy}: {calls:?}");
        assert_eq!(calls.is_empty(), !recreated, "{policy}: {calls:?}");
    }
}

/// S2: a pod that was seen down and serves again by now is not taken down beside another one.
#[test]
fn a_pod_that_serves_again_is_not_taken_down_on_an_older_view() {
    for policy in ["ReCreate", "InPlaceIfPossible"] {
        let rolling = json!({ "rollingUpdate": { "podUpdatePolicy": policy } });
        let spec = json!({ "podManagementPolicy": "Parallel", "updateStrategy": rolling });
        let (mut sim, key) =
            drive_with(web_with(3, &json!({ "spec": spec })), FeatureGates::default());
        settle(&mut sim, &key);
        let ready = |sim: &mut Sim, status: &str, time: &str| {
            sim.world.edit(&POD, &key.sibling("web-1"), |pod| {
                let all = pod["status"]["conditions"].as_array_mut().unwrap();
                let ready = all.iter_mut().find(|c| c["type"] == "Ready").unwrap();
                merge(ready, &json!({ "status": status, "lastTransitionTime": time }));
            });
        };
        sim.world.delete(&POD, &key.sibling("web-2"));
        ready(&mut sim, "False", "2026-01-01T01:00:00Z");
        let containers = json!([{ "name": "app", "image": "example.com/app:2" }]);
        change(
            &mut sim,
            &key,
            &json!({ "spec": { "template": { "spec": { "containers": containers } } } }),
        );
        sim.relist();
        let (snapshot, now) = (sim.observe(&key).unwrap(), sim.world.now);
        let plan = kruise_statefulset::plan::plan(&snapshot, now);
        let apply = |action| kruise_statefulset::apply::apply(&snapshot, action, now);
        let writes: Vec<_> =
            plan.actions().flat_map(apply).filter(|write| &*write.key.name == "web-1").collect();
        assert_eq!(writes.len(), 1, "{policy}: it is down, and costs nothing");
        assert!(sim.world.clone().perform(&writes[0]).is_ok(), "{policy}");
        ready(&mut sim, "True", "2026-01-01T01:00:01Z");
        assert!(sim.world.perform(&writes[0]).is_err(), "{policy}: web-2 is down already");
    }
}
