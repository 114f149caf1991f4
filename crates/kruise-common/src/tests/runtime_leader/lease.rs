//! Leases in memory with the rules of the API server, and the network between it and one process.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use kube::Client;
use kube::client::Body;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::tests::support::{Answer, BoxError, Seen, failure, now, pass, read, respond};

const ROOT: &str = "/apis/coordination.k8s.io/v1/namespaces/";

/// The server.
#[derive(Clone, Default)]
pub struct Server {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By `namespace/name`.
    leases: BTreeMap<String, Value>,
    version: u64,
    /// Methods of requests on their way.
    under_way: Vec<String>,
    put_at: Option<Instant>,
}

impl Server {
    /// A stored Lease.
    pub fn lease(&self, name: &str) -> Option<Value> {
        self.state.lock().unwrap().leases.get(name).cloned()
    }

    /// How many writes there were.
    pub fn version(&self) -> u64 {
        self.state.lock().unwrap().version
    }

    /// Requests of this method that have been sent and have not arrived.
    pub fn pending(&self, method: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.under_way.iter().filter(|known| *known == method).count()
    }

    /// Stores a Lease as somebody else would write it, renewed `after` microseconds past 2026.
    pub fn put(&self, name: &str, holder: &str, seconds: u32, after: u32) {
        let time = format!("2026-01-01T00:00:00.{after:06}Z");
        self.put_at_time(name, holder, seconds, &time);
    }

    /// Like [`Server::put`], renewed at `time`.
    pub fn put_at_time(&self, name: &str, holder: &str, seconds: u32, time: &str) {
        let (namespace, short) = name.split_once('/').unwrap();
        let mut state = self.state.lock().unwrap();
        state.put_at = Some(now());
        let lease = json!({
            "metadata": { "namespace": namespace, "name": short },
            "spec": {
                "holderIdentity": holder, "leaseDurationSeconds": seconds,
                "renewTime": time, "leaseTransitions": 7,
            },
        });
        state.store(name, lease);
    }

    /// Time since the last [`Server::put`].
    pub fn age(&self) -> Duration {
        now() - self.state.lock().unwrap().put_at.unwrap()
    }

    /// Removes a Lease.
    pub fn delete(&self, name: &str) {
        self.state.lock().unwrap().leases.remove(name);
    }

    fn perform(&self, request: &Seen) -> Answer {
        let path = request.path.split('?').next().unwrap().strip_prefix(ROOT).unwrap();
        let (namespace, name) = path.split_once("/leases").unwrap();
        let mut state = self.state.lock().unwrap();
        let body = request.body.clone();
        match request.method.as_str() {
            "GET" => {
                let lease = state.leases.get(&format!("{namespace}{name}"));
                lease.map_or_else(
                    || failure(404, "NotFound"),
                    |lease| Answer::Json(200, lease.clone()),
                )
            }
            "POST" => {
                let name = format!("{namespace}/{}", body["metadata"]["name"].as_str().unwrap());
                if state.leases.contains_key(&name) {
                    return failure(409, "AlreadyExists");
                }
                Answer::Json(201, state.store(&name, body))
            }
            "PUT" => {
                let name = format!("{namespace}{name}");
                let Some(stored) = state.leases.get(&name) else {
                    return failure(404, "NotFound");
                };
                if stored["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
                    return failure(409, "Conflict");
                }
                Answer::Json(200, state.store(&name, body))
            }
            other => panic!("{other} on a Lease"),
        }
    }
}

impl State {
    fn store(&mut self, name: &str, mut lease: Value) -> Value {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.leases.insert(name.to_owned(), lease.clone());
        lease
    }
}

/// The network of one process, and its clock and its scheduler.
#[derive(Clone, Default)]
pub struct Link {
    faults: Arc<Mutex<Faults>>,
}

/// What the network does.
#[derive(Default)]
pub struct Faults {
    /// Nothing gets through; whether it hangs instead of failing.
    pub cut: Option<bool>,
    /// Delay of requests.
    pub there: Duration,
    /// Delay of answers.
    pub back: Duration,
    /// Delay of the answers to one method.
    pub slow: Option<(&'static str, Duration)>,
    /// Answers to this method are lost, once.
    pub lose: Option<&'static str>,
    /// Paths that end so are answered so, the first as long as the number lasts.
    pub refuse: Option<(&'static str, u16, usize)>,
    /// Chance that a request fails in one way or the other, and the longest delay in milliseconds.
    pub chaos: Option<(f64, u64, StdRng)>,
    skew: Option<String>,
    stuck: bool,
    renewals: u32,
    frozen_until: Option<Instant>,
}

/// What becomes of one request.
enum Fate {
    Arrives,
    AnswerLost,
    Refused(u16),
    Hangs,
    Breaks,
}

impl Link {
    /// Changes faults.
    pub fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.faults.lock().unwrap());
    }

    pub fn cut(&self, hangs: Option<bool>) {
        self.set(|faults| faults.cut = hangs);
    }

