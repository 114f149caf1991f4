//! The `simnode` binary.

use clap::Parser;
use simnode::options::Options;
use simnode::simulation::Simulation;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    // Somebody else may have installed one in this process; either is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = kube::Config::infer().await?;
    config.default_retry = true;
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static("simnode")));
    let client = kube::Client::try_from(config)?;
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let simulation = Simulation::start(client.clone(), options.clone()).await?;
    tracing::warn!(nodes = options.nodes, "nodes are ready");
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    simulation.stop().await;
    if options.cleanup {
        simnode::node::remove(&client, &options).await?;
    }
    Ok(())
}
