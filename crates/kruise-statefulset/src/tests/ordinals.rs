use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proptest::prelude::*;

use crate::ordinals::{InvalidOrdinals, Ordinals};

fn int(number: i32) -> IntOrString {
    IntOrString::Int(number)
}

fn range(text: &str) -> IntOrString {
    IntOrString::String(text.to_owned())
}

fn list(start: i32, reserved: &[IntOrString], replicas: i32) -> Vec<i32> {
    Ordinals::new(start, reserved, replicas).unwrap().iter().collect()
}

#[test]
fn the_examples_of_the_specification() {
    assert_eq!(list(0, &[int(1)], 4), [0, 2, 3, 4]);
    assert_eq!(list(0, &[int(1), int(3)], 4), [0, 2, 4, 5]);
    assert_eq!(list(2, &[int(1), int(3)], 4), [2, 4, 5, 6]);
    assert_eq!(list(0, &[int(1), range("3-4")], 3), [0, 2, 5]);
    assert_eq!(list(0, &[], 0), [] as [i32; 0]);
    assert_eq!(list(3, &[], 5), [3, 4, 5, 6, 7]);
}

#[test]
fn a_range_of_millions_is_one_step() {
    assert_eq!(list(0, &[range("0-2000000000")], 2), [2_000_000_001, 2_000_000_002]);
}

#[test]
fn what_is_no_ordinal_is_refused_with_its_place_and_value() {
    let refused = |entry: IntOrString| Ordinals::new(0, &[int(1), entry], 3).unwrap_err();
    for (entry, shown) in [
        (int(-1), "-1"),
        (range("7"), "\"7\""),
        (range("4-3"), "\"4-3\""),
        (range("a-b"), "\"a-b\""),
        (range("1-2-3"), "\"1-2-3\""),
        (range("1-99999999999"), "\"1-99999999999\""),
        (range(""), "\"\""),
    ] {
        assert_eq!(refused(entry), InvalidOrdinals::Reserved { index: 1, value: shown.to_owned() });
    }
    assert_eq!(Ordinals::new(-2, &[], 1), Err(InvalidOrdinals::Start(-2)));
}

#[test]
fn ordinals_end_where_32_bits_end() {
    assert_eq!(list(i32::MAX, &[], 1), [i32::MAX]);
    assert_eq!(Ordinals::new(i32::MAX, &[], 1).unwrap().count(), 1);
    assert_eq!(Ordinals::new(i32::MAX, &[], 2), Err(InvalidOrdinals::TooMany(2)));
    assert_eq!(list(i32::MAX, &[int(i32::MAX)], 0), [] as [i32; 0]);
}

fn reserved() -> impl Strategy<Value = Vec<IntOrString>> {
    let number = (0..20).prop_map(int);
    let span = (0..20, 0..6).prop_map(|(low, more)| range(&format!("{low}-{}", low + more)));
    prop::collection::vec(prop_oneof![number, span], 0..6)
}

/// O-3, walked number by number.
fn walked(start: i32, reserved: &[IntOrString], replicas: usize) -> Vec<i32> {
    let mut out = BTreeSet::new();
    for entry in reserved {
        match entry {
            IntOrString::Int(number) => {
                out.insert(*number);
            }
            IntOrString::String(text) => {
                let (low, high) = text.split_once('-').unwrap();
                out.extend(low.parse::<i32>().unwrap()..=high.parse().unwrap());
            }
        }
    }
    (start..).filter(|number| !out.contains(number)).take(replicas).collect()
}

proptest! {
    #[test]
    fn intervals_give_what_a_walk_gives(start in 0..10, reserved in reserved(), replicas in 0_usize..12) {
        let ordinals = Ordinals::new(start, &reserved, i32::try_from(replicas).unwrap()).unwrap();
        let expected = walked(start, &reserved, replicas);
        prop_assert_eq!(ordinals.iter().collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(ordinals.iter().rev().collect::<Vec<_>>(), expected.iter().rev().copied().collect::<Vec<_>>());
        prop_assert_eq!(ordinals.count(), expected.len());
        for number in 0..40 {
            prop_assert_eq!(ordinals.contains(number), expected.contains(&number));
            prop_assert_eq!(ordinals.rank(number), expected.iter().filter(|known| **known < number).count());
        }
    }
}
