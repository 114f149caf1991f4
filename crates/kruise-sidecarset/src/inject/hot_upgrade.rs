//! Twins at injection (HOT-1…HOT-5): two containers that differ in name, image and their own version variables.

use std::collections::BTreeMap;

use kruise_api::keys;
use serde_json::{Map, Value, json};

use crate::choose::Chosen;
use crate::containers::{twins, version_alt_key, version_key, working, working_text};
use crate::prepared::Sidecar;

type Object = Map<String, Value>;

/// Whether a container is injected as twins: of init containers only those that keep running (INJ-15).
pub(super) fn is_pair(sidecar: &Sidecar, init: bool) -> bool {
    sidecar.typed.is_hot() && (!init || sidecar.typed.is_native())
}

/// The twins made of a container that is complete but for what distinguishes them.
pub(super) fn pair(sidecar: &Sidecar, container: &Object) -> [Object; 2] {
    let empty = &sidecar.typed.extensions.upgrade_strategy.hot_upgrade_empty_image;
    let images = [sidecar.typed.image.as_str(), empty.as_str()];
    let [first, second] = twins(&sidecar.typed.name);
    let [image, empty] = images;
    [twin(container, &first, image), twin(container, &second, empty)]
}

fn twin(container: &Object, name: &str, image: &str) -> Object {
    let mut twin = container.clone();
    twin.insert("name".to_owned(), json!(name));
    twin.insert("image".to_owned(), json!(image));
    let versions = [
        (keys::SIDECARSET_VERSION_ENV, version_key(name)),
        (keys::SIDECARSET_VERSION_ALT_ENV, version_alt_key(name)),
    ];
    let env = twin.entry("env").or_insert_with(|| json!([]));
    if let Some(env) = env.as_array_mut() {
        for (variable, key) in versions {
            let path = format!("metadata.annotations['{key}']");
            env.push(
                json!({ "name": variable, "valueFrom": { "fieldRef": { "fieldPath": path } } }),
            );
        }
    }
    twin
}

/// HOT-3: the first twin works, the second is idle. A map that cannot be read says nothing of a pod that does not run yet.
pub(super) fn record(annotations: &mut BTreeMap<String, String>, chosen: &[Chosen]) {
    let mut pairs: Vec<&str> = Vec::new();
    for set in chosen {
        let init = set.prepared.init_containers.iter().filter(|sidecar| is_pair(sidecar, true));
        let plain = set.prepared.containers.iter().filter(|sidecar| is_pair(sidecar, false));
        pairs.extend(init.chain(plain).map(|sidecar| &*sidecar.typed.name));
    }
    if pairs.is_empty() {
        return;
    }
    let mut map = working(annotations).unwrap_or_default();
    for name in pairs {
        let [first, second] = twins(name);
        for (twin, version, alt) in [(&first, "1", "0"), (&second, "0", "1")] {
            annotations.insert(version_key(twin), version.to_owned());
            annotations.insert(version_alt_key(twin), alt.to_owned());
        }
        map.insert(name.to_owned(), first);
    }
    annotations.insert(keys::SIDECARSET_WORKING_CONTAINER.to_owned(), working_text(&map));
}
