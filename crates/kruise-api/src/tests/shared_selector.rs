//! Selectors: matching and printing.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use crate::shared::selector::{InvalidSelector, Selector};

fn selector(selector: Value) -> Result<Selector, InvalidSelector> {
    let selector: LabelSelector = serde_json::from_value(selector).unwrap();
    Selector::new(&selector)
}

fn expression(operator: &str, values: &[&str]) -> Result<Selector, InvalidSelector> {
    selector(json!({"matchExpressions": [{"key": "k", "operator": operator, "values": values}]}))
}

fn matches(selector: &Selector, labels: &[(&str, &str)]) -> bool {
    let map: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    selector.matches(&map)
}

#[test]
fn operators_mean_what_they_mean_in_kubernetes() {
    // Per operator: with the value a, with the value c, without the label.
    for (operator, values, wanted) in [
        ("In", &["b", "a"][..], [true, false, false]),
        ("NotIn", &["b", "a"], [false, true, true]),
        ("Exists", &[], [true, true, false]),
        ("DoesNotExist", &[], [false, false, true]),
    ] {
        let selector = expression(operator, values).unwrap();
        let found = [
            matches(&selector, &[("k", "a"), ("x", "c")]),
            matches(&selector, &[("k", "c"), ("x", "a")]),
            matches(&selector, &[("kk", "a")]),
        ];
        assert_eq!(found, wanted, "{operator}");
    }
}

#[test]
fn all_requirements_must_hold() {
    let selector = selector(json!({
        "matchLabels": {"app": "web", "empty": ""},
        "matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}, {"key": "z", "operator": "DoesNotExist"}],
    }))
    .unwrap();
    assert!(matches(&selector, &[("app", "web"), ("empty", ""), ("more", "x")]));
    assert!(!matches(&selector, &[("app", "web")]), "an empty value is not an absent label");
    assert!(!matches(&selector, &[("app", "web"), ("empty", ""), ("z", "")]));
    assert_eq!(selector.to_string(), "app=web,app notin (db),empty=,!z");
}

#[test]
fn it_prints_as_in_the_scale_subresource() {
    let printed =
        |operator: &str, values: &[&str]| expression(operator, values).unwrap().to_string();
    assert_eq!(printed("In", &["b", "a"]), "k in (a,b)");
    assert_eq!(printed("NotIn", &["a"]), "k notin (a)");
    assert_eq!((printed("Exists", &[]), printed("DoesNotExist", &[])), ("k".into(), "!k".into()));
    let labels = selector(json!({"matchLabels": {"b": "2", "a": "1"}})).unwrap();
    assert_eq!(labels.to_string(), "a=1,b=2");
}

#[test]
fn a_selector_that_would_match_everything_is_an_error() {
    for empty in [json!({}), json!({"matchLabels": {}, "matchExpressions": []})] {
        assert_eq!(selector(empty), Err(InvalidSelector::Empty));
    }
}

#[test]
fn malformed_expressions_are_errors_with_their_place() {
    for (operator, values, problem) in [
        ("In", &[][..], "values: must not be empty"),
        ("NotIn", &[], "values: must not be empty"),
        ("Exists", &["a"], "values: must be empty"),
        ("DoesNotExist", &["a"], "values: must be empty"),
        ("Gt", &["1"], r#"operator: "Gt" is not In, NotIn, Exists or DoesNotExist"#),
        ("", &[], r#"operator: "" is not In, NotIn, Exists or DoesNotExist"#),
    ] {
        let error = expression(operator, values).unwrap_err();
        assert_eq!(error.to_string(), format!("matchExpressions[0]: {problem}"));
    }
}

#[test]
fn it_says_without_what_nothing_matches() {
    let selector = selector(json!({
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["b", "a"]}, {"key": "on", "operator": "Exists"},
            {"key": "off", "operator": "DoesNotExist"}, {"key": "zone", "operator": "NotIn", "values": ["x"]},
        ],
    }))
    .unwrap();
    let required: Vec<(&str, Option<Vec<&str>>)> = selector
        .required()
        .map(|(key, any)| (key, any.map(|any| any.iter().map(String::as_str).collect())))
        .collect();
    assert_eq!(
        required,
        [("app", Some(vec!["web"])), ("on", None), ("tier", Some(vec!["a", "b"]))]
    );
}
