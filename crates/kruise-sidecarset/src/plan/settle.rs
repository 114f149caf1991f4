//! Containers that stay at an image overtaken by a later update (inplace W27): the kubelet restarts such a container at once
//! if it is to run another image, so one that stays runs the wanted one under another name.

use super::action::Action;
use super::hold::Hold;
use super::turn::Turn;

/// Plans to write that down where the time has come, and tells of the others.
pub fn settle(turn: &mut Turn<'_>) {
    let mut actions = Vec::new();
    for member in &turn.snapshot.members {
        let Some(first) = member.overtaken.iter().map(|(_, until)| *until).min() else { continue };
        if first > turn.now {
            turn.hold_pod(&member.pod, |pods| Hold::Settling { pods, until: first });
        } else if turn.may_touch(member) {
            actions.push(Action::Settle { pod: member.pod.meta.key.clone() });
        }
    }
    turn.plan.each(actions);
}
