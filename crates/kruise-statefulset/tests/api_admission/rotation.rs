//! Certificates that change under load, a broken CA, replicas that go.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kruise_common::admission::registration::Phase;
use kruise_common::testing::admission::dry_run;
use kruise_common::testing::cluster::{Space, degraded, wait, warning};
use kruise_common::testing::load::Load;
use kruise_common::testing::ports::free_address;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::balancer::Balancer;
use super::{admitted, expiry, set};

/// Sets that are created (dry run) without a pause.
fn load(space: &Space) -> Load {
    let sets = space.workloads("v1beta1", "StatefulSet");
    Load::start(4, Duration::from_millis(40), move |asker| {
        let (sets, set) = (sets.clone(), set(&format!("load-{asker}")));
        async move {
            let stored = dry_run(&sets, &set).await.map_err(|error| error.to_string())?;
            let filled = stored["spec"]["revisionHistoryLimit"] == 10;
            if filled { Ok(()) } else { Err("stored without defaults".to_owned()) }
        }
    })
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn certificates_change_twice_under_load_and_no_admission_fails() {
    let space = Space::new("rotation").await;
    let balancer = Balancer::new().await;
    let life = ["--webhook-cert-validity", "30s", "--webhook-addr", "127.0.0.1:0"];
    let mut one = admitted().behind(&space, &balancer.url, &life).await;
    let mut two = admitted().behind(&space, &balancer.url, &life).await;
    for controller in [&mut one, &mut two] {
        balancer.add(&controller.said("serving webhooks", "address=").await);
    }
    for controller in [&one, &two] {
        controller.until("webhook_cert_expiry_timestamp_seconds", "", |at| at > 0.0).await;
    }
    admitted().asked(&space).await;
    let load = load(&space);
    let first = expiry(&one).await;
    let renewed = |than: f64| move |at: f64| at > than;
    let second = one.until("webhook_cert_expiry", "", renewed(first)).await;
    two.until("webhook_cert_expiry", "", renewed(first)).await;
    one.until("webhook_cert_expiry", "", renewed(second)).await;
    let (done, failures) = load.stop().await;
    assert_eq!(failures, Vec::<String>::new(), "of {done}");
    assert!(done > 100, "{done} is no load");
    assert!(balancer.connections.load(Ordering::SeqCst) > 0);
    one.stop().await;
    two.stop().await;
    admitted().unregister(&space).await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn replicas_end_one_by_one_under_load_and_no_write_fails() {
    let space = Space::new("replicas").await;
    let balancer = Balancer::new().await;
    let start = |_: usize| {
        let (space, url) = (space.clone(), balancer.url.clone());
        async move {
            let mut controller =
                admitted().behind(&space, &url, &["--webhook-addr", "127.0.0.1:0"]).await;
            let address = controller.said("serving webhooks", "address=").await;
            controller.until("webhook_cert_expiry_timestamp_seconds", "", |at| at > 0.0).await;
            (controller, address)
        }
    };
    let mut replicas = vec![start(0).await, start(1).await];
    for (_, address) in &replicas {
        balancer.add(address);
    }
    admitted().asked(&space).await;
    let load = load(&space);
    for turn in 0..2 {
        // As a rollout does it: a new replica first, then the old one leaves the endpoints while it is told to stop.
        let new = start(turn).await;
        balancer.add(&new.1);
        replicas.push(new);
        let (old, address) = replicas.remove(0);
        old.terminate().await;
        balancer.remove(&address);
        old.stop().await;
    }
    let (done, failures) = load.stop().await;
    assert_eq!(failures, Vec::<String>::new(), "of {done}");
    assert!(done > 20, "{done} is no load");
    for (controller, _) in replicas {
        controller.stop().await;
    }
    admitted().unregister(&space).await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_wrong_ca_and_a_lost_secret_heal_by_themselves() {
    let space = Space::new("heal").await;
    let controller = admitted().alone(&space, &[]).await;
    let mutating = admitted().configurations(&space, Phase::Mutating);
    let name = "kruise-statefulset-mutating";
    let right = mutating.get(name).await.unwrap().data["webhooks"][0]["clientConfig"].clone();
    let wrong =
        json!([{ "op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": "" }]);
    let wrong = Patch::Json::<()>(serde_json::from_value(wrong).unwrap());
    mutating.patch(name, &PatchParams::default(), &wrong).await.unwrap();
    wait("the CA to be back", || async {
        let stored = mutating.get(name).await.ok()?;
        (stored.data["webhooks"][0]["clientConfig"] == right).then_some(())
    })
    .await;
    mutating.delete(name, &DeleteParams::default()).await.unwrap();
    wait("the configuration to be back", || async { mutating.get_opt(name).await.ok()? }).await;
    let before = expiry(&controller).await;
    let secrets = space.api("", "v1", "Secret");
    secrets.delete("kruise-statefulset-webhook-certs", &DeleteParams::default()).await.unwrap();
    controller.until("webhook_cert_expiry", "", |at| at >= before).await;
    wait("a new Secret that is registered", || async {
        let secret = secrets.get_opt("kruise-statefulset-webhook-certs").await.ok()??;
        let bundle = secret.data["data"]["ca.crt"].clone();
        let stored = mutating.get(name).await.ok()?;
        (stored.data["webhooks"][0]["clientConfig"]["caBundle"] == bundle).then_some(())
    })
    .await;
    admitted().asked(&space).await;
    controller.stop().await;
    admitted().unregister(&space).await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_second_installation_is_refused() {
    let (space, other) = (Space::new("first").await, Space::new("second").await);
    let first = admitted().alone(&space, &[]).await;
    let address = free_address().to_string();
    let url = format!("https://{address}");
    let mut second = admitted().behind(&other, &url, &["--webhook-addr", &address]).await;
    second.said("was written by another installation", "installation").await;
    let registered = second.metric("kruise_webhook_registered", "").await;
    assert_eq!(registered, Some(0.0));
    let told = warning(&other, "kruise-statefulset").await;
    assert!(told.starts_with("the controller works without admission: "), "{told}");
    let (reason, message) = degraded(&other, "kruise-statefulset", "True").await;
    assert_eq!(reason, "AdmissionDegraded");
    assert!(message.contains("was written by another installation"), "{message}");
    degraded(&space, "kruise-statefulset", "False").await;
    admitted().asked(&space).await;
    first.stop().await;
    // They are nobody's any more: the condition is taken back.
    let disown =
        json!([{ "op": "remove", "path": "/metadata/annotations/kruise.io~1installed-by" }]);
    let disown = Patch::Json::<()>(serde_json::from_value(disown).unwrap());
    for phase in Phase::ALL {
        let configurations = admitted().configurations(&space, phase);
        let name = phase.name("kruise-statefulset");
        configurations.patch(&name, &PatchParams::default(), &disown).await.unwrap();
    }
    second.until("kruise_webhook_registered", "", |registered| registered > 0.0).await;
    degraded(&other, "kruise-statefulset", "False").await;
    second.stop().await;
    admitted().unregister(&space).await;
}

/// Managed clusters complete every configuration in their own way, at each write.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn somebody_who_changes_a_configuration_back_is_not_fought_without_end() {
    let space = Space::new("fight").await;
    let mut controller = admitted().alone(&space, &[]).await;
    let mutating = admitted().configurations(&space, Phase::Mutating);
    let other = tokio::spawn(async move {
        let name = "kruise-statefulset-mutating";
        let params = PatchParams::default();
        let change = json!([{ "op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 7 }]);
        let change = Patch::Json::<()>(serde_json::from_value(change).unwrap());
        loop {
            mutating.patch(name, &params, &change).await.unwrap();
        }
    });
    controller.said("is changed back by somebody", "problem=").await;
    let registered = controller.metric("kruise_webhook_registered", "").await;
    assert_eq!(registered, Some(0.0));
    other.abort();
    controller.until("kruise_webhook_registered", "", |registered| registered > 0.0).await;
    controller.stop().await;
    admitted().unregister(&space).await;
}
