//! Every decoder of annotations that users and other programs write: it answers, and what it accepts it can write again.
#![no_main]

use std::collections::BTreeMap;

use kruise_sidecarset::containers::{Entries, injected_sets, working, working_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(entries) = Entries::parse(Some(text)) {
        let written = entries.encode().expect("what was read can be written");
        let again = Entries::parse(Some(&written)).expect("what was written can be read");
        assert_eq!(again.encode().as_ref(), Ok(&written));
        let _ = (entries.hash("a"), entries.revision("a"), entries.contains("a"));
    }
    let keys = [
        "kruise.io/sidecarset-injected-list",
        "kruise.io/sidecarset-working-hotupgrade-container",
        "kruise.io/sidecarset-inplace-update-state",
    ];
    let annotations: BTreeMap<String, String> =
        keys.into_iter().map(|key| (key.to_owned(), text.to_owned())).collect();
    assert!(injected_sets(&annotations).iter().all(|set| !set.is_empty()));
    if let Some(map) = working(&annotations) {
        let written = working_text(&map);
        let again = [(keys[1].to_owned(), written)].into_iter().collect::<BTreeMap<_, _>>();
        assert_eq!(working(&again), Some(map));
    }
});
