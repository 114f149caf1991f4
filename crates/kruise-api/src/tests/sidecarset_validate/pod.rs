//! VAL-50: the rules themselves are tested with `shared/pod_template.rs`; here is that they are asked, and where.

use serde_json::{Value, json};

use super::{Set, accepted, container, merge, problems, said, spec};
use crate::sidecarset::validate::Surroundings;

fn one(change: &Value) -> Value {
    json!({ "containers": [container(change)] })
}

/// Each change is refused for the member at the path and for nothing else.
fn refused_at(changes: &[(Value, &str)]) {
    for (change, path) in changes {
        let found = problems(change);
        let right = found.len() == 1 && found[0].starts_with(&format!("{path}: "));
        assert!(right, "{path}: {found:?} for {change}");
    }
}

#[test]
fn kubernetes_rules_are_asked() {
    let volume = json!({ "volumes": [{ "name": "v", "emptyDir": {} }] });
    let mut mounted = one(&json!({ "volumeMounts": [{ "name": "v", "mountPath": "/m" }] }));
    merge(&mut mounted, &volume);
    accepted(&[
        one(
            &json!({ "name": "a-1", "image": "r/a:1", "ports": [{ "containerPort": 1, "protocol": "TCP" }] }),
        ),
        one(&json!({ "newer": { "x": 1 }, "env": [{ "name": "A", "value": "x" }] })),
        mounted,
    ]);
    let two = json!({ "containers": [container(&json!({})), container(&json!({}))] });
    let at = "spec.containers[0]";
    refused_at(&[
        (one(&json!({ "name": "A" })), &format!("{at}.name")),
        (one(&json!({ "image": "" })), &format!("{at}.image")),
        (two, "spec.containers[1].name"),
        (
            one(&json!({ "ports": [{ "containerPort": 70000, "protocol": "TCP" }] })),
            &format!("{at}.ports[0].containerPort"),
        ),
        // A volume of the pod cannot be named.
        (
            one(&json!({ "volumeMounts": [{ "name": "data", "mountPath": "/m" }] })),
            &format!("{at}.volumeMounts[0].name"),
        ),
        (
            one(&json!({ "resources": { "limits": { "cpu": "1" }, "requests": { "cpu": "2" } } })),
            &format!("{at}.resources.requests"),
        ),
    ]);
}

#[test]
fn init_containers_alone_are_a_pod_too() {
    let init = |more: Value| {
        let mut init = json!({ "name": "init" });
        merge(&mut init, &more);
        json!({
            "initContainers": [container(&init)], "containers": null, "updateStrategy": { "type": "NotUpdate" },
        })
    };
    let probe = json!({
        "exec": { "command": ["x"] }, "timeoutSeconds": 1, "periodSeconds": 1, "successThreshold": 1, "failureThreshold": 1,
    });
    accepted(&[
        init(json!({})),
        // Native sidecars may have probes.
        init(json!({ "restartPolicy": "Always", "startupProbe": probe })),
    ]);
    refused_at(&[
        (init(json!({ "readinessProbe": probe })), "spec.initContainers[0].readinessProbe"),
        (init(json!({ "image": "" })), "spec.initContainers[0].image"),
    ]);
}

/// W-19: with the annotation what is mounted may be a volume of the pod.
#[test]
fn volumes_of_the_pod_are_allowed_where_the_set_asks_for_them() {
    let spec = spec(&one(&json!({
        "volumeMounts": [{ "name": "data", "mountPath": "/m" }],
        "volumeDevices": [{ "name": "disk", "devicePath": "/dev/disk" }],
    })));
    let said = |annotations: &Value| {
        said(&Set::new("log", annotations, &spec), None, &Surroundings::default())
    };
    let plain = said(&json!({}));
    assert!(plain.iter().any(|text| text.contains("data")), "{plain:?}");
    assert_eq!(said(&json!({ "kruise.io/sidecarset-pod-volumes": "true" })), [] as [&str; 0]);
}
