//! What several files share.

use std::sync::Arc;

use kruise_common::intern::Interner;
use kruise_common::pod::{Pod, WirePod};
use kruise_common::table::Wire;
use serde_json::{Value, json};

use crate::object::{SidecarSet, WireSet};
use crate::snapshot::{Options, Settings};

/// A set named `log` with these members of its spec.
pub fn set(spec: &Value) -> SidecarSet {
    let object = json!({ "metadata": { "name": "log", "uid": "s", "resourceVersion": "5000", "generation": 1 }, "spec": spec });
    let wire: WireSet = serde_json::from_str(&object.to_string()).unwrap();
    wire.into_record(&Interner::default())
}

/// What its spec means.
pub fn settings(spec: &Value) -> Settings {
    settings_with(spec, Options::default())
}

/// The same with flags.
pub fn settings_with(spec: &Value, options: Options) -> Settings {
    let set = set(spec);
    let hashes = set.content.as_ref().unwrap().computed.clone();
    Settings::new(&set, hashes, options).unwrap()
}

/// A pod off the wire.
pub fn pod(object: &Value) -> Arc<Pod> {
    let wire: WirePod = serde_json::from_str(&object.to_string()).unwrap();
    Arc::new(wire.into_record(&Interner::default()))
}

/// A running, ready pod with a container `agent`, injected by `log`.
pub fn running() -> Value {
    json!({
        "metadata": {
            "name": "web-0", "namespace": "ns", "uid": "u", "resourceVersion": "7",
            "labels": { "app": "web" },
            "annotations": { "kruise.io/sidecarset-injected-list": "log" },
        },
        "spec": { "nodeName": "n", "containers": [{ "name": "agent", "image": "example.com/agent:2" }] },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }],
            "containerStatuses": [{
                "name": "agent", "image": "example.com/agent:1", "imageID": "example.com/agent@sha256:1",
                "containerID": "c://1", "ready": true, "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
            }],
        },
    })
}

/// The annotation in which `log` says what ran before.
pub fn with_state(mut pod: Value, image_id: &str, container_id: &str) -> Value {
    let state = json!({ "log": {
        "revision": "r", "updateTimestamp": "2026-01-01T00:00:00Z",
        "lastContainerStatuses": { "agent": { "imageID": image_id, "containerID": container_id } },
    } });
    pod["metadata"]["annotations"]["kruise.io/sidecarset-inplace-update-state"] =
        json!(state.to_string());
    pod
}
