//! A [`World`] and a real API server that are sent the same writes, and compared after each.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kruise_common::intern::Interner;
use kruise_common::key::ObjectKey;
use kruise_common::kind::{CLAIM, CONTROLLER_REVISION, Kind, POD, STATEFUL_SET};
use kruise_common::meta::Meta;
use kruise_common::runtime::leader;
use kruise_common::runtime::limiter::Patience;
use kruise_common::runtime::metrics::Metrics;
use kruise_common::runtime::writer::{Sink, Writer, WriterConfig};
use kruise_common::testing::world::{Reply, World};
use kruise_common::write::{Category, Request, Write};
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use serde_json::Value;

use crate::view::view;

/// Longest time anything may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long controllers may take before a state counts as different.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    World,
    Server,
}

/// What each side knows of one object.
#[derive(Clone, Debug)]
pub struct Both {
    world: Meta,
    server: Meta,
}

impl Both {
    /// What `side` knows.
    pub fn on(&self, side: Side) -> &Meta {
        match side {
            Side::World => &self.world,
            Side::Server => &self.server,
        }
    }
}

/// The answer to a write, as a controller's cache gets it.
#[derive(Clone, PartialEq)]
enum Answer {
    Stored(Value),
    Removed,
}

impl Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stored(object) => write!(f, "stored {object}"),
            Self::Removed => f.write_str("removed"),
        }
    }
}

/// What is stored now, and whether the write changed it.
#[derive(PartialEq)]
struct State {
    object: Option<Value>,
    changed: bool,
}

impl Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let object = self.object.as_ref().map(ToString::to_string).unwrap_or_default();
        write!(f, "{} {object}", if self.changed { "changed" } else { "same" })
    }
}

/// Keeps the answer that the writer would put into the cache.
#[derive(Default)]
struct LastAnswer(Mutex<Option<Answer>>);

impl Sink for LastAnswer {
    fn stored(&self, body: &[u8]) {
        let object = serde_json::from_slice(body).unwrap();
        *self.0.lock().unwrap() = Some(Answer::Stored(object));
    }

    fn lists(&self) -> u64 {
        0
    }

    fn uid(&self, _: &ObjectKey) -> Option<Arc<str>> {
        Some("whoever was there".into())
    }

    fn removed(&self, _: &ObjectKey, _: &str) {
        *self.0.lock().unwrap() = Some(Answer::Removed);
    }
}

/// The two sides.
pub struct Pair {
    /// Namespace on both sides.
    pub namespace: String,
    world: World,
    client: Client,
    writer: Writer,
    answer: Arc<LastAnswer>,
    /// Names for UIDs, which differ.
    uids: BTreeMap<String, String>,
    differences: String,
}

impl Pair {
    /// An empty namespace for the test `purpose`.
    pub async fn new(purpose: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_default().await.expect("KUBECONFIG names a cluster");
        let namespace = format!("world-{purpose}-{}", std::process::id());
        let metadata = ObjectMeta { name: Some(namespace.clone()), ..ObjectMeta::default() };
        let object = Namespace { metadata, ..Namespace::default() };
        Api::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
        // Pods need it, and it is made a moment later.
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
        let began = Instant::now();
        while accounts.get_opt("default").await.unwrap().is_none() {
            pause(began, "the default ServiceAccount").await;
        }
        let answer = Arc::new(LastAnswer::default());
        let kinds = [&POD, &CLAIM, &CONTROLLER_REVISION, &STATEFUL_SET];
        let sinks: HashMap<&'static str, Arc<dyn Sink>> =
            kinds.map(|kind| (kind.plural, answer.clone() as Arc<dyn Sink>)).into();
        let config = WriterConfig { in_flight: 1, timeout: DEADLINE };
        let metrics = Metrics::new("world").unwrap();
        let writer = Writer::new(client.clone(), leader::disabled(), metrics, config, sinks);
        let world = World::new("2026-01-01T00:00:00Z".parse().unwrap());
        let (uids, differences) = (BTreeMap::new(), String::new());
        Self { namespace, world, client, writer, answer, uids, differences }
    }

    /// The key of `name` in the test's namespace.
    pub fn key(&self, name: &str) -> ObjectKey {
        ObjectKey::new(self.namespace.as_str(), name)
    }

    /// What both sides know of an object that is there.
    pub async fn see(&mut self, kind: &'static Kind, name: &str) -> Both {
        let key = self.key(name);
        let world = self.world.get(kind, &key).cloned();
        let server = self.get(kind, &key).await;
        let mut meta = |object: Option<Value>| {
            let object = object.unwrap_or_else(|| panic!("{} {name} is not there", kind.kind));
            let meta: ObjectMeta = serde_json::from_value(object["metadata"].clone()).unwrap();
            let uid = meta.uid.clone().unwrap();
            self.uids.insert(uid, format!("uid of {} {name}", kind.kind));
            Meta::new(&meta, &Interner::default())
        };
        Both { world: meta(world), server: meta(server) }
    }

