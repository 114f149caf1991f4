//! What is stored, and what is refused.

use kruise_common::testing::admission::golden;
use kruise_common::testing::cluster::{
    Controller, Space, condition, create, degraded, patch, wait,
};
use kube::api::DeleteParams;
use kube::client::Body;
use serde_json::json;

use super::{admitted, set};

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn what_is_stored_of_a_manifest_is_what_openkruise_stored() {
    let manifests = ["sts-min", "sts-inplace", "sts-lifecycle", "sts-plain-v1alpha1"]
        .map(|file| serde_saphyr::from_str(&golden(&format!("manifests/{file}.yaml"))).unwrap());
    admitted().stores_as_openkruise("captured", &manifests).await;
}

/// V-n and U-n: each rule with examples that are accepted and refused.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn every_rule_is_kept() {
    let space = Space::new("set-rules").await;
    let controller = admitted().alone(&space, &[]).await;
    let (accepted, refused) = admitted().keeps(&space, "statefulset").await;
    println!("StatefulSet: {accepted} examples accepted, {refused} refused");
    controller.stop().await;
    admitted().unregister(&space).await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn rules_are_kept_on_creation_and_change_but_an_old_object_can_be_edited_and_deleted() {
    let space = Space::new("rules").await;
    let sets = space.workloads("v1beta1", "StatefulSet");
    // Stored before there was a webhook.
    let mut old = set("old");
    old["spec"]["replicas"] = json!(0);
    old["spec"]["revisionHistoryLimit"] = json!(-1);
    old["spec"]["updateStrategy"] = json!({ "type": "Sometimes" });
    create(&sets, old).await.unwrap();
    let controller = admitted().alone(&space, &[]).await;

    let mut wrong = set("wrong");
    // (The server refuses negative replicas by itself, for the sake of the scale subresource.)
    wrong["spec"]["revisionHistoryLimit"] = json!(-1);
    let refused = create(&sets, wrong.clone()).await.unwrap_err().to_string();
    let rule = "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0";
    assert!(refused.contains(rule), "{refused}");
    wrong["spec"]["revisionHistoryLimit"] = json!(1);
    create(&sets, wrong).await.unwrap();
    let rename = json!([{ "op": "add", "path": "/spec/serviceName", "value": "other" }]);
    let refused = patch(&sets, "wrong", rename).await.unwrap_err().to_string();
    assert!(refused.contains("spec: Forbidden: updates to statefulset spec"), "{refused}");
    let unreadable = json!([{ "op": "replace", "path": "/spec/selector", "value": "app=x" }]);
    let refused = patch(&sets, "wrong", unreadable).await.unwrap_err().to_string();
    assert!(refused.contains("invalid type: string \"app=x\""), "{refused}");

    let label = json!([{ "op": "add", "path": "/metadata/labels", "value": { "edited": "yes" } }]);
    patch(&sets, "old", label).await.unwrap();
    let worse = json!([{ "op": "replace", "path": "/spec/revisionHistoryLimit", "value": -2 }]);
    let refused = patch(&sets, "old", worse).await.unwrap_err().to_string();
    assert!(refused.contains("spec.revisionHistoryLimit: Invalid value: -2"), "{refused}");
    sets.delete("old", &DeleteParams::default()).await.unwrap();
    controller.stop().await;
    admitted().unregister(&space).await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn protected_sets_are_not_deleted_and_others_are_not_asked_about() {
    let space = Space::new("protected").await;
    let controller =
        admitted().alone(&space, &["--feature-gates", "ResourcesDeletionProtection=true"]).await;
    let sets = space.workloads("v1beta1", "StatefulSet");
    for (name, level) in [("always", "Always"), ("cascading", "Cascading")] {
        let mut set = set(name);
        set["metadata"]["labels"] = json!({ "policy.kruise.io/delete-protection": level });
        set["spec"]["replicas"] = json!(i32::from(level != "Always"));
        create(&sets, set).await.unwrap();
        let refused = sets.delete(name, &DeleteParams::default()).await.unwrap_err().to_string();
        let rule = format!(
            "forbidden by ResourcesProtectionDeletion for policy.kruise.io/delete-protection={level}"
        );
        assert!(refused.contains(&rule), "{refused}");
    }
    let zero = json!([{ "op": "replace", "path": "/spec/replicas", "value": 0 }]);
    patch(&sets, "cascading", zero).await.unwrap();
    sets.delete("cascading", &DeleteParams::default()).await.unwrap();
    create(&sets, set("free")).await.unwrap();
    let asked = "/validate-apps-kruise-io-statefulset";
    let before = controller.metric("controller_runtime_webhook_requests_total", asked).await;
    sets.delete("free", &DeleteParams::default()).await.unwrap();
    let after = controller.metric("controller_runtime_webhook_requests_total", asked).await;
    assert_eq!(before, after, "a set without the label is deleted without a question");
    controller.stop().await;
    admitted().unregister(&space).await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn what_an_older_version_would_clear_is_warned_about() {
    let space = Space::new("older").await;
    let controller = admitted().alone(&space, &[]).await;
    let sets = space.workloads("v1beta1", "StatefulSet");
    let mut new = set("web");
    new["spec"]["reserveOrdinals"] = json!([1]);
    create(&sets, new).await.unwrap();
    controller.until("kruise_cache_objects", "statefulsets", |sets| sets > 0.0).await;
    let older = space.workloads("v1alpha1", "StatefulSet");
    let warning = wait("the replacement through v1alpha1", || async {
        let mut stored = older.get("web").await.ok()?;
        stored.data["spec"]["revisionHistoryLimit"] = json!(3);
        // The typed client drops warnings. Who was faster, the controller with its status, leaves a conflict.
        let path = older.resource_url();
        let request = http::Request::put(format!("{path}/web"))
            .header("Content-Type", "application/json")
            .body(Body::from(serde_json::to_vec(&stored).unwrap()));
        let response = space.client.send(request.unwrap()).await.ok()?;
        let warning = response.headers().get("Warning")?.to_str().ok()?.to_owned();
        response.status().is_success().then_some(warning)
    })
    .await;
    assert!(warning.contains("cannot express spec.{reserveOrdinals}"), "{warning}");
    let cleared = sets.get("web").await.unwrap();
    assert_eq!(cleared.data["spec"].get("reserveOrdinals"), None, "so the warning is due");
    controller.stop().await;
    admitted().unregister(&space).await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_set_works_without_any_webhook() {
    let space = Space::new("without").await;
    let flags = ["--feature-gates", ""];
    let controller = Controller::start(admitted().binary, &space, &flags).await;
    let sets = space.workloads("v1beta1", "StatefulSet");
    let mut bare = set("bare");
    bare["spec"].as_object_mut().unwrap().remove("replicas");
    create(&sets, bare).await.unwrap();
    wait("one pod, the default", || async {
        let set = serde_json::to_value(sets.get("bare").await.ok()?).ok()?;
        (set["status"]["readyReplicas"] == 1 && condition(&set, "InvalidSpec").is_none())
            .then_some(())
    })
    .await;
    let (reason, _) = degraded(&space, "kruise-statefulset", "True").await;
    assert_eq!(reason, "AdmissionNotInstalled");
    controller.stop().await;
}
