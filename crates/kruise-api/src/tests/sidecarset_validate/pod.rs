//! VAL-50: for each rule something that is accepted and something that is refused.
#![expect(clippy::too_many_lines, reason = "tables of what is said")]

use serde_json::{Value, json};

use super::{accepted, container, merge, problems, spec};

fn one(change: &Value) -> Value {
    json!({ "containers": [container(change)] })
}

fn with_volumes(change: &Value) -> Value {
    let mut one = one(change);
    one["volumes"] = json!([
        { "name": "v", "emptyDir": {} }, { "name": "p", "persistentVolumeClaim": { "claimName": "c" } },
    ]);
    one
}

/// Each change is refused for the member at the path, with words that contain `rule`.
fn refused_at(changes: &[(Value, &str, &str)]) {
    for (change, path, rule) in changes {
        let found = problems(change);
        let right = found
            .iter()
            .any(|problem| problem.starts_with(&format!("{path}: ")) && problem.contains(rule));
        assert!(right && found.len() == 1, "{path} {rule}: {found:?} for {change}");
    }
}

#[test]
fn names_and_images() {
    accepted(&[one(&json!({ "name": "a-1", "image": "r/a:1" }))]);
    let two = json!({ "containers": [container(&json!({})), container(&json!({}))] });
    let across =
        json!({ "containers": [container(&json!({}))], "initContainers": [container(&json!({}))] });
    refused_at(&[
        (one(&json!({ "name": "" })), "spec.containers[0].name", "Required value"),
        (one(&json!({ "name": "A" })), "spec.containers[0].name", "RFC 1123 label"),
        (one(&json!({ "name": "a".repeat(64) })), "spec.containers[0].name", "no more than 63"),
        (two, "spec.containers[1].name", "Duplicate value: \"agent\""),
        (across, "spec.containers[0].name", "Duplicate value: \"agent\""),
        (one(&json!({ "image": "" })), "spec.containers[0].image", "Required value"),
        (
            one(&json!({ "image": " a" })),
            "spec.containers[0].image",
            "leading or trailing whitespace",
        ),
        (
            one(&json!({ "imagePullPolicy": "Now" })),
            "spec.containers[0].imagePullPolicy",
            "Unsupported value",
        ),
        (
            one(&json!({ "terminationMessagePolicy": "x" })),
            "spec.containers[0].terminationMessagePolicy",
            "Unsupported value",
        ),
    ]);
}

#[test]
fn ports() {
    let ports = |ports: Value| one(&json!({ "ports": ports }));
    accepted(&[
        ports(
            json!([{ "name": "http", "containerPort": 80 }, { "containerPort": 80, "protocol": "UDP", "hostPort": 1 }]),
        ),
        ports(
            json!([{ "containerPort": 1, "hostPort": 1, "protocol": "TCP" }, { "containerPort": 1, "hostPort": 1, "protocol": "UDP" }]),
        ),
    ]);
    let at = "spec.containers[0].ports[0]";
    refused_at(&[
        (ports(json!([{}])), &format!("{at}.containerPort"), "Required value"),
        (
            ports(json!([{ "containerPort": 70000 }])),
            &format!("{at}.containerPort"),
            "between 1 and 65535",
        ),
        (
            ports(json!([{ "containerPort": 1, "hostPort": -1 }])),
            &format!("{at}.hostPort"),
            "between 1 and 65535",
        ),
        (
            ports(json!([{ "containerPort": 1, "protocol": "X" }])),
            &format!("{at}.protocol"),
            "Unsupported value",
        ),
        (ports(json!([{ "containerPort": 1, "name": "UP" }])), &format!("{at}.name"), "lower case"),
        (
            ports(
                json!([{ "containerPort": 1, "name": "a" }, { "containerPort": 2, "name": "a" }]),
            ),
            "spec.containers[0].ports[1].name",
            "Duplicate value",
        ),
        (
            ports(
                json!([{ "containerPort": 1, "hostPort": 1 }, { "containerPort": 2, "hostPort": 1 }]),
            ),
            "spec.containers[0].ports[1].hostPort",
            "Duplicate value",
        ),
    ]);
}

