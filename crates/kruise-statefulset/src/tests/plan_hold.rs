use kruise_api::keys;
use kruise_common::plan;
use kruise_common::plan::Hold as _;
use kruise_common::testing::pages;

use super::facts::now;
use crate::plan::hold::Hold;

/// One of each. A variant that is missing here does not compile: see [`complete`].
fn all() -> Vec<Hold> {
    let text = || "x".to_owned();
    vec![
        Hold::InvalidSpec { field: text(), problem: text() },
        Hold::SetDeleting,
        Hold::ChangingOwner,
        Hold::NameTaken { pod: text() },
        Hold::StaleClaim { claim: text() },
        Hold::ClaimTerminating { claim: text() },
        Hold::PodTerminating { pod: text() },
        Hold::NotAvailableYet { pod: text(), until: Some(now()) },
        Hold::InPlaceInProgress { pod: text(), missing: text() },
        Hold::GracePeriod { pod: text(), until: now() },
        Hold::HookPending { pod: text(), hook: text() },
        Hold::ScaleBudgetSpent { allowed: 1 },
        Hold::BudgetSpent { unavailable: 1, allowed: 1 },
        Hold::Paused { outdated: 1 },
        Hold::OnDelete { outdated: 1 },
        Hold::BelowPartition { kept: 1 },
        Hold::NotInPlacePossible { pod: text(), why: text() },
        Hold::UpdateRefused { pod: text(), until: now() },
        Hold::DeletionRefused { pod: text(), until: now() },
        Hold::CreationRefused { pod: text(), until: now() },
        Hold::OwnerRefused { pod: text(), until: now() },
        Hold::ClaimResizing { claim: text(), until: Some(now()) },
        Hold::ClaimMismatch { claim: text() },
        Hold::NotExpandable { claim: text(), why: text() },
        Hold::ClaimTaken { claim: text() },
        Hold::StuckRollout { pod: text(), why: text() },
        Hold::HistoryLost { revision: text() },
        Hold::ProgressDeadline { until: now() },
        Hold::ProgressDeadlineExceeded { seconds: 1 },
    ]
}

/// Where a new variant is met first.
fn complete(hold: &Hold) -> usize {
    match hold {
        Hold::InvalidSpec { .. } => 0,
        Hold::SetDeleting => 1,
        Hold::ChangingOwner => 2,
        Hold::NameTaken { .. } => 3,
        Hold::StaleClaim { .. } => 4,
        Hold::ClaimTerminating { .. } => 5,
        Hold::PodTerminating { .. } => 6,
        Hold::NotAvailableYet { .. } => 7,
        Hold::InPlaceInProgress { .. } => 8,
        Hold::GracePeriod { .. } => 9,
        Hold::HookPending { .. } => 10,
        Hold::ScaleBudgetSpent { .. } => 11,
        Hold::BudgetSpent { .. } => 12,
        Hold::Paused { .. } => 13,
        Hold::OnDelete { .. } => 14,
        Hold::BelowPartition { .. } => 15,
        Hold::NotInPlacePossible { .. } => 16,
        Hold::UpdateRefused { .. } => 17,
        Hold::DeletionRefused { .. } => 18,
        Hold::CreationRefused { .. } => 19,
        Hold::OwnerRefused { .. } => 20,
        Hold::ClaimResizing { .. } => 21,
        Hold::ClaimMismatch { .. } => 22,
        Hold::NotExpandable { .. } => 23,
        Hold::ClaimTaken { .. } => 24,
        Hold::StuckRollout { .. } => 25,
        Hold::HistoryLost { .. } => 26,
        Hold::ProgressDeadline { .. } => 27,
        Hold::ProgressDeadlineExceeded { .. } => 28,
    }
}

#[test]
fn every_reason_is_in_the_runbook() {
    let runbook = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/runbook.md");
    let runbook = std::fs::read_to_string(runbook).unwrap();
    for (index, hold) in all().iter().enumerate() {
        assert_eq!(complete(hold), index);
        let reason = hold.reason();
        assert!(runbook.contains(reason), "docs/runbook.md does not say what to do about {reason}");
        assert!(hold.to_string().starts_with(reason), "{hold}");
    }
}

#[test]
fn alerts_know_what_to_think_of_every_reason() {
    let reasons: Vec<&str> = all().iter().map(plan::Hold::reason).collect();
    pages::alerts_name(keys::STATEFULSET_BINARY, &reasons);
}

#[test]
fn only_what_ends_by_itself_has_a_timer() {
    let timed: Vec<&str> =
        all().iter().filter(|hold| hold.until().is_some()).map(plan::Hold::reason).collect();
    assert_eq!(
        timed,
        [
            "NotAvailableYet",
            "GracePeriod",
            "UpdateRefused",
            "DeletionRefused",
            "CreationRefused",
            "OwnerRefused",
            "ClaimResizing",
            "ProgressDeadline"
        ]
    );
}
