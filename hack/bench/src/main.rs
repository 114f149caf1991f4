//! The `bench` binary; `hack/bench/run` calls it.

use std::io::Write;

use anyhow::bail;
use bench::options::Options;
use bench::{session, table};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    // Somebody else may have installed one in this process; either is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Whatever is dropped here ends the processes that it started.
    let outcome = tokio::select! {
        outcome = session::run(options) => outcome?,
        _ = term.recv() => bail!("terminated"),
        _ = interrupt.recv() => bail!("interrupted"),
    };
    let mut out = std::io::stdout().lock();
    write!(out, "{}", table::render(&outcome.records, &outcome.rates))?;
    if outcome.failures > 0 {
        bail!("{} of the samples failed, see above", outcome.failures);
    }
    Ok(())
}
