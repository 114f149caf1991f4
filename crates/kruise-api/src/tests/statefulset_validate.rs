use std::path::Path;

use serde_json::{Value, json};

use crate::statefulset::v1beta1::StatefulSetSpec;
use crate::statefulset::validate::{
    ClaimChange, claim_changes, stricter, validate, validate_update,
};

/// A set as admission leaves it, with changes; a member that is `null` goes.
fn spec(change: &Value) -> StatefulSetSpec {
    let mut spec = json!({
        "replicas": 3,
        "selector": { "matchLabels": { "app": "web" } },
        "serviceName": "web",
        "podManagementPolicy": "Parallel",
        "updateStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {
                "partition": 0, "maxUnavailable": 1, "podUpdatePolicy": "ReCreate", "minReadySeconds": 0,
            },
        },
        "template": {
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "app", "image": "app:1" }, { "name": "log", "image": "log:1" }] },
        },
    });
    merge(&mut spec, change);
    serde_json::from_str(&spec.to_string()).unwrap()
}

fn merge(target: &mut Value, change: &Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (member, value) in change {
                if value.is_null() {
                    target.remove(member);
                } else {
                    merge(target.entry(member).or_insert(Value::Null), value);
                }
            }
        }
        (target, change) => *target = change.clone(),
    }
}

fn problems(change: &Value) -> Vec<String> {
    validate(&spec(change)).iter().map(ToString::to_string).collect()
}

fn rolling(change: &Value) -> Value {
    json!({ "updateStrategy": { "rollingUpdate": change } })
}

fn accepted(changes: &[Value]) {
    for change in changes {
        assert_eq!(problems(change), [] as [&str; 0], "{change}");
    }
}

/// Each change with everything that is said about it.
fn refused(changes: &[(Value, &[&str])]) {
    for (change, expected) in changes {
        assert_eq!(problems(change), *expected, "{change}");
    }
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
    accepted(&[json!({}), json!({ "podManagementPolicy": "OrderedReady" })]);
    refused(&[
        (json!({ "podManagementPolicy": null }), &["spec.podManagementPolicy: Required value"]),
        (
            json!({ "podManagementPolicy": "Ordered", "updateStrategy": { "type": "OnDelete", "rollingUpdate": null } }),
            &[
                "spec.podManagementPolicy: Invalid value: \"Ordered\": must be 'OrderedReady' or 'Parallel'",
            ],
        ),
    ]);
}

#[test]
fn reserved_ordinals_are_numbers_or_ranges() {
    accepted(&[json!({ "reserveOrdinals": [0, 5, "7-9", "3-3"] })]);
    refused(&[
        (
            json!({ "reserveOrdinals": [1, -2] }),
            &["spec: Invalid value: -2: 1 th reserve ordinal is negative: -2"],
        ),
        (
            json!({ "reserveOrdinals": ["9-7"] }),
            &[
                "spec: Invalid value: \"9-7\": 0 th reserve ordinal is invalid: 9-7, err = invalid range 9-7",
            ],
        ),
        (
            json!({ "reserveOrdinals": ["7"] }),
            &[
                "spec: Invalid value: \"7\": 0 th reserve ordinal is not a valid range: 7",
                "spec: Invalid value: \"7\": 0 th reserve ordinal is invalid: 7, err = invalid range 7",
            ],
        ),
        (
            json!({ "reserveOrdinals": ["1-99999999999"] }),
            &[
                "spec: Invalid value: \"1-99999999999\": 0 th reserve ordinal is invalid: 1-99999999999, err = \
               strconv.Atoi: parsing \"99999999999\": number too large to fit in target type",
            ],
        ),
    ]);
}

