//! The HTTPS server that answers admission reviews, on every replica, leader or not.
//!
//! # Guarantees
//! The certificate is looked up for every connection, so a new one is in use at once and open connections live on.
//! Connections are bounded in number and in time, bodies in size, each and all together ([`Limits`]): what is more is refused
//! at once, with 503 where a request can be answered at all. Before the caches are complete, and while a watch has been broken
//! for long, every review is answered with 503: an answer out of half a cache, or an old one, would be wrong, and
//! `failurePolicy` says what to do without one. On shutdown
//! new connections are taken until the endpoints have had time to leave, then those that are open are drained.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request as HttpRequest, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use hyper::body::Incoming;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::admin::Health;
use super::metrics::Metrics;
use crate::admission::{Admission, Answer, Request, review};

mod door;

pub use door::Limits;
use door::{Activity, Answers, Door, millis};

/// Largest body: the API server takes objects of up to 3 MiB, and sends old and new.
const BODY: usize = 8 << 20;
/// How long a client may take for the body of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a request waits for others to be answered, if there are so many that memory for their bodies is short.
const ROOM: Duration = Duration::from_secs(1);
/// What bodies are counted in.
const PAGE: usize = 1 << 10;
/// After how long an answer that waits for what is about to arrive is thought over again: each time after twice as long.
const AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// The certificate in use; a new one takes effect with the next connection.
#[derive(Debug, Default)]
pub struct Certificate {
    pair: ArcSwapOption<CertifiedKey>,
    there: watch::Sender<bool>,
}

impl Certificate {
    /// Uses `pair` from now on.
    pub fn set(&self, pair: Arc<CertifiedKey>) {
        self.pair.store(Some(pair));
        self.there.send_replace(true);
    }

    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        self.pair.load().is_some()
    }

    /// Waits until there is one.
    pub async fn there(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.there.subscribe().wait_for(|there| *there).await;
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pair.load_full()
    }
}

/// What the server answers with.
pub struct Desk {
    /// The controller's answers.
    pub admission: Arc<dyn Admission>,
    /// Whether its caches are complete.
    pub ready: AtomicBool,
    /// Whether they are out of date.
    pub health: Arc<Health>,
    /// What is counted.
    pub metrics: Metrics,
    /// Told when the hooks may have changed.
    pub changed: Arc<Notify>,
    /// How long an answer may wait for what is about to arrive: caches lag, and registration takes a moment.
    pub lag: Duration,
    /// What clients can take at most.
    pub limits: Limits,
}

/// Who sits at the desk.
#[derive(Clone)]
struct Clerk(Arc<Seat>);

struct Seat {
    desk: Arc<Desk>,
    /// Room for bodies, in [`PAGE`]s.
    room: Semaphore,
    /// When the server began: what activity is measured from.
    began: Instant,
    /// Connections are not to be used again.
    stop: CancellationToken,
}

/// How long to go on after the signal to stop.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The signal.
    pub stop: CancellationToken,
    /// For how long new connections are still taken.
    pub lame_duck: Duration,
}

/// Binds `address`, and serves until `ending`, on a thread of its own: reviews wait for no turn of the controller, and waking
/// up a second thread costs more than an answer. The address in use, and a future that ends with the thread.
pub async fn serve(
    address: SocketAddr,
    certificate: Arc<Certificate>,
    desk: Arc<Desk>,
    ending: Ending,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()> + Send)> {
    let (listens, listening) = oneshot::channel();
    let (ends, ended) = oneshot::channel();
    std::thread::Builder::new().name("reviews".to_owned()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(listens.send(Err(error))),
        };
        runtime.block_on(async move {
            match serve_here(address, certificate, desk, ending).await {
                Ok((bound, serving)) => {
                    let _ = listens.send(Ok(bound));
                    serving.await;
                }
                Err(error) => drop(listens.send(Err(error))),
            }
        });
        let _ = ends.send(());
    })?;
    let bound = listening.await.map_err(std::io::Error::other)??;
    let whole = async move {
        if ended.await.is_err() {
            // As if it had been a task: a process without one of its parts ends.
            std::panic::resume_unwind(Box::new("the thread of reviews panicked"));
        }
    };
    Ok((bound, whole))
}

/// Binds `address`, and serves until `ending`; the address in use, and the task that has to be run.
async fn serve_here(
    address: SocketAddr,
    certificate: Arc<Certificate>,
    desk: Arc<Desk>,
    ending: Ending,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()> + Send)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let mut tls = ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificate);
    // API servers ask for nothing else but on loopback, and the many requests of an HTTP/2 connection are one more thing to bound.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let limits = desk.limits;
    let (room, stop) = (Semaphore::new(limits.bodies / PAGE), ending.stop.clone());
    let door = Door { tls: TlsAcceptor::from(Arc::new(tls)), limits, ending };
    Ok((bound, door.open(listener, Clerk(Arc::new(Seat { desk, room, began: now(), stop })))))
}

