//! Admission answers, and that no input whatsoever does harm.

mod classes;

use std::sync::Arc;

use kruise_api::raw::RawJson;
use kruise_common::admission::registration::Phase;
use kruise_common::admission::review::decode;
use kruise_common::admission::{Admission, Answer, Operation, Request, Verdict};
use kruise_common::gates::FeatureGates;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::webhook::{MUTATE, VALIDATE, Webhook};

fn webhook(gates: &str) -> Webhook {
    Webhook { gates: gates.parse().unwrap(), sets: Arc::default(), classes: None }
}

fn raw(value: &Value) -> RawJson {
    RawJson::from_string(value.to_string()).unwrap()
}

fn request(operation: Operation, object: Option<&Value>, old: Option<&Value>) -> Request {
    Request {
        uid: "u".to_owned(),
        subresource: String::new(),
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        operation,
        object: object.map(raw),
        old: old.map(raw),
        dry_run: false,
    }
}

fn set() -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1beta1",
        "kind": "StatefulSet",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "app", "image": "web:1", "future": [1] }] },
            },
        },
    })
}

fn patched(before: &Value, answer: &Answer) -> Value {
    let Verdict::Patched(patch) = &answer.verdict else { return before.clone() };
    let patch: json_patch::Patch = serde_json::from_slice(patch.text()).unwrap();
    let mut after = before.clone();
    json_patch::patch(&mut after, &patch).unwrap();
    after
}

fn message(answer: &Answer) -> (u16, String) {
    let Verdict::Denied(denial) = &answer.verdict else { panic!("allowed") };
    (denial.code, denial.message.clone())
}

