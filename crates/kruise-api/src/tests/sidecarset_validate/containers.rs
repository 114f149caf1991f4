#![expect(clippy::too_many_lines, reason = "tables of what is said")]

use serde_json::{Value, json};

use super::{Set, accepted, container, refused, said, spec};
use crate::sidecarset::validate::Surroundings;

fn one(change: &Value) -> Value {
    json!({ "containers": [container(change)] })
}

fn init(change: &Value) -> Value {
    let mut named = json!({ "name": "init" });
    super::merge(&mut named, change);
    json!({ "initContainers": [container(&named)], "updateStrategy": { "type": "NotUpdate" } })
}

/// VAL-40, VAL-41, VAL-43 (W-33, W-41).
#[test]
fn policies() {
    accepted(&[
        one(
            &json!({ "podInjectPolicy": "AfterAppContainer", "shareVolumePolicy": { "type": "enabled" } }),
        ),
        one(&json!({ "shareVolumeDevicePolicy": { "type": "enabled" } })),
        one(
            &json!({ "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1" } }),
        ),
        init(&json!({ "podInjectPolicy": "BeforeAppContainer" })),
    ]);
    let at = "spec.containers[0]";
    refused(&[
        (
            one(&json!({ "podInjectPolicy": "Middle", "shareVolumePolicy": { "type": "on" } })),
            &[
                &format!(
                    "{at}.podInjectPolicy: Invalid value: \"Middle\": unsupported pod inject policy"
                ),
                &format!(
                    "{at}.shareVolumePolicy: Invalid value: \"on\": unsupported share volume policy"
                ),
            ],
        ),
        (
            one(&json!({ "shareVolumeDevicePolicy": { "type": "on" } })),
            &[&format!(
                "{at}.shareVolumeDevicePolicy.type: Unsupported value: \"on\": supported values: \"enabled\", \"disabled\""
            )],
        ),
        (
            one(&json!({ "upgradeStrategy": { "upgradeType": "Warm" } })),
            &[&format!(
                "{at}.upgradeStrategy.upgradeType: Unsupported value: \"Warm\": supported values: \"ColdUpgrade\", \"HotUpgrade\""
            )],
        ),
        (
            one(&json!({ "upgradeStrategy": { "upgradeType": "HotUpgrade" } })),
            &[&format!(
                "{at}.upgradeStrategy.hotUpgradeEmptyImage: Required value: the twin that does not work needs an image"
            )],
        ),
        (
            init(&json!({ "podInjectPolicy": "Middle", "shareVolumePolicy": { "type": "on" } })),
            &[
                "spec.initContainers[0].podInjectPolicy: Unsupported value: \"Middle\": supported values: \"BeforeAppContainer\", \"AfterAppContainer\"",
                "spec.initContainers[0].shareVolumePolicy.type: Unsupported value: \"on\": supported values: \"enabled\", \"disabled\"",
            ],
        ),
        (
            init(&json!({
                "restartPolicy": "Always",
                "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1" },
            })),
            &[
                "spec.initContainers[0].upgradeStrategy.upgradeType: Forbidden: HotUpgrade is not supported for init containers: nothing ever switches them",
            ],
        ),
    ]);
}

/// VAL-42, W-31.
#[test]
fn sources_of_env() {
    let from = |from: Value| {
        one(&json!({ "transferEnv": [{ "sourceContainerNameFrom": from, "envName": "A" }] }))
    };
    let path = |version: &str, path: &str| {
        from(json!({ "fieldRef": { "apiVersion": version, "fieldPath": path } }))
    };
    accepted(&[
        path("v1", "metadata.labels['app']"),
        path("v1", "metadata.annotations['Example.com/Main']"),
        one(&json!({ "transferEnv": [{ "sourceContainerName": "main", "envNames": ["A", "B"] }] })),
    ]);
    let at = "spec.containers[0].transferEnv[0].sourceContainerNameFrom.fieldRef";
    let converting = |value: &str, why: &str| {
        format!("{at}.fieldPath: Invalid value: {value:?}: error converting fieldPath: {why}")
    };
    refused(&[
        (from(json!({})), &[&format!("{at}: Required value")]),
        (path("", "metadata.labels['app']"), &[&format!("{at}.apiVersion: Required value")]),
        (path("v1", ""), &[&format!("{at}.fieldPath: Required value")]),
        (
            path("v2", "metadata.labels['app']"),
            &[&converting("metadata.labels['app']", "unsupported pod version: v2")],
        ),
        (
            path("v1", "metadata.name"),
            &[&converting("metadata.name", "field path not supported: metadata.name")],
        ),
        (path("v1", "name"), &[&converting("name", "field label not supported: name")]),
        (
            path("v1", "metadata.labels['a/b/c']"),
            &[&format!(
                "{at}.fieldPath: Invalid value: \"metadata.labels['a/b/c']\": a qualified name must have at most one '/'"
            )],
        ),
        (
            one(&json!({ "transferEnv": [{ "sourceContainerName": "main" }] })),
            &["spec.containers[0].transferEnv[0]: Required value: envName or envNames must be set"],
        ),
    ]);
}

