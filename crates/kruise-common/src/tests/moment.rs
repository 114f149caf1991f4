//! Points in time of four bytes.

use jiff::Timestamp;

use crate::moment::Moment;

fn there_and_back(text: &str) -> String {
    Moment::from(text.parse::<Timestamp>().unwrap()).timestamp().to_string()
}

#[test]
fn whole_seconds_go_there_and_back() {
    for text in ["1970-01-01T00:00:01Z", "2026-01-02T03:04:05Z", "2106-02-07T06:28:15Z"] {
        assert_eq!(there_and_back(text), text);
    }
    assert_eq!(there_and_back("2026-01-02T03:04:05.999999Z"), "2026-01-02T03:04:05Z");
}

#[test]
fn nonsense_becomes_the_nearest_that_can_be_held() {
    assert_eq!(there_and_back("0001-01-01T00:00:00Z"), "1970-01-01T00:00:01Z");
    assert_eq!(there_and_back("1970-01-01T00:00:00Z"), "1970-01-01T00:00:01Z");
    assert_eq!(there_and_back("9999-12-30T00:00:00Z"), "2106-02-07T06:28:15Z");
}

#[test]
fn moments_are_ordered_and_small() {
    let moment = |second: i64| Moment::from(Timestamp::from_second(second).unwrap());
    assert!(moment(5) < moment(6) && moment(-1) == moment(0));
    assert_eq!(size_of::<Option<Moment>>(), 4);
}
