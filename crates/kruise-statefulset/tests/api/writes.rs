//! How many writes a pod costs, as the API server counts them in its audit log (`inplace.md` §22.1, docs/writes.md).
//! The test plays the owner of a hook and the node daemon; their writes are not the controller's.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::acceptance::use_image;
use crate::audit::{self, Call};
use crate::harness::{Controller, Space, set, wait};

const REPLICAS: i64 = 2;
const STATE: &str = "/metadata/labels/lifecycle.apps.kruise.io~1state";
const REPORT: &str = "apps.kruise.io/runtime-containers-meta";

/// Calls of our controller about pods of the namespace: done, and refused.
struct Calls {
    done: Vec<String>,
    refused: Vec<String>,
}

fn calls(space: &Space) -> Option<Calls> {
    let ours = audit::writes(space, "pods")?.into_iter().filter(|call| call.ours);
    let (done, refused): (Vec<Call>, Vec<Call>) = ours.partition(|call| call.done);
    let texts = |calls: Vec<Call>| calls.into_iter().map(|call| call.what).collect();
    Some(Calls { done: texts(done), refused: texts(refused) })
}

/// These calls once for each pod, in the order in which they are compared.
fn for_each_pod(calls: &[&str]) -> Vec<String> {
    let mut all: Vec<String> =
        calls.iter().flat_map(|call| [(*call).to_owned(), (*call).to_owned()]).collect();
    all.sort_unstable();
    all
}

fn sorted(calls: &[String]) -> Vec<String> {
    let mut calls = calls.to_vec();
    calls.sort_unstable();
    calls
}

async fn edit(space: &Space, pod: &Value, metadata: Value) {
    let name = pod["metadata"]["name"].as_str().unwrap();
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    space.api("", "v1", "Pod").patch(name, &PatchParams::default(), &patch).await.unwrap();
}

/// Waits until all pods are in the lifecycle state.
async fn in_state(space: &Space, state: &str) -> Vec<Value> {
    wait(&format!("pods in {state}"), String::new, || async {
        let pods = space.pods().await;
        pods.iter().all(|pod| pod.pointer(STATE) == Some(&json!(state))).then_some(pods)
    })
    .await
}

/// Waits until all pods are at the update revision, ready and settled, and run what their spec says.
async fn settled(space: &Space, name: &str) {
    space.rolled_out(name).await;
    wait("settled pods", String::new, || async {
        let set = space.api_set(name).await?;
        let pods = space.pods().await;
        let done = pods.iter().all(|pod| {
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
            let container = &pod["spec"]["containers"][0];
            let status = &pod["status"]["containerStatuses"][0];
            let revision = &pod["metadata"]["labels"]["controller-revision-hash"];
            ready
                && pod["metadata"]["deletionTimestamp"].is_null()
                && pod.pointer(STATE) == Some(&json!("Normal"))
                && *revision == set["status"]["updateRevision"]
                && status["image"] == container["image"]
                && status["resources"] == container["resources"]
        });
        (done && pods.len() == 2).then_some(())
    })
    .await;
}

async fn play_hook(space: &Space) {
    for (state, value) in [("PreparingUpdate", Value::Null), ("Updated", json!("yes"))] {
        for pod in in_state(space, state).await {
            edit(space, &pod, json!({ "labels": { "block": value } })).await;
        }
    }
}

/// Reports the env of all pods; the hashes are OpenKruise's vectors for `e2=foo` and `e2=bar`.
async fn report(space: &Space, hash: u64) {
    for pod in space.pods().await {
        let id = &pod["status"]["containerStatuses"][0]["containerID"];
        let hashes = json!({ "plainHash": 1, "extractedEnvFromMetadataHash": hash });
        let report = json!({ "containers": [
            { "name": "app", "containerID": id, "restartCount": 0, "hashes": hashes },
        ]});
        edit(space, &pod, json!({ "annotations": { REPORT: report.to_string() } })).await;
    }
}

