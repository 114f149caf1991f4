use kruise_common::plan::{Note, Outcome};
use kruise_common::write::{Category, WriteError};
use serde_json::json;

use super::facts::{Facts, alone, claim, claim_template, set};
use crate::events::events;
use crate::plan::action::{Action, Why};

fn failed(category: Category) -> Outcome {
    Outcome::Failed(WriteError::new(category, "the server says no"))
}

fn texts(notes: &[Note]) -> Vec<String> {
    let kind = |note: &Note| if note.warning { "Warning" } else { "Normal" };
    notes.iter().map(|note| format!("{} {}: {}", kind(note), note.reason, note.message)).collect()
}

#[test]
fn what_was_done_is_told_in_openkruises_words() {
    let snapshot = alone(&json!({}));
    let told = |action: &Action, outcome: &Outcome| texts(&events(&snapshot, action, outcome));
    let create = Action::CreatePod { ordinal: 0, revision: "r".into() };
    let delete = Action::DeletePod { ordinal: 1, why: Why::Update };
    let repair = Action::RepairIdentity { ordinal: 1 };
    let table = [
        (
            &create,
            Outcome::Done,
            "Normal SuccessfulCreate: create Pod web-0 in StatefulSet web successful",
        ),
        (
            &create,
            failed(Category::Forbidden),
            "Warning FailedCreate: create Pod web-0 in StatefulSet web failed error: the server says no",
        ),
        (
            &delete,
            Outcome::Done,
            "Normal SuccessfulDelete: delete Pod web-1 in StatefulSet web successful",
        ),
        (
            &delete,
            failed(Category::Server),
            "Warning FailedDelete: delete Pod web-1 in StatefulSet web failed error: the server says no",
        ),
        (
            &repair,
            Outcome::Done,
            "Normal SuccessfulUpdate: update Pod web-1 in StatefulSet web successful",
        ),
    ];
    for (action, outcome, text) in table {
        assert_eq!(told(action, &outcome), [text]);
    }
}

#[test]
fn what_openkruise_is_silent_about_is_told_when_it_is_refused() {
    let snapshot = alone(&json!({}));
    let adopt = Action::AdoptRevision { name: "web-1".into() };
    let claims = Action::CreateClaims { ordinal: 0 };
    for (action, text) in [
        (&adopt, "Warning RefusedWrite: adopt-revision web-1: the server says no"),
        (&claims, "Warning RefusedWrite: create-claims 0: the server says no"),
    ] {
        assert_eq!(texts(&events(&snapshot, action, &failed(Category::Forbidden))), [text]);
        assert!(events(&snapshot, action, &Outcome::Done).is_empty());
    }
}

#[test]
fn races_are_no_news() {
    let snapshot = alone(&json!({}));
    let create = Action::CreatePod { ordinal: 0, revision: "r".into() };
    let quiet = [
        Category::Conflict,
        Category::AlreadyExists,
        Category::NotFound,
        Category::Throttled,
        Category::Unknown,
        Category::NotLeader,
        Category::Guard,
    ];
    for category in quiet {
        assert!(events(&snapshot, &create, &failed(category)).is_empty(), "{category}");
    }
    assert!(events(&snapshot, &create, &Outcome::NotAttempted).is_empty());
}

#[test]
fn claims_made_on_the_way_are_told_one_by_one() {
    let logs = json!({ "metadata": { "name": "logs" }, "spec": {} });
    let set = set(&json!({ "volumeClaimTemplates": [claim_template("1Gi"), logs] }));
    let snapshot = Facts::new(&set, []).with_claim(&claim(0, &json!([]))).snapshot("");
    let create = Action::CreatePod { ordinal: 0, revision: "r".into() };
    let expected = [
        "Normal SuccessfulCreate: create Claim logs-web-0 Pod web-0 in StatefulSet web success",
        "Normal SuccessfulCreate: create Pod web-0 in StatefulSet web successful",
    ];
    assert_eq!(
        texts(&events(&snapshot, &create, &Outcome::Done)),
        expected,
        "data-web-0 was there"
    );
}