/// VAL-44…VAL-49.
#[test]
fn policies_of_resources() {
    let policy = |regex: &str, expressions: Value| {
        json!({ "resourcesPolicy": {
            "targetContainersMode": "sum", "targetContainersNameRegex": regex, "resourcesExpr": expressions,
        } })
    };
    let cpu = |text: &str| one(&policy(".*", json!({ "limits": { "cpu": text } })));
    let memory = |text: &str| one(&policy(".*", json!({ "requests": { "memory": text } })));
    let mut native = policy(".*", json!({ "limits": { "cpu": "cpu" } }));
    accepted(&[
        cpu("max(cpu*50%, 50m)"),
        memory("0.5*memory+max(0,memory-2Gi)"),
        one(&policy("^a|b$", json!({ "limits": {}, "requests": {} }))),
        // W-34: sensible for real sizes, refused by OpenKruise.
        memory("memory-100Mi"),
        cpu("cpu-1.5"),
    ]);
    let at = "spec.containers[0].resourcesPolicy";
    let wrong = |list: &str, text: &str, why: &str| {
        format!("{at}.resourcesExpr.{list}: Invalid value: {text:?}: invalid expression: {why}")
    };
    let mut both = policy(".*", json!({ "limits": { "cpu": "cpu" } }));
    both["resources"] = json!({ "limits": { "cpu": "1" } });
    refused(&[
        (
            one(&both),
            &[&format!(
                "{at}: Invalid value: \"agent\": resourcesPolicy and resources cannot be configured together"
            )],
        ),
        (
            one(&policy("", json!({ "limits": {} }))),
            &[&format!("{at}.targetContainersNameRegex: Invalid value: \"\": invalid empty regex")],
        ),
        (
            one(&policy(".*", json!({}))),
            &[&format!(
                "{at}.resourcesExpr: Invalid value: \"\": at least one of limits or requests must be configured"
            )],
        ),
        (cpu("memory*2"), &[&wrong("limits.cpu", "memory*2", "undefined variable: memory")]),
        (memory("cpu*2"), &[&wrong("requests.memory", "cpu*2", "undefined variable: cpu")]),
        (cpu("cpu*cpu"), &[&wrong("limits.cpu", "cpu*cpu", "multiplication of two quantities")]),
        (cpu("cpu*2m"), &[&wrong("limits.cpu", "cpu*2m", "multiplication of two quantities")]),
        (cpu("5x"), &[&wrong("limits.cpu", "5x", "\"5x\" is not a number")]),
        (cpu("-1m"), &[&wrong("limits.cpu", "-1m", "calculation result is negative: -1m")]),
        (
            cpu("cpu*"),
            &[&wrong("limits.cpu", "cpu*", "parse error: syntax error at line 1, col 5")],
        ),
    ]);
    let pattern = super::problems(&one(&policy("(", json!({ "limits": {} }))));
    assert!(
        pattern.len() == 1 && pattern[0].contains("invalid regex pattern: regex parse error"),
        "{pattern:?}"
    );
    let huge = super::problems(&one(&policy("(a{1000}){1000}", json!({ "limits": {} }))));
    assert!(
        huge[0].contains("invalid regex pattern: Compiled regex exceeds size limit"),
        "{huge:?}"
    );
    refused(&[(
        init(&native),
        &[
            "spec.initContainers[0].resourcesPolicy: Invalid value: \"init\": resourcesPolicy is only supported for containers with RestartPolicy Always",
        ],
    )]);
    native["restartPolicy"] = json!("Always");
    accepted(&[init(&native)]);
}

