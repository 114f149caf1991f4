#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! The binary against a real API server: `hack/test api` brings the cluster, simulated nodes and CRDs.
//!
//! Sets are cluster-scoped, so there is one controller for all. Every scenario has its own namespace, sets and labels.

#[allow(dead_code, reason = "the builders of the simulated cluster; not all are needed here")]
#[path = "simulated/builders.rs"]
mod builders;
#[path = "api/harness.rs"]
mod harness;
#[path = "api/scenarios.rs"]
mod scenarios;

use harness::{Space, controller as start, settled};

macro_rules! scenarios {
    ($version:literal: $($name:ident),* $(,)?) => {
        vec![$((
            concat!(stringify!($name), " in ", $version),
            tokio::spawn(async {
                scenarios::$name(Space::new(stringify!($name), $version).await).await;
            }),
        )),*]
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: hack/test api"]
async fn sidecars_of_running_pods_follow_their_sets() {
    let controller = start(&[]).await;
    let mut running = scenarios!["v1beta1":
        every_pod_gets_the_image_and_keeps_everything_else,
        more_than_an_image_waits_until_it_is_taken_back,
        two_sets_share_the_condition,
        a_bad_image_stops_and_a_good_one_heals,
        half_of_the_pods_go_at_once,
        a_partition_a_pause_and_a_selector_keep_pods_old,
        a_pause_after_the_first_pod_keeps_the_others_old,
        a_hot_upgrade_keeps_one_side_working,
        a_set_that_updates_nothing_counts_and_leaves_alone,
        revisions_are_kept_numbered_and_limited,
        a_deleted_set_leaves_its_pods_alone,
        pods_go_by_priority_and_spread,
        a_workload_updates_its_own_container_meanwhile,
        events_tell_of_a_roll_out,
        pods_that_cannot_follow_are_evicted_on_request,
    ];
    running.extend(scenarios!["v1alpha1":
        every_pod_gets_the_image_and_keeps_everything_else,
        more_than_an_image_waits_until_it_is_taken_back,
        two_sets_share_the_condition,
        a_bad_image_stops_and_a_good_one_heals,
        half_of_the_pods_go_at_once,
        a_partition_a_pause_and_a_selector_keep_pods_old,
        a_hot_upgrade_keeps_one_side_working,
        a_set_that_updates_nothing_counts_and_leaves_alone,
        revisions_are_kept_numbered_and_limited,
        a_deleted_set_leaves_its_pods_alone,
    ]);
    let mut failed = Vec::new();
    for (name, scenario) in running {
        match scenario.await {
            Ok(()) => println!("{name}: ok"),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let conflicts = controller.count("kruise_writes_total", "outcome=\"conflict\"").await;
    println!("{conflicts} conflicts");
    controller.stop().await;
    // Another process over what is there now: everything is settled.
    let controller = start(&[]).await;
    settled(&controller).await;
    let writes = controller.count("kruise_writes_total", "").await;
    assert_eq!(writes, 0, "a converged set causes no write");
    controller.stop().await;
}
