//! The `kruise-broadcastjob` binary.

use std::sync::Arc;

use clap::Parser;
use kruise_api::keys;
use kruise_broadcastjob::args::Args;
use kruise_broadcastjob::controller::BroadcastJobController;
use kruise_broadcastjob::job_pod::WireJobPod;
use kruise_broadcastjob::object::WireJob;
use kruise_broadcastjob::observe::Caches;
use kruise_broadcastjob::watch;
use kruise_broadcastjob::webhook::Webhook;
use kruise_common::node::WireNode;
use kruise_common::reconciler::Reconciler;
use kruise_common::runtime::process::Process;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let gates = args.runtime.feature_gates;
    let by_scheduler = args.assign_bcj_pods_by_scheduler;
    let name = keys::BROADCASTJOB_BINARY;
    let mut process = Process::new(args.runtime, name, BroadcastJobController::NAME).await?;
    let jobs = process.watch::<WireJob>(watch::job);
    let all = jobs.clone();
    let caches = Caches {
        // Every pod of a job has the label; those of others need no memory here.
        pods: process.watch_selected::<WireJobPod>(keys::BROADCASTJOB_UID, watch::pod),
        nodes: process.watch_cluster::<WireNode>(move |change| watch::node(change, &all)),
        jobs: jobs.clone(),
    };
    process.answer_reviews(Arc::new(Webhook { gates }));
    let controller = BroadcastJobController::new(caches, by_scheduler);
    process.run(controller, move || jobs.keys()).await?;
    Ok(())
}
