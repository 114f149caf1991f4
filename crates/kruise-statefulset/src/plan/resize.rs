//! Claims that grow with their templates, pod by pod within the rolling update (section 17).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kruise_api::keys;
use kruise_common::claim::Claim;
use kruise_common::plan::Note;
use kruise_common::pod::Pod;

use super::action::{Action, Why};
use super::hold::Hold;
use super::turn::Turn;
use crate::claims::{ClaimTemplate, Fit};
use crate::snapshot::{GROWTH, Policy, Rolling};

/// How long a file system may take to grow under the pod that runs, before the pod is re-created for it. The resizer says
/// `FileSystemResizePending` of every volume whose file system has to grow. Where the driver can do that online, the
/// kubelet does it when it looks at the pod again, which it does every minute or so.
const ONLINE: SignedDuration = SignedDuration::from_mins(3);

/// What comes next for a replica.
pub enum Next {
    /// Its pod: the claims fit.
    Pod,
    /// Its claims: they are made to ask for more, or have asked and wait. The pod serves meanwhile.
    Claims(Option<Action>),
    /// Its pod is deleted so that they grow, as soon as its hook lets go of it.
    Restart(Option<Action>),
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
    let waits = |at: Timestamp| at > turn.now;
    claims(turn, ordinal)
        .filter(|(_, claim, fit)| !fit.same || is_bound(claim))
        .all(|(_, claim, fit)| fit.compatible && remount(pod, claim, fit).is_none_or(waits))
}

/// Whether the claim has a volume. One without neither grows nor can be made to ask for more: often it gets one only when its
/// pod has a node, and the pod may need its update for that (RU-9, AC-17). Bound, it grows like any other.
fn is_bound(claim: &Claim) -> bool {
    claim.capacity.is_some()
}

/// A claim that has asked for more than it has: its pod holds budget until it arrives (RS-5, RS-10). One that differs in
/// kind does not: it would for ever (W-12). Nor does one whose file system has waited long enough: that is as complete as it
/// gets without another pod (RS-4), which comes in its turn, or never with `InPlaceOnly`.
pub fn growing(turn: &Turn<'_>, ordinal: i32, pod: &Pod) -> Option<Hold> {
    let growing = claims(turn, ordinal)
        .filter(|(_, claim, fit)| fit.same && !fit.ready && is_bound(claim))
        .map(|(_, claim, fit)| (claim, remount(pod, claim, fit)))
        .filter(|(_, until)| until.is_none_or(|until| until > turn.now));
    let (claim, until) = growing.min_by_key(|(_, until)| until.unwrap_or(Timestamp::MAX))?;
    Some(Hold::ClaimResizing { claim: claim.meta.key.name.to_string(), until })
}

/// What the claims of a replica need before its pod is looked at (RS-5…RS-8), which `goes` for its update in any case or not.
pub fn before_update(
    turn: &mut Turn<'_>,
    rolling: &Rolling,
    goes: bool,
    (ordinal, pod): (i32, &Arc<Pod>),
) -> Next {
    let found: Vec<_> = claims(turn, ordinal).collect();
    let mut grow = Vec::new();
    for (_, claim, fit) in &found {
        if !fit.same {
            mismatch(turn, claim);
            return Next::Nothing;
        }
        if fit.compatible || !is_bound(claim) {
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
        if let Some(until) = turn.snapshot.rests(ordinal, GROWTH, turn.now) {
            turn.hold(Hold::UpdateRefused { pod: pod.name().to_owned(), until });
            return Next::Claims(None);
        }
        return Next::Claims(Some(Action::ResizeClaims { ordinal, claims: grow }));
    }
    let waits = found.iter().filter_map(|(_, claim, fit)| remount(pod, claim, *fit)).min();
    if let Some(until) = waits.filter(|_| !goes) {
        return file_system(turn, rolling, (ordinal, pod), until);
    }
    // A claim whose file system waits is as complete as it gets without a pod (RS-4).
    let waits = |(_, claim, fit): &(_, &Arc<Claim>, Fit)| {
        !fit.ready && !claim.resize_pending && is_bound(claim)
    };
    if found.iter().any(waits) { Next::Claims(None) } else { Next::Pod }
}

/// A file system that has not grown under its pod by `until` needs another pod (W-12). Who is re-created anyway does not
/// wait for that; who is updated in place does, so as not to be disturbed twice.
fn file_system(
    turn: &mut Turn<'_>,
    rolling: &Rolling,
    (ordinal, pod): (i32, &Arc<Pod>),
    until: Timestamp,
) -> Next {
    let outdated = !turn.updated(pod);
    if until > turn.now {
        return Next::Claims(None);
    }
    if rolling.policy != Policy::InPlaceOnly {
        return Next::Restart(turn.delete(ordinal, pod, Why::Resize));
    }
    let why = "its volume has grown and must be mounted anew".to_owned();
    turn.hold(Hold::NotInPlacePossible { pod: pod.name().to_owned(), why });
    // The claim is as complete as it gets (RS-4): that keeps no image back (RS-8).
    if outdated { Next::Pod } else { Next::Nothing }
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

/// When the pod that runs may be taken to keep the file system from growing: it has mounted the volume before that was
/// asked for, and a while has passed, or the node has tried in vain. Times have seconds: a pod of the same second may have been
/// before. One that came later is not replaced again, however long the kubelet takes.
fn remount(pod: &Pod, claim: &Claim, fit: Fit) -> Option<Timestamp> {
    let pending = fit.compatible && !fit.ready && claim.resize_pending;
    let since = claim.pending_since.filter(|since| pending && pod.meta.created <= Some(*since))?;
    let since = since.timestamp();
    if claim.node_resize_failed { Some(since) } else { since.checked_add(ONLINE).ok() }
}
