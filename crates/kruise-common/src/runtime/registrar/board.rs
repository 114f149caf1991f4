//! What replicas announce to each other, in annotations of the mutating configuration: each under a key of its own, so that
//! none takes away what another one says.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kruise_api::keys;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// One replica's view of the board.
#[derive(Debug)]
pub(crate) struct Board {
    /// Our key.
    own: String,
    /// What we wrote last, and the version of the configuration that it made.
    posted: Option<(Option<String>, u64)>,
    /// What others say, and since when it is seen here.
    heard: BTreeMap<String, (String, Instant)>,
}

/// After how long what nobody changed was left by somebody who is gone: nobody announces anything for so long.
const LEFT: Duration = Duration::from_mins(2);

impl Default for Board {
    fn default() -> Self {
        Self::of(rand::random())
    }
}

impl Board {
    /// The board as the replica with this number sees it.
    pub fn of(replica: u32) -> Self {
        Self {
            own: format!("{}-{replica:08x}", keys::ANNOUNCED),
            posted: None,
            heard: BTreeMap::new(),
        }
    }

    /// Reads aloud what others announce; the keys of those who are gone.
    pub fn read(&mut self, meta: &ObjectMeta, now: Instant, hears: impl Fn(&str)) -> Vec<String> {
        let others = meta.annotations.iter().flatten();
        let others =
            others.filter(|(key, _)| key.starts_with(keys::ANNOUNCED) && **key != self.own);
        let mut before = std::mem::take(&mut self.heard);
        for (key, text) in others {
            hears(text);
            let known = before.remove(key).filter(|(known, _)| known == text);
            self.heard.insert(key.clone(), known.unwrap_or_else(|| (text.clone(), now)));
        }
        let left = self.heard.iter().filter(|(_, (_, since))| now - *since >= LEFT);
        left.map(|(key, _)| key.clone()).collect()
    }

    /// The merge patch that makes the board say what we announce, without what is `over`; `None` if it does. What others may
    /// have said anew since it was read is not taken away.
    pub fn post(
        &self,
        meta: &ObjectMeta,
        wanted: Option<&str>,
        over: Vec<String>,
    ) -> Option<Value> {
        let stored = meta.annotations.as_ref().and_then(|all| all.get(&self.own));
        // What we wrote may not have been seen yet.
        let unseen = self.posted.as_ref().filter(|(_, version)| version_of(meta) < *version);
        let said = unseen.map_or(stored.map(String::as_str), |(text, _)| text.as_deref());
        let mut annotations: Map<String, Value> =
            over.into_iter().map(|key| (key, Value::Null)).collect();
        let mut meta_patch = Map::new();
        if !annotations.is_empty() {
            meta_patch.insert("resourceVersion".to_owned(), json!(meta.resource_version));
        }
        if said != wanted {
            annotations.insert(self.own.clone(), json!(wanted));
        }
        if annotations.is_empty() {
            return None;
        }
        meta_patch.insert("annotations".to_owned(), Value::Object(annotations));
        Some(json!({ "metadata": meta_patch }))
    }

    /// It was written.
    pub fn posted(&mut self, wanted: Option<String>, meta: &ObjectMeta) {
        self.posted = Some((wanted, version_of(meta)));
    }
}

fn version_of(meta: &ObjectMeta) -> u64 {
    let version = meta.resource_version.as_deref().unwrap_or_default();
    version.parse().unwrap_or(0)
}