    /// Sends a write to both sides; it must end as `expected`, and leave the same behind.
    pub async fn send(
        &mut self,
        what: &str,
        expected: Result<(), Category>,
        build: impl Fn(Side) -> Write,
    ) {
        let (ours, theirs) = (build(Side::World), build(Side::Server));
        let (kind, key) = (ours.kind, ours.key.clone());
        let before = [self.world.get(kind, &key).cloned(), self.get(kind, &key).await];

        let (outcome, answer) = perform(&mut self.world, &ours);
        self.compare(what, "outcome of the World", &expected, &outcome);
        *self.answer.0.lock().unwrap() = None;
        let sent = self.writer.send(&key, &theirs, &Patience::of(DEADLINE)).await;
        let real = sent.map(|sent| assert!(sent, "{what} was not sent in time"));
        let real_answer = self.answer.0.lock().unwrap().take();
        if let Err(error) = &real {
            println!("{what}: {error}");
        }
        let real = real.map_err(|error| error.category);
        self.compare(what, "outcome of the server", &expected, &real);
        // Whether a claim outlives its deletion for a moment depends on a controller.
        let slow = *kind == CLAIM && matches!(ours.request, Request::Delete { .. });
        if expected.is_ok() && !slow {
            let (world, server) = (self.seen(answer.as_ref()), self.seen(real_answer.as_ref()));
            self.compare(what, "answer", &server, &world);
        }

        self.agree(what, kind, &key, before).await;
    }

    /// Both sides hold the same of `name`, once the controllers of claims have done their work.
    pub async fn settled(&mut self, kind: &'static Kind, name: &str) {
        let key = self.key(name);
        self.agree("settled", kind, &key, [None, None]).await;
    }

    async fn agree(
        &mut self,
        what: &str,
        kind: &'static Kind,
        key: &ObjectKey,
        [world_before, server_before]: [Option<Value>; 2],
    ) {
        self.world.protect_claims();
        let began = Instant::now();
        let world = self.state(world_before.as_ref(), self.world.get(kind, key));
        let server = loop {
            let server = self.get(kind, key).await;
            let server = self.state(server_before.as_ref(), server.as_ref());
            // Only claims have a controller that writes to them in this test.
            if *kind != CLAIM || server == world || began.elapsed() > PATIENCE {
                break server;
            }
            pause(began, what).await;
        };
        self.compare(what, "state", &server, &world);
    }

    /// The test's end: fails if the two differed.
    pub async fn done(self) {
        assert!(self.differences.is_empty(), "{}", self.differences);
        let namespaces: Api<Namespace> = Api::all(self.client);
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
    }

    fn state(&self, before: Option<&Value>, after: Option<&Value>) -> State {
        let version = |object: Option<&Value>| Some(object?["metadata"]["resourceVersion"].clone());
        // A controller also writes to claims.
        let claim = after.is_some_and(|after| after["kind"] == CLAIM.kind);
        let changed = !claim && version(before) != version(after);
        State { object: after.map(|object| view(object, &self.uids)), changed }
    }

    fn seen(&self, answer: Option<&Answer>) -> Option<Answer> {
        Some(match answer? {
            Answer::Stored(object) => Answer::Stored(view(object, &self.uids)),
            Answer::Removed => Answer::Removed,
        })
    }

    fn compare<T: PartialEq + Debug>(&mut self, step: &str, of: &str, must: &T, is: &T) {
        if must != is {
            let difference =
                writeln!(self.differences, "{step}: {of}\n  must be {must:?}\n  but is  {is:?}");
            difference.unwrap();
        }
    }

    async fn get(&self, kind: &'static Kind, key: &ObjectKey) -> Option<Value> {
        let path = format!("{}/{}", kind.path(&key.namespace), key.name);
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        match self.client.request::<Value>(request).await {
            Ok(object) => Some(object),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("GET {key}: {error}"),
        }
    }
}

/// Performs a write in memory, with the outcome that a writer would report.
fn perform(world: &mut World, write: &Write) -> (Result<(), Category>, Option<Answer>) {
    match world.perform(write) {
        Ok(Reply::Stored(object)) => (Ok(()), Some(Answer::Stored(object))),
        Ok(Reply::Removed) => (Ok(()), Some(Answer::Removed)),
        // What is to be deleted is gone: that is what was wanted.
        Err(error) if error.category == Category::NotFound && write.verb() == "delete" => {
            (Ok(()), Some(Answer::Removed))
        }
        Err(error) => (Err(error.category), None),
    }
}

/// Waits a moment for something that happens elsewhere, until the deadline.
async fn pause(began: Instant, what: &str) {
    assert!(began.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
    tokio::time::sleep(Duration::from_millis(20)).await;
}
