//! Mounts and devices that a sidecar gets from the pod's own containers (INJ-12, INJ-14, INJ-30…INJ-33), and what the pod
//! gets: volumes and pull secrets (INJ-11, INJ-55, INJ-56).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Pod, env, items, name_of, text_of};
use crate::choose::{Chosen, Refusal};
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

/// Mounts of a sidecar, and the variables that shared ones need.
pub(super) fn mounts(pod: &Pod<'_>, sidecar: &Value, shared: Shared) -> (Vec<Value>, Vec<Value>) {
    let mut mounts = items(sidecar, "volumeMounts").to_vec();
    let mut variables = Vec::new();
    if !shared.on {
        mounts.extend(token(pod, &mounts).cloned());
        return (mounts, variables);
    }
    let devices =
        items(sidecar, "volumeDevices").iter().map(|device| text_of(device, "devicePath"));
    let mut taken: BTreeSet<String> = mounts
        .iter()
        .map(|mount| text_of(mount, "mountPath"))
        .chain(devices)
        .map(str::to_owned)
        .collect();
    let mut named = BTreeSet::new();
    for container in pod.sources(shared.from_init) {
        // Copied even if the mount itself is left out, as in OpenKruise.
        variables.extend(env::of_sub_paths(container, &mut named));
        for mount in items(container, "volumeMounts") {
            if taken.insert(text_of(mount, "mountPath").to_owned()) {
                mounts.push(mount.clone());
            }
        }
    }
    mounts.extend(token(pod, &mounts).cloned());
    (mounts, variables)
}

/// The mount of the ServiceAccount's token, if the pod's own containers have it and the sidecar has nothing there. The API
/// server would add just this, here, and ask again about the pod that it changed.
fn token<'a>(pod: &Pod<'a>, mounts: &[Value]) -> Option<&'a Value> {
    let at = |mount: &&Value| text_of(mount, "mountPath") == TOKEN;
    let spec = pod.raw.get("spec");
    let unwanted = spec.and_then(|spec| spec.get("automountServiceAccountToken"));
    if unwanted == Some(&Value::Bool(false)) || mounts.iter().any(|mount| at(&mount)) {
        return None;
    }
    let own = pod.own_containers().flat_map(|container| items(container, "volumeMounts"));
    let mut own = own.filter(|mount| name_of(mount).starts_with(TOKEN_VOLUME));
    own.find(at)
}

/// Devices of a sidecar, which already has its mounts.
pub(super) fn devices(
    pod: &Pod<'_>,
    sidecar: &Value,
    mounts: &[Value],
    shared: Shared,
) -> Vec<Value> {
    let mut devices = items(sidecar, "volumeDevices").to_vec();
    if !shared.on {
        return devices;
    }
    let own = devices.iter().map(|device| text_of(device, "devicePath"));
    let mounted = mounts.iter().map(|mount| text_of(mount, "mountPath"));
    let mut taken: BTreeSet<String> = own.chain(mounted).map(str::to_owned).collect();
    for container in pod.sources(shared.from_init) {
        for device in items(container, "volumeDevices") {
            if taken.insert(text_of(device, "devicePath").to_owned()) {
                devices.push(device.clone());
            }
        }
    }
    devices
}

/// Adds the volumes that sidecars mount and the pull secrets of the sets.
pub(super) fn place(
    pod: &Pod<'_>,
    chosen: &[Chosen],
    operations: &mut Vec<Value>,
) -> Result<(), Refusal> {
    refuse_missing(pod, chosen)?;
    let wanted = chosen.iter().flat_map(|set| {
        let names = set.prepared.sidecars().flat_map(mounted);
        names.filter_map(|name| set.prepared.volumes.get(name))
    });
    append(pod, "volumes", wanted.cloned().collect(), operations);
    let secrets = chosen.iter().flat_map(|set| &set.prepared.spec.image_pull_secrets);
    let secrets = secrets.map(|secret| json!({ "name": secret.name })).collect();
    append(pod, "imagePullSecrets", secrets, operations);
    Ok(())
}

/// Names of the volumes that a sidecar mounts by itself.
fn mounted(sidecar: &Sidecar) -> impl Iterator<Item = &str> {
    let of = |list: &str| sidecar.core.get(list).and_then(Value::as_array);
    [of("volumeMounts"), of("volumeDevices")].into_iter().flatten().flatten().map(name_of)
}

/// A set that mounts volumes of the pod says so where there is none, instead of leaving it to Kubernetes, which does not name
/// the set (W-19).
fn refuse_missing(pod: &Pod<'_>, chosen: &[Chosen]) -> Result<(), Refusal> {
    let there: BTreeSet<&str> = pod.list("volumes").iter().map(name_of).collect();
    for set in chosen.iter().filter(|set| set.asks.pod_volumes) {
        for sidecar in set.prepared.sidecars() {
            let known =
                |name: &&str| there.contains(*name) || set.prepared.volumes.contains_key(*name);
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

/// Appends what is not there yet, by name; the first of a name wins.
fn append(pod: &Pod<'_>, list: &str, wanted: Vec<Value>, operations: &mut Vec<Value>) {
    let mut names: BTreeSet<String> =
        pod.list(list).iter().map(|item| name_of(item).to_owned()).collect();
    let new: Vec<Value> =
        wanted.into_iter().filter(|item| names.insert(name_of(item).to_owned())).collect();
    super::containers::append(pod, list, new, operations);
}
