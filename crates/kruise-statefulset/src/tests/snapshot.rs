use serde_json::{Value, json};

use super::facts::alone;
use crate::snapshot::{Policy, Retention, Settings, Update};

fn settings(change: &Value) -> Settings {
    alone(change).settings.unwrap()
}

fn refused(change: &Value) -> (String, String) {
    let invalid = alone(change).settings.unwrap_err();
    (invalid.field, invalid.problem)
}

#[test]
fn a_set_that_no_webhook_saw_has_the_defaults() {
    let spec = settings(&json!({ "replicas": null, "serviceName": null }));
    assert_eq!((spec.replicas, spec.history_limit, spec.min_ready_seconds), (1, 10, 0));
    assert!(spec.ordered);
    assert_eq!((spec.service.as_str(), spec.scale_budget), ("", None));
    assert_eq!(spec.retention, Retention::default());
    let rolling = spec.rolling().unwrap();
    assert_eq!((rolling.partition, rolling.max_unavailable), (0, 1));
    assert_eq!((rolling.policy, rolling.paused), (Policy::Recreate, false));
    assert!(rolling.unordered.is_none());
}

fn rolling(members: &Value) -> Value {
    json!({ "podManagementPolicy": "Parallel", "updateStrategy": { "rollingUpdate": members } })
}

#[test]
fn percentages_round_down_but_never_to_nothing() {
    let most = |amount: Value, replicas: i32| {
        let mut change = rolling(&json!({ "maxUnavailable": amount }));
        change["replicas"] = json!(replicas);
        settings(&change).rolling().unwrap().max_unavailable
    };
    assert_eq!(most(json!("25%"), 10), 2);
    assert_eq!(most(json!("1%"), 10), 1);
    assert_eq!(most(json!("0%"), 10), 1);
    assert_eq!(most(json!("100%"), 10), 10);
    assert_eq!(most(json!(3), 10), 3);
    assert_eq!(most(json!(0), 10), 1);
    assert_eq!(most(json!("50%"), 0), 1);
    assert_eq!(most(json!("4294967295%"), 1_000_000), 42_949_672_950_000, "no overflow");
}

#[test]
fn an_ordered_set_updates_one_pod_at_a_time_whatever_is_stored() {
    let change = json!({ "updateStrategy": { "rollingUpdate": { "maxUnavailable": "100%", "unorderedUpdate": {} } } });
    let spec = settings(&change);
    let rolling = spec.rolling().unwrap();
    assert_eq!(rolling.max_unavailable, 1);
    assert!(rolling.unordered.is_none());
}

#[test]
fn on_delete_has_no_rolling_update_and_no_min_ready_seconds() {
    let change = json!({ "updateStrategy": { "type": "OnDelete", "rollingUpdate": { "minReadySeconds": 9 } } });
    let spec = settings(&change);
    assert_eq!(spec.update, Update::OnDelete);
    assert_eq!(spec.min_ready_seconds, 0);
}

#[test]
fn min_ready_seconds_may_stand_where_native_sets_have_it() {
    let of = |own: &Value, rolling: &Value, kind: &str| {
        let strategy = json!({ "type": kind, "rollingUpdate": { "minReadySeconds": rolling } });
        settings(&json!({ "minReadySeconds": own, "updateStrategy": strategy })).min_ready_seconds
    };
    assert_eq!(of(&json!(5), &Value::Null, "RollingUpdate"), 5);
    assert_eq!(of(&json!(5), &json!(0), "RollingUpdate"), 0, "the nearer one wins");
    assert_eq!(of(&json!(5), &json!(9), "OnDelete"), 5);
    assert_eq!(of(&json!(-5), &Value::Null, "RollingUpdate"), 0);
}

#[test]
fn claims_are_kept_unless_both_members_say_something_known() {
    let of = |policy: &Value| {
        let Retention { delete_with_set, delete_with_pod } =
            settings(&json!({ "persistentVolumeClaimRetentionPolicy": policy })).retention;
        (delete_with_set, delete_with_pod)
    };
    assert_eq!(of(&json!({ "whenDeleted": "Delete", "whenScaled": "Retain" })), (true, false));
    assert_eq!(of(&json!({ "whenDeleted": "Retain", "whenScaled": "Delete" })), (false, true));
    assert_eq!(of(&json!({ "whenDeleted": "Delete" })), (false, false));
    assert_eq!(of(&json!({ "whenDeleted": "Delete", "whenScaled": "delete" })), (false, false));
}

