//! The loop: watch events and timers in, status patches and final deletions out.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, pin_mut};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::kubelet::{Delays, Known, Work};
use crate::node;
use crate::options::Options;
use crate::scheduler;
use crate::turns::Turns;
use crate::wire::SimPod;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// When a write that failed is repeated.
const RETRY: SignedDuration = SignedDuration::from_secs(1);

/// A write that has ended.
struct Written {
    node: String,
    uid: String,
    /// Whether nothing is left to be written.
    settled: bool,
}

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
    turns: Turns,
    next_ip: u32,
    /// IPs that were ever given to a pod.
    ips: HashSet<String>,
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
            turns: Turns::default(),
            next_ip: 0,
            ips: HashSet::new(),
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        let config = Config::default().fields("spec.nodeName!=");
        let events = watcher(Api::<SimPod>::all(self.client.clone()), config);
        pin_mut!(events);
        let mut writing = FuturesUnordered::new();
        loop {
            while writing.len() < self.options.writers
                && let Some((node, uid)) = self.turns.pop()
            {
                match self.advance(&uid) {
                    Some(write) => {
                        writing.push(write.map(|settled| Written { node, uid, settled }));
                    }
                    None => self.turns.done(&node),
                }
            }
            let timer = self.timers.first().map(|(at, _)| *at);
            tokio::select! {
                () = stop.cancelled() => return,
                Some(written) = writing.next(), if !writing.is_empty() => self.wrote(written),
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
        self.turns.push(node, &uid);
        if let Some(entry) = self.pods.get_mut(&uid) {
            entry.0 = pod;
        } else {
            let ip = self.ip(&pod.status.pod_ip);
            let known = Known::new(&pod, ip, Timestamp::now(), &self.delays);
            self.pods.insert(uid, (pod, known));
        }
    }

    /// The IP of a pod: after a restart the one that it has, else the next that no pod has.
    fn ip(&mut self, stored: &str) -> String {
        if !stored.is_empty() {
            self.ips.insert(stored.to_owned());
            return stored.to_owned();
        }
        loop {
            self.next_ip += 1;
            let [_, a, b, c] = self.next_ip.to_be_bytes();
            let ip = format!("10.{a}.{b}.{c}");
            if self.ips.insert(ip.clone()) {
                return ip;
            }
        }
    }

    fn fire(&mut self, now: Timestamp) {
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, uid)) = self.timers.pop_first() else { return };
            if let Some((pod, _)) = self.pods.get(&uid) {
                self.turns.push(&pod.spec.node_name, &uid);
            }
        }
    }

    /// One step of a pod; what it has to say is written in the background.
    fn advance(&mut self, uid: &str) -> Option<BoxFuture<'static, bool>> {
        let (pod, known) = self.pods.get_mut(uid)?;
        let mut id = || uuid::Uuid::new_v4().simple().to_string();
        let Work { status, gone, wake } = known.step(pod, Timestamp::now(), &self.delays, &mut id);
        if let Some(at) = wake {
            self.timers.insert((at, uid.to_owned()));
        }
        let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace(), pod.name());
        tracing::debug!(path, gone, news = status.is_some(), wake = ?wake, "step");
        let client = self.client.clone();
        if gone {
            Some(delete(client, path, uid.to_owned()).boxed())
        } else {
            let body = json!({ "metadata": { "uid": uid }, "status": status? });
            Some(patch(client, format!("{path}/status"), body).boxed())
        }
    }

    /// A write has ended; one that failed is repeated, as a kubelet does.
    fn wrote(&mut self, Written { node, uid, settled }: Written) {
        self.turns.done(&node);
        if !settled && let Some((_, known)) = self.pods.get_mut(&uid) {
            known.forget_told();
            self.timers.insert((Timestamp::now() + RETRY, uid));
        }
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

async fn patch(client: Client, path: String, body: Value) -> bool {
    let kind = "application/strategic-merge-patch+json";
    settled(&path, send(&client, "PATCH", &path, (kind, &body)).await)
}

/// Whether nothing is left to be written: it was written, or the pod is gone, or another has its name.
fn settled(path: &str, result: kube::Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => true,
        Err(error) => {
            tracing::error!(path, %error, "not written");
            false
        }
    }
}

async fn delete(client: Client, path: String, uid: String) -> bool {
    let body = json!({
        "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0,
        "preconditions": { "uid": uid },
    });
    settled(&path, send(&client, "DELETE", &path, ("application/json", &body)).await)
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
    match timeout(TIMEOUT, client.request_text(request)).await {
        Ok(answer) => answer.map(|_| ()),
        Err(late) => Err(kube::Error::Service(late.into())),
    }
}
