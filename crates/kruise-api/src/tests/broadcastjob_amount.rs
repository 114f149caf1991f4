use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::broadcastjob::amount::{InvalidAmount, is_misleading, of};

fn text(text: &str) -> IntOrString {
    IntOrString::String(text.to_owned())
}

#[test]
fn percentages_round_up_and_numbers_are_taken_as_they_are() {
    for (amount, total, count) in [
        (text("40%"), 5, 2),
        (text("50%"), 10, 5),
        (text("100%"), 7, 7),
        (text("1%"), 3, 1),
        (text("0%"), 3, 0),
        (text("200%"), 3, 6),
        (text("5"), 100, 5),
        (text("%5%"), 100, 5),
        (text("2147483647%"), 5_000, 107_374_182_350),
        (IntOrString::Int(i32::MAX), 0, 2_147_483_647),
        (IntOrString::Int(0), 9, 0),
    ] {
        assert_eq!(of(&amount, total), Ok(count), "{amount:?} of {total}");
    }
}

#[test]
fn nonsense_is_named() {
    for amount in ["", "%", "ten", "1.5%", "99999999999%"] {
        assert_eq!(of(&text(amount), 10), Err(InvalidAmount::Unreadable), "{amount}");
    }
    for amount in [IntOrString::Int(-1), text("-5%")] {
        assert_eq!(of(&amount, 10), Err(InvalidAmount::Negative), "{amount:?}");
    }
    assert!(is_misleading(&text("5")) && !is_misleading(&text("5%")));
}
