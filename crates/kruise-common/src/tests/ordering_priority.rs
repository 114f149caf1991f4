//! Priorities of pods (PO-4…PO-6).

use std::collections::BTreeMap;

use kruise_api::statefulset::v1beta1::PriorityStrategy;
use serde_json::json;

use crate::intern::Interner;
use crate::meta::Pairs;
use crate::ordering::priority::sort;

/// The items `name:labels` in the order of `strategy`.
fn sorted(
    strategy: serde_json::Value,
    items: &[(&'static str, &[(&str, &str)])],
) -> Vec<&'static str> {
    let strategy: PriorityStrategy = serde_json::from_value(strategy).unwrap();
    let interner = Interner::default();
    let pairs = |labels: &[(&str, &str)]| {
        let map: BTreeMap<_, _> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Pairs::interned(&map, &interner)
    };
    let mut items: Vec<_> = items.iter().map(|(name, labels)| (*name, pairs(labels))).collect();
    sort(&mut items, &strategy, |(_, labels)| labels);
    items.into_iter().map(|(name, _)| name).collect()
}

fn weight(weight: i32, key: &str, value: &str) -> serde_json::Value {
    json!({"weight": weight, "matchSelector": {"matchLabels": {key: value}}})
}

#[test]
fn weights_add_up_and_ties_keep_their_order() {
    let strategy = json!({"weightPriority": [weight(10, "a", "1"), weight(20, "b", "1"), weight(15, "c", "1")]});
    let items: &[(_, &[_])] = &[
        ("none", &[]),
        ("a", &[("a", "1")]),
        ("ac", &[("a", "1"), ("c", "1")]),
        ("other", &[("a", "2")]),
        ("b", &[("b", "1")]),
    ];
    assert_eq!(sorted(strategy, items), ["ac", "b", "a", "none", "other"]);
}

#[test]
fn a_term_that_cannot_be_read_is_skipped() {
    let strategy = json!({"weightPriority": [
        {"weight": 99, "matchSelector": {}},
        {"weight": 98, "matchSelector": {"matchExpressions": [{"key": "a", "operator": "Near", "values": ["1"]}]}},
        weight(1, "b", "1"),
    ]});
    assert_eq!(sorted(strategy, &[("a", &[("a", "1")]), ("b", &[("b", "1")])]), ["b", "a"]);
}

#[test]
fn weights_do_not_overflow() {
    let terms: Vec<_> = (0..5).map(|_| weight(i32::MAX, "a", "1")).collect();
    assert_eq!(
        sorted(json!({"weightPriority": terms}), &[("b", &[]), ("a", &[("a", "1")])]),
        ["a", "b"]
    );
}

#[test]
fn numbers_of_a_label_order_from_the_highest_and_pods_without_go_first() {
    let strategy = json!({"orderPriority": [{"orderedKey": "x"}, {"orderedKey": "y"}]});
    let items: &[(_, &[_])] = &[
        ("y9", &[("y", "9")]),
        ("x2", &[("x", "2")]),
        ("x10", &[("x", "step-10")]),
        ("xy", &[("x", "v3"), ("y", "99")]),
        ("none", &[]),
    ];
    assert_eq!(sorted(strategy, items), ["none", "x10", "xy", "x2", "y9"]);
}

/// what is no number counts as 0.
#[test]
fn only_the_digits_at_the_end_count() {
    let strategy = json!({"orderPriority": [{"orderedKey": "x"}]});
    let items: &[(_, &[_])] = &[
        ("0", &[("x", "")]),
        ("text", &[("x", "7b")]),
        ("huge", &[("x", "99999999999999999999")]),
        ("1", &[("x", "é1")]),
        ("5", &[("x", "1-05")]),
    ];
    assert_eq!(sorted(strategy, items), ["5", "1", "0", "text", "huge"]);
}

#[test]
fn weights_win_over_orders_and_nothing_changes_nothing() {
    let both =
        json!({"weightPriority": [weight(1, "a", "1")], "orderPriority": [{"orderedKey": "x"}]});
    let items: &[(_, &[_])] = &[("x", &[("x", "9")]), ("a", &[("a", "1")])];
    assert_eq!(sorted(both, items), ["a", "x"]);
    assert_eq!(sorted(json!({}), items), ["x", "a"]);
}
