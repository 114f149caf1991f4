//! The revision codec against vectors made by Go and against what OpenKruise left in a cluster.

use std::path::Path;

use kruise_api::raw::RawJson;
use serde::Deserialize;
use serde_json::Value;

use crate::history::{encode, hash, revision_name, semantically_equal, template_of};

#[derive(Deserialize)]
struct Vector {
    template: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    error: bool,
}

#[derive(Deserialize)]
struct Stored {
    metadata: Value,
    data: Option<RawJson>,
    spec: Option<Spec>,
    status: Option<Value>,
}

#[derive(Deserialize)]
struct Spec {
    template: RawJson,
}

fn captured() -> Vec<(String, Stored)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/history/captured");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_str(&text).unwrap())
    };
    files.iter().map(read).collect()
}

#[test]
fn encode_gives_the_bytes_that_go_gives() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../tests/history/vectors.json")).unwrap();
    assert!(vectors.len() >= 20);
    for Vector { template, data, error } in vectors {
        match encode(&template) {
            Ok(encoded) => {
                assert!(!error, "Go refuses {template}, we make {encoded}");
                assert_eq!(encoded, data, "template {template}");
            }
            Err(problem) => assert!(error, "{template}: {problem}"),
        }
    }
}

#[test]
fn hash_is_fnv_1_in_safe_characters() {
    assert_eq!(hash("", None), "65bb57b6b5");
    assert_eq!(hash("a", None), "d8bfb88b");
    assert_eq!(hash("{}", Some(0)), "cccc864bc");
    let data = r#"{"spec":{"template":{"$patch":"replace","metadata":{"creationTimestamp":null,"labels":{"app":"nginx"}},"spec":{"containers":[{"image":"nginx:1","name":"main","resources":{}}]}}}}"#;
    assert_eq!(hash(data, Some(0)), "56f5cb67fc");
    assert_eq!(hash(data, Some(1)), "56f5cb67fb");
}

#[test]
fn every_captured_revision_name_is_reproduced() {
    let mut checked = 0;
    for (file, stored) in captured() {
        let Some(data) = &stored.data else { continue };
        let name = stored.metadata["name"].as_str().unwrap();
        let set = stored.metadata["ownerReferences"][0]["name"].as_str().unwrap();
        let hash = hash(data.get(), Some(0));
        assert_eq!(stored.metadata["labels"]["controller.kubernetes.io/hash"], hash.as_str(), "{file}");
        assert_eq!(revision_name(set, &hash), name, "{file}");
        checked += 1;
    }
    assert!(checked >= 12, "only {checked} revisions");
}

#[test]
fn every_captured_set_encodes_to_its_update_revision_byte_for_byte() {
    let all = captured();
    let mut checked = 0;
    for (file, set) in &all {
        let (Some(spec), Some(status)) = (&set.spec, &set.status) else { continue };
        let capture = file.split('.').next().unwrap();
        let update = status["updateRevision"].as_str().unwrap();
        let revision = all
            .iter()
            .find(|(other, stored)| {
                other.starts_with(&format!("{capture}."))
                    && stored.data.is_some()
                    && stored.metadata["name"] == update
            })
            .unwrap_or_else(|| panic!("{file}: no revision {update}"));
        assert_eq!(encode(spec.template.get()).unwrap(), revision.1.data.as_ref().unwrap().get(), "{file}");
        checked += 1;
    }
    assert!(checked >= 8, "only {checked} sets");
}

#[test]
fn a_template_goes_there_and_back() {
    for (file, stored) in captured() {
        let Some(data) = &stored.data else { continue };
        let template = template_of(data.get()).unwrap();
        assert_eq!(encode(template.get()).unwrap(), data.get(), "{file}");
    }
}

#[test]
fn members_unknown_to_kubernetes_1_32_survive() {
    let encoded = encode(r#"{"spec":{"zNew":{"b":1,"a":null},"containers":[{"name":"c","aNew":[1]}]}}"#).unwrap();
    assert!(encoded.contains(r#"{"aNew":[1],"name":"c","resources":{}}"#), "{encoded}");
    assert!(encoded.contains(r#""zNew":{"a":null,"b":1}"#), "{encoded}");
    let template = template_of(&encoded).unwrap();
    assert!(template.get().contains("zNew"));
}

#[test]
fn a_patch_directive_of_an_undo_is_not_part_of_the_template() {
    let with = r#"{"$patch":"replace","spec":{"containers":[]}}"#;
    let without = r#"{"spec":{"containers":[]}}"#;
    assert_eq!(encode(with).unwrap(), encode(without).unwrap());
}

#[test]
fn other_spellings_of_the_same_template_are_equal() {
    let ours = encode(r#"{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"1"}}}]}}"#).unwrap();
    let newer = r#"{"spec":{"template":{"$patch":"replace","metadata":{},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"1000m"}},"command":null}]}}}}"#;
    assert!(semantically_equal(&ours, newer));
    assert!(semantically_equal(newer, &ours));
    let other = newer.replace("1000m", "1001m");
    assert!(!semantically_equal(&ours, &other));
}

#[test]
fn what_kubernetes_cannot_hold_is_refused_with_path_value_and_rule() {
    let error = encode(r#"{"spec":{"containers":[{"name":"c","ports":[{"containerPort":"http"}]}]}}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"template.spec.containers[0].ports[0].containerPort: "http": must be a 32-bit integer"#
    );
}

#[test]
fn a_long_set_name_is_cut_between_characters() {
    let name = "é".repeat(200);
    let revision = revision_name(&name, "abc");
    assert_eq!(revision, format!("{}-abc", "é".repeat(111)));
}
