//! Writes as values: every one has its precondition, and no text of a user can change where it goes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{key, meta};
use crate::kind::{POD, STATEFUL_SET};
use crate::write::{Category, Guard, Operations, Patch, Request, Write, WriteError};

fn operations(write: &Write) -> Vec<Value> {
    match &write.request {
        Request::Patch { patch: Patch::Json(Value::Array(all)), .. } => all.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_json_patch_tests_the_uid_first() {
    let meta = meta("web-0", "u", 5, "");
    let change = Operations::default()
        .test(&["metadata", "resourceVersion"], "5")
        .add(&["metadata", "annotations"], json!({}))
        .replace(&["spec", "containers", "0", "image"], "nginx:2")
        .remove(&["metadata", "labels", "a"]);
    let write = Write::json(&POD, &meta, change);
    let wanted = [
        json!({"op": "test", "path": "/metadata/uid", "value": "u"}),
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": "5"}),
        json!({"op": "add", "path": "/metadata/annotations", "value": {}}),
        json!({"op": "replace", "path": "/spec/containers/0/image", "value": "nginx:2"}),
        json!({"op": "remove", "path": "/metadata/labels/a"}),
    ];
    assert_eq!(operations(&write), wanted);
    assert!(Operations::default().is_empty() && !Operations::default().remove(&["a"]).is_empty());
}

#[test]
fn tokens_are_escaped() {
    let path = |tokens: &[&str]| {
        let write = Write::json(&POD, &meta("a", "u", 1, ""), Operations::default().remove(tokens));
        operations(&write)[1]["path"].as_str().unwrap().to_owned()
    };
    assert_eq!(path(&["metadata", "labels", "a/b~c"]), "/metadata/labels/a~1b~0c");
    assert_eq!(path(&["~1", "", "é"]), "/~01//é");
    assert_eq!(path(&[]), "");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a label is called, exactly it is written.
    #[test]
    fn a_key_of_a_user_addresses_itself_only(name in "[a/~01.]{0,6}") {
        let before = json!({"metadata": {"uid": "u", "labels": {"keep": "x"}}, "spec": {}});
        let change = Operations::default().add(&["metadata", "labels", &name], "v");
        let patch = operations(&Write::json(&POD, &meta("a", "u", 1, ""), change));
        let patch: json_patch::Patch = serde_json::from_value(Value::Array(patch)).unwrap();
        let mut after = before.clone();
        json_patch::patch(&mut after, &patch).unwrap();
        let mut wanted = before;
        wanted["metadata"]["labels"][name.as_str()] = json!("v");
        prop_assert_eq!(after, wanted);
    }
}

#[test]
fn a_strategic_patch_carries_the_uid_even_if_it_has_metadata() {
    let meta = meta("web-0", "u", 5, "");
    for (change, wanted) in [
        (json!({}), json!({"metadata": {"uid": "u"}})),
        (
            json!({"metadata": {"uid": "mine", "labels": {"a": null}}}),
            json!({"metadata": {"uid": "u", "labels": {"a": null}}}),
        ),
    ] {
        let write = Write::strategic(&POD, &meta, change);
        let Request::Patch { subresource: None, patch: Patch::Strategic(body) } = write.request
        else {
            panic!("{write:?}");
        };
        assert_eq!(body, wanted);
    }
}

#[test]
fn a_creation_gets_its_name_from_the_key() {
    let body = json!({"metadata": {"name": "other", "namespace": "other", "labels": {}}});
    let write = Write::create(&POD, key("web-0"), body);
    let Request::Create { body } = &write.request else { panic!("{write:?}") };
    assert_eq!(body["metadata"], json!({"name": "web-0", "namespace": "ns", "labels": {}}));
}

#[test]
fn a_line_of_the_log_says_what_where() {
    let meta = meta("web-0", "u", 5, "");
    let none = Operations::default;
    for (write, line, verb, subresource) in [
        (Write::create(&POD, key("web-0"), json!({})), "create pods ns/web-0", "create", ""),
        (Write::delete(&POD, &meta), "delete pods ns/web-0", "delete", ""),
        (Write::json(&POD, &meta, none()), "patch pods ns/web-0", "patch", ""),
        (
            Write::json_status(&STATEFUL_SET, &meta, none()),
            "patch statefulsets/status ns/web-0",
            "patch",
            "status",
        ),
        (
            Write::strategic_status(&POD, &meta, json!({})),
            "patch pods/status ns/web-0",
            "patch",
            "status",
        ),
    ] {
        assert_eq!(
            (write.to_string().as_str(), write.verb(), write.subresource()),
            (line, verb, subresource)
        );
        assert_eq!(write.guard, None);
    }
    let guard = Guard {
        kind: &STATEFUL_SET,
        key: key("web"),
        uid: "s".into(),
        may_terminate: false,
        generation: None,
    };
    assert_eq!(Write::delete(&POD, &meta).guarded_by(guard.clone()).guard, Some(guard));
}

#[test]
fn a_deletion_names_the_object_that_was_seen() {
    let write = Write::delete(&POD, &meta("web-0", "u", 5, ""));
    assert_eq!(write.request, Request::Delete { uid: "u".into(), version: None });
}

#[test]
fn errors_say_their_category() {
    let error = WriteError::new(Category::AlreadyExists, "pods \"a\" already exists");
    assert_eq!(error.to_string(), "already-exists: pods \"a\" already exists");
    let users: Vec<_> = [
        Category::Conflict,
        Category::AlreadyExists,
        Category::NotFound,
        Category::Invalid,
        Category::Forbidden,
        Category::NamespaceTerminating,
        Category::Throttled,
        Category::Server,
        Category::Unknown,
        Category::NotLeader,
        Category::Guard,
    ]
    .into_iter()
    .filter(|category| category.concerns_user())
    .map(Category::as_str)
    .collect();
    assert_eq!(users, ["invalid", "forbidden"]);
}

#[test]
fn an_eviction_names_the_pod_that_was_seen() {
    let write = Write::evict(&meta("web-0", "u", 5, ""));
    assert_eq!(write.request, Request::Evict { uid: "u".into(), version: None });
    assert_eq!(write.to_string(), "create pods/eviction ns/web-0");
    let write = Write::evict_as_seen(&meta("web-0", "u", 5, ""));
    assert_eq!(write.request, Request::Evict { uid: "u".into(), version: Some("5".into()) });
}

#[test]
fn some_failures_say_nothing_about_other_targets() {
    let own: Vec<_> = [
        Category::Conflict,
        Category::AlreadyExists,
        Category::NotFound,
        Category::Invalid,
        Category::Forbidden,
        Category::NamespaceTerminating,
        Category::Throttled,
        Category::Server,
        Category::Unknown,
        Category::NotLeader,
        Category::Guard,
    ]
    .into_iter()
    .filter(|category| category.concerns_target())
    .map(Category::as_str)
    .collect();
    assert_eq!(own, ["conflict", "not-found", "invalid", "forbidden", "guard"]);
}
