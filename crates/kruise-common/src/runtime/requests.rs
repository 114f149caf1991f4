//! Counts the requests of a client, by the name that dashboards know from client-go (platform §7.2).

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use prometheus::{IntCounterVec, Opts};
use tower::{Layer, Service};

/// `rest_client_requests_total` of one API server.
#[derive(Clone, Debug)]
pub struct Requests {
    counter: IntCounterVec,
    host: String,
}

/// A new family; each API server is a value of its label `host`.
pub fn family() -> Result<IntCounterVec, prometheus::Error> {
    let options = Opts::new(
        "rest_client_requests_total",
        "Requests sent, by HTTP status (<error> without an answer), method and API server.",
    );
    IntCounterVec::new(options, &["code", "method", "host"])
}

impl Requests {
    /// Counts into `counter` what is asked of `host`.
    pub fn new(counter: IntCounterVec, host: String) -> Self {
        Self { counter, host }
    }
}

impl<S> Layer<S> for Requests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, requests: self.clone() }
    }
}

/// A service whose requests are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    requests: Requests,
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Requests { counter, host } = self.requests.clone();
        let method = request.method().clone();
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await;
            let code = answer.as_ref().map(Response::status);
            let code = code.as_ref().map_or("<error>", |code| code.as_str());
            counter.with_label_values(&[code, method.as_str(), &host]).inc();
            answer
        }
        .boxed()
    }
}
