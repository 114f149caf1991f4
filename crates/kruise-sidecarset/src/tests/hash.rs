use kruise_api::keys;
use kruise_api::sidecarset::v1beta1::SidecarSetSpec;
use serde_json::{Value, json};

use super::captured;
use crate::hash::{Hashes, hashes, raw_hashes};

fn of(spec: &Value) -> Hashes {
    let typed: SidecarSetSpec = serde_json::from_str(&spec.to_string()).unwrap();
    hashes(&typed).unwrap()
}

fn plain() -> Value {
    json!({
        "name": "container1", "image": "test-image", "resources": {}, "upgradeStrategy": {}, "shareVolumePolicy": {},
    })
}

/// Vectors 1, 2 and 5 of sidecarset §29.2.
#[test]
fn hashes_are_those_of_openkruise() {
    let first = Hashes {
        full: "w26c4x8fz245642fdv499b464248f974xddx4x55z5dw55bc6x66464fxz77dc78".to_owned(),
        without_image: "8wzddb4dvv9c6x8zdc77z4z75987424f457dfv6724ddw6zbdx467wz5x24fc759"
            .to_owned(),
    };
    assert_eq!(of(&json!({ "containers": [plain()] })), first);
    // HSH-2: plain init containers are not hashed, and nothing else of the spec is (HSH-4).
    let more = json!({
        "containers": [plain()], "initContainers": [plain()], "volumes": [{ "name": "v", "emptyDir": {} }],
        "imagePullSecrets": [{ "name": "s" }], "selector": { "matchLabels": { "a": "b" } }, "customVersion": "v2",
    });
    assert_eq!(of(&more), first);
    let mut native = plain();
    native["restartPolicy"] = json!("Always");
    let second = of(&json!({ "containers": [plain()], "initContainers": [native] }));
    assert_eq!(second.full, "4xwx4d4844vd4v9x79wb4xbxf4xb29475cc4446v8cz2c2f2f5c5bw448vd42z8w");
    let blank = "5725fw8bwbx249bw57v5892c847dzf48bww9zb7c86xb95264fdz26654847b2c8";
    assert_eq!(second.without_image, blank);
    let none = "x5vwx9w6vv4dv72c9w4c2f6v74fbwx545b45bbfz6z2dvf8w887xw86fvcb4cf48";
    assert_eq!(of(&json!({ "initContainers": [plain()] })).full, none);
    // HSH-7: an empty list as it was sent is not the same as none.
    let empty = raw_hashes(json!({ "containers": [] }).as_object().unwrap()).unwrap();
    assert_ne!(empty.full, none);
}

/// Vectors 3 and 4: defaults written out, escapes, quantities.
#[test]
fn hashes_follow_go_s_json() {
    let defaulted = |name: &str, image: &str, more: &Value| {
        let mut container = json!({
            "name": name, "image": image, "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
            "podInjectPolicy": "BeforeAppContainer", "upgradeStrategy": { "upgradeType": "ColdUpgrade" },
            "shareVolumePolicy": { "type": "disabled" },
        });
        let more = more.as_object().unwrap().clone();
        container.as_object_mut().unwrap().extend(more);
        of(&json!({ "containers": [container] }))
    };
    let third = defaulted("dns-f", "dns:1.0", &json!({}));
    assert_eq!(third.full, "6wbd76bd7984x24fb4f44fv9222cw9v9bcf85x766744wddd4zwx927zzz2zb684");
    let blank = "82684vwf9d4cb4wz4vffx4ddfbb47ww4z4wwxdbwb8w2zbb7zvf4524cdd49bv94";
    assert_eq!(third.without_image, blank);
    let fourth = defaulted(
        "c",
        "i:1",
        &json!({
            "command": ["sh", "-c", "a && b > /x"],
            "resources": { "limits": { "memory": "1024Mi", "cpu": "1000m" } },
        }),
    );
    assert_eq!(fourth.full, "vz2w6d88d64w4zfv84fzv4795cxfdd9449wd2d4vbb7dx6f4665892fxv796wb4v");
    let blank = "58vd2x875v9cfw4f97xvc656z48vd4vz9xvx7dbb7z4zbv4dffwcz4x547wfb445";
    assert_eq!(fourth.without_image, blank);
}

/// HSH-5.8: what Kubernetes 1.32 does not know is hashed if it is there, so its change is noticed.
#[test]
fn a_newer_member_counts() {
    let mut container = plain();
    container["newer"] = json!({ "a": 1 });
    let with = of(&json!({ "containers": [container.clone()] }));
    assert_ne!(with, of(&json!({ "containers": [plain()] })));
    container["newer"] = json!({ "a": 2 });
    assert_ne!(with, of(&json!({ "containers": [container] })));
}

#[test]
fn every_captured_hash_is_reproduced() {
    for path in captured::files("sidecarsets.") {
        let object = captured::json(&path);
        let annotation =
            |key: &str| object["metadata"]["annotations"][key].as_str().unwrap().to_owned();
        let stored = Hashes {
            full: annotation(keys::SIDECARSET_HASH),
            without_image: annotation(keys::SIDECARSET_HASH_WITHOUT_IMAGE),
        };
        assert_eq!(of(&object["spec"]), stored, "{}", path.display());
        assert_eq!(raw_hashes(object["spec"].as_object().unwrap()).unwrap(), stored);
    }
}
