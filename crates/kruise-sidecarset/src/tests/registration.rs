use std::sync::Arc;

use serde_json::{Value, json};

use super::captured;
use crate::object::SidecarSet;
use crate::registration::{Unasked, pod_hook};

fn set(name: &str, spec: &Value) -> Arc<SidecarSet> {
    Arc::new(captured::set(&json!({ "metadata": { "name": name }, "spec": spec })))
}

fn own() -> Unasked {
    Unasked { own: "own".to_owned(), ..Unasked::default() }
}

/// Object selector, namespace selector without what is always there, and condition.
fn narrowed(specs: &[Value]) -> Option<(Option<Value>, Vec<Value>, Option<String>)> {
    let sets: Vec<_> =
        specs.iter().enumerate().map(|(n, spec)| set(&format!("s{n}"), spec)).collect();
    let hook = pod_hook(&sets, &[], &own(), true)?;
    let namespaces =
        hook.namespace_selector.unwrap()["matchExpressions"].as_array().unwrap().clone();
    let always = [
        json!({ "key": "control-plane", "operator": "NotIn", "values": ["openkruise"] }),
        json!({ "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "own"] }),
    ];
    assert_eq!(namespaces[..2], always);
    let mirror = r#"!(has(object.metadata.annotations) && "kubernetes.io/config.mirror" in object.metadata.annotations)"#;
    // Selectors that say everything come alone.
    let first = hook.conditions.first().map(|(name, text)| (name.as_str(), text.as_str()));
    assert!(first.is_none_or(|first| first == ("no-mirror-pod", mirror)), "{first:?}");
    let condition = hook.conditions.get(1).map(|(_, text)| text.clone());
    assert!(condition.is_none() || first.is_some());
    Some((hook.object_selector, namespaces[2..].to_vec(), condition))
}

fn labels(key: &str, value: &str) -> Value {
    json!({ "selector": { "matchLabels": { key: value } } })
}

#[test]
fn without_sets_nobody_is_asked() {
    assert_eq!(narrowed(&[]), None);
    let mut paused = labels("a", "1");
    paused["injectionStrategy"] = json!({ "paused": true });
    assert_eq!(narrowed(&[paused, json!({}), json!({ "containers": 7 })]), None);
    assert!(pod_hook(&[], &[], &own(), false).is_some(), "unless it is wanted");
    let nobody = Unasked { all: true, ..own() };
    assert!(pod_hook(&[], &[], &nobody, false).is_none(), "the gate is off");
}

/// WHK-8, P5: the pods of the controller are behind its Service, whose namespace need not be that of the Lease.
#[test]
fn the_namespaces_of_the_lease_and_of_the_service_are_left_out() {
    let unasked = Unasked { service: "web".to_owned(), ..own() };
    assert!(unasked.named("web") && unasked.named("own") && unasked.named("kube-system"));
    assert!(!unasked.named("shop") && !own().named("web") && !own().named(""));
    let hook = pod_hook(&[], &[], &unasked, false).unwrap();
    let names = &hook.namespace_selector.unwrap()["matchExpressions"][1]["values"];
    assert_eq!(names, &json!(["kube-system", "own", "web"]));
}

#[test]
fn what_all_sets_demand_is_in_the_selectors() {
    let (object, namespaces, _) = narrowed(&[labels("app", "a"), labels("app", "b")]).unwrap();
    let union =
        json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["a", "b"] }] });
    assert_eq!((object, namespaces), (Some(union), Vec::new()));
    let exists =
        json!({ "selector": { "matchExpressions": [{ "key": "app", "operator": "Exists" }] } });
    let (object, ..) = narrowed(&[labels("app", "a"), exists]).unwrap();
    assert_eq!(
        object,
        Some(json!({ "matchExpressions": [{ "key": "app", "operator": "Exists" }] }))
    );
    let (object, ..) = narrowed(&[labels("app", "a"), labels("other", "a")]).unwrap();
    assert_eq!(object, None);
    let mut one = labels("app", "a");
    one["namespace"] = json!("shop");
    let mut two = labels("app", "a");
    two["namespaceSelector"] = json!({ "matchLabels": { "kubernetes.io/metadata.name": "prod" } });
    let (_, namespaces, _) = narrowed(&[one.clone(), two]).unwrap();
    let union = json!({ "key": "kubernetes.io/metadata.name", "operator": "In", "values": ["prod", "shop"] });
    assert_eq!(namespaces, [union]);
    let (_, namespaces, _) = narrowed(&[one, labels("app", "a")]).unwrap();
    assert_eq!(namespaces, [] as [Value; 0], "one set is about all namespaces");
}

