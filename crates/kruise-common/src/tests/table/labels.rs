//! Rows by labels: whatever comes and goes, exactly those are candidates that could match.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kruise_api::shared::selector::Selector;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::intern::Interner;
use crate::table::Demands;

type Labels = BTreeMap<String, String>;

fn labelled(name: &str, version: u64, labels: &Labels) -> Meta {
    let meta = ObjectMeta {
        namespace: Some("ns".into()),
        name: Some(name.into()),
        uid: Some(name.into()),
        resource_version: Some(version.to_string()),
        labels: Some(labels.clone()),
        ..ObjectMeta::default()
    };
    Meta::new(&meta, &Interner::default())
}

/// A row that selects others.
#[derive(Debug)]
struct Selecting(Meta, Selector, Demands);

impl Record for Selecting {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn demands(&self) -> Option<&Demands> {
        Some(&self.2)
    }
}

fn selecting(name: &str, version: u64, selector: &Selector) -> Selecting {
    Selecting(meta(name, name, version, ""), selector.clone(), Demands::of(selector))
}

fn names<R: Record>(rows: &[Arc<R>]) -> Vec<String> {
    rows.iter().map(|row| row.meta().key.name.to_string()).collect()
}

fn labels() -> impl Strategy<Value = Labels> {
    prop::collection::btree_map("[abc]", "[xyz]", 0..4)
}

fn selector() -> impl Strategy<Value = Selector> {
    let values = prop::collection::vec("[xyz]", 1..3);
    let expression =
        ("[abc]", prop::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]), values)
            .prop_map(|(key, operator, values)| {
                let values = if operator.ends_with("In") { values } else { Vec::new() };
                json!({ "key": key, "operator": operator, "values": values })
            });
    (prop::collection::btree_map("[abc]", "[xyz]", 0..2), prop::collection::vec(expression, 0..3))
        .prop_filter_map("an empty selector is none", |(labels, expressions)| {
            let selector = json!({ "matchLabels": labels, "matchExpressions": expressions });
            Selector::new(&serde_json::from_value::<LabelSelector>(selector).unwrap()).ok()
        })
}

/// An object `0`…`7` with other labels than before, or gone.
fn changes<T: std::fmt::Debug + Clone>(
    of: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<(u8, Option<T>)>> {
    prop::collection::vec((0..8_u8, prop::option::weighted(0.8, of)), 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn selectors_are_found_by_what_they_demand(changes in changes(selector()), labels in labels()) {
        let table = Table::default();
        for (version, (name, selector)) in (1_u64..).zip(changes) {
            let name = name.to_string();
            match selector {
                Some(selector) => _ = table.apply(selecting(&name, version, &selector)),
                None => _ = table.remove(&meta(&name, &name, version, "")),
            }
            let pairs = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let mut found = table.selecting(pairs);
            prop_assert!(found.is_sorted_by(|a, b| a.0.key < b.0.key), "in order, each once");
            found.retain(|row| row.1.matches(&labels));
            prop_assert_eq!(names(&found), names(&table.filter(|row: &Selecting| row.1.matches(&labels))));
        }
    }

    #[test]
    fn objects_are_found_by_what_they_bear(changes in changes(labels()), selector in selector(), first in 0..24_u64) {
        let table = Table::default();
        let demands = Demands::of(&selector);
        for (version, (name, labels)) in (1_u64..).zip(changes) {
            let name = name.to_string();
            match labels {
                Some(labels) => _ = table.apply(Row(labelled(&name, version, &labels))),
                None => _ = table.remove(&meta(&name, &name, version, "")),
            }
            // The index begins in the middle of it.
            if version >= first {
                let wanted = |row: &Row| selector.matches(&row.0.labels);
                prop_assert_eq!(names(&table.bearing(&demands, wanted)), names(&table.filter(wanted)));
            }
        }
    }
}

#[test]
fn a_label_that_all_demand_does_not_make_each_a_candidate() {
    let table = Table::default();
    let of = |name: &str| json!({ "matchLabels": { "a-team": "x", "name": name } });
    for at in 0..100_u64 {
        let name = format!("set-{at}");
        let selector = serde_json::from_value(of(&name)).unwrap();
        table.apply(selecting(&name, at + 1, &Selector::new(&selector).unwrap()));
    }
    let found = table.selecting([("a-team", "x"), ("name", "set-7"), ("other", "y")].into_iter());
    assert!(names(&found).contains(&"set-7".to_owned()));
    assert!(found.len() < 3, "{:?}", names(&found));
}

#[test]
fn of_several_labels_that_are_demanded_the_rarest_is_followed() {
    let table = Table::default();
    for at in 0..100_u64 {
        let labels = json!({ "all": "x", "name": format!("pod-{at}") });
        table.apply(Row(labelled(
            &format!("pod-{at}"),
            at + 1,
            &serde_json::from_value(labels).unwrap(),
        )));
    }
    let selector = json!({ "matchLabels": { "all": "x", "name": "pod-7" } });
    let selector = Selector::new(&serde_json::from_value(selector).unwrap()).unwrap();
    let asked = std::cell::Cell::new(0);
    let found = table.bearing(&Demands::of(&selector), |_| {
        asked.set(asked.get() + 1);
        true
    });
    assert_eq!((names(&found), asked.get()), (vec!["pod-7".to_owned()], 1));
}
