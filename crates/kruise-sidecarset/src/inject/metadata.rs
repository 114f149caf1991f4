//! Annotations of a pod: those that sets patch, and the records of the injection (INJ-1…INJ-3, INJ-50…INJ-65).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kruise_api::keys;
use kruise_api::sidecarset::v1beta1::{MERGE_PATCH_JSON, OVERWRITE, PatchPodMetadata, RETAIN};

use super::Pod;
use super::merge::merge;
use crate::choose::{Chosen, Refusal};
use crate::containers::{Entries, Entry, injected_sets};

type Annotations = BTreeMap<String, String>;

/// How many characters of an annotation that cannot be read are shown.
const SHOWN: usize = 512;

/// Applies `patchPodMetadata` of the sets, in their order.
pub(super) fn patch(annotations: &mut Annotations, chosen: &[Chosen]) -> Result<(), Refusal> {
    let mut verbatim = BTreeSet::new();
    for set in chosen {
        patch_each(annotations, &set.prepared.spec.patch_pod_metadata, &mut verbatim)
            .map_err(|why| Refusal::Other(format!("sidecarset {}: {why}", set.set)))?;
    }
    Ok(())
}

/// Applies the patches of one set to annotations (INJ-1); used by in-place updates too (INP-7).
pub fn patch_all(
    annotations: &mut Annotations,
    patches: &[PatchPodMetadata],
) -> Result<(), String> {
    patch_each(annotations, patches, &mut BTreeSet::new())
}

/// The same; `verbatim` are keys whose value is a patch as it was written.
fn patch_each<'a>(
    annotations: &mut Annotations,
    patches: &'a [PatchPodMetadata],
    verbatim: &mut BTreeSet<&'a str>,
) -> Result<(), String> {
    for PatchPodMetadata { annotations: values, patch_policy } in patches {
        for (key, value) in values {
            match patch_policy.as_deref().unwrap_or_default() {
                "" | RETAIN => {
                    annotations.entry(key.clone()).or_insert_with(|| value.clone());
                }
                OVERWRITE => {
                    annotations.insert(key.clone(), value.clone());
                }
                MERGE_PATCH_JSON => {
                    let before = annotations.get(key).map(String::as_str).unwrap_or_default();
                    // What was set as it is stays so, also if it is no JSON: a second look must not refuse the pod.
                    let merged = if before.is_empty() || before == value {
                        verbatim.insert(key);
                        value.clone()
                    } else if verbatim.remove(&**key) {
                        // What the first patch takes away is not there for the second one: a second look finds it so.
                        merge(&merge("{}", before)?, value)?
                    } else {
                        merge(before, value)?
                    };
                    annotations.insert(key.clone(), merged);
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Records what was injected.
pub(super) fn record(pod: &mut Pod<'_>, now: Timestamp) -> Result<(), Refusal> {
    for key in [keys::SIDECARSET_HASH, keys::SIDECARSET_HASH_WITHOUT_IMAGE] {
        let before = pod.annotations.get(key).map(String::as_str);
        let wrong = |why: String| {
            let metadata = pod.incoming.metadata();
            let of = |text: &Option<String>| text.clone().unwrap_or_default();
            let (namespace, name) = (of(&metadata.namespace), of(&metadata.name));
            // Whoever creates a pod must not be able to fill the log.
            let value: String = before.unwrap_or_default().chars().take(SHOWN).collect();
            let text = format!(
                "pod({namespace}/{name}) invalid annotations[{key}] value {value}, unmarshal failed: {why}"
            );
            Refusal::Other(text)
        };
        let mut entries = Entries::parse(before).map_err(wrong)?;
        let since = |entries: &Entries, set: &Chosen, hash: &str| {
            entries.since(&set.set, hash).filter(|_| pod.seen.contains(&*set.set))
        };
        let sets = pod.chosen.iter();
        for set in sets.filter(|set| set.prepared.sidecars().next().is_some()) {
            let full = key == keys::SIDECARSET_HASH;
            let hash = if full { &set.hashes.full } else { &set.hashes.without_image };
            entries.set(Entry {
                updated: since(&entries, set, hash).unwrap_or(now),
                hash: hash.clone(),
                set: set.set.to_string(),
                sidecars: set.prepared.listed.clone(),
                revision: if full { set.revision.clone() } else { String::new() },
            });
        }
        if !entries.is_empty() {
            let text = entries.encode().map_err(wrong)?;
            pod.annotations.insert(key.to_owned(), text);
        }
    }
    let mut sets = injected_sets(&pod.annotations);
    sets.extend(pod.chosen.iter().map(|set| &*set.set));
    let list = sets.into_iter().collect::<Vec<_>>().join(",");
    pod.annotations.insert(keys::SIDECARSET_INJECTED_LIST.to_owned(), list);
    Ok(())
}
