//! Scattered orders (sidecarset UPD-12).

use std::collections::BTreeMap;

use kruise_api::shared::scatter::ScatterTerm;
use proptest::prelude::*;

use crate::intern::Interner;
use crate::meta::Pairs;
use crate::ordering::scatter::scatter;

fn term(key: &str, value: &str) -> ScatterTerm {
    ScatterTerm { key: key.to_owned(), value: value.to_owned() }
}

/// Labels `a=1,b=2` of each word; `-` for none.
fn pods(words: &str) -> Vec<(usize, Pairs)> {
    let interner = Interner::default();
    let pairs = |word: &str| {
        let labels = word.split(',').filter_map(|label| label.split_once('='));
        let map: BTreeMap<_, _> = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        Pairs::interned(&map, &interner)
    };
    words.split_whitespace().map(pairs).enumerate().collect()
}

/// The order of `pods` as 1-based numbers, all of them candidates but the last `updated`.
fn scattered(words: &str, updated: usize, terms: &[ScatterTerm]) -> Vec<usize> {
    let pods = pods(words);
    let everyone: Vec<&Pairs> = pods.iter().map(|(_, labels)| labels).collect();
    let candidates = pods.iter().take(pods.len() - updated).collect();
    let order = scatter(candidates, terms, &everyone, |(_, labels)| labels);
    order.into_iter().map(|(at, _)| at + 1).collect()
}

/// Where in the scattered order the pods with `a=1` stand.
fn places(words: &str, updated: usize) -> Vec<usize> {
    let pods = pods(words);
    let order = scattered(words, updated, &[term("a", "1")]);
    let has = |at: &usize| pods[at - 1].1.get("a") == Some("1");
    order.iter().enumerate().filter(|(_, at)| has(at)).map(|(place, _)| place + 1).collect()
}

#[test]
fn three_of_ten_stand_at_both_ends_and_in_the_middle() {
    assert_eq!(places("a=1 a=1 a=1 - - - - - - -", 0), [1, 6, 10]);
    assert_eq!(places("- - - - - - - a=1 a=1 a=1", 0), [1, 6, 10]);
}

#[test]
fn who_stands_alone_on_either_side_stays() {
    assert_eq!(scattered("- a=1 - -", 0, &[term("a", "1")]), [1, 2, 3, 4]);
    assert_eq!(scattered("a=1 a=1 - a=1", 0, &[term("a", "1")]), [1, 2, 3, 4]);
    assert_eq!(scattered("- a=1 -", 0, &[]), [1, 2, 3]);
    assert_eq!(scattered("", 0, &[term("a", "1")]), [0; 0]);
}

#[test]
fn the_order_among_equals_is_kept() {
    let order = scattered("a=1 - a=1 - a=1 -", 0, &[term("a", "1")]);
    assert_eq!(order, [1, 2, 4, 3, 6, 5]);
}

/// Those of the label that are updated already leave groups of the size that they would have had.
#[test]
fn groups_are_those_of_all_pods_once_some_are_updated() {
    // 2 of 6 labelled are left and 6 of 6 others: one group of (1, 1) after the five others beyond it.
    assert_eq!(places("a=1 a=1 - - - - - - a=1 a=1 a=1 a=1", 4), [6, 8]);
}

#[test]
fn a_star_is_every_value_and_the_commonest_is_spread_first() {
    let words = "a=1 a=1 a=2 a=2 a=2 - -";
    let star = scattered(words, 0, &[term("a", "*")]);
    let named =
        scattered(words, 0, &[term("a", "2"), term("a", "1"), term("a", "2"), term("b", "x")]);
    assert_eq!(star, named);
    assert_ne!(star, [1, 2, 3, 4, 5, 6, 7]);
}

proptest! {
    /// Whatever the labels and terms: nobody is lost, nobody is doubled, and nothing panics.
    #[test]
    fn everybody_is_there_once(
        labels in prop::collection::vec((0..4_u8, 0..3_u8), 0..40),
        updated in 0..10_usize,
        terms in prop::collection::vec((0..3_u8, 0..4_u8), 0..4),
    ) {
        let word = |(a, b): &(u8, u8)| format!("a={a},b={b}");
        let words = labels.iter().map(word).collect::<Vec<_>>().join(" ");
        let value = |value: u8| if value == 3 { "*".to_owned() } else { value.to_string() };
        let key = |key: u8| ["a", "b", "c"][usize::from(key)];
        let terms: Vec<_> = terms.into_iter().map(|(k, v)| term(key(k), &value(v))).collect();
        let updated = updated.min(labels.len());
        let mut order = scattered(&words, updated, &terms);
        order.sort_unstable();
        prop_assert_eq!(order, (1..=labels.len() - updated).collect::<Vec<_>>());
    }
}
