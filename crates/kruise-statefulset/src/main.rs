//! The `kruise-statefulset` binary.

use std::sync::Arc;

use clap::Parser;
use kruise_common::claim::WireClaim;
use kruise_common::kind::IMAGE_PULL_JOB;
use kruise_common::pod::WirePod;
use kruise_common::reconciler::Reconciler;
use kruise_common::revision::WireRevision;
use kruise_common::runtime::process::Process;
use kruise_common::storage_class::WireStorageClass;
use kruise_statefulset::args::Args;
use kruise_statefulset::controller::StatefulSetController;
use kruise_statefulset::object::WireSet;
use kruise_statefulset::observe::Caches;
use kruise_statefulset::pull_job::WirePullJob;
use kruise_statefulset::watch;
use kruise_statefulset::webhook::Webhook;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let gates = args.runtime.feature_gates;
    let name = "kruise-statefulset";
    let mut process = Process::new(args.runtime, name, StatefulSetController::NAME).await?;
    // A watch on a kind that is not served would never fill its cache, and keep the controller from starting.
    let pull_jobs = gates.predownload_image && process.serves(&IMAGE_PULL_JOB).await?;
    if gates.predownload_image && !pull_jobs {
        tracing::info!("ImagePullJob is not served: images are not pulled ahead");
    }
    let sets = process.watch::<WireSet>(watch::set);
    let all = sets.clone();
    let caches = Caches {
        sets: sets.clone(),
        pods: process.watch::<WirePod>(watch::pod),
        claims: process.watch::<WireClaim>(watch::claim),
        revisions: process.watch::<WireRevision>(watch::revision),
        classes: gates.resize_claims.then(|| {
            let concerned = move |change: &_| watch::class(change, || all.keys());
            process.watch_cluster::<WireStorageClass>(concerned)
        }),
        pull_jobs: pull_jobs.then(|| process.watch::<WirePullJob>(watch::pull_job)),
    };
    let classes = caches.classes.clone();
    process.answer_reviews(Arc::new(Webhook { gates, sets: caches.sets.clone(), classes }));
    process.run(StatefulSetController::new(caches, gates), move || sets.keys()).await?;
    Ok(())
}
