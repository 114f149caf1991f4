//! Connections of the webhook server: how many there are at a time, and when one ends.
//!
//! Whoever reaches the port may connect, and the API server has no certificate by which it could be told from others. So
//! nobody gets more than is set aside for all: the process also leads a controller. API servers speak HTTP/1.1 to webhooks, with
//! a connection for each review at a time, and end those that they have not used for 90 seconds. One that is closed on
//! them just when they ask is a failed admission: nothing is closed earlier than that if it can be helped.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Ending, now};

/// What is read at once: the largest record of TLS.
const RECORD: usize = 18 << 10;
/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may take for the head of a request, and be silent before it.
const HEAD: Duration = Duration::from_mins(2);
/// How long a new connection waits for another one to end.
const ROOM: Duration = Duration::from_secs(1);
/// How long to leave the listener alone after it failed.
const MOMENT: Duration = Duration::from_millis(100);
/// How long open connections are drained after the listener is closed.
const DRAIN: Duration = Duration::from_secs(5);

/// What clients can take of the process at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections. For a further one that is ended on which nothing was asked for the longest time.
    pub connections: usize,
    /// Bytes that bodies and what is made of them take at a time, of all requests together.
    pub bodies: usize,
    /// After how long without a request a connection is ended.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 2048, bodies: 192 << 20, idle: Duration::from_mins(3) }
    }
}

/// What is asked on one connection.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Requests so far.
    asked: AtomicU64,
    /// Requests under way.
    busy: AtomicUsize,
    /// When the last request began, or the connection, in milliseconds since the server did.
    last: AtomicU64,
    /// It has to end.
    leave: CancellationToken,
}

/// A request under way.
pub(super) struct Asking<'a>(&'a Activity);

impl Activity {
    /// A request begins, so many milliseconds after the server did.
    pub fn begins(&self, clock: u64) -> Asking<'_> {
        self.last.store(clock, Ordering::Relaxed);
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.busy.fetch_add(1, Ordering::Relaxed);
        Asking(self)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All connections.
#[derive(Debug)]
struct Guests {
    open: Mutex<BTreeMap<u64, Arc<Activity>>>,
    slots: Semaphore,
}

impl Guests {
    fn enter(&self, id: u64, activity: Arc<Activity>) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, activity);
    }

    fn leave(&self, id: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Ends the connection on which nothing was asked for the longest time.
    fn make_room(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = open
            .values()
            .filter(|it| it.busy.load(Ordering::Relaxed) == 0 && !it.leave.is_cancelled());
        if let Some(idlest) = idle.min_by_key(|it| it.last.load(Ordering::Relaxed)) {
            idlest.leave.cancel();
        }
    }
}

/// Who answers.
pub(super) trait Answers: Clone + Send + Sync + 'static {
    /// The answer to a request, on a connection on which so much is asked.
    fn answer(
        &self,
        request: Request<Incoming>,
        activity: Arc<Activity>,
    ) -> impl Future<Output = Response> + Send;
}

/// Lets connections in.
pub(super) struct Door {
    pub tls: TlsAcceptor,
    pub limits: Limits,
    pub ending: Ending,
}

impl Door {
    /// Serves until the end: each request is answered with what is asked on its connection.
    pub async fn open<A: Answers>(self, listener: TcpListener, answers: A) {
        let all = self.limits.connections;
        let guests = Arc::new(Guests { open: Mutex::default(), slots: Semaphore::new(all) });
        let closing = CancellationToken::new();
        let ending = self.ending.clone();
        let end = async move {
            ending.stop.cancelled().await;
            let _ = timeout(ending.lame_duck, std::future::pending::<()>()).await;
        };
        let mut end = pin!(end);
        let began = now();
        for id in 0.. {
            let stream = tokio::select! {
                () = &mut end => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    // Out of descriptors, or the client went away: a moment later the next one may be served.
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        let _ = timeout(MOMENT, std::future::pending::<()>()).await;
                        continue;
                    }
                },
            };
            if guests.slots.available_permits() == 0 {
                guests.make_room();
            }
            let activity: Arc<Activity> = Arc::default();
            activity.last.store(millis(now() - began), Ordering::Relaxed);
            let (idle, closing) = (self.limits.idle, closing.clone());
            let visit = Visit { answers: answers.clone(), activity, idle, closing };
            tokio::spawn(let_in(guests.clone(), id, (stream, self.tls.clone()), visit));
        }
        drop(listener);
        closing.cancel();
        let all = u32::try_from(all).unwrap_or(u32::MAX);
        if timeout(DRAIN, guests.slots.acquire_many(all)).await.is_err() {
            tracing::warn!("some webhook connections did not end in time");
        }
    }
}

/// Serves a connection once there is room for it.
async fn let_in<A: Answers>(
    guests: Arc<Guests>,
    id: u64,
    (stream, tls): (TcpStream, TlsAcceptor),
    visit: Visit<A>,
) {
    let Ok(Ok(_slot)) = timeout(ROOM, guests.slots.acquire()).await else {
        tracing::warn!("too many webhook connections");
        return;
    };
    guests.enter(id, visit.activity.clone());
    let closing = visit.closing.clone();
    // One that asks nothing yet holds up no shutdown.
    let accepted = closing.run_until_cancelled(visit.accept(stream, tls)).await.flatten();
    if let Some(stream) = accepted {
        visit.serve(stream).await;
    }
    guests.leave(id);
}

type Stream = tokio_rustls::server::TlsStream<BufReader<TcpStream>>;

/// One connection.
struct Visit<A> {
    answers: A,
    activity: Arc<Activity>,
    idle: Duration,
    closing: CancellationToken,
}

impl<A: Answers> Visit<A> {
    async fn accept(&self, stream: TcpStream, tls: TlsAcceptor) -> Option<Stream> {
        // The requests are small and waited for.
        let _ = stream.set_nodelay(true);
        // The TLS library asks for 4 KiB at a time, which is less than most reviews: one call to the kernel instead of
        // several.
        let stream = BufReader::with_capacity(RECORD, stream);
        let accepted = timeout(HANDSHAKE, tls.accept(stream)).await;
        let accepted = accepted.ok().and_then(Result::ok);
        if accepted.is_none() {
            tracing::debug!("a TLS handshake failed");
        }
        accepted
    }

    async fn serve(self, stream: Stream) {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
        let service = service_fn(|request| {
            let (answers, activity) = (self.answers.clone(), self.activity.clone());
            async move { Ok::<_, Infallible>(answers.answer(request, activity).await) }
        });
        let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let (mut seen, mut ends) = (0, false);
        loop {
            tokio::select! {
                // What has arrived is answered before anything ends.
                biased;
                done = serving.as_mut() => {
                    if let Err(error) = done {
                        tracing::debug!(%error, "a webhook connection broke");
                    }
                    return;
                }
                () = self.closing.cancelled(), if !ends => {}
                () = self.activity.leave.cancelled(), if !ends => {}
                _ = timeout(self.idle, std::future::pending::<()>()) => {
                    let asked = self.activity.asked.load(Ordering::Relaxed);
                    if asked != std::mem::replace(&mut seen, asked) {
                        continue;
                    }
                    if ends {
                        return;
                    }
                }
            }
            ends = true;
            serving.as_mut().graceful_shutdown();
        }
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
