//! Images pulled ahead of an in-place update, where the kind that does it is served (section 18). Nothing waits for it.

use kruise_api::keys;
use kruise_common::revision::Revision;
use kruise_inplace::diff::{DiffOptions, diff};

use super::action::Action;
use super::turn::Turn;
use crate::pull_job::{images, name};
use crate::snapshot::Policy;

/// Smaller sets are not worth it (PD-4).
const FEW: i32 = 3;

/// Plans jobs for the update revision, or the end of jobs when the rollout is over.
pub fn prefetch(turn: &mut Turn<'_>) {
    let Some(jobs) = &turn.snapshot.pull_jobs else { return };
    let (current, update) = (&turn.revisions.current, &turn.revisions.update);
    if current.name == update.name {
        // PD-1.
        let uid = &turn.snapshot.set.meta.uid;
        let ours = jobs.iter().filter(|job| job.meta.controller().is_some_and(|o| o.uid == *uid));
        let ours = ours.filter(|job| !job.meta.terminating());
        let drop = ours.map(|job| Action::DeletePullJob { name: job.meta.key.name.clone() });
        let drop = drop.collect();
        turn.plan.burst(drop);
        return;
    }
    let status = &turn.snapshot.set.status;
    let known = status.update_revision.as_deref() == Some(&*update.name);
    let updated_ready = if known { status.updated_ready_replicas } else { 0 };
    // A revision that is being created has its turn when it is there.
    let Some(revision) = turn.snapshot.revision(&update.name) else { return };
    if updated_ready < turn.settings.prefetch.min_updated_ready
        || marked(revision, keys::PREDOWNLOAD_CREATED)
    {
        return;
    }
    let mark = |label| Action::MarkRevision { name: update.name.clone(), label };
    if pointless(turn) {
        // Looked at again whenever the strategy changes (W-35): the mark tells people, it decides nothing.
        if !marked(revision, keys::PREDOWNLOAD_IGNORED) {
            turn.plan.in_order(vec![mark(keys::PREDOWNLOAD_IGNORED)]);
        }
        return;
    }
    let before = images(&current.template);
    let changed =
        images(&update.template).into_iter().filter(|(c, image)| before.get(c) != Some(image));
    let create: Vec<Action> = changed
        .filter(|(container, _)| {
            let job = name(&update.name, container);
            !jobs.iter().any(|known| *known.meta.key.name == *job)
        })
        .map(|(container, image)| Action::CreatePullJob {
            revision: update.name.clone(),
            container,
            image,
        })
        .collect();
    // The mark comes after all jobs: a failure leaves it off, and is repaired by the next turn (W-35).
    turn.plan.burst(create);
    turn.plan.in_order(vec![mark(keys::PREDOWNLOAD_CREATED)]);
}

fn marked(revision: &Revision, label: &str) -> bool {
    revision.meta.labels.get(label) == Some("true")
}

/// PD-4: no pod would be updated in place, or all at once.
fn pointless(turn: &Turn<'_>) -> bool {
    let replicas = turn.settings.replicas;
    let Some(rolling) = turn.rolling() else { return true };
    let all = usize::try_from(replicas).unwrap_or_default();
    let at_once = rolling.partition == 0 && rolling.max_unavailable >= all;
    let options = DiffOptions {
        env_from_metadata: turn.snapshot.gates.env_from_metadata,
        vertical_scaling: turn.snapshot.gates.vertical_scaling,
    };
    let (current, update) = (&turn.revisions.current.data, &turn.revisions.update.data);
    rolling.policy == Policy::Recreate
        || replicas <= FEW
        || at_once
        || diff(current, update, &options).is_err()
}
