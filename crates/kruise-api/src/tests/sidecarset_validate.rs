#![expect(clippy::too_many_lines, reason = "tables of what is said")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::rules::merge;
use crate::sidecarset::v1beta1::SidecarSetSpec;
use crate::sidecarset::validate::{Candidate, Surroundings, Whitelist, unmergeable, validate};

mod conflicts;
mod containers;
mod pod;

/// A set as it is sent, kept in one piece.
struct Set {
    name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    spec: SidecarSetSpec,
}

impl Set {
    fn new(name: &str, annotations: &Value, spec: &Value) -> Self {
        Self {
            name: name.to_owned(),
            labels: BTreeMap::from([("team".to_owned(), "a".to_owned())]),
            annotations: serde_json::from_value(annotations.clone()).unwrap(),
            spec: serde_json::from_str(&spec.to_string()).unwrap(),
        }
    }

    fn candidate(&self) -> Candidate<'_> {
        let Self { name, labels, annotations, spec } = self;
        Candidate { name, labels, annotations, spec }
    }
}

/// A spec as admission leaves it, with changes; a member that is `null` goes.
fn spec(change: &Value) -> Value {
    let mut spec = json!({
        "selector": { "matchLabels": { "app": "web" } },
        "containers": [container(&json!({}))],
        "updateStrategy": { "type": "RollingUpdate", "partition": 0, "maxUnavailable": 1 },
        "injectionStrategy": {},
        "revisionHistoryLimit": 10,
    });
    merge(&mut spec, change);
    spec
}

fn container(change: &Value) -> Value {
    let mut container = json!({
        "name": "agent", "image": "agent:1", "imagePullPolicy": "IfNotPresent", "resources": {},
        "podInjectPolicy": "BeforeAppContainer", "upgradeStrategy": { "upgradeType": "ColdUpgrade" },
        "shareVolumePolicy": { "type": "disabled" },
    });
    merge(&mut container, change);
    container
}

fn said(set: &Set, old: Option<&Set>, around: &Surroundings<'_>) -> Vec<String> {
    let old = old.map(Set::candidate);
    let errors = validate(&set.candidate(), old.as_ref(), around);
    errors.iter().map(ToString::to_string).collect()
}

fn problems(change: &Value) -> Vec<String> {
    said(&Set::new("log", &json!({}), &spec(change)), None, &Surroundings::default())
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kruise-sidecarset/tests/captured");
    let mut checked = 0;
    for gates in ["all-gates", "default-gates"] {
        for file in std::fs::read_dir(folder.join(gates).join("1-created")).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let object: Value = serde_json::from_str(&text).unwrap();
            if object["kind"] != "SidecarSet" {
                continue;
            }
            let set =
                Set::new(object["metadata"]["name"].as_str().unwrap(), &json!({}), &object["spec"]);
            let whitelist = Whitelist { text: None, allowed_by_default: true };
            let around = Surroundings { whitelist, ..Surroundings::default() };
            assert_eq!(said(&set, None, &around), [] as [&str; 0], "{}", set.name);
            assert_eq!(said(&set, Some(&set), &around), [] as [&str; 0]);
            checked += 1;
        }
    }
    assert_eq!(checked, 18);
}

/// VAL-11, VAL-12.
#[test]
fn names() {
    let name = |name: &str| {
        said(&Set::new(name, &json!({}), &spec(&json!({}))), None, &Surroundings::default())
    };
    assert_eq!(name("log-Agent-1"), [] as [&str; 0]);
    let rule = "sidecarset name must consist of alphanumeric characters or '-' (e.g. 'example-com', regex used for validation is '^[a-zA-Z0-9\\-]+$')";
    assert_eq!(name("log.agent"), [format!("metadata.name: Invalid value: \"log.agent\": {rule}")]);
    let long = "a".repeat(64);
    assert_eq!(
        name(&long),
        [format!("metadata.name: Invalid value: \"{long}\": must be no more than 63 characters")]
    );
}