impl Answers for Clerk {
    async fn answer(&self, request: HttpRequest<Incoming>, activity: Arc<Activity>) -> Response {
        let Seat { desk, room, .. } = &*self.0;
        let began = now();
        let _asking = activity.begins(millis(began - self.0.began));
        let path = request.uri().path();
        let probed = request.method() == Method::GET && path == "/healthz";
        let known = desk.admission.paths().iter().copied().find(|at| *at == path);
        let _in_flight = known.map(|path| desk.metrics.review_begins(path));
        let mut response = match known {
            _ if probed => (StatusCode::OK, "ok\n").into_response(),
            Some(path) => reply(desk, room, path, request).await,
            None => {
                (StatusCode::NOT_FOUND, format!("no webhook is served at {path}\n")).into_response()
            }
        };
        // Whoever asks while this replica is about to end asks another one next time, instead of meeting a connection that
        // closes.
        if self.0.stop.is_cancelled() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if probed {
            return response;
        }
        // A path that nobody registered is no label: anybody could make up many.
        let label = known.unwrap_or("unknown");
        desk.metrics.review(label, response.status().as_u16(), now() - began);
        response
    }
}

async fn reply(
    desk: &Desk,
    room: &Semaphore,
    path: &str,
    request: HttpRequest<Incoming>,
) -> Response {
    let refuse = |status: StatusCode, text: String| (status, text).into_response();
    if request.method() != Method::POST {
        let text = "reviews are POSTed\n".to_owned();
        return refuse(StatusCode::METHOD_NOT_ALLOWED, text);
    }
    if !desk.ready.load(Ordering::Acquire) || desk.health.is_deaf() {
        let text = "the caches of this replica are not complete, or out of date\n".to_owned();
        return refuse(StatusCode::SERVICE_UNAVAILABLE, text);
    }
    // The room is held until the review is answered: what is made of a body is larger than it.
    let (body, _held) = match read(Body::new(request.into_body()), (room, desk.limits.bodies)).await
    {
        Ok(read) => read,
        Err(Unread::TooMuch) => {
            let text = "too much is asked at a time\n".to_owned();
            return refuse(StatusCode::SERVICE_UNAVAILABLE, text);
        }
        Err(Unread::TooLong) => {
            let text = format!(
                "the body is longer than {BODY} bytes, or too complex, or did not arrive\n"
            );
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, text);
        }
    };
    let review = match review::decode(&body) {
        Ok(review) => review,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let Some(answer) = settled(desk, path, &review.request).await else {
        return refuse(StatusCode::NOT_FOUND, format!("no webhook is served at {path}\n"));
    };
    desk.metrics.outcome(path, answer.outcome());
    let asked = &review.request;
    if !answer.is_allowed() {
        tracing::info!(path, namespace = asked.namespace, name = asked.name, verdict = ?answer.verdict, "denied");
    }
    match review::encode(&review, &answer) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// Why a body was not read.
enum Unread {
    /// Or it did not come in time.
    TooLong,
    /// There is no room beside those of other requests.
    TooMuch,
}

/// Bytes of memory that a piece of a body takes, with what is made of it: an object of one member is some hundred bytes, an item
/// of a list dozens, whatever they are on the wire.
fn price(piece: &[u8]) -> usize {
    const OBJECT: usize = 640;
    const ITEM: usize = 64;
    2 * piece.len() + OBJECT * occurrences(piece, b'{') + ITEM * occurrences(piece, b',')
}

/// How often a byte occurs. Counted in bytes first: so many at once fit into a register.
fn occurrences(piece: &[u8], wanted: u8) -> usize {
    let count = |some: &[u8]| some.iter().map(|byte| u8::from(*byte == wanted)).sum::<u8>();
    piece.chunks(usize::from(u8::MAX)).map(|some| usize::from(count(some))).sum()
}

/// A body, and the room that it takes: as much as has arrived, not as much as is said to come; at most `limit`.
async fn read(
    body: Body,
    (room, limit): (&Semaphore, usize),
) -> Result<(Vec<u8>, Option<SemaphorePermit<'_>>), Unread> {
    let deadline = now() + PATIENCE;
    let (mut bytes, mut cost) = (Vec::new(), 0);
    let mut held: Option<SemaphorePermit<'_>> = None;
    let mut frames = body.into_data_stream();
    loop {
        let next = timeout_at(deadline, frames.next()).await.map_err(|_| Unread::TooLong)?;
        let Some(frame) = next else { return Ok((bytes, held)) };
        let frame = frame.map_err(|_| Unread::TooLong)?;
        if bytes.len() + frame.len() > BODY {
            return Err(Unread::TooLong);
        }
        bytes.extend_from_slice(&frame);
        cost += price(&frame);
        if cost > limit {
            return Err(Unread::TooLong);
        }
        let has = held.as_ref().map_or(0, SemaphorePermit::num_permits);
        let more = (cost / PAGE + 1).saturating_sub(has);
        if let Some(more) = u32::try_from(more).ok().filter(|more| *more > 0) {
            let more = timeout(ROOM, room.acquire_many(more)).await;
            let more = more.map_err(|_| Unread::TooMuch)?.map_err(|_| Unread::TooMuch)?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
        }
    }
}

/// The answer; one for lack of what is about to arrive is thought over for a while.
async fn settled(desk: &Desk, path: &str, request: &Request) -> Option<Answer> {
    let began = now();
    let mut told = false;
    let mut again = AGAIN.0;
    loop {
        let answer = desk.admission.answer(path, request)?;
        if !answer.transient || now() - began >= desk.lag {
            return Some(answer);
        }
        // What it waits for may be a hook; the registrar tries again by itself.
        if !told {
            desk.changed.notify_one();
            told = true;
        }
        let _ = timeout(again, std::future::pending::<()>()).await;
        again = (again * 2).min(AGAIN.1);
    }
}

#[expect(clippy::disallowed_methods, reason = "measures reviews and the end of the process")]
fn now() -> Instant {
    Instant::now()
}