#[test]
fn defaults_are_added_and_nothing_is_taken_away() {
    let webhook = webhook("");
    let answer = webhook.answer(MUTATE, &request(Operation::Create, Some(&set()), None)).unwrap();
    let after = patched(&set(), &answer);
    assert_eq!(after["spec"]["replicas"], 1);
    assert_eq!(after["spec"]["template"]["spec"]["containers"][0]["future"], json!([1]));
    assert_eq!(after["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "Always");
    let again = webhook.answer(MUTATE, &request(Operation::Update, Some(&after), Some(&after)));
    assert_eq!(again.unwrap(), Answer::allowed());
}

#[test]
fn what_cannot_be_read_is_refused_with_the_place() {
    let webhook = webhook("");
    for path in [MUTATE, VALIDATE] {
        let mut wrong = set();
        wrong["spec"]["replicas"] = json!("three");
        let answer = webhook.answer(path, &request(Operation::Create, Some(&wrong), None));
        let (code, text) = message(&answer.unwrap());
        assert_eq!(code, 400);
        assert!(text.contains("invalid type: string \"three\", expected i32"), "{text}");
    }
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    let deep = format!(r#"{{"apiVersion":"apps.kruise.io/v1beta1","spec":{{"template":{deep}}}}}"#);
    let mut asked = request(Operation::Create, None, None);
    asked.object = Some(RawJson::from_string(deep).unwrap());
    let (code, text) = message(&webhook.answer(MUTATE, &asked).unwrap());
    assert_eq!(code, 400);
    assert!(text.contains("recursion limit"), "{text}");
}

#[test]
fn a_rule_that_the_stored_object_breaks_in_the_same_way_excuses() {
    let webhook = webhook("");
    let filled = |value: &Value| {
        let asked = request(Operation::Create, Some(value), None);
        patched(value, &webhook.answer(MUTATE, &asked).unwrap())
    };
    let mut old = filled(&set());
    old["spec"]["revisionHistoryLimit"] = json!(-1);
    let mut edited = old.clone();
    edited["spec"]["replicas"] = json!(2);
    let judge = |new: &Value, old: &Value| {
        webhook.answer(VALIDATE, &request(Operation::Update, Some(new), Some(old))).unwrap()
    };
    assert_eq!(judge(&edited, &old), Answer::allowed());
    edited["spec"]["revisionHistoryLimit"] = json!(-2);
    let (code, text) = message(&judge(&edited, &old));
    assert_eq!(code, 422);
    assert_eq!(
        text,
        "spec.revisionHistoryLimit: Invalid value: -2: must be greater than or equal to 0"
    );
    let created = webhook.answer(VALIDATE, &request(Operation::Create, Some(&old), None)).unwrap();
    assert_eq!(message(&created).0, 422);
}

#[test]
fn an_object_without_defaults_is_filled_by_its_first_change() {
    let webhook = webhook("");
    let asked = request(Operation::Update, Some(&set()), Some(&set()));
    let after = patched(&set(), &webhook.answer(MUTATE, &asked).unwrap());
    let judged = request(Operation::Update, Some(&after), Some(&set()));
    assert_eq!(webhook.answer(VALIDATE, &judged).unwrap(), Answer::allowed());
}

#[test]
fn deletion_is_asked_about_only_where_it_is_protected() {
    let protected = |level: &str, replicas: Value| {
        json!({
            "metadata": { "labels": { "policy.kruise.io/delete-protection": level } },
            "spec": { "replicas": replicas },
        })
    };
    let on = webhook("ResourcesDeletionProtection=true");
    let judge =
        |old: Option<&Value>| on.answer(VALIDATE, &request(Operation::Delete, None, old)).unwrap();
    let rule = "forbidden by ResourcesProtectionDeletion for policy.kruise.io/delete-protection";
    let always = protected("Always", json!(0));
    assert_eq!(message(&judge(Some(&always))), (403, format!("{rule}=Always")));
    let cascading = protected("Cascading", json!(3));
    let text = format!("{rule}=Cascading and replicas 3>0");
    assert_eq!(message(&judge(Some(&cascading))), (403, text));
    assert!(judge(Some(&protected("Cascading", json!(0)))).is_allowed());
    assert!(judge(Some(&protected("Never", json!(3)))).is_allowed());
    assert!(judge(None).is_allowed(), "without the old object nothing is known");
    let mut going = always.clone();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert!(judge(Some(&going)).is_allowed());
    let off = webhook("");
    assert_eq!(on.hooks().len(), 3);
    assert_eq!(off.hooks().len(), 2);
    let asked = request(Operation::Delete, None, Some(&always));
    assert!(off.answer(VALIDATE, &asked).unwrap().is_allowed());
}

#[test]
fn hooks_are_those_of_openkruise() {
    let hooks = webhook("").hooks();
    let named: Vec<(&str, &str, Phase)> =
        hooks.iter().map(|hook| (hook.name.as_str(), hook.path, hook.phase)).collect();
    let wanted = [
        ("mstatefulset.kb.io", MUTATE, Phase::Mutating),
        ("vstatefulset.kb.io", VALIDATE, Phase::Validating),
    ];
    assert_eq!(named, wanted);
    assert!(webhook("").answer("/elsewhere", &request(Operation::Create, None, None)).is_none());
    let mut scale = request(Operation::Update, Some(&json!({ "spec": 1 })), None);
    scale.subresource = "scale".to_owned();
    assert_eq!(webhook("").answer(VALIDATE, &scale), Some(Answer::allowed()));
}

/// Any JSON.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "[ -~]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["100%", "-1%", "RollingUpdate", "InPlaceOnly", "4-1", "1Gi", ""])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-z~/]{0,9}", inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// All places of a valid set with every member filled.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn full() -> Value {
    let mut set = set();
    set["spec"]["reserveOrdinals"] = json!([1, "3-5"]);
    set["spec"]["ordinals"] = json!({ "start": 1 });
    set["spec"]["lifecycle"] =
        json!({ "preDelete": { "labelsHandler": { "a": "b" }, "finalizersHandler": ["c/d"] } });
    set["spec"]["scaleStrategy"] = json!({ "maxUnavailable": "10%" });
    set["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    }]);
    let asked = request(Operation::Create, Some(&set), None);
    let gates = "AllAlpha=true,AllBeta=true,TemplateNoDefaults=false";
    patched(&set, &webhook(gates).answer(MUTATE, &asked).unwrap())
}

fn cases() -> u32 {
    let longer = option_env!("FUZZ_CASES").and_then(|cases| cases.parse().ok());
    longer.unwrap_or(400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// A full set with anything anywhere: no panic, the patch applies, a second time changes nothing, and what is denied
    /// has a reason.
    #[test]
    fn no_object_does_harm(
        spots in prop::collection::vec((any::<prop::sample::Index>(), anything()), 1..4),
        old in prop::option::of((any::<prop::sample::Index>(), anything())),
    ) {
        let gates = "AllAlpha=true,AllBeta=true,TemplateNoDefaults=false";
        let (webhook, whole) = (webhook(gates), full());
        let mut all: Vec<String> = Vec::new();
        places(&whole, "", &mut all);
        let with = |mut object: Value, spot: &prop::sample::Index, value: &Value| {
            if let Some(place) = object.pointer_mut(spot.get(&all).as_str()) {
                *place = value.clone();
            }
            object
        };
        let object = spots.iter().fold(whole.clone(), |object, (spot, value)| with(object, spot, value));
        let old = old.map(|(spot, value)| with(whole.clone(), &spot, &value));
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        let asked = request(operation, Some(&object), old.as_ref());
        let filled = webhook.answer(MUTATE, &asked).unwrap();
        let after = patched(&object, &filled);
        if filled.is_allowed() {
            let again = webhook.answer(MUTATE, &request(operation, Some(&after), old.as_ref())).unwrap();
            prop_assert_eq!(patched(&after, &again), after.clone());
        }
        let judged = webhook.answer(VALIDATE, &request(operation, Some(&after), old.as_ref())).unwrap();
        if let Verdict::Denied(denial) = &judged.verdict {
            prop_assert!(!denial.message.is_empty());
        }
    }

    /// Any bytes as a review: an error or an answer.
    #[test]
    fn no_body_does_harm(value in anything(), cut in any::<prop::sample::Index>()) {
        let gates = FeatureGates::default();
        let webhook = Webhook { gates, sets: Arc::default(), classes: None };
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": { "uid": "u", "operation": "CREATE", "object": value, "oldObject": value },
        });
        let text = review.to_string();
        let cut = text.get(..cut.index(text.len())).unwrap_or_default().as_bytes().to_vec();
        for body in [text.into_bytes(), cut, value.to_string().into_bytes()] {
            if let Ok(review) = decode(&body) {
                for path in [MUTATE, VALIDATE] {
                    prop_assert!(webhook.answer(path, &review.request).is_some());
                }
            }
        }
    }
}

/// K-15: OpenKruise admits such a template, and the API server refuses every pod of it.
#[test]
fn a_template_that_no_pod_can_be_made_of_is_warned_about() {
    let webhook = webhook("");
    let mut bad = set();
    bad["spec"]["podManagementPolicy"] = json!("Parallel");
    bad["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
    bad["spec"]["template"]["spec"]["containers"] = json!([{ "name": "App", "image": "web:1" }]);
    let ask = |operation, new: &Value, old: Option<&Value>| {
        let answer = webhook.answer(VALIDATE, &request(operation, Some(new), old)).unwrap();
        assert!(answer.is_allowed(), "{answer:?}");
        answer.warnings
    };
    let warnings = ask(Operation::Create, &bad, None);
    let [warning] = &warnings[..] else { panic!("one warning: {warnings:?}") };
    let said =
        "pods cannot be created: spec.template.spec.containers[0].name: Invalid value: \"App\"";
    assert!(warning.starts_with(said), "{warning}");
    let mut good = bad.clone();
    good["spec"]["template"]["spec"]["containers"] = json!([{ "name": "app", "image": "web:1" }]);
    assert_eq!(ask(Operation::Update, &bad, Some(&good)).len(), 1);
    assert_eq!(ask(Operation::Update, &bad, Some(&bad)), [""; 0], "not for an edit elsewhere");
    assert_eq!(ask(Operation::Create, &good, None), [""; 0]);
}
