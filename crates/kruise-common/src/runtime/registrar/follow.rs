//! What is known of one object: its watch.

use futures::{StreamExt, pin_mut};
use kube::Api;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::RETRY;

/// How long a watch is open, in seconds.
const WATCH_SECONDS: u32 = 55;

/// What an object watch knows.
#[derive(Clone, Debug, Default)]
pub(super) enum Seen<T> {
    /// Not yet known.
    #[default]
    Unknown,
    /// It is not there.
    Absent,
    /// It is there.
    There(Box<T>),
}

/// Follows one object, for ever.
pub(super) fn follow<K>(
    api: Api<K>,
    name: String,
    tasks: &mut JoinSet<()>,
) -> watch::Receiver<Seen<K>>
where
    K: kube::Resource
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let (sender, receiver) = watch::channel(Seen::Unknown);
    let config = watcher::Config::default()
        .fields(&format!("metadata.name={name}"))
        // A connection that is dead without a word is noticed long before a CA is taken away.
        .timeout(WATCH_SECONDS);
    tasks.spawn(async move {
        let events = watcher::watcher(api, config);
        pin_mut!(events);
        let mut failures = 0;
        let mut listed = None;
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(name, failures, %error, "watch failed");
                    tokio::time::sleep(RETRY.delay(failures, rand::random())).await;
                    continue;
                }
            };
            failures = 0;
            let seen = match event {
                Event::Init => {
                    listed = None;
                    continue;
                }
                Event::InitApply(object) => {
                    listed = Some(object);
                    continue;
                }
                Event::InitDone => listed.take(),
                Event::Apply(object) => Some(object),
                Event::Delete(_) => None,
            };
            sender.send_replace(seen.map_or(Seen::Absent, |object| Seen::There(Box::new(object))));
        }
    });
    receiver
}
