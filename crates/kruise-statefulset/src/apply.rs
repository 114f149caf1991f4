//! Which calls an action means: one arm per [`Action`].

use std::sync::Arc;

use jiff::Timestamp;
use kruise_common::kind::{CONTROLLER_REVISION, IMAGE_PULL_JOB, POD, STATEFUL_SET};
use kruise_common::meta::Meta;
use kruise_common::pod::Pod;
use kruise_common::write::{Guard, Operations, Write};
use kruise_inplace::begin::{Target, begin};
use kruise_inplace::lifecycle::{initial_state, timestamp};
use kruise_inplace::refresh::refresh;
use serde_json::{Value, json};

use crate::plan::action::{Action, Why};
use crate::pod;
use crate::pull_job;
use crate::revision::{Revisions, Template, controller_reference};
use crate::snapshot::{Settings, Snapshot};

/// The calls of `action`, in order. Without valid settings there is only upkeep.
pub fn apply(snapshot: &Snapshot, action: &Action, now: Timestamp) -> Vec<Write> {
    let one = |write: Option<Write>| write.into_iter().collect();
    let with = |make: &dyn Fn(&Settings, &Revisions) -> Vec<Write>| match snapshot.chosen() {
        Ok((settings, revisions)) => make(settings, revisions),
        Err(_) => Vec::new(),
    };
    match action {
        Action::CreateRevision(new) => with(&|settings, _| vec![new.create(snapshot, settings)]),
        Action::RaiseRevision { name, number } => one(on_revision(snapshot, name, |meta| {
            let operations = Operations::default()
                .test(&["metadata", "resourceVersion"], &*meta.resource_version)
                .replace(&["revision"], *number);
            Write::json(&CONTROLLER_REVISION, meta, operations)
        })),
        Action::AdoptRevision { name } => {
            one(on_revision(snapshot, name, |meta| adopt(&CONTROLLER_REVISION, meta, snapshot)))
        }
        Action::DeleteRevision { name } => {
            one(on_revision(snapshot, name, |meta| Write::delete(&CONTROLLER_REVISION, meta)))
        }
        Action::AdoptPod { name } => {
            let pod = snapshot.orphans.iter().find(|pod| *pod.meta.key.name == **name);
            one(pod.map(|pod| adopt(&POD, &pod.meta, snapshot)))
        }
        Action::ReleasePod { name } => {
            let pod = snapshot.strangers.iter().find(|pod| *pod.meta.key.name == **name);
            one(pod.map(|pod| release(pod, snapshot)))
        }
        Action::CreatePod { ordinal, revision } => {
            with(&|s, r| create_pod(snapshot, s, *ordinal, r.by_name(revision), now))
        }
        Action::CreateClaims { ordinal } => with(&|s, _| create_claims(snapshot, s, *ordinal)),
        Action::RepairIdentity { ordinal } => {
            let pod = snapshot.pods.get(ordinal);
            one(pod.map(|pod| pod::repair_identity(pod, *ordinal, &snapshot.gates)))
        }
        Action::RetainClaims { ordinal, condemned } => {
            with(&|settings, _| retain_claims(snapshot, settings, *ordinal, *condemned))
        }
        Action::ResizeClaims { ordinal, claims } => {
            with(&|settings, _| resize_claims(snapshot, settings, *ordinal, claims))
        }
        Action::CreatePullJob { .. }
        | Action::DeletePullJob { .. }
        | Action::MarkRevision { .. } => with(&|s, _| one(prefetch(snapshot, s, action))),
        Action::DeletePod { ordinal, why, as_seen } => with(&|settings, _| {
            let pod = snapshot.pods.get(ordinal);
            one(pod.map(|pod| delete(snapshot, settings, pod, (*why, *as_seen))))
        }),
        Action::UpdateInPlace { ordinal, revision, change } => with(&|settings, _| {
            let grace_seconds = settings.rolling().map_or(0, |rolling| rolling.grace_seconds);
            let target = Target { revision, grace_seconds };
            let pod = snapshot.pods.get(ordinal);
            pod.map(|pod| begin(pod, change, &target, now)).unwrap_or_default()
        }),
        Action::Announce { writes, .. } => writes.clone(),
        Action::Refresh { ordinal, .. } => {
            let pod = snapshot.pods.get(ordinal).zip(snapshot.upkeep());
            pod.map(|(pod, context)| refresh(pod, &context, now).writes).unwrap_or_default()
        }
    }
}

