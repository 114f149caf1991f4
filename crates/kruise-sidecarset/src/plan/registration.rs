//! [ext] A new set is reported once pods are asked about for it: whoever waits for its first status before creating pods
//! finds them injected.

use jiff::SignedDuration;

use super::hold::Hold;
use super::turn::Turn;

/// How often it is looked whether they are.
const LOOK: SignedDuration = SignedDuration::from_millis(100);
/// How long after its creation a set is reported all the same: registration may fail for long, and then that is told.
const PATIENCE: SignedDuration = SignedDuration::from_secs(5);

/// Tells that the set has to wait.
pub fn await_registration(turn: &mut Turn<'_>) {
    let set = &turn.snapshot.set;
    if turn.snapshot.asked || set.status.observed_generation.is_some() {
        return;
    }
    let end = set.meta.created.and_then(|made| made.timestamp().checked_add(PATIENCE).ok());
    // A creation that is to come says that clocks differ, not that the set is new.
    let latest = turn.now.checked_add(PATIENCE + PATIENCE).unwrap_or(turn.now);
    let Some(end) = end.filter(|end| *end > turn.now && *end <= latest) else { return };
    let until = turn.now.checked_add(LOOK).unwrap_or(end).min(end);
    turn.hold(Hold::NotRegistered { until });
}
