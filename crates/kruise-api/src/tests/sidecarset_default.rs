#![expect(clippy::needless_pass_by_value, reason = "literals read better without &")]

use serde_json::{Value, json};

use crate::sidecarset::default::default_object;

fn defaulted(spec: Value) -> Value {
    let mut object = json!({ "apiVersion": "apps.kruise.io/v1beta1", "spec": spec });
    default_object(&mut object);
    let once = object.clone();
    default_object(&mut object);
    assert_eq!(object, once, "idempotent");
    object["spec"].clone()
}

/// DEF-2…DEF-9.
#[test]
fn a_set_is_filled() {
    let spec = defaulted(json!({
        "patchPodMetadata": [{ "annotations": { "a": "b" } }],
        "injectionStrategy": { "revision": { "revisionName": "x" } },
        "volumes": [{ "name": "v" }, { "name": "c", "configMap": { "name": "c" } }],
    }));
    let expected = json!({
        "updateStrategy": { "type": "RollingUpdate", "partition": 0, "maxUnavailable": 1 },
        "revisionHistoryLimit": 10,
        "patchPodMetadata": [{ "annotations": { "a": "b" }, "patchPolicy": "Retain" }],
        "injectionStrategy": { "revision": { "revisionName": "x", "policy": "Always" } },
        "volumes": [{ "name": "v", "emptyDir": {} }, { "name": "c", "configMap": { "name": "c", "defaultMode": 420 } }],
    });
    assert_eq!(spec, expected);
    // DEF-3: also for sets that are never updated; what is set stays.
    let other = defaulted(json!({ "updateStrategy": { "type": "NotUpdate", "partition": "20%" } }));
    let strategy = json!({ "type": "NotUpdate", "partition": "20%", "maxUnavailable": 1 });
    assert_eq!(other["updateStrategy"], strategy);
}

/// DEF-4, DEF-5, DEF-20.
#[test]
fn containers_are_filled() {
    let container = json!({
        "name": "c", "image": "i:1", "newer": true, "ports": [{ "containerPort": 1 }],
        "env": [{ "name": "A", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
        "transferEnv": [
            { "sourceContainerNameFrom": { "fieldRef": { "fieldPath": "metadata.labels['a']" } } },
            { "sourceContainerNameFrom": {} },
        ],
        "livenessProbe": { "httpGet": { "port": 1 } }, "startupProbe": { "httpGet": { "port": 1 } },
        "lifecycle": { "preStop": { "httpGet": { "port": 1 } } },
        "resources": { "limits": { "cpu": "0.0001" } },
    });
    let spec = defaulted(
        json!({ "initContainers": [container], "containers": [container, { "image": "x" }] }),
    );
    let filled = json!({
        "name": "c", "image": "i:1", "newer": true, "ports": [{ "containerPort": 1, "protocol": "TCP" }],
        "env": [{ "name": "A", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.name" } } }],
        "transferEnv": [
            { "sourceContainerNameFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.labels['a']" } } },
            { "sourceContainerNameFrom": {} },
        ],
        "livenessProbe": {
            "httpGet": { "port": 1, "path": "/", "scheme": "HTTP" },
            "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        },
        // DEF-20.8
        "startupProbe": { "httpGet": { "port": 1 } },
        "lifecycle": { "preStop": { "httpGet": { "port": 1, "path": "/", "scheme": "HTTP" } } },
        "resources": { "limits": { "cpu": "1m" } },
        "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File", "upgradeStrategy": { "upgradeType": "ColdUpgrade" },
        "shareVolumePolicy": { "type": "disabled" }, "podInjectPolicy": "BeforeAppContainer",
    });
    assert_eq!(spec["containers"][0], filled);
    let mut init = filled;
    init["podInjectPolicy"] = json!("AfterAppContainer");
    assert_eq!(spec["initContainers"][0], init);
    assert_eq!(spec["containers"][1]["imagePullPolicy"], "Always");
    assert_eq!(spec["containers"][1].get("shareVolumeDevicePolicy"), None);
}

/// DEF-20.1.
#[test]
fn a_pull_policy_follows_the_tag() {
    let policy = |image: &str| {
        let spec = defaulted(json!({ "containers": [{ "image": image }] }));
        spec["containers"][0]["imagePullPolicy"].as_str().unwrap().to_owned()
    };
    for image in ["a", "a:latest", "reg:5000/a/b", "Reg.Example/a", "localhost/a"] {
        assert_eq!(policy(image), "Always", "{image}");
    }
    for image in ["a:1", "a@sha256:00", "", "A", "a/B", "a b", "reg:5000/a:1", "a/"] {
        assert_eq!(policy(image), "IfNotPresent", "{image}");
    }
}

#[test]
fn what_is_no_set_is_left_alone() {
    for strange in [json!(7), json!({}), json!({ "spec": 7 })] {
        let mut object = strange.clone();
        default_object(&mut object);
        assert_eq!(object, strange);
    }
    let odd = defaulted(json!({ "containers": [7, null], "updateStrategy": 7, "volumes": "x" }));
    assert_eq!(odd["containers"], json!([7, null]));
}
