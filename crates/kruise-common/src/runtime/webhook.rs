//! The HTTPS server that answers admission reviews, on every replica, leader or not.
//!
//! # Guarantees
//! The certificate is looked up for every connection, so a new one is in use at once and open connections live on.
//! A body, a handshake and an idle connection are bounded. Before the caches are complete every review is answered
//! with 503: an answer out of half a cache would be wrong, and `failurePolicy` says what to do without one. On shutdown
//! new connections are taken until the endpoints have had time to leave, then those that are open are drained.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Method, Request as HttpRequest, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use crate::admission::{Admission, Answer, Request, review};

/// Largest body: the API server takes objects of up to 3 MiB, and sends old and new.
const BODY: usize = 8 << 20;
/// What is read at once: the largest record of TLS.
const RECORD: usize = 18 << 10;
/// How long a client may take for its handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// After how long an answer that waits for what is about to arrive is thought over again: each time after twice as long.
const AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));
/// How long to leave the listener alone after it failed.
const MOMENT: Duration = Duration::from_millis(100);
/// How long open connections are drained after the listener is closed.
const DRAIN: Duration = Duration::from_secs(5);

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
    /// What is counted.
    pub metrics: Metrics,
    /// Told when the hooks may have changed.
    pub changed: Arc<Notify>,
    /// How long an answer may wait for what is about to arrive: caches lag, and registration takes a moment.
    pub lag: Duration,
}

/// How long to go on after the signal to stop.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The signal.
    pub stop: CancellationToken,
    /// For how long new connections are still taken.
    pub lame_duck: Duration,
}

/// Binds `address`, and serves until `ending`; the address in use, and the task that has to be run.
pub async fn serve(
    address: SocketAddr,
    certificate: Arc<Certificate>,
    desk: Arc<Desk>,
    ending: Ending,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()> + Send)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let mut tls = ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificate);
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let router = Router::new().fallback(answer).with_state(desk);
    Ok((bound, accept(listener, TlsAcceptor::from(Arc::new(tls)), router, ending)))
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, router: Router, ending: Ending) {
    let open = GracefulShutdown::new();
    let end = async {
        ending.stop.cancelled().await;
        let mut duck = tokio::time::interval_at(now() + ending.lame_duck, DRAIN);
        duck.tick().await;
    };
    tokio::pin!(end);
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
        tokio::spawn(connection(stream, tls.clone(), router.clone(), open.watcher()));
    }
    drop(listener);
    if timeout(DRAIN, open.shutdown()).await.is_err() {
        tracing::warn!("some webhook connections did not end in time");
    }
}

async fn connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // The requests are small and waited for.
    let _ = stream.set_nodelay(true);
    // The TLS library asks for 4 KiB at a time, which is less than most reviews: one call to the kernel instead of several.
    let stream = BufReader::with_capacity(RECORD, stream);
    let Ok(Ok(stream)) = timeout(PATIENCE, tls.accept(stream)).await else {
        tracing::debug!("a TLS handshake failed");
        return;
    };
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_mins(2));
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30));
    let service = TowerToHyperService::new(router);
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(serving).await {
        tracing::debug!(%error, "a webhook connection broke");
    }
}

async fn answer(State(desk): State<Arc<Desk>>, request: HttpRequest<Body>) -> Response {
    let path = request.uri().path().to_owned();
    if request.method() == Method::GET && path == "/healthz" {
        return (StatusCode::OK, "ok\n").into_response();
    }
    let began = now();
    let known = desk.admission.paths().iter().copied().find(|at| *at == path);
    let _in_flight = known.map(|path| desk.metrics.review_begins(path));
    let response = reply(&desk, &path, request).await;
    // A path that nobody registered is no label: anybody could make up many.
    let label = known.unwrap_or("unknown");
    desk.metrics.review(label, response.status().as_u16(), now() - began);
    response
}

async fn reply(desk: &Desk, path: &str, request: HttpRequest<Body>) -> Response {
    let refuse = |status: StatusCode, text: String| (status, text).into_response();
    if request.method() != Method::POST {
        let text = "reviews are POSTed\n".to_owned();
        return refuse(StatusCode::METHOD_NOT_ALLOWED, text);
    }
    if !desk.ready.load(Ordering::Acquire) {
        let text = "the caches of this replica are not complete\n".to_owned();
        return refuse(StatusCode::SERVICE_UNAVAILABLE, text);
    }
    let Ok(Ok(body)) = timeout(PATIENCE, to_bytes(request.into_body(), BODY)).await else {
        let text = format!("the body is longer than {BODY} bytes, or did not arrive\n");
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, text);
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
