//! What a client in the cluster notices of an update.

use kruise_common::testing::cluster;
use kruise_e2e::{Case, Load, image, images_are, play, restarts, set};
use serde_json::{Value, json};

/// Runs a set of three behind a Service and returns what a client in the cluster counts while `update` is made.
async fn under_load<F: Future<Output = ()>>(
    case: &Case,
    name: &str,
    change: &Value,
    update: impl FnOnce() -> F,
) -> Value {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    });
    let service = case.create(&case.core("Service"), service).await;
    case.run(set(name, 3, change)).await;
    let url = format!("http://{}", service["spec"]["clusterIP"].as_str().unwrap());
    let load = Load::start(case, &format!("client-{name}"), &url).await;
    update().await;
    let counted = load.stop().await;
    println!("requests, {name}: {counted}");
    let pods: Vec<Value> = case.space.pods().await;
    let pods: Vec<Value> =
        pods.into_iter().filter(|pod| pod["metadata"]["labels"]["app"] == name).collect();
    assert!(images_are(&pods, "app", "v2") && pods.iter().all(|pod| restarts(pod, "app") == 1));
    assert!(counted["sent"].as_u64().unwrap() > 100, "{counted}");
    counted
}

async fn rolled_out(case: &Case, name: &str) {
    case.set_image(name, 0, &image("v2")).await;
    case.rolled_out(name).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn no_request_is_lost_with_the_gate_and_a_grace_period_and_some_are_without() {
    play("traffic", |case| async move {
        let grace = json!({ "updateStrategy": { "rollingUpdate": {
            "inPlaceUpdateStrategy": { "gracePeriodSeconds": 3 } } } });
        let with = under_load(&case, "gate-and-grace", &grace, || rolled_out(&case, "gate-and-grace")).await;
        assert_eq!(with["lost"], 0, "with the gate and a grace period: {with}");
        // Traffic may still be on its way when the container ends at once.
        under_load(&case, "gate-only", &json!({}), || rolled_out(&case, "gate-only")).await;
        // Without the gate nothing tells the Service before: the same change, pod by pod, made by hand.
        let bare = json!({
            "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "ReCreate" } },
            "template": { "spec": { "readinessGates": null } },
        });
        let by_hand = || async {
            for pod in ["bare-2", "bare-1", "bare-0"] {
                let change = json!([{ "op": "replace", "path": "/spec/containers/0/image", "value": image("v2") }]);
                cluster::patch(&case.core("Pod"), pod, change).await.unwrap();
                case.until("updated", &case.core("Pod"), pod, |pod| {
                    images_are(std::slice::from_ref(pod), "app", "v2")
                })
                .await;
            }
        };
        let without = under_load(&case, "bare", &bare, by_hand).await;
        assert!(without["lost"].as_u64().unwrap() > 0, "the client can see a loss: {without}");
    })
    .await;
}
