use jiff::Timestamp;

use super::facts::{UID, mark, now};
use crate::failures::{Failure, Failures, bounded, read, write};
use crate::mark::{Mark, digits, number};

fn failure(count: i32, stopped: bool) -> Failure {
    Failure { count, time: now(), pod: Mark::of(UID, "pod"), stopped }
}

#[test]
fn what_is_written_is_read_again() {
    let failures: Failures = [
        (mark("a"), failure(1, false)),
        (mark("b"), failure(1_048_575, true)),
        (mark("c"), Failure { time: Timestamp::UNIX_EPOCH, ..failure(0, false) }),
    ]
    .into();
    let text = write(&failures);
    assert_eq!(text.len(), 3 * 32);
    assert_eq!(read(&text), failures);
    let many: Failures = [(mark("a"), failure(i32::MAX, true))].into();
    assert_eq!(read(&write(&many))[&mark("a")].count, 1_048_575, "so many are as good as more");
}

#[test]
fn nonsense_is_left_out() {
    let good = write(&[(mark("a"), failure(2, false))].into());
    for bad in ["", "short", &"!".repeat(32), &"ä".repeat(16), &good[..31], "null"] {
        assert!(read(bad).is_empty(), "{bad}");
    }
    assert_eq!(read(&format!("{}{good}", "0".repeat(32))).len(), 1);
}

#[test]
fn those_that_are_known_have_their_place() {
    let all: Failures = ["a", "b", "c", "d"].map(|node| (mark(node), failure(1, false))).into();
    let known: Failures = [(mark("c"), failure(1, false))].into();
    assert_eq!(bounded(all.clone(), &known, 4), all);
    let kept = bounded(all.clone(), &known, 2);
    assert!(kept.len() == 2 && kept.contains_key(&mark("c")));
}

#[test]
fn numbers_are_digits_of_the_alphabet() {
    for value in [0, 1, 31, 32, 1_767_225_600] {
        assert_eq!(number(&digits(value, 7)), Some(value));
    }
    assert_eq!(digits(0, 3), "aaa");
    assert_eq!(number(&digits(32_768, 3)), Some(32_767));
    assert_eq!(number("A"), None);
}
