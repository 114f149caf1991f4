use serde_json::{Value, json};

use crate::broadcastjob::validate::{validate, warnings};

const LONG: &str = "a123456789-a123456789-a123456789-a123456789-a123456789-a123456789";

/// A job as admission leaves it, with changes; a member that is `null` goes.
fn job(change: &Value) -> Value {
    let mut job = json!({
        "apiVersion": "apps.kruise.io/v1beta1",
        "kind": "BroadcastJob",
        "metadata": { "name": "clean", "namespace": "default" },
        "spec": {
            "parallelism": i32::MAX,
            "completionPolicy": { "type": "Always" },
            "failurePolicy": { "type": "FailFast" },
            "template": {
                "metadata": { "labels": { "app": "clean" } },
                "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "c:1" }] },
            },
        },
    });
    merge(&mut job, change);
    job
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
    validate(&job(change), None).iter().map(ToString::to_string).collect()
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

fn spec(change: &Value) -> Value {
    json!({ "spec": change })
}

fn failure(change: &Value) -> Value {
    json!({ "spec": { "failurePolicy": change } })
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
    accepted(&[
        json!({ "metadata": { "name": "a-1" } }),
        json!({ "metadata": { "name": null, "generateName": "a-" } }),
        json!({ "metadata": { "name": LONG.get(..63) } }),
    ]);
    let rule = "BroadcastJob name must consist of alphanumeric characters or '-' (e.g. 'example-com', regex used for validation is '^[a-zA-Z0-9\\-]+$')";
    let dotted = format!("metadata.name: Invalid value: \"a.b\": {rule}");
    let generated = format!("metadata.generateName: Invalid value: \"a.\": {rule}");
    let long =
        format!("metadata.name: Invalid value: \"{LONG}\": must be no more than 63 characters");
    refused(&[
        (json!({ "metadata": { "name": "a.b" } }), &[&dotted]),
        (json!({ "metadata": { "name": null, "generateName": "a." } }), &[&generated]),
        (json!({ "metadata": { "name": LONG } }), &[&long]),
    ]);
}

#[test]
fn a_job_without_an_end_has_neither_deadline_nor_time_to_live() {
    accepted(&[
        spec(
            &json!({ "completionPolicy": { "activeDeadlineSeconds": 5, "ttlSecondsAfterFinished": 0 } }),
        ),
        spec(&json!({ "completionPolicy": { "type": "Never" } })),
    ]);
    refused(&[(
        spec(
            &json!({ "completionPolicy": { "type": "Never", "activeDeadlineSeconds": 5, "ttlSecondsAfterFinished": 7 } }),
        ),
        &[
            "spec.completionPolicy.ttlSecondsAfterFinished: Invalid value: 7: ttlSecondsAfterFinished can just work with Always CompletionPolicyType",
            "spec.completionPolicy.activeDeadlineSeconds: Invalid value: 5: activeDeadlineSeconds can just work with Always CompletionPolicyType",
        ],
    )]);
}

#[test]
fn pods_end_and_do_not_carry_our_labels() {
    let pod = |change: Value| json!({ "spec": { "template": { "spec": change } } });
    let labels =
        |change: Value| json!({ "spec": { "template": { "metadata": { "labels": change } } } });
    accepted(&[
        pod(json!({ "restartPolicy": "OnFailure" })),
        labels(json!({ "broadcastjob-name": "", "broadcastjob-controller-uid": "" })),
    ]);
    let preset = "\"broadcastjob-name\" and \"broadcastjob-controller-uid\" are not allowed to preset in pod labels";
    let named = format!(
        "spec.template.metadata.labels: Invalid value: {{\"app\":\"clean\",\"broadcastjob-name\":\"x\"}}: {preset}"
    );
    let ided = format!(
        "spec.template.metadata.labels: Invalid value: {{\"app\":\"clean\",\"broadcastjob-controller-uid\":\"x\"}}: {preset}"
    );
    refused(&[
        (
            pod(json!({ "restartPolicy": "Always" })),
            &[
                "spec.template.spec.restartPolicy: Invalid value: \"Always\": pod restartPolicy can only be Never or OnFailure",
            ],
        ),
        (
            pod(json!({ "restartPolicy": null })),
            &[
                "spec.template.spec.restartPolicy: Invalid value: \"Always\": pod restartPolicy can only be Never or OnFailure",
            ],
        ),
        (labels(json!({ "broadcastjob-name": "x" })), &[&named]),
        (labels(json!({ "broadcastjob-controller-uid": "x" })), &[&ided]),
    ]);
    let text = problems(&spec(&json!({ "template": "x" })));
    assert_eq!(
        text,
        [
            ": Invalid value: \"x\": Convert_v1_PodTemplateSpec_To_core_PodTemplateSpec failed: it is not an object"
        ]
    );
    // The rest of the template is asked too.
    let none = problems(&pod(json!({ "containers": [] })));
    assert_eq!(none, ["spec.template.spec.containers: Required value"]);
}

#[test]
fn amounts_are_numbers_or_percentages() {
    accepted(&[
        spec(&json!({ "parallelism": 0 })),
        spec(&json!({ "parallelism": "0%" })),
        spec(&json!({ "parallelism": "5" })),
        spec(&json!({ "parallelism": "200%" })),
        failure(&json!({ "maxFailedNodes": "10%" })),
    ]);
    refused(&[
        (
            spec(&json!({ "parallelism": -1 })),
            &["spec.parallelism: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            spec(&json!({ "parallelism": "some" })),
            &[
                "spec.parallelism: Invalid value: \"some\": must be a number or a percentage (e.g. 5 or '10%')",
            ],
        ),
        (
            failure(&json!({ "maxFailedNodes": -1 })),
            &[
                "spec.failurePolicy.maxFailedNodes: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            failure(&json!({ "type": "Continue", "maxFailedNodes": 1 })),
            &["spec.failurePolicy.maxFailedNodes: Forbidden: only with type 'FailFast' or 'Pause'"],
        ),
    ]);
}

#[test]
fn times_and_limits_are_not_negative() {
    refused(&[
        (
            spec(
                &json!({ "completionPolicy": { "activeDeadlineSeconds": 0, "ttlSecondsAfterFinished": -1 } }),
            ),
            &[
                "spec.completionPolicy.activeDeadlineSeconds: Invalid value: 0: must be greater than or equal to 1",
                "spec.completionPolicy.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            failure(
                &json!({ "restartLimit": -1, "retry": { "limit": -1, "backoffSeconds": -2, "maxBackoffSeconds": -3 } }),
            ),
            &[
                "spec.failurePolicy.restartLimit: Invalid value: -1: must be greater than or equal to 0",
                "spec.failurePolicy.retry.limit: Invalid value: -1: must be greater than or equal to 0",
                "spec.failurePolicy.retry.backoffSeconds: Invalid value: -2: must be greater than or equal to 0",
                "spec.failurePolicy.retry.maxBackoffSeconds: Invalid value: -3: must be greater than or equal to 0",
            ],
        ),
    ]);
    accepted(&[failure(&json!({ "restartLimit": 3, "retry": { "limit": 2 } }))]);
}

#[test]
fn failure_rules_say_what_they_match_and_what_follows() {
    let rule = |rule: Value| failure(&json!({ "rules": [rule] }));
    accepted(&[
        rule(json!({ "action": "FailJob", "onExitCodes": { "operator": "In", "values": [42] } })),
        rule(json!({ "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget" }] })),
        rule(
            json!({ "action": "FailNode", "onExitCodes": { "operator": "NotIn", "values": [0] } }),
        ),
    ]);
    let at = "spec.failurePolicy.rules[0]";
    let neither = format!(
        "{at}: Required value: specifying one of 'onExitCodes' and 'onPodConditions' is required"
    );
    let both = format!(
        "{at}: Forbidden: only one of 'onExitCodes' and 'onPodConditions' may be specified"
    );
    let action = format!(
        "{at}.action: Unsupported value: \"Count\": supported values: \"Ignore\", \"FailNode\", \"FailJob\""
    );
    let operator = format!(
        "{at}.onExitCodes.operator: Unsupported value: \"Is\": supported values: \"In\", \"NotIn\""
    );
    let values = format!("{at}.onExitCodes.values: Required value: at least one value is required");
    let zero =
        format!("{at}.onExitCodes.values: Invalid value: 0: must not be 0 for the In operator");
    let kind = format!("{at}.onPodConditions[0].type: Required value");
    refused(&[
        (rule(json!({ "action": "Ignore" })), &[&neither]),
        (
            rule(
                json!({ "action": "Ignore", "onExitCodes": { "operator": "In", "values": [1] }, "onPodConditions": [{ "type": "X" }] }),
            ),
            &[&both],
        ),
        (rule(json!({ "action": "Count", "onPodConditions": [{ "type": "X" }] })), &[&action]),
        (
            rule(json!({ "action": "Ignore", "onExitCodes": { "operator": "Is" } })),
            &[&operator, &values],
        ),
        (
            rule(json!({ "action": "Ignore", "onExitCodes": { "operator": "In", "values": [0] } })),
            &[&zero],
        ),
        (rule(json!({ "action": "Ignore", "onPodConditions": [{}] })), &[&kind]),
    ]);
}

#[test]
fn waves_have_sizes_and_domains_a_key() {
    let rollout = |rollout: Value| spec(&json!({ "rollout": rollout }));
    accepted(&[
        rollout(
            json!({ "first": { "matchLabels": { "canary": "true" } }, "waves": [1, "10%"], "soakSeconds": 60 }),
        ),
        rollout(json!({ "topologyKey": "topology.kubernetes.io/zone", "maxPerTopology": 1 })),
    ]);
    refused(&[
        (
            rollout(json!({ "first": {}, "waves": ["x"], "soakSeconds": -1 })),
            &[
                "spec.rollout.first: Invalid value: {}: empty selector is invalid: it selects every node",
                "spec.rollout.waves[0]: Invalid value: \"x\": must be a number or a percentage (e.g. 5 or '10%')",
                "spec.rollout.soakSeconds: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            rollout(json!({ "maxPerTopology": 1 })),
            &["spec.rollout.topologyKey: Required value: must be specified with maxPerTopology"],
        ),
        (
            rollout(json!({ "topologyKey": "zone", "maxPerTopology": 0 })),
            &["spec.rollout.maxPerTopology: Invalid value: 0: must be greater than or equal to 1"],
        ),
        (
            rollout(json!({ "topologyKey": "a/b/c" })),
            &[
                "spec.rollout.topologyKey: Invalid value: \"a/b/c\": a qualified name must have at most one '/'",
            ],
        ),
        (
            spec(&json!({ "unfitPods": "Evict" })),
            &[
                "spec.unfitPods: Unsupported value: \"Evict\": supported values: \"Keep\", \"Delete\"",
            ],
        ),
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