/// Kills the containers of pods that are out of traffic, and reports what runs then.
async fn play_daemon(space: &Space) {
    let pods = in_state(space, "Updating").await;
    let id = |pod: &Value| pod["status"]["containerStatuses"][0]["containerID"].clone();
    let old: Vec<Value> = pods.iter().map(id).collect();
    for pod in &pods {
        let kill = format!("app/{}", id(pod).as_str().unwrap());
        edit(space, pod, json!({ "annotations": { "sim.kruise.dev/kill": kill } })).await;
    }
    wait("killed containers", String::new, || async {
        let now = space.pods().await;
        let restarted = now.iter().zip(&old).all(|(pod, old)| {
            id(pod) != *old && !pod["status"]["containerStatuses"][0]["state"]["running"].is_null()
        });
        restarted.then_some(())
    })
    .await;
    report(space, 539_240_142).await;
}

/// Who else takes part in an update.
#[derive(Clone, Copy, PartialEq)]
enum Plays {
    Nobody,
    Hook,
    Daemon,
}

struct Case {
    name: &'static str,
    set: Value,
    path: &'static str,
    value: Value,
    plays: Plays,
    calls: Vec<&'static str>,
    /// How often the container of a pod is started anew.
    restarts: u32,
}

fn case(name: &'static str, set: Value, to: (&'static str, Value), calls: &[&'static str]) -> Case {
    let plays = match name {
        "hook" | "mark" => Plays::Hook,
        "env" => Plays::Daemon,
        _ => Plays::Nobody,
    };
    let restarts = u32::from(!["metadata", "resize", "recreate"].contains(&name));
    Case { name, set, path: to.0, value: to.1, plays, calls: calls.to_vec(), restarts }
}

fn cases() -> Vec<Case> {
    let hook = |mark: bool| {
        json!({ "spec": {
            "lifecycle": { "inPlaceUpdate": { "labelsHandler": { "block": "yes" }, "markPodNotReady": mark } },
            "template": { "metadata": { "labels": { "block": "yes" } } },
        }})
    };
    let grace = json!({ "spec": { "updateStrategy": { "rollingUpdate": {
        "inPlaceUpdateStrategy": { "gracePeriodSeconds": 1 },
    }}}});
    let template = |metadata: Value| json!({ "spec": { "template": { "metadata": metadata } } });
    let noted = template(json!({ "annotations": { "note": "1" } }));
    let tier = template(json!({ "labels": { "tier": "foo" } }));
    let image = || ("/spec/template/spec/containers/0/image", json!("registry.k8s.io/pause:3.2"));
    let note = ("/spec/template/metadata/annotations/note", json!("2"));
    let bar = ("/spec/template/metadata/labels/tier", json!("bar"));
    let cpu = ("/spec/template/spec/containers/0/resources/requests/cpu", json!("20m"));
    let stop = ("/spec/template/spec/terminationGracePeriodSeconds", json!(2));
    let (status, pods) = ("patch pods/status", "patch pods");
    vec![
        case("image", json!({}), image(), &[status, pods, status]),
        case("grace", grace, image(), &[status, pods, status]),
        case("hook", hook(false), image(), &[pods, status, pods, status, pods]),
        case("mark", hook(true), image(), &[status, status, pods, status, pods]),
        case("metadata", noted, note, &[pods]),
        case("env", tier, bar, &[status, pods, status]),
        case("resize", json!({}), cpu, &[pods, "patch pods/resize"]),
        case("recreate", json!({}), stop, &["delete pods", "create pods", status]),
    ]
}

fn web(change: &Value) -> Value {
    let read = json!({ "fieldRef": { "fieldPath": "metadata.labels['tier']" } });
    let mut web = set("web", 2);
    let container = &mut web["spec"]["template"]["spec"]["containers"][0];
    container["resources"] = json!({ "requests": { "cpu": "10m" } });
    container["env"] = json!([{ "name": "e2", "valueFrom": read }]);
    json_patch::merge(
        &mut web,
        &json!({ "spec": {
            "podManagementPolicy": "Parallel",
            "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": "100%" } },
            "template": { "spec": { "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }] } },
        }}),
    );
    json_patch::merge(&mut web, change);
    web
}

