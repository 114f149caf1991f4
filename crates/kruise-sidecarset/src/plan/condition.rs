//! What the condition of a pod says of this set (section 21): recomputed from what is, so that it is neither lost by a
//! crash nor left over (W-12).

use kruise_api::keys;
use kruise_common::plan::Note;

use super::action::Action;
use super::turn::Turn;
use crate::member::{Member, accused, injected};

/// Marks pods whose condition says something else than is.
pub fn mark(turn: &mut Turn<'_>) {
    let members = turn.snapshot.members.iter();
    let silent = &turn.snapshot.silent;
    let accuses = |member: &Member| {
        let mut accused = accused(&member.pod).into_iter();
        accused.any(|name| silent.contains(&*name) || !injected(&member.pod, &name))
    };
    let wrong: Vec<(&Member, Option<bool>)> = members
        .map(|member| (member, wanted(member).or(member.said)))
        .filter(|(member, wanted)| member.said != *wanted || accuses(member))
        .collect();
    let mut actions = Vec::new();
    for (member, upgradable) in &wrong {
        if turn.may_try(&member.pod) {
            actions
                .push(Action::Mark { pod: member.pod.meta.key.clone(), upgradable: *upgradable });
        }
    }
    turn.plan.each(actions);
    // Told when pods are found, not in every turn.
    let found =
        |(member, says): &(&Member, Option<bool>)| *says == Some(false) && member.said != *says;
    if wrong.iter().any(found) {
        let stuck = |member: &&Member| member.selected && member.stuck.is_some();
        let count = turn.snapshot.members.iter().filter(stuck).count();
        let text = format!(
            "SidecarSet in-place update detected {count} not upgradable pod(s) in this round, will skip them."
        );
        turn.plan.notes.push(Note::normal(keys::EVENT_NOT_UPGRADABLE_PODS, text));
    }
}

/// Takes back what the conditions say of a set that never updates (CND-5, W-12).
pub fn withdraw(turn: &mut Turn<'_>) {
    let members = turn.snapshot.members.iter();
    let mut actions = Vec::new();
    for member in members.filter(|member| member.said == Some(false)) {
        if turn.may_try(&member.pod) {
            actions.push(Action::Mark { pod: member.pod.meta.key.clone(), upgradable: None });
        }
    }
    turn.plan.each(actions);
}

/// What the condition is to say; `None` if whatever it says may stay (CND-4).
fn wanted(member: &Member) -> Option<bool> {
    if member.stuck.is_some() {
        return member.selected.then_some(false);
    }
    // Absent until an update, and true again once the pod is up to date by whatever way.
    let news = member.touched || member.said.is_some();
    (member.updated && news).then_some(true)
}
