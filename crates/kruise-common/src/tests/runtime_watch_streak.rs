//! How long a watch must have been broken until its cache counts as out of date.

use std::time::Duration;

use tokio::time::Instant;

use super::support::now;
use crate::runtime::watch::Streak;

fn failing(streak: &Streak, from: Instant, every: u64, times: u32) -> Instant {
    let at = |time| from + Duration::from_secs(every) * time;
    (0..times).for_each(|time| streak.failed(at(time)));
    at(times - 1)
}

#[test]
fn a_cache_is_out_of_date_after_five_minutes_of_failures() {
    let (streak, start) = (Streak::default(), now());
    assert!(!streak.is_long(start));
    let last = failing(&streak, start, 15, 20);
    assert!(!streak.is_long(last), "285 s");
    streak.failed(last + Duration::from_secs(15));
    assert!(streak.is_long(last + Duration::from_secs(15)));
    assert!(streak.is_long(last + Duration::from_secs(100)));
    assert!(!streak.is_long(last + Duration::from_secs(105)), "no failure since: it is open");
    streak.works();
    assert!(!streak.is_long(last + Duration::from_secs(15)));
}

#[test]
fn failures_that_are_far_apart_are_no_streak() {
    let (streak, start) = (Streak::default(), now());
    let last = failing(&streak, start, 90, 20);
    assert!(!streak.is_long(last));
}
