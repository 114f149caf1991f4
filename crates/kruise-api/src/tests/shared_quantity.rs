//! Quantities against what Go makes of the same text (`tests/golden/quantities.json`), and by value.

use std::cmp::Ordering;

use proptest::prelude::*;
use serde::Deserialize;

use crate::shared::quantity::Quantity;

#[derive(Deserialize)]
struct Spelling {
    text: String,
    #[serde(default)]
    canonical: String,
    order: i8,
}

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

#[test]
fn every_spelling_is_read_printed_and_ordered_as_in_go() {
    let spellings: Vec<Spelling> =
        serde_json::from_str(include_str!("../../tests/golden/quantities.json")).unwrap();
    assert!(spellings.len() > 500);
    let mut before = quantity("0");
    for Spelling { text, canonical, order } in spellings {
        match Quantity::parse(&text) {
            Err(_) => assert_eq!(canonical, "", "Go reads {text:?}"),
            Ok(parsed) => {
                assert_eq!(parsed.to_string(), canonical, "{text:?}");
                let want = order.cmp(&0);
                assert_eq!(parsed.cmp(&before), want, "{text:?} against {before}");
                assert_eq!(parsed.plain() == before.plain(), want == Ordering::Equal, "{text:?}");
                before = parsed;
            }
        }
    }
}

/// `tests/golden/quantities.tsv`: what Go's `RoundUp(-3)` makes of a text, `-` if it is exact already.
#[test]
fn thousandths_are_rounded_up_as_in_go() {
    let rows = include_str!("../../tests/golden/quantities.tsv").lines();
    let rows: Vec<_> =
        rows.filter(|row| !row.starts_with('#')).filter_map(|row| row.split_once('\t')).collect();
    assert!(rows.len() > 40, "only {} rows", rows.len());
    for (text, want) in rows {
        let rounded = quantity(text).rounded_to_milli().map(|rounded| rounded.to_string());
        assert_eq!(rounded.as_deref(), (want != "-").then_some(want), "{text:?}");
    }
}

#[test]
fn values_are_compared_whatever_their_spelling() {
    let equal = [
        ("1", "1000m"),
        ("1Gi", "1024Mi"),
        ("0.5", "500m"),
        ("1e3", "1k"),
        ("-0", "0"),
        ("1.500", "1500m"),
    ];
    for (a, b) in equal {
        assert_eq!(quantity(a), quantity(b), "{a} {b}");
        assert_eq!(quantity(a).plain(), quantity(b).plain(), "{a} {b}");
    }
    let ascending = [
        "-1Gi", "-1G", "-2", "-1", "-1n", "0", "1n", "1m", "2m", "10m", "1", "9", "10", "1k",
        "1Ki", "1G", "1Gi", "1E", "1e30",
    ];
    for pair in ascending.windows(2) {
        assert!(quantity(pair[0]) < quantity(pair[1]), "{pair:?}");
    }
}

#[test]
fn an_enormous_number_costs_no_more_than_its_length() {
    let long = format!("{}.{}Ei", "9".repeat(100_000), "1".repeat(100_000));
    assert_eq!(quantity(&long).to_string(), "9223372036854775807");
    assert_eq!(quantity("1234567890123456789e-2000000000").to_string(), "1e-9");
    assert!(quantity("1234567890123456789.5e2000000000") > quantity("1e1000000"));
}

proptest! {
    #[test]
    fn printing_and_reading_keeps_the_value(number in 0u64..1 << 62, suffix in "(n|u|m||k|M|Ki|Mi|Gi|e2|e-3)") {
        let first = quantity(&format!("{number}{suffix}"));
        let printed = first.to_string();
        prop_assert_eq!(&first, &quantity(&printed));
        prop_assert_eq!(&printed, &quantity(&printed).to_string());
    }

    #[test]
    fn whatever_is_written_reading_does_not_panic(text in "[+-]?[0-9]{0,60}(\\.[0-9]{0,60})?(E|Ei|n|e[+-]?[0-9]{1,12}|.{0,3})") {
        if let Ok(quantity) = Quantity::parse(&text) {
            prop_assert_eq!(quantity.cmp(&quantity), Ordering::Equal);
            prop_assert_ne!(quantity.to_string(), "");
        }
    }
}

#[test]
fn amounts_can_be_added_up_in_billionths() {
    for (text, value) in [
        ("0", 0),
        ("1n", 1),
        ("0.1n", 1),
        ("100m", 100_000_000),
        ("-1", -1_000_000_000),
        ("1Ki", 1_024_000_000_000),
        ("1e3", 1_000_000_000_000),
    ] {
        assert_eq!(Quantity::parse(text).unwrap().billionths(), value, "{text}");
    }
    assert_eq!(Quantity::parse("1e2000000000").unwrap().billionths(), i128::MAX);
}
