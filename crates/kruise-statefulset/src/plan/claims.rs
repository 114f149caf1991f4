//! Claims of an ordinal: are they missing, in the way, or owned by the wrong object.

use kruise_common::claim::Claim;
use kruise_common::pod::Pod;
use std::sync::Arc;

use super::action::Action;
use super::hold::Hold;
use super::turn::Turn;
use crate::claims::{foreign, is_stale, retain};
use crate::snapshot::Retention;

/// The existing claims of an ordinal.
fn existing<'a>(turn: &Turn<'a>, ordinal: i32) -> Vec<&'a Arc<Claim>> {
    let (snapshot, settings) = (turn.snapshot, turn.settings);
    let names = settings.claims.iter().map(|claim| claim.claim_name(snapshot.set.name(), ordinal));
    names.filter_map(|name| snapshot.claims.get(name.as_str())).collect()
}

/// Whether a claim of the ordinal does not exist (PV-6).
pub fn missing(turn: &Turn<'_>, ordinal: i32) -> bool {
    existing(turn, ordinal).len() < turn.settings.claims.len()
}

/// Why no pod may be created on the claims of the ordinal now: one is being deleted (PV-1) or about to be (PV-14).
pub fn blocked(turn: &Turn<'_>, ordinal: i32) -> Option<Hold> {
    let pod = turn.snapshot.pod_name(ordinal);
    let current = turn.snapshot.pods.get(&ordinal).map(|pod| &pod.meta.uid);
    let watch_owners =
        turn.snapshot.gates.auto_delete_claims && turn.settings.retention.delete_with_pod;
    existing(turn, ordinal).into_iter().find_map(|claim| {
        let name = claim.meta.key.name.to_string();
        if claim.meta.terminating() {
            return Some(Hold::ClaimTerminating { claim: name });
        }
        (watch_owners && is_stale(claim, &pod, current)).then_some(Hold::StaleClaim { claim: name })
    })
}

/// Claims of wanted pods keep to the retention policy whatever their pod does: one that was condemned a moment ago and
/// is wanted again, even if it still terminates, must not take its claim along (16.3, PV-4).
pub fn keep(turn: &mut Turn<'_>) {
    let pods = turn.replicas().filter(|(at, pod)| unretained(turn, *at, pod, false));
    let ordinals: Vec<i32> = pods.map(|(ordinal, _)| ordinal).collect();
    let bound: Vec<i32> =
        ordinals.iter().copied().filter(|ordinal| goes_along(turn, *ordinal)).collect();
    turn.bound.extend(bound);
    let keep = |ordinal| Action::RetainClaims { ordinal, condemned: false };
    turn.plan.each(ordinals.into_iter().map(keep).collect());
    taken(turn);
}

/// Whether a claim of the ordinal would go with its pod.
fn goes_along(turn: &Turn<'_>, ordinal: i32) -> bool {
    let Some(pod) = turn.snapshot.pods.get(&ordinal) else { return false };
    let mut owners = existing(turn, ordinal).into_iter().flat_map(|claim| claim.meta.owners.iter());
    owners.any(|owner| owner.uid == pod.meta.uid)
}

/// Says which claims the retention policy does not reach because another controller manages them (W-15, K-5).
fn taken(turn: &mut Turn<'_>) {
    let Retention { delete_with_set, delete_with_pod } = turn.settings.retention;
    if !turn.snapshot.gates.auto_delete_claims || !(delete_with_set || delete_with_pod) {
        return;
    }
    let set = &turn.snapshot.set.meta;
    let pods =
        turn.replicas().flat_map(|(at, pod)| existing(turn, at).into_iter().map(move |c| (c, pod)));
    let taken: Vec<Hold> = pods
        .filter(|(claim, pod)| foreign(claim, set, pod))
        .map(|(claim, _)| Hold::ClaimTaken { claim: claim.meta.key.name.to_string() })
        .collect();
    for hold in taken {
        turn.hold(hold);
    }
}

/// Whether some claim of the pod does not have the owners that the retention policy prescribes (16.3).
pub fn unretained(turn: &Turn<'_>, ordinal: i32, pod: &Pod, condemned: bool) -> bool {
    let retention = turn.settings.retention;
    turn.snapshot.gates.auto_delete_claims
        && existing(turn, ordinal).into_iter().filter(|claim| !claim.meta.terminating()).any(
            |claim| retain(claim, &turn.snapshot.set.meta, pod, retention, condemned).is_some(),
        )
}
