//! Which Kubernetes Events an attempted action gives (section 22), and warnings where OpenKruise is silent (W-29).

use kruise_api::keys;
use kruise_common::kind::POD;
use kruise_common::plan::{Note, Outcome};
use kruise_common::write::WriteError;

use crate::plan::action::Action;
use crate::snapshot::Snapshot;

/// The Events about `action`.
pub fn events(snapshot: &Snapshot, action: &Action, outcome: &Outcome) -> Vec<Note> {
    let error = match outcome {
        Outcome::Done => None,
        // Races and standby are not news; what the server says about the object is.
        Outcome::Failed(error) if error.category.concerns_user() => Some(error),
        Outcome::Failed(_) | Outcome::NotAttempted => return Vec::new(),
    };
    match action {
        Action::ResetTwins { pod } => {
            let note = reset(error);
            let member = snapshot.member(pod);
            member.map(|member| note.about(&POD, &member.pod.meta)).into_iter().collect()
        }
        Action::CreateRevision(_)
        | Action::RaiseRevision { .. }
        | Action::LabelRevision { .. }
        | Action::DeleteRevision { .. }
        | Action::Mark { .. }
        | Action::UpdatePod { .. }
        | Action::TurnBack { .. }
        | Action::Settle { .. }
        | Action::Evict { .. } => refused(action, error),
    }
}

/// EVN-2, EVN-3.
fn reset(error: Option<&WriteError>) -> Note {
    match error {
        None => Note::normal(
            keys::EVENT_RESET_CONTAINER_SUCCEED,
            "reset sidecar container image empty successfully",
        ),
        Some(error) => {
            let why = &error.message;
            let text = format!("reset sidecar container image empty failed: {why}");
            Note::warning(keys::EVENT_RESET_CONTAINER_FAILED, text)
        }
    }
}

fn refused(action: &Action, error: Option<&WriteError>) -> Vec<Note> {
    let note = |error: &WriteError| {
        Note::warning(keys::EVENT_REFUSED_WRITE, format!("{action}: {}", error.message))
    };
    error.map(note).into_iter().collect()
}
