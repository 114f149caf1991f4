use serde_json::{Value, json};

use super::facts::{Facts, UID, set};
use crate::revision::Change;

/// A revision of the set whose data is the text `data`, to the letter.
fn revision(name: &str, number: i64, data: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": name,
            "ownerReferences": [{
                "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": UID,
                "controller": true,
            }],
        },
        "revision": number,
        "data": serde_json::from_str::<Value>(data).unwrap(),
    })
}

/// Name of the update revision, and what is to be written for it.
fn chosen(revisions: &[Value]) -> (String, Change) {
    let facts = Facts::new(&set(&json!({})), []);
    let facts = revisions.iter().fold(facts, Facts::with_revision);
    let snapshot = facts.snapshot("");
    let (_, revisions) = snapshot.chosen().unwrap();
    (revisions.update.name.to_string(), revisions.change.clone())
}

fn ours() -> String {
    let snapshot = Facts::new(&set(&json!({})), []).snapshot("");
    snapshot.chosen().unwrap().1.update.data.get().to_owned()
}

/// The same template as another library writes it.
fn theirs() -> String {
    ours().replace("\"creationTimestamp\":null,", "")
}

#[test]
fn a_template_that_is_stored_is_not_stored_again() {
    assert_eq!(chosen(&[revision("web-a", 1, &ours())]), ("web-a".to_owned(), Change::None));
    let (name, change) = chosen(&[]);
    assert!(name.starts_with("web-") && matches!(change, Change::Create(_)));
}

#[test]
fn a_rollback_raises_the_old_revision() {
    let other = ours().replace("app:1", "app:2");
    let both = [revision("web-a", 1, &ours()), revision("web-b", 2, &other)];
    assert_eq!(chosen(&both), ("web-a".to_owned(), Change::Raise(3)));
}

#[test]
fn the_newest_of_equal_revisions_wins_whoever_wrote_it() {
    assert_ne!(ours(), theirs(), "not the same bytes");
    let both = [revision("web-a", 1, &ours()), revision("web-b", 2, &theirs())];
    assert_eq!(chosen(&both), ("web-b".to_owned(), Change::None), "no pod is outdated by it");
}
