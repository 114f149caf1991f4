//! Captured BroadcastJobs go through our types and come out the same.

use std::path::Path;

use serde_json::{Value, json};

use crate::broadcastjob::{v1alpha1, v1beta1};
use crate::tests::statefulset::same;

/// Captured jobs with the names of their files.
pub(super) fn captured() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/captured-jobs");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.display().to_string(), serde_json::from_str(&text).unwrap())
    };
    let jobs: Vec<_> = files.map(read).collect();
    assert!(jobs.len() >= 16, "only {} jobs", jobs.len());
    jobs
}

#[test]
fn captured_jobs_survive_our_types() {
    for (file, mut job) in captured() {
        // Go writes counts of nothing; so do we.
        job["status"]["active"] = json!(0);
        if job["apiVersion"] == "apps.kruise.io/v1alpha1" {
            same::<v1alpha1::BroadcastJobSpec>(&job["spec"], &file);
            same::<v1beta1::BroadcastJobStatus>(&job["status"], &file);
        } else {
            same::<v1beta1::BroadcastJobSpec>(&job["spec"], &file);
            same::<v1beta1::BroadcastJobStatus>(&job["status"], &file);
        }
    }
}

#[test]
fn what_a_status_always_says_is_always_written() {
    let status = serde_json::to_value(v1beta1::BroadcastJobStatus::default()).unwrap();
    let always = json!({ "active": 0, "succeeded": 0, "failed": 0, "desired": 0, "phase": "" });
    assert_eq!(status, always);
    let spec: v1beta1::BroadcastJobSpec = serde_json::from_str("{}").unwrap();
    assert_eq!(serde_json::to_string(&spec).unwrap(), r#"{"template":{}}"#);
}
