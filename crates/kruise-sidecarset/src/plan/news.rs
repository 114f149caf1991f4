//! [ext] Events about a roll-out that goes well (W-29): that it begins, and that nobody is behind any more. Two, however
//! many pods there are: what an object may say is limited, and warnings must not be crowded out.
//!
//! What was said before follows from the stored status, so that a new leader does not say it again.

use kruise_api::keys;
use kruise_common::plan::Note;

use super::turn::Turn;
use crate::registered::Registered;
use crate::snapshot::Settings;

/// Tells what is new since the stored status.
pub fn tell(turn: &mut Turn<'_>, settings: &Settings, registered: &Registered) {
    if settings.not_update {
        return;
    }
    let (members, stored) = (&turn.snapshot.members, &turn.snapshot.set.status);
    let behind = members.iter().filter(|member| !member.updated).count();
    let name = &registered.name;
    let other = stored.latest_revision.as_ref().is_some_and(|latest| **latest != **name);
    // The status may be written later than the first pods are.
    let begun = members.iter().any(|member| member.revision.as_ref() == Some(name));
    let note = if behind > 0 && other && !begun {
        let text = format!("{behind} pods are to follow revision {name}");
        Note::normal(keys::EVENT_ROLLOUT_STARTED, text)
    } else if behind == 0
        && !members.is_empty()
        // A roll-out may be over before its middle is written.
        && (stored.updated_pods < stored.matched_pods || other && begun)
    {
        Note::normal(keys::EVENT_ROLLOUT_COMPLETED, format!("no pod is behind revision {name}"))
    } else {
        return;
    };
    turn.plan.notes.push(note);
}
