#![expect(
    clippy::disallowed_methods,
    reason = "installs CRDs: a process of its own that writes and waits"
)]
//! Prints the CRDs of this project or applies them, and says what that changes.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kruise_api::crd;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

/// How long a new CRD may take to be served.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);

/// Field manager of what is applied.
const MANAGER: &str = "kruise-crds";

#[derive(Parser)]
#[command(name = "kruise-crds", version, about = "The CRDs of kruise in Rust")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print all CRDs.
    Print {
        /// Form.
        #[arg(long, value_enum, default_value = "yaml")]
        format: Format,
    },
    /// Apply CRDs to the cluster of KUBECONFIG (server-side apply) and wait until they are established.
    Apply(Apply),
}

#[derive(clap::Args)]
struct Apply {
    /// Which, by their plurals (statefulsets); without any, all.
    #[arg(value_parser = plural)]
    only: Vec<String>,
    /// Only say what would change.
    #[arg(long)]
    dry_run: bool,
    /// Take over CRDs that belong to a Helm release of somebody else (OpenKruise's).
    #[arg(long)]
    take_over: bool,
    /// How long the API server may take to answer.
    #[arg(long, default_value = "30s", value_parser = duration)]
    request_timeout: Duration,
}

/// A duration as `30s` or `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("{text:?} is not a duration such as 500ms, 30s or 2m");
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| error())?;
    Duration::try_from(parsed).ok().filter(|duration| !duration.is_zero()).ok_or_else(error)
}

/// A plural of ours.
fn plural(text: &str) -> anyhow::Result<String> {
    let known: Vec<String> = crd::all()?.into_iter().map(|crd| crd.spec.names.plural).collect();
    if known.iter().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    bail!("no CRD of ours is called {text:?}; there are {}", known.join(", "))
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // Somebody else may have installed one in this process; either is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let crds = crd::all()?;
    match Args::parse().command {
        Command::Print { format } => print(&crds, format),
        Command::Apply(options) => {
            let client = Client::try_default().await.context("no cluster")?;
            let crds_of = Api::all(client);
            let api = Cluster { api: &crds_of, timeout: options.request_timeout };
            let wanted = |crd: &&CustomResourceDefinition| {
                options.only.is_empty() || options.only.contains(&crd.spec.names.plural)
            };
            for crd in crds.iter().filter(wanted) {
                apply(api, crd, &options).await?;
            }
            Ok(())
        }
    }
}

fn print(crds: &[CustomResourceDefinition], format: Format) -> anyhow::Result<()> {
    for crd in crds {
        let text = match format {
            Format::Yaml => format!("---\n{}", serde_saphyr::to_string(crd)?),
            Format::Json => format!("{}\n", serde_json::to_string_pretty(crd)?),
        };
        if !say(&text)? {
            break;
        }
    }
    Ok(())
}

/// Prints; says whether somebody still reads. Who does not, as `head` when it has enough, is no error.
fn say(text: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        other => other.map(|()| true),
    }
}

/// The CRDs of a cluster that must answer in time.
#[derive(Clone, Copy)]
struct Cluster<'a> {
    api: &'a Api<CustomResourceDefinition>,
    timeout: Duration,
}

impl Cluster<'_> {
    /// The answer, or what was tried and how long it was waited for.
    async fn ask<T>(
        self,
        what: impl FnOnce() -> String,
        answer: impl Future<Output = kube::Result<T>>,
    ) -> anyhow::Result<T> {
        if let Ok(answer) = tokio::time::timeout(self.timeout, answer).await {
            return answer.with_context(what);
        }
        bail!("{}: no answer from the API server within {:?}", what(), self.timeout)
    }
}

