#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! Admission on a real API server: the binary's webhook over TLS, registered by URL. One test at a time: a cluster has
//! one set of webhook configurations (`hack/test api` sees to it).

use kruise_common::testing::admission::{Admitted, golden};
use kruise_common::testing::cluster::{Controller, Space, create, patch, wait};
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// The controller whose admission is tested.
fn admitted() -> Admitted {
    Admitted {
        binary: env!("CARGO_BIN_EXE_kruise-broadcastjob"),
        name: "kruise-broadcastjob",
        probe: job("probe"),
        filled: "/spec/parallelism",
    }
}

/// A job for no node, with nothing but what is required.
fn job(name: &str) -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1beta1",
        "kind": "BroadcastJob",
        "metadata": { "name": name },
        "spec": { "template": { "spec": {
            "restartPolicy": "Never",
            "nodeSelector": { "test.kruise.dev/space": "none" },
            "containers": [{ "name": "c", "image": "example.com/clean:exit-0" }],
        } } },
    })
}

/// Both API versions, whichever a manifest was applied in, and every gate that matters to it.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn what_is_stored_of_a_manifest_is_what_openkruise_stored() {
    let manifests = ["bcj-min-v1alpha1", "bcj-v1beta1"]
        .map(|file| serde_saphyr::from_str(&golden(&format!("manifests/{file}.yaml"))).unwrap());
    admitted().stores_as_openkruise("captured-jobs", &manifests).await;
}

/// R16 and §7: each rule with examples that are accepted and refused.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn every_rule_is_kept() {
    let space = Space::new("job-rules").await;
    let controller = admitted().alone(&space, &[]).await;
    let (accepted, refused) = admitted().keeps(&space, "broadcastjob").await;
    println!("BroadcastJob: {accepted} examples accepted, {refused} refused");
    controller.stop().await;
    admitted().unregister(&space).await;
}

/// An object that was stored before there was a webhook and breaks a rule can be edited elsewhere and deleted; without
/// one, jobs work with the defaults that nobody wrote (§6).
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn what_was_stored_before_stays_editable_and_works() {
    let space = Space::new("job-old").await;
    let jobs = space.workloads("v1beta1", "BroadcastJob");
    let mut old = job("old");
    old["spec"]["failurePolicy"] = json!({ "restartLimit": -1 });
    old["spec"]["completionPolicy"] = json!({ "completeWithoutNodes": true });
    create(&jobs, old).await.unwrap();
    let flags = ["--feature-gates", ""];
    let without = Controller::start(admitted().binary, &space, &flags).await;
    wait("the job to complete", || async {
        (jobs.get("old").await.ok()?.data["status"]["phase"] == "completed").then_some(())
    })
    .await;
    without.stop().await;

    let controller = admitted().alone(&space, &[]).await;
    let label = json!([{ "op": "add", "path": "/metadata/labels", "value": { "edited": "yes" } }]);
    patch(&jobs, "old", label).await.unwrap();
    let worse =
        json!([{ "op": "replace", "path": "/spec/failurePolicy/restartLimit", "value": -2 }]);
    let refused = patch(&jobs, "old", worse).await.unwrap_err().to_string();
    assert!(refused.contains("spec.failurePolicy.restartLimit: Invalid value: -2"), "{refused}");
    let unreadable = json!([{ "op": "replace", "path": "/spec/template", "value": 5 }]);
    let refused = patch(&jobs, "old", unreadable).await.unwrap_err().to_string();
    assert!(refused.contains("it is not an object"), "{refused}");
    jobs.delete("old", &DeleteParams::default()).await.unwrap();
    controller.stop().await;
    admitted().unregister(&space).await;
}
