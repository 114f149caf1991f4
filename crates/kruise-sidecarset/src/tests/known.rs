//! What is remembered between turns, and what makes it forgotten.

use serde_json::json;

use super::support::{pod, running, set, settings};
use crate::known::Known;
use crate::member::Member;
use crate::object::SidecarSet;

fn agent() -> SidecarSet {
    set(&json!({ "containers": [{ "name": "agent", "image": "example.com/agent:2" }] }))
}

/// An outdated pod, as the turn before saw it.
fn outdated(known: &Known) -> Member {
    let spec = json!({ "containers": [{ "name": "agent", "image": "example.com/agent:2" }] });
    let member = Member::new(&pod(&running()), &settings(&spec)).unwrap();
    assert!(!member.updated);
    known.keep(&agent(), std::slice::from_ref(&member));
    member
}

#[test]
fn the_same_record_is_not_read_again() {
    let known = Known::default();
    let member = outdated(&known);
    let mut reused = known.take(&agent());
    assert!(reused.member(&member.pod).is_some());
    assert!(known.take(&agent()).member(&member.pod).is_none(), "taken once");
}

#[test]
fn another_record_of_the_pod_is_read_again() {
    let known = Known::default();
    outdated(&known);
    assert!(known.take(&agent()).member(&pod(&running())).is_none());
}

#[test]
fn pods_that_came_or_went_in_between_do_not_hide_others() {
    let known = Known::default();
    let member = outdated(&known);
    let mut before = running();
    before["metadata"]["name"] = json!("api-0");
    let mut reused = known.take(&agent());
    assert!(reused.member(&pod(&before)).is_none());
    assert!(reused.member(&member.pod).is_some());
    known.keep(&agent(), &[Member { pod: pod(&before), ..member.clone() }, member.clone()]);
    assert!(known.take(&agent()).member(&member.pod).is_some());
}

#[test]
fn another_spec_or_another_set_of_the_name_knows_nothing() {
    for (uid, generation) in [("s", 2), ("other", 1)] {
        let known = Known::default();
        let member = outdated(&known);
        let mut other = agent();
        (other.meta.uid, other.meta.generation) = (uid.into(), generation);
        assert!(known.take(&other).member(&member.pod).is_none());
    }
}

#[test]
fn a_set_at_rest_or_gone_costs_nothing() {
    let known = Known::default();
    let member = outdated(&known);
    known.forget(&agent().meta.key);
    assert!(known.take(&agent()).member(&member.pod).is_none());
    let rests = Member { updated: true, consistent: true, ready: true, ..member };
    known.keep(&agent(), std::slice::from_ref(&rests));
    assert!(known.take(&agent()).member(&rests.pod).is_none());
}
