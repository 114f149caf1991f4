use std::path::Path;

use serde_json::{Value, json};

use super::rules::Rules;
use crate::statefulset::v1beta1::StatefulSetSpec;
use crate::statefulset::validate::{
    ClaimChange, claim_changes, claims_begin_to_follow, stricter, validate, validate_update,
};

/// The spec of a set as admission leaves it, with changes.
fn spec(change: &Value) -> StatefulSetSpec {
    of(&Rules::read("statefulset").object(&json!({ "spec": change })))
}

fn of(set: &Value) -> StatefulSetSpec {
    serde_json::from_str(&set["spec"].to_string()).unwrap()
}

fn check(rule: &str) {
    let said = |set: &Value| validate(&of(set)).iter().map(ToString::to_string).collect();
    Rules::read("statefulset").check(rule, said);
}

fn check_changes(rule: &str) {
    let said = |from: &Value, to: &Value| {
        validate_update(&of(from), &of(to)).iter().map(ToString::to_string).collect()
    };
    Rules::read("statefulset").check_changes(rule, said);
}

#[test]
fn what_openkruise_admitted_is_admitted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/captured");
    let mut checked = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let object: Value = serde_json::from_str(&text).unwrap();
        if object["apiVersion"] != "apps.kruise.io/v1beta1" {
            continue;
        }
        let spec: StatefulSetSpec = serde_json::from_str(&object["spec"].to_string()).unwrap();
        assert_eq!(validate(&spec), [], "{}", object["metadata"]["name"]);
        assert_eq!(validate_update(&spec, &spec), []);
        checked += 1;
    }
    assert!(checked >= 8, "only {checked} objects");
}

#[test]
fn the_pod_management_policy_is_one_of_two() {
    check("the_pod_management_policy_is_one_of_two");
}

#[test]
fn reserved_ordinals_are_numbers_or_ranges() {
    check("reserved_ordinals_are_numbers_or_ranges");
}

#[test]
fn amounts_are_positive_and_only_parallel_sets_have_more_than_one() {
    check("amounts_are_positive_and_only_parallel_sets_have_more_than_one");
}

#[test]
fn an_update_strategy_is_whole_or_on_delete() {
    check("an_update_strategy_is_whole_or_on_delete");
}

#[test]
fn in_place_wants_its_gate() {
    check("in_place_wants_its_gate");
}

#[test]
fn unordered_updates_have_one_kind_of_priority() {
    check("unordered_updates_have_one_kind_of_priority");
}

#[test]
fn retention_policies_are_known_words() {
    check("retention_policies_are_known_words");
}

#[test]
fn a_selector_selects_the_template() {
    check("a_selector_selects_the_template");
}

#[test]
fn a_template_has_good_labels_and_runs_always() {
    check("a_template_has_good_labels_and_runs_always");
}

#[test]
fn identity_is_immutable_and_everything_else_is_not() {
    check_changes("identity_is_immutable_and_everything_else_is_not");
}

#[test]
fn in_place_only_takes_images_of_containers_and_nothing_else() {
    check_changes("in_place_only_takes_images_of_containers_and_nothing_else");
}

#[test]
fn no_rule_is_forgotten() {
    Rules::read("statefulset").are_all(&[
        "the_pod_management_policy_is_one_of_two",
        "reserved_ordinals_are_numbers_or_ranges",
        "amounts_are_positive_and_only_parallel_sets_have_more_than_one",
        "an_update_strategy_is_whole_or_on_delete",
        "in_place_wants_its_gate",
        "unordered_updates_have_one_kind_of_priority",
        "retention_policies_are_known_words",
        "a_selector_selects_the_template",
        "a_template_has_good_labels_and_runs_always",
        "identity_is_immutable_and_everything_else_is_not",
        "in_place_only_takes_images_of_containers_and_nothing_else",
    ]);
}

/// A set whose claims follow their templates, or not.
fn with_claims(strategy: &str, templates: &Value) -> StatefulSetSpec {
    spec(&json!({
        "volumeClaimUpdateStrategy": { "type": strategy }, "volumeClaimTemplates": templates,
    }))
}

