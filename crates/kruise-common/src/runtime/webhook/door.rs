//! Connections of the webhook server: how many there are at a time, and when one ends.
//!
//! Whoever reaches the port may connect, and the API server has no certificate by which it could be told from others. So
//! nobody gets more than is set aside for all: the process also leads a controller.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Ending;

/// What is read at once: the largest record of TLS.
const RECORD: usize = 18 << 10;
/// What all requests of one HTTP/2 connection may have sent before they are read.
const WINDOW: u32 = 256 << 10;
/// Requests of one HTTP/2 connection at a time.
const STREAMS: u32 = 100;
/// How long to leave the listener alone after it failed.
const MOMENT: Duration = Duration::from_millis(100);
/// How long open connections are drained after the listener is closed.
const DRAIN: Duration = Duration::from_secs(5);

/// What clients can take of the process at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; further ones are closed at once.
    pub connections: usize,
    /// Bytes of bodies that are held at a time, by all requests together.
    pub bodies: usize,
    /// How long a client may take for its handshake, and then for the first byte of a request.
    pub silence: Duration,
    /// After how long without a request a connection is ended.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            bodies: 64 << 20,
            silence: Duration::from_secs(10),
            idle: Duration::from_mins(10),
        }
    }
}

/// Lets connections in.
pub(super) struct Door {
    pub tls: TlsAcceptor,
    pub limits: Limits,
    pub ending: Ending,
}

impl Door {
    /// Serves until the end, each connection with the router that `routes` makes; it counts requests there.
    pub async fn open(
        self,
        listener: TcpListener,
        routes: impl Fn(Arc<AtomicU64>) -> Router + Send + 'static,
    ) {
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let closing = CancellationToken::new();
        let ending = self.ending.clone();
        let end = async move {
            ending.stop.cancelled().await;
            let _ = timeout(ending.lame_duck, std::future::pending::<()>()).await;
        };
        let mut end = pin!(end);
        loop {
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
            let Ok(slot) = slots.clone().try_acquire_owned() else {
                tracing::warn!(limit = self.limits.connections, "too many webhook connections");
                continue;
            };
            let asked: Arc<AtomicU64> = Arc::default();
            let visit = Visit {
                router: routes(asked.clone()),
                asked,
                limits: self.limits,
                closing: closing.clone(),
                _slot: slot,
            };
            tokio::spawn(visit.serve(stream, self.tls.clone()));
        }
        drop(listener);
        closing.cancel();
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        if timeout(DRAIN, slots.acquire_many(all)).await.is_err() {
            tracing::warn!("some webhook connections did not end in time");
        }
    }
}

/// One connection.
struct Visit {
    router: Router,
    /// Requests so far.
    asked: Arc<AtomicU64>,
    limits: Limits,
    closing: CancellationToken,
    _slot: OwnedSemaphorePermit,
}

impl Visit {
    async fn serve(self, stream: TcpStream, tls: TlsAcceptor) {
        let Limits { silence, idle, .. } = self.limits;
        // The requests are small and waited for.
        let _ = stream.set_nodelay(true);
        // The TLS library asks for 4 KiB at a time, which is less than most reviews: one call to the kernel instead of
        // several.
        let stream = BufReader::with_capacity(RECORD, stream);
        let Ok(Ok(stream)) = timeout(silence, tls.accept(stream)).await else {
            tracing::debug!("a TLS handshake failed");
            return;
        };
        // Which version of HTTP is spoken is read without a time-out of its own.
        let mut stream = BufReader::with_capacity(1, stream);
        if !matches!(timeout(silence, stream.fill_buf()).await, Ok(Ok(bytes)) if !bytes.is_empty())
        {
            tracing::debug!("a webhook connection was not used");
            return;
        }
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_mins(2));
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(30))
            .initial_connection_window_size(WINDOW)
            .initial_stream_window_size(WINDOW)
            .max_concurrent_streams(STREAMS);
        let service = TowerToHyperService::new(self.router);
        let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let (mut seen, mut ends) = (0, false);
        loop {
            tokio::select! {
                done = serving.as_mut() => {
                    if let Err(error) = done {
                        tracing::debug!(%error, "a webhook connection broke");
                    }
                    return;
                }
                () = self.closing.cancelled(), if !ends => {}
                _ = timeout(idle, std::future::pending::<()>()) => {
                    let asked = self.asked.load(Ordering::Relaxed);
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