/// Adds nothing to the log of another case: each has its own namespace.
async fn count(case: Case) {
    let space = Space::new(&format!("writes-{}", case.name)).await;
    let gates = ["--feature-gates", "InPlaceWorkloadVerticalScaling=true"];
    let controller = Controller::start(&space, &gates).await;
    space.create(web(&case.set)).await;
    settled(&space, "web").await;
    let (created, _) = controller.pod_writes(2 * REPLICAS).await;
    assert_eq!(created, 2 * REPLICAS, "{}: creation", case.name);
    if case.plays == Plays::Daemon {
        report(&space, 2_053_173_458).await;
    }
    let before = calls(&space);
    if let Some(before) = &before {
        let creation = for_each_pod(&["create pods", "patch pods/status"]);
        assert_eq!(
            sorted(&before.done),
            creation,
            "{}: creation, by the server's count",
            case.name
        );
        assert_eq!(before.refused, [""; 0], "{}: creation", case.name);
    }
    let operation = json!([{ "op": "replace", "path": case.path, "value": case.value }]);
    space.patch("web", operation).await;
    match case.plays {
        Plays::Nobody => {}
        Plays::Hook => play_hook(&space).await,
        Plays::Daemon => play_daemon(&space).await,
    }
    settled(&space, "web").await;
    let all = i64::try_from(case.calls.len()).unwrap() * REPLICAS;
    let (written, conflicts) = controller.pod_writes(created + all).await;
    assert_eq!(written - created, all, "{}: by the controller's count", case.name);
    if let (Some(before), Some(after)) = (before, calls(&space)) {
        println!("{}: as the server counts them", case.name);
        let seen = sorted(&after.done[before.done.len()..]);
        assert_eq!(seen, for_each_pod(&case.calls), "{}: by the server's count", case.name);
        assert_eq!(after.refused, before.refused, "{}: no conflict", case.name);
    }
    assert_eq!(conflicts, 0, "{}", case.name);
    for pod in space.pods().await {
        let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
        assert_eq!(*restarts, case.restarts, "{}: {pod}", case.name);
    }
    controller.stop().await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn every_kind_of_update_costs_as_many_writes_as_documented() {
    for case in cases().into_iter().filter(|case| case.name != "resize") {
        count(case).await;
    }
}

/// By itself: not every server that is supported has it.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_pod_resize_costs_as_many_writes_as_documented() {
    for case in cases().into_iter().filter(|case| case.name == "resize") {
        count(case).await;
    }
}

/// However much happens to the pods, the set is told of it once a second.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_busy_set_has_one_status_write_a_second_at_most() {
    let space = Space::new("busy").await;
    let controller = Controller::start(&space, &[]).await;
    let mut busy = crate::in_place(30);
    busy["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = json!(4);
    space.create(busy).await;
    space.rolled_out("web").await;
    space.patch("web", use_image("3.2")).await;
    space.rolled_out("web").await;
    if let Some(calls) = audit::writes(&space, "statefulsets") {
        let told: Vec<Call> = calls.into_iter().filter(|call| call.ours).collect();
        let (first, last) = (&told.first().unwrap().at, &told.last().unwrap().at);
        let seconds = usize::try_from(last.duration_since(*first).as_secs()).unwrap();
        println!("{} status writes in {seconds} s", told.len());
        assert!(told.iter().all(|call| call.what == "patch statefulsets/status"), "{told:?}");
        // The first one, one a second, and one for what is left of the last second.
        assert!(told.len() <= seconds + 2, "{} writes in {seconds} s", told.len());
    }
    controller.stop().await;
}
