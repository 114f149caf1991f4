//! The webhook server over a real TLS connection: what it refuses, and what it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::admission::registration::Hook;
use crate::admission::{Admission, Answer, Request};
use crate::runtime::certs;
use crate::runtime::metrics::Metrics;
use crate::runtime::webhook::{Certificate, Desk, Ending, Limits, serve};

/// Refuses everything; what it does not know yet it knows when it is asked the third time.
#[derive(Default)]
struct Stern(AtomicUsize);

impl Admission for Stern {
    fn paths(&self) -> &'static [&'static str] {
        &["/judge", "/late", "/never"]
    }

    fn hooks(&self) -> Vec<Hook> {
        Vec::new()
    }

    fn answer(&self, path: &str, _: &Request) -> Option<Answer> {
        let unknown = || Answer::forbidden("not yet").for_now();
        match path {
            "/judge" => Some(Answer::forbidden("not today")),
            "/late" if self.0.fetch_add(1, Ordering::SeqCst) >= 2 => Some(Answer::allowed()),
            "/late" | "/never" => Some(unknown()),
            _ => None,
        }
    }
}

struct Server {
    address: String,
    ca: String,
    desk: Arc<Desk>,
    stop: CancellationToken,
}

async fn server() -> Server {
    server_with(Limits::default()).await
}

async fn server_with(limits: Limits) -> Server {
    server_that(limits, Duration::ZERO).await
}

/// For so long after the end is asked for it takes new connections.
async fn server_that(limits: Limits, lame_duck: Duration) -> Server {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
    let life = SignedDuration::from_hours(24 * 365 * 50);
    let made = certs::make("t", &["127.0.0.1".to_owned()], life, now).unwrap();
    let usable = certs::read(made.cert.as_bytes(), made.key.as_bytes(), None, "127.0.0.1").unwrap();
    let certificate: Arc<Certificate> = Arc::default();
    certificate.set(usable.key);
    let metrics = Metrics::new("t").unwrap();
    let desk = Arc::new(Desk {
        admission: Arc::<Stern>::default(),
        ready: AtomicBool::new(true),
        health: Arc::default(),
        metrics,
        changed: Arc::default(),
        lag: Duration::from_millis(500),
        limits,
    });
    let stop = CancellationToken::new();
    let ending = Ending { stop: stop.clone(), lame_duck };
    let address = "127.0.0.1:0".parse().unwrap();
    let (address, serving) = serve(address, certificate, desk.clone(), ending).await.unwrap();
    tokio::spawn(serving);
    Server { address: address.to_string(), ca: made.ca, desk, stop }
}