/// A pod that takes its claims along, because it is not wanted any more, goes only while the set still asks for that: the
/// cache of sets may be behind, and nothing brings the data back (PV-10).
fn delete(
    snapshot: &Snapshot,
    settings: &Settings,
    pod: &Pod,
    (why, as_seen): (Why, bool),
) -> Write {
    let delete = if as_seen { Write::delete_as_seen } else { Write::delete };
    let write = delete(&POD, &pod.meta);
    let along = snapshot.gates.auto_delete_claims && settings.retention.delete_with_pod;
    if why != Why::Condemned || !along || settings.claims.is_empty() {
        return write;
    }
    write.guarded_by(Guard::unchanged(&STATEFUL_SET, &snapshot.set.meta))
}

/// Pulling ahead.
fn prefetch(snapshot: &Snapshot, settings: &Settings, action: &Action) -> Option<Write> {
    match action {
        Action::CreatePullJob { revision, container, image } => {
            let revision = snapshot.revision(revision)?;
            Some(pull_job::create(snapshot, settings, revision, (container, image)))
        }
        Action::DeletePullJob { name } => {
            let job = snapshot.pull_jobs.iter().flatten().find(|job| job.meta.key.name == *name);
            job.map(|job| Write::delete(&IMAGE_PULL_JOB, &job.meta))
        }
        Action::MarkRevision { name, label } => on_revision(snapshot, name, |meta| {
            let change = json!({ "metadata": { "labels": { *label: "true" } } });
            Write::strategic(&CONTROLLER_REVISION, meta, change)
        }),
        _ => None,
    }
}

fn on_revision(
    snapshot: &Snapshot,
    name: &str,
    write: impl FnOnce(&Meta) -> Write,
) -> Option<Write> {
    snapshot.revision(name).map(|revision| write(&revision.meta))
}

/// Adds our controller reference; the set must still be alive, read live right before (E-19, R-20).
fn adopt(kind: &'static kruise_common::kind::Kind, meta: &Meta, snapshot: &Snapshot) -> Write {
    let set = &snapshot.set.meta;
    let change = json!({ "metadata": { "ownerReferences": [controller_reference(set)] } });
    Write::strategic(kind, meta, change).guarded_by(Guard::alive(&STATEFUL_SET, set))
}

/// Takes our reference away (E-18); the list merges by UID.
fn release(pod: &Pod, snapshot: &Snapshot) -> Write {
    let uid = &*snapshot.set.meta.uid;
    let directive: Value = json!([{ "$patch": "delete", "uid": uid }]);
    Write::strategic(&POD, &pod.meta, json!({ "metadata": { "ownerReferences": directive } }))
}

/// Missing claims first: any failure there keeps the pod from being created (PV-3).
fn create_pod(
    snapshot: &Snapshot,
    settings: &Settings,
    ordinal: i32,
    template: &Template,
    now: Timestamp,
) -> Vec<Write> {
    let state = initial_state(settings.lifecycle.as_ref(), &template.template);
    let time = timestamp(now);
    let mut writes = create_claims(snapshot, settings, ordinal);
    writes.push(pod::create(snapshot, settings, ordinal, template, (state, &time)));
    writes
}

fn create_claims(snapshot: &Snapshot, settings: &Settings, ordinal: i32) -> Vec<Write> {
    let Ok(spec) = &snapshot.set.spec else { return Vec::new() };
    let set = &snapshot.set.meta;
    let owner = snapshot.gates.auto_delete_claims && settings.retention.delete_with_set;
    let owner = owner.then_some(set);
    let name = snapshot.set.name();
    let names = settings.claims.iter().map(|claim| (claim, claim.claim_name(name, ordinal)));
    names
        .filter(|(_, name)| !snapshot.claims.contains_key(name.as_str()))
        .map(|(claim, name)| claim.create(set.key.sibling(name), spec, owner))
        .collect()
}

fn resize_claims(
    snapshot: &Snapshot,
    settings: &Settings,
    ordinal: i32,
    claims: &[Arc<str>],
) -> Vec<Write> {
    let set = snapshot.set.name();
    let named = settings.claims.iter().map(|claim| (claim, claim.claim_name(set, ordinal)));
    named
        .filter(|(_, name)| claims.iter().any(|wanted| **wanted == **name))
        .filter_map(|(template, name)| {
            let claim = snapshot.claims.get(name.as_str())?;
            Some(template.resize(claim, set))
        })
        .collect()
}

fn retain_claims(
    snapshot: &Snapshot,
    settings: &Settings,
    ordinal: i32,
    condemned: bool,
) -> Vec<Write> {
    let Some(pod) = snapshot.pods.get(&ordinal) else { return Vec::new() };
    let set = &snapshot.set.meta;
    let names = settings.claims.iter().map(|claim| claim.claim_name(snapshot.set.name(), ordinal));
    let claims = names.filter_map(|name| snapshot.claims.get(name.as_str()));
    claims
        .filter(|claim| !claim.meta.terminating())
        .filter_map(|claim| crate::claims::retain(claim, set, pod, settings.retention, condemned))
        .collect()
}
