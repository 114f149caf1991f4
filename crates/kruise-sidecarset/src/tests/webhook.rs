use std::sync::Arc;

use kruise_api::raw::RawJson;
use kruise_common::admission::registration::{Hook, Phase};
use kruise_common::admission::{Admission, Answer, Operation, Request, Verdict};
use kruise_common::gates::FeatureGates;
use kruise_common::intern::Interner;
use kruise_common::table::{Table, Wire};
use serde_json::{Value, json};

use super::captured;
use super::inject::{now, patched, pod};
use crate::announced::Announced;
use crate::configuration::WireConfiguration;
use crate::namespace::WireNamespace;
use crate::registration::Unasked;
use crate::webhook::{self, Caches, MUTATE, VALIDATE, Webhook};

const PODS: &str = "/mutate-pod";

/// A webhook that knows these sets; the namespace `cap` is in production.
fn webhook(sets: &[Value], gates: &str) -> Webhook {
    let caches = Caches {
        sets: Arc::new(Table::default()),
        namespaces: Arc::new(Table::default()),
        revisions: Arc::new(Table::default()),
        configurations: Arc::new(Table::default()),
    };
    for set in sets {
        caches.sets.apply(captured::set(set));
    }
    let interner = Interner::default();
    let cap = json!({ "metadata": { "name": "cap", "labels": { "env": "prod" } } });
    let cap: WireNamespace = serde_json::from_value(cap).unwrap();
    caches.namespaces.apply(cap.into_record(&interner));
    let gates: FeatureGates = gates.parse().unwrap_or_default();
    Webhook {
        gates,
        caches,
        own_namespace: "kruise-system".to_owned(),
        unasked: Unasked {
            own: "kruise-system".to_owned(),
            all: !gates.pod_webhook,
            ..Unasked::default()
        },
        narrow: true,
        strict: false,
        native_updates: false,
        library: Arc::default(),
        asked: Arc::default(),
        announced: Announced::default(),
        now,
        lot: || 0.5,
    }
}

/// A set as it is stored while there are no revisions.
fn filled(object: &Value, old: Option<&Value>) -> Result<Value, String> {
    webhook::filled(object, old, |new| webhook(&[], "").kept(old?, new))
}

fn request(operation: Operation, object: Option<&Value>, old: Option<&Value>) -> Request {
    let raw = |value: &Value| RawJson::from_string(value.to_string()).unwrap();
    Request {
        uid: "1".to_owned(),
        subresource: String::new(),
        namespace: "cap".to_owned(),
        name: String::new(),
        operation,
        object: object.map(raw),
        old: old.map(raw),
        dry_run: false,
    }
}

fn asked(webhook: &Webhook, path: &str, request: &Request) -> Answer {
    webhook.answer(path, request).unwrap()
}

fn denied(answer: &Answer) -> (u16, String) {
    match &answer.verdict {
        Verdict::Denied(denial) => (denial.code, denial.message.clone()),
        other => panic!("{other:?}"),
    }
}

fn set(name: &str, change: &Value) -> Value {
    let mut set = json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": { "name": name },
        "spec": { "selector": { "matchLabels": { "app": "web" } }, "containers": [{ "name": name, "image": "i:1" }] },
    });
    json_patch::merge(&mut set, change);
    filled(&set, None).unwrap()
}

