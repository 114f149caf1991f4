//! The in-place annotations, byte for byte as OpenKruise writes them (`inplace.md` §3).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::keys;
use crate::shared::inplace::{GraceState, UpdateState, rfc3339};
use crate::shared::readiness::{Blocker, blockers, message};

fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(text: &str) {
    let value: T = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&value).unwrap(), text);
}

#[test]
fn update_state_is_read_and_written_back_unchanged() {
    for text in [
        r#"{"revision":"web-6b8f9c7d5f","updateTimestamp":"2026-01-02T03:04:05Z","lastContainerStatuses":{"main":{"imageID":"docker.io/library/nginx@sha256:aaa"}},"updateImages":true,"containerBatchesRecord":[{"timestamp":"2026-01-02T03:04:05Z","containers":["main"]}]}"#,
        r#"{"revision":"web-1","updateTimestamp":"2026-01-02T03:04:05Z","lastContainerStatuses":null,"containerBatchesRecord":[{"timestamp":"2026-01-02T03:04:05Z","containers":[]}]}"#,
        r#"{"revision":"web-1","updateTimestamp":"2026-01-02T03:04:05Z","lastContainerStatuses":null,"updateEnvFromMetadata":true,"updateImages":true,"nextContainerImages":{"main":"main:v2"},"preCheckBeforeNext":{"containersRequiredReady":["sidecar"]},"containerBatchesRecord":[{"timestamp":"2026-01-02T03:04:05Z","containers":["sidecar"]}]}"#,
    ] {
        round_trip::<UpdateState>(text);
    }
}

/// `tests/golden/annotations.json`: every annotation of its kind that was captured.
#[test]
fn captured_annotations_are_read_and_written_back_unchanged() {
    let all: BTreeMap<String, Vec<String>> =
        serde_json::from_str(include_str!("../../tests/golden/annotations.json")).unwrap();
    assert!(all[keys::INPLACE_UPDATE_STATE].len() > 10);
    all[keys::INPLACE_UPDATE_STATE].iter().for_each(|text| round_trip::<UpdateState>(text));
    for text in &all[keys::KRUISE_POD_READY] {
        assert_eq!(message(blockers(Some(text))), *text);
    }
    for time in &all["time"] {
        assert_eq!(rfc3339(time.parse().unwrap()), *time);
    }
}

#[test]
fn grace_state_is_read_and_written_back_unchanged() {
    round_trip::<GraceState>(
        r#"{"revision":"web-1","containerImages":{"main":"nginx:1.27"},"metaDataPatch":"eyJtZXRhZGF0YSI6eyJsYWJlbHMiOnsidiI6IjIifX19","graceSeconds":10}"#,
    );
}

#[test]
fn members_of_a_newer_writer_are_ignored() {
    let state: UpdateState = serde_json::from_str(r#"{"revision":"a","future":{"x":1}}"#).unwrap();
    assert_eq!(state.revision, "a");
    assert_eq!(state.last_container_statuses, None);
}

#[test]
fn times_have_whole_seconds_in_utc() {
    let time: Timestamp = "2026-01-02T03:04:05.678901+02:00".parse().unwrap();
    assert_eq!(rfc3339(time), "2026-01-02T01:04:05Z");
}

#[test]
fn blockers_of_others_survive_and_the_list_is_sorted() {
    let mut list = blockers(Some(r#"[{"userAgent":"z","key":"b"}]"#));
    list.push(Blocker::lifecycle("preUpdateHook"));
    list.push(Blocker::lifecycle("preUpdateHook"));
    assert_eq!(
        message(list),
        r#"[{"userAgent":"Lifecycle","key":"preUpdateHook"},{"userAgent":"z","key":"b"}]"#
    );
    assert_eq!(message(Vec::new()), "[]");
    assert!(blockers(Some("nonsense")).is_empty());
}