/// VAL-60…VAL-62.
#[test]
fn changes() {
    let pair = json!([container(&json!({})), container(&json!({ "name": "b" }))]);
    let old = Set::new("log", &json!({}), &spec(&json!({ "containers": pair })));
    let change = |change: &Value| {
        said(&Set::new("log", &json!({}), &spec(change)), Some(&old), &Surroundings::default())
    };
    assert_eq!(
        change(&one(&json!({ "image": "agent:2", "env": [{ "name": "A" }] }))),
        [] as [&str; 0]
    );
    // Everything else may change, and containers may go.
    let selector = json!({ "selector": { "matchLabels": { "app": null, "x": "y" } } });
    assert_eq!(change(&selector), [] as [&str; 0]);
    assert_eq!(
        change(&json!({ "containers": [container(&json!({ "name": "c" }))] })),
        ["spec.containers[0].name: Invalid value: \"c\": container c is not found"]
    );
    let hot = json!({ "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1" } });
    assert_eq!(
        change(&one(&hot)),
        [
            "spec.containers[0].upgradeStrategy.upgradeType: Invalid value: \"HotUpgrade\": container agent upgradeType is immutable"
        ]
    );
}

/// W-35.
#[test]
fn names_of_twins() {
    let hot = |name: &str| {
        container(&json!({
            "name": name, "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1" },
        }))
    };
    accepted(&[json!({ "containers": [hot("mesh"), container(&json!({ "name": "mesh-3" }))] })]);
    let long = "m".repeat(62);
    let rule = format!("the twin {long}-1 must be no more than 63 characters");
    refused(&[
        (
            json!({ "containers": [hot("mesh"), container(&json!({ "name": "mesh-1" }))] }),
            &[
                "spec.containers[0].name: Invalid value: \"mesh\": the twin mesh-1 has the name of another container",
            ],
        ),
        (
            json!({ "containers": [hot(&long)] }),
            &[
                &format!("spec.containers[0].name: Invalid value: \"{long}\": {rule}"),
                &format!(
                    "spec.containers[0].name: Invalid value: \"{long}\": {}",
                    rule.replace("-1", "-2")
                ),
            ],
        ),
    ]);
}

/// 29.3.6: what Go quotes with `\Q…\E` is the text itself.
#[test]
fn quoted_text_of_a_regular_expression_stands_for_itself() {
    use crate::sidecarset::validate::bounded_regex;
    for (pattern, yes, no) in [
        (r"^\Qa.b\E$", "a.b", "axb"),
        (r"\Q", "", "\n\u{0}x"),
        (r"^\Qa+b", "a+b", "aab"),
        (r"^a\\Q$", r"a\Q", "aQ"),
        (r"^\d\Q(\E\d$", "1(2", "12"),
        (r"^\Qab\E+$", "abbb", "abab"),
    ] {
        let regex = bounded_regex(pattern).unwrap();
        assert!(regex.is_match(yes.as_bytes()), "{pattern}");
        assert!(pattern == r"\Q" || !regex.is_match(no.as_bytes()), "{pattern}");
    }
    assert!(bounded_regex(r"\").is_err() && bounded_regex(r"(\Q)\E").is_err());
}

/// As in Go, `\w` is about ASCII, and expressions with many of them are small.
#[test]
fn classes_of_a_regular_expression_are_about_ascii() {
    use crate::sidecarset::validate::bounded_regex;
    let is = |pattern: &str, text: &str| bounded_regex(pattern).unwrap().is_match(text.as_bytes());
    assert!(is(r"^[\w-]{1,63}$", "web-1") && is(r"^(\w+-)*\w+\.\w+/\w+(\W\w+)*$", "a-b.c/d e"));
    assert!(!is(r"^\w$", "ä") && !is(r"^\d$", "٣") && is("^ä+$", "ää") && is(r"^\D{2}$", "ab"));
    // What only Unicode can say.
    assert!(is("^[äö]$", "ö") && is("(?i)^Ä[é-ü]$", "äü"));
    assert!(bounded_regex(r"[äö\w]{60}{60}").is_err(), "bounded");
}
