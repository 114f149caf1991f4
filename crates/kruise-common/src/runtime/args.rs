//! Flags every controller has. Names are those of OpenKruise's manager where it has such a flag.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::webhook_args::WebhookArgs;
use crate::gates::FeatureGates;

/// Flags of the shared runtime.
#[derive(Args, Clone, Debug)]
pub struct RuntimeArgs {
    /// Kubeconfig file; without it the KUBECONFIG variable, then ~/.kube/config, then the Pod's ServiceAccount.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,

    /// Only look at this namespace; empty means all.
    #[arg(long, default_value = "")]
    pub namespace: String,

    /// Where /metrics, /healthz and /readyz are served; port 0 takes a free one and logs it.
    #[arg(long, default_value = "0.0.0.0:8080", value_parser = parse_address)]
    pub metrics_addr: SocketAddr,

    /// Elect a leader, so that several replicas can run.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub enable_leader_election: bool,

    /// Namespace of the Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "kruise-system")]
    pub leader_election_namespace: String,

    /// Name of the Lease; empty means the name of the binary.
    #[arg(long, default_value = "")]
    pub leader_election_id: String,

    /// How long others wait for a silent leader.
    #[arg(long, default_value = "15s", value_parser = parse_duration)]
    pub leader_election_lease_duration: Duration,

    /// How long a leader tries to renew before it stops.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub leader_election_renew_deadline: Duration,

    /// Time between tries.
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    pub leader_election_retry_period: Duration,

    /// Lease of an OpenKruise manager (namespace/name): while somebody holds it, this controller stands by.
    #[arg(long, default_value = "kruise-system/kruise-manager")]
    pub openkruise_lease: String,

    /// Act even while an OpenKruise manager is alive. Both would write the same objects.
    #[arg(long)]
    pub allow_coexistence: bool,

    /// Feature gates: Name=true,Name=false; AllAlpha and AllBeta set a whole stage.
    #[arg(long, default_value = "")]
    pub feature_gates: FeatureGates,

    /// Objects reconciled at the same time.
    #[arg(long, default_value_t = 16)]
    pub workers: usize,

    /// Writes under way at the same time; halves when the API server asks for less.
    #[arg(long, default_value_t = 64)]
    pub max_writes_in_flight: u32,

    /// How long the API server may take to answer.
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    pub request_timeout: Duration,

    /// First delay before an object that failed is tried again.
    #[arg(long, default_value = "5ms", value_parser = parse_duration)]
    pub rate_limiter_base_delay: Duration,

    /// Longest delay before an object that failed is tried again.
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    pub rate_limiter_max_delay: Duration,

    /// Webhooks.
    #[command(flatten)]
    pub webhook: WebhookArgs,

    /// Log format.
    #[arg(long, value_enum, default_value = "text")]
    pub logging_format: LogFormat,

    /// Log filter, for example info or kruise_common=debug.
    #[arg(long, env = "KRUISE_LOG", default_value = "info")]
    pub log: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A duration as `15s`, `500ms`, `2m` or `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let error = || format!("{text:?} is not a duration such as 500ms, 15s, 2m or 1h");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| error())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "h" => Ok(Duration::from_secs(number.saturating_mul(3600))),
        _ => Err(error()),
    }
}

/// `HOST:PORT` or `:PORT`, as OpenKruise writes it.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    full.parse().map_err(|error| format!("{text:?} is not an address: {error}"))
}
