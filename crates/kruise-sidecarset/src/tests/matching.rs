use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::captured;
use crate::matching::{Matcher, Reach, replaced};
use crate::object::SidecarSet;

type Pairs = BTreeMap<String, String>;

fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn matcher(spec: &Value) -> Matcher {
    Matcher::new(&serde_json::from_str(&spec.to_string()).unwrap()).unwrap()
}

#[test]
fn a_set_reaches_the_namespaces_it_says() {
    let prod = pairs(&[("env", "prod")]);
    let reach = |spec: &Value, labels: Option<&Pairs>| matcher(spec).reach("shop", labels);
    assert_eq!(reach(&json!({}), None), Reach::Inside);
    assert_eq!(reach(&json!({ "namespaceSelector": {} }), None), Reach::Inside);
    let selected = json!({ "namespaceSelector": { "matchLabels": { "env": "prod" } } });
    assert_eq!(reach(&selected, Some(&prod)), Reach::Inside);
    assert_eq!(reach(&selected, Some(&pairs(&[]))), Reach::Outside);
    // W-5: OpenKruise takes a namespace that it does not know for one that does not match.
    assert_eq!(reach(&selected, None), Reach::Unknown);
    // Platform §18.2: a set for one namespace stays one, whatever else it says.
    let mut named = selected.clone();
    named["namespace"] = json!("shop");
    assert_eq!(reach(&named, Some(&pairs(&[]))), Reach::Inside);
    assert_eq!(matcher(&named).reach("other", Some(&prod)), Reach::Outside);
}

/// SEL-3, and the operators.
#[test]
fn an_empty_selector_matches_nothing() {
    let labels = pairs(&[("app", "web")]);
    let selects = |selector: &Value| matcher(&json!({ "selector": selector })).selects(&labels);
    assert!(!matcher(&json!({})).selects(&labels));
    assert!(!selects(&json!({})));
    assert!(selects(&json!({ "matchLabels": { "app": "web" } })));
    assert!(selects(&json!({ "matchExpressions": [{ "key": "x", "operator": "DoesNotExist" }] })));
    assert!(!selects(&json!({ "matchLabels": { "app": "db" } })));
    let wrong = json!({ "selector": { "matchExpressions": [{ "key": "x", "operator": "Like" }] } });
    assert!(Matcher::new(&serde_json::from_str(&wrong.to_string()).unwrap()).is_err());
}

fn set(name: &str, annotations: &Value) -> SidecarSet {
    captured::set(&json!({ "metadata": { "name": name, "annotations": annotations }, "spec": {} }))
}

/// SEL-4: both annotations make a canary.
#[test]
fn a_canary_replaces_its_base() {
    let (canary, base) = ("apps.kruise.io/sidecarset-canary", "apps.kruise.io/sidecarset-base");
    let sets = [
        set("one", &json!({ canary: "true", base: "log" })),
        set("two", &json!({ canary: "false", base: "mesh" })),
        set("three", &json!({ canary: "true" })),
        set("four", &json!({ canary: "true", base: "" })),
        set("log", &json!({})),
    ];
    assert_eq!(replaced(&sets).into_iter().collect::<Vec<_>>(), ["log"]);
}

#[test]
fn a_spec_that_cannot_be_read_is_kept_with_the_reason() {
    let broken =
        captured::set(&json!({ "metadata": { "name": "x" }, "spec": { "containers": 7 } }));
    assert!(broken.content.unwrap_err().contains("invalid type"));
    let odd = json!({ "selector": { "matchExpressions": [{ "key": "x", "operator": "Like" }] } });
    let odd = captured::set(&json!({ "metadata": { "name": "x" }, "spec": odd }));
    assert!(odd.content.unwrap_err().contains("\"Like\" is not In"));
}
