//! Reviews, answers and registrations on the wire.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kruise_api::shared::field::FieldError;
use serde_json::{Value, json};

use crate::admission::patch::Patch;
use crate::admission::registration::{
    Endpoint, FailurePolicy, Hook, Phase, SOME_SET_MATCHES, Terms, configuration, says,
};
use crate::admission::review::{BadReview, Review, decode, encode};
use crate::admission::{Answer, Operation, Verdict};

/// The body of an answer, read again.
fn answered(review: &Review, answer: &Answer) -> Value {
    serde_json::from_str(&encode(review, answer).unwrap()).unwrap()
}

fn review(request: &Value) -> Vec<u8> {
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request })
        .to_string()
        .into_bytes()
}

fn creation() -> Value {
    json!({
        "uid": "u-1",
        "kind": { "group": "apps.kruise.io", "version": "v1beta1", "kind": "StatefulSet" },
        "resource": { "group": "apps.kruise.io", "version": "v1beta1", "resource": "statefulsets" },
        "namespace": "shop",
        "name": "web",
        "operation": "CREATE",
        "userInfo": { "username": "alice", "groups": ["x"] },
        "object": { "spec": { "future": 1.50 } },
        "oldObject": null,
        "dryRun": true,
        "options": null,
    })
}

#[test]
fn a_review_keeps_its_objects_as_text() {
    let text = r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"u",
        "operation":"UPDATE","object":{"b":1.50,"a":"<>"},"oldObject":{"a":1e2}}}"#;
    let read = decode(text.as_bytes()).unwrap();
    assert_eq!(read.api_version, "admission.k8s.io/v1beta1");
    assert_eq!(read.request.operation, Operation::Update);
    assert_eq!(read.request.object.unwrap().get(), r#"{"b":1.50,"a":"<>"}"#);
    assert_eq!(read.request.old.unwrap().get(), r#"{"a":1e2}"#);
}

#[test]
fn what_a_review_does_not_say_is_empty() {
    let read = decode(&review(&creation())).unwrap().request;
    assert_eq!((read.namespace.as_str(), read.name.as_str()), ("shop", "web"));
    assert!(read.dry_run);
    assert_eq!(read.old, None, "null is no object");
    let bare = json!({ "uid": "u", "operation": "DELETE" });
    let read = decode(&review(&bare)).unwrap().request;
    assert_eq!(read.operation, Operation::Delete);
    assert!(read.object.is_none() && read.name.is_empty() && read.subresource.is_empty());
}

#[test]
fn what_is_no_review_says_why() {
    let no_text = decode(b"\xff\xfe").unwrap_err();
    assert!(matches!(no_text, BadReview::NoText(_)), "{no_text}");
    let malformed: [&[u8]; 5] = [b"", b"{", b"[]", b"null", b"{\"kind\":1}"];
    for body in malformed {
        assert!(matches!(decode(body), Err(BadReview::Malformed(_))), "{body:?}");
    }
    let other = br#"{"apiVersion":"v1","kind":"Pod"}"#;
    let text = decode(other).unwrap_err().to_string();
    assert_eq!(text, "v1 Pod is not an AdmissionReview of admission.k8s.io/v1 or v1beta1");
    let empty = br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#;
    assert_eq!(decode(empty).unwrap_err().to_string(), "request: Required value");
    let strange = review(&json!({ "uid": "u", "operation": "EXPLODE" }));
    assert!(decode(&strange).unwrap_err().to_string().contains("unknown variant `EXPLODE`"));
}

#[test]
fn an_answer_repeats_the_review_and_carries_its_patch_as_base64() {
    let read = decode(&review(&creation())).unwrap();
    let before = json!({ "spec": { "replicas": 1 } });
    let after = json!({ "spec": { "replicas": 1, "paused": false } });
    let mut answer = Answer::changed(&before, &after).with_warnings(["mind the gap".to_owned()]);
    assert_eq!(answer.outcome(), "patched");
    answer.audit.insert("who", "me".to_owned());
    let body = answered(&read, &answer);
    assert_eq!(body["apiVersion"], "admission.k8s.io/v1");
    let response = &body["response"];
    assert_eq!(response["uid"], "u-1");
    assert_eq!(response["allowed"], true);
    assert_eq!(response["patchType"], "JSONPatch");
    assert_eq!(response["warnings"], json!(["mind the gap"]));
    assert_eq!(response["auditAnnotations"], json!({ "who": "me" }));
    let patch = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    let mut patched = before;
    json_patch::patch(&mut patched, &patch).unwrap();
    assert_eq!(patched, after);
}

/// Whatever paths and strings hold, and however many operations there are, the text is a patch.
#[test]
fn a_patch_is_a_list_of_operations_at_any_time() {
    let mut patch = Patch::default();
    assert!(patch.is_empty());
    assert_eq!(patch.text(), b"[]");
    patch.add("/spec/containers/-", r#"{"name":"a"}"#);
    assert_eq!(patch.text(), br#"[{"op":"add","path":"/spec/containers/-","value":{"name":"a"}}]"#);
    patch.replace("/spec/containers/0", "[1.50]");
    patch.add_string("/metadata/annotations/a~1\"b", "\"\n\u{2028}");
    patch.remove("/x");
    assert!(!patch.is_empty());
    let operations: Vec<Value> = serde_json::from_slice(patch.text()).unwrap();
    let expected = [
        json!({ "op": "add", "path": "/spec/containers/-", "value": { "name": "a" } }),
        json!({ "op": "replace", "path": "/spec/containers/0", "value": [1.5] }),
        json!({ "op": "add", "path": "/metadata/annotations/a~1\"b", "value": "\"\n\u{2028}" }),
        json!({ "op": "remove", "path": "/x" }),
    ];
    assert_eq!(operations, expected);
}

#[test]
fn no_change_is_no_patch() {
    let same = json!({ "spec": {} });
    assert_eq!(Answer::changed(&same, &same.clone()), Answer::allowed());
    let read = decode(&review(&creation())).unwrap();
    let body = answered(&read, &Answer::allowed());
    assert_eq!(body["response"], json!({ "uid": "u-1", "allowed": true }));
}

#[test]
fn a_denial_names_every_broken_rule_once() {
    let negative = FieldError::invalid("spec.replicas", -1, "must be greater than or equal to 0");
    let missing = FieldError::required("spec.selector", "");
    let one = Answer::checked(std::slice::from_ref(&negative));
    let Verdict::Denied(denial) = one.verdict else { panic!("denied") };
    assert_eq!((denial.code, denial.reason), (422, "Invalid"));
    assert_eq!(
        denial.message,
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
    );
    let Verdict::Denied(many) = Answer::checked(&[negative.clone(), missing, negative]).verdict
    else {
        panic!("denied")
    };
    assert_eq!(
        many.message,
        "[spec.replicas: Invalid value: -1: must be greater than or equal to 0, spec.selector: Required value]"
    );
    assert!(Answer::checked(&[]).is_allowed());
    let read = decode(&review(&creation())).unwrap();
    let body = answered(&read, &Answer::forbidden("no"));
    let status =
        json!({ "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no" });
    assert_eq!(body["response"]["status"], status);
    assert_eq!(body["response"]["allowed"], false);
}

fn hook(phase: Phase) -> Hook {
    Hook {
        name: "mweb.kb.io".to_owned(),
        path: "/mutate-web",
        phase,
        group: "apps.kruise.io",
        versions: &["v1beta1"],
        resources: &["webs"],
        operations: &["CREATE"],
        namespace_selector: None,
        object_selector: Some(json!({ "matchLabels": { "a": "b" } })),
        conditions: vec![("not-ours".to_owned(), "object.metadata.name != 'x'".to_owned())],
        failure_policy: Some(FailurePolicy::Ignore),
        again: true,
        acts: false,
    }
}

fn terms(endpoint: Endpoint) -> Terms {
    Terms {
        binary: "kruise-web",
        endpoint,
        timeout_seconds: 5,
        failure_policy: FailurePolicy::Fail,
        namespace: String::new(),
    }
}

#[test]
fn a_configuration_says_where_and_about_what_to_ask() {
    let terms = terms(Endpoint::service("system/kruise-web:8443").unwrap());
    let made = configuration(&terms, Phase::Mutating, &[hook(Phase::Mutating)], "CA").unwrap();
    let wanted = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {
            "name": "kruise-web-mutating",
            "labels": {
                "app.kubernetes.io/name": "kruise-web",
            },
        },
        "webhooks": [{
            "name": "mweb.kb.io",
            "clientConfig": {
                "service": { "namespace": "system", "name": "kruise-web", "port": 8443, "path": "/mutate-web" },
                "caBundle": "Q0E=",
            },
            "rules": [{
                "apiGroups": ["apps.kruise.io"], "apiVersions": ["v1beta1"], "resources": ["webs"],
                "operations": ["CREATE"], "scope": "*",
            }],
            "namespaceSelector": {},
            "objectSelector": { "matchLabels": { "a": "b" } },
            "matchConditions": [{ "name": "not-ours", "expression": "object.metadata.name != 'x'" }],
            "failurePolicy": "Ignore",
            "matchPolicy": "Equivalent",
            "sideEffects": "None",
            "timeoutSeconds": 5,
            "admissionReviewVersions": ["v1", "v1beta1"],
            "reinvocationPolicy": "IfNeeded",
        }],
    });
    assert_eq!(made, wanted);
    assert_eq!(configuration(&terms, Phase::Validating, &[hook(Phase::Mutating)], "CA"), None);
}

/// Without a CA of our own the member is not applied, so that it belongs to whoever injects one.
#[test]
fn a_ca_that_somebody_else_injects_is_not_contradicted() {
    let terms = terms(Endpoint::service("system/kruise-web").unwrap());
    let made = configuration(&terms, Phase::Mutating, &[hook(Phase::Mutating)], "").unwrap();
    assert_eq!(made["webhooks"][0]["clientConfig"].get("caBundle"), None);
    let mut stored = made.clone();
    stored["webhooks"][0]["clientConfig"]["caBundle"] = json!("Q0E=");
    assert!(says(&stored, &made));
}

#[test]
fn a_controller_of_one_namespace_asks_about_no_other() {
    let terms = Terms {
        namespace: "shop".to_owned(),
        ..terms(Endpoint::url("https://127.0.0.1:9443").unwrap())
    };
    let mut narrow = hook(Phase::Validating);
    narrow.namespace_selector = Some(json!({ "matchLabels": { "tier": "web" } }));
    let hooks = [hook(Phase::Validating), narrow];
    let made = configuration(&terms, Phase::Validating, &hooks, "CA").unwrap();
    let only = "kubernetes.io/metadata.name";
    let selectors = ["/webhooks/0/namespaceSelector", "/webhooks/1/namespaceSelector"];
    let [first, second] = selectors.map(|path| made.pointer(path).unwrap().clone());
    assert_eq!(first, json!({ "matchLabels": { only: "shop" } }));
    assert_eq!(second, json!({ "matchLabels": { only: "shop", "tier": "web" } }));
    assert_eq!(made["webhooks"][0]["clientConfig"]["url"], "https://127.0.0.1:9443/mutate-web");
    assert_eq!(made["webhooks"][0].get("reinvocationPolicy"), None, "validating hooks have none");
}

#[test]
fn what_others_add_to_a_configuration_does_not_count() {
    let wanted = json!({ "a": { "b": 1 }, "list": [{ "x": 1 }] });
    let stored = json!({ "a": { "b": 1, "c": 2 }, "list": [{ "x": 1, "y": 2 }], "z": 0 });
    assert!(says(&stored, &wanted));
    let differs = [
        json!({ "a": { "b": 2 }, "list": [{ "x": 1 }] }),
        json!({ "a": { "b": 1 }, "list": [{ "x": 1 }, { "x": 1 }] }),
        json!({ "a": { "b": 1 } }),
    ];
    for stored in differs {
        assert!(!says(&stored, &wanted), "{stored}");
    }
}

/// Else what is asked about would stay as narrow as it was, without a word.
#[test]
fn what_narrows_a_configuration_counts_also_if_it_is_not_wanted() {
    let labels = json!({ "matchLabels": { "app": "a" } });
    let hook = |change: &Value| {
        let mut hook = json!({ "name": "x", "namespaceSelector": {}, "objectSelector": {} });
        json_patch::merge(&mut hook, change);
        json!({ "webhooks": [hook] })
    };
    let wanted = hook(&json!({}));
    assert!(says(&wanted, &wanted));
    let empty = json!({ "matchConditions": [], "objectSelector": null, "other": 1 });
    assert!(says(&hook(&empty), &wanted));
    for narrower in [
        json!({ "objectSelector": labels }),
        json!({ "namespaceSelector": labels }),
        json!({ "matchConditions": [{ "name": SOME_SET_MATCHES, "expression": "false" }] }),
    ] {
        assert!(!says(&hook(&narrower), &wanted), "{narrower}");
        assert!(!says(&wanted, &hook(&narrower)), "{narrower}");
        assert!(says(&hook(&narrower), &hook(&narrower)), "{narrower}");
    }
    let theirs = json!({ "matchConditions": [{ "name": "n", "expression": "false" }] });
    assert!(says(&hook(&theirs), &wanted), "we could not take it away");
    // As AKS does with every hook that asks about all namespaces.
    let added =
        json!({ "matchExpressions": [{ "key": "control-plane", "operator": "DoesNotExist" }] });
    assert!(says(&hook(&json!({ "namespaceSelector": added })), &wanted));
    let mut more = labels.clone();
    more["matchExpressions"] = json!([{ "key": "b", "operator": "Exists" }]);
    let (more, less) = (json!({ "objectSelector": more }), json!({ "objectSelector": labels }));
    assert!(!says(&hook(&more), &hook(&less)), "within a selector, too");
}

#[test]
fn endpoints_are_read_strictly() {
    let service = Endpoint::service("system/web").unwrap();
    assert_eq!(service.host(), "web.system.svc");
    assert_eq!(Endpoint::url("https://[::1]:9443/").unwrap().host(), "::1");
    assert_eq!(Endpoint::url("https://10.0.0.1:9443").unwrap().host(), "10.0.0.1");
    for wrong in ["web", "/web", "a/", "a/b/c", "a/b:x", "a/b:70000"] {
        assert!(Endpoint::service(wrong).is_err(), "{wrong}");
    }
    for wrong in ["http://a", "https://", "https://a/path", "https://a?x=1", "a:1", ""] {
        assert!(Endpoint::url(wrong).is_err(), "{wrong}");
    }
}
