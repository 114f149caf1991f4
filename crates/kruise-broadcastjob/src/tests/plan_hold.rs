use std::collections::BTreeSet;

use kruise_api::keys;
use kruise_common::plan::{self, Hold as _};
use kruise_common::testing::pages;

use super::facts::now;
use crate::plan::hold::{Hold, Pauser};

fn all() -> Vec<Hold> {
    let (pod, until) = ("p".to_owned(), now());
    vec![
        Hold::InvalidSpec { field: "f".to_owned(), problem: "p".to_owned() },
        Hold::JobDeleting,
        Hold::Paused { by: Pauser::Spec },
        Hold::Paused { by: Pauser::FailedPod },
        Hold::PodsAtWork { active: 1 },
        Hold::ParallelismReached { active: 1, allowed: 1 },
        Hold::WaveInProgress { allowed: 1 },
        Hold::Soaking { until },
        Hold::DomainFull { domain: "a".to_owned() },
        Hold::PodTerminating { pod: pod.clone() },
        Hold::NameTaken { pod: pod.clone() },
        Hold::CreationRefused { node: "n".to_owned(), until },
        Hold::RetryAt { node: "n".to_owned(), until: Some(until) },
        Hold::Stopping { pod, until: Some(until) },
        Hold::DeadlineAt { until },
        Hold::TtlAt { until },
        Hold::NoNodeFits,
        Hold::NeverCompletes,
    ]
}

#[test]
fn every_reason_has_a_name_of_its_own_that_its_text_begins_with() {
    let names: BTreeSet<&str> = all().iter().map(plan::Hold::reason).collect();
    assert_eq!(names.len(), all().len());
    assert!(all().iter().all(|hold| hold.to_string().starts_with(hold.reason())));
}

#[test]
fn the_runbook_explains_every_reason() {
    let runbook = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbook.md");
    let text = std::fs::read_to_string(runbook).unwrap();
    for hold in all() {
        let reason = hold.reason();
        assert!(text.contains(&format!("`{reason}`")), "no entry for {reason} in docs/runbook.md");
    }
}

#[test]
fn alerts_know_what_to_think_of_every_reason() {
    let reasons: Vec<&str> = all().iter().map(plan::Hold::reason).collect();
    pages::alerts_name(keys::BROADCASTJOB_BINARY, &reasons);
}

#[test]
fn what_ends_by_itself_sets_a_timer() {
    let timed: Vec<&str> =
        all().iter().filter(|hold| hold.until().is_some()).map(plan::Hold::reason).collect();
    assert_eq!(timed, ["Soaking", "CreationRefused", "RetryAt", "Stopping", "DeadlineAt", "TtlAt"]);
}
