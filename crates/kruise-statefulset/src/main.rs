//! The `kruise-statefulset` binary.

use std::sync::Arc;

use clap::Parser;
use kruise_common::claim::WireClaim;
use kruise_common::pod::WirePod;
use kruise_common::reconciler::Reconciler;
use kruise_common::revision::WireRevision;
use kruise_common::runtime::process::Process;
use kruise_statefulset::args::Args;
use kruise_statefulset::controller::StatefulSetController;
use kruise_statefulset::object::WireSet;
use kruise_statefulset::observe::Caches;
use kruise_statefulset::watch;
use kruise_statefulset::webhook::Webhook;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let gates = args.runtime.feature_gates;
    let name = "kruise-statefulset";
    let mut process = Process::new(args.runtime, name, StatefulSetController::NAME).await?;
    let caches = Caches {
        sets: process.watch::<WireSet>(watch::set),
        pods: process.watch::<WirePod>(watch::pod),
        claims: process.watch::<WireClaim>(watch::claim),
        revisions: process.watch::<WireRevision>(watch::revision),
    };
    let sets = caches.sets.clone();
    process.answer_reviews(Arc::new(Webhook { gates, sets: sets.clone() }));
    process.run(StatefulSetController { caches, gates }, move || sets.keys()).await?;
    Ok(())
}
