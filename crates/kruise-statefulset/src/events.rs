//! Which Kubernetes Events an attempted action gives; reasons and texts are those of OpenKruise (section 20).

use kruise_api::keys;
use kruise_common::kind::CLAIM;
use kruise_common::plan::{Note, Outcome};
use kruise_common::write::WriteError;

use crate::plan::action::Action;
use crate::pull_job;
use crate::snapshot::Snapshot;

/// The Events about `action`.
pub fn events(snapshot: &Snapshot, action: &Action, outcome: &Outcome) -> Vec<Note> {
    let error = match outcome {
        Outcome::Done => None,
        Outcome::Failed(error) if error.category.is_news() => Some(error),
        Outcome::Failed(_) | Outcome::NotAttempted => return Vec::new(),
    };
    let set = snapshot.set.name();
    let pod = |ordinal: i32| snapshot.pod_name(ordinal);
    match action {
        Action::CreatePod { ordinal, .. } => claims(snapshot, *ordinal, error, CREATED)
            .into_iter()
            .chain([about(
                (keys::EVENT_SUCCESSFUL_CREATE, keys::EVENT_FAILED_CREATE, "create"),
                &pod(*ordinal),
                set,
                error,
            )])
            .collect(),
        Action::CreateClaims { ordinal } => {
            or_refused(claims(snapshot, *ordinal, error, CREATED), action, error)
        }
        Action::ResizeClaims { ordinal, claims: names } => {
            let resized = |name: &str| names.iter().any(|known| **known == *name);
            let verb = Verb { concerns: &resized, ..RESIZED };
            or_refused(claims(snapshot, *ordinal, error, verb), action, error)
        }
        Action::CreatePullJob { revision, container, image } => {
            vec![pull_job(&pull_job::name(revision, container), image, error)]
        }
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
        | Action::DeletePullJob { .. }
        | Action::MarkRevision { .. }
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

/// A failure is told, even if nobody knows which of the writes failed.
fn or_refused(notes: Vec<Note>, action: &Action, error: Option<&WriteError>) -> Vec<Note> {
    let told = error.is_none() || notes.iter().any(|note| note.warning);
    if told { notes } else { refused(action, error) }
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

/// What is done to claims, and the words for it.
#[derive(Clone, Copy)]
struct Verb<'a> {
    reasons: (&'static str, &'static str),
    word: &'static str,
    /// Whether a claim that exists is concerned; those that do not exist are created.
    concerns: &'a dyn Fn(&str) -> bool,
}

const CREATED: Verb<'static> = Verb {
    reasons: (keys::EVENT_SUCCESSFUL_CREATE, keys::EVENT_FAILED_CREATE),
    word: "create",
    concerns: &|_| false,
};
const RESIZED: Verb<'static> = Verb {
    reasons: (keys::EVENT_SUCCESSFUL_RESIZE, keys::EVENT_FAILED_RESIZE),
    word: "resize",
    concerns: &|_| false,
};

/// Events of the claims of an ordinal (EV-1): they are written one after another, so those before the one that failed
/// are done, and those after it are not.
fn claims(
    snapshot: &Snapshot,
    ordinal: i32,
    error: Option<&WriteError>,
    verb: Verb<'_>,
) -> Vec<Note> {
    let Ok(settings) = &snapshot.settings else { return Vec::new() };
    let set = snapshot.set.name();
    let pod = snapshot.pod_name(ordinal);
    let Verb { reasons: (done, failed), word, concerns } = verb;
    let target = error.and_then(|error| error.target.as_ref());
    let at = target.filter(|(kind, _)| *kind == &CLAIM).map(|(_, key)| &*key.name);
    let names = settings.claims.iter().map(|claim| claim.claim_name(set, ordinal));
    let mut notes = Vec::new();
    for name in names.filter(|name| {
        concerns(name) || (word == "create" && !snapshot.claims.contains_key(name.as_str()))
    }) {
        match error.filter(|_| at == Some(name.as_str())) {
            Some(error) => {
                let why = &error.message;
                let text = format!(
                    "{word} Claim {name} for Pod {pod} in StatefulSet {set} failed error: {why}"
                );
                notes.push(Note::warning(failed, text));
                break;
            }
            // Which of them were written nobody knows.
            None if error.is_some() && at.is_none() => {}
            None => {
                let text = format!("{word} Claim {name} Pod {pod} in StatefulSet {set} success");
                notes.push(Note::normal(done, text));
            }
        }
    }
    notes
}

/// PD-7; a failure is a Warning (W-35).
fn pull_job(job: &str, image: &str, error: Option<&WriteError>) -> Note {
    match error {
        None => Note::normal(
            keys::EVENT_CREATED_PULL_JOB,
            format!("created ImagePullJob {job} for image: {image}"),
        ),
        Some(error) => Note::warning(
            keys::EVENT_FAILED_CREATE_PULL_JOB,
            format!("failed to create ImagePullJob {job}: {}", error.message),
        ),
    }
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
