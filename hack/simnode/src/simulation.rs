//! The loop: watch events and timers in, status patches and final deletions out.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, pin_mut};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::kubelet::{Delays, Known, Work};
use crate::node;
use crate::options::Options;
use crate::scheduler;
use crate::wire::SimPod;

/// Running simulated nodes.
#[derive(Debug)]
pub struct Simulation {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Simulation {
    /// Registers the nodes and serves their pods until [`Simulation::stop`].
    pub async fn start(client: Client, options: Options) -> kube::Result<Self> {
        node::register(&client, &options).await?;
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(renew(client.clone(), options.clone(), stop.clone()));
        if options.schedule {
            tasks.spawn(scheduler::run(client.clone(), options.clone(), stop.clone()));
        }
        tasks.spawn(Kubelets::new(client, options).run(stop.clone()));
        Ok(Self { stop, tasks })
    }

    /// Ends everything; pods stay as they are.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn renew(client: Client, options: Options, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(Duration::from_secs(10)) => {}
        }
        if let Err(error) = node::renew(&client, &options).await {
            tracing::warn!(%error, "a Lease was not renewed");
        }
    }
}

struct Kubelets {
    client: Client,
    options: Options,
    delays: Delays,
    pods: HashMap<String, (SimPod, Known)>,
    timers: BTreeSet<(Timestamp, String)>,
    /// UIDs that wait for their turn to be written.
    dirty: Vec<String>,
    next_ip: u32,
}

impl Kubelets {
    fn new(client: Client, options: Options) -> Self {
        let span = |delay: Duration| SignedDuration::try_from(delay).unwrap_or_default();
        let delays =
            Delays { start: span(options.start_delay()), stop: span(options.stop_delay()) };
        Self {
            client,
            options,
            delays,
            pods: HashMap::new(),
            timers: BTreeSet::new(),
            dirty: Vec::new(),
            next_ip: 0,
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        let config = Config::default().fields("spec.nodeName!=");
        let events = watcher(Api::<SimPod>::all(self.client.clone()), config);
        pin_mut!(events);
        let mut writing = FuturesUnordered::new();
        loop {
            while writing.len() < self.options.writers
                && let Some(uid) = self.dirty.pop()
            {
                if let Some(write) = self.advance(&uid) {
                    writing.push(write);
                }
            }
            let timer = self.timers.first().map(|(at, _)| *at);
            tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = writing.next(), if !writing.is_empty() => {}
                () = until(timer) => self.fire(Timestamp::now()),
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(event),
                    Some(Err(error)) => {
                        tracing::debug!(%error, "watch of pods");
                        sleep(Duration::from_millis(200)).await;
                    }
                    None => return,
                },
            }
        }
    }

    fn take(&mut self, event: Event<SimPod>) {
        match event {
            Event::Init | Event::InitDone => {}
            Event::Apply(pod) | Event::InitApply(pod) => self.see(pod),
            Event::Delete(pod) => {
                self.pods.remove(pod.uid());
            }
        }
    }

    fn see(&mut self, pod: SimPod) {
        let node = &pod.spec.node_name;
        let index = node.strip_prefix(&self.options.prefix).and_then(|rest| rest.strip_prefix('-'));
        if index.and_then(|i| i.parse::<usize>().ok()).is_none_or(|i| i >= self.options.nodes) {
            return;
        }
        let uid = pod.uid().to_owned();
        if let Some(entry) = self.pods.get_mut(&uid) {
            entry.0 = pod;
        } else {
            self.next_ip += 1;
            let [_, a, b, c] = self.next_ip.to_be_bytes();
            let ip = format!("10.{a}.{b}.{c}");
            let known = Known::new(&pod, ip, Timestamp::now(), &self.delays);
            self.pods.insert(uid.clone(), (pod, known));
        }
        self.dirty.push(uid);
    }

    fn fire(&mut self, now: Timestamp) {
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, uid)) = self.timers.pop_first() {
                self.dirty.push(uid);
            }
        }
    }

    /// One step of a pod; what it has to say is written in the background.
    fn advance(&mut self, uid: &str) -> Option<futures::future::BoxFuture<'static, ()>> {
        let (pod, known) = self.pods.get_mut(uid)?;
        let mut id = || uuid::Uuid::new_v4().simple().to_string();
        let Work { status, gone, wake } = known.step(pod, Timestamp::now(), &self.delays, &mut id);
        if let Some(at) = wake {
            self.timers.insert((at, uid.to_owned()));
        }
        let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace(), pod.name());
        let client = self.client.clone();
        let uid = uid.to_owned();
        if gone {
            return Some(delete(client, path, uid).boxed());
        }
        let body = json!({ "metadata": { "uid": uid }, "status": status? });
        Some(patch(client, format!("{path}/status"), body).boxed())
    }
}

async fn until(at: Option<Timestamp>) {
    match at {
        Some(at) => {
            let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
            sleep_until(Instant::now() + wait).await;
        }
        None => std::future::pending().await,
    }
}

async fn patch(client: Client, path: String, body: Value) {
    let kind = "application/strategic-merge-patch+json";
    if let Err(error) = send(&client, "PATCH", &path, (kind, &body)).await {
        tracing::debug!(path, %error, "status not written");
    }
}

async fn delete(client: Client, path: String, uid: String) {
    let body = json!({
        "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0,
        "preconditions": { "uid": uid },
    });
    if let Err(error) = send(&client, "DELETE", &path, ("application/json", &body)).await {
        tracing::debug!(path, %error, "pod not removed");
    }
}

/// POSTs JSON.
pub(crate) async fn post(client: &Client, path: &str, body: &Value) -> kube::Result<()> {
    send(client, "POST", path, ("application/json", body)).await
}

async fn send(
    client: &Client,
    method: &str,
    path: &str,
    (kind, body): (&str, &Value),
) -> kube::Result<()> {
    let request = http::Request::builder().method(method).uri(path).header("Content-Type", kind);
    let body = serde_json::to_vec(body).map_err(kube::Error::SerdeError)?;
    let request = request.body(body).map_err(kube::Error::HttpError)?;
    client.request_text(request).await.map(|_| ())
}