/// VAL-13…VAL-17.
#[test]
fn canaries() {
    let marks = |base: &str| json!({ "apps.kruise.io/sidecarset-canary": "true", "apps.kruise.io/sidecarset-base": base });
    let still = spec(&json!({ "updateStrategy": { "type": "NotUpdate" } }));
    let base = Set::new("base", &json!({}), &still);
    let canary = Set::new("canary", &marks("base"), &still);
    let around = Surroundings {
        others: vec![base.candidate(), canary.candidate()],
        ..Surroundings::default()
    };
    let new = |base: &str, spec: &Value, old: Option<&Set>| {
        said(&Set::new("new", &marks(base), spec), old, &around)
    };
    assert_eq!(
        new("base", &still, None),
        ["spec.containers: Invalid value: \"agent\": container agent already exist in canary"]
    );
    let at = |base: &str, rule: &str| format!("metadata: Invalid value: {base:?}: {rule}");
    assert_eq!(new("new", &still, None), [at("new", "base sidecarSet cannot be itself")]);
    let missing =
        "fetch base sidecarSet[gone] failed: sidecarsets.apps.kruise.io \"gone\" not found";
    assert_eq!(new("gone", &still, None), [at("gone", missing)]);
    assert_eq!(new("canary", &still, None), [at("canary", "base sidecarSet cannot be canary")]);
    let rolling = new("base", &spec(&json!({})), None);
    assert_eq!(rolling, [at("base", "RollingUpdate is not supported for canary sidecarSet")]);
    let old = Set::new("new", &json!({ "apps.kruise.io/sidecarset-base": "other" }), &still);
    let changed = new("base", &still, Some(&old));
    assert_eq!(changed, [at("base", "annotations[apps.kruise.io/sidecarset-base] is immutable")]);
    // One annotation alone makes no canary.
    let half =
        Set::new("half", &json!({ "apps.kruise.io/sidecarset-canary": "true" }), &spec(&json!({})));
    assert_eq!(said(&half, None, &Surroundings::default()), [] as [&str; 0]);
}

