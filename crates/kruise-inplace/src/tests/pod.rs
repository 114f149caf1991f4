//! Pods for the tests: built as the API server stores them, read as controllers read them; and writes in a form that
//! can be compared whole.

use jiff::{SignedDuration, Timestamp};
use kruise_api::keys;
use kruise_common::intern::Interner;
use kruise_common::pod::{Pod, WirePod};
use kruise_common::table::Wire;
use kruise_common::write::{Patch, Request, Write};
use serde_json::{Value, json};

/// The time at which the tests act.
pub fn now() -> Timestamp {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

/// [`now`] as Kubernetes writes it.
pub const NOW: &str = "2026-01-02T03:04:05Z";

/// Some seconds after [`now`].
pub fn after(seconds: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

/// Reads a stored pod.
pub fn read(pod: &Value) -> Pod {
    let wire: WirePod = serde_json::from_value(pod.clone()).unwrap();
    wire.into_record(&Interner::default())
}

/// Every write as `{on, merge | json}`, so that one comparison says "this and nothing else".
pub fn sent(writes: &[Write]) -> Value {
    let one = |write: &Write| {
        assert_eq!((write.kind.kind, write.key.to_string()), ("Pod", "shop/web-0".to_owned()));
        let Request::Patch { subresource, patch } = &write.request else {
            panic!("{write} is no patch");
        };
        let on = subresource.map_or("pods".to_owned(), |name| format!("pods/{name}"));
        match patch {
            Patch::Strategic(body) => json!({ "on": on, "merge": body }),
            Patch::Json(body) => json!({ "on": on, "json": body }),
        }
    };
    writes.iter().map(one).collect()
}

/// The operations of the JSON patch of the pod itself among `writes`, or of the only one.
pub fn operations(writes: &[Write]) -> Vec<Value> {
    let bodies = |write: &Write| match &write.request {
        Request::Patch { patch: Patch::Json(body), .. } => body.as_array().cloned(),
        _ => None,
    };
    let itself = |write: &&Write| writes.len() == 1 || write.subresource().is_empty();
    let bodies: Vec<Vec<Value>> = writes.iter().filter(itself).filter_map(bodies).collect();
    assert_eq!(bodies.len(), 1, "one JSON patch in {writes:?}");
    bodies.into_iter().next().unwrap()
}

/// The value that the patch of [`operations`] puts at `path`, if it does.
pub fn put(writes: &[Write], path: &str) -> Option<Value> {
    let is_put = |o: &&Value| o["path"] == path && (o["op"] == "add" || o["op"] == "replace");
    operations(writes).iter().rfind(is_put).map(|operation| operation["value"].clone())
}

/// The state annotation that the patch of [`operations`] stores.
pub fn stored_state(writes: &[Write]) -> Value {
    let text = put(writes, "/metadata/annotations/apps.kruise.io~1inplace-update-state");
    serde_json::from_str(text.unwrap().as_str().unwrap()).unwrap()
}

/// A pod under construction.
#[derive(Clone)]
pub struct Builder(Value);

/// Pod `web-0` at revision `web-a`: settled, ready, in state `Normal`, with gate `InPlaceUpdateReady`, no containers.
pub fn web() -> Builder {
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "True", "lastProbeTime": null,
            "lastTransitionTime": "2026-01-02T03:00:00Z",
        })
    };
    Builder(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "shop",
            "name": "web-0",
            "uid": "uid-web-0",
            "resourceVersion": "7",
            "labels": { "controller-revision-hash": "web-a", "lifecycle.apps.kruise.io/state": "Normal" },
            "annotations": { "lifecycle.apps.kruise.io/timestamp": "2026-01-02T03:00:00Z" },
        },
        "spec": {
            "nodeName": "node-0",
            "restartPolicy": "Always",
            "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }],
            "containers": [],
        },
        "status": {
            "phase": "Running",
            "conditions": [
                condition("InPlaceUpdateReady"), condition("Ready"), condition("ContainersReady"),
            ],
            "containerStatuses": [],
        },
    }))
}

/// [`web`] with container `main`, running `reg.io/main:v1` as `containerd://main-1`.
pub fn web_main() -> Builder {
    web().container("main", "reg.io/main:v1")
}

impl Builder {
    /// A pod that somebody stored.
    pub fn stored(pod: Value) -> Self {
        Self(pod)
    }

