//! One sample: a contestant does one bench once.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Config, Event, watcher};
use serde_json::Value;
use tokio::time::{interval, sleep};

use crate::api::{self, Call};
use crate::audit::Tally;
use crate::benchmark::{Bench, NAMESPACE, SET};
use crate::contestant::Contestant;
use crate::floor::{Floor, Rates, Writes, floor};
use crate::lab::Lab;
use crate::pods::{Census, SlimPod};
use crate::process::Managed;
use crate::progress::Progress;

/// What one sample gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// From the change of the spec until all pods had arrived.
    pub seconds: f64,
    /// CPU time of the contestant, from the change until nobody wrote any more.
    pub cpu_seconds: f64,
    /// Peak of its resident memory in that time, in MiB.
    pub peak_rss_mib: f64,
    /// What it wrote in that time.
    pub tally: Tally,
    /// What the simulated nodes wrote to pods.
    pub nodes: Writes,
    /// Shortest possible time, at the rates of this round.
    pub floor: Floor,
}

/// Takes samples of one contestant.
struct Run<'a> {
    lab: &'a Lab,
    bench: Bench,
    contestant: &'a Contestant,
    process: Managed,
    progress: &'a mut Progress,
}

/// Takes one sample. The contestant is started for it and ended after it, and nothing is left.
pub async fn take(
    lab: &Lab,
    (bench, contestant): (Bench, &Contestant),
    rates: &Rates,
    tag: &str,
    progress: &mut Progress,
) -> anyhow::Result<Sample> {
    let process = lab.start(contestant, tag)?;
    let log = process.log().display().to_string();
    let mut run = Run { lab, bench, contestant, process, progress };
    let outcome = run.measure(rates).await.with_context(|| format!("its log is {log}"));
    run.process.stop().await?;
    lab.clear(contestant).await?;
    outcome
}

/// Whether the set's status says that all `size` pods are ready and at the newest revision.
pub fn is_reported(set: &Value, size: u32) -> bool {
    let number = |path: &str| set.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let all = u64::from(size);
    number("/metadata/generation") == number("/status/observedGeneration")
        && ["replicas", "readyReplicas", "updatedReplicas"]
            .iter()
            .all(|field| number(&format!("/status/{field}")) == all)
}

impl Run<'_> {
    async fn measure(&mut self, rates: &Rates) -> anyhow::Result<Sample> {
        let Lab { client, options, audit } = self.lab;
        let size = options.size;
        let set = self.contestant.set(self.bench, size).context("it does not play this bench")?;
        Call::create(&self.contestant.sets_path(), set).send(client).await?;
        let mut crowd = Crowd::watch(self.lab);
        let before = self.bench.replicas_before(size);
        let all = usize::try_from(before)?;
        crowd.wait(self, "preparing", |census| census.is_listed() && census.arrived() == all).await?;
        self.reported(before).await?;

        let start = self.lab.quiet().await?;
        self.process.reset_peak()?;
        let cpu_before = self.process.usage()?.cpu_seconds;
        crowd.drain();
        crowd.census.expect(self.bench.identity());
        let began = Instant::now();
        Call::merge(&self.contestant.set_path(), self.bench.change(size)).send(client).await?;
        let all = usize::try_from(size)?;
        crowd.wait(self, self.bench.title(), |census| census.arrived() == all).await?;
        let seconds = began.elapsed().as_secs_f64();

        self.reported(size).await?;
        let end = self.lab.quiet().await?;
        let usage = self.process.usage()?;
        let requests = audit.between(start, end)?;
        let plural = &self.contestant.workload.plural;
        let nodes = Tally::of(&requests, &Lab::nodes_writer(), plural).pods;
        let play = self.contestant.benches.get(&self.bench).context("no such bench")?;
        Ok(Sample {
            seconds,
            cpu_seconds: usage.cpu_seconds - cpu_before,
            peak_rss_mib: usage.peak_rss_mib,
            tally: Tally::of(&requests, &self.contestant.writer(), plural),
            nodes,
            floor: floor(rates, size, (&play.writes, &nodes), self.bench.node_delay()),
        })
    }

    /// Waits until the set's status tells what is there.
    async fn reported(&mut self, size: u32) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.lab.timeout();
        loop {
            self.process.check()?;
            let set = api::get(&self.lab.client, &self.contestant.set_path()).await?;
            if is_reported(&set, size) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let status = set.pointer("/status").unwrap_or(&Value::Null);
                bail!("the pods have arrived, but the set's status does not say so: {status}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The pods of the set, as a watch tells them.
struct Crowd {
    events: BoxStream<'static, Result<Event<SlimPod>, watcher::Error>>,
    census: Census,
}

impl Crowd {
    fn watch(lab: &Lab) -> Self {
        let pods: Api<SlimPod> = Api::namespaced(lab.client.clone(), NAMESPACE);
        let config = Config::default().labels(&format!("app={SET}"));
        let events = watcher(pods, config).default_backoff().boxed();
        Self { events, census: Census::new() }
    }

    /// Takes in what has arrived already.
    fn drain(&mut self) {
        while let Some(Some(event)) = self.events.next().now_or_never() {
            self.take(event);
        }
    }

    /// Watches until `done`; fails when the contestant ends, or the time does.
    async fn wait(
        &mut self,
        run: &mut Run<'_>,
        what: &str,
        done: impl Fn(&Census) -> bool,
    ) -> anyhow::Result<()> {
        let size = run.lab.options.size;
        let began = Instant::now();
        let mut ticks = interval(Duration::from_millis(200));
        while !done(&self.census) {
            tokio::select! {
                Some(event) = self.events.next() => self.take(event),
                _ = ticks.tick() => {
                    run.process.check()?;
                    let (arrived, seconds) = (self.census.arrived(), began.elapsed().as_secs());
                    run.progress.step(&format!("{what}: {arrived} of {size} pods, {seconds} s"));
                    if self.census.strangers() > 0 {
                        bail!("pods were re-created although they were to be updated in place");
                    }
                    if began.elapsed() > run.lab.timeout() {
                        let present = self.census.present();
                        bail!("{what}: {arrived} of {size} pods after {seconds} s, {present} present");
                    }
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Result<Event<SlimPod>, watcher::Error>) {
        // The watch begins anew by itself.
        if let Ok(event) = event {
            self.census.take(event);
        }
    }
}
