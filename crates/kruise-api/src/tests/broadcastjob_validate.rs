use serde_json::{Value, json};

use super::rules::Rules;
use crate::broadcastjob::validate::{validate, warnings};

/// A job as admission leaves it, with changes; a member that is `null` goes.
fn job(change: &Value) -> Value {
    Rules::read("broadcastjob").object(change)
}

fn check(rule: &str) {
    let said = |job: &Value| validate(job, None).iter().map(ToString::to_string).collect();
    Rules::read("broadcastjob").check(rule, said);
}

fn spec(change: &Value) -> Value {
    json!({ "spec": change })
}

#[test]
fn what_openkruise_admitted_is_admitted() {
    for (file, job) in crate::tests::broadcastjob::captured() {
        assert_eq!(validate(&job, None), [], "{file}");
        assert_eq!(warnings(&job, Some(&job)), [] as [String; 0], "{file}");
    }
}

#[test]
fn names_become_labels() {
    check("names_become_labels");
}

#[test]
fn a_job_without_an_end_has_neither_deadline_nor_time_to_live() {
    check("a_job_without_an_end_has_neither_deadline_nor_time_to_live");
}

#[test]
fn pods_end_and_do_not_carry_our_labels() {
    check("pods_end_and_do_not_carry_our_labels");
}

#[test]
fn amounts_are_numbers_or_percentages() {
    check("amounts_are_numbers_or_percentages");
}

#[test]
fn times_and_limits_are_not_negative() {
    check("times_and_limits_are_not_negative");
}

#[test]
fn failure_rules_say_what_they_match_and_what_follows() {
    check("failure_rules_say_what_they_match_and_what_follows");
}

#[test]
fn waves_have_sizes_and_domains_a_key() {
    check("waves_have_sizes_and_domains_a_key");
}

#[test]
fn no_rule_is_forgotten() {
    Rules::read("broadcastjob").are_all(&[
        "names_become_labels",
        "a_job_without_an_end_has_neither_deadline_nor_time_to_live",
        "pods_end_and_do_not_carry_our_labels",
        "amounts_are_numbers_or_percentages",
        "times_and_limits_are_not_negative",
        "failure_rules_say_what_they_match_and_what_follows",
        "waves_have_sizes_and_domains_a_key",
    ]);
}

#[test]
fn an_old_object_with_a_problem_stays_editable() {
    let old = job(&spec(&json!({ "parallelism": -1 })));
    let mut new = old.clone();
    new["metadata"]["finalizers"] = json!([]);
    assert_eq!(validate(&new, Some(&old)), []);
    new["spec"]["parallelism"] = json!(-2);
    assert_eq!(validate(&new, Some(&old)).len(), 1, "a new problem");
}

#[test]
fn surprises_are_warned_of() {
    let said = |change: &Value| warnings(&job(change), None);
    assert_eq!(said(&json!({})), [] as [&str; 0]);
    assert_eq!(
        said(&spec(&json!({ "parallelism": "5" }))),
        ["spec.parallelism: \"5\" means 5 %; write a number without quotes for pods"]
    );
    assert_eq!(
        said(&spec(
            &json!({ "completionPolicy": { "type": "never" }, "failurePolicy": { "type": "Ignore" } })
        )),
        [
            "spec.completionPolicy.type: \"never\" is unknown and acts like Always",
            "spec.failurePolicy.type: \"Ignore\" is unknown and acts like Continue",
        ]
    );
    assert_eq!(
        said(&json!({ "spec": { "template": { "spec": { "nodeName": "a" } } } })),
        ["spec.template.spec.nodeName: the job runs on node a only"]
    );
    let new = job(&json!({ "spec": { "template": { "metadata": { "labels": { "v": "2" } } } } }));
    assert_eq!(warnings(&new, Some(&job(&json!({})))).len(), 1, "the template changed");
}
