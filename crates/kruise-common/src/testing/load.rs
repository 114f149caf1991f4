#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    reason = "test code: what goes wrong ends the test"
)]
//! Somebody who keeps asking while something else happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

/// Askers that ask until they are told to stop.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Starts so many askers, each of which asks once in `pace`; what `ask` of an asker's number complains about is kept.
    pub fn start<F>(
        askers: usize,
        pace: Duration,
        ask: impl Fn(usize) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send,
    {
        let (stop, done): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
        let ask = Arc::new(ask);
        let task = |asker: usize| {
            let (stop, done, ask) = (stop.clone(), done.clone(), ask.clone());
            tokio::spawn(async move {
                let mut failures = Vec::new();
                let mut pace = tokio::time::interval(pace);
                while !stop.load(Ordering::SeqCst) {
                    pace.tick().await;
                    failures.extend(ask(asker).await.err());
                    done.fetch_add(1, Ordering::SeqCst);
                }
                failures
            })
        };
        let tasks = (0..askers).map(task).collect();
        Self { stop, done, tasks }
    }

    /// How often was asked, and what went wrong.
    pub async fn stop(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        let mut failures = Vec::new();
        for task in self.tasks {
            failures.extend(task.await.unwrap());
        }
        (self.done.load(Ordering::SeqCst), failures)
    }
}
