//! Annotations that a set gives to running pods (INJ-1, INJ-2, INP-7).

use std::collections::BTreeMap;

use kruise_api::sidecarset::v1beta1::PatchPodMetadata;
use serde_json::json;

use crate::metadata::patched;

fn changed(present: &[(&str, &str)], policy: &str, given: &str) -> Option<String> {
    let present: BTreeMap<String, String> =
        present.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let patch: PatchPodMetadata =
        serde_json::from_value(json!({ "patchPolicy": policy, "annotations": { "k": given } }))
            .unwrap();
    patched(&present, &[patch]).remove("k")
}

#[test]
fn policies_decide_who_wins() {
    for (present, policy, given, wanted) in [
        (None, "Retain", "new", Some("new")),
        (Some("old"), "Retain", "new", None),
        (Some("old"), "", "new", None),
        (Some("old"), "Overwrite", "new", Some("new")),
        (Some("new"), "Overwrite", "new", None),
        (None, "MergePatchJson", r#"{"a": 1}"#, Some(r#"{"a": 1}"#)),
        (Some(""), "MergePatchJson", r#"{"a": 1}"#, Some(r#"{"a": 1}"#)),
        (
            Some(r#"{"b":2,"a":0}"#),
            "MergePatchJson",
            r#"{"a": "<", "b": null}"#,
            Some(r#"{"a":"\u003c"}"#),
        ),
        (Some("5"), "MergePatchJson", r#"{"a": 1}"#, Some(r#"{"a":1}"#)),
        (Some("no json"), "MergePatchJson", r#"{"a": 1}"#, None),
        (Some("{}"), "MergePatchJson", "no json", None),
        (None, "Unknown", "new", None),
    ] {
        let present: Vec<(&str, &str)> = present.into_iter().map(|value| ("k", value)).collect();
        assert_eq!(
            changed(&present, policy, given).as_deref(),
            wanted,
            "{present:?} {policy} {given}"
        );
    }
}
