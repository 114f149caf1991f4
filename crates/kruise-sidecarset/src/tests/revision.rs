use std::collections::BTreeMap;
use std::sync::Arc;

use kruise_api::keys;
use kruise_api::raw::RawJson;
use kruise_api::sidecarset::v1beta1::SidecarSetSpec;
use serde_json::{Value, json};

use super::captured;
use crate::hash::Hashes;
use crate::revision::{Unusable, data, find, hash, labels, name, restore, semantically_equal};

fn spec(spec: &Value) -> SidecarSetSpec {
    serde_json::from_str(&spec.to_string()).unwrap()
}

/// The vector of sidecarset §29.2.
#[test]
fn data_and_name_are_those_of_openkruise() {
    let container = json!({
        "image": "test-image", "name": "container1", "resources": {}, "shareVolumePolicy": {}, "upgradeStrategy": {},
    });
    let data = data(&spec(&json!({ "containers": [container] }))).unwrap();
    let expected = r#"{"spec":{"$patch":"replace","containers":[{"image":"test-image","name":"container1","resources":{},"shareVolumePolicy":{},"upgradeStrategy":{}}],"imagePullSecrets":null,"initContainers":null,"patchPodMetadata":null,"volumes":null}}"#;
    assert_eq!(data.get(), expected);
    assert_eq!(hash(&data, 0), "6f84bc646f");
    assert_eq!(hash(&data, 1), "6f84bc646d");
    assert_eq!(name("log-agent", &data, 0), "log-agent-6f84bc646f");
}

/// Every captured revision: the set it was made of gives its bytes, its name, its labels.
#[test]
fn every_captured_revision_is_reproduced() {
    let mut sets: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for path in captured::files("sidecarsets.v1beta1.") {
        let set = captured::json(&path);
        let name = set["metadata"]["name"].as_str().unwrap().to_owned();
        sets.entry(name).or_default().push(set);
    }
    for path in captured::files("kruise-system.") {
        let text = std::fs::read_to_string(&path).unwrap();
        let stored = captured::revision(&text);
        let wire: Value = serde_json::from_str(&text).unwrap();
        let set = stored.meta.labels.get(keys::SIDECARSET_NAME).unwrap();
        let origin = sets[set].iter().find(|object| {
            object["metadata"]["annotations"][keys::SIDECARSET_HASH]
                == wire["metadata"]["annotations"][keys::SIDECARSET_HASH]
        });
        let origin = captured::set(origin.unwrap_or_else(|| panic!("{}", path.display())));
        let data = data(&origin.content.as_ref().unwrap().spec).unwrap();
        assert_eq!(data.get(), stored.data.get(), "{}", path.display());
        assert_eq!(name(set, &data, 0), **stored.name());
        assert_eq!(labels(&origin, &hash(&data, 0)), stored.meta.labels.to_map());
        let restored = restore(&stored).unwrap();
        assert_eq!(restored.hashes, Hashes::recorded(&stored.annotations).unwrap());
        assert_eq!(restored.hashes, crate::hash::hashes(&restored.spec).unwrap());
        assert_eq!(restored.spec.selector, None, "only the recorded parts");
    }
}

#[test]
fn equal_data_in_another_spelling_is_the_same_revision() {
    let raw = |text: &str| RawJson::from_string(text.to_owned()).unwrap();
    let one = raw(
        r#"{"spec":{"$patch":"replace","containers":[{"name":"c","resources":{"limits":{"cpu":"1"}}}],"volumes":null}}"#,
    );
    let other = raw(
        r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":"1000m"}},"name":"c"}],"$patch":"replace"}}"#,
    );
    let different = raw(r#"{"spec":{"$patch":"replace","containers":[{"name":"d"}]}}"#);
    assert!(semantically_equal(&one, &other));
    assert!(!semantically_equal(&one, &different));
    assert!(!semantically_equal(&one, &raw("[1]")));
}

#[test]
fn a_revision_is_found_by_name_or_by_the_newest_of_a_version() {
    let revision = |name: &str, set: &str, number: i64, version: &str| {
        Arc::new(captured::revision(
            &json!({
                "metadata": {
                    "name": name, "namespace": "kruise-system", "uid": name,
                    "labels": { keys::SIDECARSET_NAME: set, keys::SIDECARSET_CUSTOM_VERSION: version },
                },
                "revision": number,
                "data": { "spec": { "$patch": "replace", "containers": [{ "name": "c", "image": "i:1" }] } },
            })
            .to_string(),
        ))
    };
    let all = [
        revision("a-1", "a", 1, "v1"),
        revision("a-2", "a", 2, "v1"),
        revision("a-3", "a", 3, "v2"),
        revision("b-1", "b", 9, "v1"),
    ];
    let named =
        |name, version| find("a", name, version, &all).map(|found| found.name().to_string());
    assert_eq!(named(Some("a-1"), None).unwrap(), "a-1");
    assert_eq!(named(Some("a-1"), Some("v2")).unwrap(), "a-1", "the name wins (REV-3)");
    assert_eq!(named(None, Some("v1")).unwrap(), "a-2");
    // W-33: a revision of another set is none of this one.
    let missing = named(Some("b-1"), None).unwrap_err();
    assert_eq!(missing, Unusable::NotFound("b-1".to_owned()));
    let text = named(None, Some("v9")).unwrap_err().to_string();
    assert_eq!(text, r#"ControllerRevision.apps "a" not found"#);
    // HIS-21: without annotations the hashes are computed.
    let restored = restore(&all[0]).unwrap();
    assert_eq!(restored.hashes, crate::hash::hashes(&restored.spec).unwrap());
    assert_eq!(&*restored.name, "a-1");
}

#[test]
fn data_that_cannot_be_read_names_the_revision() {
    let broken = captured::revision(
        r#"{"metadata":{"name":"x-1","labels":{"kruise.io/sidecarset-name":"x"}},"revision":1,"data":{"spec":{"containers":7}}}"#,
    );
    let problem = restore(&broken).unwrap_err().to_string();
    assert!(problem.starts_with("ControllerRevision x-1: invalid type"), "{problem}");
}
