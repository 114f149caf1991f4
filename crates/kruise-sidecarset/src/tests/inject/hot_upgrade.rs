use serde_json::{Value, json};

use super::{injected, item, names, pod, set};

fn mesh(place: &str) -> Value {
    json!({
        "name": "mesh", "image": "mesh:1", "command": ["run"], "env": [{ "name": "X", "value": "x" }], "podInjectPolicy": place,
        "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "mesh:empty" },
    })
}

/// HOT-1…HOT-5, CNF-3, CNF-17.
#[test]
fn a_hot_sidecar_is_a_pair() {
    let other = json!({ "name": "z", "image": "z:1" });
    let after =
        injected(&pod(&json!({})), &[set("a", &json!({ "containers": [mesh(""), other] }))]);
    assert_eq!(names(&after, "containers"), ["mesh-1", "mesh-2", "z", "app"]);
    let twin = |name: &str, image: &str| {
        let version = |variable: &str, key: &str| {
            let path = format!("metadata.annotations['{key}.sidecarset.kruise.io/{name}']");
            json!({ "name": variable, "valueFrom": { "fieldRef": { "fieldPath": path } } })
        };
        json!({
            "name": name, "image": image, "command": ["run"], "imagePullPolicy": "IfNotPresent",
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "env": [
                { "name": "X", "value": "x" }, { "name": "IS_INJECTED", "value": "true" },
                version("SIDECARSET_VERSION", "version"), version("SIDECARSET_VERSION_ALT", "versionalt"),
            ],
        })
    };
    assert_eq!(item(&after, "containers", "mesh-1"), &twin("mesh-1", "mesh:1"));
    assert_eq!(item(&after, "containers", "mesh-2"), &twin("mesh-2", "mesh:empty"));
    let annotations = &after["metadata"]["annotations"];
    for (key, value) in [
        ("version.sidecarset.kruise.io/mesh-1", "1"),
        ("versionalt.sidecarset.kruise.io/mesh-1", "0"),
        ("version.sidecarset.kruise.io/mesh-2", "0"),
        ("versionalt.sidecarset.kruise.io/mesh-2", "1"),
        ("kruise.io/sidecarset-working-hotupgrade-container", r#"{"mesh":"mesh-1"}"#),
    ] {
        assert_eq!(annotations[key], value, "{key}");
    }
    let text = annotations["kruise.io/sidecarset-hash"].as_str().unwrap();
    assert!(text.contains(r#""sidecarList":["mesh","z"]"#), "names of the set: {text}");
    let behind = injected(
        &pod(&json!({})),
        &[set("a", &json!({ "containers": [mesh("AfterAppContainer")] }))],
    );
    assert_eq!(names(&behind, "containers"), ["app", "mesh-1", "mesh-2"]);
}

/// HOT-3, HOT-4: the map of other sidecars stays, that of this one starts anew.
#[test]
fn the_working_map_is_merged() {
    let key = "kruise.io/sidecarset-working-hotupgrade-container";
    let with = |map: &str| pod(&json!({ "metadata": { "annotations": { key: map } } }));
    let set = set("a", &json!({ "containers": [mesh("")] }));
    let after = injected(&with(r#"{"z":"z-2","mesh":"mesh-2"}"#), std::slice::from_ref(&set));
    assert_eq!(after["metadata"]["annotations"][key], r#"{"mesh":"mesh-1","z":"z-2"}"#);
    for unreadable in ["[", r#"{"a":1}"#] {
        let after = injected(&with(unreadable), std::slice::from_ref(&set));
        assert_eq!(after["metadata"]["annotations"][key], r#"{"mesh":"mesh-1"}"#, "{unreadable}");
    }
}

/// INJ-15, HOT-9.
#[test]
fn init_containers_are_pairs_only_if_they_keep_running() {
    let mut native = mesh("");
    native["restartPolicy"] = json!("Always");
    let of = |container: Value| {
        let after =
            injected(&pod(&json!({})), &[set("a", &json!({ "initContainers": [container] }))]);
        names(&after, "initContainers")
    };
    assert_eq!(of(native), ["mesh-1", "mesh-2"]);
    assert_eq!(of(mesh("")), ["mesh"]);
}

/// W-18: a pod that was copied from a running one. What is of this set begins anew; what the twins of another set read, which
/// came along, stays.
#[test]
fn what_a_copied_pod_brings_along() {
    let set = set("a", &json!({ "containers": [mesh("")] }));
    let twin = |name: &str| json!({ "name": name, "image": "old", "env": [{ "name": "IS_INJECTED", "value": "true" }] });
    let copied = pod(&json!({
        "metadata": { "annotations": {
            "kruise.io/sidecarset-inplace-update-state": r#"{"a":{},"b":{}}"#,
            "kruise.io/sidecarset-working-hotupgrade-container": r#"{"mesh":"mesh-2","other":"other-2"}"#,
            "version.sidecarset.kruise.io/mesh-1": "0", "version.sidecarset.kruise.io/mesh-2": "77",
            "version.sidecarset.kruise.io/other-1": "0", "version.sidecarset.kruise.io/other-2": "78",
        } },
        "spec": { "containers": [
            twin("mesh-1"), twin("mesh-2"), twin("other-1"), twin("other-2"), { "name": "app", "image": "app:1" },
        ] },
    }));
    let after = injected(&copied, &[set]);
    assert_eq!(names(&after, "containers"), ["mesh-1", "mesh-2", "other-1", "other-2", "app"]);
    assert_eq!(item(&after, "containers", "mesh-1")["image"], "mesh:1");
    assert_eq!(item(&after, "containers", "mesh-2")["image"], "mesh:empty");
    let annotations = &after["metadata"]["annotations"];
    assert!(annotations["kruise.io/sidecarset-inplace-update-state"].is_null());
    for (key, value) in [
        (
            "kruise.io/sidecarset-working-hotupgrade-container",
            r#"{"mesh":"mesh-1","other":"other-2"}"#,
        ),
        ("version.sidecarset.kruise.io/mesh-1", "1"),
        ("version.sidecarset.kruise.io/mesh-2", "0"),
        ("version.sidecarset.kruise.io/other-2", "78"),
    ] {
        assert_eq!(annotations[key], value, "{key}");
    }
}