/// VAL-20…VAL-22, VAL-31.
#[test]
fn selectors_and_contents() {
    let native = json!([container(&json!({ "name": "native", "restartPolicy": "Always" }))]);
    let plain = json!([container(&json!({ "name": "plain" }))]);
    accepted(&[
        json!({ "selector": { "matchExpressions": [{ "key": "a", "operator": "DoesNotExist" }] } }),
        json!({ "namespaceSelector": { "matchLabels": { "env": "prod" } } }),
        json!({ "initContainers": native, "updateStrategy": { "type": "NotUpdate" } }),
        json!({ "initContainers": plain, "containers": null }),
        json!({ "updateStrategy": { "type": "NotUpdate", "selector": {}, "partition": -1 } }),
    ]);
    let empty = "Invalid value: {}: empty selector is not valid for sidecarset.";
    refused(&[
        (
            json!({ "initContainers": native }),
            &[
                "spec.updateStrategy: Invalid value: \"RollingUpdate\": The initContainer in-place upgrade is not currently supported.",
            ],
        ),
        (
            json!({ "selector": null }),
            &["spec.selector: Required value: no selector defined for SidecarSet"],
        ),
        (json!({ "selector": { "matchLabels": null } }), &[&format!("spec.selector: {empty}")]),
        (json!({ "namespaceSelector": {} }), &[&format!("spec.namespaceSelector: {empty}")]),
        (
            json!({ "updateStrategy": { "selector": {} } }),
            &[&format!("spec.updateStrategy.selector: {empty}")],
        ),
        (
            json!({ "selector": { "matchExpressions": [{ "key": "a", "operator": "In" }] } }),
            &[
                "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ],
        ),
        (
            json!({ "containers": null }),
            &["spec: Required value: no initContainer or container defined for SidecarSet"],
        ),
    ]);
}

/// VAL-23…VAL-25.
#[test]
fn injected_revisions() {
    let revision = |revision: Value| json!({ "injectionStrategy": { "revision": revision } });
    accepted(&[
        revision(json!({ "revisionName": "log-1", "policy": "Always" })),
        revision(json!({ "customVersion": "", "policy": "Partial" })),
    ]);
    refused(&[
        (
            revision(json!({ "policy": "Always" })),
            &[
                "revision: Invalid value: null: revisionName and customVersion cannot be empty simultaneously",
            ],
        ),
        (
            revision(json!({ "customVersion": "v1", "policy": "Never" })),
            &[
                "revision.policy: Invalid value: \"Never\": Invalid policy Never, supported: [Always, Partial]",
            ],
        ),
    ]);
    let set = Set::new(
        "log",
        &json!({}),
        &spec(&revision(json!({ "customVersion": "v1", "policy": "Always" }))),
    );
    let why = "ControllerRevision.apps \"log\" not found";
    let around =
        Surroundings { unusable_revision: Some(why.to_owned()), ..Surroundings::default() };
    let text = format!(
        "revision: Invalid value: {{\"customVersion\":\"v1\",\"policy\":\"Always\"}}: Cannot find specific ControllerRevision, err: {why}"
    );
    assert_eq!(said(&set, None, &around), [text]);
}

/// VAL-26…VAL-30.
#[test]
fn update_strategies() {
    let strategy = |strategy: Value| json!({ "updateStrategy": strategy });
    let labels = json!({ "matchLabels": { "a": "b" } });
    accepted(&[
        strategy(json!({ "partition": "0%", "maxUnavailable": 0 })),
        strategy(json!({ "partition": "150%", "maxUnavailable": "20%" })),
        strategy(json!({ "selector": labels, "partition": 0 })),
        strategy(json!({ "priorityStrategy": { "orderPriority": [{ "orderedKey": "o" }] } })),
        strategy(
            json!({ "priorityStrategy": { "weightPriority": [{ "weight": 0, "matchSelector": labels }] } }),
        ),
        strategy(
            json!({ "scatterStrategy": [{ "key": "a", "value": "*" }, { "key": "a", "value": "b" }] }),
        ),
    ]);
    let percent = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%', or '93%', regex used for validation is '[0-9]+%')";
    let path = "spec.updateStrategy";
    refused(&[
        (
            strategy(json!({ "selector": labels, "partition": "0%" })),
            &[&format!(
                "{path}: Invalid value: \"0%\": Partition and Selector cannot be used together"
            )],
        ),
        (
            strategy(json!({ "partition": -1, "maxUnavailable": "x" })),
            &[
                &format!("{path}.partition: Invalid value: -1: must be greater than or equal to 0"),
                &format!("{path}.maxUnavailable: Invalid value: \"x\": {percent}"),
            ],
        ),
        (
            strategy(json!({ "priorityStrategy": {
                "orderPriority": [{ "orderedKey": "" }],
                "weightPriority": [{ "weight": 101, "matchSelector": {} }],
            } })),
            &[
                &format!(
                    "{path}.priorityStrategy: Required value: only one of weightPriority and orderPriority can be used"
                ),
                &format!(
                    "{path}.priorityStrategy: Required value: weight must be valid number in the range 1-100"
                ),
                &format!("{path}.priorityStrategy: Required value: selector can not be empty"),
                &format!("{path}.priorityStrategy: Required value: order key can not be empty"),
            ],
        ),
        (
            strategy(
                json!({ "scatterStrategy": [{ "key": "", "value": "b" }, { "key": "", "value": "b" }] }),
            ),
            &[
                &format!("{path}.scatterStrategy: Required value: key should not be empty"),
                &format!("{path}.scatterStrategy: Required value: key should not be empty"),
                &format!("{path}.scatterStrategy: Invalid value: \"\": duplicated key= value=b"),
            ],
        ),
        // W-33
        (
            strategy(json!({ "type": "Rolling" })),
            &[&format!(
                "{path}.type: Unsupported value: \"Rolling\": supported values: \"NotUpdate\", \"RollingUpdate\""
            )],
        ),
    ]);
}

/// VAL-52, WL-1…WL-4.
#[test]
fn patched_annotations() {
    let patch = |patches: Value| {
        Set::new("log", &json!({}), &spec(&json!({ "patchPodMetadata": patches })))
    };
    let one = |key: &str| patch(json!([{ "annotations": { key: "1" }, "patchPolicy": "Retain" }]));
    let with = |set: &Set, text: Option<&str>, allowed_by_default: bool| {
        let whitelist = Whitelist { text, allowed_by_default };
        said(set, None, &Surroundings { whitelist, ..Surroundings::default() })
    };
    let begins = |said: &[String], expected: &str| {
        assert!(said.len() == 1 && said[0].starts_with(expected), "{said:?} {expected}");
    };
    let list = r#"{"rules":[{"allowedAnnotationKeyExprs":["^ok$"]},{"selector":{"matchLabels":{"team":"b"}},"allowedAnnotationKeyExprs":["."]}]}"#;
    assert_eq!(with(&one("ok"), Some(list), false), [] as [&str; 0]);
    let other = [
        "patchPodMetadata: Required value: sidecarSet patch metadata annotation(other) is not allowed",
    ];
    assert_eq!(with(&one("other"), Some(list), false), other);
    assert_eq!(with(&one("other"), Some(list), true), other);
    assert_eq!(with(&one("ok"), None, true), [] as [&str; 0]);
    begins(
        &with(&one("ok"), None, false),
        "patchPodMetadata: Required value: SidecarSet patch metadata whitelist not found",
    );
    let none =
        "patchPodMetadata: Required value: sidecarSet patch metadata annotation is not allowed";
    begins(&with(&one("ok"), Some(r#"{"rule":[]}"#), false), none);
    assert_eq!(with(&one("ok"), Some("{}"), true), [] as [&str; 0]);
    begins(&with(&one("ok"), Some("{"), true), "patchPodMetadata: Required value: EOF");
    let broken = r#"{"rules":[{"allowedAnnotationKeyExprs":["("]}]}"#;
    begins(
        &with(&one("ok"), Some(broken), true),
        "patchPodMetadata: Required value: regex parse error",
    );

    let free = |patches: Value| with(&patch(patches), None, true);
    let first = "spec.patchPodMetadata[0]";
    assert_eq!(
        free(json!([{ "patchPolicy": "" }])),
        [
            format!("{first}: Required value: no annotations defined for SidecarSet"),
            format!("{first}: Required value: no patchPolicy defined for patchPodMetadata"),
        ]
    );
    let twice = json!([
        { "annotations": { "a": "1" }, "patchPolicy": "Retain" }, { "annotations": { "a": "2" }, "patchPolicy": "Overwrite" },
    ]);
    let expected = "spec.patchPodMetadata[1].annotations: Invalid value: \"a\": patch annotation[a] already exist";
    assert_eq!(free(twice), [expected]);
    let key = free(json!([{ "annotations": { "a/b/c": "1" }, "patchPolicy": "Retain" }]));
    assert_eq!(
        key,
        [format!(
            "{first}.annotations: Invalid value: \"a/b/c\": a qualified name must have at most one '/'"
        )]
    );
    let policy = free(json!([{ "annotations": { "a": "1" }, "patchPolicy": "Add" }]));
    let known = "supported values: \"Retain\", \"Overwrite\", \"MergePatchJson\"";
    assert_eq!(policy, [format!("{first}.patchPolicy: Unsupported value: \"Add\": {known}")]);
    let patches =
        json!([{ "annotations": { "a": "x", "b": "{}" }, "patchPolicy": "MergePatchJson" }]);
    assert_eq!(
        free(patches.clone()),
        [""; 0],
        "as it is, onto pods without the annotation (INJ-1)"
    );
    let spec = json!({ "patchPodMetadata": patches });
    let warnings = unmergeable(&serde_json::from_value(spec).unwrap());
    let first = "spec.patchPodMetadata[0].annotations[a]: \"x\" is no JSON, ";
    assert!(warnings.len() == 1 && warnings[0].starts_with(first), "{warnings:?}");
}

#[test]
fn a_version_must_do_as_a_label_of_its_revision() {
    let said = |version: &str| {
        let set = Set::new("log", &json!({}), &spec(&json!({ "customVersion": version })));
        said(&set, None, &Surroundings::default())
    };
    assert_eq!(said("v1.2-rc_1"), [""; 0]);
    let odd = said("v1 beta");
    assert!(
        odd.len() == 1 && odd[0].starts_with("spec.customVersion: Invalid value: \"v1 beta\": "),
        "{odd:?}"
    );
}

/// What OpenKruise admitted stays changeable (W-33).
#[test]
fn strict_rules_ask_only_what_changes() {
    let odd = json!({ "updateStrategy": { "type": "Rolling" } });
    let old = Set::new("log", &json!({}), &spec(&odd));
    let mut change = odd.clone();
    change["containers"] = json!([container(&json!({ "image": "agent:2" }))]);
    let around = Surroundings::default();
    assert_eq!(
        said(&Set::new("log", &json!({}), &spec(&change)), Some(&old), &around),
        [] as [&str; 0]
    );
    change["updateStrategy"]["type"] = json!("Roling");
    assert_eq!(said(&Set::new("log", &json!({}), &spec(&change)), Some(&old), &around).len(), 1);
}