/// WHK-10, WHK-13…WHK-16.
#[test]
fn pods_are_injected_when_they_are_created() {
    let webhook = webhook(&[set("log", &json!({}))], "");
    let create = |pod: &Value| asked(&webhook, PODS, &request(Operation::Create, Some(pod), None));
    let plain = pod(&json!({}));
    let answer = create(&plain);
    assert_eq!(answer.outcome(), "injected");
    // W-50: the name of the revision follows from the spec, for nobody has registered it yet.
    assert!(answer.audit["sidecarsets"].starts_with("log@log-"), "{:?}", answer.audit);
    let Verdict::Patched(patch) = answer.verdict else { panic!() };
    let after = patched(&plain, &patch);
    assert_eq!(after["spec"]["containers"][0]["name"], "log");
    let again = create(&after);
    assert_eq!((again.verdict, again.outcome), (Verdict::Allowed, Some("unchanged")));
    for (untouched, why) in [
        (json!({ "metadata": { "labels": { "app": "db" } } }), "not-matched"),
        (json!({ "metadata": { "labels": null } }), "not-matched"),
        (
            json!({ "metadata": { "annotations": { "kubernetes.io/config.mirror": "x" } } }),
            "skipped",
        ),
        (json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }), "skipped"),
    ] {
        assert_eq!(create(&pod(&untouched)), Answer::allowed().with_outcome(why), "{untouched}");
    }
    let ended = create(&pod(&json!({ "status": { "phase": "Failed" } })));
    assert_eq!(ended.outcome(), "injected", "it starts as Pending");
    for other in [Operation::Update, Operation::Delete, Operation::Connect] {
        assert_eq!(
            asked(&webhook, PODS, &request(other, Some(&plain), Some(&plain))),
            Answer::allowed()
        );
    }
    let sub = Request {
        subresource: "ephemeralcontainers".to_owned(),
        ..request(Operation::Create, Some(&plain), None)
    };
    assert_eq!(asked(&webhook, PODS, &sub), Answer::allowed());
    let no_container = json!({ "metadata": plain["metadata"], "spec": { "containers": [7] } });
    for wrong in [json!({ "metadata": { "labels": 7 } }), no_container] {
        let answer = create(&wrong);
        let (code, text) = denied(&answer);
        assert!(code == 400 && text.starts_with("pod: invalid type"), "{text}");
        assert_eq!(answer.outcome(), "unreadable");
    }
    assert!(webhook.answer("/else", &request(Operation::Create, None, None)).is_none());
}

/// WHK-11: the namespace of the pod, else of the request.
#[test]
fn a_pod_s_namespace_may_be_that_of_the_request() {
    let selected = json!({ "spec": { "namespaceSelector": { "matchLabels": { "env": "prod" } } } });
    let webhook = webhook(&[set("log", &selected)], "");
    let of = |namespace: Value| {
        let pod = pod(&json!({ "metadata": { "namespace": namespace } }));
        asked(&webhook, PODS, &request(Operation::Create, Some(&pod), None))
    };
    assert!(matches!(of(Value::Null).verdict, Verdict::Patched(_)));
    assert!(matches!(of(json!("cap")).verdict, Verdict::Patched(_)));
    // W-5: not silently without sidecar.
    let answer = of(json!("unknown"));
    let (code, text) = denied(&answer);
    assert_eq!((code, answer.outcome(), answer.transient), (403, "refused-namespace", true));
    assert_eq!(
        text,
        "sidecarset log: the labels of namespace unknown are not known yet; try again"
    );
}

/// OPS-1.
#[test]
fn the_gate_turns_injection_off() {
    let webhook = webhook(&[set("log", &json!({}))], "PodWebhook=false");
    let answer = asked(&webhook, PODS, &request(Operation::Create, Some(&pod(&json!({}))), None));
    assert_eq!(answer, Answer::allowed());
    let names: Vec<String> = webhook.hooks().into_iter().map(|hook| hook.name).collect();
    assert_eq!(names, ["msidecarset.kb.io", "vsidecarset.kb.io"]);
}

/// W-15.
#[test]
fn a_replaced_container_is_a_warning() {
    let webhook = webhook(&[set("app", &json!({}))], "");
    let answer = asked(&webhook, PODS, &request(Operation::Create, Some(&pod(&json!({}))), None));
    assert_eq!(answer.warnings, ["container app of the pod is replaced by that of SidecarSet app"]);
    assert!(matches!(&answer.verdict, Verdict::Patched(_)));
    // On request a refusal; what was injected is still not in the way of itself.
    let strict = Webhook { strict: true, ..webhook };
    let create = |pod: &Value| asked(&strict, PODS, &request(Operation::Create, Some(pod), None));
    let refused = denied(&create(&pod(&json!({}))));
    assert_eq!(
        refused,
        (403, "container app of the pod has the name of a sidecar of app".to_owned())
    );
    let Verdict::Patched(patch) = answer.verdict else { panic!() };
    let after = patched(&pod(&json!({})), &patch);
    assert_eq!(create(&after).outcome(), "unchanged");
}

