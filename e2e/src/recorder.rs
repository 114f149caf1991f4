//! A watch of pods: every change that a controller can see.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use kruise_common::testing::cluster::wait;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::{Case, is_ready};

/// What was seen of one pod: each change, and nothing for its end.
pub type Seen = BTreeMap<String, Vec<Option<Value>>>;

/// Whether the watch is complete, and what it said of each pod since.
type Story = (bool, Vec<(String, Option<Value>)>);

/// Watches the pods of a namespace.
pub struct Recorder {
    seen: Arc<Mutex<Story>>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Starts, and waits until it sees what is there.
    pub async fn start(case: &Case) -> Self {
        let seen: Arc<Mutex<Story>> = Arc::default();
        let (api, into) = (case.core("Pod"), seen.clone());
        let task = tokio::spawn(async move {
            let events = watcher(api, watcher::Config::default()).default_backoff();
            let mut events = std::pin::pin!(events);
            while let Ok(Some(event)) = events.try_next().await {
                let mut seen = into.lock().unwrap();
                match event {
                    watcher::Event::Init => {}
                    watcher::Event::InitDone => seen.0 = true,
                    watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                        let value = serde_json::to_value(&pod).unwrap();
                        seen.1.push((pod.name_any(), Some(value)));
                    }
                    watcher::Event::Delete(pod) => seen.1.push((pod.name_any(), None)),
                }
            }
        });
        let recorder = Self { seen, task };
        wait("the watch", || async { recorder.seen.lock().unwrap().0.then_some(()) }).await;
        recorder
    }

    /// The fewest pods with names that begin so which were ready at once, from the moment when `many` were.
    pub fn fewest_ready(&self, prefix: &str, many: usize) -> usize {
        let mut up = std::collections::BTreeSet::new();
        let (mut full, mut fewest) = (false, many);
        for (name, pod) in &self.seen.lock().unwrap().1 {
            if !name.starts_with(prefix) {
                continue;
            }
            if pod.as_ref().is_some_and(is_ready) {
                up.insert(name.clone());
            } else {
                up.remove(name);
            }
            full |= up.len() == many;
            if full {
                fewest = fewest.min(up.len());
            }
        }
        fewest
    }

    /// Whether something holds at every moment for the pods of which the name begins so.
    pub fn always(&self, prefix: &str, holds: impl Fn(&Value) -> bool) -> Result<(), Value> {
        for (name, pod) in &self.seen.lock().unwrap().1 {
            if let Some(pod) = pod.as_ref().filter(|pod| name.starts_with(prefix) && !holds(pod)) {
                return Err(pod.clone());
            }
        }
        Ok(())
    }

    /// Ends it when it has seen everything up to now: what was read may be ahead of what is watched.
    pub async fn end(self, case: &Case) -> Seen {
        let list = case.core("Pod").list(&ListParams::default()).await.unwrap().items;
        let there: BTreeMap<String, u64> = list
            .iter()
            .map(|pod| (pod.name_any(), version(pod.metadata.resource_version.as_deref())))
            .collect();
        wait("the watch to have seen it all", || async {
            let seen = self.seen.lock().unwrap();
            let mut newest = BTreeMap::new();
            for (name, pod) in &seen.1 {
                newest.insert(
                    name,
                    pod.as_ref().map(|pod| version(pod["metadata"]["resourceVersion"].as_str())),
                );
            }
            let caught_up = there.iter().all(|(name, now)| {
                newest.get(name).is_some_and(|seen| seen.is_none_or(|seen| seen >= *now))
            });
            let ended =
                newest.iter().all(|(name, seen)| seen.is_none() || there.contains_key(*name));
            (caught_up && ended).then_some(())
        })
        .await;
        self.task.abort();
        let mut seen = Seen::new();
        for (name, pod) in std::mem::take(&mut self.seen.lock().unwrap().1) {
            seen.entry(name).or_default().push(pod);
        }
        seen
    }
}

fn version(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
