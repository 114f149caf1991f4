//! Amounts and budgets.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proptest::prelude::*;

use crate::budget::{Budget, at_least_one, partition, rounded_up};

fn of(text: &str, total: i32) -> Option<usize> {
    at_least_one(&IntOrString::String(text.into()), total).ok()
}

#[test]
fn percentages_round_down_but_never_to_nothing() {
    for (text, total, wanted) in [
        ("10%", 10, 1),
        ("10%", 19, 1),
        ("10%", 20, 2),
        ("33%", 10, 3),
        ("99%", 1, 1),
        ("100%", 7, 7),
        ("0%", 100, 1),
        ("50%", 0, 1),
        ("50%", -4, 1),
        ("200%", 3, 6),
        ("029%", 100, 29),
    ] {
        assert_eq!(of(text, total), Some(wanted), "{text} of {total}");
    }
}

#[test]
fn numbers_are_taken_as_they_are() {
    for (count, wanted) in
        [(3, 3), (1, 1), (0, 1), (-5, 1), (i32::MAX, 2_147_483_647), (i32::MIN, 1)]
    {
        assert_eq!(at_least_one(&IntOrString::Int(count), 2), Ok(wanted));
    }
}

#[test]
fn what_is_no_percentage_is_an_error_with_its_value() {
    for text in ["", "%", "10", "-10%", "+10%", "1.5%", "10 %", " 10%", "10%%", "ten%", "١%"] {
        let error = at_least_one(&IntOrString::String(text.into()), 10).unwrap_err();
        assert_eq!(error.value, text);
    }
    let many = IntOrString::String("99999999999%".into());
    assert!(at_least_one(&many, 10).unwrap() >= 10, "all");
    assert_eq!(partition(&many, 10), Ok(10));
    let error = at_least_one(&IntOrString::String("ten%".into()), 10).unwrap_err();
    assert_eq!(error.to_string(), r#""ten%" is neither a number nor a percentage such as "10%""#);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_percentage_of_no_total_overflows(percent in any::<u32>(), total in any::<i32>()) {
        let exact = i128::from(percent) * i128::from(total.max(0)) / 100;
        let found = of(&format!("{percent}%"), total).unwrap();
        prop_assert_eq!(i128::try_from(found).unwrap(), exact.max(1));
    }
}

#[test]
fn a_budget_is_spent_when_as_many_are_unavailable() {
    for (unavailable, allowed, spent) in [(0, 1, false), (1, 1, true), (2, 1, true), (0, 0, true)] {
        assert_eq!(Budget { unavailable, allowed }.spent(), spent);
    }
}

#[test]
fn a_budget_of_a_sidecar_set_rounds_up_and_may_be_none() {
    for (text, total, wanted) in
        [("10%", 5, 1), ("50%", 4, 2), ("0%", 9, 0), ("100%", 7, 7), ("34%", 3, 2)]
    {
        assert_eq!(rounded_up(&IntOrString::String(text.into()), total), Ok(wanted), "{text}");
    }
    assert_eq!(rounded_up(&IntOrString::Int(-2), 5), Ok(0));
    assert!(rounded_up(&IntOrString::String("lots".into()), 5).is_err());
}

/// The examples of UPD-25.
#[test]
fn less_than_all_leaves_one_to_be_updated() {
    for (text, total, wanted) in [
        ("50%", 2, 1),
        ("90%", 10, 9),
        ("95%", 10, 9),
        ("50%", 1, 1),
        ("100%", 3, 3),
        ("101%", 10, 10),
        ("150%", 4, 4),
        ("200%", 3, 3),
    ] {
        assert_eq!(
            partition(&IntOrString::String(text.into()), total),
            Ok(wanted),
            "{text} of {total}"
        );
    }
    assert_eq!(partition(&IntOrString::Int(50), 10), Ok(10));
    assert_eq!(partition(&IntOrString::Int(-1), 10), Ok(0));
}