/// VAL-20, 30.9.4: a set with a native sidecar may roll out where those are updated.
#[test]
fn native_sidecars_may_roll_out_on_request() {
    let native = json!({ "spec": { "initContainers": [{ "name": "n", "image": "i:1", "restartPolicy": "Always" }] } });
    let set = set("log", &native);
    let ask =
        |webhook: &Webhook| asked(webhook, VALIDATE, &request(Operation::Create, Some(&set), None));
    let webhook = webhook(&[], "");
    let (code, text) = denied(&ask(&webhook));
    assert!(code == 422 && text.contains("in-place upgrade is not currently supported"), "{text}");
    assert_eq!(ask(&Webhook { native_updates: true, ..webhook }), Answer::allowed());
}

/// W-9: a pod that bears its name gets the same revision whenever it comes back; others draw lots.
#[test]
fn named_pods_keep_their_revision() {
    let strategy = json!({ "spec": {
        "updateStrategy": { "partition": "50%" },
        "injectionStrategy": { "revision": { "revisionName": "log-1", "policy": "Partial" } },
    } });
    let webhook = webhook(&[set("log", &strategy)], "");
    let revision = json!({
        "metadata": { "name": "log-1", "namespace": "kruise-system", "uid": "r", "labels": { "kruise.io/sidecarset-name": "log" } },
        "revision": 1, "data": { "spec": { "containers": [{ "name": "log", "image": "old" }] } },
    });
    webhook.caches.revisions.apply(captured::revision(&revision.to_string()));
    let old = |name: Option<String>| {
        let pod = pod(&json!({ "metadata": { "name": name } }));
        let answer = asked(&webhook, PODS, &request(Operation::Create, Some(&pod), None));
        let Verdict::Patched(patch) = answer.verdict else { panic!() };
        super::inject::item(&patched(&pod, &patch), "containers", "log")["image"] == "old"
    };
    let first: Vec<bool> = (0..200).map(|n| old(Some(format!("web-{n}")))).collect();
    let again: Vec<bool> = (0..200).map(|n| old(Some(format!("web-{n}")))).collect();
    assert_eq!(first, again);
    let share = first.iter().filter(|old| **old).count();
    assert!((70..130).contains(&share), "{share} of 200");
    assert!(!old(None), "the lot is 0.5");
}

