//! What a client in the cluster notices of an update.

use kruise_e2e::{Case, Load, image, images_are, play, restarts, set};
use serde_json::{Value, json};

/// Updates a set of three in place under load, and returns what the client counted.
async fn updated_under_load(case: &Case, name: &str, change: &Value) -> Value {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    });
    let service = case.create(&case.core("Service"), service).await;
    case.run(set(name, 3, change)).await;
    let url = format!("http://{}", service["spec"]["clusterIP"].as_str().unwrap());
    let load = Load::start(case, &format!("client-{name}"), &url).await;
    case.set_image(name, 0, &image("v2")).await;
    case.rolled_out(name).await;
    let counted = load.stop().await;
    println!("requests, {name}: {counted}");
    let pods: Vec<Value> = case.space.pods().await;
    let pods: Vec<Value> =
        pods.into_iter().filter(|pod| pod["metadata"]["labels"]["app"] == name).collect();
    assert!(images_are(&pods, "app", "v2") && pods.iter().all(|pod| restarts(pod, "app") == 1));
    counted
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn no_request_is_lost_with_the_gate_and_some_are_without() {
    play("traffic", |case| async move {
        let gated = json!({
            "updateStrategy": { "rollingUpdate": { "inPlaceUpdateStrategy": { "gracePeriodSeconds": 3 } } },
            "template": { "spec": { "readinessGates": [{ "conditionType": "InPlaceUpdateReady" }] } },
        });
        let with = updated_under_load(&case, "gated", &gated).await;
        assert!(with["sent"].as_u64().unwrap() > 100, "{with}");
        assert_eq!(with["lost"], 0, "with the gate and a grace period: {with}");
        let without = updated_under_load(&case, "bare", &json!({})).await;
        assert!(without["lost"].as_u64().unwrap() > 0, "the client can see a loss: {without}");
    })
    .await;
}
