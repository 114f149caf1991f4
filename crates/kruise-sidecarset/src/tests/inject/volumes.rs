use serde_json::{Value, json};

use super::{asking, injected, item, pod, refused, set};

fn paths(list: &Value, member: &str) -> Vec<String> {
    let items = list.as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

fn own() -> Value {
    pod(&json!({ "spec": {
        "containers": [
            {
                "name": "app",
                "volumeMounts": [
                    { "name": "a", "mountPath": "/a", "readOnly": true, "subPath": "x" }, { "name": "b", "mountPath": "/own" },
                ],
                "volumeDevices": [{ "name": "d", "devicePath": "/dev/a" }, { "name": "e", "devicePath": "/a" }],
            },
            { "name": "more", "volumeMounts": [{ "name": "c", "mountPath": "/a" }, { "name": "c", "mountPath": "/dev/own" }] },
            {
                "name": "foreign", "env": [{ "name": "IS_INJECTED", "value": "true" }],
                "volumeMounts": [{ "name": "x", "mountPath": "/x" }],
            },
        ],
        "initContainers": [{ "name": "init", "volumeMounts": [{ "name": "i", "mountPath": "/i" }] }],
        "volumes": [{ "name": "a", "emptyDir": {} }, { "name": "sv", "emptyDir": { "medium": "Memory" } }],
    } }))
}

fn sidecar(more: &Value) -> Value {
    let mut sidecar = json!({
        "name": "s", "image": "i:1", "volumeMounts": [{ "name": "sv", "mountPath": "/own" }],
        "volumeDevices": [{ "name": "sd", "devicePath": "/dev/own" }],
    });
    json_patch::merge(&mut sidecar, more);
    sidecar
}

/// INJ-12, INJ-14, INJ-30…INJ-33, CNF-5.
#[test]
fn mounts_and_devices_are_shared_on_demand() {
    let of = |mounts: &str, devices: &str| {
        let sidecar = sidecar(&json!({
            "shareVolumePolicy": { "type": mounts }, "shareVolumeDevicePolicy": { "type": devices },
        }));
        let after = injected(&own(), &[set("a", &json!({ "containers": [sidecar] }))]);
        let sidecar = item(&after, "containers", "s").clone();
        (
            paths(&sidecar["volumeMounts"], "mountPath"),
            paths(&sidecar["volumeDevices"], "devicePath"),
            sidecar,
        )
    };
    let (mounts, devices, _) = of("disabled", "disabled");
    assert_eq!((mounts, devices), (vec!["/own".to_owned()], vec!["/dev/own".to_owned()]));
    let (mounts, devices, sidecar) = of("enabled", "enabled");
    assert_eq!(
        mounts,
        ["/own", "/a"],
        "own wins, the first wins, not over a device, not of injected containers"
    );
    assert_eq!(devices, ["/dev/own", "/dev/a"], "not over a mount");
    let shared = json!({ "name": "a", "mountPath": "/a", "readOnly": true, "subPath": "x" });
    assert_eq!(sidecar["volumeMounts"][1], shared, "all members");
    let (mounts, devices, _) = of("disabled", "enabled");
    assert_eq!(mounts, ["/own"]);
    assert_eq!(devices, ["/dev/own", "/dev/a", "/a"]);
}

/// INJ-11, INJ-55.
#[test]
fn volumes_come_along_if_they_are_mounted() {
    let volumes = |names: &[&str], size: &str| -> Vec<Value> {
        names
            .iter()
            .map(|name| json!({ "name": name, "emptyDir": { "sizeLimit": size } }))
            .collect()
    };
    let first = set(
        "a",
        &json!({
            "containers": [sidecar(&json!({}))], "volumes": volumes(&["unused", "sv", "sd"], "1"),
            "initContainers": [{ "name": "i", "image": "i", "volumeMounts": [{ "name": "iv", "mountPath": "/x" }, { "name": "gone", "mountPath": "/y" }] }],
        }),
    );
    let second = set(
        "b",
        &json!({
            "containers": [{ "name": "t", "image": "i", "volumeMounts": [{ "name": "sd", "mountPath": "/x" }, { "name": "tv", "mountPath": "/y" }] }],
            "volumes": volumes(&["sd", "tv"], "2"),
        }),
    );
    let after = injected(&own(), &[first, second]);
    assert_eq!(paths(&after["spec"]["volumes"], "name"), ["a", "sv", "sd", "tv"]);
    assert_eq!(item(&after, "volumes", "sv")["emptyDir"]["medium"], "Memory", "the pod's own wins");
    assert_eq!(item(&after, "volumes", "sd")["emptyDir"]["sizeLimit"], "1", "the first wins");
}

/// INJ-56, CNF-7.
#[test]
fn pull_secrets_are_merged() {
    let with = |name: &str, secrets: &[&str]| {
        let secrets: Vec<Value> = secrets.iter().map(|name| json!({ "name": name })).collect();
        let container = json!({ "name": name, "image": "i" });
        set(name, &json!({ "containers": [container], "imagePullSecrets": secrets }))
    };
    let sets = [with("a", &["x", "y"]), with("b", &["y", "z"])];
    let secrets = |pod: &Value| paths(&injected(pod, &sets)["spec"]["imagePullSecrets"], "name");
    assert_eq!(secrets(&pod(&json!({}))), ["x", "y", "z"]);
    let own = pod(&json!({ "spec": { "imagePullSecrets": [{ "name": "y" }, { "name": "o" }] } }));
    assert_eq!(secrets(&own), ["y", "o", "x", "z"]);
}

/// What the API server would add to every container it adds to none of ours: it need not ask again.
#[test]
fn a_sidecar_gets_the_token_that_the_pod_s_own_containers_have() {
    let path = "/var/run/secrets/kubernetes.io/serviceaccount";
    let token = json!({ "name": "kube-api-access-x7k2p", "readOnly": true, "mountPath": path });
    let own = |mount: &Value| {
        pod(
            &json!({ "spec": { "containers": [{ "name": "app", "image": "app:1", "volumeMounts": [{ "name": "d", "mountPath": "/d" }, mount] }] } }),
        )
    };
    let sidecar = |name: &str, more: &Value| {
        let mut sidecar = json!({ "name": name, "image": "i:1" });
        json_patch::merge(&mut sidecar, more);
        sidecar
    };
    let mine = json!({ "name": "mine", "mountPath": path });
    let one = set(
        "a",
        &json!({
            "initContainers": [sidecar("n", &json!({ "restartPolicy": "Always" }))],
            "containers": [
                sidecar("bare", &json!({})),
                sidecar("mounts", &json!({ "volumeMounts": [{ "name": "v", "mountPath": "/v" }] })),
                sidecar("shares", &json!({ "shareVolumePolicy": { "type": "enabled" } })),
                sidecar("has", &json!({ "volumeMounts": [mine] })),
            ],
        }),
    );
    let after = injected(&own(&token), std::slice::from_ref(&one));
    let mounts =
        |pod: &Value, list: &str, name: &str| item(pod, list, name)["volumeMounts"].clone();
    assert_eq!(mounts(&after, "initContainers", "n"), json!([token]));
    assert_eq!(mounts(&after, "containers", "bare"), json!([token]));
    let last = json!([{ "name": "v", "mountPath": "/v" }, token]);
    assert_eq!(mounts(&after, "containers", "mounts"), last);
    let shared = json!([{ "name": "d", "mountPath": "/d" }, token]);
    assert_eq!(mounts(&after, "containers", "shares"), shared);
    assert_eq!(mounts(&after, "containers", "has"), json!([mine]));
    // A volume of the user's own there is shared only on request.
    let after = injected(&own(&mine), std::slice::from_ref(&one));
    assert_eq!(mounts(&after, "containers", "bare"), Value::Null);
    // So is a token that a pod mounts by hand, which wants none by itself.
    let mut by_hand = own(&token);
    by_hand["spec"]["automountServiceAccountToken"] = json!(false);
    let after = injected(&by_hand, &[one]);
    assert_eq!(mounts(&after, "containers", "bare"), Value::Null);
    assert_eq!(mounts(&after, "containers", "shares"), shared);
}

/// W-19: a volume that only the pod has, such as one of a claim template.
#[test]
fn a_sidecar_may_mount_a_volume_of_the_pod() {
    let mounts = json!({ "containers": [{ "name": "s", "image": "i:1", "volumeMounts": [{ "name": "data", "mountPath": "/d" }] }] });
    let one = asking(&set("a", &mounts), "kruise.io/sidecarset-pod-volumes");
    let volume = json!({ "name": "data", "persistentVolumeClaim": { "claimName": "data-web-0" } });
    let with = pod(&json!({ "spec": { "volumes": [volume] } }));
    let after = injected(&with, std::slice::from_ref(&one));
    assert_eq!(item(&after, "containers", "s")["volumeMounts"][0]["name"], "data");
    assert_eq!(after["spec"]["volumes"], json!([volume]));
    let why = "sidecarset a: container s mounts volume data, which the pod does not have";
    assert_eq!(refused(&pod(&json!({})), &[one]), why);
}
