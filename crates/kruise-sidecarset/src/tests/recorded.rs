//! Recorded revisions are read once.

use std::sync::Arc;

use serde_json::json;

use super::captured;
use crate::recorded::Library;

fn revision(
    uid: &str,
    version: usize,
    containers: &serde_json::Value,
) -> kruise_common::revision::Revision {
    let object = json!({
        "metadata": { "name": "log-v1", "uid": uid, "resourceVersion": version.to_string(), "labels": { "kruise.io/sidecarset-name": "log" } },
        "revision": 1,
        "data": { "spec": { "$patch": "replace", "containers": containers } },
    });
    captured::revision(&object.to_string())
}

#[test]
fn a_revision_is_read_once_for_each_state() {
    let library = Library::default();
    let of = |uid: &str, version, image: &str| {
        let containers = json!([{ "name": "log", "image": image }]);
        library.recorded(&revision(uid, version, &containers)).unwrap()
    };
    let first = of("a", 1, "log:1");
    assert!(Arc::ptr_eq(&first, &of("a", 1, "log:1")));
    // The same name, made again with other contents.
    let again = of("b", 2, "log:2");
    assert_eq!(again.prepared.containers[0].typed.image, "log:2");
    assert_eq!(first.prepared.containers[0].typed.image, "log:1");
    // Other annotations bring other hashes.
    assert!(!Arc::ptr_eq(&first, &of("a", 3, "log:1")));
    let broken = revision("c", 4, &json!([{ "name": 7 }]));
    let problem = library.recorded(&broken).unwrap_err().to_string();
    assert!(problem.starts_with("ControllerRevision log-v1: "), "{problem}");
}

#[test]
fn many_revisions_do_not_pile_up() {
    let library = Library::default();
    for version in 0..1000 {
        let containers = json!([{ "name": "log", "image": "log:1" }]);
        library.recorded(&revision("a", version, &containers)).unwrap();
    }
    assert!(library.len() <= 256);
}
