#![expect(clippy::needless_pass_by_value, reason = "literals read better without &")]

use serde_json::{Value, json};

use crate::sidecarset::convert::align;
use crate::sidecarset::v1beta1::{Scope, SidecarSetSpec};

const LABEL: &str = "apps.kruise.io/sidecarset-custom-version";

fn object(version: &str, label: Option<&str>, spec: Value) -> Value {
    let labels = label.map_or(json!({}), |label| json!({ LABEL: label }));
    json!({ "apiVersion": format!("apps.kruise.io/{version}"), "metadata": { "labels": labels }, "spec": spec })
}

fn aligned(mut object: Value, old: Option<&Value>) -> Value {
    align(&mut object, old);
    let once = object.clone();
    align(&mut object, old);
    assert_eq!(object, once, "idempotent");
    object
}

/// CNV-2.1, CNV-2.2 in both versions.
#[test]
fn a_namespace_becomes_a_selector_by_name() {
    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": "shop" } });
    for version in ["v1alpha1", "v1beta1"] {
        let of = |spec| aligned(object(version, None, spec), None)["spec"].clone();
        assert_eq!(of(json!({ "namespace": "shop" })), json!({ "namespaceSelector": selector }));
        let both =
            json!({ "namespace": "shop", "namespaceSelector": { "matchLabels": { "a": "b" } } });
        assert_eq!(of(both), json!({ "namespaceSelector": selector }), "namespace wins");
        let other = json!({ "namespaceSelector": { "matchLabels": { "a": "b" } } });
        assert_eq!(of(other.clone()), other);
        assert_eq!(of(json!({ "namespace": "" })), json!({}));
    }
}

/// Platform §18.2: even if no webhook ever saw it, a set for one namespace is not cluster-wide.
#[test]
fn a_namespace_that_was_stored_counts() {
    let spec: SidecarSetSpec = serde_json::from_str(
        r#"{"namespace":"shop","namespaceSelector":{"matchLabels":{"a":"b"}},"selector":{"matchLabels":{"a":"b"}}}"#,
    )
    .unwrap();
    assert_eq!(spec.scope(), Scope::Namespace("shop"));
    assert_eq!(serde_json::to_value(&spec).unwrap()["namespace"], "shop", "it is written back");
    assert_eq!(SidecarSetSpec::default().scope(), Scope::All);
}

/// (version, stored label and member, sent label and member, resulting label and member)
type Case = (
    &'static str,
    Option<(Option<&'static str>, Option<&'static str>)>,
    (Option<&'static str>, Option<&'static str>),
    (Option<&'static str>, Option<&'static str>),
);

#[test]
fn label_and_member_follow_each_other() {
    let cases: [Case; 10] = [
        // The older version leads by its label.
        ("v1alpha1", None, (Some("v1"), None), (Some("v1"), Some("v1"))),
        (
            "v1alpha1",
            Some((Some("v1"), Some("v1"))),
            (Some("v2"), Some("v1")),
            (Some("v2"), Some("v2")),
        ),
        ("v1alpha1", Some((Some("v1"), Some("v1"))), (None, Some("v1")), (None, None)),
        // A client of the older version that writes back what it read loses nothing.
        ("v1alpha1", Some((None, Some("v1"))), (None, Some("v1")), (None, Some("v1"))),
        ("v1alpha1", None, (None, None), (None, None)),
        // The newer version leads by its member.
        ("v1beta1", None, (None, Some("v1")), (None, Some("v1"))),
        (
            "v1beta1",
            Some((Some("v1"), Some("v1"))),
            (Some("v1"), Some("v2")),
            (Some("v2"), Some("v2")),
        ),
        ("v1beta1", Some((Some("v1"), Some("v1"))), (Some("v1"), None), (None, None)),
        // A label of the user's own stays.
        ("v1beta1", None, (Some("v1"), None), (Some("v1"), None)),
        ("v1beta1", Some((Some("v1"), None)), (Some("v1"), None), (Some("v1"), None)),
    ];
    for (version, stored, sent, expected) in cases {
        let make = |(label, member): (Option<&str>, Option<&str>)| {
            let spec = member.map_or(json!({}), |member| json!({ "customVersion": member }));
            object(version, label, spec)
        };
        let old = stored.map(make);
        let result = aligned(make(sent), old.as_ref());
        let found = (
            result["metadata"]["labels"][LABEL].as_str(),
            result["spec"]["customVersion"].as_str(),
        );
        assert_eq!(found, expected, "{version} {stored:?} {sent:?}");
    }
}

#[test]
fn anything_else_is_left_alone() {
    for strange in [json!(7), json!({ "spec": 7 }), json!({ "spec": { "namespace": 7 } })] {
        assert_eq!(aligned(strange.clone(), None), strange);
    }
}
