//! Sees every pod of a namespace as it changes: how many are ready, and how few were at the worst moment.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures::{StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What is seen of the pods at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Ready pods.
    pub ready: usize,
    /// Ready pods that have what was asked for by [`Pods::expect`].
    pub done: usize,
    /// Fewest ready pods since [`Pods::expect`].
    pub fewest: usize,
    /// When that was.
    pub at: Instant,
    /// How often [`Pods::expect`] had been called.
    asked: u64,
    /// Seconds that pods were not ready since [`Pods::expect`], summed over all of them.
    pub down: f64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { ready: 0, done: 0, fewest: usize::MAX, at: Instant::now(), asked: 0, down: 0.0 }
    }
}

/// A watch of pods that runs until it is dropped.
pub struct Pods {
    seen: watch::Receiver<Seen>,
    wanted: watch::Sender<(u64, String)>,
    task: JoinHandle<()>,
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pods {
    /// Watches the pods of `namespace`.
    pub fn watch(client: Client, namespace: &str) -> Self {
        let (sender, seen) = watch::channel(Seen::default());
        let (wanted, asked) = watch::channel((0, String::new()));
        let api: Api<Pod> = Api::namespaced(client, namespace);
        let task = tokio::spawn(follow(api, sender, asked));
        Self { seen, wanted, task }
    }

    /// From now on pods count as done when their first container's image and variable `V` read `mark`.
    pub fn expect(&self, mark: &str) {
        self.wanted.send_modify(|(asked, wanted)| {
            *asked += 1;
            mark.clone_into(wanted);
        });
    }

    /// Waits until `many` pods are done; what was seen then. No progress for two minutes is an error.
    pub async fn done(&mut self, many: usize) -> anyhow::Result<Seen> {
        let mut last = 0;
        let asked = self.wanted.borrow().0;
        loop {
            let seen = *self.seen.borrow_and_update();
            // What was seen before is of what was asked for before.
            if seen.asked == asked && seen.done == many {
                return Ok(seen);
            }
            if seen.asked == asked {
                last = last.max(seen.done);
            }
            let more = async {
                loop {
                    self.seen.changed().await?;
                    let seen = *self.seen.borrow_and_update();
                    if seen.asked == asked && seen.done > last {
                        return anyhow::Ok(());
                    }
                }
            };
            if timeout(Duration::from_mins(2), more).await.is_err() {
                bail!("{last} of {many} pods, and no more for two minutes");
            }
        }
    }
}

async fn follow(
    api: Api<Pod>,
    sender: watch::Sender<Seen>,
    mut asked: watch::Receiver<(u64, String)>,
) {
    let events = watcher(api, Config::default()).map_err(|_| ());
    pin_mut!(events);
    let mut pods: HashMap<String, (bool, String)> = HashMap::new();
    let mut seen = Seen::default();
    let mut total = 0_usize;
    loop {
        tokio::select! {
            biased;
            _ = asked.changed() => {}
            event = events.next() => match event {
                Some(Ok(Event::Apply(pod) | Event::InitApply(pod))) => {
                    pods.insert(name(&pod), (is_ready(&pod), mark(&pod)));
                }
                Some(Ok(Event::Delete(pod))) => {
                    pods.remove(&name(&pod));
                }
                Some(_) => {}
                None => return,
            },
        }
        let before = total.saturating_sub(seen.ready);
        total = pods.len();
        let (number, wanted) = asked.borrow().clone();
        if number != seen.asked {
            seen = Seen { asked: number, fewest: usize::MAX, down: 0.0, ..seen };
        }
        let ready = || pods.values().filter(|(ready, _)| *ready);
        seen.ready = ready().count();
        seen.done = ready().filter(|(_, mark)| *mark == wanted).count();
        seen.fewest = seen.fewest.min(seen.ready);
        let now = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "a number of pods")]
        let unready = before as f64;
        seen.down += unready * (now - seen.at).as_secs_f64();
        seen.at = now;
        sender.send_replace(seen);
    }
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// Image and variable `V` of the first container.
fn mark(pod: &Pod) -> String {
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    let image = container.and_then(|container| container.image.clone()).unwrap_or_default();
    let env = container.and_then(|container| container.env.as_ref()?.first()?.value.clone());
    format!("{image} {}", env.unwrap_or_default())
}
