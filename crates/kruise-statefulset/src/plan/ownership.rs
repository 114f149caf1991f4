//! Which pods belong to the set: adopt those that do, release those that do not (8.3).

use kruise_common::plan::Note;

use super::action::Action;
use super::hold::Hold;
use super::turn::{Flow, Turn};

/// Adopts and releases first: a pod changes hands before anything else is decided about its ordinal.
pub fn settle(turn: &mut Turn<'_>) -> Flow {
    let name = |pod: &kruise_common::pod::Pod| pod.meta.key.name.clone();
    let release = turn.snapshot.strangers.iter().map(|pod| Action::ReleasePod { name: name(pod) });
    let adopt = turn.snapshot.orphans.iter().map(|pod| Action::AdoptPod { name: name(pod) });
    let actions: Vec<Action> = release.chain(adopt).collect();
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