impl Server {
    /// A connection after its handshake, if it gets so far.
    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = TcpStream::connect(&self.address).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Status line and body of the reply to a request.
    async fn ask(&self, head: &str, body: &[u8]) -> (u16, String) {
        let mut stream = self.connect().await.unwrap();
        let length = body.len();
        let head = format!(
            "{head} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // A body that is too long is not read to its end.
        let _ = stream.write_all(body).await;
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        let reply = String::from_utf8(reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

fn review() -> Vec<u8> {
    let request = json!({ "uid": "u-1", "operation": "DELETE" });
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request })
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn reviews_are_answered_and_everything_else_is_refused_with_a_reason() {
    let server = server().await;
    let (code, body) = server.ask("POST /judge", &review()).await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &body["response"]["allowed"]), (200, &json!(false)));
    assert_eq!(body["response"]["status"]["message"], "not today");
    assert_eq!(server.ask("GET /healthz", b"").await, (200, "ok\n".to_owned()));
    assert_eq!(server.ask("GET /judge", b"").await, (405, "reviews are POSTed\n".to_owned()));
    let (code, text) = server.ask("POST /elsewhere", &review()).await;
    assert_eq!((code, text.as_str()), (404, "no webhook is served at /elsewhere\n"));
    let (code, text) = server.ask("POST /judge", b"{").await;
    assert_eq!(code, 400);
    assert!(text.starts_with("the body is not an AdmissionReview"), "{text}");
    let text = server.desk.metrics.render().unwrap();
    let counted = r#"controller_runtime_webhook_requests_total{code="404",webhook="unknown"} 1"#;
    assert!(text.contains(counted), "a path that anybody makes up is no label: {text}");
}

#[tokio::test]
async fn what_is_about_to_arrive_is_waited_for_but_not_for_ever() {
    let server = server().await;
    let allowed = async |path: &str| {
        let (code, body) = server.ask(&format!("POST {path}"), &review()).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        (code, body["response"]["allowed"] == true)
    };
    assert_eq!((allowed("/late").await, allowed("/never").await), ((200, true), (200, false)));
}

#[tokio::test]
async fn a_body_is_bounded() {
    let server = server().await;
    let (code, text) = server.ask("POST /judge", &vec![b' '; (8 << 20) + 1]).await;
    assert_eq!(code, 413);
    assert!(text.contains("longer than 8388608 bytes"), "{text}");
}

#[tokio::test]
async fn half_a_cache_answers_nothing() {
    let server = server().await;
    server.desk.ready.store(false, Ordering::Release);
    let (code, text) = server.ask("POST /judge", &review()).await;
    let problem = "the caches of this replica are not complete, or out of date\n";
    assert_eq!((code, text.as_str()), (503, problem));
    server.desk.ready.store(true, Ordering::Release);
    server.desk.health.set_deaf(true);
    assert_eq!(server.ask("POST /judge", &review()).await, (503, problem.to_owned()));
}

#[tokio::test]
async fn after_the_end_nobody_is_served() {
    let server = server().await;
    server.stop.cancel();
    let refused = async {
        while TcpStream::connect(&server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), refused).await.unwrap();
}

/// Whoever reaches the port could hold connections for ever: those give way that ask nothing.
#[tokio::test]
async fn of_too_many_connections_those_end_on_which_nothing_is_asked() {
    let server = server_with(Limits { connections: 2, ..Limits::default() }).await;
    let mut silent = [server.connect().await.unwrap(), server.connect().await.unwrap()];
    silent[1].write_all(b"P").await.unwrap();
    for _ in 0..3 {
        assert_eq!(server.ask("POST /judge", &review()).await.0, 200);
    }
    // The end, with or without a word.
    assert!(!matches!(silent[0].read(&mut [0]).await, Ok(1)), "the one that is longest silent");
}

/// API servers keep connections: one that is used while a replica ends is given up before it closes.
#[tokio::test]
async fn who_asks_while_the_server_ends_is_told_to_come_no_more() {
    let server = server_that(Limits::default(), Duration::from_mins(1)).await;
    let mut stream = server.connect().await.unwrap();
    let ask = b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    server.stop.cancel();
    stream.write_all(ask).await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("HTTP/1.1 200") && rest.contains("connection: close"), "{rest}");
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_asked_any_more_is_ended() {
    let limits = Limits { idle: Duration::from_millis(100), ..Limits::default() };
    let server = server_with(limits).await;
    let mut stream = server.connect().await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut all)).await;
    assert!(read.is_ok(), "it is closed");
    assert!(String::from_utf8(all).unwrap().starts_with("HTTP/1.1 200"));
}

/// What is said to come takes nothing: one client could keep all others out without sending anything.
#[tokio::test]
async fn bodies_have_a_budget_together() {
    let server = server_with(Limits { bodies: 128 << 10, ..Limits::default() }).await;
    let head = "POST /judge HTTP/1.1\r\nHost: t\r\nContent-Length: 8000000\r\n\r\n";
    let mut slow = server.connect().await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    let large = vec![b' '; 60_000];
    assert_eq!(server.ask("POST /judge", &large).await.0, 400, "blanks are no review");
    slow.write_all(&large).await.unwrap();
    let full = (503, "too much is asked at a time\n".to_owned());
    // They may not have been read yet.
    let refused = async { while server.ask("POST /judge", &large).await != full {} };
    tokio::time::timeout(Duration::from_secs(30), refused).await.unwrap();
    assert_eq!(server.ask("POST /judge", &review()).await.0, 200, "a small one has room");
    drop(slow);
    let room = async { while server.ask("POST /judge", &large).await == full {} };
    tokio::time::timeout(Duration::from_secs(30), room).await.unwrap();
    // What counts is what is made of it: four bytes here are some hundred.
    let (status, text) = server.ask("POST /judge", "[{}],".repeat(1000).as_bytes()).await;
    assert_eq!((status, text.contains("too complex")), (413, true), "{text}");
}
