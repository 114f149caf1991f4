//! [ext] A recorded revision that the set names for injection and that cannot be used: every pod that the set is about is
//! refused (REV-2). Who creates pods is told by the refusal, and the owner of the set here (W-8).

use kruise_api::keys;
use kruise_common::plan::Note;

use super::hold::Hold;
use super::turn::Turn;
use crate::snapshot::Settings;

/// Looks whether new pods can have the revision.
pub fn check(turn: &mut Turn<'_>, settings: &Settings) {
    // What is about to be written may be what is missing.
    if settings.injection_paused || !turn.plan.steps.is_empty() {
        return;
    }
    let Some(unusable) = &turn.snapshot.unusable else { return };
    let why = unusable.to_string();
    let conditions = &turn.snapshot.set.status.conditions;
    let told = conditions.iter().any(|condition| {
        condition.type_ == keys::CONDITION_REVISION_UNUSABLE && condition.status == "True"
    });
    if !told {
        let text = format!("new pods are refused: {why}");
        turn.plan.notes.push(Note::warning(keys::CONDITION_REVISION_UNUSABLE, text));
    }
    turn.hold(Hold::RevisionUnusable { why });
}
