use kruise_common::key::ObjectKey;
use kruise_common::kind::CLAIM;
use kruise_common::plan::{Note, Outcome};
use kruise_common::write::{Category, Write, WriteError};
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
    let delete = Action::DeletePod { ordinal: 1, why: Why::Update, as_seen: false };
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

/// PV-3, EV-1: which claim was refused, which was made before it, and that the pod waits for it.
#[test]
fn a_refused_claim_is_told_beside_its_pod() {
    let logs = json!({ "metadata": { "name": "logs" }, "spec": {} });
    let more = json!({ "metadata": { "name": "more" }, "spec": {} });
    let set = set(&json!({ "volumeClaimTemplates": [claim_template("1Gi"), logs, more] }));
    let snapshot = Facts::new(&set, []).snapshot("");
    let write = |name: &str| Write::create(&CLAIM, ObjectKey::new("default", name), json!({}));
    let no = WriteError::new(Category::Forbidden, "exceeded quota").of(&write("logs-web-0"));
    let refused =
        "create Claim logs-web-0 for Pod web-0 in StatefulSet web failed error: exceeded quota";
    let made =
        "Normal SuccessfulCreate: create Claim data-web-0 Pod web-0 in StatefulSet web success";
    let failed = Outcome::Failed(no);
    let create = Action::CreatePod { ordinal: 0, revision: "r".into() };
    let pod = "create Pod web-0 in StatefulSet web failed error: exceeded quota";
    let expected = [
        made.to_owned(),
        format!("Warning FailedCreate: {refused}"),
        format!("Warning FailedCreate: {pod}"),
    ];
    assert_eq!(texts(&events(&snapshot, &create, &failed)), expected);
    let claims = Action::CreateClaims { ordinal: 0 };
    assert_eq!(texts(&events(&snapshot, &claims, &failed)), &expected[..2]);
}

#[test]
fn resized_claims_and_pull_jobs_are_told() {
    let set = set(&json!({ "volumeClaimTemplates": [claim_template("2Gi")] }));
    let snapshot = Facts::new(&set, []).with_claim(&claim(0, &json!([]))).snapshot("");
    let resize = Action::ResizeClaims { ordinal: 0, claims: vec!["data-web-0".into()] };
    let write = Write::create(&CLAIM, ObjectKey::new("default", "data-web-0"), json!({}));
    let no = Outcome::Failed(WriteError::new(Category::Invalid, "no").of(&write));
    let pull = Action::CreatePullJob {
        revision: "web-1".into(),
        container: "app".into(),
        image: "app:2".into(),
    };
    for (action, outcome, text) in [
        (
            &resize,
            &Outcome::Done,
            "Normal SuccessfulResize: resize Claim data-web-0 Pod web-0 in StatefulSet web success",
        ),
        (
            &resize,
            &no,
            "Warning FailedResize: resize Claim data-web-0 for Pod web-0 in StatefulSet web failed error: no",
        ),
        (
            &pull,
            &Outcome::Done,
            "Normal CreatedImagePullJob: created ImagePullJob web-1-app for image: app:2",
        ),
        (
            &pull,
            &no,
            "Warning FailedCreateImagePullJob: failed to create ImagePullJob web-1-app: no",
        ),
    ] {
        assert_eq!(texts(&events(&snapshot, action, outcome)), [text]);
    }
}
