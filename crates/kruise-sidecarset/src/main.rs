//! The `kruise-sidecarset` binary.

use std::sync::{Arc, OnceLock};

use clap::Parser;
use jiff::Timestamp;
use kruise_api::keys;
use kruise_common::kind::{CONTROLLER_REVISION, NAMESPACE, SIDECAR_SET};
use kruise_common::pod::{Pod, WirePod};
use kruise_common::reconciler::Reconciler;
use kruise_common::revision::WireRevision;
use kruise_common::runtime::process::Process;
use kruise_common::table::Table;
use kruise_sidecarset::announced::Announced;
use kruise_sidecarset::args::Args;
use kruise_sidecarset::configuration::WireConfiguration;
use kruise_sidecarset::controller::SidecarSetController;
use kruise_sidecarset::evicted::Evictions;
use kruise_sidecarset::namespace::WireNamespace;
use kruise_sidecarset::object::WireSet;
use kruise_sidecarset::observe::Caches;
use kruise_sidecarset::registration::Unasked;
use kruise_sidecarset::roster::Rosters;
use kruise_sidecarset::webhook::{self, Webhook};
use kruise_sidecarset::{history_home, watch};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let own = args.runtime.leader_election_namespace.clone();
    let service = args.runtime.webhook.service_namespace().unwrap_or_default().to_owned();
    let gates = args.runtime.feature_gates;
    let options = args.rollout.options();
    let name = keys::SIDECARSET_BINARY;
    let mut process = Process::new(args.runtime, name, SidecarSetController::NAME).await?;
    let revisions = match args.rollout.revision_namespace {
        given if !given.is_empty() => given,
        _ => history_home::find(process.client(), &own).await?,
    };
    // Which pods the API server asks about follows from the sets.
    process.hooks_depend_on(&SIDECAR_SET);
    for kind in [&SIDECAR_SET, &NAMESPACE, &CONTROLLER_REVISION] {
        process.answers_depend_on(kind);
    }
    // Pods are watched after the sets that they concern, and sets concern others by their pods.
    let of_sets: Arc<OnceLock<Arc<Table<Pod>>>> = Arc::default();
    let theirs = of_sets.clone();
    let sets = process.watch_cluster::<WireSet>(move |change| {
        watch::set(theirs.get().map(|pods| &**pods), change)
    });
    let opt_out = args.allow_pod_opt_out;
    let unasked = Unasked { own: own.clone(), service, all: !gates.pod_webhook, opt_out };
    let (known, left_out) = (sets.clone(), unasked.clone());
    let pods = process.watch::<WirePod>(move |change| watch::pod(&known, &left_out, change));
    of_sets.get_or_init(|| pods.clone());
    let (known, left_out, by_namespace) = (sets.clone(), unasked.clone(), pods.clone());
    let caches = Caches {
        sets: sets.clone(),
        namespaces: process.watch_cluster::<WireNamespace>(move |change| {
            watch::namespace(&known, (&by_namespace, &left_out), change)
        }),
        revisions: process.watch_in::<WireRevision>(&revisions, watch::revision),
        pods,
        revision_namespace: revisions.into(),
        rosters: Rosters::default(),
        evictions: Evictions::default(),
        library: Arc::default(),
        asked: Arc::default(),
        unasked,
    };
    let settings = (own.as_str(), keys::CONFIGURATION);
    let configurations = process.watch_one::<WireConfiguration>(settings, |_: &_| Vec::new());
    process.answer_reviews(Arc::new(Webhook {
        gates,
        caches: webhook::Caches {
            sets: sets.clone(),
            namespaces: caches.namespaces.clone(),
            revisions: caches.revisions.clone(),
            configurations,
        },
        own_namespace: own,
        unasked: caches.unasked.clone(),
        narrow: args.narrow_pod_webhook,
        native_updates: options.native_updates,
        strict: args.refuse_replaced_containers,
        library: caches.library.clone(),
        asked: caches.asked.clone(),
        announced: Announced::default(),
        now,
        lot: rand::random,
    }));
    process.run(SidecarSetController::new(caches, options), move || sets.keys()).await?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock of admission: versions of hot upgrades are times"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
