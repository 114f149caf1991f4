//! The annotations on a pod, under their new and their legacy keys (`inplace.md` §2, §3).

use super::pod::{Builder, web_main};
use crate::state::{grace_state, update_state};

const STATE: &str = "apps.kruise.io/inplace-update-state";
const GRACE: &str = "apps.kruise.io/inplace-update-grace";

fn revision(pod: &Builder) -> Option<String> {
    update_state(&pod.build()).unwrap().map(|state| state.revision)
}

#[test]
fn the_legacy_key_is_read_while_the_new_one_is_absent() {
    let legacy = web_main().annotation("inplace-update-state", r#"{"revision":"old"}"#);
    assert_eq!(revision(&web_main()), None);
    assert_eq!(revision(&legacy).as_deref(), Some("old"));
    let both = legacy.annotation(STATE, r#"{"revision":"new"}"#);
    assert_eq!(revision(&both).as_deref(), Some("new"));
    let grace = web_main().annotation("inplace-update-grace", r#"{"graceSeconds":3}"#);
    assert_eq!(grace_state(&grace.build()).unwrap().unwrap().grace_seconds, 3);
}

#[test]
fn an_empty_annotation_is_none() {
    assert_eq!(revision(&web_main().annotation(STATE, "")), None);
    assert_eq!(grace_state(&web_main().annotation(GRACE, "").build()).unwrap(), None);
}

/// §3.1, reader rules.
#[test]
fn members_that_are_null_absent_or_unknown_are_read() {
    let text = r#"{"revision":"b","lastContainerStatuses":null,"containerBatchesRecord":null,"future":{"x":[1]}}"#;
    let state = update_state(&web_main().annotation(STATE, text).build()).unwrap().unwrap();
    assert_eq!((&*state.revision, state.last_container_statuses), ("b", None));
    let text = r#"{"revision":"b","lastContainerStatuses":{"main":{}},"oldTemplate":{"spec":{}}}"#;
    let state = update_state(&web_main().annotation(STATE, text).build()).unwrap().unwrap();
    assert_eq!(state.last_container_statuses.unwrap()["main"].image_id, "");
}

#[test]
fn what_cannot_be_read_names_its_key() {
    for text in
        ["{", "[]", "null x", r#"{"revision":1}"#, r#"{"lastContainerStatuses":[]}"#, "\u{0}"]
    {
        let pod = web_main().annotation(STATE, text).annotation(GRACE, text).build();
        assert_eq!(update_state(&pod).unwrap_err().key, STATE, "{text}");
        let grace = grace_state(&pod);
        assert!(grace.is_err() || text.contains("last"), "{text}: {grace:?}");
    }
}
