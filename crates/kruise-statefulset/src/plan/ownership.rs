//! Which pods belong to the set: adopt those that do, release those that do not (8.3).

use std::sync::Arc;

use kruise_common::plan::Note;
use kruise_common::pod::{Pod, parse_name};

use super::action::Action;
use super::hold::Hold;
use super::turn::{Flow, Turn};
use crate::snapshot::OWNER;

/// Adopts and releases first: a pod changes hands before anything else is decided about its ordinal. One for which that is
/// refused keeps its own ordinal only.
pub fn settle(turn: &mut Turn<'_>) -> Flow {
    let (snapshot, now) = (turn.snapshot, turn.now);
    let mut actions = Vec::new();
    let mut change = |pod: &Pod, action: fn(Arc<str>) -> Action| {
        let rests = parse_name(pod.name()).and_then(|(_, at)| snapshot.rests(at, OWNER, now));
        match rests {
            Some(until) => turn.hold(Hold::OwnerRefused { pod: pod.name().to_owned(), until }),
            None => actions.push(action(pod.meta.key.name.clone())),
        }
    };
    for pod in &snapshot.strangers {
        change(pod, |name| Action::ReleasePod { name });
    }
    for pod in &snapshot.orphans {
        change(pod, |name| Action::AdoptPod { name });
    }
    if actions.is_empty() {
        return Flow::Continue;
    }
    turn.plan.each(actions);
    turn.hold(Hold::ChangingOwner);
    Flow::Stop
}

/// A warning about a name that somebody else's pod holds.
pub fn name_taken(set: &str, pod: &str) -> Note {
    let text = format!(
        "create Pod {pod} in StatefulSet {set} failed error: a Pod of this name exists that the StatefulSet does not control"
    );
    Note::warning(kruise_api::keys::EVENT_FAILED_CREATE, text)
}
