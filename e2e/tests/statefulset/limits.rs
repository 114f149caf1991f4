//! What the namespace does not allow.

use kruise_e2e::{is_ready, play, set};
use serde_json::{Value, json};

fn failure(set: &Value) -> &str {
    let condition = kruise_common::testing::cluster::condition(set, "FailedCreatePod");
    let on = condition.filter(|condition| condition["status"] == "True");
    on.and_then(|condition| condition["message"].as_str()).unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_quota_is_named_and_the_rest_comes_when_it_is_raised() {
    play("quota", |case| async move {
        let quotas = case.core("ResourceQuota");
        let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few" }, "spec": { "hard": { "pods": "2" } } });
        case.create(&quotas, quota).await;
        case.until("in force", &quotas, "few", |quota| quota["status"]["hard"]["pods"] == "2").await;
        let range = json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "small" },
            "spec": { "limits": [{ "type": "Container", "default": { "memory": "64Mi" }, "defaultRequest": { "cpu": "1m" } }] } });
        case.create(&case.core("LimitRange"), range).await;
        case.create(&case.sets(), set("web", 3, &json!({}))).await;
        case.until("the quota named", &case.sets(), "web", |set| failure(set).contains("exceeded quota: few")).await;
        case.pods("two pods", |pods| pods.len() == 2 && pods.iter().all(is_ready)).await;
        case.merge(&quotas, "few", json!({ "spec": { "hard": { "pods": "5" } } })).await;
        case.rolled_out("web").await;
        case.until("no failure", &case.sets(), "web", |set| failure(set).is_empty()).await;
        // What the range added to the pods is no difference to the template: nothing is updated.
        let pods = case.space.pods().await;
        assert_eq!(pods[0]["spec"]["containers"][0]["resources"]["limits"]["memory"], "64Mi");
        let image = kruise_e2e::image("v2");
        case.set_image("web", 0, &image).await;
        case.rolled_out("web").await;
        let after = case.space.pods().await;
        for (old, new) in pods.iter().zip(&after) {
            kruise_e2e::same_pod(old, new);
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn pod_security_is_named_and_a_fitting_template_comes_up() {
    play("podsecurity", |case| async move {
        let namespaces = case.space.cluster("", "v1", "Namespace");
        let label = json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
        case.merge(&namespaces, &case.space.name, label).await;
        case.create(&case.sets(), set("web", 2, &json!({}))).await;
        case.until("the rule named", &case.sets(), "web", |set| failure(set).contains("violates PodSecurity")).await;
        assert!(case.space.pods().await.is_empty());
        let template = json!({ "spec": { "template": { "spec": { "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": { "type": "RuntimeDefault" } } } } } });
        case.merge(&case.sets(), "web", template).await;
        let of_container = json!([{ "op": "add", "path": "/spec/template/spec/containers/0/securityContext",
            "value": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }]);
        kruise_common::testing::cluster::patch(&case.sets(), "web", of_container).await.unwrap();
        case.rolled_out("web").await;
        assert_eq!(case.sh("web-0", "app", "id -u").await, "65534\n");
    })
    .await;
}
