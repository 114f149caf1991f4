//! Plans, holds and outcomes.

use std::fmt;

use jiff::Timestamp;

use crate::plan::{Applied, Hold, Note, Outcome, Plan, Step, reasons, summary};
use crate::write::{Category, WriteError};

#[derive(Clone, Debug, PartialEq)]
struct Wait(&'static str, u32);

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for web-{}", self.0, self.1)
    }
}

impl Hold for Wait {
    fn reason(&self) -> &'static str {
        self.0
    }

    fn until(&self) -> Option<Timestamp> {
        None
    }
}

#[test]
fn a_log_line_has_one_example_of_each_reason() {
    let holds =
        [Wait("Pod", 3), Wait("Budget", 1), Wait("Pod", 4), Wait("Pod", 5), Wait("Claim", 0)];
    assert_eq!(summary(&holds), "Pod for web-3 and 2 more; Budget for web-1; Claim for web-0");
    assert_eq!(reasons(&holds), ["Budget", "Claim", "Pod"]);
    assert_eq!((summary::<Wait>(&[]), reasons::<Wait>(&[]).len()), (String::new(), 0));
}

#[test]
fn steps_without_actions_are_none() {
    let mut plan: Plan<u8, Wait> = Plan::default();
    plan.in_order(vec![]);
    plan.burst(vec![]);
    assert_eq!(plan, Plan::default());
    plan.burst(vec![3, 1]);
    plan.in_order(vec![2]);
    assert_eq!(plan.steps, [Step::Burst(vec![3, 1]), Step::InOrder(vec![2])]);
    assert_eq!(plan.actions().copied().collect::<Vec<_>>(), [3, 1, 2]);
}

#[test]
fn outcomes_are_told_apart() {
    let error = WriteError::new(Category::Conflict, "changed");
    let outcomes =
        vec![(1, Outcome::Done), (2, Outcome::Failed(error.clone())), (3, Outcome::Done)];
    let mut applied = Applied { outcomes };
    assert_eq!(applied.done().collect::<Vec<_>>(), [&1, &3]);
    assert_eq!(applied.failed().collect::<Vec<_>>(), [(&2, &error)]);
    assert!(!applied.not_attempted());
    applied.outcomes.push((4, Outcome::NotAttempted));
    assert!(applied.not_attempted());
    assert_eq!((applied.done().count(), applied.failed().count()), (2, 1));
}

#[test]
fn notes_warn_or_not() {
    assert!(
        Note::warning("FailedCreate", "x").warning
            && !Note::normal("SuccessfulCreate", "x").warning
    );
}
