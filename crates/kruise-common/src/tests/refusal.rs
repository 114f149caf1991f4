use jiff::{SignedDuration, Timestamp};

use crate::key::ObjectKey;
use crate::plan::Outcome;
use crate::refusal::Refusals;
use crate::write::{Category, WriteError};

fn owner() -> ObjectKey {
    ObjectKey::new("default", "job")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn fails(category: Category) -> Outcome {
    Outcome::Failed(WriteError::new(category, "exceeded quota"))
}

fn hear(refusals: &Refusals<u8>, target: u8, outcome: &Outcome, now: Timestamp) {
    refusals.hear(&owner(), [(target, outcome)].into_iter(), now);
}

#[test]
fn each_target_has_a_delay_of_its_own_that_doubles_up_to_the_longest() {
    let refusals = Refusals::new(Category::concerns_user);
    let mut delays = Vec::new();
    let mut now = at(0);
    for _ in 0..11 {
        hear(&refusals, 1, &fails(Category::Forbidden), now);
        let known = refusals.of(&owner())[&1].clone();
        assert_eq!((&*known.message, known.category), ("exceeded quota", Category::Forbidden));
        delays.push(known.until.duration_since(now).as_secs());
        now = known.until;
    }
    assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    hear(&refusals, 2, &fails(Category::Invalid), now);
    assert_eq!(refusals.of(&owner())[&2].until, now + SignedDuration::from_secs(1));
}

#[test]
fn a_success_ends_it_and_so_does_time() {
    let refusals = Refusals::new(Category::concerns_user);
    hear(&refusals, 1, &fails(Category::Forbidden), at(0));
    hear(&refusals, 2, &fails(Category::Forbidden), at(0));
    hear(&refusals, 3, &fails(Category::Conflict), at(0));
    assert_eq!(refusals.of(&owner()).keys().collect::<Vec<_>>(), [&1, &2], "a race is no refusal");
    hear(&refusals, 1, &Outcome::Done, at(1));
    assert_eq!(refusals.of(&owner()).keys().collect::<Vec<_>>(), [&2]);
    hear(&refusals, 9, &Outcome::NotAttempted, at(300));
    assert_eq!(refusals.of(&owner()).len(), 1, "it still counts how often");
    hear(&refusals, 9, &Outcome::NotAttempted, at(301));
    assert!(refusals.of(&owner()).is_empty());
}

#[test]
fn what_its_owner_changed_is_tried_at_once() {
    let refusals = Refusals::new(Category::concerns_user);
    refusals.renew(&owner(), 3);
    hear(&refusals, 1, &fails(Category::Invalid), at(0));
    refusals.renew(&owner(), 3);
    assert_eq!(refusals.of(&owner()).len(), 1);
    refusals.renew(&owner(), 4);
    assert!(refusals.of(&owner()).is_empty());
    hear(&refusals, 1, &fails(Category::Invalid), at(0));
    hear(&refusals, 2, &fails(Category::Invalid), at(0));
    refusals.renew_only(&owner(), 5, |target| *target == 1);
    assert_eq!(refusals.of(&owner()).keys().collect::<Vec<_>>(), [&2], "the other rests on");
    refusals.forget(&owner());
    assert!(refusals.of(&owner()).is_empty());
}

/// F15: the clock was ahead by a day when the refusal was heard.
#[test]
fn a_clock_that_is_set_back_leaves_nobody_alone_for_a_day() {
    let refusals = Refusals::new(Category::concerns_user);
    hear(&refusals, 1, &fails(Category::Forbidden), at(86_400));
    hear(&refusals, 2, &fails(Category::Forbidden), at(0));
    assert_eq!(refusals.of(&owner()).keys().collect::<Vec<_>>(), [&2]);
}