#[test]
fn the_rest_is_a_condition() {
    // Beside a set of another kind, for what selectors say by themselves is not said again.
    let of = |spec: Value| {
        let both = narrowed(&[spec, labels("z", "9")]).unwrap().2.unwrap();
        let other = |text: &&str| text.contains(r#"["z"]"#);
        both.split(" || ").find(|text| !other(text)).unwrap().to_owned()
    };
    let there = r#"has(object.metadata.labels) && "a" in object.metadata.labels"#;
    let value = r#"object.metadata.labels["a"] in ["1"]"#;
    assert_eq!(of(labels("a", "1")), format!("(({there} && {value}))"));
    let expression = |operator: &str, values: Value| {
        of(
            json!({ "selector": { "matchExpressions": [{ "key": "a", "operator": operator, "values": values }] } }),
        )
    };
    assert_eq!(expression("NotIn", json!(["1"])), format!("(!({there} && {value}))"));
    assert_eq!(expression("Exists", Value::Null), format!("(({there}))"));
    assert_eq!(expression("DoesNotExist", Value::Null), format!("(!({there}))"));
    let mut named = labels("a", "1");
    named["namespace"] = json!("shop");
    assert_eq!(of(named), format!(r#"(request.namespace in ["shop"] && ({there} && {value}))"#));
    let two = narrowed(&[labels("b", "1"), labels("a", "1"), labels("a", "1")]).unwrap().2.unwrap();
    assert_eq!(two.matches(" || ").count(), 1, "each alternative once: {two}");
    let twice = json!({ "selector": {
        "matchLabels": { "a": "1" },
        "matchExpressions": [{ "key": "a", "operator": "In", "values": ["1", "2"] }],
    } });
    assert_eq!(of(twice), format!("(({there} && {value}))"), "both hold");
}

/// A condition costs the API server more than all selectors.
#[test]
fn what_selectors_say_is_no_condition() {
    let hook = |specs: &[Value], unasked: &Unasked| {
        let sets: Vec<_> = specs.iter().map(|spec| set("s", spec)).collect();
        let hook = pod_hook(&sets, &[], unasked, true).unwrap();
        hook.conditions.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let of = |specs: &[Value]| hook(specs, &own());
    let (none, both) = ([] as [&str; 0], ["no-mirror-pod", "some-set-matches"]);
    assert_eq!(of(&[labels("app", "a")]), none);
    assert_eq!(of(&[labels("app", "a"), labels("app", "b")]), none);
    let mut shop = labels("app", "a");
    shop["namespace"] = json!("shop");
    assert_eq!(of(&[shop.clone()]), none);
    let mut prod = labels("app", "b");
    prod["namespace"] = json!("prod");
    assert_eq!(of(&[shop.clone(), prod]), both, "not every pair of them");
    assert_eq!(of(&[shop, labels("app", "a")]), both, "of one the namespace counts");
    assert_eq!(of(&[labels("app", "a"), labels("tier", "web")]), both);
    for operator in ["NotIn", "DoesNotExist"] {
        let values = (operator == "NotIn").then_some(["x"]);
        let without = json!({ "selector": { "matchExpressions": [{ "key": "app", "operator": operator, "values": values }] } });
        assert_eq!(of(&[without]), both, "{operator}");
    }
    let opt_out = Unasked { opt_out: true, ..own() };
    assert_eq!(hook(&[labels("app", "a")], &opt_out), ["no-mirror-pod", "no-opt-out"]);
}

#[test]
fn very_many_sets_are_narrowed_by_selectors_only() {
    let many: Vec<Value> = (0..2000).map(|n| labels("app", &format!("a{n}"))).collect();
    let (object, _, condition) = narrowed(&many).unwrap();
    assert_eq!(object.unwrap()["matchExpressions"][0]["values"].as_array().unwrap().len(), 2000);
    assert_eq!(condition, None, "too long");
    let each = |n: usize| labels(&format!("key-{n}"), "x");
    let unlike: Vec<Value> = (0..65).map(each).collect();
    assert_eq!(narrowed(&unlike).unwrap().2, None, "too many");
    assert!(narrowed(&unlike[..64]).unwrap().2.is_some());
}

/// Without a label that all demand only the condition keeps other pods away: sets alike are one alternative of it.
#[test]
fn sets_that_differ_in_one_value_are_one_alternative() {
    let mut sets: Vec<Value> = (0..100).map(|n| labels("app", &format!("a{n:02}"))).collect();
    sets.extend((0..100).map(|n| {
        let mut set = labels("tier", "front");
        set["namespace"] = json!(format!("n{n:02}"));
        set
    }));
    let (object, namespaces, condition) = narrowed(&sets).unwrap();
    assert_eq!((object, namespaces), (None, Vec::new()));
    let condition = condition.unwrap();
    assert_eq!(condition.matches(" || ").count(), 1, "{condition}");
    assert!(condition.contains(r#"object.metadata.labels["app"] in ["a00", "a01", "#));
    assert!(condition.contains(r#"request.namespace in ["n00", "n01", "#));
}

/// The API server refuses a configuration with a value that no label has: nobody's pods would be asked about.
#[test]
fn a_selector_that_cannot_be_registered_stops_nobody_else() {
    let values = |key: &str, value: &str| json!({ "selector": { "matchExpressions": [{ "key": key, "operator": "NotIn", "values": [value] }] } });
    let mut namespace = labels("a", "1");
    namespace["namespace"] = json!("no name");
    let mut namespaces = labels("a", "1");
    namespaces["namespaceSelector"] = json!({ "matchLabels": { "x y": "z" } });
    for bad in [
        labels("app", "a b"),
        labels("a b", "x"),
        labels("app", &"x".repeat(64)),
        values("x", "a b"),
        values("-x", "a"),
        namespace,
        namespaces,
    ] {
        assert_eq!(narrowed(std::slice::from_ref(&bad)), None, "{bad}");
        let good = labels("app", "good");
        let both = narrowed(&[bad.clone(), good.clone()]);
        assert_eq!(both, narrowed(&[good]), "{bad}");
        let content = set("s", &bad).content.clone();
        assert!(content.is_err_and(|why| why.contains("Invalid value")), "the set tells: {bad}");
    }
}

/// Whatever a set matches passes the selectors: what is common to all is demanded by each.
#[test]
fn nobody_who_matches_is_left_out() {
    use kruise_api::shared::selector::Selector;
    use proptest::prelude::*;
    let requirement =
        ("[abc]", prop::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]), "[12]{1,2}");
    let selector = prop::collection::vec(requirement, 1..4).prop_map(|requirements| {
        let expressions: Vec<Value> = requirements
            .into_iter()
            .map(|(key, operator, values)| {
                let values: Vec<String> = values.chars().map(String::from).collect();
                let values = if operator.ends_with("In") { json!(values) } else { Value::Null };
                json!({ "key": key, "operator": operator, "values": values })
            })
            .collect();
        json!({ "matchExpressions": expressions })
    });
    let labels = prop::collection::btree_map("[abc]", "[123]", 0..4);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let cases = (prop::collection::vec(selector, 1..4), labels);
    runner
        .run(&cases, |(selectors, labels)| {
            let specs: Vec<Value> =
                selectors.iter().map(|selector| json!({ "selector": selector })).collect();
            let Some((object, _, condition)) = narrowed(&specs) else { return Ok(()) };
            let sets: Vec<_> = specs.iter().map(|spec| set("s", spec)).collect();
            let matched =
                sets.iter().any(|set| set.content.as_ref().unwrap().matcher.selects(&labels));
            if let Some(object) = object {
                let selector = Selector::new(&serde_json::from_value(object).unwrap()).unwrap();
                let asked = selector.matches(&labels);
                prop_assert!(asked || !matched);
                prop_assert!(matched || !asked || condition.is_some(), "nobody can match");
            }
            Ok(())
        })
        .unwrap();
}
