//! Claims that grow with their templates, pod by pod within the rolling update (section 17).

use std::sync::Arc;

use kruise_api::keys;
use kruise_common::claim::Claim;
use kruise_common::plan::Note;
use kruise_common::pod::Pod;

use super::action::{Action, Why};
use super::hold::Hold;
use super::turn::Turn;
use crate::claims::{ClaimTemplate, Fit};
use crate::snapshot::{Policy, Rolling};

/// What comes next for a replica.
pub enum Next {
    /// Its pod: the claims fit.
    Pod,
    /// Its claims: they are made to ask for more, or have asked and wait, or the pod is deleted so that they grow.
    Claims(Option<Action>),
    /// Nothing: they cannot fit, whatever is done; the reason was given.
    Nothing,
}

/// Existing claims of a replica with their templates. Those that are missing or being deleted are skipped everywhere.
fn claims<'a>(
    turn: &Turn<'a>,
    ordinal: i32,
) -> impl Iterator<Item = (&'a ClaimTemplate, &'a Arc<Claim>, Fit)> {
    let (snapshot, settings) = (turn.snapshot, turn.settings);
    let templates = settings.claims.iter().filter(|_| settings.resize_claims);
    templates.filter_map(move |template| {
        let name = template.claim_name(snapshot.set.name(), ordinal);
        let claim = snapshot.claims.get(name.as_str()).filter(|claim| !claim.meta.terminating())?;
        Some((template, claim, template.fit(claim)))
    })
}

/// Whether the claims of a replica leave nothing to do (RS-2, RS-4).
pub fn settled(turn: &Turn<'_>, ordinal: i32, pod: &Pod) -> bool {
    claims(turn, ordinal).all(|(_, claim, fit)| fit.compatible && !remount(pod, claim, fit))
}

/// A claim that has asked for more than it has: its pod holds budget until it arrives (RS-5, RS-10). One that differs in
/// kind does not: it would for ever (W-12).
pub fn growing(turn: &Turn<'_>, ordinal: i32) -> Option<Hold> {
    let mut growing = claims(turn, ordinal).filter(|(_, _, fit)| fit.same && !fit.ready);
    let claim = growing.next()?.1.meta.key.name.to_string();
    Some(Hold::ClaimResizing { claim })
}

/// What the claims of a replica need before its pod is looked at (RS-5…RS-8).
pub fn before_update(
    turn: &mut Turn<'_>,
    rolling: &Rolling,
    (ordinal, pod): (i32, &Arc<Pod>),
) -> Next {
    let found: Vec<_> = claims(turn, ordinal).collect();
    let mut grow = Vec::new();
    for (_, claim, fit) in &found {
        if !fit.same {
            mismatch(turn, claim);
            return Next::Nothing;
        }
        if fit.compatible {
            continue;
        }
        if let Some(why) = obstacle(turn, pod, claim) {
            let claim = claim.meta.key.name.to_string();
            turn.hold(Hold::NotExpandable { claim, why });
            return Next::Nothing;
        }
        grow.push(claim.meta.key.name.clone());
    }
    if !grow.is_empty() {
        return Next::Claims(Some(Action::ResizeClaims { ordinal, claims: grow }));
    }
    if found.iter().any(|(_, claim, fit)| remount(pod, claim, *fit)) {
        if rolling.policy != Policy::InPlaceOnly {
            return Next::Claims(turn.delete(ordinal, pod, Why::Resize));
        }
        let why = "its volume has grown and must be mounted anew".to_owned();
        turn.hold(Hold::NotInPlacePossible { pod: pod.name().to_owned(), why });
        return Next::Nothing;
    }
    // A claim whose file system waits is as complete as it gets without a pod (RS-4).
    let waits = |(_, claim, fit): &(_, &Arc<Claim>, Fit)| !fit.ready && !claim.resize_pending;
    if found.iter().any(waits) { Next::Claims(None) } else { Next::Pod }
}

/// Why the claim cannot grow: its class does not allow it. A claim without class is tried; the API server knows.
fn obstacle(turn: &Turn<'_>, pod: &Pod, claim: &Claim) -> Option<String> {
    let class = claim.class.as_ref()?;
    let pod = pod.name();
    match turn.snapshot.classes.get(class) {
        None => Some(format!(
            "could not get sc {class} for {pod} when checking PVC spec: there is no such class"
        )),
        Some(known) if !known.expandable => {
            Some(format!("storage class {class} for {pod} does not support volume expansion"))
        }
        Some(_) => None,
    }
}

/// RS-5: whoever wants another class or access mode has to delete the claim.
fn mismatch(turn: &mut Turn<'_>, claim: &Claim) {
    let name = &claim.meta.key.name;
    let text = format!(
        "failed to update pvc {name}: contains diff other than spec resource, wait pvc to be deleted"
    );
    turn.plan.notes.push(Note::warning(keys::EVENT_FAILED_UPDATE_CLAIM, text));
    turn.hold(Hold::ClaimMismatch { claim: name.to_string() });
}

/// Whether the pod, as it runs, keeps the file system from growing: it has mounted the volume before that was asked for.
/// A pod that came later is not replaced again, however long the kubelet takes.
fn remount(pod: &Pod, claim: &Claim, fit: Fit) -> bool {
    let before = claim.pending_since.is_some_and(|since| pod.meta.created < Some(since));
    fit.compatible && !fit.ready && claim.resize_pending && before
}