async fn apply(
    cluster: Cluster<'_>,
    crd: &CustomResourceDefinition,
    &Apply { dry_run, take_over, .. }: &Apply,
) -> anyhow::Result<()> {
    let name = crd.name_any();
    let read = || format!("cannot read CRD {name}");
    let live = cluster.ask(read, cluster.api.get_opt(&name)).await?;
    match &live {
        None => {
            let what = if dry_run { "would be created" } else { "creating" };
            say(&format!("{name}: {what}\n"))?;
        }
        Some(live) => {
            refuse_foreign(live, take_over)?;
            refuse_loss(live, crd)?;
        }
    }
    let mut applied = None;
    if live.as_ref().is_some_and(has_webhook) {
        let what = if dry_run { "would end" } else { "ending" };
        say(&format!("{name}: {what} its conversion webhook\n"))?;
        applied = Some(without_webhook(cluster, crd, dry_run).await?);
    }
    // A dry run cannot build upon a dry run: what has just been tried is the answer.
    let applied = if let Some(tried) = applied.filter(|_| dry_run) {
        tried
    } else {
        let mut params = PatchParams::apply(MANAGER).force();
        params.dry_run = dry_run;
        let body = Patch::Apply(crd);
        let sent = cluster.api.patch(&name, &params, &body);
        cluster.ask(|| format!("cannot apply {name}"), sent).await?
    };
    if let Some(live) = live {
        // The server's own answer is compared, so what it fills in by itself is no change.
        let value = |crd: &CustomResourceDefinition| serde_json::to_value(crd);
        let changes = crd::diff::changes(&value(&live)?, &value(&applied)?);
        let verb = if dry_run { "would change" } else { "changed" };
        if changes.is_empty() {
            say(&format!("{name}: unchanged\n"))?;
        } else {
            say(&format!("{name}: {verb} in {} places\n", changes.len()))?;
            for change in changes {
                say(&format!("  {change}\n"))?;
            }
        }
    }
    if dry_run { Ok(()) } else { established(cluster, &name).await }
}

fn has_webhook(crd: &CustomResourceDefinition) -> bool {
    crd.spec.conversion.as_ref().is_some_and(|conversion| conversion.webhook.is_some())
}

/// Server-side apply never removes a member that somebody else set, and the server refuses a webhook beside the
/// strategy `None`: a merge patch with the whole spec takes it out (both versions have the same content).
async fn without_webhook(
    cluster: Cluster<'_>,
    crd: &CustomResourceDefinition,
    dry_run: bool,
) -> anyhow::Result<CustomResourceDefinition> {
    let name = crd.name_any();
    let mut spec = serde_json::to_value(&crd.spec)?;
    if let Some(conversion) = spec.get_mut("conversion").and_then(Value::as_object_mut) {
        conversion.insert("webhook".to_owned(), Value::Null);
    }
    let mut params =
        PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    params.dry_run = dry_run;
    let body = Patch::Merge(json!({ "spec": spec }));
    let sent = cluster.api.patch(&name, &params, &body);
    cluster.ask(|| format!("cannot end the conversion webhook of {name}"), sent).await
}

/// A CRD that belongs to a Helm release would be deleted with it, and every object with the CRD.
fn refuse_foreign(live: &CustomResourceDefinition, take_over: bool) -> anyhow::Result<()> {
    let release = live.annotations().get("meta.helm.sh/release-name");
    if let Some(release) = release.filter(|_| !take_over) {
        bail!(
            "CRD {} belongs to the Helm release {release:?}: uninstalling that release would delete every object. \
             Detach it first (docs/migration.md), then use --take-over",
            live.name_any()
        );
    }
    Ok(())
}

/// Objects stored at a version that is not served any more could never be read again.
fn refuse_loss(
    live: &CustomResourceDefinition,
    wanted: &CustomResourceDefinition,
) -> anyhow::Result<()> {
    let stored = live.status.as_ref().and_then(|status| status.stored_versions.clone());
    for version in stored.unwrap_or_default() {
        if !wanted.spec.versions.iter().any(|known| known.name == version) {
            bail!(
                "CRD {} has objects stored as {version}, which this release does not know",
                live.name_any()
            );
        }
    }
    Ok(())
}

async fn established(cluster: Cluster<'_>, name: &str) -> anyhow::Result<()> {
    let done = async {
        loop {
            let read = || format!("cannot read CRD {name}");
            let crd = cluster.ask(read, cluster.api.get(name)).await?;
            let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
            if conditions.iter().any(|c| c.type_ == "Established" && c.status == "True") {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(ESTABLISHED_WITHIN, done).await.with_context(|| {
        format!("CRD {name} was not established within {ESTABLISHED_WITHIN:?}")
    })??;
    say(&format!("{name}: established\n"))?;
    Ok(())
}
