//! What failed rounds of the registrar are told of.

use crate::runtime::condition::Verdict;
use crate::runtime::registrar::trouble::Trouble;

/// What is said after so many rounds that failed with this text.
fn failed(rounds: usize, text: &str) -> Option<Verdict> {
    let mut trouble = Trouble::default();
    for _ in 0..rounds {
        trouble.after(Some(&text));
    }
    trouble.verdict(true)
}

#[test]
fn what_lasts_is_told_and_ends() {
    let mut trouble = Trouble::default();
    assert_eq!(trouble.verdict(false), None, "not registered yet");
    assert_eq!(trouble.verdict(true), Some(Verdict::as_expected()));
    assert_eq!(failed(3, "no CA"), None, "it may pass");
    assert_eq!(failed(4, "no CA"), Some(Verdict::degraded("AdmissionDegraded", "no CA")));
    let told = (0..5).filter(|_| trouble.after(Some(&"no CA")).is_some()).count();
    assert_eq!(told, 1);
    assert!(trouble.after(None::<&str>.as_ref()).is_some(), "that it is over");
    assert_eq!(trouble.verdict(true), Some(Verdict::as_expected()));
}

/// An API server's answer may be as long as it likes; the verdict goes with the renewal of the Lease.
#[test]
fn a_verdict_is_no_longer_than_a_lease_can_bear() {
    for (letters, kept) in [(1024, 1024), (1025, 1024)] {
        let message = failed(4, &"x".repeat(letters)).unwrap().message;
        assert_eq!(message.trim_end_matches('…').len(), kept);
        assert_eq!(message.ends_with('…'), letters > kept);
    }
    let message = failed(4, &"ä".repeat(1000).replacen('ä', "x", 1)).unwrap().message;
    assert_eq!(message, format!("x{}…", "ä".repeat(511)), "whole letters");
}
