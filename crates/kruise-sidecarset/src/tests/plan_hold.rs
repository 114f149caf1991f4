//! Every reason to wait: in the runbook, and with a timer only if it ends by itself.

use jiff::Timestamp;
use kruise_api::keys;
use kruise_common::plan::{self, Hold as _};
use kruise_common::testing::pages;

use crate::plan::hold::{Hold, Pods};

/// One of each; a new one does not compile until it is here.
fn all() -> Vec<Hold> {
    let pods = || Pods { first: "ns/web-0".into(), count: 2 };
    let until = Timestamp::UNIX_EPOCH;
    let all = vec![
        Hold::InvalidSpec { field: "spec".into(), problem: "no".into() },
        Hold::NotUpdate { outdated: 1 },
        Hold::Paused { outdated: 1 },
        Hold::NotSelected { outdated: 1 },
        Hold::BelowPartition { kept: 1 },
        Hold::BudgetSpent { unavailable: 1, allowed: 1 },
        Hold::InPlaceInProgress(pods()),
        Hold::NotReady(pods()),
        Hold::NewSideNotReady(pods()),
        Hold::NotUpgradable { pods: pods(), why: "MoreThanImages" },
        Hold::Refused { pods: pods(), until },
        Hold::EvictionUseless { why: "paused" },
        Hold::NobodyRecreates(pods()),
        Hold::NotInjected(pods()),
        Hold::RepairUnproven { until },
        Hold::NotRegistered { until },
        Hold::Settling { pods: pods(), until },
        Hold::Progressing { until },
        Hold::Stalled { since: until },
        Hold::RevisionUnusable { why: "gone".into() },
        Hold::EvictedNotBack { pods: pods(), until: Some(until) },
        Hold::EvictionUnproven { pods: pods(), until },
    ];
    for (index, hold) in all.iter().enumerate() {
        assert_eq!(place(hold), index);
    }
    all
}

fn place(hold: &Hold) -> usize {
    match hold {
        Hold::InvalidSpec { .. } => 0,
        Hold::NotUpdate { .. } => 1,
        Hold::Paused { .. } => 2,
        Hold::NotSelected { .. } => 3,
        Hold::BelowPartition { .. } => 4,
        Hold::BudgetSpent { .. } => 5,
        Hold::InPlaceInProgress(_) => 6,
        Hold::NotReady(_) => 7,
        Hold::NewSideNotReady(_) => 8,
        Hold::NotUpgradable { .. } => 9,
        Hold::Refused { .. } => 10,
        Hold::EvictionUseless { .. } => 11,
        Hold::NobodyRecreates(_) => 12,
        Hold::NotInjected(_) => 13,
        Hold::RepairUnproven { .. } => 14,
        Hold::NotRegistered { .. } => 15,
        Hold::Settling { .. } => 16,
        Hold::Progressing { .. } => 17,
        Hold::Stalled { .. } => 18,
        Hold::RevisionUnusable { .. } => 19,
        Hold::EvictedNotBack { .. } => 20,
        Hold::EvictionUnproven { .. } => 21,
    }
}

#[test]
fn every_reason_is_in_the_runbook() {
    let runbook = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/runbook.md");
    let runbook = std::fs::read_to_string(runbook).unwrap();
    for hold in all() {
        let reason = hold.reason();
        assert!(runbook.contains(&format!("### {reason}")), "docs/runbook.md: {reason}");
        assert!(hold.to_string().starts_with(reason), "{hold}");
    }
}

#[test]
fn alerts_know_what_to_think_of_every_reason() {
    let reasons: Vec<&str> = all().iter().map(plan::Hold::reason).collect();
    pages::alerts_name(keys::SIDECARSET_BINARY, &reasons);
}

#[test]
fn only_what_ends_by_itself_has_a_timer() {
    let timed: Vec<&str> =
        all().iter().filter(|hold| hold.until().is_some()).map(plan::Hold::reason).collect();
    let wanted = [
        "Refused",
        "RepairUnproven",
        "NotRegistered",
        "Settling",
        "Progressing",
        "EvictedNotBack",
        "EvictionUnproven",
    ];
    assert_eq!(timed, wanted);
}
