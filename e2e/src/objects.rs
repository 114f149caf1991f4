//! What scenarios are made of, and facts about pods.

use serde_json::{Value, json};

/// An image by its tag; `KRUISE_E2E_IMAGE` names another repository than that of `hack/node`.
pub fn image(tag: &str) -> String {
    let repository = std::env::var("KRUISE_E2E_IMAGE");
    format!("{}:{tag}", repository.as_deref().unwrap_or("registry.k8s.io/kruise-e2e"))
}

/// A container that serves HTTP at port 8080, and says there whether it is ready.
pub fn app(tag: &str) -> Value {
    json!({
        "name": "app",
        "image": image(tag),
        "command": ["/bin/actor", "serve"],
        "readinessProbe": { "httpGet": { "path": "/ready", "port": 8080 }, "periodSeconds": 1 },
        "resources": { "requests": { "cpu": "2m", "memory": "8Mi" } },
        "volumeMounts": [{ "name": "scratch", "mountPath": "/scratch" }],
    })
}

/// A pod template's spec with that container and a scratch volume.
fn spec(tag: &str) -> Value {
    json!({
        "terminationGracePeriodSeconds": 3,
        "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }],
        "containers": [app(tag)],
        "volumes": [{ "name": "scratch", "emptyDir": {} }],
    })
}

/// A pod that serves.
pub fn pod(name: &str, label: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": label } },
        "spec": { "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "app", "image": image("v1"), "command": ["/bin/actor", "serve"],
                "resources": { "requests": { "cpu": "2m", "memory": "8Mi" } },
            }] },
    })
}

/// A set whose pods serve and are updated in place, with a change merged into its spec.
pub fn set(name: &str, replicas: u32, change: &Value) -> Value {
    let mut set = json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet",
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": { "app": name } },
            "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "InPlaceIfPossible" } },
            "template": { "metadata": { "labels": { "app": name } }, "spec": spec("v1") },
        },
    });
    json_patch::merge(&mut set["spec"], change);
    set
}

/// Whether a condition is true.
pub fn is_true(object: &Value, kind: &str) -> bool {
    let condition = kruise_common::testing::cluster::condition(object, kind);
    condition.is_some_and(|condition| condition["status"] == "True")
}

/// Whether a pod is ready and stays.
pub fn is_ready(pod: &Value) -> bool {
    is_true(pod, "Ready") && pod["metadata"]["deletionTimestamp"].is_null()
}

/// The status of a container.
pub fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let lists = ["containerStatuses", "initContainerStatuses"];
    let statuses = lists.iter().filter_map(|list| pod["status"][*list].as_array()).flatten();
    let mut found = statuses.filter(|status| status["name"] == name);
    found.next().unwrap_or(&Value::Null)
}

/// How often a container was restarted.
pub fn restarts(pod: &Value, name: &str) -> u64 {
    container(pod, name)["restartCount"].as_u64().unwrap()
}

/// Whether every container of that name runs an image with that tag.
pub fn images_are(pods: &[Value], name: &str, tag: &str) -> bool {
    let runs = |pod: &Value| {
        let image = container(pod, name)["image"].as_str().unwrap_or_default();
        image.ends_with(&format!(":{tag}")) && is_ready(pod)
    };
    pods.iter().all(runs)
}

/// That two observations are of the same pod, where it was.
pub fn same_pod(before: &Value, after: &Value) {
    for fact in ["/metadata/uid", "/spec/nodeName", "/status/podIP", "/spec/volumes"] {
        assert_eq!(before.pointer(fact), after.pointer(fact), "{fact}");
    }
}