/// DEF-22, W-30, both versions and gate sets: what is stored is what OpenKruise stored.
#[test]
fn captured_manifests_are_stored_as_openkruise_did() {
    let mut checked = 0;
    for (manifest, name) in [
        ("sidecar-full", "full"),
        ("sidecar-hot", "hot"),
        ("sidecar-min-v1alpha1", "mini"),
        ("sidecar-native", "native"),
    ] {
        let text = std::fs::read_to_string(captured::folder().join(format!("in/{manifest}.yaml")))
            .unwrap();
        let sent: Value = serde_saphyr::from_str(&text).unwrap();
        let stored = filled(&sent, None).unwrap();
        for version in ["v1alpha1", "v1beta1"] {
            for gates in captured::GATES {
                let path = captured::folder()
                    .join(gates)
                    .join(format!("1-created/sidecarsets.{version}.{name}.json"));
                if !path.exists() {
                    continue;
                }
                let theirs = captured::json(&path);
                assert_eq!(stored["spec"], theirs["spec"], "{}", path.display());
                for key in ["kruise.io/sidecarset-hash", "kruise.io/sidecarset-hash-without-image"]
                {
                    assert_eq!(
                        stored["metadata"]["annotations"][key],
                        theirs["metadata"]["annotations"][key]
                    );
                }
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 14);
}

/// h-rich and h-old are known by what kubectl applied: the label of the older version becomes a member.
#[test]
fn applied_manifests_are_stored_as_openkruise_did() {
    for name in ["h-rich", "h-old"] {
        let path = captured::folder()
            .join(format!("default-gates/1-created/sidecarsets.v1beta1.{name}.json"));
        let theirs = captured::json(&path);
        let key = "kubectl.kubernetes.io/last-applied-configuration";
        let text = theirs["metadata"]["annotations"][key].as_str().unwrap();
        let stored = filled(&serde_json::from_str(text).unwrap(), None).unwrap();
        assert_eq!(stored["spec"], theirs["spec"], "{name}");
        let hash = "kruise.io/sidecarset-hash";
        assert_eq!(
            stored["metadata"]["annotations"][hash],
            theirs["metadata"]["annotations"][hash]
        );
    }
}

#[test]
fn filling_again_changes_nothing() {
    // In the older version a label would become a member besides.
    for path in captured::files("sidecarsets.v1beta1.") {
        let stored = captured::json(&path);
        assert_eq!(filled(&stored, Some(&stored)).unwrap(), stored, "{}", path.display());
        assert_eq!(filled(&stored, None).unwrap(), stored);
    }
    let webhook = webhook(&[], "");
    let stored = set("log", &json!({}));
    let answer = asked(&webhook, MUTATE, &request(Operation::Update, Some(&stored), Some(&stored)));
    assert_eq!(answer, Answer::allowed());
}

/// Platform §18.7.4: hashes that running pods carry stay as long as what is hashed does.
#[test]
fn foreign_hashes_survive_an_update() {
    let hash = "kruise.io/sidecarset-hash";
    let bare = "kruise.io/sidecarset-hash-without-image";
    let mut old = set("log", &json!({}));
    old["metadata"]["annotations"][hash] = json!("foreign");
    old["metadata"]["annotations"][bare] = json!("bare");
    let mut new = old.clone();
    new["spec"]["revisionHistoryLimit"] = json!(3);
    new["metadata"]["annotations"][hash] = json!("tampered");
    assert_eq!(filled(&new, Some(&old)).unwrap()["metadata"]["annotations"][hash], "foreign");
    new["spec"]["containers"][0]["image"] = json!("i:2");
    let changed = filled(&new, Some(&old)).unwrap();
    let own = set("log", &json!({ "spec": { "containers": [{ "name": "log", "image": "i:2" }] } }));
    assert_eq!(changed["metadata"]["annotations"][hash], own["metadata"]["annotations"][hash]);
    // All but the image is as it was, so that running pods can follow.
    assert_eq!(changed["metadata"]["annotations"][bare], "bare");
    // HSH-1: whatever a new object brings along does not count.
    assert_ne!(filled(&new, None).unwrap()["metadata"]["annotations"][hash], "tampered");
}

/// HSH-1: an edit while nobody was asked left those of an earlier spec on the set. Neither pods get them, nor the next
/// version of the set.
#[test]
fn hashes_of_an_earlier_spec_do_not_go_on() {
    let hash =
        |object: &Value| object["metadata"]["annotations"]["kruise.io/sidecarset-hash"].clone();
    let image = json!({ "spec": { "containers": [{ "name": "log", "image": "i:2" }] } });
    let (first, second) = (set("log", &json!({})), set("log", &image));
    let mut stale = second.clone();
    stale["metadata"]["annotations"] = first["metadata"]["annotations"].clone();
    let webhook = webhook(std::slice::from_ref(&stale), "");
    let revision = json!({
        "metadata": {
            "name": "log-1", "namespace": "kruise-system", "uid": "r", "labels": { "kruise.io/sidecarset-name": "log" },
            "annotations": first["metadata"]["annotations"],
        },
        "revision": 1, "data": { "spec": { "containers": first["spec"]["containers"] } },
    });
    webhook.caches.revisions.apply(captured::revision(&revision.to_string()));
    let mut next = stale.clone();
    next["spec"]["revisionHistoryLimit"] = json!(3);
    let answer = asked(&webhook, MUTATE, &request(Operation::Update, Some(&next), Some(&stale)));
    let Verdict::Patched(patch) = answer.verdict else { panic!() };
    assert_eq!(hash(&patched(&next, &patch)), hash(&second));
    let plain = pod(&json!({}));
    let answer = asked(&webhook, PODS, &request(Operation::Create, Some(&plain), None));
    let Verdict::Patched(patch) = answer.verdict else { panic!() };
    let records = hash(&patched(&plain, &patch));
    let records: Value = serde_json::from_str(records.as_str().unwrap()).unwrap();
    assert_eq!(records["log"]["hash"], hash(&second));
}

/// DEF-22: 400 for what cannot be read, with both paths.
#[test]
fn unreadable_sets_are_refused() {
    let webhook = webhook(&[], "");
    for path in [MUTATE, VALIDATE] {
        let of = |object: &Value| {
            denied(&asked(&webhook, path, &request(Operation::Create, Some(object), None)))
        };
        let version = json!({ "apiVersion": "apps.kruise.io/v2", "spec": {} });
        assert_eq!(of(&version), (400, "unsupported version: v2".to_owned()));
        let (code, text) =
            of(&json!({ "apiVersion": "apps.kruise.io/v1beta1", "spec": { "containers": 7 } }));
        assert!(code == 400 && text.starts_with("sidecarset: invalid type"), "{text}");
        let delete = request(Operation::Delete, None, Some(&version));
        assert_eq!(asked(&webhook, path, &delete), Answer::allowed());
    }
    let odd = json!({ "apiVersion": "apps.kruise.io/v1beta1", "spec": { "containers": [{ "name": "a", "command": 7 }] } });
    let (code, text) =
        denied(&asked(&webhook, MUTATE, &request(Operation::Create, Some(&odd), None)));
    assert_eq!(
        (code, text.as_str()),
        (400, "sidecarset: spec.containers[0].command: 7: must be a list")
    );
}

/// VAL-1, VAL-2, W-32: 422 with all errors; conflicts with the sets of the cache; the whitelist of the ConfigMap.
#[test]
fn sets_are_judged() {
    let webhook = webhook(&[set("other", &json!({}))], "");
    let judged = |object: &Value, old: Option<&Value>| {
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        asked(&webhook, VALIDATE, &request(operation, Some(object), old))
    };
    let good = set("log", &json!({}));
    assert_eq!(judged(&good, None), Answer::allowed());
    let older = set("log", &json!({ "apiVersion": "apps.kruise.io/v1alpha1" }));
    assert_eq!(judged(&older, None), Answer::allowed(), "VAL-1");
    let clash =
        set("log", &json!({ "spec": { "containers": [{ "name": "other", "image": "i" }] } }));
    let text = "spec.containers: Invalid value: \"other\": container other already exist in other";
    assert_eq!(denied(&judged(&clash, None)), (422, text.to_owned()));
    // The set itself in the cache is no other set.
    assert_eq!(judged(&set("other", &json!({})), None), Answer::allowed());
    let renamed =
        set("log", &json!({ "spec": { "containers": [{ "name": "new", "image": "i" }] } }));
    let text = "spec.containers[0].name: Invalid value: \"new\": container new is not found";
    assert_eq!(denied(&judged(&renamed, Some(&good))).1, text);
    let revision = set(
        "log",
        &json!({ "spec": { "injectionStrategy": { "revision": { "customVersion": "v9" } } } }),
    );
    let (_, text) = denied(&judged(&revision, None));
    assert!(text.ends_with("Cannot find specific ControllerRevision, err: ControllerRevision.apps \"log\" not found"), "{text}");

    let patching =
        set("log", &json!({ "spec": { "patchPodMetadata": [{ "annotations": { "k": "v" } }] } }));
    let (_, text) = denied(&judged(&patching, None));
    assert!(
        text.contains(
            "whitelist not found (ConfigMap kruise-configuration in the namespace of the controller"
        ),
        "{text}"
    );
    let map = json!({
        "metadata": { "name": "kruise-configuration", "namespace": "kruise-system" },
        "data": { "SidecarSet_PatchPodMetadata_WhiteList": r#"{"rules":[{"allowedAnnotationKeyExprs":["^k$"]}]}"# },
    });
    let map: WireConfiguration = serde_json::from_value(map).unwrap();
    webhook.caches.configurations.apply(map.into_record(&Interner::default()));
    assert_eq!(judged(&patching, None), Answer::allowed());
}

/// SEL-9: a set that is being deleted injects until it is gone, so its changes count; its finalizers go whatever it says.
#[test]
fn a_set_that_is_being_deleted_is_judged_when_its_spec_changes() {
    let webhook = webhook(&[], "");
    let asked = |path: &str, object: &Value, old: &Value| {
        asked(&webhook, path, &request(Operation::Update, Some(object), Some(old)))
    };
    let good = set("log", &json!({}));
    let deleted = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    let ending = set("log", &deleted);
    let changed = |image: &str| {
        let mut after = ending.clone();
        after["spec"]["containers"][0]["image"] = json!(image);
        after
    };
    let filled = asked(MUTATE, &changed("i:2"), &ending);
    assert!(matches!(filled.verdict, Verdict::Patched(_)), "new hashes: {filled:?}");
    assert_eq!(asked(VALIDATE, &changed("i:2"), &ending), Answer::allowed());
    assert_eq!(denied(&asked(VALIDATE, &changed(""), &ending)).0, 422);
    let mut wrong = ending.clone();
    wrong["spec"]["selector"] = Value::Null;
    let (code, text) = denied(&asked(VALIDATE, &wrong, &good));
    assert!(code == 422 && text.contains("spec.selector"), "{text}");
    // Nobody can read these.
    let mut odd = ending.clone();
    odd["spec"]["containers"] = json!([{ "name": 5 }]);
    let mut list = ending.clone();
    list["spec"]["containers"] = json!(5);
    for path in [MUTATE, VALIDATE] {
        for (object, old) in [(&wrong, &wrong), (&odd, &odd), (&list, &odd)] {
            assert_eq!(asked(path, object, old), Answer::allowed(), "{object}");
        }
        assert_eq!(denied(&asked(path, &odd, &ending)).0, 400);
    }
}

/// WHK-1, WHK-2, WHK-7.
#[test]
fn hooks_are_openkruise_s() {
    let webhook = webhook(&[set("log", &json!({}))], "");
    let hooks = webhook.hooks();
    let of = |name: &str| hooks.iter().find(|hook| hook.name == name).unwrap();
    assert_eq!(hooks.len(), 3);
    let pods = of("mpod.kb.io");
    assert_eq!((pods.path, pods.phase, pods.operations), (PODS, Phase::Mutating, &["CREATE"][..]));
    assert!(pods.again, "later injectors may add containers");
    assert_eq!(
        (of("msidecarset.kb.io").path, of("msidecarset.kb.io").phase),
        (MUTATE, Phase::Mutating)
    );
    assert_eq!(
        (of("vsidecarset.kb.io").path, of("vsidecarset.kb.io").phase),
        (VALIDATE, Phase::Validating)
    );
    assert_eq!(of("vsidecarset.kb.io").operations, ["CREATE", "UPDATE"]);
    let paths: Vec<&str> = hooks.iter().map(|hook| hook.path).collect();
    assert!(paths.iter().all(|path| webhook.paths().contains(path)));
}

/// W-47: only where a flag allows it; who does without all sets is not even asked about.
#[test]
fn pods_do_without_sets_only_where_that_is_allowed() {
    let skipping =
        pod(&json!({ "metadata": { "annotations": { "kruise.io/sidecarset-skip": "log" } } }));
    for (opt_out, outcome) in [(false, "injected"), (true, "not-matched")] {
        let webhook = webhook(&[set("log", &json!({}))], "");
        let unasked = Unasked { opt_out, ..webhook.unasked.clone() };
        let webhook = Webhook { unasked, ..webhook };
        let answer = asked(&webhook, PODS, &request(Operation::Create, Some(&skipping), None));
        assert_eq!(answer.outcome(), outcome);
        let hooks = webhook.hooks();
        let hook = hooks.iter().find(|hook| hook.path == PODS).unwrap();
        let condition = hook.conditions.iter().find(|(name, _)| name == "no-opt-out");
        let text = r#"!(has(object.metadata.annotations) && "kruise.io/sidecarset-skip" in object.metadata.annotations && object.metadata.annotations["kruise.io/sidecarset-skip"] == "*")"#;
        assert_eq!(condition.map(|(_, text)| text.as_str()), opt_out.then_some(text));
    }
}

/// Who creates a set and its pods in one breath finds the pods injected.
#[test]
fn a_set_is_accepted_once_its_pods_are_asked_about() {
    let webhook = webhook(&[], "");
    let log = set("log", &json!({}));
    let accept = |request: &Request| asked(&webhook, VALIDATE, request);
    let create = request(Operation::Create, Some(&log), None);
    assert!(!accept(&create).transient, "nobody registers hooks");
    webhook.hooks();
    webhook.registered();
    assert!(!accept(&Request { dry_run: true, ..create.clone() }).transient);
    let first = accept(&create);
    assert!(first.transient && first.is_allowed(), "{first:?}");
    assert!(first.warnings[0].contains("does not ask about pods of this SidecarSet yet"));
    let hook = |hooks: Vec<Hook>| hooks.into_iter().find(|hook| hook.path == PODS);
    assert!(hook(webhook.hooks()).is_some());
    webhook.registered();
    assert!(accept(&create).transient, "API servers hear of it a moment later");
    let soon = || now().checked_add(jiff::SignedDuration::from_millis(150)).unwrap();
    let webhook = Webhook { now: soon, ..webhook };
    let accept = |request: &Request| asked(&webhook, VALIDATE, request);
    assert_eq!(accept(&create), Answer::allowed());

    // A pod that comes before the set is seen stored waits for it.
    let plain = pod(&json!({}));
    let inject = || asked(&webhook, PODS, &request(Operation::Create, Some(&plain), None));
    assert!(inject().transient);
    webhook.caches.sets.apply(captured::set(&log));
    let answer = inject();
    assert!(!answer.transient && answer.outcome() == "injected", "{answer:?}");

    // Of changes only those that may concern other pods.
    let image =
        set("log", &json!({ "spec": { "containers": [{ "name": "log", "image": "i:2" }] } }));
    assert!(!accept(&request(Operation::Update, Some(&image), Some(&log))).transient);
    let wider = set("log", &json!({ "spec": { "selector": { "matchLabels": { "app": "db" } } } }));
    assert!(accept(&request(Operation::Update, Some(&wider), Some(&log))).transient);
}

#[test]
fn without_a_narrow_hook_no_set_waits() {
    let webhook = Webhook { narrow: false, ..webhook(&[], "") };
    webhook.hooks();
    webhook.registered();
    let create = request(Operation::Create, Some(&set("log", &json!({}))), None);
    assert_eq!(asked(&webhook, VALIDATE, &create), Answer::allowed());
    assert_eq!(webhook.announces(), None);
}

/// CNV-4: what a client gave beside a namespace is not lost without a word.
#[test]
fn a_selector_of_namespaces_beside_a_namespace_is_told_of() {
    let webhook = webhook(&[], "");
    let warnings = |selector: &Value| {
        let spec = json!({ "namespace": "shop", "namespaceSelector": selector });
        let set = json!({ "apiVersion": "apps.kruise.io/v1alpha1", "metadata": { "name": "log" }, "spec": spec });
        asked(&webhook, MUTATE, &request(Operation::Create, Some(&set), None)).warnings
    };
    let told = warnings(&json!({ "matchLabels": { "env": "prod" } }));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("spec.namespaceSelector: {\"matchLabels\""), "{told:?}");
    assert_eq!(
        warnings(&json!({ "matchLabels": { "kubernetes.io/metadata.name": "shop" } })),
        [""; 0]
    );
    assert_eq!(warnings(&json!(null)), [""; 0]);
}