#[test]
fn amounts_are_positive_and_only_parallel_sets_have_more_than_one() {
    accepted(&[
        rolling(&json!({ "maxUnavailable": "1%" })),
        rolling(&json!({ "maxUnavailable": "300%" })),
        json!({ "scaleStrategy": { "maxUnavailable": 4 } }),
        json!({ "podManagementPolicy": "OrderedReady", "scaleStrategy": { "maxUnavailable": 1 } }),
    ]);
    let path = "spec.updateStrategy.rollingUpdate.maxUnavailable";
    let of = |text: &str| text.replace("PATH", path);
    let percent = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%', or '93%', regex \
                   used for validation is '[0-9]+%')";
    for (amount, expected) in [
        (json!(0), vec![of("PATH: Invalid value: 0: should not be less than 1")]),
        (json!("00%"), vec![of("PATH: Invalid value: \"00%\": should not be less than 1")]),
        (
            json!(-1),
            vec![
                of("PATH: Invalid value: -1: must be greater than or equal to 0"),
                of("PATH: Invalid value: -1: should not be less than 1"),
            ],
        ),
        (
            json!("5"),
            vec![
                of(&format!("PATH: Invalid value: \"5\": {percent}")),
                of(
                    "PATH: Invalid value: \"5\": getValueFromIntOrPercent error: invalid value for IntOrString: invalid \
                    type: string is not a percentage",
                ),
            ],
        ),
    ] {
        assert_eq!(problems(&rolling(&json!({ "maxUnavailable": amount }))), expected, "{amount}");
    }
    let mut ordered = rolling(&json!({ "maxUnavailable": "100%" }));
    ordered["podManagementPolicy"] = json!("OrderedReady");
    refused(&[
        (
            ordered,
            &[
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: \"100%\": can only work with Parallel \
               PodManagementPolicyType",
            ],
        ),
        (
            rolling(&json!({ "maxUnavailable": null })),
            &["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value"],
        ),
    ]);
}

