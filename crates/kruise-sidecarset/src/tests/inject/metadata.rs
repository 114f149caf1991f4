use serde_json::{Value, json};

use super::{injected, pod, refused, set};

fn patch(name: &str, policy: &str, value: &str) -> std::sync::Arc<crate::object::SidecarSet> {
    set(
        name,
        &json!({ "patchPodMetadata": [{ "annotations": { "k": value }, "patchPolicy": policy }] }),
    )
}

fn annotated(value: Option<&str>) -> Value {
    pod(&json!({ "metadata": { "annotations": { "k": value } } }))
}

/// INJ-1…INJ-3, CNF-8.
#[test]
fn annotations_are_patched_by_policy() {
    let result = |before: Option<&str>, policy: &str, value: &str| {
        injected(&annotated(before), &[patch("a", policy, value)])["metadata"]["annotations"]["k"]
            .as_str()
            .map(str::to_owned)
    };
    for (before, policy, value, after) in [
        (None, "Retain", "new", Some("new")),
        (Some("old"), "Retain", "new", Some("old")),
        (Some("old"), "", "new", Some("old")),
        (Some("old"), "Overwrite", "new", Some("new")),
        (
            Some(r#"{"b":1,"a":{"x":1}}"#),
            "MergePatchJson",
            r#"{"c":"<&>","a":{"x":null}}"#,
            Some(r#"{"a":{},"b":1,"c":"\u003c\u0026\u003e"}"#),
        ),
        (None, "MergePatchJson", r#"{ "a" : null }"#, Some(r#"{ "a" : null }"#)),
        (Some(""), "MergePatchJson", "x", Some("x")),
        (Some("[1]"), "MergePatchJson", r#"{"a":1,"b":null}"#, Some(r#"{"a":1}"#)),
        (Some("old"), "Unheard", "new", Some("old")),
        (None, "Unheard", "new", None),
    ] {
        assert_eq!(result(before, policy, value).as_deref(), after, "{before:?} {policy} {value}");
    }
    let of =
        |before, value| refused(&annotated(Some(before)), &[patch("a", "MergePatchJson", value)]);
    assert_eq!(of("{", "{}"), "sidecarset a: Invalid JSON Document");
    assert_eq!(of("{}", "{"), "sidecarset a: Invalid JSON Patch");
}

/// INJ-2: what the patch does not enter stays as it was written, blanks aside.
#[test]
fn a_merge_leaves_what_it_does_not_enter() {
    let result = |before: &str, patch_with: &str| {
        let set = [patch("a", "MergePatchJson", patch_with)];
        let after = injected(&annotated(Some(before)), &set);
        after["metadata"]["annotations"]["k"].as_str().unwrap().to_owned()
    };
    for (before, patch, after) in [
        (
            r#"{"tenant": 1234567890123456789, "big": 123456789012345678901234567890, "f": 1.0, "g": 0.10, "e": 1E400}"#,
            r#"{"agent":1}"#,
            r#"{"agent":1,"big":123456789012345678901234567890,"e":1E400,"f":1.0,"g":0.10,"tenant":1234567890123456789}"#,
        ),
        (
            r#"{"z":{"b":1, "a":[ 1.50, {"d":null,"c":"x \" <\/é"} ]},"y":{"b":1.0,"a":2}}"#,
            r#"{"y":{"c":18446744073709551616.0}}"#,
            r#"{"y":{"a":2,"b":1.0,"c":18446744073709551616.0},"z":{"b":1,"a":[1.50,{"d":null,"c":"x \" \u003c\/é"}]}}"#,
        ),
        (
            r#"{"a":1}"#,
            r#"{"b":[{"y":1.0,"x":null},null,2.0]}"#,
            r#"{"a":1,"b":[{"y":1.0},null,2.0]}"#,
        ),
        (r#"{"a":{"b":1}}"#, r#"{"a":[{"y":1,"x":null}]}"#, r#"{"a":[{"y":1}]}"#),
        (r#"{"a":null,"b":null}"#, r#"{"a":{"c":null}}"#, r#"{"a":{},"b":null}"#),
    ] {
        assert_eq!(result(before, patch), after, "{before} {patch}");
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    assert_eq!(
        result(&deep, r#"{"b":1}"#),
        format!(r#"{},"b":1}}"#, deep.strip_suffix('}').unwrap())
    );
    let too_deep = refused(&annotated(Some("{}")), &[patch("a", "MergePatchJson", &deep)]);
    assert_eq!(too_deep, "sidecarset a: Invalid JSON Patch");
}

/// INJ-70: what the first set takes away is gone when the second one adds to it, at the first look as at the second.
#[test]
fn two_sets_merge_into_one_annotation() {
    let result = |before: Option<&str>, [a, b]: [&str; 2]| {
        let sets = [patch("a", "MergePatchJson", a), patch("b", "MergePatchJson", b)];
        let after = injected(&annotated(before), &sets);
        after["metadata"]["annotations"]["k"].as_str().unwrap().to_owned()
    };
    let (nothing, one) = (r#"{"a":null}"#, r#"{"b":1}"#);
    assert_eq!(result(None, [nothing, one]), one);
    assert_eq!(result(Some(nothing), [nothing, one]), one);
    assert_eq!(result(None, [one, nothing]), one);
    assert_eq!(result(None, [r#"{"a":{"c":null}}"#, one]), r#"{"a":{},"b":1}"#);
    assert_eq!(result(None, [nothing, nothing]), nothing, "alone it stays as it is written");
    assert_eq!(result(Some(r#"{"z":null}"#), [nothing, one]), r#"{"b":1,"z":null}"#);
}

/// SEL-6: with two sets the first by name is the first to patch.
#[test]
fn sets_patch_in_the_order_of_their_names() {
    let after = injected(&annotated(None), &[patch("b", "Retain", "2"), patch("a", "Retain", "1")]);
    assert_eq!(after["metadata"]["annotations"]["k"], "1");
}

/// INJ-50, INJ-60…INJ-64.
#[test]
fn injections_are_recorded() {
    let one = set("m", &json!({ "containers": [{ "name": "s", "image": "i" }] }));
    let old = r#"{"z":{"updateTimestamp":null,"hash":"h","sidecarSetName":"z","sidecarList":null},"legacy":"x"}"#;
    let before = pod(&json!({ "metadata": { "annotations": {
        "kruise.io/sidecarset-hash": old, "kruise.io/sidecarset-injected-list": "z",
        "kruise.io/sidecarset-inplace-update-state": "{\"m\":{}}",
    } } }));
    let after = injected(&before, &[one.clone(), set("empty", &json!({}))]);
    let annotations = after["metadata"]["annotations"].as_object().unwrap();
    assert_eq!(annotations["kruise.io/sidecarset-injected-list"], "empty,m,z");
    let content = one.content.as_ref().unwrap();
    let data = crate::revision::data(&content.spec).unwrap();
    let revision = crate::revision::name("m", &data, 0);
    let record = |hash: &str, more: &str| {
        format!(
            r#"{{"updateTimestamp":"2026-11-23T00:04:32Z","hash":"{hash}","sidecarSetName":"m","sidecarList":["s"]{more}}}"#
        )
    };
    let full = record(&content.computed.full, &format!(r#","controllerRevision":"{revision}""#));
    let legacy = r#""legacy":{"updateTimestamp":null,"hash":"x","sidecarSetName":"legacy","sidecarList":null}"#;
    let z = r#""z":{"updateTimestamp":null,"hash":"h","sidecarSetName":"z","sidecarList":null}"#;
    assert_eq!(annotations["kruise.io/sidecarset-hash"], format!(r#"{{{legacy},"m":{full},{z}}}"#));
    let blank = record(&content.computed.without_image, "");
    assert_eq!(
        annotations["kruise.io/sidecarset-hash-without-image"],
        format!(r#"{{"m":{blank}}}"#)
    );
    // W-18
    assert!(!annotations.contains_key("kruise.io/sidecarset-inplace-update-state"));
    let broken =
        pod(&json!({ "metadata": { "annotations": { "kruise.io/sidecarset-hash": "{" } } }));
    let text = refused(&broken, &[one]);
    assert!(
        text.starts_with("pod(cap/web-0) invalid annotations[kruise.io/sidecarset-hash] value {, unmarshal failed: "),
        "{text}"
    );
}
