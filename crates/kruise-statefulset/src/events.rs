//! Which Kubernetes Events an attempted action gives; reasons and texts are those of OpenKruise (section 20).

use kruise_api::keys;
use kruise_common::plan::{Note, Outcome};
use kruise_common::write::{Category, WriteError};

use crate::plan::action::Action;
use crate::snapshot::Snapshot;

/// The Events about `action`.
pub fn events(snapshot: &Snapshot, action: &Action, outcome: &Outcome) -> Vec<Note> {
    let error = match outcome {
        Outcome::Done => None,
        Outcome::Failed(error) if worth_telling(error) => Some(error),
        Outcome::Failed(_) | Outcome::NotAttempted => return Vec::new(),
    };
    let set = snapshot.set.name();
    let pod = |ordinal: i32| snapshot.pod_name(ordinal);
    match action {
        Action::CreatePod { ordinal, .. } => created(snapshot, *ordinal, error)
            .into_iter()
            .chain([about(
                (keys::EVENT_SUCCESSFUL_CREATE, keys::EVENT_FAILED_CREATE, "create"),
                &pod(*ordinal),
                set,
                error,
            )])
            .collect(),
        Action::CreateClaims { ordinal } => match error {
            None => created(snapshot, *ordinal, None),
            Some(_) => refused(action, error),
        },
        Action::DeletePod { ordinal, .. } => vec![about(
            (keys::EVENT_SUCCESSFUL_DELETE, keys::EVENT_FAILED_DELETE, "delete"),
            &pod(*ordinal),
            set,
            error,
        )],
        Action::RepairIdentity { ordinal } => vec![about(
            (keys::EVENT_SUCCESSFUL_UPDATE, keys::EVENT_FAILED_UPDATE, "update"),
            &pod(*ordinal),
            set,
            error,
        )],
        Action::UpdateInPlace { ordinal, revision, .. } => {
            vec![in_place(&pod(*ordinal), revision, error)]
        }
        // Adoption, release, state changes, revisions and references give no Events (EV-1) as long as they work.
        Action::CreateRevision(_)
        | Action::RaiseRevision { .. }
        | Action::AdoptRevision { .. }
        | Action::DeleteRevision { .. }
        | Action::AdoptPod { .. }
        | Action::ReleasePod { .. }
        | Action::Refresh { .. }
        | Action::RetainClaims { .. }
        | Action::Announce { .. } => refused(action, error),
    }
}

/// What OpenKruise has no Event for, although everything behind it waits.
fn refused(action: &Action, error: Option<&WriteError>) -> Vec<Note> {
    let note = |error: &WriteError| {
        Note::warning(keys::EVENT_REFUSED_WRITE, format!("{action}: {}", error.message))
    };
    error.map(note).into_iter().collect()
}

/// Races and standby are not news; what the server says about the object is.
fn worth_telling(error: &WriteError) -> bool {
    match error.category {
        Category::Invalid | Category::Forbidden | Category::Server => true,
        Category::Conflict
        | Category::AlreadyExists
        | Category::NotFound
        | Category::Throttled
        | Category::Unknown
        | Category::NotLeader
        | Category::Guard => false,
    }
}

fn about(
    (done, failed, verb): (&'static str, &'static str, &str),
    pod: &str,
    set: &str,
    error: Option<&WriteError>,
) -> Note {
    match error {
        None => Note::normal(done, format!("{verb} Pod {pod} in StatefulSet {set} successful")),
        Some(error) => {
            let why = &error.message;
            let text = format!("{verb} Pod {pod} in StatefulSet {set} failed error: {why}");
            Note::warning(failed, text)
        }
    }
}

/// Events of the claims that were created on the way; if the action failed, it is said with the pod.
fn created(snapshot: &Snapshot, ordinal: i32, error: Option<&WriteError>) -> Vec<Note> {
    let (Ok(settings), None) = (&snapshot.settings, error) else { return Vec::new() };
    let set = snapshot.set.name();
    let pod = snapshot.pod_name(ordinal);
    let names = settings.claims.iter().map(|claim| claim.claim_name(set, ordinal));
    names
        .filter(|name| !snapshot.claims.contains_key(name.as_str()))
        .map(|name| {
            let text = format!("create Claim {name} Pod {pod} in StatefulSet {set} success");
            Note::normal(keys::EVENT_SUCCESSFUL_CREATE, text)
        })
        .collect()
}

fn in_place(pod: &str, revision: &str, error: Option<&WriteError>) -> Note {
    match error {
        None => Note::normal(
            keys::EVENT_SUCCESSFUL_UPDATE_IN_PLACE,
            format!("successfully update pod {pod} in-place(revision {revision})"),
        ),
        Some(error) => Note::warning(
            keys::EVENT_FAILED_UPDATE_IN_PLACE,
            format!("failed to update pod {pod} in-place(revision {revision}): {}", error.message),
        ),
    }
}
