//! What annotations say of twins at injection (HOT-3…HOT-5).

use std::collections::BTreeMap;

use kruise_api::keys;

use crate::choose::Chosen;
use crate::containers::{twins, version_alt_key, version_key, working, working_text};

/// HOT-3: the first twin works, the second is idle. A map that cannot be read says nothing of a pod that does not run yet.
pub(super) fn record(annotations: &mut BTreeMap<String, String>, chosen: &[Chosen]) {
    let sidecars = chosen.iter().flat_map(|set| set.prepared.sidecars());
    let mut pairs = sidecars.filter(|sidecar| sidecar.form.is_pair()).peekable();
    if pairs.peek().is_none() {
        return;
    }
    let mut map = working(annotations).unwrap_or_default();
    for sidecar in pairs {
        let name = &sidecar.typed.name;
        let [first, second] = twins(name);
        for (twin, version, alt) in [(&first, "1", "0"), (&second, "0", "1")] {
            annotations.insert(version_key(twin), version.to_owned());
            annotations.insert(version_alt_key(twin), alt.to_owned());
        }
        map.insert(name.clone(), first);
    }
    annotations.insert(keys::SIDECARSET_WORKING_CONTAINER.to_owned(), working_text(&map));
}
