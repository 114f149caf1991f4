use kruise_common::plan::{Note, Outcome};
use kruise_common::write::{Category, WriteError};
use serde_json::json;

use super::facts::{job, mark, node, pod, snapshot};
use crate::events::events;
use crate::plan::action::{Action, Ending, Why};
use crate::snapshot::Snapshot;

fn seen() -> Snapshot {
    let nodes = ["a", "b", "c"].map(|name| node(name, &json!({})));
    let ended = |name: &str, phase: &str| pod(name, &json!({ "status": { "phase": phase } }));
    snapshot(
        &job(&json!({})),
        nodes,
        [ended("a", "Succeeded"), ended("b", "Failed"), pod("c", &json!({}))],
    )
}

fn done(action: &Action) -> Vec<Note> {
    events(&seen(), action, &Outcome::Done)
}

/// The texts of §19.
#[test]
fn events_have_openkruises_reasons_and_texts() {
    let create = Action::CreatePod { node: "a".into(), mark: mark("a") };
    let pod: std::sync::Arc<str> = "clean-x".into();
    let name = format!("Created pod: clean-{}", mark("a"));
    assert_eq!(done(&create), [Note::normal("SuccessfulCreate", name)]);
    let delete = Action::DeletePod { pod: pod.clone(), why: Why::Unfit };
    assert_eq!(done(&delete), [Note::normal("SuccessfulDelete", "Delete pod: clean-x")]);
    assert_eq!(
        done(&Action::Finish(Ending::FailedPod)),
        [Note::warning(
            "failed pod is found",
            "failure policy is FailurePolicyTypeFailFast and failed pod is found: 1 pods succeeded, 2 pods failed"
        )]
    );
    assert_eq!(
        done(&Action::Finish(Ending::Deadline)),
        [Note::warning(
            "DeadlineExceeded",
            "Job default/clean was active longer than specified deadline: 1 pods succeeded, 2 pods failed"
        )]
    );
    assert_eq!(
        done(&Action::Finish(Ending::Complete)),
        [Note::normal(
            "JobComplete",
            "Job default/clean is completed, 1 pods succeeded, 1 pods failed"
        )]
    );
    assert_eq!(done(&Action::DeleteJob), []);
}

#[test]
fn refusals_are_told_and_races_are_not() {
    let create = Action::CreatePod { node: "a".into(), mark: mark("a") };
    let failed =
        |category| events(&seen(), &create, &Outcome::Failed(WriteError::new(category, "no room")));
    assert_eq!(
        failed(Category::Forbidden),
        [Note::warning("FailedCreate", "Error creating: no room")]
    );
    for category in
        [Category::Conflict, Category::AlreadyExists, Category::Unknown, Category::NotLeader]
    {
        assert_eq!(failed(category), [], "{category}");
    }
    assert_eq!(events(&seen(), &create, &Outcome::NotAttempted), []);
}
