#![expect(
    clippy::disallowed_methods,
    reason = "installs CRDs: a process of its own that writes and waits"
)]
#![expect(clippy::print_stdout, reason = "its output is its purpose")]
//! Prints the CRDs of this project or applies them, and says what that changes.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kruise_api::crd;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

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
            let api: Api<CustomResourceDefinition> = Api::all(client);
            let wanted = |crd: &&CustomResourceDefinition| {
                options.only.is_empty() || options.only.contains(&crd.spec.names.plural)
            };
            for crd in crds.iter().filter(wanted) {
                apply(&api, crd, &options).await?;
            }
            Ok(())
        }
    }
}

fn print(crds: &[CustomResourceDefinition], format: Format) -> anyhow::Result<()> {
    for crd in crds {
        match format {
            Format::Yaml => print!("---\n{}", serde_saphyr::to_string(crd)?),
            Format::Json => println!("{}", serde_json::to_string_pretty(crd)?),
        }
    }
    Ok(())
}

async fn apply(
    api: &Api<CustomResourceDefinition>,
    crd: &CustomResourceDefinition,
    &Apply { dry_run, take_over, .. }: &Apply,
) -> anyhow::Result<()> {
    let name = crd.name_any();
    let live = api.get_opt(&name).await.with_context(|| format!("cannot read CRD {name}"))?;
    match &live {
        None => println!("{name}: {}", if dry_run { "would be created" } else { "creating" }),
        Some(live) => {
            refuse_foreign(live, take_over)?;
            refuse_loss(live, crd)?;
        }
    }
    let mut applied = None;
    if live.as_ref().is_some_and(has_webhook) {
        println!("{name}: {} its conversion webhook", if dry_run { "would end" } else { "ending" });
        applied = Some(without_webhook(api, crd, dry_run).await?);
    }
    // A dry run cannot build upon a dry run: what has just been tried is the answer.
    let applied = if let Some(tried) = applied.filter(|_| dry_run) {
        tried
    } else {
        let mut params = PatchParams::apply(MANAGER).force();
        params.dry_run = dry_run;
        let body = Patch::Apply(crd);
        api.patch(&name, &params, &body).await.with_context(|| format!("cannot apply {name}"))?
    };
    if let Some(live) = live {
        // The server's own answer is compared, so what it fills in by itself is no change.
        let value = |crd: &CustomResourceDefinition| serde_json::to_value(crd);
        let changes = crd::diff::changes(&value(&live)?, &value(&applied)?);
        let verb = if dry_run { "would change" } else { "changed" };
        if changes.is_empty() {
            println!("{name}: unchanged");
        } else {
            println!("{name}: {verb} in {} places", changes.len());
            for change in changes {
                println!("  {change}");
            }
        }
    }
    if dry_run { Ok(()) } else { established(api, &name).await }
}

fn has_webhook(crd: &CustomResourceDefinition) -> bool {
    crd.spec.conversion.as_ref().is_some_and(|conversion| conversion.webhook.is_some())
}

/// Server-side apply never removes a member that somebody else set, and the server refuses a webhook beside the
/// strategy `None`: a merge patch with the whole spec takes it out (both versions have the same content).
async fn without_webhook(
    api: &Api<CustomResourceDefinition>,
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
    api.patch(&name, &params, &body)
        .await
        .with_context(|| format!("cannot end the conversion webhook of {name}"))
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

async fn established(api: &Api<CustomResourceDefinition>, name: &str) -> anyhow::Result<()> {
    let done = async {
        loop {
            let crd = api.get(name).await?;
            let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
            if conditions.iter().any(|c| c.type_ == "Established" && c.status == "True") {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), done)
        .await
        .with_context(|| format!("CRD {name} was not established within 30 s"))??;
    println!("{name}: established");
    Ok(())
}