#[test]
fn env() {
    let env = |variable: Value| one(&json!({ "env": [variable] }));
    let from = |from: Value| env(json!({ "name": "A", "valueFrom": from }));
    accepted(&[
        env(json!({ "name": "a.B-c d", "value": "x" })),
        from(json!({ "fieldRef": { "fieldPath": "metadata.labels['a']" } })),
        from(json!({ "fieldRef": { "fieldPath": "status.podIP" } })),
        from(json!({ "resourceFieldRef": { "resource": "limits.hugepages-2Mi" } })),
        from(json!({ "secretKeyRef": { "name": "s", "key": "k" } })),
        one(&json!({ "envFrom": [{ "configMapRef": { "name": "c" } }] })),
    ]);
    let at = "spec.containers[0].env[0]";
    refused_at(&[
        (env(json!({ "value": "x" })), &format!("{at}.name"), "Required value"),
        (env(json!({ "name": "A=B" })), &format!("{at}.name"), "printable ASCII"),
        (from(json!({})), &format!("{at}.valueFrom"), "must specify one of"),
        (
            env(
                json!({ "name": "A", "value": "x", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }),
            ),
            &format!("{at}.valueFrom"),
            "when `value` is not empty",
        ),
        (
            from(
                json!({ "fieldRef": { "fieldPath": "metadata.name" }, "secretKeyRef": { "name": "s", "key": "k" } }),
            ),
            &format!("{at}.valueFrom"),
            "more than one field",
        ),
        (
            from(json!({ "fieldRef": { "fieldPath": "spec.x" } })),
            &format!("{at}.valueFrom.fieldRef.fieldPath"),
            "Unsupported value",
        ),
        (
            from(json!({ "resourceFieldRef": { "resource": "cpu" } })),
            &format!("{at}.valueFrom.resourceFieldRef.resource"),
            "Unsupported value",
        ),
        (
            from(json!({ "configMapKeyRef": { "name": "c" } })),
            &format!("{at}.valueFrom.configMapKeyRef.key"),
            "Required value",
        ),
        (one(&json!({ "envFrom": [{}] })), "spec.containers[0].envFrom[0]", "must specify one of"),
        (
            one(&json!({ "envFrom": [{ "secretRef": {} }] })),
            "spec.containers[0].envFrom[0].secretRef.name",
            "Required value",
        ),
    ]);
}

#[test]
fn volumes() {
    let volumes = |volumes: Value| json!({ "volumes": volumes });
    accepted(&[volumes(json!([{ "name": "a", "emptyDir": {} }, { "name": "b", "newer": {} }]))]);
    refused_at(&[
        (volumes(json!([{ "name": "a" }])), "spec.volumes[0]", "must specify a volume type"),
        (
            volumes(json!([{ "name": "a", "emptyDir": {}, "hostPath": { "path": "/" } }])),
            "spec.volumes[0].hostPath",
            "more than 1 volume type",
        ),
        (
            volumes(json!([{ "name": "A", "emptyDir": {} }])),
            "spec.volumes[0].name",
            "RFC 1123 label",
        ),
        (
            volumes(json!([{ "name": "a", "emptyDir": {} }, { "name": "a", "emptyDir": {} }])),
            "spec.volumes[1].name",
            "Duplicate value",
        ),
        (
            volumes(json!([{ "name": "a", "hostPath": {} }])),
            "spec.volumes[0].hostPath.path",
            "Required value",
        ),
        (
            volumes(json!([{ "name": "a", "configMap": {} }])),
            "spec.volumes[0].configMap.name",
            "Required value",
        ),
    ]);
}

#[test]
fn mounts() {
    let mount = |mount: Value| {
        let mut full = json!({ "name": "v", "mountPath": "/m" });
        merge(&mut full, &mount);
        with_volumes(&json!({ "volumeMounts": [full] }))
    };
    accepted(&[
        mount(json!({ "subPath": "a/b" })),
        with_volumes(&json!({ "volumeDevices": [{ "name": "p", "devicePath": "/dev/x" }] })),
    ]);
    let at = "spec.containers[0].volumeMounts[0]";
    let device = |device: Value| with_volumes(&json!({ "volumeDevices": [device] }));
    let device_at = "spec.containers[0].volumeDevices[0]";
    refused_at(&[
        // A volume of the pod cannot be named.
        (mount(json!({ "name": "data" })), &format!("{at}.name"), "not found"),
        (mount(json!({ "name": "" })), &format!("{at}.name"), "Required value"),
        (mount(json!({ "mountPath": "" })), &format!("{at}.mountPath"), "Required value"),
        (mount(json!({ "subPath": "/a" })), &format!("{at}.subPath"), "relative path"),
        (mount(json!({ "subPath": "a/.." })), &format!("{at}.subPath"), "'..'"),
        (
            mount(json!({ "subPath": "a", "subPathExpr": "b" })),
            &format!("{at}.subPathExpr"),
            "mutually exclusive",
        ),
        (
            mount(json!({ "mountPropagation": "Bidirectional" })),
            &format!("{at}.mountPropagation"),
            "privileged",
        ),
        (
            mount(json!({ "mountPropagation": "x" })),
            &format!("{at}.mountPropagation"),
            "Unsupported value",
        ),
        (
            with_volumes(
                &json!({ "volumeMounts": [{ "name": "v", "mountPath": "/m" }, { "name": "v", "mountPath": "/m" }] }),
            ),
            "spec.containers[0].volumeMounts[1].mountPath",
            "must be unique",
        ),
        (
            with_volumes(&json!({
                "volumeMounts": [{ "name": "v", "mountPath": "/m" }], "volumeDevices": [{ "name": "p", "devicePath": "/m" }],
            })),
            &format!("{at}.mountPath"),
            "volumeDevices",
        ),
        (
            device(json!({ "name": "v", "devicePath": "/d" })),
            &format!("{device_at}.name"),
            "block mode",
        ),
        (
            device(json!({ "name": "x", "devicePath": "/d" })),
            &format!("{device_at}.name"),
            "not found",
        ),
        (device(json!({ "name": "p" })), &format!("{device_at}.devicePath"), "Required value"),
        (
            device(json!({ "name": "p", "devicePath": "/d/../e" })),
            &format!("{device_at}.devicePath"),
            "backsteps",
        ),
    ]);
}

