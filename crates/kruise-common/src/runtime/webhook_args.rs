//! Flags of the webhook server, its certificate and its registration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::args::{parse_address, parse_duration};
use crate::admission::registration::{Endpoint, FailurePolicy};

/// Flags of admission. Without `--webhook-service` and `--webhook-url` no webhook is served.
#[derive(Args, Clone, Debug)]
pub struct WebhookArgs {
    /// Where admission reviews are answered (HTTPS); port 0 takes a free one and logs it.
    #[arg(long, default_value = "0.0.0.0:9876", value_parser = parse_address)]
    pub webhook_addr: SocketAddr,

    /// Serve webhooks, and register them through this Service (namespace/name or namespace/name:port).
    #[arg(long, value_parser = Endpoint::service, conflicts_with = "webhook_url")]
    pub webhook_service: Option<Endpoint>,

    /// Serve webhooks, and register them by this URL (https://HOST:PORT): for a controller outside the cluster.
    #[arg(long, value_parser = Endpoint::url)]
    pub webhook_url: Option<Endpoint>,

    /// Write the webhook configurations; false leaves them to somebody else, such as a chart with cert-manager.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub webhook_register: bool,

    /// Directory with tls.crt, tls.key and ca.crt to use instead of certificates of our own; read again when it changes.
    #[arg(long)]
    pub webhook_cert_dir: Option<PathBuf>,

    /// Secret for certificates of our own, in the namespace of the Lease; empty means NAME-webhook-certs.
    #[arg(long, default_value = "")]
    pub webhook_cert_secret: String,

    /// Life of certificates of our own; they are renewed after two thirds of it.
    #[arg(long, default_value = "2160h", value_parser = parse_duration)]
    pub webhook_cert_validity: Duration,

    /// What happens to requests while no replica answers: Fail or Ignore.
    #[arg(long, default_value_t = FailurePolicy::Fail)]
    pub webhook_failure_policy: FailurePolicy,

    /// How long the API server waits for an answer; 1s to 10s.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub webhook_timeout: Duration,

    /// How long new connections are taken after SIGTERM, while the endpoints of a Service leave.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub webhook_drain: Duration,
}

impl WebhookArgs {
    /// How the API server reaches us; `None` if no webhook is wanted.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.webhook_service.as_ref().or(self.webhook_url.as_ref())
    }

    /// Namespace of the Service, which is that of the pods that answer; `None` without one.
    pub fn service_namespace(&self) -> Option<&str> {
        match self.webhook_service.as_ref()? {
            Endpoint::Service { namespace, .. } => Some(namespace),
            Endpoint::Url(_) => None,
        }
    }
}
