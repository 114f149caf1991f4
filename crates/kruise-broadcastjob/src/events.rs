//! Kubernetes Events about actions (§19). Reasons and texts are those of OpenKruise.

use kruise_api::keys;
use kruise_common::plan::{Note, Outcome};

use crate::plan::action::{Action, Ending};
use crate::pod;
use crate::snapshot::Snapshot;
use crate::status;

/// What to tell about an action that was attempted.
pub fn events(snapshot: &Snapshot, action: &Action, outcome: &Outcome) -> Vec<Note> {
    let error = match outcome {
        Outcome::Done => None,
        Outcome::Failed(error) if error.category.is_news() => Some(error),
        Outcome::Failed(_) | Outcome::NotAttempted => return Vec::new(),
    };
    let note = match (action, error) {
        (Action::CreatePod { mark, .. }, None) => {
            let text = format!("Created pod: {}", pod::name(&snapshot.job, *mark));
            Note::normal(keys::EVENT_SUCCESSFUL_CREATE, text)
        }
        (Action::CreatePod { .. }, Some(error)) => {
            let text = format!("Error creating: {}", error.message);
            Note::warning(keys::EVENT_FAILED_CREATE, text)
        }
        (Action::DeletePod { pod, .. }, None) => {
            Note::normal(keys::EVENT_SUCCESSFUL_DELETE, format!("Delete pod: {pod}"))
        }
        (Action::DeletePod { pod, .. }, Some(error)) => {
            let text = format!("Error deleting {pod}: {}", error.message);
            Note::warning(keys::EVENT_FAILED_DELETE, text)
        }
        (Action::StopPod { pod }, None) => {
            let text = format!("Stopped pod {pod}: it restarted more often than is tolerated");
            Note::warning(keys::EVENT_STOPPED_POD, text)
        }
        (Action::Finish(ending), None) => finished(snapshot, *ending),
        // A gate tells its pod; a deleted job has nothing left that an event could be about.
        (Action::OpenGate { .. } | Action::DeleteJob, None) => return Vec::new(),
        (
            Action::StopPod { .. }
            | Action::OpenGate { .. }
            | Action::Finish(_)
            | Action::DeleteJob,
            Some(error),
        ) => Note::warning(keys::EVENT_REFUSED_WRITE, format!("{action}: {}", error.message)),
    };
    vec![note]
}

fn finished(snapshot: &Snapshot, ending: Ending) -> Note {
    let (succeeded, failed) = status::final_counts(snapshot, ending);
    let counts = format!("{succeeded} pods succeeded, {failed} pods failed");
    let job = &snapshot.job.meta.key;
    match ending {
        Ending::Complete => {
            Note::normal(keys::EVENT_JOB_COMPLETE, format!("Job {job} is completed, {counts}"))
        }
        Ending::FailedPod => {
            Note::warning(keys::EVENT_FAILED_POD, format!("{}: {counts}", status::FAILED_POD))
        }
        Ending::Deadline => {
            let text = format!("{}: {counts}", status::deadline_message(snapshot));
            Note::warning(keys::EVENT_DEADLINE_EXCEEDED, text)
        }
    }
}
