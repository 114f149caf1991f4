//! Which calls an action means: one arm per [`Action`].

use std::sync::Arc;

use jiff::Timestamp;
use kruise_api::keys;
use kruise_common::kind::CONTROLLER_REVISION;
use kruise_common::meta::Meta;
use kruise_common::pod::Pod;
use kruise_common::write::{Operations, Write};
use serde_json::json;

use crate::inplace::{Rewrite, mark};
use crate::plan::action::Action;
use crate::snapshot::Snapshot;

/// The calls of `action`, in order.
pub fn apply(snapshot: &Snapshot, action: &Action, now: Timestamp) -> Vec<Write> {
    let Ok((settings, registered)) = snapshot.registered() else { return Vec::new() };
    let one = |write: Option<Write>| write.into_iter().collect();
    let rewrite = |pod| {
        let member = snapshot.member(pod)?;
        let version = snapshot.set.meta.version().unwrap_or(0);
        Some(Rewrite::new(member, settings, (&registered.name, version), now))
    };
    match action {
        Action::CreateRevision(new) => vec![new.create(snapshot)],
        Action::RaiseRevision { name, number } => one(on_revision(snapshot, name, |meta| {
            let operations = Operations::default()
                .test(&["metadata", "resourceVersion"], &*meta.resource_version)
                .replace(&["revision"], *number);
            Write::json(&CONTROLLER_REVISION, meta, operations)
        })),
        Action::LabelRevision { name, version } => one(on_revision(snapshot, name, |meta| {
            let labels = json!({ keys::SIDECARSET_CUSTOM_VERSION: version });
            Write::strategic(
                &CONTROLLER_REVISION,
                meta,
                json!({ "metadata": { "labels": labels } }),
            )
        })),
        Action::DeleteRevision { name } => {
            one(on_revision(snapshot, name, |meta| Write::delete(&CONTROLLER_REVISION, meta)))
        }
        Action::Mark { pod, upgradable } => {
            let member = snapshot.member(pod);
            let own = (&*settings.name, *upgradable);
            one(member.map(|member| mark(&member.pod, own, &snapshot.silent, now)))
        }
        Action::UpdatePod { pod } => one(rewrite(pod).map(Rewrite::update)),
        Action::ResetTwins { pod } => one(rewrite(pod).map(Rewrite::reset)),
        Action::TurnBack { pod } => one(rewrite(pod).map(Rewrite::turn_back)),
        Action::Settle { pod } => one(rewrite(pod).map(Rewrite::settle)),
        Action::Evict { pod, .. } => {
            let pod =
                snapshot.member(pod).map(|member| &member.pod).or_else(|| snapshot.missed(pod));
            // Who serves meanwhile costs what was not asked for.
            let evict = |pod: &Arc<Pod>| {
                if pod.ready() { Write::evict(&pod.meta) } else { Write::evict_as_seen(&pod.meta) }
            };
            one(pod.map(evict))
        }
    }
}

fn on_revision(
    snapshot: &Snapshot,
    name: &str,
    write: impl FnOnce(&Meta) -> Write,
) -> Option<Write> {
    snapshot.revision(name).map(|revision| write(&revision.meta))
}