    pub fn there(&self, delay: Duration) {
        self.set(|faults| faults.there = delay);
    }

    pub fn back(&self, delay: Duration) {
        self.set(|faults| faults.back = delay);
    }

    pub fn lose_answers(&self, method: &'static str) {
        self.set(|faults| faults.lose = Some(method));
    }

    pub fn skew(&self, time: &str) {
        self.set(|faults| faults.skew = Some(time.to_owned()));
    }

    pub fn stuck_clock(&self) {
        self.set(|faults| {
            faults.skew = Some("2026-01-01T00:00:00.000000Z".into());
            faults.stuck = true;
        });
    }

    pub fn chaos(&self, chance: f64, delay: u64, seed: u64) {
        self.set(|faults| faults.chaos = Some((chance, delay, StdRng::seed_from_u64(seed))));
    }

    /// The process is not scheduled until then.
    pub fn freeze(&self, until: Instant) {
        self.set(|faults| faults.frozen_until = Some(until));
    }

    /// Everything works again.
    pub fn heal(&self) {
        self.set(|faults| *faults = Faults::default());
    }

    /// A client behind this network.
    pub fn client(&self, server: &Server) -> Client {
        let (link, server) = (self.clone(), server.clone());
        let serve = move |request| exchange(link.clone(), server.clone(), request);
        Client::new(tower::service_fn(serve), "default")
    }

    /// `run` as a process that can be stopped.
    pub async fn freezable(self, run: impl Future<Output = ()>) {
        let mut run = pin!(run);
        let mut wait = pin!(sleep_until(now()));
        poll_fn(|context: &mut Context<'_>| {
            let frozen = self.faults.lock().unwrap().frozen_until;
            if let Some(until) = frozen.filter(|until| *until > now()) {
                wait.as_mut().reset(until);
                if wait.as_mut().poll(context) == Poll::Pending {
                    return Poll::Pending;
                }
            }
            run.as_mut().poll(context)
        })
        .await;
    }

    fn fate(&self, request: &Seen) -> (Duration, Fate, Duration) {
        let mut faults = self.faults.lock().unwrap();
        let (mut there, mut back) = (faults.there, faults.back);
        if let Some((_, delay)) = faults.slow.filter(|(method, _)| request.method == *method) {
            back = delay;
        }
        let mut fate = Fate::Arrives;
        if faults.lose == Some(request.method.as_str()) {
            faults.lose = None;
            fate = Fate::AnswerLost;
        }
        if let Some((end, code, left)) = &mut faults.refuse
            && *left > 0
            && request.path.ends_with(*end)
        {
            *left -= 1;
            fate = Fate::Refused(*code);
        }
        if let Some((chance, delay, random)) = &mut faults.chaos {
            there += Duration::from_millis(random.random_range(0..=*delay));
            back += Duration::from_millis(random.random_range(0..=*delay));
            if random.random_bool(*chance) {
                fate = match random.random_range(0..4) {
                    0 => Fate::AnswerLost,
                    1 => Fate::Refused(500),
                    2 => Fate::Hangs,
                    _ => Fate::Breaks,
                };
            }
        }
        match faults.cut {
            Some(true) => fate = Fate::Hangs,
            Some(false) => fate = Fate::Breaks,
            None => {}
        }
        (there, fate, back)
    }

    /// What the clock of this process would have written.
    fn as_written(&self, request: &mut Seen) {
        let mut faults = self.faults.lock().unwrap();
        let Some(skew) = faults.skew.clone() else { return };
        if let Some(spec) = request.body.get_mut("spec") {
            let tick = if faults.stuck { 0 } else { faults.renewals + 1 };
            faults.renewals = tick;
            let time = skew.replace(".000000", &format!(".{tick:06}"));
            spec["renewTime"] = json!(time);
            spec["acquireTime"] = json!(time);
        }
    }
}

/// One request and its answer. What was sent arrives even if the sender has given up waiting, or was stopped.
async fn exchange(
    link: Link,
    server: Server,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, BoxError> {
    let mut request = read(request).await?;
    link.as_written(&mut request);
    let (there, fate, back) = link.fate(&request);
    let (send, answer) = oneshot::channel();
    tokio::spawn(async move {
        server.state.lock().unwrap().under_way.push(request.method.clone());
        pass(there).await;
        let arrived = |state: &mut State| {
            let at = state.under_way.iter().position(|known| *known == request.method);
            state.under_way.swap_remove(at.unwrap());
        };
        arrived(&mut server.state.lock().unwrap());
        let answer = match fate {
            Fate::Breaks => Answer::Broken,
            Fate::Refused(403) => failure(403, "Forbidden"),
            Fate::Refused(code) => failure(code, "InternalError"),
            Fate::Hangs => Answer::Silent,
            Fate::Arrives => server.perform(&request),
            Fate::AnswerLost => {
                server.perform(&request);
                Answer::Silent
            }
        };
        pass(back).await;
        // Nobody may be waiting any more.
        let _ = send.send(answer);
    });
    respond(answer.await?).await
}