#[test]
fn an_update_strategy_is_whole_or_on_delete() {
    accepted(&[
        json!({ "updateStrategy": { "type": "OnDelete", "rollingUpdate": null } }),
        json!({ "updateStrategy": { "rollingUpdate": null } }),
    ]);
    refused(&[
        (json!({ "updateStrategy": { "type": null } }), &["spec.updateStrategy: Required value"]),
        (
            json!({ "updateStrategy": { "type": "Rolling" } }),
            &[
                "spec.updateStrategy: Invalid value: \"Rolling\": must be 'RollingUpdate' or 'OnDelete'",
            ],
        ),
        (
            json!({ "updateStrategy": { "type": "OnDelete", "rollingUpdate": { "partition": null, "maxUnavailable": null, "minReadySeconds": null } } }),
            &[
                "spec.updateStrategy.rollingUpdate: Invalid value: {\"podUpdatePolicy\":\"ReCreate\"}: only allowed for \
               updateStrategy 'RollingUpdate'",
            ],
        ),
        (
            rolling(&json!({ "partition": -1, "minReadySeconds": 301 })),
            &[
                "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
                "spec.updateStrategy.rollingUpdate.minReadySeconds: Invalid value: 301: must be no more than 300 seconds",
            ],
        ),
        (
            rolling(&json!({ "minReadySeconds": -1 })),
            &[
                "spec.updateStrategy.rollingUpdate.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
    ]);
}

#[test]
fn in_place_wants_its_gate() {
    let gate = json!({ "spec": { "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }] } });
    let mut with_gate = rolling(&json!({ "podUpdatePolicy": "InPlaceOnly" }));
    with_gate["template"] = gate;
    accepted(&[with_gate]);
    refused(&[
        (
            rolling(&json!({ "podUpdatePolicy": "InPlaceIfPossible" })),
            &[
                "spec.template.spec.readinessGates: Invalid value: null: must contains InPlaceUpdateReady when \
               podUpdatePolicy is InPlaceIfPossible",
            ],
        ),
        (
            rolling(&json!({ "podUpdatePolicy": null })),
            &["spec.updateStrategy.rollingUpdate.podUpdatePolicy: Required value"],
        ),
        (
            rolling(&json!({ "podUpdatePolicy": "InPlace" })),
            &[
                "spec.updateStrategy.rollingUpdate.podUpdatePolicy: Invalid value: \"InPlace\": must be 'ReCreate', \
               InPlaceIfPossible or 'InPlaceOnly'",
            ],
        ),
    ]);
}

#[test]
fn unordered_updates_have_one_kind_of_priority() {
    let priority =
        |strategy: Value| rolling(&json!({ "unorderedUpdate": { "priorityStrategy": strategy } }));
    let selector = json!({ "matchLabels": { "a": "b" } });
    accepted(&[
        rolling(&json!({ "unorderedUpdate": {} })),
        priority(json!({ "weightPriority": [{ "weight": 0, "matchSelector": selector }] })),
        priority(json!({ "orderPriority": [{ "orderedKey": "k" }] })),
    ]);
    let mut ordered = rolling(&json!({ "unorderedUpdate": {} }));
    ordered["podManagementPolicy"] = json!("OrderedReady");
    let path = "spec.updateStrategy.rollingUpdate.unorderedUpdate";
    assert_eq!(
        problems(&ordered),
        [format!(
            "{path}: Required value: unorderedUpdate can only work with Parallel PodManagementPolicyType"
        )]
    );
    let said = |strategy: Value| {
        let problems = problems(&priority(strategy));
        let cut = |text: &String| {
            text.strip_prefix(&format!("{path}.priorityStrategy: Required value: "))
                .unwrap()
                .to_owned()
        };
        problems.iter().map(cut).collect::<Vec<_>>()
    };
    let weight =
        |weight: i32, selector: &Value| json!({ "weight": weight, "matchSelector": selector });
    assert_eq!(
        said(
            json!({ "weightPriority": [weight(1, &selector)], "orderPriority": [{ "orderedKey": "k" }] })
        ),
        ["only one of weightPriority and orderPriority can be used"]
    );
    assert_eq!(
        said(json!({ "weightPriority": [weight(101, &json!({}))] })),
        ["weight must be valid number in the range 1-100", "selector can not be empty"]
    );
    let odd = json!({ "matchExpressions": [{ "key": "a", "operator": "Maybe" }] });
    assert_eq!(
        said(json!({ "weightPriority": [weight(1, &odd)] })),
        [
            "invalid selector matchSelector.matchExpressions[0].operator: Invalid value: \"Maybe\": not a valid selector \
          operator"
        ]
    );
    assert_eq!(
        said(json!({ "orderPriority": [{ "orderedKey": "" }] })),
        ["order key can not be empty"]
    );
}

#[test]
fn retention_policies_are_known_words() {
    let policy = |deleted: &str, scaled: &str| json!({ "persistentVolumeClaimRetentionPolicy": { "whenDeleted": deleted, "whenScaled": scaled } });
    accepted(&[policy("Retain", "Delete"), policy("Delete", "Retain")]);
    let path = "spec.persistentVolumeClaimRetentionPolicy";
    let known = "supported values: \"Retain\", \"Delete\"";
    assert_eq!(
        problems(&policy("Keep", "")),
        [
            format!("{path}.whenDeleted: Unsupported value: \"Keep\": {known}"),
            format!("{path}.whenScaled: Unsupported value: \"\": {known}"),
        ]
    );
}

#[test]
fn a_selector_selects_the_template() {
    accepted(&[
        json!({ "selector": { "matchExpressions": [{ "key": "app", "operator": "Exists" }] } }),
    ]);
    refused(&[
        (
            json!({ "replicas": -1 }),
            &["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            json!({ "selector": { "matchLabels": null } }),
            &["spec.selector: Invalid value: {}: empty selector is invalid for statefulset"],
        ),
        (
            json!({ "selector": { "matchLabels": { "app": "db" } } }),
            &[
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template \
               `labels`",
            ],
        ),
        (
            json!({ "selector": { "matchExpressions": [{ "key": "app", "operator": "In" }] } }),
            &[
                "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or \
               'NotIn'",
            ],
        ),
    ]);
}

#[test]
fn a_template_has_good_labels_and_runs_always() {
    let template = |change: Value| json!({ "template": change });
    accepted(&[
        template(json!({ "spec": { "restartPolicy": "Always" } })),
        template(
            json!({ "metadata": { "labels": { "example.com/a_b.C-1": "" }, "annotations": { "A/b": "any thing" } } }),
        ),
        // What a container must be is the API server's to say (V-30).
        template(json!({ "spec": { "containers": [] } })),
    ]);
    refused(&[
        (
            template(json!({ "metadata": { "labels": { "a/b/c": "x" } } })),
            &[
                "spec.template.labels: Invalid value: \"a/b/c\": a qualified name must have at most one '/'",
            ],
        ),
        (
            template(json!({ "metadata": { "labels": { "a": "-x" } } })),
            &[
                "spec.template.labels: Invalid value: \"-x\": a valid label must be an empty string or consist of \
               alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            ],
        ),
        (
            template(json!({ "metadata": { "annotations": { "a b": "x" } } })),
            &[
                "spec.template.annotations: Invalid value: \"a b\": name part must consist of alphanumeric characters, \
               '-', '_' or '.', and must start and end with an alphanumeric character",
            ],
        ),
        (
            template(json!({ "spec": { "restartPolicy": "Never", "activeDeadlineSeconds": 5 } })),
            &[
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
                "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not \
                 Supported",
            ],
        ),
    ]);
}

fn changed(from: &Value, to: &Value) -> Vec<String> {
    validate_update(&spec(from), &spec(to)).iter().map(ToString::to_string).collect()
}

#[test]
fn identity_is_immutable_and_everything_else_is_not() {
    for change in [
        json!({ "replicas": 9, "reserveOrdinals": [1], "revisionHistoryLimit": 2, "ordinals": { "start": 3 } }),
        json!({ "lifecycle": { "preDelete": { "finalizersHandler": ["a/b"] } }, "scaleStrategy": { "maxUnavailable": 2 } }),
        json!({ "template": { "spec": { "containers": [] } }, "volumeClaimTemplates": [{ "metadata": { "name": "a" } }] }),
        json!({ "selector": { "matchExpressions": [] } }),
    ] {
        assert_eq!(changed(&json!({}), &change), [] as [&str; 0], "{change}");
    }
    let labels = json!({ "app": "web", "tier": "db" });
    for change in [
        json!({ "serviceName": "other" }),
        json!({ "podManagementPolicy": "OrderedReady" }),
        json!({ "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels } } }),
    ] {
        let [error] = &changed(&json!({}), &change)[..] else { panic!("one problem: {change}") };
        assert!(
            error.starts_with("spec: Forbidden: updates to statefulset spec for fields"),
            "{error}"
        );
    }
}

#[test]
fn in_place_only_takes_images_of_containers_and_nothing_else() {
    let only = |containers: Value| {
        let mut change = rolling(&json!({ "podUpdatePolicy": "InPlaceOnly" }));
        change["template"] = json!({ "spec": {
            "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }], "containers": containers,
        } });
        change
    };
    let app = |image: &str| json!({ "name": "app", "image": image });
    let before = only(json!([app("app:1")]));
    assert_eq!(changed(&before, &only(json!([app("app:2")]))), [] as [&str; 0]);
    let said = |containers: Value| {
        let [error] = &changed(&before, &only(containers))[..] else { panic!("one problem") };
        let (_, rest) = error.split_once("InPlaceOnly strategy: ").unwrap();
        rest.split_once(',').unwrap().0.to_owned()
    };
    assert_eq!(said(json!([app("app:1"), app("b")])), "add /containers/1");
    assert_eq!(said(json!([])), "remove /containers/0");
    assert_eq!(said(json!([{ "name": "x", "image": "app:2" }])), "replace /containers/0/name");
    assert_eq!(
        said(json!([{ "name": "app", "image": "app:1", "imagePullPolicy": "Never" }])),
        "add /containers/0/imagePullPolicy"
    );
    let mut labelled = only(json!([app("app:1")]));
    labelled["template"]["metadata"] = json!({ "labels": { "more": "x" } });
    assert_eq!(changed(&before, &labelled), [] as [&str; 0], "metadata is not looked at");
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