#[test]
fn a_negative_history_limit_drops_nothing() {
    assert_eq!(settings(&json!({ "revisionHistoryLimit": -1 })).history_limit, 10);
    assert_eq!(settings(&json!({ "revisionHistoryLimit": 0 })).history_limit, 0);
}

#[test]
fn the_start_ordinal_counts_only_with_its_gate() {
    use super::facts::{Facts, set};
    let first = |gates: &str| {
        let facts = Facts::new(&set(&json!({ "ordinals": { "start": 5 } })), []);
        facts.snapshot(gates).settings.unwrap().ordinals.iter().next()
    };
    assert_eq!(first(""), Some(0));
    assert_eq!(first("StatefulSetStartOrdinal=true"), Some(5));
}

#[test]
fn nonsense_is_refused_with_field_value_and_rule() {
    let claims =
        json!({ "volumeClaimTemplates": [{ "metadata": { "name": "a" } }, { "spec": {} }] });
    let table = [
        (json!({ "selector": { "matchLabels": null } }), "spec.selector", "empty selector"),
        (
            json!({ "selector": { "matchLabels": null, "matchExpressions": [{ "key": "a", "operator": "Maybe" }] } }),
            "spec.selector",
            "matchExpressions[0]: operator: \"Maybe\" is not In, NotIn, Exists or DoesNotExist",
        ),
        (
            json!({ "template": { "metadata": { "labels": { "app": "db" } } } }),
            "spec.template.metadata.labels",
            "\"app=db\": `selector` \"app=web\" does not match template `labels`",
        ),
        (
            rolling(&json!({ "maxUnavailable": "lots" })),
            "spec.updateStrategy.rollingUpdate.maxUnavailable",
            "\"lots\" is neither a number nor a percentage such as \"10%\"",
        ),
        (
            rolling(&json!({ "podUpdatePolicy": "Sometimes" })),
            "spec.updateStrategy.rollingUpdate.podUpdatePolicy",
            "\"Sometimes\": must be 'ReCreate', 'InPlaceIfPossible' or 'InPlaceOnly'",
        ),
        (
            json!({ "scaleStrategy": { "maxUnavailable": "5" } }),
            "spec.scaleStrategy.maxUnavailable",
            "\"5\" is neither a number nor a percentage such as \"10%\"",
        ),
        (
            json!({ "reserveOrdinals": [1, "2"] }),
            "spec.reserveOrdinals[1]",
            "\"2\": must be an ordinal of at least 0 or a range \"a-b\" with a ≤ b",
        ),
        (claims, "spec.volumeClaimTemplates[1]", "metadata.name: must not be empty"),
        (json!({ "replicas": "many" }), "spec", "invalid type: string \"many\", expected i32"),
    ];
    check(&table);
}

fn check(table: &[(Value, &str, &str)]) {
    for (change, field, problem) in table {
        let (at, why) = refused(change);
        assert_eq!(at, *field, "{change}");
        assert!(why.starts_with(problem), "{change}: {why}");
    }
}

#[test]
fn nothing_is_guessed_from_numbers_out_of_range_and_unknown_words() {
    check(&[
        (json!({ "replicas": -1 }), "spec.replicas", "-1: must be greater than or equal to 0"),
        (
            json!({ "replicas": 2_000_000_000 }),
            "spec.replicas",
            "2000000000: must be at most 1000000",
        ),
        (
            rolling(&json!({ "partition": -1 })),
            "spec.updateStrategy.rollingUpdate.partition",
            "-1: must be greater than or equal to 0",
        ),
        (
            json!({ "podManagementPolicy": "parallel" }),
            "spec.podManagementPolicy",
            "\"parallel\": must be 'OrderedReady' or 'Parallel'",
        ),
        (
            json!({ "updateStrategy": { "type": "Recreate" } }),
            "spec.updateStrategy.type",
            "\"Recreate\": must be 'RollingUpdate' or 'OnDelete'",
        ),
    ]);
}

/// M-9, F-9: of the replicas, rounded down, at least one.
#[test]
fn a_percentage_of_the_replicas_may_be_left_unavailable_by_scaling() {
    let budget = |amount: Value, replicas: i32| {
        let scale = json!({ "replicas": replicas, "scaleStrategy": { "maxUnavailable": amount } });
        settings(&scale).scale_budget
    };
    assert_eq!(budget(json!("25%"), 10), Some(2));
    assert_eq!(budget(json!("25%"), 2), Some(1));
    assert_eq!(budget(json!(3), 2), Some(3));
    assert_eq!(budget(Value::Null, 10), None);
}
