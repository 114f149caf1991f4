//! What OpenKruise left in a cluster, under both sets of feature gates.

use std::path::{Path, PathBuf};

use kruise_common::intern::Interner;
use kruise_common::revision::{Revision, WireRevision};
use kruise_common::table::Wire;
use serde_json::Value;

use crate::object::{SidecarSet, WireSet};

pub const GATES: [&str; 2] = ["all-gates", "default-gates"];

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured")
}

/// Every captured file of both gate sets and all moments whose name begins with `prefix`.
pub fn files(prefix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for gates in GATES {
        for moment in std::fs::read_dir(folder().join(gates)).unwrap() {
            let files = std::fs::read_dir(moment.unwrap().path()).unwrap();
            found.extend(
                files
                    .map(|file| file.unwrap().path())
                    .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix)),
            );
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{prefix}");
    found
}

pub fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The record of a set.
pub fn set(object: &Value) -> SidecarSet {
    let wire: WireSet = serde_json::from_str(&object.to_string()).unwrap();
    wire.into_record(&Interner::default())
}

/// The record of a revision, its data byte for byte as in `text`.
pub fn revision(text: &str) -> Revision {
    let wire: WireRevision = serde_json::from_str(text).unwrap();
    wire.into_record(&Interner::default())
}
