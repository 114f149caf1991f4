//! /metrics, /healthz and /readyz over plain HTTP.
//!
//! `/healthz` is tied to progress: it fails when objects wait for a turn and none has ended for a
//! while, so that a process that hangs is restarted. `/readyz` says whether the caches are complete;
//! a standby with complete caches is ready.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;

/// Without the end of a turn for this long, although objects wait, the process counts as hung.
const HUNG: Duration = Duration::from_mins(2);

/// What the probes look at.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    /// Milliseconds from `started` to the end of the last turn or the last moment without work.
    progress: AtomicU64,
    ready: AtomicBool,
    deaf: AtomicBool,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: now(),
            progress: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
        }
    }
}

impl Health {
    /// A turn ended, or there was nothing to do.
    pub fn progressed(&self) {
        let since = u64::try_from((now() - self.started).as_millis()).unwrap_or(u64::MAX);
        self.progress.store(since, Ordering::Relaxed);
    }

    /// Caches are complete, or not (any more).
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Some watch has been broken for long, or none is any more.
    pub fn set_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::Relaxed);
    }

    /// Whether some watch has been broken for long: caches are complete, but of another time.
    pub fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    /// Whether caches were complete once.
    pub fn is_filled(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Whether caches are complete, and not out of date.
    pub fn is_ready(&self) -> bool {
        self.is_filled() && !self.is_deaf()
    }

    fn stalled_for(&self) -> Duration {
        let progress = Duration::from_millis(self.progress.load(Ordering::Relaxed));
        (now() - self.started).saturating_sub(progress)
    }
}

#[derive(Clone)]
struct Admin {
    metrics: Metrics,
    health: Arc<Health>,
}

/// Serves until `stop`; returns the address in use at once.
pub async fn serve(
    address: SocketAddr,
    metrics: Metrics,
    health: Arc<Health>,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let router = Router::new()
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Admin { metrics, health });
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "admin server ended");
        }
    });
    Ok(bound)
}

async fn metrics_text(State(admin): State<Admin>) -> Result<String, (StatusCode, String)> {
    admin.metrics.render().map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

async fn healthz(State(admin): State<Admin>) -> (StatusCode, String) {
    let stalled = admin.health.stalled_for();
    if stalled > HUNG {
        let text = format!("no turn has ended for {} s although objects wait\n", stalled.as_secs());
        return (StatusCode::SERVICE_UNAVAILABLE, text);
    }
    (StatusCode::OK, "ok\n".to_owned())
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.health.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "caches are not complete\n")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures progress; nothing is decided about objects"
)]
fn now() -> Instant {
    Instant::now()
}
