//! Data in claims.

use kruise_e2e::{is_ready, play, set};
use serde_json::{Value, json};

fn claims(policy: &Value) -> Value {
    json!({
        "persistentVolumeClaimRetentionPolicy": policy,
        "volumeClaimTemplates": [{
            "metadata": { "name": "data" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } },
        }],
    })
}

/// A set with a claim mounted at /data.
fn with_claims(policy: &Value) -> Value {
    let mut set = set("web", 2, &claims(policy));
    let mounts = &mut set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
    mounts.as_array_mut().unwrap().push(json!({ "name": "data", "mountPath": "/data" }));
    set
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn data_survive_recreation_and_claims_go_or_stay_as_the_policy_says() {
    play("claims", |case| async move {
        let set = with_claims(&json!({ "whenScaled": "Delete", "whenDeleted": "Retain" }));
        case.run(set.clone()).await;
        for pod in ["web-0", "web-1"] {
            case.sh(pod, "app", &format!("echo {pod} > /data/owner; sync")).await;
        }
        let before = case.pod("web-0").await["metadata"]["uid"].clone();
        let env = json!([{ "op": "add", "path": "/spec/template/spec/containers/0/env", "value": [{ "name": "A", "value": "1" }] }]);
        kruise_common::testing::cluster::patch(&case.sets(), "web", env).await.unwrap();
        case.rolled_out("web").await;
        assert_ne!(before, case.pod("web-0").await["metadata"]["uid"], "another pod");
        for pod in ["web-0", "web-1"] {
            assert_eq!(case.sh(pod, "app", "cat /data/owner").await.trim(), pod);
        }
        // Scaled down: the claim goes, and the volume with it.
        let claims = case.core("PersistentVolumeClaim");
        case.merge(&case.sets(), "web", json!({ "spec": { "replicas": 1 } })).await;
        case.gone(&claims, "data-web-1").await;
        case.merge(&case.sets(), "web", json!({ "spec": { "replicas": 2 } })).await;
        case.rolled_out("web").await;
        assert_eq!(case.sh("web-1", "app", "ls /data").await, "", "a fresh volume");
        // Deleted: claims stay, and what was in them is there for the next set of the name.
        case.delete(&case.sets(), "web").await;
        case.pods("no pods", <[Value]>::is_empty).await;
        assert!(claims.get("data-web-0").await.unwrap().metadata.deletion_timestamp.is_none());
        case.run(set).await;
        assert_eq!(case.sh("web-0", "app", "cat /data/owner").await, "web-0\n");
        // The other policy.
        let policy = json!({ "whenScaled": "Retain", "whenDeleted": "Delete" });
        let change = json!({ "spec": { "persistentVolumeClaimRetentionPolicy": policy } });
        case.merge(&case.sets(), "web", change).await;
        case.merge(&case.sets(), "web", json!({ "spec": { "replicas": 1 } })).await;
        case.pods("one pod", |pods| pods.len() == 1 && is_ready(&pods[0])).await;
        assert!(claims.get("data-web-1").await.unwrap().metadata.deletion_timestamp.is_none());
        case.until("owned", &claims, "data-web-0", |claim| {
            claim["metadata"]["ownerReferences"].is_array()
        })
        .await;
        case.delete(&case.sets(), "web").await;
        case.gone(&claims, "data-web-0").await;
        case.gone(&claims, "data-web-1").await;
    })
    .await;
}