fn claim(name: &str, class: Option<&str>, storage: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "storageClassName": class, "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": storage } },
        },
    })
}

#[test]
fn claims_that_follow_may_change_their_size_only() {
    let follow = "OnPodRollingUpdate";
    let before =
        with_claims(follow, &json!([claim("a", Some("fast"), "1Gi"), claim("b", None, "1Gi")]));
    let after = |templates: Value| {
        let (errors, changes) = claim_changes(&before, &with_claims(follow, &templates));
        (errors.iter().map(ToString::to_string).collect::<Vec<_>>(), changes)
    };
    let (errors, changes) =
        after(json!([claim("b", None, "2Gi"), claim("a", Some("fast"), "1024Mi")]));
    assert_eq!(errors, [] as [&str; 0], "the order does not matter, nor how a size is written");
    assert_eq!(changes, [ClaimChange { template: "b".to_owned(), class: None }]);

    let path = "spec.volumeClaimTemplates";
    let refused = |templates: Value, problem: &str| {
        let (errors, changes) = after(templates);
        assert_eq!(errors, [format!("{path}{problem}")]);
        assert!(changes.is_empty());
    };
    refused(
        json!([claim("a", Some("fast"), "1Gi")]),
        ": Invalid value: 1: volumeClaimTemplate can not be added or deleted when OnRollingUpdate",
    );
    refused(
        json!([claim("a", Some("fast"), "1Gi"), claim("c", None, "1Gi")]),
        "[c].name: Forbidden: volumeClaimTemplate name can not be modified",
    );
    refused(
        json!([claim("a", Some("slow"), "1Gi"), claim("b", None, "1Gi")]),
        "[a]: Invalid value: \"a\": volumeClaimTemplate can not be modified when OnRollingUpdate",
    );
}

#[test]
fn claims_that_do_not_follow_may_change_at_will() {
    let one = json!([claim("a", None, "1Gi")]);
    for (from, to) in [
        ("OnDelete", "OnDelete"),
        ("OnPodRollingUpdate", "OnDelete"),
        ("OnDelete", "OnPodRollingUpdate"),
    ] {
        let changes = claim_changes(&with_claims(from, &one), &with_claims(to, &json!([])));
        assert_eq!(changes, (Vec::new(), Vec::new()), "{from} → {to}");
        let (problems, _) =
            claims_begin_to_follow(&with_claims(from, &one), &with_claims(to, &json!([])));
        assert_eq!(problems.len(), usize::from(to != "OnDelete"), "{from} → {to}: a warning");
    }
}

/// V-30, SD-8: beyond OpenKruise, and only asked of new values.
#[test]
fn values_that_could_never_be_acted_upon_are_refused() {
    let of = |change: serde_json::Value| -> Vec<String> {
        let spec: StatefulSetSpec = serde_json::from_value(change).unwrap();
        stricter(&spec).iter().map(|error| error.path.clone()).collect()
    };
    assert_eq!(of(json!({})), [""; 0]);
    assert_eq!(of(json!({ "ordinals": { "start": -1 } })), ["spec.ordinals.start"]);
    assert_eq!(of(json!({ "revisionHistoryLimit": -1 })), ["spec.revisionHistoryLimit"]);
    let grace = json!({ "inPlaceUpdateStrategy": { "gracePeriodSeconds": -5 } });
    let path = "spec.updateStrategy.rollingUpdate.inPlaceUpdateStrategy.gracePeriodSeconds";
    assert_eq!(of(json!({ "updateStrategy": { "rollingUpdate": grace } })), [path]);
    let strategy = |kind: &str| json!({ "volumeClaimUpdateStrategy": { "type": kind } });
    assert_eq!(of(strategy("Sometimes")), ["spec.volumeClaimUpdateStrategy.type"]);
    assert_eq!(of(strategy("OnDelete")), [""; 0]);
    let label = json!({ "metadata": { "labels": { "apps.kruise.io/specified-delete": "" } } });
    assert_eq!(
        of(json!({ "template": label })),
        ["spec.template.metadata.labels[apps.kruise.io/specified-delete]"]
    );
}
