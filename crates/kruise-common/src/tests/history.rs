//! The revision codec against vectors made by Go and against what OpenKruise left in a cluster.

use std::path::Path;

use kruise_api::raw::RawJson;
use serde::Deserialize;
use serde_json::Value;

use crate::history::{encode, hash, revision_name, semantically_equal, template_of};

mod properties;

#[derive(Deserialize)]
struct Vector {
    template: String,
    /// Absent where Go refuses the template.
    data: Option<String>,
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
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_str(&text).unwrap())
    };
    files.iter().map(read).collect()
}

/// Whether Go writes the same data again when it reads it: a pointer to the zero time becomes null, and null a nil pointer.
fn is_stable(data: &str) -> bool {
    !data.contains(r#""deletionTimestamp":null"#) && !data.contains(r#""time":null"#)
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../tests/history/vectors.json")).unwrap()
}

#[test]
fn encode_gives_the_bytes_that_go_gives() {
    let mut refused = 0;
    let mut encoded = 0;
    for Vector { template, data } in vectors() {
        match (encode(&template), data) {
            (Ok(ours), Some(data)) => {
                assert_eq!(ours, data, "template {template}");
                encoded += 1;
            }
            (Err(_), None) => refused += 1,
            (Ok(ours), None) => panic!("Go refuses {template}, we make {ours}"),
            (Err(problem), Some(_)) => panic!("Go reads {template}, we say {problem}"),
        }
    }
    assert!(encoded >= 60 && refused >= 25, "{encoded} encoded, {refused} refused");
}

#[test]
fn data_made_by_go_goes_there_and_back() {
    let all = vectors().into_iter().filter_map(|vector| vector.data);
    for data in all.filter(|data| is_stable(data)) {
        let template = template_of(&data).unwrap();
        assert!(!template.get().contains(r#"{"$patch":"replace""#), "{data}");
        assert_eq!(encode(template.get()).unwrap(), data);
    }
}

#[test]
fn hash_is_fnv_1_in_safe_characters() {
    assert_eq!(hash("", None), "65bb57b6b5");
    assert_eq!(hash("a", None), "d8bfb88b");
    assert_eq!(hash("{}", Some(0)), "cccc864bc");
    let data = r#"{"spec":{"template":{"$patch":"replace","metadata":{"annotations":{"test":"value"},"creationTimestamp":null,"labels":{"app":"foo"}},"spec":{"containers":[{"image":"test","imagePullPolicy":"Always","name":"test","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}}}"#;
    assert_eq!(hash(data, Some(0)), "c77f6d978");
    assert_eq!(hash(data, Some(1)), "c77f6d979");
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
        assert_eq!(
            stored.metadata["labels"]["controller.kubernetes.io/hash"],
            hash.as_str(),
            "{file}"
        );
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
        assert_eq!(
            encode(spec.template.get()).unwrap(),
            revision.1.data.as_ref().unwrap().get(),
            "{file}"
        );
        checked += 1;
    }
    assert!(checked >= 8, "only {checked} sets");
}

#[test]
fn a_captured_template_goes_there_and_back() {
    for (file, stored) in captured() {
        let Some(data) = &stored.data else { continue };
        let template = template_of(data.get()).unwrap();
        assert_eq!(encode(template.get()).unwrap(), data.get(), "{file}");
    }
}

#[test]
fn members_unknown_to_kubernetes_1_32_survive() {
    let future = r#"{"spec":{"zNew":{"b":9007199254740993,"a":null},"containers":[{"name":"c","aNew":["<"]}]},"!":0}"#;
    let data = r#"{"spec":{"template":{"!":0,"$patch":"replace","metadata":{"creationTimestamp":null},"spec":{"containers":[{"aNew":["\u003c"],"name":"c","resources":{}}],"zNew":{"a":null,"b":9007199254740993}}}}}"#;
    assert_eq!(encode(future).unwrap(), data);
    let template = template_of(data).unwrap();
    assert_eq!(
        template.get(),
        r#"{"!":0,"metadata":{"creationTimestamp":null},"spec":{"containers":[{"aNew":["\u003c"],"name":"c","resources":{}}],"zNew":{"a":null,"b":9007199254740993}}}"#
    );
    assert_eq!(encode(template.get()).unwrap(), data);
}

#[test]
fn a_member_in_another_case_is_unknown() {
    let encoded = encode(r#"{"Spec":{"Containers":[]}}"#).unwrap();
    assert_eq!(
        encoded,
        r#"{"spec":{"template":{"$patch":"replace","Spec":{"Containers":[]},"metadata":{"creationTimestamp":null},"spec":{"containers":null}}}}"#
    );
}

#[test]
fn a_patch_directive_of_an_undo_is_not_part_of_the_template() {
    let with = r#"{"$patch":"merge","spec":{"containers":[]}}"#;
    let without = r#"{"spec":{"containers":[]}}"#;
    assert_eq!(encode(with).unwrap(), encode(without).unwrap());
}

#[test]
fn other_spellings_of_the_same_template_are_equal() {
    let ours = r#"{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"1","memory":"1Gi"}}}],"hostNetwork":false}}"#;
    let ours = encode(ours).unwrap();
    let as_data = |template: &str| format!(r#"{{"spec":{{"template":{template}}}}}"#);
    let same = [
        r#"{"$patch":"replace","metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"1","memory":"1Gi"}}}]}}"#,
        r#"{"spec":{"containers":[{"resources":{"limits":{"memory":"1073741824","cpu":1}},"name":"c","command":null,"env":[]}],"volumes":[]},"metadata":{"labels":{"a":"b"},"annotations":{}}}"#,
        r#"{"metadata":{"labels":{"a":"b"},"creationTimestamp":null},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"1.000","memory":"1024Mi"}},"zNew":null}]}}"#,
    ];
    for template in same {
        assert!(semantically_equal(&ours, &as_data(template)), "{template}");
        assert!(semantically_equal(&as_data(template), &ours), "{template}");
    }
    let first = same[0];
    let others = [
        first.replace("\"1\"", "\"1001m\""),
        first.replace("\"a\":", "\"A\":"),
        first.replace("\"name\":\"c\"", "\"name\":\"c\",\"zNew\":false"),
        first.replace("\"name\":\"c\"", "\"name\":\"c\",\"securityContext\":{}"),
        first.replace("]}}", "],\"enableServiceLinks\":false}}"),
    ];
    for template in others {
        assert_ne!(template, first);
        assert!(!semantically_equal(&ours, &as_data(&template)), "{template}");
    }
}

#[test]
fn data_without_a_template_equals_only_the_same_json() {
    let template = r#"{"spec":{"template":{}}}"#;
    for broken in [
        "",
        "{}",
        r#"{"spec":{}}"#,
        r#"{"spec":{"template":[]}}"#,
        r#"{"spec":{"template":{"spec":1}}}"#,
    ] {
        assert!(semantically_equal(broken, broken));
        assert!(!semantically_equal(broken, template), "{broken}");
        assert!(!semantically_equal(template, broken), "{broken}");
    }
    assert!(semantically_equal(
        r#"{"spec":{"containers":[], "b":1}}"#,
        r#"{"spec":{"b":1,"containers":[]}}"#
    ));
}

#[test]
fn a_template_too_deep_is_an_error_and_a_deep_one_is_not() {
    let nested = |depth: usize| format!(r#"{{"zNew":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(encode(&nested(100)).unwrap().contains("[[[["));
    assert!(encode(&nested(100_000)).is_err());
}

#[test]
fn what_kubernetes_cannot_hold_is_refused_with_path_value_and_rule() {
    let error =
        encode(r#"{"spec":{"containers":[{"name":"c","ports":[{"containerPort":"http"}]}]}}"#)
            .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"template.spec.containers[0].ports[0].containerPort: "http": must be a 32-bit integer"#
    );
    let error = encode(r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":"a lot"}}}]}}"#)
        .unwrap_err();
    assert_eq!(error.path, "template.spec.containers[0].resources.limits[cpu]");
    assert_eq!(error.problem, r#""a lot" is not a quantity such as 500m, 1.5 or 2Gi"#);
}

#[test]
fn a_long_set_name_is_cut_between_characters() {
    let name = "é".repeat(200);
    let revision = revision_name(&name, "abc");
    assert_eq!(revision, format!("{}-abc", "é".repeat(111)));
}
