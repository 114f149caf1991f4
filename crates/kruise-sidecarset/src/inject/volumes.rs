//! Mounts and devices that a sidecar gets from the pod's own containers (INJ-12, INJ-14, INJ-30…INJ-33), and what the pod
//! gets: volumes and pull secrets (INJ-11, INJ-55, INJ-56).

use std::collections::BTreeSet;

use kruise_common::admission::patch::Patch;

use super::{Pod, env, name_of, text_of};
use crate::choose::{Chosen, Refusal};
use crate::incoming::{Container, Item, Named};
use crate::prepared::Sidecar;

/// Where the API server mounts the token of a ServiceAccount, and how it names the volume.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_VOLUME: &str = "kube-api-access-";

/// What a sidecar shares.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    /// Whether it does.
    pub on: bool,
    /// Whether with init containers too (W-19).
    pub from_init: bool,
}

/// Mounts that a sidecar gets beside its own, and the variables that shared ones need.
pub(super) fn mounts<'a>(
    pod: &Pod<'a>,
    sidecar: &'a Sidecar,
    shared: Shared,
) -> (Vec<&'a Item<'a>>, Vec<&'a Item<'a>>) {
    let (mut mounts, mut variables) = (Vec::new(), Vec::new());
    if shared.on {
        let own = sidecar.mounts().iter().map(|mount| text_of(mount, "mountPath"));
        let devices = sidecar.devices().iter().map(|device| text_of(device, "devicePath"));
        let mut taken: BTreeSet<&str> = own.chain(devices).collect();
        let mut named = BTreeSet::new();
        for container in pod.sources(shared.from_init) {
            // Copied even if the mount itself is left out, as in OpenKruise.
            variables.extend(env::of_sub_paths(container, &mut named));
            mounts
                .extend(container.mounts().iter().filter(|mount| taken.insert(mount.mount_path())));
        }
    }
    mounts.extend(token(pod, sidecar, &mounts));
    (mounts, variables)
}

/// The mount of the ServiceAccount's token, if the pod's own containers have it and the sidecar has nothing there. The API
/// server would add just this, here, and ask again about the pod that it changed.
fn token<'a>(pod: &Pod<'a>, sidecar: &Sidecar, mounts: &[&Item<'_>]) -> Option<&'a Item<'a>> {
    let own = sidecar.mounts().iter().map(|mount| text_of(mount, "mountPath"));
    let mut paths = own.chain(mounts.iter().map(|mount| mount.mount_path()));
    if pod.spec.automount_service_account_token == Some(false) || paths.any(|path| path == TOKEN) {
        return None;
    }
    let mut own = pod.sources(false).flat_map(Container::mounts);
    own.find(|mount| mount.name().starts_with(TOKEN_VOLUME) && mount.mount_path() == TOKEN)
}

/// Devices that a sidecar gets beside its own; it already gets those mounts.
pub(super) fn devices<'a>(
    pod: &Pod<'a>,
    sidecar: &'a Sidecar,
    mounts: &[&'a Item<'a>],
    shared: Shared,
) -> Vec<&'a Item<'a>> {
    let mut devices = Vec::new();
    if shared.on {
        let own = sidecar.devices().iter().map(|device| text_of(device, "devicePath"));
        let mounted = sidecar.mounts().iter().map(|mount| text_of(mount, "mountPath"));
        let given = mounts.iter().map(|mount| mount.mount_path());
        let mut taken: BTreeSet<&str> = own.chain(mounted).chain(given).collect();
        for container in pod.sources(shared.from_init) {
            let there = container.devices().iter();
            devices.extend(there.filter(|device| taken.insert(device.device_path())));
        }
    }
    devices
}

/// Adds the volumes that sidecars mount and the pull secrets of the sets.
pub(super) fn place(pod: &Pod<'_>, patch: &mut Patch) -> Result<(), Refusal> {
    refuse_missing(pod)?;
    let wanted = pod.chosen.iter().flat_map(|set| {
        let names = set.prepared.sidecars().flat_map(mounted);
        names.filter_map(|name| Some((name, &**set.prepared.volumes.get(name)?)))
    });
    append(pod.spec.volumes.as_deref(), "volumes", wanted, patch);
    let secrets = pod.chosen.iter().flat_map(|set| &set.prepared.pull_secrets);
    let secrets = secrets.map(|(name, secret)| (&**name, &**secret));
    append(pod.spec.image_pull_secrets.as_deref(), "imagePullSecrets", secrets, patch);
    Ok(())
}

/// Names of the volumes that a sidecar mounts by itself.
fn mounted(sidecar: &Sidecar) -> impl Iterator<Item = &str> {
    sidecar.mounts().iter().chain(sidecar.devices()).map(name_of)
}

/// A set that mounts volumes of the pod says so where there is none, instead of leaving it to Kubernetes, which does not name
/// the set (W-19).
fn refuse_missing(pod: &Pod<'_>) -> Result<(), Refusal> {
    let demands = |set: &&Chosen| set.asks.pod_volumes;
    for set in pod.chosen.iter().filter(demands) {
        let there = |name: &str| pod.spec.volumes.iter().flatten().any(|it| it.name() == name);
        for sidecar in set.prepared.sidecars() {
            let known = |name: &&str| there(name) || set.prepared.volumes.contains_key(*name);
            if let Some(volume) = mounted(sidecar).find(|name| !known(name)) {
                let (set, container) = (&set.set, &sidecar.typed.name);
                let text = format!(
                    "sidecarset {set}: container {container} mounts volume {volume}, which the pod does not have"
                );
                return Err(Refusal::Other(text));
            }
        }
    }
    Ok(())
}

/// Appends the JSON of what is not there yet, by name; the first of a name wins.
fn append<'a>(
    there: Option<&'a [Named<'_>]>,
    list: &str,
    wanted: impl Iterator<Item = (&'a str, &'a str)>,
    patch: &mut Patch,
) {
    let mut names: BTreeSet<&str> = there.unwrap_or_default().iter().map(Named::name).collect();
    let new = wanted.filter(|(name, _)| names.insert(name)).map(|(_, item)| item);
    super::append(there.is_some(), list, &new.collect::<Vec<_>>(), patch);
}