#[test]
fn resources() {
    let resources = |resources: Value| one(&json!({ "resources": resources }));
    accepted(&[resources(
        json!({ "limits": { "cpu": 1 }, "requests": { "cpu": "1000m", "memory": "1Gi" } }),
    )]);
    let at = "spec.containers[0].resources";
    refused_at(&[
        (resources(json!({ "limits": { "cpu": "x" } })), &format!("{at}.limits[cpu]"), "quantity"),
        (
            resources(json!({ "limits": { "cpu": "-1" } })),
            &format!("{at}.limits[cpu]"),
            "greater than or equal to 0",
        ),
        (
            resources(json!({ "limits": { "cpu": "1" }, "requests": { "cpu": 2 } })),
            &format!("{at}.requests"),
            "cpu limit of 1",
        ),
    ]);
}

#[test]
fn probes_hooks_and_restarts() {
    let probe = |probe: Value| one(&json!({ "livenessProbe": probe }));
    accepted(&[
        probe(json!({ "exec": { "command": ["x"] }, "periodSeconds": 5 })),
        probe(json!({ "httpGet": { "path": "/", "port": "http", "scheme": "HTTPS" } })),
        one(&json!({ "readinessProbe": { "grpc": { "port": 1 }, "successThreshold": 3 } })),
        one(&json!({ "lifecycle": { "preStop": { "sleep": { "seconds": 1 } } } })),
    ]);
    let at = "spec.containers[0].livenessProbe";
    let init = |more: Value| {
        let mut init = json!({ "name": "init" });
        merge(&mut init, &more);
        json!({ "initContainers": [container(&init)] })
    };
    refused_at(&[
        (probe(json!({})), at, "must specify a handler type"),
        (
            probe(json!({ "exec": { "command": ["x"] }, "grpc": { "port": 1 } })),
            &format!("{at}.grpc"),
            "more than 1 handler",
        ),
        (probe(json!({ "exec": {} })), &format!("{at}.exec.command"), "Required value"),
        (
            probe(json!({ "tcpSocket": { "port": 0 } })),
            &format!("{at}.tcpSocket.port"),
            "between 1 and 65535",
        ),
        (probe(json!({ "tcpSocket": {} })), &format!("{at}.tcpSocket.port"), "Required value"),
        (
            probe(json!({ "exec": { "command": ["x"] }, "periodSeconds": -1 })),
            &format!("{at}.periodSeconds"),
            "greater than or equal to 0",
        ),
        (
            probe(json!({ "exec": { "command": ["x"] }, "successThreshold": 2 })),
            &format!("{at}.successThreshold"),
            "must be 1",
        ),
        (
            one(&json!({ "lifecycle": { "postStart": {} } })),
            "spec.containers[0].lifecycle.postStart",
            "handler type",
        ),
        (
            one(&json!({ "restartPolicy": "Always" })),
            "spec.containers[0].restartPolicy",
            "may not be set",
        ),
        (
            init(json!({ "restartPolicy": "Never" })),
            "spec.initContainers[0].restartPolicy",
            "Unsupported value",
        ),
        (
            init(json!({ "readinessProbe": { "exec": { "command": ["x"] } } })),
            "spec.initContainers[0].readinessProbe",
            "may not be set",
        ),
        (
            init(json!({ "lifecycle": { "preStop": {} } })),
            "spec.initContainers[0].lifecycle",
            "may not be set",
        ),
    ]);
    // Native sidecars may have them.
    let mut native = init(
        json!({ "restartPolicy": "Always", "startupProbe": { "exec": { "command": ["x"] } } }),
    );
    native["updateStrategy"] = json!({ "type": "NotUpdate" });
    accepted(&[native]);
}

#[test]
fn security_and_resizing() {
    let security = |security: Value| one(&json!({ "securityContext": security }));
    accepted(&[
        security(json!({ "runAsUser": 1337, "privileged": true })),
        one(
            &json!({ "resizePolicy": [{ "resourceName": "cpu", "restartPolicy": "NotRequired" }] }),
        ),
    ]);
    let at = "spec.containers[0].securityContext";
    refused_at(&[
        (security(json!({ "runAsUser": -1 })), &format!("{at}.runAsUser"), "between 0 and"),
        (
            security(json!({ "privileged": true, "allowPrivilegeEscalation": false })),
            at,
            "cannot set",
        ),
        (security(json!({ "procMount": "x" })), &format!("{at}.procMount"), "Unsupported value"),
        (
            one(&json!({ "resizePolicy": [{ "resourceName": "disk" }] })),
            "spec.containers[0].resizePolicy[0].resourceName",
            "Unsupported value",
        ),
    ]);
    // The whole is still a set.
    assert_eq!(problems(&json!({})), [] as [&str; 0], "{}", spec(&json!({})));
}