    /// Any change.
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.0);
        self
    }

    pub fn label(self, key: &str, value: &str) -> Self {
        self.edit(|pod| pod["metadata"]["labels"][key] = json!(value))
    }

    pub fn without_label(self, key: &str) -> Self {
        self.edit(|pod| drop(pod["metadata"]["labels"].as_object_mut().unwrap().remove(key)))
    }

    pub fn annotation(self, key: &str, value: &str) -> Self {
        self.edit(|pod| pod["metadata"]["annotations"][key] = json!(value))
    }

    pub fn finalizers(self, list: &[&str]) -> Self {
        self.edit(|pod| pod["metadata"]["finalizers"] = json!(list))
    }

    /// The lifecycle state.
    pub fn state(self, state: &str) -> Self {
        self.label(keys::LIFECYCLE_STATE, state)
    }

    pub fn revision(self, name: &str) -> Self {
        self.label(keys::CONTROLLER_REVISION_HASH, name)
    }

    /// The state annotation.
    pub fn updated(self, state: &Value) -> Self {
        self.annotation(keys::INPLACE_UPDATE_STATE, &state.to_string())
    }

    /// The grace annotation.
    pub fn graced(self, grace: &Value) -> Self {
        self.annotation(keys::INPLACE_UPDATE_GRACE, &grace.to_string())
    }

    /// Adds a readiness gate.
    pub fn gate(self, kind: &str) -> Self {
        self.edit(|pod| list(pod, "/spec/readinessGates").push(json!({ "conditionType": kind })))
    }

    pub fn without_gates(self) -> Self {
        self.edit(|pod| list(pod, "/spec/readinessGates").clear())
    }

    /// Sets a condition's members, adding the condition if it is not there.
    pub fn condition(self, kind: &str, members: &Value) -> Self {
        self.edit(|pod| {
            let conditions = list(pod, "/status/conditions");
            let known = conditions.iter_mut().find(|known| known["type"] == kind);
            if let Some(known) = known {
                merge(known, members);
            } else {
                let mut condition = json!({ "type": kind });
                merge(&mut condition, members);
                conditions.push(condition);
            }
        })
    }

    pub fn without_condition(self, kind: &str) -> Self {
        self.edit(|pod| list(pod, "/status/conditions").retain(|known| known["type"] != kind))
    }

    /// Adds a running, ready container with its status.
    pub fn container(self, name: &str, image: &str) -> Self {
        self.edit(|pod| {
            list(pod, "/spec/containers").push(json!({ "name": name, "image": image }));
            list(pod, "/status/containerStatuses").push(json!({
                "name": name,
                "image": image,
                "imageID": format!("{image}@sha256:1"),
                "containerID": format!("containerd://{name}-1"),
                "ready": true,
                "restartCount": 0,
                "state": { "running": { "startedAt": "2026-01-02T03:00:00Z" } },
            }));
        })
    }

    /// Gives a container a launch priority, as admission does.
    pub fn priority(self, container: &str, priority: i32) -> Self {
        let barrier = json!([{ "name": "KRUISE_CONTAINER_BARRIER", "valueFrom": { "configMapKeyRef": {
            "name": "web-0-barrier", "key": format!("p_{priority}"),
        }}}]);
        self.edit(|pod| member(pod, "/spec/containers", container)["env"] = barrier)
    }

    /// As [`Builder::priority`], beside the env that is there.
    pub fn priority_beside(self, container: &str, priority: i32) -> Self {
        let barrier = json!({ "name": "KRUISE_CONTAINER_BARRIER", "valueFrom": { "configMapKeyRef": {
            "name": "web-0-barrier", "key": format!("p_{priority}"),
        }}});
        self.edit(|pod| {
            member(pod, "/spec/containers", container)["env"].as_array_mut().unwrap().push(barrier);
        })
    }

    /// The node daemon reports all containers as they are.
    pub fn daemon(self) -> Self {
        self.edit(|pod| {
            let report = reported(pod).to_string();
            pod["metadata"]["annotations"][keys::RUNTIME_CONTAINERS_META] = json!(report);
        })
    }

    /// Sets members of a container's spec.
    pub fn spec(self, container: &str, members: &Value) -> Self {
        self.edit(|pod| merge(member(pod, "/spec/containers", container), members))
    }

    /// Sets members of a container's status.
    pub fn status(self, container: &str, members: &Value) -> Self {
        self.edit(|pod| merge(member(pod, "/status/containerStatuses", container), members))
    }

    /// Nobody has told of its containers.
    pub fn untold(self) -> Self {
        self.edit(|pod| list(pod, "/status/containerStatuses").clear())
            .condition("Ready", &json!({ "status": "False" }))
            .condition("ContainersReady", &json!({ "status": "False" }))
    }

    /// The stored object.
    pub fn value(&self) -> Value {
        self.0.clone()
    }

    /// The record.
    pub fn build(&self) -> Pod {
        read(&self.0)
    }
}

/// What the node daemon would report of containers that were started just now.
pub fn reported(pod: &Value) -> Value {
    let record = read(pod);
    let containers = record.statuses.iter().filter_map(|status| {
        let (_, container) = record.container(&status.name)?;
        Some(json!({
            "name": &*status.name,
            "containerID": &*status.container_id,
            "restartCount": 0,
            "hashes": {
                "plainHash": crate::hash::plain(container),
                "extractedEnvFromMetadataHash": crate::hash::env(&record, container),
            },
        }))
    });
    json!({ "containers": containers.collect::<Vec<_>>() })
}

fn list<'a>(pod: &'a mut Value, path: &str) -> &'a mut Vec<Value> {
    pod.pointer_mut(path).unwrap().as_array_mut().unwrap()
}

fn member<'a>(pod: &'a mut Value, path: &str, name: &str) -> &'a mut Value {
    list(pod, path).iter_mut().find(|item| item["name"] == name).unwrap()
}

fn merge(target: &mut Value, members: &Value) {
    for (name, value) in members.as_object().unwrap() {
        target[name] = value.clone();
    }
}
